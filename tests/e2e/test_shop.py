"""From the order to the email: shipping, payments, emails, and the queries beside them."""

import concurrent.futures
import random
import threading
import time

import avro
from suite import Load, SuiteTest, wait_until

WINDOW = 300_000
MINUTE = 60_000


class Shop(SuiteTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.suite.put_customer("ada")

    def buy(self, order, **fields):
        answer = self.suite.post_order(id=order, **fields)
        self.assertIn(answer.status, (200, 201), answer)
        return self.assert_order(order, "VALIDATED", within=60)

    def pay(self, order, card="4000 0000 0000 0002", **fields):
        payment = {"id": f"{order}-{random.randrange(10**9)}", "orderId": order, "amountCents": 100, "cardNumber": card} | fields
        answer = self.suite.told("POST", "/v1/payments", payment)
        self.assertIn(answer.status, (200, 201), answer)
        return answer.json

    def shipment(self, order):
        answer = self.suite.http("GET", f"/v1/shipments/{order}?timeout=30000", timeout=45)
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def emails(self, order):
        answer = self.suite.http("GET", f"/v1/emails?orderId={order}")
        self.assertEqual(answer.status, 200, answer)
        return answer.json["emails"]

    def email(self, order):
        return wait_until(lambda: self.emails(order), 30, f"an email of {order}")[0]

    def in_topic(self, topic, order):
        return [r for r in self.suite.read(topic) if r.get("value") and r["value"].get("orderId") == order]

    # ---- the life of an order ----

    def test_bought_paid_shipped_and_told(self):
        self.suite.put_customer("walk", firstName="Wal", lastName="Ker", email="walk@example.org", address="1 Footpath")
        order = self.buy("walk-1", customerId="walk", quantity=2, priceCents=1250)
        payment = self.pay("walk-1", amountCents=2500)
        self.assertEqual(self.shipment("walk-1"),
                         {"orderId": "walk-1", "customerId": "walk", "address": "1 Footpath", "state": "SHIPPED"})
        email = self.email("walk-1")
        self.assertEqual((email["orderId"], email["to"]), ("walk-1", "walk@example.org"))
        for part in ("Wal Ker", "25.00", "walk-1", "2 x cable-rca-1m"):
            self.assertIn(part, email["body"])
        for name, expected in {"shipment": self.shipment("walk-1"), "emails": {"emails": [email]},
                               "payments": {"payments": [payment]}, "self": order}.items():
            answer = self.suite.http("GET", order["links"][name])
            self.assertEqual((answer.status, answer.json), (200, expected), name)
        self.assertEqual(self.suite.http("GET", f"/v1/payments/{payment['id']}").json, payment)
        for topic, key in (("shipments", "walk-1"), ("emails", "walk-1"), ("payments", "walk-1"),
                           ("authorizations", payment["cardToken"])):
            records = self.in_topic(topic, "walk-1")
            self.assertEqual([r["key"] for r in records], [key], topic)
            self.assertTrue(records[0]["headers"]["traceparent"])
            self.assertTrue(records[0]["headers"]["caused-by"])
            self.assertEqual(records[0]["timestamp"] <= int(time.time() * 1000), True)

    def test_it_goes_on_without_the_customers_service(self):
        self.suite.put_customer("alone", address="2 Island", email="alone@example.org")
        self.suite.demo("stop", "customers")
        try:
            self.buy("alone-1", customerId="alone")
            self.pay("alone-1")
            self.assertEqual(self.shipment("alone-1")["address"], "2 Island")
            self.assertEqual(self.email("alone-1")["to"], "alone@example.org")
            self.suite.demo("kill", "shipping")
            self.suite.demo("kill", "email")
            self.buy("alone-2", customerId="alone")
            self.pay("alone-2")
            self.assertEqual(self.shipment("alone-2")["address"], "2 Island")
            self.assertEqual(self.email("alone-2")["to"], "alone@example.org")
        finally:
            self.suite.demo("start", "customers")

    def test_a_customer_who_moves_changes_what_comes_later(self):
        self.suite.put_customer("mover", address="1 Here", email="here@example.org")
        self.buy("mover-1", customerId="mover")
        self.pay("mover-1")
        self.shipment("mover-1"), self.email("mover-1")
        self.suite.put_customer("mover", address="2 There", email="there@example.org")
        self.buy("mover-2", customerId="mover")
        self.pay("mover-2")
        self.assertEqual((self.shipment("mover-2")["address"], self.email("mover-2")["to"]), ("2 There", "there@example.org"))
        self.assertEqual((self.shipment("mover-1")["address"], self.email("mover-1")["to"]), ("1 Here", "here@example.org"))

    def test_what_fails_is_not_shipped(self):
        answer = self.suite.post_order(id="fails-1", quantity=0)
        self.assertEqual(answer.status, 201)
        outcome = self.assert_order("fails-1", "FAILED")
        self.assertNotIn("shipment", outcome["links"])
        self.buy("fails-2")
        self.shipment("fails-2")
        self.assert_problem(self.suite.http("GET", "/v1/shipments/fails-1"), 404)
        self.assert_problem(self.suite.http("GET", "/v1/shipments/fails-1?timeout=50"), 504)

    def test_what_the_views_refuse(self):
        self.assert_problem(self.suite.http("GET", "/v1/shipments/a%20b"), 400, "orderId")
        self.assert_problem(self.suite.http("GET", "/v1/emails"), 400, "orderId")
        self.assert_problem(self.suite.http("GET", "/v1/emails?orderId=a%20b"), 400, "orderId")
        self.assert_problem(self.suite.http("GET", "/v1/payments"), 400, "orderId")
        self.assert_problem(self.suite.http("GET", "/v1/payments/none"), 404)
        self.assert_problem(self.suite.http("GET", "/v1/possible-fraud/none"), 404)
        self.assert_problem(self.suite.http("GET", "/v1/possible-fraud?limit=0"), 400, "limit")
        self.assert_problem(self.suite.http("DELETE", "/v1/shipments/x", b"", {"Content-Type": "application/json"}), 405)
        self.assertEqual(self.emails("no-such-order"), [])

    # ---- payments ----

    def test_one_id_is_one_payment(self):
        payment = self.pay("once", id="once-1")
        self.assertEqual(payment, self.pay("once", id="once-1"))
        self.assertEqual(payment, self.pay("once", id="once-1", card="4000-0000-0000-0002"))
        for change in ({"amountCents": 101}, {"orderId": "other"}, {"cardNumber": "4000000000000010"}):
            body = {"id": "once-1", "orderId": "once", "amountCents": 100, "cardNumber": "4000000000000002"} | change
            self.assert_problem(self.suite.http("POST", "/v1/payments", body), 409, "id")
        self.assertEqual(len(self.in_topic("payments", "once")), 1)
        self.assertEqual(len(self.in_topic("authorizations", "once")), 1)
        self.assertEqual(self.in_topic("payments", "other"), [])

    def test_a_race_for_one_id_has_one_winner(self):
        self.suite.demo("scale", "payments", 2)
        try:
            ports = [self.suite.service_port("payments", n) for n in (0, 1)]

            def post(n):
                body = {"id": "race", "orderId": "race", "amountCents": n % 2, "cardNumber": "4000000000000002"}
                return n % 2, self.suite.http("POST", "/v1/payments", body, port=ports[n // 2 % 2])

            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(post, range(16)))
        finally:
            self.suite.demo("scale", "payments", 1)
        made = self.in_topic("payments", "race")
        self.assertEqual(len(made), 1)
        for amount, answer in answers:
            self.assertEqual(answer.status in (200, 201), amount == made[0]["value"]["amountCents"], answer)
            self.assertIn(answer.status, (200, 201, 409))

    def test_payments_that_are_none(self):
        good = {"orderId": "bad-payment", "amountCents": 1, "cardNumber": "4000000000000002"}
        for change, field in (({"orderId": None}, "orderId"), ({"orderId": "a b"}, "orderId"), ({"id": ""}, "id"),
                              ({"amountCents": None}, "amountCents"), ({"amountCents": -1}, "amountCents"),
                              ({"amountCents": 1.5}, "amountCents"), ({"amountCents": 2**63}, "amountCents"),
                              ({"amountCents": "1"}, "amountCents"), ({"cardNumber": None}, "cardNumber"),
                              ({"cardNumber": 4000000000000002}, "cardNumber"), ({"cardNumber": "40000000000"}, "cardNumber"),
                              ({"cardNumber": "4" * 20}, "cardNumber"), ({"cardNumber": "4000x000000000002"}, "cardNumber")):
            with self.subTest(change):
                answer = self.suite.http("POST", "/v1/payments", good | change)
                self.assert_problem(answer, 400)
                if change != {"amountCents": 2**63}:
                    self.assertEqual(answer.json["field"], field)
        self.assertEqual(self.in_topic("payments", "bad-payment"), [])

    # ---- the join, by event time ----

    def write_order(self, order, timestamp):
        schema = next(r["schema"] for r in self.suite.read("order-requests") if "value" in r)
        body = avro.order_request(order, product="slipmat-felt")
        self.suite.write("order-requests", [{"key": order, "hex": avro.wire(schema, body), "timestamp": timestamp}])

    def write_payment(self, order, payment, timestamp):
        schema = next(r["schema"] for r in self.suite.read("payments") if "value" in r)
        self.suite.write("payments", [{"key": order, "hex": avro.wire(schema, avro.payment(payment, order, 100)), "timestamp": timestamp}])

    def test_a_payment_and_its_order_within_a_minute(self):
        self.pay("join-before")  # there is a schema
        now = int(time.time() * 1000)
        cases = {"join-after": (MINUTE, False, True), "join-too-late": (MINUTE + 1, False, False),
                 "join-first": (-MINUTE, True, True), "join-too-early": (-MINUTE - 1, True, False),
                 "join-late": (MINUTE, True, True)}
        for order, (apart, payment_first, _) in cases.items():
            then = now - 3600_000  # all of them late
            if payment_first:
                self.write_payment(order, order, then + apart)
            self.write_order(order, then)
            self.assert_order(order, "VALIDATED")
            if not payment_first:
                self.write_payment(order, order, then + apart)
        for order, (_, _, told) in cases.items():
            if told:
                self.email(order)
        for partition in range(self.suite.partitions):  # whatever was before them is joined
            self.buy(f"join-behind-{partition}")
            self.pay(f"join-behind-{partition}")
        for partition in range(self.suite.partitions):
            self.email(f"join-behind-{partition}")
        for order, (_, _, told) in cases.items():
            self.assertEqual(len(self.emails(order)), told, order)
        record = self.in_topic("emails", "join-first")[0]
        self.assertEqual(record["timestamp"], now - 3600_000, "that of the one that came last")

    def test_a_second_payment_sends_no_second_email(self):
        self.buy("twice")
        self.pay("twice")
        self.email("twice")
        self.pay("twice", amountCents=200)
        self.pay("twice", card="4000000000000010")
        self.buy("twice-behind")
        self.pay("twice-behind")
        self.email("twice-behind")
        self.assertEqual(len(self.in_topic("payments", "twice")), 3)
        self.assertEqual(len(self.in_topic("emails", "twice")), 1)
        self.assertIn("1.00", self.emails("twice")[0]["body"])

    # ---- continuous queries ----

    def test_the_fourth_payment_with_one_card_is_suspicious(self):
        # all in one window: one that is about to end is waited out
        wait_until(lambda: time.time() * 1000 % WINDOW < WINDOW - 60_000, 90, "time enough in this window")
        card = "4" + str(random.randrange(10**14, 10**15))
        for n in range(3):
            token = self.pay(f"fraud-{n}", card=card)["cardToken"]
        self.assert_problem(self.suite.http("GET", f"/v1/possible-fraud/{token}"), 404)
        self.pay("fraud-3", card=card)
        row = self.suite.http("GET", f"/v1/possible-fraud/{token}?timeout=20000").json
        self.assertEqual((row["cardToken"], row["count"]), (token, 4))
        self.assertEqual(row["windowEnd"] - row["windowStart"], WINDOW)
        self.assertEqual(row["windowStart"] % WINDOW, 0)
        self.assertLessEqual(row["windowStart"], time.time() * 1000)
        self.pay("fraud-4", card=card)
        wait_until(lambda: self.suite.http("GET", f"/v1/possible-fraud/{token}").json["count"] == 5, 20, "the count grows")
        self.assertEqual(self.suite.http("GET", "/v1/possible-fraud").json["possibleFraud"][0]["cardToken"], token)
        records = [r for r in self.suite.read("possible-fraud") if r["key"] == token]
        self.assertEqual([r["value"]["count"] for r in records], [4, 5])

    def test_clicks_of_the_best_customers(self):
        self.suite.put_customer("vip", firstName="Vi", lastName="Pe", level="PLATINUM")
        self.suite.put_customer("gold", level="GOLD")
        for user in ("vip", "gold", "stranger", "vip"):
            answer = self.suite.http("POST", "/v1/clicks", {"userId": user, "page": "/shop", "action": f"by {user}"})
            self.assertEqual(answer.status, 202, answer)

        def actions():
            return [r["value"] for r in self.suite.read("vip-actions") if r["key"] in ("vip", "gold", "stranger")]

        wait_until(lambda: len(actions()) >= 2, 20, "two actions")
        self.assertEqual(actions(), [{"userId": "vip", "page": "/shop", "action": "by vip", "level": "PLATINUM", "name": "Vi Pe"}] * 2)
        self.assertEqual(len([r for r in self.suite.read("clickstream") if r["key"] in ("vip", "gold", "stranger")]), 4)
        for body, field in (({"page": "/", "action": "x"}, "userId"), ({"userId": "a b", "page": "/", "action": "x"}, "userId"),
                            ({"userId": "a", "action": "x"}, "page"), ({"userId": "a", "page": "/", "action": 1}, "action"),
                            ({"userId": "a", "page": "x" * 1001, "action": "x"}, "page")):
            answer = self.suite.http("POST", "/v1/clicks", body)
            self.assert_problem(answer, 400)
            self.assertEqual(answer.json["field"], field)

    # ---- crashes ----

    def test_kill_each_in_the_middle_of_payments(self):
        paid, stop = [], threading.Event()

        def pay_all(load):
            done = 0
            while not (stop.is_set() and done == len(load.ids)):
                if done == len(load.ids):
                    time.sleep(0.02)
                    continue
                order = load.ids[done]
                body = {"id": f"pay-{order}", "orderId": order, "amountCents": 100, "cardNumber": f"40000000{done % 50:04d}"}
                wait_until(lambda: self.suite.http("POST", "/v1/payments", body).status in (200, 201), 60, f"{order} is paid for")
                paid.append(order)
                done += 1

        with Load(self.suite, "commerce") as load:
            payer = threading.Thread(target=pay_all, args=(load,), daemon=True)
            payer.start()
            for service in ("shipping", "payments", "email", "possible-fraud"):
                load.wait_for(10)
                before = self.suite.pid(service)
                self.suite.demo("kill", service)
                wait_until(lambda: self.suite.pid(service) not in (None, before), 15, f"{service} is started again")
            load.wait_for(10)
        stop.set()
        payer.join(120)
        self.assertEqual(sorted(paid), sorted(load.ids))
        for order in paid:
            self.suite.outcome(order, 60)
        wait_until(lambda: len({r["key"] for r in self.suite.read("emails")} & set(paid)) == len(paid), 60, "an email for each")
        payments = [r["value"] for r in self.suite.read("payments") if r.get("value") and r["value"]["orderId"] in set(paid)]
        self.assertEqual(sorted(p["orderId"] for p in payments), sorted(paid))
        authorizations = [r["value"]["orderId"] for r in self.suite.read("authorizations") if r.get("value")]
        self.assertEqual(sorted(a for a in authorizations if a in set(paid)), sorted(paid))
        # counts of cards and windows are those of the log
        counts = {}
        for r in self.suite.read("authorizations"):
            key = (r["key"], r["timestamp"] // WINDOW * WINDOW)
            counts[key] = counts.get(key, 0) + 1
        rows = {}
        for r in self.suite.read("possible-fraud"):
            rows.setdefault((r["key"], r["value"]["windowStart"]), []).append(r["value"]["count"])
        self.assertEqual(rows, {key: list(range(4, n + 1)) for key, n in counts.items() if n > 3})
        self.suite.audit()

    def test_views_come_back_from_the_log(self):
        self.buy("rewound")
        payment = self.pay("rewound")
        before = self.shipment("rewound"), self.email("rewound"), payment
        for service in ("shipping", "email", "payments", "possible-fraud"):
            self.suite.demo("rewind", service)
        self.assertEqual((self.shipment("rewound"), self.email("rewound"), self.suite.http("GET", f"/v1/payments/{payment['id']}").json),
                         before)
        self.assertEqual(len(self.in_topic("shipments", "rewound")), 1)
        self.assertEqual(len(self.in_topic("emails", "rewound")), 1)
        self.suite.audit()
