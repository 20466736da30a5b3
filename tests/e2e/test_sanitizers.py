"""The services as a sanitizer builds them, under load and faults, until each has ended in order; none may have reported
anything. BUILD says which: asan-ubsan or tsan. The short form: those that orders pass through, and one kill."""

import contextlib
import os
import random
import socket
import threading

from suite import LONG, SERVICES, Load, SuiteTest

KILLED = ["orders", "inventory", "fraud", "customers", "ratings", "rider", "driver", "payments", "email", "lens"]


ORDERS = ["orders", "inventory", "fraud", "order-details", "customers"]


class Sanitizers(SuiteTest):
    processes = () if LONG else ("kafka", "registry", "postgres", "connect", "gateway", *ORDERS)
    services = SERVICES if LONG else ORDERS

    def read_everything(self, stop):
        """What pages ask: lists, the log, streams of events that end in the middle."""
        while not stop.is_set():
            for path in ("/v1/orders?limit=20", "/v1/stock", "/v1/customers?limit=5", "/v1/movies?sort=rating&limit=10", "/v1/log/topics",
                         "/v1/log/groups", "/v1/log/search?topic=orders&value=state=FAILED", "/v1/log/keys/load-0-1", "/v1/log/topics/orders/0?from=-5"):
                with contextlib.suppress(OSError):
                    self.suite.http("GET", path)
            for stream in ("orders", "movies", "riders/a", "log/orders"):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.suite.ports["PORT"]), 10) as s:
                    s.sendall(f"GET /v1/events/{stream} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                    s.recv(1000)

    def faults(self, chance, load):
        if not LONG:
            self.suite.demo("kill", chance.choice(ORDERS))
            load.wait_for(50, 300)
            return
        for kind in ("ratings", "rides"):
            self.suite.demo("load", kind, "--rate", 50, "--count", 500, ok=False, timeout=300)
        for service in chance.sample(KILLED, len(KILLED)):
            self.suite.demo("kill", service)
            load.wait_for(20, 300)
        self.suite.demo("scale", "orders", 2)
        load.wait_for(50, 300)
        self.suite.demo("scale", "orders", 1)
        load.wait_for(50, 300)
        self.suite.demo("rewind", "inventory", timeout=600)
        self.suite.demo("kill", "kafka")
        load.wait_for(50, 300)

    def test_load_and_faults(self):
        seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
        print(f"SEED={seed}", flush=True)
        stop = threading.Event()
        reader = threading.Thread(target=self.read_everything, args=(stop,), daemon=True)
        reader.start()
        with Load(self.suite, "load", threads=3) as load:
            load.patience = 300
            load.wait_for(50, 300)
            self.faults(random.Random(seed), load)
        stop.set()
        reader.join(120)
        self.assertEqual(load.refused, [])
        self.suite.wait_ready(300, self.services)
        for i in load.ids:
            self.suite.outcome(i, 60)
        self.assert_each_order_once(load.ids)
        if LONG:
            self.suite.demo("audit", "--wait", timeout=900)
        self.assertEqual(self.suite.sanitizers_say(self.services), {})
