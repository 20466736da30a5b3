"""A suite of its own for tests: started by ./demo, on ports and data that nobody else uses, gone at the end.

Several may run side by side on a machine: each takes free ports and a temporary directory (below TMPDIR).
"""

import atexit
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SANITIZERS = re.compile(r"(ERROR|WARNING|FATAL): \w+Sanitizer|runtime error:|SUMMARY: \w+Sanitizer|LeakSanitizer has encountered")
BUILD = os.environ.get("BUILD", "release")
SANITIZED = BUILD in ("asan-ubsan", "tsan")
LONG = os.environ.get("E2E_LONG") == "1"  # the long forms: more rounds, more load
PATIENCE = int(os.environ.get("E2E_PATIENCE", "1"))  # so many times as long as on a quiet machine may everything take
SERVICE_INDEX = {row[0]: int(row[2]) for row in (line.split("\t") for line in (ROOT / "services/services.tsv").read_text().splitlines())
                 if not row[0].startswith("#")}
SERVICES = list(SERVICE_INDEX)
PRODUCT = "cable-rca-1m"  # what tests order, unless they say: there is enough of it for all of them
PORTS = ["PORT", "KAFKA_PORT", "KAFKA_CONTROLLER_PORT", "REGISTRY_PORT", "CONNECT_PORT", "POSTGRES_PORT", "PROMETHEUS_PORT", "SERVICE_PORT"]


def wait_until(condition, timeout, what):
    """Polls until condition() is true, and returns what it returned; fails with `what` after `timeout` seconds (of a quiet
    machine: see PATIENCE). An assertion or an OSError inside counts as "not yet" and is shown in the end."""
    timeout *= PATIENCE
    deadline = time.monotonic() + timeout
    last = None
    while True:
        try:
            last = condition()
            if last:
                return last
        except (AssertionError, OSError, http.client.HTTPException) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}; last: {last!r}")
        time.sleep(0.02)


def is_open(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return True
    return False


def free_ports():
    """Below the range from which the kernel gives ports to clients; the last one has a hundred behind it. And the claim to
    them: a datagram socket at the first, which keeps other tests away while it is open."""
    while True:
        first = random.randrange(20000, 32000, 200)
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError):
            claim.bind(("127.0.0.1", first))
            if all(is_free(first + n) for n in range(150)):
                return {name: first + n for n, name in enumerate(PORTS[:-1])} | {"SERVICE_PORT": first + 10}, claim
        claim.close()


def java_dir():
    """Where ./demo has put the jars."""
    lock, pom = ((ROOT / "compose/maven" / name).read_bytes() for name in ("jars.sha256", "pom.xml"))
    cache = os.environ.get("XDG_CACHE_HOME") or ("/var/cache" if os.getuid() == 0 else os.path.expanduser("~/.cache"))
    return pathlib.Path(cache, "insideout", "java-" + hashlib.sha256(lock + pom).hexdigest()[:12])


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def type(self):
        return (self.headers.get("Content-Type") or "").split(";")[0]

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.type} {self.body[:400]!r}"


