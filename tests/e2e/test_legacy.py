"""What the legacy database says is what the suite sells, within seconds."""

import os
import signal

from suite import LONG, SuiteTest, is_open, wait_until


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


class Monday(SuiteTest):
    """What administrators do to tables; tests/component/legacy_test.py has more of it."""

    def tearDown(self):
        self.suite.sql("DELETE FROM stock WHERE product_id LIKE 'monday-%'")

    def assert_seen(self, product, quantity, within=10):
        wait_until(lambda: self.suite.stock(product)["onHand"] == quantity, within, f"{quantity} of {product}")

    def test_other_types_columns_and_constraints(self):
        self.suite.sql("INSERT INTO stock VALUES ('monday-1', 'One', 1)")
        for n, change in enumerate(["ALTER quantity TYPE bigint", "ALTER quantity TYPE numeric(12,2)", "ADD added numeric NOT NULL DEFAULT 1, ADD shape point",
                                    "ADD CHECK (quantity < 10000000)", "DROP added, DROP shape, DROP CONSTRAINT stock_quantity_check",
                                    "ALTER name TYPE varchar(2000), ALTER quantity TYPE text",
                                    "ALTER name TYPE text, ALTER quantity TYPE int USING quantity::numeric::int"], 2):
            self.suite.sql(f"ALTER TABLE stock {change}")
            self.suite.sql(f"UPDATE stock SET quantity = '{n}' WHERE product_id = 'monday-1'")
            self.assert_seen("monday-1", n)

    def test_truncate(self):
        self.suite.sql("CREATE TABLE saved AS SELECT * FROM stock; TRUNCATE stock")
        wait_until(lambda: self.suite.http("GET", "/v1/stock").json["stock"] == [], 10, "nothing is on stock")
        self.suite.sql("INSERT INTO stock SELECT * FROM saved; DROP TABLE saved")
        self.assert_seen("turntable-mk2", 24)

    def test_a_long_value_that_an_update_leaves_alone(self):
        name = self.suite.sql("INSERT INTO stock SELECT 'monday-long', string_agg(md5(n::text), ''), 1 FROM generate_series(1, 1000) n RETURNING name")
        self.suite.sql("UPDATE stock SET quantity = 2 WHERE product_id = 'monday-long'")
        self.assert_seen("monday-long", 2)
        self.assertEqual(self.suite.stock("monday-long")["name"], name.splitlines()[0])

    def test_rows_that_are_kept_out(self):
        self.suite.sql("ALTER TABLE stock ALTER quantity TYPE text; INSERT INTO stock VALUES"
                       " ('monday-word', 'W', 'abc'), ('monday-huge', repeat('h', 2000000), '1'), ('monday-good', 'G', '7')")
        self.assert_seen("monday-good", 7)
        for product in ("monday-word", "monday-huge"):
            self.assertEqual(self.suite.http("GET", f"/v1/stock/{product}").status, 404)
        said = "2 rows of stock kept out, such as 'monday-huge': name is longer than 1000000 bytes"
        self.assertIn(said, self.suite.demo("status").stdout)
        self.assertIn(said, self.suite.demo("up").stdout)
        self.suite.sql("DELETE FROM stock WHERE product_id = 'monday-huge'; UPDATE stock SET quantity = '8' WHERE quantity = 'abc';"
                       "ALTER TABLE stock ALTER quantity TYPE int USING quantity::int")
        self.assert_seen("monday-word", 8)
        self.assertNotIn("kept out", self.suite.demo("status").stdout)


    def test_the_audit_looks_at_the_tables_themselves(self):
        self.suite.sql("INSERT INTO stock VALUES ('monday-1', 'One', 1)")
        self.suite.audit()
        self.suite.write("stock", [{"key": "monday-1"}])  # a tombstone, as if the row had been lost on its way
        wait_until(lambda: self.suite.http("GET", "/v1/stock/monday-1").status == 404, 10, "the view has it not")
        found = self.suite.demo("audit", "--wait=3", ok=False)
        self.assertEqual(found.returncode, 1, found.stdout)
        self.assertIn("stock/monday-1: the topic has no row, the table 1", found.stdout)
        self.suite.sql("UPDATE stock SET quantity = 3 WHERE product_id = 'monday-1'")
        self.suite.audit()


