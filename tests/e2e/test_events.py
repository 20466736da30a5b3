"""Server-sent events: nothing is missing and nothing comes twice, whatever happens to who serves them."""

import contextlib
import json
import resource
import socket

from suite import Load, SuiteTest, wait_until

LIFE = ("orders", "order-validations", "payments", "shipments", "emails")


class Stream:
    """One connection, read when the test wants to."""

    def __init__(self, suite, path, port=None, last_id=None, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", port or suite.ports["PORT"]))
        header = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n".encode())
        self.file = self.socket.makefile("rb")
        self.last_id, self.ended = last_id, False
        self.pending = b""
        self.status = int(self.file.readline().split()[1])
        while self.file.readline() not in (b"\r\n", b""):
            pass

    def _chunk(self):
        """False at the end; OSError when it comes without one."""
        size = int(self.file.readline() or b"-1", 16)
        if size < 0:
            raise ConnectionError("cut off")
        data = self.file.read(size)
        if len(data) < size:
            raise ConnectionError("cut off")
        self.file.readline()
        self.pending += data
        self.ended = size == 0
        return size > 0

    def next(self):
        """The next event as (type, data), or None at the end of the stream. An id counts when its event is whole."""
        while True:
            while b"\n\n" not in self.pending:
                if not self._chunk():
                    return None
            block, self.pending = self.pending.split(b"\n\n", 1)
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if not line.startswith(b":"))
            if b"id" in fields:
                self.last_id = fields[b"id"].decode()
            if b"data" in fields:
                return fields[b"event"].decode(), json.loads(fields[b"data"])

    def until(self, wanted):
        """Events up to the first for which wanted(type, data) is true."""
        events = []
        while not events or not wanted(*events[-1]):
            event = self.next()
            if event is None:
                raise AssertionError(f"the stream ended after {events}")
            events.append(event)
        return events

    def close(self):
        self.file.close()
        self.socket.close()


def place_of(data):
    return data["topic"], data["partition"], data["offset"]


