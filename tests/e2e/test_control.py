"""The panel: some of ./demo's commands by HTTP, for who has the token."""

import pathlib
import re
import threading

from suite import ROOT, SuiteTest, wait_until


class Control(SuiteTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.said = cls.suite.demo("up").stdout
        cls.token = re.search(r"(?m)^  panel +http://localhost:\d+/#token=(\S+)$", cls.said)[1]

    def ask(self, method, path, body=None, token=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.suite.http(method, f"/v1/demo{path}", body, {"Authorization": f"Bearer {token or self.token}"} | headers, timeout=200)

    def done(self, verb, **what):
        answer = self.ask("POST", f"/{verb}", what)
        self.assertEqual(answer.status, 200, answer)
        return answer.json["said"]

    def test_only_who_has_the_token_may(self):
        before = self.suite.pid("fraud")
        for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": f"Bearer {self.token}x"}, {"Authorization": self.token},
                        {"Authorization": f"Bearer {self.token[:-1]}"}, {"Authorization": f"Basic {self.token}"}):
            for method, path, body in (("GET", "", None), ("POST", "/kill", {"name": "fraud"})):
                answer = self.suite.http(method, f"/v1/demo{path}", body, headers)
                self.assert_problem(answer, 401, "token")
                self.assertEqual(answer.headers["WWW-Authenticate"], "Bearer")
        self.assertNotIn(self.token.encode(), self.suite.http("GET", "/").body)
        self.assertEqual(self.suite.pid("fraud"), before)

    def test_another_site_may_not_even_with_it(self):
        before, own = self.suite.pid("fraud"), f"http://localhost:{self.suite.ports['PORT']}"
        for headers, status in (({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403), ({"Origin": "http://localhost:1"}, 403),
                                ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Sec-Fetch-Site": "same-site"}, 403), ({"Host": "evil.example"}, 421),
                                ({"Origin": own, "Insideout-Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}, 403)):
            with self.subTest(headers):
                self.assert_problem(self.ask("POST", "/kill", {"name": "fraud"}, **headers), status)
        self.assert_problem(self.ask("POST", "/kill", b'name=fraud', **{"Content-Type": "text/plain"}), 415)
        self.assertEqual(self.suite.pid("fraud"), before)
        answer = self.ask("GET", "", Origin=own, Host=f"localhost:{self.suite.ports['PORT']}", **{"Sec-Fetch-Site": "same-origin"})
        self.assertEqual(answer.status, 200, answer)

    def test_what_is_no_verb_name_or_number_is_refused(self):
        for verb, body, status, text in (("reset", {"name": "fraud"}, 404, "verb"), ("kill", {"name": "gateway"}, 404, "name"),
                                         ("kill", {"name": "fraud; id"}, 404, "name"), ("kill", {"name": "../fraud"}, 404, "name"),
                                         ("kill", {"name": "--help"}, 404, "name"), ("kill", {}, 400, "name"), ("kill", {"name": 1}, 400, "name"),
                                         ("rewind", {"name": "kafka"}, 404, "name"), ("scale", {"name": "fraud"}, 400, "count"),
                                         ("scale", {"name": "fraud", "count": 11}, 400, "count"), ("scale", {"name": "fraud", "count": "1;id"}, 400, "count"),
                                         ("poison", {"name": "fraud"}, 404, "name"), ("poison", {"name": "no-topic"}, 404, "name")):
            with self.subTest(verb=verb, body=body):
                self.assert_problem(self.ask("POST", f"/{verb}", body), status, text)

    def test_the_panel_says_what_there_is_and_where_the_code_is(self):
        panel = self.ask("GET", "").json
        self.assertEqual(panel["others"], ["kafka", "registry", "postgres", "connect"])
        self.assertIn("inventory", panel["services"])
        self.assertIn("order-requests", panel["topics"])
        self.assertEqual({place["verb"] for place in panel["code"]}, {"kill", "stop", "start", "slow", "scale", "rewind", "poison", "kafka"})
        for place in panel["code"]:
            line = (ROOT / place["file"]).read_text().splitlines()[place["line"] - 1]
            self.assertIn(place["text"], line)
            source = self.suite.http("GET", f"/source/{place['file']}")
            self.assertEqual((source.status, source.type), (200, "text/plain"))
            self.assertEqual(source.body.decode(), (ROOT / place["file"]).read_text())

    def test_kill_stop_start_and_an_error_is_told(self):
        before = self.suite.pid("fraud")
        self.assertIn(f"killed fraud-0 (pid {before})", self.done("kill", name="fraud"))
        wait_until(lambda: self.suite.pid("fraud") not in (before, None) and self.suite.is_ready("fraud"), 30, "fraud is back")
        self.assertIn("stopped fraud-0", self.done("stop", name="fraud"))
        self.assertIsNone(self.suite.readyz("fraud"))
        self.assert_problem(self.ask("POST", "/kill", {"name": "fraud"}), 409, "fraud-0 does not run")
        self.assertIn("fraud-0 is ready", self.done("start", name="fraud"))
        wait_until(lambda: self.suite.is_ready("fraud"), 60, "fraud is ready")

    def test_scale(self):
        self.done("scale", name="order-details", count=2)
        wait_until(lambda: self.suite.is_ready("order-details", 1), 60, "the second one is ready, and stays so when its partitions have come")
        self.done("scale", name="order-details", count=1)
        self.assertIsNone(self.suite.readyz("order-details", 1))

    def test_slow_is_slow_and_then_not(self):
        def state():
            return pathlib.Path(f"/proc/{self.suite.pid('shipping')}/stat").read_text().rpartition(")")[2].split()[0]
        slow = threading.Thread(target=lambda: self.suite.demo("slow", "shipping", 3))
        slow.start()
        try:
            wait_until(lambda: state() == "T", 20, "it is stopped for a moment")
            wait_until(lambda: state() != "T", 20, "it goes on for a moment")
        finally:
            slow.join()
        self.assertNotEqual(state(), "T")

    def test_a_poison_record_becomes_a_dead_letter(self):
        place = self.done("poison", name="order-requests").strip()
        letters = lambda: [r for r in self.suite.read("dead-letters") if r["key"] == place]
        wait_until(letters, 30, "its letter comes")
        self.suite.put_customer("poison-ada")
        self.suite.post_order(id="behind-poison", customerId="poison-ada")
        self.assert_order("behind-poison", "VALIDATED")
        self.assertEqual(len(letters()), 1)

    def test_rewind(self):
        self.suite.http("POST", "/v1/ratings", {"movieId": 1, "rating": 5})
        said = self.done("rewind", name="ratings")
        self.assertRegex(said, r"ratings-0: [1-9]\d* events in [\d.]+ ?s")
        places = self.suite.http("GET", "/progress/ratings").json
        ends = {(t["name"], p["partition"]): p["end"] for t in self.suite.http("GET", "/v1/log/topics").json["topics"] for p in t["partitions"]}
        read = {(p["topic"], p["partition"]): p for p in places["places"]}
        self.assertEqual((places["left"], places["ready"]), (0, True))
        self.assertEqual({p["what"] for p in places["places"]}, {"input", "table", "view"})
        for partition in range(self.suite.partitions):
            self.assertLessEqual(read["rated-movies", partition]["position"], ends["rated-movies", partition])
        self.assertEqual(self.suite.http("GET", "/progress/nothing").status, 404)

    def test_turned_off_it_is_absent(self):
        self.assertIn('id="control"', self.suite.http("GET", "/").body.decode())
        try:
            said = self.suite.demo("up", "gateway", CONTROL="0").stdout
            self.assertNotIn("token", said)
            self.assertNotIn('id="control"', self.suite.http("GET", "/").body.decode())
            self.assert_problem(self.ask("GET", ""), 404)
            self.assertFalse(pathlib.Path(self.suite.data, "control/socket").exists())
        finally:
            self.suite.demo("up", "gateway")
        wait_until(lambda: self.ask("GET", "").status == 200, 20, "it is there again, with the same token")
