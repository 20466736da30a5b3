"""kill -9 in the middle of load leaves no trace in the results."""

from suite import LONG, SERVICES, Load, SuiteTest, wait_until

ROUNDS = 10 if LONG else 1


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
