"""Clients that mean harm, by the thousand, to the gateway and to a service's own port: each gets its documented answer or is
let go, the memory of the processes stays where it was, /livez answers, and a well-behaved client beside them is served."""

import contextlib
import os
import pathlib
import resource
import select
import socket
import threading
import time

from suite import LONG, SANITIZED, SuiteTest, wait_until

IDLE = 10_000 if LONG else 1_500
SLOW = 200
POLLS = 2_500 if LONG else 600
STREAMS = 2_500 if LONG else 300
# Of a service: what its limits on connections, waiting requests and streams let it have. (A sanitizer keeps what is freed.)
RSS_GROWTH_MAX = (1024 if SANITIZED else 64) << 20
SERVICE = "orders"
HEAD = b"POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def rss(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


class Beside:
    """A well-behaved client, and one that asks whether the processes live, while something else happens."""

    def __init__(self, suite):
        self.suite, self.stop = suite, threading.Event()
        self.orders, self.lives, self.wrong = 0, 0, []
        self.threads = [threading.Thread(target=self.order, daemon=True), threading.Thread(target=self.live, daemon=True)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(60)

    def order(self):
        while not self.stop.is_set():
            self.note("orders", 201, lambda: self.suite.post_order())

    def live(self):
        while not self.stop.is_set():
            self.note("lives", 200, lambda: self.suite.http("GET", "/livez", port=self.suite.service_port(SERVICE)))
            time.sleep(0.02)

    def note(self, what, status, ask):
        try:
            answer = ask()
            if answer.status == status:
                setattr(self, what, getattr(self, what) + 1)
            elif answer.status != 503:  # a busy moment: again, as clients do
                self.wrong.append(answer)
        except OSError as error:
            self.wrong.append(error)


class Hostile(SuiteTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 16384)), hard))
        cls.suite.put_customer("ada")
        for _ in range(20):  # so that its memory is what it is
            cls.suite.post_order()
        cls.pids = {row["name"]: row["pid"] for row in cls.suite.status()}
        cls.rss = rss(cls.pids[SERVICE])

    def both(self):
        return self.suite.ports["PORT"], self.suite.service_port(SERVICE)

    def connect(self, port):
        s = socket.create_connection(("127.0.0.1", port), timeout=20)
        s.settimeout(20)
        return s

    def served_beside(self, beside, attack):
        """The attack, and until the client beside it has been served ten times more after it began."""
        with beside:
            wait_until(lambda: beside.orders and beside.lives, 30, "the client is served before")
            orders, lives = beside.orders, beside.lives
            result = attack()
            wait_until(lambda: beside.orders >= orders + 10 and beside.lives >= lives + 10, 60,
                       f"the client is served beside it: {beside.orders - orders}, {beside.lives - lives}, {beside.wrong[:3]}")
        self.assertEqual(beside.wrong, [])
        return result

    def tearDown(self):
        self.assertEqual({row["name"]: row["pid"] for row in self.suite.status()}, self.pids)
        self.assertLess(rss(self.pids[SERVICE]), self.rss + RSS_GROWTH_MAX)


class ManyConnections(Hostile):
    def closed(self, sockets, within, what):
        """Until the other side has let go of all of them."""
        left = {s.fileno(): s for s in sockets}
        poll = select.poll()
        for s in sockets:
            poll.register(s, select.POLLIN)
        deadline = time.monotonic() + within
        while left:
            self.assertLess(time.monotonic(), deadline, f"{len(left)} of {len(sockets)} {what} are still open")
            for fd, _ in poll.poll(1000):
                try:
                    if left[fd].recv(65536):
                        continue
                except OSError:
                    pass
                poll.unregister(fd)
                del left[fd]

    def test_idle_connections(self):
        """That say nothing, or half of a request: let go after ten seconds."""
        halves = [b"G", b"GET /v1/orders HTTP/1.1\r\nHost: loc", HEAD + b"Content-Length: 100\r\n\r\n{", b""]
        with contextlib.ExitStack() as stack:
            def attack():
                sockets = []
                for n in range(IDLE):
                    s = stack.enter_context(self.connect(self.both()[n % 2]))
                    with contextlib.suppress(OSError):
                        s.sendall(halves[n // 2 % 4])
                    sockets.append(s)
                return sockets
            self.closed(self.served_beside(Beside(self.suite), attack), 90, "idle connections")

    def test_slow_requests(self):
        """A byte now and then: the gateway has the whole request within ten seconds, or none. A service alone lives on
        loopback, and lets go of who says nothing for so long."""
        port = self.suite.ports["PORT"]
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(self.connect(port)) for _ in range(SLOW)]

            def attack():
                since = time.monotonic()
                text = b"GET /v1/orders HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 1000
                for at in range(len(text)):
                    open_ones = 0
                    for s in sockets:
                        with contextlib.suppress(OSError):
                            s.sendall(text[at:at + 1])
                            open_ones += 1
                    if open_ones == 0 or time.monotonic() > since + 14:
                        return
                    time.sleep(0.4)
            self.served_beside(Beside(self.suite), attack)
            self.closed(sockets, 30, "slow requests")

    def test_long_polls_that_nobody_reads(self):
        """More than there may be: 503 for those. All end with their connection."""
        for port in self.both():
            with self.subTest(port), contextlib.ExitStack() as stack:
                def attack():
                    sockets = [stack.enter_context(self.connect(port)) for _ in range(POLLS)]
                    for n, s in enumerate(sockets):
                        with contextlib.suppress(OSError):
                            s.sendall(b"GET /v1/orders/never-%d?timeout=60000 HTTP/1.1\r\nHost: localhost\r\n\r\n" % n)
                self.served_beside(Beside(self.suite), attack)
        wait_until(lambda: self.metric("insideout_http_requests_waiting") < 50, 30, "they have ended")

    def test_streams_that_nobody_reads(self):
        for port in self.both():
            with self.subTest(port), contextlib.ExitStack() as stack:
                def attack():
                    sockets = []
                    for _ in range(STREAMS):
                        s = socket.socket()
                        stack.enter_context(s)
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                        s.settimeout(20)
                        s.connect(("127.0.0.1", port))
                        s.sendall(b"GET /v1/events/orders HTTP/1.1\r\nHost: localhost\r\n\r\n")
                        sockets.append(s)
                    with contextlib.suppress(AssertionError):
                        wait_until(lambda: self.metric("insideout_http_streams") >= STREAMS, 20, "they stream")
                self.served_beside(Beside(self.suite), attack)
        wait_until(lambda: self.metric("insideout_http_streams") == 0, 60, "they have ended")

    def metric(self, name):
        text = self.suite.http("GET", "/metrics", port=self.suite.service_port(SERVICE)).body.decode()
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name)


