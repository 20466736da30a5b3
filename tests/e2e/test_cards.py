"""A card number goes no further than the door: whatever is sent, no file of the suite ever holds one."""

import json
import pathlib
import random
import subprocess
import time

from suite import SuiteTest, wait_until


class Cards(SuiteTest):
    def setUp(self):
        self.begin = "49" + "".join(random.choice("0123456789") for _ in range(8))  # all of them; so does nothing else by chance
        self.answers, self.parted = [], []

    def card(self, digits=16):
        return self.begin + "".join(random.choice("0123456789") for _ in range(digits - len(self.begin)))

    def with_check_digit(self, digits):
        double = [int(d) * (2 - i % 2) for i, d in enumerate(reversed(digits))]
        return digits + str(-sum(d - 9 if d > 9 else d for d in double) % 10)

    def spaced(self, number):
        return " ".join(number[i:i + 4] for i in range(0, len(number), 4))

    def post(self, body, **options):
        path, until = options.pop("path", "/v1/payments"), time.monotonic() + 60
        while True:
            answer = self.suite.http("POST", path, body if isinstance(body, bytes) else json.dumps(body).encode(), **options)
            self.answers.append(answer)
            if answer.status != 503 or time.monotonic() > until:  # a busy machine: told to repeat it
                return answer

    def good(self, **fields):
        return {"orderId": "cards", "amountCents": 100, "cardNumber": self.card()} | fields

    def send_all(self, run):
        for body in (self.good(), self.good(id=f"cards-1-{run}"), self.good(cardNumber=self.spaced(self.card())), self.good(cardNumber=self.card(12)),
                     self.good(cardNumber=self.card(19))):
            self.assertIn(self.post(body).status, (200, 201))
        same = self.good(id=f"cards-2-{run}")
        self.assertIn(self.post(same).status, (200, 201))
        self.assertIn(self.post(same).status, (200, 201))
        self.assertEqual(self.post(same | {"cardNumber": self.card()}).status, 409)
        refused = [
            self.good(cardNumber=int(self.card())), self.good(cardNumber=self.card(24)), self.good(cardNumber=self.card() + "x"),
            self.good(cardNumber=[self.card()]), self.good(cardNumber={"number": self.card()}), self.good(amountCents=self.card()),
            self.good(amountCents=-int(self.card())), self.good(amountCents=float(self.card()) + 0.5), self.good(orderId=self.card() + "/"),
            self.good(id=self.card() + " "), self.good(cardNumber=None, card=self.card()), {"cardNumber": self.card()},
            [self.good()], self.card(),
        ]
        number = self.card()
        refused += [self.good(id=number, cardNumber=number), self.good(orderId=f"order-{number}", cardNumber=number)]
        # with signs between the digits, the payment's own and another one that some card has
        for sign in "-._:":
            number, other = self.card(), self.with_check_digit(self.card(15))
            parted, other = (sign.join(n[i:i + 4] for i in range(0, 16, 4)) for n in (number, other))
            refused += [self.good(id=parted, cardNumber=number), self.good(orderId=f"order{sign}{parted}", cardNumber=number),
                        self.good(id=f"{other}{sign}1"), self.good(orderId=other)]
            self.parted += [parted, other]
        for body in refused:
            self.assertEqual(self.post(body).status, 400, body)
        for text in ('{"orderId":"cards","cardNumber":"%s"', '{"orderId":"cards","cardNumber":%s', '{"cardNumber":"%s","cardNumber":"x"}',
                     '{"%s":1,"%s":2}', '{"cardNumber":"%s\x01"}', '%s', '"%s', '{"a":%s.5e999}', '{"cardNumber":"\\ud800%s"}', '{%s}',
                     '{"cardNumber":"%s"} trailing', '{"cardNumber":%s%%}'):
            self.assertEqual(self.post((text.replace("%%", "%").replace("%s", self.card())).encode()).status, 400, text)
        self.assertEqual(self.post(self.good(), headers={"Content-Type": "text/plain"}).status, 415)
        self.assertEqual(self.post(self.good(), headers={"Host": "example.org"}).status, 421)
        self.assertEqual(self.post(self.good(pad="x" * 70_000)).status, 413)
        self.assertIn(self.post(self.good(pad="x" * 60_000)).status, (200, 201))
        self.assertEqual(self.post(self.good(), path=f"/v1/{self.card()}").status, 404)
        self.assertEqual(self.post(self.good(), path=f"/v1/payments/{self.card()}").status, 405)
        for i in (self.with_check_digit(self.card(15)), self.parted[-1]):
            self.assertEqual(self.post({"id": i, "customerId": "ada", "productId": "slipmat-felt", "quantity": 1, "priceCents": 1},
                                       path="/v1/orders").status, 400)
            self.assertEqual(self.post({"userId": i, "page": "/", "action": "x"}, path="/v1/clicks").status, 400)
            self.answers.append(self.suite.put_customer(i))
            self.assertEqual(self.answers[-1].status, 400)
        self.answers += [self.suite.http("GET", path) for path in (
            f"/v1/payments/{self.card()}", f"/v1/payments?orderId={self.card()}%20", f"/v1/payments?cardNumber={self.card()}")]
        # straight to the service, in pieces, and cut off in the middle
        body, port = json.dumps(self.good()), self.suite.service_port("payments")
        chunked = "".join(f"{len(piece):x}\r\n{piece}\r\n" for piece in (body[:40], body[40:])) + "0\r\n\r\n"
        head = "POST /v1/payments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        self.assertIn(self.suite.raw(f"{head}Transfer-Encoding: chunked\r\n\r\n{chunked}".encode(), port=port).status, (200, 201))
        self.suite.raw(f"{head}Content-Length: 500\r\nConnection: close\r\n\r\n{json.dumps(self.good())}".encode(), port=port)
        self.suite.raw(f"{head}Content-Length: 500\r\nConnection: close\r\n\r\n{json.dumps(self.good())}".encode())

    def files_with(self, *texts):
        """Of the whole DATA_DIR; those that go while we look (compaction) hold nothing any more."""
        command = ["grep", "-rlaFs", *(word for text in texts for word in ("-e", text)), self.suite.data]
        return subprocess.run(command, text=True, capture_output=True, timeout=300).stdout.splitlines()

    def test_no_card_number_is_in_any_file(self):
        self.suite.put_customer("ada")
        marker = "marker-49-here-i-am"
        self.suite.post_order(id="cards", customerId="ada")
        self.suite.post_order(id=marker, customerId="ada")
        self.send_all(1)
        wait_until(lambda: self.suite.http("GET", "/v1/emails?orderId=cards").json["emails"], 30, "an email")
        for service in ("payments", "email", "possible-fraud", "shipping"):
            self.suite.demo("kill", service)
        self.suite.wait_ready(services=["payments", "email", "possible-fraud", "shipping"])
        self.send_all(2)
        pid = self.suite.pid("payments")
        for service in ("orders", "payments", "gateway"):
            self.suite.demo("kill", service)
        wait_until(lambda: self.suite.pid("payments") not in (None, pid), 15, "payments is started again")
        self.suite.wait_ready(services=["orders", "payments"])
        wait_until(lambda: self.suite.http("GET", "/v1/payments/cards-1-1").status == 200, 30, "the gateway is back")

        self.assertEqual(self.files_with(self.begin, self.spaced(self.begin), *self.parted), [])
        self.assertTrue(self.files_with(marker), "the search finds what there is")
        for answer in self.answers:
            text = answer.body.decode() + str(answer.headers)
            self.assertNotIn(self.begin, text)
            self.assertNotIn(self.spaced(self.begin), text)
            self.assertEqual([parted for parted in self.parted if parted in text], [])

    def test_no_core_file_holds_memory(self):
        pid = self.suite.pid("payments")
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        self.assertRegex(limits, r"Max core file size +0 +0 ")
        self.assertEqual(int(pathlib.Path(f"/proc/{pid}/coredump_filter").read_text(), 16), 0)

    def test_the_key_is_its_owners(self):
        key = pathlib.Path(self.suite.data, "secrets/card-key")
        self.assertEqual(key.stat().st_mode & 0o777, 0o600)
        self.assertGreaterEqual(key.stat().st_size, 32)

    def test_without_a_good_key_there_are_no_payments(self):
        done = self.suite.demo("config", CARD_KEY_FILE="relative", ok=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("CARD_KEY_FILE", done.stderr)
        binary, env = self.suite.build / "services/payments/payments", self.suite.tool_env() | {"PORT": "0", "SLOT": "9"}
        for path, why in (("/nowhere/key", "No such file"), ("/dev/null", "others may read it")):
            done = subprocess.run([binary], env=env | {"CARD_KEY_FILE": path}, text=True, capture_output=True, timeout=20)
            self.assertEqual(done.returncode, 78, done.stderr)
            self.assertIn("CARD_KEY_FILE", done.stderr)
            self.assertIn(why, done.stderr)
