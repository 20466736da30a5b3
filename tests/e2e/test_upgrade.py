"""`./demo up` of this tree on what versions before left in DATA_DIR (tests/upgrade): all that was answered is answered, all that was
asked again has no second effect, and life goes on. The short form starts the last version only."""

import json
import pathlib
import sys
import tarfile
import unittest

from suite import LONG, ROOT, Suite

sys.path.insert(0, str(ROOT / "tests/upgrade"))
from make import CARD, CARD_KEY, ask, command, order  # noqa: E402

FIXTURES = sorted((ROOT / "tests/upgrade").glob("*.tar.xz"), key=lambda path: [int(n) for n in path.name.split(".tar")[0].split(".")])


class Upgrade(unittest.TestCase):
    maxDiff = None

    def begin(self, fixture):
        suite = Suite()
        self.addCleanup(suite.close)
        with tarfile.open(fixture) as tar:
            tar.extractall(suite.data)
        key = pathlib.Path(suite.data, "answers.key")
        key.write_bytes(CARD_KEY)
        key.chmod(0o600)
        # What was deleted is as old as the fixture: its views are not read anew for that.
        suite.env |= {"CARD_KEY_FILE": str(key), "STALE_HOURS": "8760"}
        suite.up()
        return suite, json.loads(pathlib.Path(suite.data, "answers.json").read_text())

    def same_answers(self, suite, answers):
        self.assertGreater(len(answers), 50)
        for path, before in answers.items():
            now = ask(suite, path)
            self.assertEqual(now["status"], before["status"], f"{path}: {now}")
            self.assertLessEqual(before["body"].items(), now["body"].items(), path)  # a version may say more

    def test_every_version_before(self):
        self.assertTrue(FIXTURES)
        for fixture in FIXTURES if LONG else FIXTURES[-1:]:
            with self.subTest(fixture.name):
                suite, answers = self.begin(fixture)
                self.same_answers(suite, answers)
                for service in ("orders", "inventory", "customers", "ratings"):
                    self.assertNotIn("starts anew", suite.log_of(service))
                reserved = suite.stock("cassette-deck")["reserved"]
                command(suite, "POST", "/v1/orders", order(7), {200, 201})
                self.assertEqual(suite.http("POST", "/v1/orders", order(7, quantity=99)).status, 409)
                command(suite, "POST", "/v1/payments", {"id": "paid-1", "orderId": "old-1", "amountCents": 100, "cardNumber": CARD})
                self.assertEqual(suite.stock("cassette-deck")["reserved"], reserved)
                for n in range(100, 110):
                    command(suite, "POST", "/v1/orders", order(n, priceCents=1))
                for n in range(100, 110):
                    suite.outcome(f"old-{n}", 60)
                suite.audit()
                suite.close()
