"""Records that nobody can process: each is a dead letter, once, and everything behind it is processed."""

import json

import avro
from suite import ROOT, SuiteTest, wait_until

SERVICES = ["orders", "inventory", "fraud", "order-details", "customers", "shipping", "payments", "email", "possible-fraud", "clickstream",
            "ratings"]
HUGE = avro.integer(2**62)  # as a length
TOPICS = {t["name"]: t for t in json.loads((ROOT / "schemas/topics.json").read_text())["topics"]}


class Poison(SuiteTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.suite.put_customer("ada")
        cls.suite.post_order(id="before-poison")
        cls.suite.outcome("before-poison")
        cls.suite.http("POST", "/v1/ratings", {"movieId": 1, "rating": 5})
        for _ in range(4):
            cls.suite.http("POST", "/v1/payments", {"orderId": "before-poison", "amountCents": 1, "cardNumber": "4000000000000028"})
        cls.suite.http("POST", "/v1/clicks", {"userId": "ada", "page": "/", "action": "poison"})
        wait_until(cls.cancel_one, 30, "an order is cancelled before it is decided")
        wait_until(lambda: all(cls.suite.read(topic) for topic in ("emails", "shipments", "possible-fraud")), 30, "one record of each")
        inputs = {source["topic"] for service in SERVICES
                  for topology in json.loads(cls.topology(service))["topologies"] for source in topology["sources"]}
        cls.inputs = sorted(name for name in inputs if TOPICS[name]["deadLetters"])
        cls.schemas = {r["topic"]: r["schema"] for r in cls.suite.read(*cls.inputs) if r.get("value") is not None}

    @classmethod
    def cancel_one(cls):
        order = cls.suite.post_order().json["id"]
        return cls.suite.http("POST", f"/v1/orders/{order}/cancel", {}).status == 200

    @classmethod
    def topology(cls, service):
        import subprocess
        return subprocess.run([cls.suite.build / "services" / service / service, "--topology"], text=True, capture_output=True,
                              check=True).stdout

    def bad_records(self, topic):
        """One of each kind; `key`s are unlike, so that compaction keeps them."""
        schema = self.schemas[topic]
        wrong = [
            ("wrong magic byte", "01" + avro.wire(schema, avro.order_request("x"))[2:]),
            ("unknown schema id", avro.wire(2**31 - 2, b"\x02a")), ("no schema id", "0000"), ("empty", ""), ("no body", avro.wire(schema, b"")),
            ("truncated", avro.wire(schema, avro.string("truncated")[:5])), ("hostile length", avro.wire(schema, HUGE + b"abc")),
            ("negative length", avro.wire(schema, avro.integer(-5) + b"abc")), ("endless integer", avro.wire(schema, b"\xff" * 12)),
            ("not UTF-8", avro.wire(schema, b"\x04\xff\xfe" * 4)), ("JSON", b'{"id":"x"}'.hex()),
        ]
        records = [{"key": f"poison:{n}", "hex": value, "headers": {"why": why}} for n, (why, value) in enumerate(wrong)]
        if TOPICS[topic]["cleanup"] != "compact":  # Kafka itself takes no record without key there
            records.append({"key": None, "hex": avro.wire(schema, avro.order_request("no-key")), "partition": 0,
                            "headers": {"why": "no key"}})
        if not TOPICS[topic]["tombstones"]:
            records.append({"key": "poison:tombstone", "hex": None, "headers": {"why": "tombstone"}})
        for n, record in enumerate(records):
            record.setdefault("partition", n % self.suite.partitions)
        return records

    def letters(self, header=None):
        """Dead letters of the inputs, or only of those records that had this header."""
        return [r for r in self.suite.read("dead-letters") if r["value"]["topic"] in self.inputs and (not header or header in r["headers"])]

    def settle(self, names):
        """Whatever lies behind the bad records is processed: orders, payments and ratings for each partition, at least."""
        for movie in range(1, 40):
            self.suite.http("POST", "/v1/ratings", {"movieId": movie, "rating": 5})
        for name in names:
            self.suite.post_order(id=name)
            payment = {"id": name, "orderId": name, "amountCents": 1, "cardNumber": "4000000000000036"}
            wait_until(lambda: self.suite.http("POST", "/v1/payments", payment).status in (200, 201), 30, f"{name} is paid for")
        for name in names:
            self.assert_order(name, "VALIDATED", within=60)
            self.assertEqual(self.suite.http("GET", f"/v1/shipments/{name}?timeout=30000", timeout=45).status, 200)
            wait_until(lambda: self.suite.http("GET", f"/v1/emails?orderId={name}").json["emails"], 30, f"an email of {name}")

    def test_each_is_a_dead_letter_once_and_the_rest_goes_on(self):
        sent = {}
        for topic in self.inputs:
            records = self.bad_records(topic)
            for record, place in zip(records, self.suite.write(topic, records)):
                sent[f"{topic}/{place['partition']}/{place['offset']}"] = record
        self.settle([f"behind-{n}" for n in range(12)])
        wait_until(lambda: len(self.letters("why")) >= len(sent), 30, f"{len(sent)} dead letters")

        letters = self.letters("why")
        self.assertEqual(sorted(letter["key"] for letter in letters), sorted(sent))
        for letter in letters:
            value, record = letter["value"], sent[letter["key"]]
            with self.subTest(f"{letter['key']}: {record['headers']['why']}"):
                self.assertEqual(f"{value['topic']}/{value['partition']}/{value['offset']}", letter["key"])
                self.assertTrue(value["reason"])
                self.assertEqual(value["payload"].encode("latin-1").hex(), record["hex"] or "")
                self.assertEqual(letter["headers"]["why"], record["headers"]["why"])

        for service in SERVICES:
            self.suite.demo("kill", service)
        self.suite.wait_ready()
        for service in ("order-details", "shipping", "email"):
            self.suite.demo("rewind", service)
        self.settle([f"after-{n}" for n in range(4)])
        self.assertEqual(sorted(letter["key"] for letter in self.letters("why")), sorted(sent), "hydrating writes none")

    def test_what_is_refused_by_rules(self):
        """Well-formed, and still nothing that a reader could accept."""
        request, validation = self.schemas["order-requests"], self.schemas["order-validations"]
        cases = [
            ("order-requests", {"key": "one", "hex": avro.wire(request, avro.order_request("another"))}),
            ("order-requests", {"key": "bad id", "hex": avro.wire(request, avro.order_request("bad id"))}),
            ("order-requests", {"key": "cust", "hex": avro.wire(request, avro.order_request("cust", customer="a b"))}),
            ("order-requests", {"key": "trail", "hex": avro.wire(request, avro.order_request("trail") + b"\0\0")}),
            ("order-validations", {"key": "no-such-order", "hex": avro.wire(
                validation, avro.string("no-such-order") + avro.integer(0) + avro.integer(0) + b"\0\0\0")}),
            ("order-validations", {"key": "before-poison", "hex": avro.wire(
                validation, avro.string("before-poison") + avro.integer(7) + avro.integer(0) + b"\0\0\0")}),
            ("payments", {"key": "o1", "hex": avro.wire(self.schemas["payments"], avro.payment("p1", "o2"))}),
            ("payment-requests", {"key": "p1", "hex": avro.wire(self.schemas["payment-requests"], avro.payment("p2", "o1"))}),
            ("payment-requests", {"key": "p 1", "hex": avro.wire(self.schemas["payment-requests"], avro.payment("p 1", "o1"))}),
            ("authorizations", {"key": "t1", "hex": avro.wire(
                self.schemas["authorizations"], avro.string("t2") + avro.string("o1") + avro.integer(1))}),
            ("clickstream", {"key": "u1", "hex": avro.wire(self.schemas["clickstream"], avro.string("u2") + avro.string("/") + avro.string("x"))}),
        ]
        for topic, record in cases:
            place = self.suite.write(topic, [record])[0]
            key = f"{topic}/{place['partition']}/{place['offset']}"
            with self.subTest(f"{record['key']} at {key}"):
                letter = wait_until(lambda: [r for r in self.letters() if r["key"] == key], 15, "a dead letter")
                self.assertEqual(len(letter), 1)
        self.assertEqual(self.suite.http("GET", "/v1/orders/one").status, 404)

    def test_a_request_in_the_wrong_partition_is_an_order_all_the_same(self):
        """Anybody may write there, also without knowing how keys are partitioned."""
        ids = [f"misplaced-{n}" for n in range(8)]
        self.suite.write("order-requests", [
            {"key": i, "hex": avro.wire(self.schemas["order-requests"], avro.order_request(i)), "partition": n % self.suite.partitions}
            for n, i in enumerate(ids)])
        for i in ids:
            self.assert_order(i, "VALIDATED")
        self.assert_each_order_once(ids)

    def test_a_record_elsewhere_than_its_key_says_is_refused(self):
        """One order forged in every partition: in one it is where it belongs, from the others it must not be served."""
        if self.suite.partitions == 1:
            self.skipTest("one partition: nothing is misplaced")
        home = self.suite.write("order-requests", [{"key": "at-home", "hex": avro.wire(
            self.schemas["order-requests"], avro.order_request("at-home"))}])[0]["partition"]
        self.assert_order("at-home", "VALIDATED")
        forged = avro.wire(self.schemas["orders"], avro.order("at-home", state=2, quantity=77))
        place = self.suite.write("orders", [{"key": "at-home", "hex": forged, "partition": (home + 1) % self.suite.partitions}])[0]
        key = f"orders/{place['partition']}/{place['offset']}"
        wait_until(lambda: [r for r in self.letters() if r["key"] == key], 15, "a dead letter")
        self.assertEqual(self.suite.http("GET", "/v1/orders/at-home").json["state"], "VALIDATED")