class OneRequest(Hostile):
    def test_a_hundred_megabytes(self):
        """By length and by chunks: refused or cut off, and never kept."""
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        for port in self.both():
            for head, piece in [(HEAD + b"Content-Length: 104857600\r\n\r\n", b"x" * 65536),
                                (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk)]:
                with self.subTest(f"{head[-40:]!r} to {port}"), self.connect(port) as s:
                    sent = 0
                    with contextlib.suppress(OSError):
                        s.sendall(head)
                        for _ in range(1600):
                            s.sendall(piece)
                            sent += len(piece)
                    answer = b""
                    with contextlib.suppress(OSError):
                        answer = s.recv(65536)
                    self.assertIn(answer[:12], (b"HTTP/1.1 413", b""))
                    if port == self.suite.service_port(SERVICE):  # nginx reads on for a while, and throws it away
                        self.assertLess(sent, 16 << 20, "it took all of that")

    def test_bodies(self):
        whole = b'"customerId":"ada","productId":"slipmat-felt","quantity":1,"priceCents":1'
        for body, field in [
            (b"[" * 30000, None), (b'{"a":' * 10000 + b"1" + b"}" * 10000, None), (b'{"id":' + b"[" * 3000 + b"]" * 3000 + b"}", None),
            (b"{" + whole + b',"id":"a","id":"b"}', "id"), (b"{" + whole + b',"id":"\xff"}', "id"),
            (b"{" + whole + b',"id":"\\ud800"}', "id"), (b"{" + whole + b',"id":"\\u0000"}', "id"),
            (b"{" + whole.replace(b':1,"price', b':1e999,"price') + b"}", "quantity"),
            (b"{" + whole.replace(b':1,"price', b':1e0,"price') + b"}", "quantity"),
            (b"{" + whole.replace(b':1,"price', b":" + b"9" * 5000 + b',"price') + b"}", "quantity"),
            (b"\xef\xbb\xbf{" + whole + b"}", None), (b"{" + whole + b"}{}", None), (b"\0" * 100, None),
        ]:
            for port in self.both():
                with self.subTest(f"{body[-60:]!r} to {port}"):
                    self.assert_problem(self.suite.http("POST", "/v1/orders", body, port=port), 400, field)

    def test_framings(self):
        """Where a request ends must be said once. A service may just close on what is no request at all."""
        line, chunked = b"GET /v1/orders HTTP/1.1\r\n", b"Transfer-Encoding: chunked\r\n"
        for request in [
            HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", HEAD + b"Content-Length: 2\r\n" + chunked + b"\r\n0\r\n\r\n",
            HEAD + chunked + b"Content-Length: 5\r\n\r\n0\r\n\r\n", HEAD + chunked + chunked + b"\r\n0\r\n\r\n",
            HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            HEAD + chunked + b"\r\nzz\r\n", HEAD + chunked + b"\r\nfffffffffffffffff\r\n", HEAD + b"Content-Length: 2x\r\n\r\n{}",
            HEAD + b"Content-Length: 99999999999999999999\r\n\r\n", line + b"\r\n", line + b"Host: localhost\r\nHost: localhost\r\n\r\n",
            line + b"Host : localhost\r\n\r\n", line + b"Host: localhost\r\n X: folded\r\nA b: c\r\n\r\n",
            b"GET /v1/orders HTTP/9.9\r\nHost: localhost\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ]:
            for port in self.both():
                with self.subTest(f"{request[-70:]!r} to {port}"):
                    answer = self.suite.raw(request, port)
                    if answer is not None:
                        self.assertIn(answer.status, {400, 411, 413, 501, 505}, answer)

    def test_paths(self):
        """No spelling of .. leads anywhere, and no NUL gets through."""
        for path in ["/v1/orders/..", "/v1/orders/%2e%2e", "/v1/orders/.%2E/x", "/v1/orders/..%2f..%2fetc%2fpasswd", "/v1/orders/a%00",
                     "/v1/orders/%00", "/v1/orders/%c0%ae%c0%ae", "/v1/orders/%252e%252e%00", "/v1/../../etc/passwd", "/v1//../metrics",
                     "/v1/orders/..;/metrics", "/v1/orders/%5c..%5c..", "/..%2f..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/v1/orders/%",
                     "/v1/orders/%zz", "/v1/orders/a?limit=%00", "/v1/orders/a?timeout=%ff"]:
            for port in self.both():
                with self.subTest(f"{path} to {port}"):
                    answer = self.suite.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), port)
                    self.assertIsNotNone(answer)
                    self.assertIn(answer.status, {400, 404}, answer)
                    self.assertNotIn(b"root:", answer.body)