class Suite:
    reports, examined = {}, 0  # where SANITIZED: what sanitizers have said, in how many suites

    def __init__(self, partitions=4):
        self.data = tempfile.mkdtemp(prefix="e2e-")
        self.ports, self.claim = free_ports()
        self.env = os.environ | {name: str(port) for name, port in self.ports.items()}
        self.env |= {"DATA_DIR": self.data, "PARTITIONS": str(partitions), "SIMULATE": "0", "OBSERVE": "0"}
        self.env |= {"KAFKA_BROKERS": "", "REGISTRY_URL": "", "CONNECT_URL": ""}  # all are its own
        self.build = ROOT / "build" / BUILD
        self.partitions = partitions
        self.live = False
        atexit.register(self.close)

    # ---- its life ----

    def demo(self, *args, ok=True, timeout=300, **settings):
        """Runs ./demo; its output is the exception's text where it fails and should not."""
        command = [str(ROOT / "demo"), *map(str, args)]
        done = subprocess.run(command, env=self.env | settings, text=True, capture_output=True, timeout=timeout * PATIENCE,
                              stdin=subprocess.DEVNULL)
        if ok and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def up(self, *names):
        self.live = True
        self.demo("up", *names, timeout=900)
        return self

    def sanitizers_say(self, services=SERVICES):
        """What those of a build with sanitizers have reported, by service. They end for it, in order: leaks are told of then, and who
        has anything to tell ends with a code of its own."""
        found, log = {}, pathlib.Path(self.data, "log")
        there = [service for service in services if any(log.glob(f"{service}-[0-9]*"))]
        for service in there:
            self.demo("stop", service, ok=False, timeout=120)
        for service in there:
            for file in sorted(log.glob(f"{service}-[0-9]*/*")):
                lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
                at = next((n for n, line in enumerate(lines) if SANITIZERS.search(line)), None)
                if at is not None:
                    found.setdefault(service, "\n".join(lines[at:at + 60]))
            for file in sorted(pathlib.Path(self.data, "run").glob(f"{service}-[0-9]*/exit")):
                if file.read_text().split() != ["0", "0"]:
                    found.setdefault(service, f"{file.parent.name} ended with {file.read_text()}")
        return found

    def reset(self, ok=True):
        """The end of its processes and data, once the sanitizers have been heard."""
        if SANITIZED:
            Suite.reports |= self.sanitizers_say()
            Suite.examined += 1
        self.demo("reset", ok=ok, timeout=120)
        self.live = False

    def close(self):
        if self.live:
            self.reset(ok=False)
        self.claim.close()
        shutil.rmtree(self.data, ignore_errors=True)

    def are_ready(self, names):
        states = {row["name"]: row["state"] for row in self.status() if row["name"] in names}
        assert set(states) == set(names) and set(states.values()) == {"ready"}, states
        return True

    def status(self):
        return json.loads(self.demo("status", "--json").stdout)

    def pid(self, service, instance=0):
        """Of the running process, else None; read where the supervisor keeps it, which is quicker than `./demo status`."""
        with contextlib.suppress(OSError, ValueError):
            return int(pathlib.Path(self.data, "run", f"{service}-{instance}", "supervise/pid").read_text())

    def service_port(self, service, instance=0):
        return self.ports["SERVICE_PORT"] + 10 * SERVICE_INDEX[service] + instance

    def readyz(self, service, instance=0):
        """The answer, or None where nobody listens."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.http("GET", "/readyz", port=self.service_port(service, instance))

    def is_ready(self, service, instance=0):
        answer = self.readyz(service, instance)
        return answer is not None and answer.status == 200

    def wait_ready(self, timeout=60, services=SERVICES):
        for service in services:
            wait_until(lambda: self.is_ready(service), timeout, f"{service} is ready: {self.readyz(service)}")

    def log_of(self, service, instance=0):
        return pathlib.Path(self.data, "log", f"{service}-{instance}", "current").read_text(errors="replace")

    # ---- HTTP ----

    def http(self, method, path, body=None, headers=None, port=None, timeout=30):
        """To the gateway, or to a service's own port. `body` is bytes, or anything else to be sent as JSON."""
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if method in ("POST", "PUT") and "Content-Type" not in headers:
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", port or self.ports["PORT"], timeout=timeout)
        try:
            connection.request(method, path, body, {k: v for k, v in headers.items() if v is not None})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def raw(self, request, port=None):
        """Bytes on a socket; the first answer, or None where the connection is just closed."""
        with socket.create_connection(("127.0.0.1", port or self.ports["PORT"]), timeout=15) as s:
            s.sendall(request)
            response = http.client.HTTPResponse(s)
            try:
                response.begin()
                return Answer(response.status, response.headers, response.read())
            except (http.client.HTTPException, ConnectionError):
                return None

    def put_customer(self, customer, **fields):
        body = {"firstName": "Ada", "lastName": "Byron", "email": "ada@example.org", "address": "1 Analytical Row"}
        return self.told("PUT", f"/v1/customers/{customer}", body | fields)

    def told(self, method, path, body, **how):
        """The answer; again after 503, as any client does: the request is one that can be repeated."""
        return wait_until(lambda: (a := self.http(method, path, body, **how)).status != 503 and a, 30,
                          f"{method} {path} of {body.get('id')} is accepted or refused")

    def post_order(self, port=None, once=False, **fields):
        """`once`: a 503 is an answer too."""
        body = {"customerId": "ada", "productId": PRODUCT, "quantity": 1, "priceCents": 100} | fields
        ask = self.told if "id" in fields and not once else self.http
        return ask("POST", "/v1/orders", body, port=port)

    def outcome(self, order, timeout=30):
        """The order once it is VALIDATED or FAILED."""
        def ask():
            answer = self.http("GET", f"/v1/orders/{order}/validated?timeout={timeout * 1000}", timeout=timeout + 15)
            if answer.status != 200:
                raise AssertionError(answer)
            return answer.json
        return wait_until(ask, timeout, f"the outcome of {order}")

    def stock(self, product):
        answer = self.http("GET", f"/v1/stock/{product}")
        if answer.status != 200:
            raise AssertionError(f"no stock of {product}: {answer}")
        return answer.json

    # ---- the log and the legacy database ----

    def tool_env(self):
        return self.env | {"KAFKA_BROKERS": f"localhost:{self.ports['KAFKA_PORT']}",
                           "REGISTRY_URL": f"http://localhost:{self.ports['REGISTRY_PORT']}/apis/ccompat/v7"}

    def logtool(self, *args, given=""):
        done = subprocess.run([os.environ.get("LOGTOOL", str(self.build / "tests/logtool")), *args], input=given,
                              env=self.tool_env(), text=True, capture_output=True, timeout=60)
        if done.returncode != 0:
            raise AssertionError(f"logtool {args}: {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def read(self, *topics):
        """All committed records of the topics, each partition in its order."""
        return self.logtool("read", *topics)

    def write(self, topic, records):
        """See logtool; returns partition and offset of each."""
        return self.logtool("write", topic, given="".join(json.dumps(record) + "\n" for record in records))

    def sql(self, statement):
        done = subprocess.run(["psql", "-h", "127.0.0.1", "-p", str(self.ports["POSTGRES_PORT"]), "-U", "legacy", "-XAt",
                               "-v", "ON_ERROR_STOP=1", "-c", statement, "legacy"], text=True, capture_output=True,
                              env=self.env | {"PGPASSWORD": "legacy", "PGCONNECT_TIMEOUT": "5"}, timeout=30)
        if done.returncode != 0:
            raise AssertionError(f"psql: {done.stderr}")
        return done.stdout.strip()

    def audit(self):
        """Fails with the report where an invariant is violated."""
        self.demo("audit", "--wait", timeout=180)


class Load:
    """Places orders from threads of its own, each until it is accepted, while something happens to the suite.

        with Load(suite, "crash") as load:
            load.wait_for(50)     # more orders accepted
        load.ids                  # of all that were accepted
    """

    PRODUCTS = ["turntable-mk2", "cassette-deck", "stylus-conical", "lp-river-songs", "slipmat-felt", "amp-tube"]

    def __init__(self, suite, name, threads=4, customers=20):
        self.suite, self.name, self.customers = suite, name, customers
        self.ids, self.refused, self.stop = [], [], threading.Event()
        self.patience = 90  # seconds, for one order
        self.threads = [threading.Thread(target=self.place, args=(n,), daemon=True) for n in range(threads)]

    def __enter__(self):
        for n in range(self.customers):
            answer = self.suite.put_customer(f"{self.name}-{n}")
            if answer.status not in (200, 201):
                raise AssertionError(f"customer: {answer}")
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, failed, *_):
        self.stop.set()
        if failed:
            self.patience = 0
        for thread in self.threads:
            thread.join(60)

    def place(self, thread):
        chance = random.Random(thread)
        count = 0
        while not self.stop.is_set():
            count += 1
            order = {"id": f"{self.name}-{thread}-{count}", "customerId": f"{self.name}-{chance.randrange(self.customers)}",
                     "productId": chance.choice(self.PRODUCTS), "quantity": chance.randint(1, 3),
                     "priceCents": chance.choice([100, 5000])}
            if self.place_one(order):
                self.ids.append(order["id"])

    def place_one(self, order):
        """Again with the same id until somebody answers: that is what a client is told to do."""
        since = time.monotonic()
        while time.monotonic() < since + self.patience:
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = self.suite.post_order(once=True, **order)
                if answer.status in (200, 201):
                    return True
                if answer.status not in (503, 504):
                    self.refused.append(answer)
                    return False
            time.sleep(0.05)
        self.refused.append(f"{order['id']}: nobody answered")
        return False

    def wait_for(self, more, timeout=60):
        target = len(self.ids) + more
        wait_until(lambda: len(self.ids) >= target, timeout, f"{more} more orders are accepted; refused: {self.refused[:3]}")