class Connector(SuiteTest):
    def connect(self, method, path, body=None):
        return self.suite.http(method, f"/connectors/legacy{path}", body, port=self.suite.ports["CONNECT_PORT"])

    def change(self, **config):
        self.addCleanup(self.suite.demo, "up")
        self.connect("PUT", "/config", self.connect("GET", "/config").json | config)

    def state(self):
        [connect] = [process for process in self.suite.status() if process["name"] == "connect"]
        return connect["state"]

    def restock(self):
        """A change of the legacy data; the new quantity."""
        return int(self.suite.sql("UPDATE stock SET quantity = quantity + 1 WHERE product_id = 'slipmat-felt' RETURNING quantity").splitlines()[0])

    def wait_state(self, state):
        """While rows change: a task may still do some of its work after its configuration has changed, and a new one fails at a change."""
        wait_until(lambda: self.restock() and self.state() == state, 120, f"the connector is {state}")

    def assert_follows(self, within=15):
        quantity = self.restock()
        wait_until(lambda: self.suite.stock("slipmat-felt")["onHand"] == quantity, within, "a change is seen")

    def test_kafka_killed(self):
        for _ in range(10 if LONG else 1):
            before = self.suite.pid("kafka")
            self.suite.demo("kill", "kafka")
            wait_until(lambda: self.suite.pid("kafka") not in (None, before) and is_open(self.suite.ports["KAFKA_PORT"]), 60, "Kafka is back")
            self.assert_follows(15)
            wait_until(lambda: self.state() == "ready", 15, "Connect says so")

    def test_ready_is_said_when_changes_flow(self):
        """After Kafka was away, too, where Connect says RUNNING of a task that it is about to replace."""
        def task():
            return self.suite.sql("SELECT active_pid FROM pg_replication_slots")

        self.suite.demo("kill", "kafka")
        wait_until(lambda: self.state() == "starting", 30, "it is told")
        wait_until(lambda: self.state() == "ready", 60, "it is ready again")
        before = task()
        self.assert_follows(5)
        self.assertEqual(task(), before, "the task that was ready is the one that works")
        # One that hangs takes connections, and Connect says RUNNING of a task that has the slot.
        os.kill(self.suite.pid("kafka"), signal.SIGSTOP)
        try:
            wait_until(lambda: self.state() == "starting", 30, "it is told")
            self.assertEqual(self.connect("GET", "/status").json["tasks"][0]["state"], "RUNNING")
            self.assertEqual(task(), before)
        finally:
            os.kill(self.suite.pid("kafka"), signal.SIGCONT)
        wait_until(lambda: self.state() == "ready", 60, "it flows again")

    def test_paused(self):
        self.assertEqual(self.connect("PUT", "/pause").status, 202)
        wait_until(lambda: self.state() == "failed", 10, "Connect is not ready")
        self.assertIn("paused", self.suite.demo("status").stdout)
        self.assertIn("it goes on", self.suite.demo("up").stdout)
        self.assert_follows()

    def test_a_task_that_has_failed(self):
        self.change(**{"value.converter.apicurio.registry.url": "http://127.0.0.1:9/"})
        wait_until(lambda: self.restock() and "connect-0: Tolerance exceeded in error handler; schema registry" in self.suite.demo("status").stdout,
                   120, "it is told")
        self.suite.demo("up")
        self.assertEqual(self.state(), "ready")
        self.assert_follows()

    def test_a_task_that_failed_while_the_registry_was_away(self):
        self.addCleanup(self.suite.sql, "DELETE FROM stock WHERE product_id = 'unread'")
        self.addCleanup(self.suite.demo, "start", "registry")
        self.suite.demo("stop", "registry")
        self.suite.demo("kill", "connect")  # its converter has no schema yet
        self.suite.sql("INSERT INTO stock VALUES ('unread', 'Unread', 1)")
        self.wait_state("failed")
        self.suite.demo("start", "registry")
        wait_until(lambda: self.suite.stock("unread"), 60, "it is tried again, by itself")
        self.wait_state("ready")
        self.assertIn("it is started again", self.suite.log_of("connect"))

    def test_a_connector_that_does_not_answer_any_more(self):
        """It retries for ever with a publication that is not there, and cannot be stopped."""
        self.change(**{"publication.name": "nobody's"})
        self.wait_state("starting")
        self.suite.demo("up")
        self.assertEqual(self.state(), "ready")
        self.assert_follows()

    def test_a_replication_slot_that_is_gone(self):
        self.suite.sql("INSERT INTO stock VALUES ('slot-old', 'Old', 1)")
        wait_until(lambda: self.suite.stock("slot-old"), 10, "the row is seen")
        self.suite.demo("stop", "connect")
        self.suite.sql("SELECT pg_drop_replication_slot('legacy'); DELETE FROM stock WHERE product_id = 'slot-old'; INSERT INTO stock VALUES ('slot-new', 'New', 2)")
        self.assertIn("a new snapshot", self.suite.demo("start", "connect").stdout)
        wait_until(lambda: self.suite.stock("slot-new"), 10, "the new row is seen")
        wait_until(lambda: self.suite.http("GET", "/v1/stock/slot-old").status == 404, 10, "the old one is gone")
        self.suite.sql("DELETE FROM stock WHERE product_id = 'slot-new'")

    def test_a_replication_slot_that_is_lost_at_work(self):
        """Debezium makes a new one and goes on, as if nothing had been lost."""
        self.suite.sql("DO $$ BEGIN LOOP PERFORM pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active; BEGIN"
                       " PERFORM pg_drop_replication_slot('legacy'); EXIT; EXCEPTION WHEN object_in_use THEN NULL; END; END LOOP; END $$")
        wait_until(lambda: self.state() == "failed", 60, "it is told")
        self.assertIn("a new snapshot", self.suite.demo("up").stdout)
        self.assert_follows()
