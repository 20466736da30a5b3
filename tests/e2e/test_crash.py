"""kill -9 in the middle of load leaves no trace in the results."""

import time

from suite import LONG, PATIENCE, SERVICES, Load, SuiteTest, is_open, wait_until

ROUNDS = 10 if LONG else 1
KILLS = 20 if LONG else 3  # of Kafka


class Crash(SuiteTest):
    def test_kill_each_service_in_the_middle_of_load(self):
        with Load(self.suite, "crash") as load:
            load.wait_for(50)
            for _ in range(ROUNDS):
                for service in SERVICES:
                    before = self.suite.pid(service)
                    self.suite.demo("kill", service)
                    wait_until(lambda: self.suite.pid(service) not in (None, before), 10, f"{service} is started again")
                    load.wait_for(15)
            for service in SERVICES:  # and all at once
                self.suite.demo("kill", service)
            load.wait_for(30)
        self.assertEqual(load.refused, [])
        for i in load.ids:
            self.suite.outcome(i, 60)
        self.assert_each_order_once(load.ids)
        self.suite.audit()

    def test_kill_kafka_in_the_middle_of_load(self):
        with Load(self.suite, "broker") as load:
            load.wait_for(30)
            self.suite.demo("kill", "kafka")
            load.wait_for(30, 90)
        self.assertEqual(load.refused, [])
        for i in load.ids:
            self.suite.outcome(i, 60)
        self.assert_each_order_once(load.ids)

    def test_kafka_is_killed_over_and_over(self):
        """No reader is stuck afterwards: with each return of Kafka orders are decided again, within 15 s."""
        port = self.suite.ports["KAFKA_PORT"]
        self.suite.put_customer("ada")
        with Load(self.suite, "kills") as load:
            load.wait_for(30)
            for n in range(KILLS):
                before = self.suite.pid("kafka")
                self.suite.demo("kill", "kafka")
                wait_until(lambda: self.suite.pid("kafka") not in (None, before), 30, "Kafka is started again")
                wait_until(lambda: is_open(port), 60, "Kafka is back")
                since, order = time.monotonic(), f"kills-after-{n}"
                wait_until(lambda: self.suite.post_order(once=True, id=order).status in (200, 201), 15, f"an order after kill {n + 1}")
                self.suite.outcome(order, 15)
                took = time.monotonic() - since
                print(f"kill {n + 1}: an order was decided {took:.1f} s after Kafka's return", flush=True)
                self.assertLess(took, 15 * PATIENCE)
                load.wait_for(10, 60)
        self.assertEqual(load.refused, [])
        for i in load.ids:
            self.suite.outcome(i, 60)
        self.assert_each_order_once(load.ids)
        self.suite.wait_ready()

    def test_stop_and_start_in_the_middle_of_load(self):
        """A clean end, too, loses nothing and takes less than ten seconds."""
        with Load(self.suite, "stops") as load:
            for service in SERVICES:
                load.wait_for(10)
                self.suite.demo("stop", service, timeout=15)
                self.suite.demo("start", service)
        self.assertEqual(load.refused, [])
        for i in load.ids:
            self.suite.outcome(i, 60)
        self.assert_each_order_once(load.ids)