class SuiteTest(unittest.TestCase):
    """Tests over the one suite of this process, which the first of them starts."""

    suite = None
    processes = ()  # of the suite; (): all
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        if SuiteTest.suite is None:
            SuiteTest.suite = Suite()
            SuiteTest.suite.up(*cls.processes)
            SuiteTest.suite.sql(f"UPDATE stock SET quantity = 1000000 WHERE product_id = '{PRODUCT}'")
        cls.suite = SuiteTest.suite

    def assert_problem(self, answer, status, text=None):
        self.assertIsNotNone(answer, "the connection was closed")
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.type, "application/problem+json", answer)
        self.assertEqual(answer.json["status"], status)
        self.assertTrue(answer.json["title"])
        if text is not None:
            self.assertIn(text, answer.body.decode())

    def assert_order(self, order, state, reason=None, within=30):
        outcome = self.suite.outcome(order, within)
        self.assertEqual(outcome["state"], state, outcome)
        if state == "VALIDATED":
            self.assertEqual(outcome["reasons"], [])
        else:
            self.assertTrue(any((reason or "") in text for text in outcome["reasons"]), outcome)
        return outcome

    def assert_each_order_once(self, ids):
        """Exactly one CREATED and one outcome of each in the log; reserved stock is what they hold."""
        states, held = {}, {}
        for record in self.suite.read("orders"):
            order = record.get("value")
            if order is None or record["key"] != order["id"]:
                continue
            states.setdefault(order["id"], []).append(order["state"])
            if order["state"] == "VALIDATED":
                held[order["productId"]] = held.get(order["productId"], 0) + order["quantity"]
        wrong = {i: states.get(i) for i in ids if states.get(i) not in (["CREATED", "VALIDATED"], ["CREATED", "FAILED"])}
        self.assertEqual(wrong, {})
        reserved = {p["productId"]: p["reserved"] for p in self.suite.http("GET", "/v1/stock").json["stock"]}
        self.assertEqual({p: n for p, n in reserved.items() if n}, {p: n for p, n in held.items() if p in reserved})
