"""What the legacy database says is what the suite sells, within seconds."""

from suite import SuiteTest, wait_until


class Legacy(SuiteTest):
    def test_insert_update_and_delete(self):
        self.suite.put_customer("ada")
        self.suite.post_order(id="too-early", productId="new-lamp")
        self.assert_order("too-early", "FAILED")

        self.suite.sql("INSERT INTO stock VALUES ('new-lamp', 'Lamp, \"Größe\" 5 €', 3)")
        self.assertEqual(wait_until(lambda: self.suite.stock("new-lamp"), 10, "the inserted row is seen"),
                         {"productId": "new-lamp", "name": 'Lamp, "Größe" 5 €', "onHand": 3, "reserved": 0, "available": 3})
        self.suite.post_order(id="in-time", productId="new-lamp", quantity=3)
        self.assert_order("in-time", "VALIDATED")

        self.suite.sql("UPDATE stock SET quantity = 10 WHERE product_id = 'new-lamp'")
        wait_until(lambda: self.suite.stock("new-lamp")["onHand"] == 10, 10, "the update is seen")
        self.assertEqual(self.suite.stock("new-lamp")["available"], 7)
        self.suite.sql("UPDATE stock SET quantity = NULL, name = NULL WHERE product_id = 'new-lamp'")
        wait_until(lambda: self.suite.stock("new-lamp")["onHand"] == 0, 10, "a null is seen")

        self.suite.sql("DELETE FROM stock WHERE product_id = 'new-lamp'")
        wait_until(lambda: self.suite.http("GET", "/v1/stock/new-lamp").status == 404, 10, "the delete is seen")
        self.suite.post_order(id="too-late", productId="new-lamp")
        self.assert_order("too-late", "FAILED")

    def test_an_id_that_is_none_of_the_suites(self):
        self.suite.sql("INSERT INTO stock VALUES ('big box/ü', 'Box', 3)")
        wait_until(lambda: self.suite.http("GET", "/v1/stock/big%20box%2F%C3%BC").status == 200, 30, "the box is there")
        box = self.suite.http("GET", "/v1/stock/big%20box%2F%C3%BC").json
        self.assertEqual((box["productId"], box["onHand"]), ("big box/ü", 3))
        self.assertIn(box, self.suite.http("GET", "/v1/stock").json["stock"])
        order = {"customerId": "ada", "productId": "big box/ü", "quantity": 1, "priceCents": 1}
        self.assert_problem(self.suite.http("POST", "/v1/orders", order), 400, "productId")
        self.suite.sql("DELETE FROM stock WHERE product_id = 'big box/ü'")

    def test_one_transaction_of_many_rows(self):
        self.suite.sql("INSERT INTO stock SELECT 'bulk-' || n, 'Bulk ' || n, n FROM generate_series(1, 200) n")
        wait_until(lambda: self.suite.stock("bulk-200")["onHand"] == 200, 10, "all are inserted")
        self.suite.sql("DELETE FROM stock WHERE product_id LIKE 'bulk-%'")
        wait_until(lambda: not [p for p in self.suite.http("GET", "/v1/stock").json["stock"] if p["productId"].startswith("bulk-")],
                   10, "all are deleted")
