"""Views are caches: delete one, and it says the same again."""

import time

from suite import SERVICES, SuiteTest, wait_until

UNUSED = ["payments", "possible-fraud", "clickstream", "rider", "driver",  # nobody pays, clicks or rides here;
          "lens"]  # is ready before it has indexed the log


class Rewind(SuiteTest):
    def answers(self):
        stock = self.suite.http("GET", "/v1/stock").json
        pages, path = [], "/v1/orders?limit=500"
        while path:
            page = self.suite.http("GET", path).json
            pages += page["orders"]
            path = page["next"]
        return {"stock": stock, "orders": pages, "customer": self.suite.http("GET", "/v1/customers/rewinder").json}

    def test_the_same_answers_before_and_after(self):
        self.suite.put_customer("rewinder", level="GOLD")
        for n in range(20):
            self.suite.post_order(id=f"rewound-{n}", customerId="rewinder", quantity=n % 4, priceCents=500)
        for n in range(20):
            self.suite.outcome(f"rewound-{n}")
        before = self.answers()
        self.assertGreaterEqual(len(before["orders"]), 20)
        for service in SERVICES:
            with self.subTest(service):
                said = self.suite.demo("rewind", service).stdout
                some = r"\d+" if service in UNUSED else r"[1-9]\d*"
                self.assertRegex(said, rf"{service}-0: {some} events in \d+\.\d\d ?s")
                self.assertEqual(self.answers(), before)
        # What was decided stays decided: the same requests again make nothing new.
        self.assertEqual(self.suite.post_order(id="rewound-1", customerId="rewinder", quantity=1, priceCents=500).status, 200)
        self.suite.post_order(id="rewound-after", customerId="rewinder", priceCents=199_999)
        self.assert_order("rewound-after", "FAILED", "session")
        self.assert_each_order_once([f"rewound-{n}" for n in range(20)] + ["rewound-after"])

    def test_offsets_that_are_gone_count_nothing_twice(self):
        self.suite.sql("INSERT INTO movies VALUES (970001, 'Gone', 2024)")
        wait_until(lambda: self.suite.http("GET", "/v1/movies/970001").status == 200, 30, "the movie")
        self.suite.post_order(id="gone", customerId="rewinder", quantity=1, priceCents=100)
        self.suite.outcome("gone")
        self.rate(30)
        self.pay_six_times()
        before = {topic: len(self.suite.read(topic)) for topic in ("orders", "order-validations", "shipments", "payments", "possible-fraud")}
        services = ["orders", "inventory", "fraud", "order-details", "shipping", "payments", "possible-fraud", "ratings"]
        for service in services:
            self.suite.demo("stop", service)
            self.suite.logtool("forget", service)
            self.suite.demo("start", service)
        self.suite.wait_ready(services=services)
        self.rate(31)  # behind whatever would be counted again
        self.suite.audit()
        self.assertEqual({topic: len(self.suite.read(topic)) for topic in before}, before)
        for service in ("ratings", "possible-fraud"):
            self.assertIn("the group's offset is gone; it goes on at", self.suite.log_of(service))

    def rate(self, count):
        """Until the movie has so many ratings."""
        def ratings():
            return self.suite.http("GET", "/v1/movies/970001").json["ratingCount"]
        while ratings() < count:
            had = ratings()
            self.assertEqual(self.suite.http("POST", "/v1/ratings", {"movieId": 970001, "rating": 7}).status, 202)
            wait_until(lambda: ratings() > had, 20, f"rating {had + 1} of {count} counts")
        self.assertEqual(ratings(), count)

    def pay_six_times(self):
        """With one card, in one window of possible-fraud."""
        wait_until(lambda: time.time() % 300 < 240, 70, "time enough in this window")
        for n in range(6):
            answer = self.suite.http("POST", "/v1/payments", {"id": f"gone-{n}", "orderId": "gone", "amountCents": 100,
                                                              "cardNumber": "4111111111111111"})
            self.assertEqual(answer.status, 201, answer)
        path = f"/v1/possible-fraud/{answer.json['cardToken']}"
        wait_until(lambda: self.suite.http("GET", path).json.get("count") == 6, 30, "all six are counted")
