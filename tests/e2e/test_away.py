"""What the services need is away, at their start or later: they wait, say so, and go on by themselves."""

import subprocess
import time

from suite import LONG, ROOT, SERVICES, Load, SuiteTest, wait_until

OUTAGE = 60 if LONG else 12  # seconds without Kafka


class Away(SuiteTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.suite.put_customer("ada")

    def tearDown(self):
        for name in ("kafka", "registry", "postgres"):  # also after a failure
            self.suite.demo("start", name, ok=False)
        self.suite.wait_ready()

    def test_a_registry_that_is_away_at_the_start(self):
        self.addCleanup(self.suite.demo, "start", "registry")  # the other tests need it, whatever happens here
        self.suite.demo("stop", "registry")
        before = {service: len(self.suite.log_of(service).splitlines()) for service in SERVICES}
        for service in SERVICES:
            self.suite.demo("kill", service)
        for service in SERVICES:
            answer = wait_until(lambda: self.suite.readyz(service), 10, f"{service} listens again")
            self.assert_problem(answer, 503)
            wait_until(lambda: "registry" in self.suite.readyz(service).body.decode(), 10, f"{service} names the registry")
            self.assertEqual(self.suite.http("GET", "/livez", port=self.suite.service_port(service)).status, 200)
        self.assert_problem(self.suite.post_order(once=True, id="no-registry"), 503)
        time.sleep(2)  # long enough for a thousand lines of log
        for service in SERVICES:
            self.assertLess(len(self.suite.log_of(service).splitlines()) - before[service], 15, self.suite.log_of(service)[-2000:])
        self.suite.demo("start", "registry")
        self.suite.wait_ready(20)
        self.suite.post_order(id="registry-again")
        self.assert_order("registry-again", "VALIDATED")

    def test_a_registry_that_goes_away_later_is_not_missed(self):
        self.suite.post_order(id="with-registry")  # its schemas have been seen then
        self.assert_order("with-registry", "VALIDATED")
        self.addCleanup(self.suite.demo, "start", "registry")  # the other tests need it, whatever happens here
        self.suite.demo("stop", "registry")
        for n in range(5):
            self.suite.post_order(id=f"without-registry-{n}")
            self.assert_order(f"without-registry-{n}", "VALIDATED")
        audit = self.suite.demo("audit", ok=False)
        self.assertEqual(audit.returncode, 2, audit.stdout)
        self.assertIn("registry", audit.stderr)
        patient = subprocess.Popen([ROOT / "demo", "audit", "--wait=240"], env=self.suite.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.suite.demo("start", "registry")
        said = patient.communicate(timeout=300)[0]
        self.assertEqual(patient.returncode, 0, said)

    def test_a_database_that_is_away(self):
        self.addCleanup(self.suite.demo, "start", "postgres")  # the other tests need it, whatever happens here
        self.suite.demo("stop", "postgres")
        self.suite.post_order(id="without-postgres")
        self.assert_order("without-postgres", "VALIDATED")
        self.suite.demo("start", "postgres")
        self.suite.sql("UPDATE stock SET quantity = quantity + 1 WHERE product_id = 'record-brush'")
        expected = int(self.suite.sql("SELECT quantity FROM stock WHERE product_id = 'record-brush'"))
        wait_until(lambda: self.suite.stock("record-brush")["onHand"] == expected, 30, "changes are seen again")

    def test_kafka_stops_in_the_middle_of_load(self):
        before = {service: len(self.suite.log_of(service).splitlines()) for service in SERVICES}
        with Load(self.suite, "outage") as load:
            load.wait_for(50)
            self.addCleanup(self.suite.demo, "start", "kafka")
            self.suite.demo("stop", "kafka")
            stopped = time.monotonic()
            for service in SERVICES:
                # one that was in the middle of a commit first waits for that call, and then for its abort
                wait_until(lambda: self.suite.readyz(service).status == 503, 60, f"{service} is not ready")
                wait_until(lambda: "Kafka" in self.suite.readyz(service).json["detail"], 40, f"{service} says why")
                self.assertEqual(self.suite.http("GET", "/livez", port=self.suite.service_port(service)).status, 200)
            answer = self.suite.post_order(once=True, id="into-the-void")
            self.assert_problem(answer, 503)
            self.assertTrue(answer.headers["Retry-After"])
            time.sleep(max(0, OUTAGE - (time.monotonic() - stopped)))  # the outage itself is what is tested
            self.suite.demo("start", "kafka")
            self.suite.wait_ready(90)
            load.wait_for(50)
        self.assertEqual(load.refused, [])
        self.assertIn(self.suite.post_order(once=True, id="into-the-void").status, (200, 201))  # nobody knew whether it was written
        for i in load.ids + ["into-the-void"]:
            self.suite.outcome(i, 60)
        for service in SERVICES:
            self.assertLess(len(self.suite.log_of(service).splitlines()) - before[service], 40, self.suite.log_of(service)[-4000:])
        self.assert_each_order_once(load.ids + ["into-the-void"])
