"""Views are caches: delete one, and it says the same again."""

from suite import SERVICES, SuiteTest

UNUSED = ["payments", "possible-fraud", "clickstream", "rider", "driver"]  # nobody pays, clicks or rides here


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
