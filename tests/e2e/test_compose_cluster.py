"""Three brokers and two instances of everything: any one is killed under load and stays away; nothing is lost, nothing counts
twice, and what is asked again is answered."""

import contextlib
import http.client
import random
import threading
import time

from containers import ContainersTest
from suite import LONG, SERVICES, Load

BROKERS = ["kafka-1", "kafka-2", "kafka-3"]
KILLED = [*BROKERS, *SERVICES] if LONG else ["kafka-1", "orders"]


class Traffic(Load):
    """Orders, and reads of orders that were accepted; counts the requests that had to be sent again."""

    def __init__(self, *args):
        super().__init__(*args)
        self.requests = {"GET": 0, "POST": 0}
        self.repeated = {"GET": 0, "POST": 0}
        self.longest = {"GET": 0.0, "POST": 0.0}
        self.lock = threading.Lock()
        self.threads += [threading.Thread(target=self.read, args=(n,), daemon=True) for n in range(2)]

    def ask(self, method, send, accepted):
        """True once the answer is one of `accepted`."""
        since, tries = time.monotonic(), 0
        answer = None
        while time.monotonic() < since + self.patience:
            tries += 1
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = send()
                if answer.status not in (502, 503, 504):
                    break
            time.sleep(0.05)
        with self.lock:
            self.requests[method] += 1
            self.repeated[method] += tries > 1
            self.longest[method] = max(self.longest[method], time.monotonic() - since)
        if answer is None or answer.status not in accepted:
            self.refused.append(f"{method}: {answer}")
            return False
        return True

    def place_one(self, order):
        return self.ask("POST", lambda: self.suite.post_order(once=True, **order), (200, 201))

    def read(self, thread):
        chance = random.Random(thread)
        while not self.stop.is_set():
            if not self.ids:
                time.sleep(0.05)
                continue
            order = chance.choice(self.ids)
            self.ask("GET", lambda: self.suite.http("GET", f"/v1/orders/{order}", timeout=15), (200,))

    def report(self):
        for method, count in self.requests.items():
            print(f"    {method}: {count} requests, {self.repeated[method]} sent again "
                  f"({100 * self.repeated[method] / max(count, 1):.1f} %), longest {self.longest[method]:.1f} s, "
                  f"refused {sum(r.startswith(method) for r in self.refused)}")


class Cluster(ContainersTest):
    profile = "cluster"

    def test_1_topics_have_three_replicas(self):
        described = self.topics("--describe", "--topic", "orders|orders-by-product|__transaction_state|__consumer_offsets")
        rows = [line for line in described.splitlines() if "ReplicationFactor" in line]
        self.assertEqual(len(rows), 4, described)
        for row in rows:
            self.assertIn("ReplicationFactor: 3", row)
            self.assertIn("min.insync.replicas=2", row)

    def test_2_each_is_killed_and_stays_away_for_a_while(self):
        for name in KILLED:
            with self.subTest(name):
                self.kill(name)

    def kill(self, name):
        with Traffic(self.suite, f"without-{name}") as load:
            load.wait_for(30, 300)
            container = self.suite.containers()[name]["Id"]
            self.suite.run("docker", "kill", container)
            load.wait_for(60, 300)
            self.suite.run("docker", "start", container)
            self.suite.wait_healthy(name)
            load.wait_for(20, 300)
        print(f"\n    {name}:")
        load.report()
        self.assertEqual(load.refused, [])
        for i in load.ids:
            self.suite.outcome(i, 60)
        self.suite.audit("--wait=120")
        self.wait_replicated()

    def topics(self, *args):
        return self.suite.compose(
            "run", "--rm", "-T", "tools", "java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", "/java/lib/*",
            "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", "kafka-1:19092,kafka-2:19092,kafka-3:19092", *args).stdout

    def wait_replicated(self):
        """Before the next broker goes."""
        deadline = time.monotonic() + 120
        while (rows := self.topics("--describe", "--under-replicated-partitions")).strip():
            self.assertLess(time.monotonic(), deadline, rows)
