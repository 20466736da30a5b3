"""Orders, stock and customers over HTTP, and what they leave in the log."""

import json
import os
import signal
import subprocess
import threading
import time

from suite import ROOT, SuiteTest, wait_until


class Orders(SuiteTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.suite.put_customer("ada")

    def test_an_order_goes_from_http_to_its_outcome(self):
        before = self.suite.stock("record-shelf")
        answer = self.suite.post_order(id="first", productId="record-shelf", quantity=2, priceCents=1250)
        self.assertEqual(answer.status, 201, answer)
        self.assertEqual(answer.headers["Location"], "/v1/orders/first")
        self.assertEqual(answer.json["state"], "CREATED")
        self.assert_order("first", "VALIDATED")
        order = self.suite.http("GET", "/v1/orders/first").json
        fields = {name: order[name] for name in ("id", "customerId", "productId", "quantity", "priceCents", "state", "reasons")}
        self.assertEqual(fields, {"id": "first", "customerId": "ada", "productId": "record-shelf", "quantity": 2,
                                  "priceCents": 1250, "state": "VALIDATED", "reasons": []})
        after = self.suite.stock("record-shelf")
        self.assertEqual(after["reserved"], before["reserved"] + 2)
        self.assertEqual(after["available"], after["onHand"] - after["reserved"])

    def test_its_records_share_time_and_trace_and_name_their_causes(self):
        self.suite.post_order(id="traced")
        self.assert_order("traced", "VALIDATED")
        log = [r for r in self.suite.read("order-requests", "orders", "order-validations") if r["key"] == "traced"]
        by_topic = {topic: [r for r in log if r["topic"] == topic] for topic in ("order-requests", "orders", "order-validations")}
        self.assertEqual([len(records) for records in by_topic.values()], [1, 2, 3])
        request = by_topic["order-requests"][0]
        self.assertEqual({r["timestamp"] for r in log}, {request["timestamp"]})
        self.assertEqual(len({r["headers"]["traceparent"].split("-")[1] for r in log}), 1)
        self.assertEqual([r["value"]["state"] for r in by_topic["orders"]], ["CREATED", "VALIDATED"])
        self.assertEqual({(r["value"]["check"], r["value"]["result"]) for r in by_topic["order-validations"]},
                         {(check, "PASS") for check in ("INVENTORY_CHECK", "FRAUD_CHECK", "ORDER_DETAILS_CHECK")})
        self.assertEqual(by_topic["orders"][0]["headers"]["caused-by"],
                         f"order-requests/{request['partition']}/{request['offset']}")
        for record in by_topic["orders"][1:] + by_topic["order-validations"]:
            self.assertRegex(record["headers"]["caused-by"], r"^[a-z-]+/\d+/\d+(,[a-z-]+/\d+/\d+)*$")
        inventory = next(r["value"] for r in by_topic["order-validations"] if r["value"]["check"] == "INVENTORY_CHECK")
        self.assertIsInstance(inventory["onHand"], int)
        self.assertIsInstance(inventory["reservedBefore"], int)

    def test_each_rule_of_failure_has_its_reason(self):
        self.suite.put_customer("rules")
        on_hand = self.suite.stock("cassette-deck")["onHand"]
        for name, fields, reason in [
            ("stock", {"productId": "cassette-deck", "quantity": on_hand + 1}, "available"),
            ("no-quantity", {"quantity": 0}, "quantity"),
            ("less-than-none", {"quantity": -3}, "quantity"),
            ("price", {"priceCents": -1}, "priceCents"),
            ("product", {"productId": "no-such-product"}, ""),
            ("customer", {"customerId": "no-such-customer"}, "unknown customer"),
            ("extremes", {"quantity": 2**31 - 1, "priceCents": 2**63 - 1}, ""),
            ("extremes-below", {"quantity": -2**31, "priceCents": -2**63}, ""),
        ]:
            with self.subTest(name):
                before = [self.suite.stock(product) for product in ("cassette-deck", "cable-xlr-3m")]
                answer = self.suite.post_order(id=f"fails-{name}", **{"customerId": "rules", "productId": "cable-xlr-3m"} | fields)
                self.assertEqual(answer.status, 201, answer)
                self.assert_order(f"fails-{name}", "FAILED", reason)
                # Whatever it held is given back.
                wait_until(lambda: [self.suite.stock(p["productId"]) for p in before] == before, 10, "stock is as it was")

    def test_a_session_of_spending_has_a_limit(self):
        self.suite.put_customer("spender")
        for name, cents, state in [("a", 199_998, "VALIDATED"), ("b", 1, "VALIDATED"), ("c", 1, "FAILED"), ("d", 0, "FAILED")]:
            self.suite.post_order(id=f"spend-{name}", customerId="spender", priceCents=cents)
            self.assert_order(f"spend-{name}", state, "session" if state == "FAILED" else None)
        self.suite.put_customer("spender-2")
        self.suite.post_order(id="spend-once", customerId="spender-2", quantity=2, priceCents=100_000)
        self.assert_order("spend-once", "FAILED", "session")

    def test_stock_is_never_oversold(self):
        self.suite.put_customer("crowd")
        product = self.suite.stock("amp-tube")
        ids = [f"crowd-{n}" for n in range(product["available"] + 5)]
        threads = [threading.Thread(target=self.suite.post_order, kwargs={
            "id": i, "customerId": "crowd", "productId": "amp-tube", "priceCents": 1}) for i in ids]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        states = [self.suite.outcome(i)["state"] for i in ids]
        self.assertEqual(states.count("VALIDATED"), product["available"])
        self.assertEqual(self.suite.stock("amp-tube")["available"], 0)

    def test_the_same_id_is_the_same_order(self):
        first = self.suite.post_order(id="again")
        second = self.suite.post_order(id="again")
        self.assertEqual((first.status, second.status), (201, 200))
        self.assertEqual(first.json["id"], second.json["id"])
        for other in ({"quantity": 2}, {"priceCents": 99}, {"productId": "slipmat-felt"}, {"customerId": "bob"}):
            self.assert_problem(self.suite.post_order(id="again", **other), 409)
        self.assert_order("again", "VALIDATED")
        self.assertEqual(self.suite.post_order(id="again").json["state"], "VALIDATED")
        self.assertEqual(len([r for r in self.suite.read("orders") if r["key"] == "again"]), 2)

    def cancel(self, order):
        return self.suite.http("POST", f"/v1/orders/{order}/cancel", {})

    def test_an_order_without_outcome_is_cancelled(self):
        before = self.suite.stock("lp-river-songs")
        self.suite.demo("stop", "fraud")
        try:
            placed = self.suite.post_order(id="regretted", productId="lp-river-songs", quantity=2)
            wait_until(lambda: self.suite.stock("lp-river-songs")["reserved"] == before["reserved"] + 2, 15, "it is reserved")
            first, again = self.cancel("regretted"), self.cancel("regretted")
            self.assertEqual((first.status, again.status), (200, 200), (first, again))
            self.assertEqual((first.json["state"], first.json["reasons"]), ("FAILED", ["CANCELLED"]))
            self.assertEqual(again.json, first.json)
            self.assertEqual(first.json["createdAt"], placed.json["createdAt"])
            wait_until(lambda: self.suite.stock("lp-river-songs") == before, 15, "its stock is free")
        finally:
            self.suite.demo("start", "fraud")
        wait_until(lambda: len([r for r in self.suite.read("order-validations") if r["key"] == "regretted"]) == 3, 30, "fraud speaks")
        self.assert_order("regretted", "FAILED", "CANCELLED")
        self.assertEqual(self.suite.post_order(id="regretted", productId="lp-river-songs", quantity=2).status, 200)
        self.assertEqual(len([r for r in self.suite.read("orders") if r["key"] == "regretted"]), 2)

    def test_an_outcome_is_not_cancelled(self):
        self.suite.post_order(id="kept")
        self.suite.post_order(id="failed", quantity=0)
        self.assert_order("kept", "VALIDATED")
        self.assert_order("failed", "FAILED")
        self.assert_problem(self.cancel("kept"), 409, "VALIDATED")
        self.assert_problem(self.cancel("failed"), 409, "FAILED")
        self.assert_problem(self.cancel("nobodys"), 404)
        self.assert_problem(self.cancel("a%20b"), 400, "id")
        self.assert_order("kept", "VALIDATED")

    def test_cancelling_races_with_the_checks_at_any_instance(self):
        self.suite.demo("scale", "orders", 2)
        try:
            self.suite.put_customer("racer")
            ids, answers = [f"race-{n}" for n in range(24)], {}

            def race(order):
                self.suite.post_order(id=order, customerId="racer", priceCents=1)
                answers[order] = [self.cancel(order), self.cancel(order)]

            threads = [threading.Thread(target=race, args=(i,)) for i in ids]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for i in ids:
                outcome = self.suite.outcome(i)
                expected = 200 if outcome["reasons"] == ["CANCELLED"] else 409
                self.assertEqual([a.status for a in answers[i]], [expected] * 2, (outcome, answers[i]))
                self.assertEqual(outcome["state"], "FAILED" if expected == 200 else "VALIDATED")
            self.assert_each_order_once(ids)
        finally:
            self.suite.demo("scale", "orders", 1)

    def test_a_load_is_open_and_restocks_what_it_sells(self):
        """While nobody answers what is due is sent, and the times say so: a generator that waits would show it for a few orders."""
        load = subprocess.Popen([ROOT / "demo", "load", "orders", "--rate", "200", "--count", "800", "--json"], env=self.suite.env,
                                stdout=subprocess.PIPE, text=True)
        self.addCleanup(load.__exit__, None, None, None)
        self.addCleanup(load.kill)
        wait_until(lambda: self.suite.stock("load-01")["reserved"] > 0, 60, "orders are decided")
        pid = self.suite.pid("orders")
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(1.5)  # 300 orders
        finally:
            os.kill(pid, signal.SIGCONT)
        said = json.loads(load.communicate(timeout=120)[0])
        self.assertEqual({name: said[name] for name in ("orders", "validated", "failed", "heldBack", "givenUp")},
                         {"orders": 800, "validated": 800, "failed": 0, "heldBack": 0, "givenUp": 0})
        self.assertGreater(said["createdMs"]["p90"], 300)

    def test_an_order_without_id_gets_one(self):
        answer = self.suite.post_order()
        self.assertEqual(answer.status, 201, answer)
        self.assertEqual(answer.headers["Location"], "/v1/orders/" + answer.json["id"])
        self.assertNotEqual(answer.json["id"], self.suite.post_order().json["id"])

    def test_who_waits_is_told(self):
        self.assert_problem(self.suite.http("GET", "/v1/orders/nobodys"), 404)
        for path in ("/v1/orders/nobodys?timeout=300", "/v1/orders/nobodys/validated?timeout=300"):
            since = time.monotonic()
            self.assert_problem(self.suite.http("GET", path), 504)
            self.assertGreaterEqual(time.monotonic() - since, 0.29)
        answers = {}

        def wait(path):
            answers[path] = self.suite.http("GET", path)

        paths = ["/v1/orders/awaited?timeout=20000", "/v1/orders/awaited/validated?timeout=20000"]
        threads = [threading.Thread(target=wait, args=(path,)) for path in paths]
        for thread in threads:
            thread.start()
        self.suite.post_order(id="awaited")
        for thread in threads:
            thread.join()
        self.assertEqual([answers[path].status for path in paths], [200, 200], answers)
        self.assertEqual(answers[paths[1]].json["state"], "VALIDATED")

    def test_a_list_is_paged_newest_first(self):
        self.suite.put_customer("lister")
        ids = [f"listed-{n}" for n in range(7)]
        for n, i in enumerate(ids):
            self.suite.post_order(id=i, customerId="lister", quantity=0 if n == 3 else 1)
            self.suite.outcome(i)
        path, pages = "/v1/orders?customerId=lister&limit=3", []
        while path:
            page = self.suite.http("GET", path)
            self.assertEqual(page.status, 200, page)
            pages.append([order["id"] for order in page.json["orders"]])
            path = page.json["next"]
        self.assertEqual(pages, [ids[:3:-1], ids[3:0:-1], ids[:1]])
        by_cursor = self.suite.http("GET", "/v1/orders?customerId=lister&limit=3").json["after"]
        second = self.suite.http("GET", f"/v1/orders?customerId=lister&limit=3&after={by_cursor}").json
        self.assertEqual([order["id"] for order in second["orders"]], pages[1])
        for state, expected in (("FAILED", ["listed-3"]), ("VALIDATED", [i for i in reversed(ids) if i != "listed-3"]), ("CREATED", [])):
            found = self.suite.http("GET", f"/v1/orders?customerId=lister&state={state}").json["orders"]
            self.assertEqual([order["id"] for order in found], expected)
        everybodys = self.suite.http("GET", "/v1/orders?limit=5").json["orders"]
        self.assertEqual(len(everybodys), 5)

    def pages(self, path, what, key):
        pages = []
        while path:
            page = self.suite.http("GET", path)
            self.assertEqual(page.status, 200, page)
            pages.append([item[key] for item in page.json[what]])
            path = page.json["next"]
        return pages

    def test_customers_and_stock_are_paged_by_id(self):
        for n in range(5):
            self.suite.put_customer(f"paged-{n}")
        pages = self.pages("/v1/customers?limit=3", "customers", "id")
        ids = [i for page in pages for i in page]
        self.assertEqual(ids, sorted(set(ids)))
        self.assertLessEqual({f"paged-{n}" for n in range(5)}, set(ids))
        self.assertEqual({len(page) for page in pages[:-1]}, {3})
        page = self.suite.http("GET", "/v1/customers?limit=2&after=paged-1").json
        self.assertEqual([(c["id"], c["email"]) for c in page["customers"]], [(f"paged-{n}", "ada@example.org") for n in (2, 3)])
        self.assertEqual(page["after"], "paged-3")
        whole = [p["productId"] for p in self.suite.http("GET", "/v1/stock").json["stock"]]
        self.assertEqual([p for page in self.pages("/v1/stock?limit=7", "stock", "productId") for p in page], whole)
        self.assertEqual(self.suite.http("GET", f"/v1/stock?limit=2&after={whole[3]}").json["stock"],
                         [self.suite.stock(p) for p in whole[4:6]])
        for path in ("/v1/customers", "/v1/stock"):
            self.assert_problem(self.suite.http("GET", f"{path}?limit=0"), 400, "limit")
            self.assert_problem(self.suite.http("GET", f"{path}?limit=501"), 400, "limit")

    def test_an_email_address_is_one(self):
        for address in ("", "nobody", "@b", "a@", "a@b@c", "a b@c", "x@example.org>\r\nRCPT TO:<eve@example.org", "a..b@c", "a@-b", "a@" + "b" * 300):
            self.assert_problem(self.suite.put_customer("no-address", email=address), 400, "email")
        self.assert_problem(self.suite.http("GET", "/v1/customers/no-address"), 404)
        for address in ("a@b", "jörg@bücher.example", "o'neil+shop@x-y.example"):
            self.assertEqual(self.suite.put_customer("some-address", email=address).json["email"], address)

    def test_a_customer_is_put_and_read(self):
        self.assert_problem(self.suite.http("GET", "/v1/customers/grace"), 404)
        created = self.suite.put_customer("grace", level="PLATINUM")
        self.assertEqual(created.status, 201, created)
        self.assertEqual(self.suite.http("GET", "/v1/customers/grace").json, created.json)
        self.assertEqual((created.json["id"], created.json["level"]), ("grace", "PLATINUM"))
        replaced = self.suite.put_customer("grace", lastName="Hopper")
        self.assertEqual((replaced.status, replaced.json["lastName"]), (200, "Hopper"))
        self.assertEqual(self.suite.http("GET", "/v1/customers/grace").json["lastName"], "Hopper")
        self.suite.post_order(id="at-once", customerId="grace")  # what could be read before is known to the checks
        self.assert_order("at-once", "VALIDATED")