class Events(SuiteTest):
    def setUp(self):
        self.assertIn(self.suite.put_customer("ada").status, (200, 201))

    def rss(self, instance=0):
        metrics = self.suite.http("GET", "/metrics", port=self.suite.service_port("orders", instance)).body.decode()
        return int(next(line.split()[1] for line in metrics.splitlines() if line.startswith("process_resident_memory_bytes ")))

    def test_the_life_of_an_order(self):
        with contextlib.closing(Stream(self.suite, "/v1/events/orders?id=sse-life")) as stream:
            self.assertEqual(stream.next()[0], "position")
            self.assertEqual(self.suite.post_order(id="sse-other").status, 201)
            self.assertEqual(self.suite.post_order(id="sse-life").status, 201)
            events = stream.until(lambda kind, data: kind == "shipments")
        self.assertEqual({data["key"] for _, data in events}, {"sse-life"})
        self.assertEqual([data["value"]["state"] for kind, data in events if kind == "orders"], ["CREATED", "VALIDATED"])
        checks = [data["value"] for kind, data in events if kind == "order-validations"]
        self.assertEqual(sorted(check["check"] for check in checks), ["FRAUD_CHECK", "INVENTORY_CHECK", "ORDER_DETAILS_CHECK"])
        self.assertEqual({check["result"] for check in checks}, {"PASS"})

    def test_the_orders_of_a_customer(self):
        self.suite.put_customer("sse-eve")
        with contextlib.closing(Stream(self.suite, "/v1/events/orders?customerId=sse-eve")) as stream:
            self.assertEqual(stream.next()[0], "position")
            for n in range(3):
                self.suite.post_order(id=f"sse-of-ada-{n}")
                self.suite.post_order(id=f"sse-of-eve-{n}", customerId="sse-eve")
            left = {("sse-of-eve-0", "SHIPPED"), ("sse-of-eve-1", "SHIPPED"), ("sse-of-eve-2", "SHIPPED")}
            while left:
                kind, data = stream.next()
                self.assertTrue(data["key"].startswith("sse-of-eve"), data)
                if kind == "shipments":
                    left.discard((data["key"], data["value"]["state"]))

    def test_what_is_no_position_is_refused(self):
        for path, headers in (("/v1/events/orders", {"Last-Event-ID": "17"}), ("/v1/events/orders?lastEventId=orders/x:1", {}),
                              ("/v1/events/orders", {"Last-Event-ID": "orders/0:" + "9" * 4000})):
            self.assert_problem(self.suite.http("GET", path, headers=headers), 400, "vent")
        self.assert_problem(self.suite.http("GET", "/v1/events/orders?id=a/b"), 400, "id")

    def test_resumes_at_another_instance_after_kill_9(self):
        """The whole log of the topics, as a client sees it whose server dies under it again and again."""
        self.suite.demo("scale", "orders", 2)
        ports = [self.suite.service_port("orders", n) for n in (0, 1)]
        with contextlib.closing(Stream(self.suite, "/v1/events/orders", ports[0])) as first:
            self.assertEqual(first.next()[0], "position")
            begin = first.last_id
        seen, last_id = [], begin
        with Load(self.suite, "sse-kill") as load:
            for turn in range(6):
                instance = turn % 2
                wait_until(lambda: self.suite.is_ready("orders", instance), 60, "the instance is ready")
                stream = Stream(self.suite, "/v1/events/orders", ports[instance], last_id)
                self.assertEqual(stream.until(lambda *_: True)[0][0], "position")
                target = len(seen) + 60
                while len(seen) < target:
                    seen.append(place_of(stream.next()[1]))
                self.suite.demo("kill", "orders", instance)
                with contextlib.suppress(OSError, ValueError):
                    while (event := stream.next()) is not None:
                        seen.append(place_of(event[1]))
                last_id = stream.last_id
                stream.close()
            load.wait_for(10)
        for order in load.ids:
            self.suite.outcome(order, 60)
        wait_until(lambda: self.suite.is_ready("orders"), 60, "the instance is ready")
        start = dict(entry.rsplit(":", 1) for entry in begin.split(","))
        expected = sorted((r["topic"], r["partition"], r["offset"]) for r in self.suite.read("orders", "order-validations")
                          if r["offset"] >= int(start[f"{r['topic']}/{r['partition']}"]))
        with contextlib.closing(Stream(self.suite, "/v1/events/orders", ports[0], last_id)) as stream:
            missing = set(expected) - set(seen)
            while missing:
                kind, data = stream.next()
                if kind != "position":
                    seen.append(place_of(data))
                    missing.discard(seen[-1])
        checked = [place for place in seen if place[0] in ("orders", "order-validations")]
        self.assertEqual(len(checked), len(set(checked)), "an event came twice")
        self.assertEqual(sorted(set(checked) & set(expected)), expected)
        by_partition = {}
        for topic, partition, offset in seen:
            self.assertGreater(offset, by_partition.get((topic, partition), -1))
            by_partition[topic, partition] = offset
        self.suite.demo("scale", "orders", 1)

    def test_a_slow_client_costs_no_memory(self):
        port = self.suite.service_port("orders")
        stream = Stream(self.suite, "/v1/events/orders", port, receive_buffer=1 << 16)
        self.assertEqual(stream.next()[0], "position")
        with Load(self.suite, "sse-slow", threads=8) as load:
            load.wait_for(100, 300)
            before = self.rss()
            load.wait_for(400, 300)
            grown = self.rss() - before
        self.assertLess(grown, 24 << 20)
        wanted, seen = set(load.ids), set()
        while wanted:  # and nothing is lost, nor twice, also where it was cut off because it took too long
            try:
                event = stream.next()
            except OSError:
                event = None
            if event is None:
                stream.close()
                stream = Stream(self.suite, "/v1/events/orders", port, stream.last_id)
            elif event[0] == "orders":
                self.assertNotIn(place_of(event[1]), seen)
                seen.add(place_of(event[1]))
                if event[1]["value"]["state"] != "CREATED":
                    wanted.discard(event[1]["key"])
        stream.close()

    def test_a_thousand_idle_streams(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
        port = self.suite.service_port("orders")
        with contextlib.ExitStack() as stack:
            one = stack.enter_context(contextlib.closing(Stream(self.suite, "/v1/events/orders?id=sse-idle-1", port)))
            self.assertEqual(one.next()[0], "position")
            before = self.rss()
            for n in range(1000):
                stream = stack.enter_context(contextlib.closing(Stream(self.suite, f"/v1/events/orders?id=sse-idle-{n}", port)))
                self.assertEqual(stream.status, 200)
                self.assertEqual(stream.next()[0], "position")
            self.assertLess((self.rss() - before) / 1000, 40 << 10)
            self.assertEqual(self.suite.post_order(id="sse-idle-1").status, 201)
            one.until(lambda kind, data: kind == "orders" and data["value"]["state"] == "VALIDATED")

    def test_streams_end_when_the_service_stops(self):
        """Properly, so that a browser comes back at once; a new stream is served as soon as there is somebody."""
        direct = Stream(self.suite, "/v1/events/orders?id=sse-end", self.suite.service_port("orders"))
        gateway = Stream(self.suite, "/v1/events/orders?id=sse-end")
        for stream in (direct, gateway):
            self.assertEqual(stream.next()[0], "position")
        self.suite.demo("stop", "orders")
        for stream in (direct, gateway):
            self.assertIsNone(stream.next())
            stream.close()
        self.suite.demo("start", "orders")
        wait_until(lambda: self.suite.is_ready("orders"), 60, "orders is ready")
        self.assertEqual(self.suite.post_order(id="sse-end").status, 201)
        with contextlib.closing(Stream(self.suite, "/v1/events/orders?id=sse-end", last_id=gateway.last_id)) as stream:
            events = stream.until(lambda kind, data: kind == "orders" and data["value"]["state"] == "VALIDATED")
        self.assertEqual([data["value"]["state"] for kind, data in events if kind == "orders"], ["CREATED", "VALIDATED"])
