"""Spans of an order, from the POST to the email, as a collector gets them that reads each message by the published definitions; a
collector that is away, refuses, or hangs; and what OpenTelemetry's own collector hands on of what it was sent."""

import json
import os
import pathlib
import secrets
import subprocess
import tempfile
import unittest

from suite import ROOT, SuiteTest, is_free, is_open, wait_until
from test_mail import PYTHON as MAIL_PYTHON
from test_mail import is_installed

COLLECTOR = os.environ.get("COLLECTOR", "")  # OpenTelemetry's own: tests/collector
PYTHON = os.environ.get("API_PYTHON", "python3")  # with what tests/api/requirements.txt has
TRACED = ["orders", "inventory", "order-details", "shipping", "email"]
IN_JSON = ["fraud", "payments"]  # the others in protobuf
HEADERS = "x-key=a%20b"


class Trace:
    """A trace of the client's."""

    def __init__(self, sampled=True):
        self.id, self.client = secrets.token_hex(16), secrets.token_hex(8)
        self.headers = {"traceparent": f"00-{self.id}-{self.client}-{'01' if sampled else '00'}", "tracestate": "test=1"}


class Traces(SuiteTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.home = pathlib.Path(cls.directory.name)
        cls.port = next(port for port in range(25350, 25450) if is_free(port))
        cls.collector = None
        cls.start_collector()
        cls.addClassCleanup(lambda: cls.stop_collector())
        cls.settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{cls.entry()}", "OTEL_EXPORTER_OTLP_TIMEOUT": "1000",
                        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test"}
        if is_installed():
            cls.mail_port = next(port for port in range(25450, 25550) if is_free(port))
            server = subprocess.Popen([MAIL_PYTHON, ROOT / "tests/e2e/mail_server.py", str(cls.mail_port), cls.home, "{}"],
                                      stdin=subprocess.DEVNULL)
            cls.addClassCleanup(lambda: (server.terminate(), server.wait(10)))
            wait_until(lambda: is_open(cls.mail_port), 15, "the mail server listens")
            cls.settings["SMTP_URL"] = f"smtp://127.0.0.1:{cls.mail_port}"
        else:
            print("no aiosmtpd (apt install python3-aiosmtpd): the span of what sends is not asked for")
        cls.suite.demo("up", *TRACED, **cls.settings)
        cls.suite.demo("up", *IN_JSON, **cls.settings, OTEL_EXPORTER_OTLP_PROTOCOL="http/json", OTEL_EXPORTER_OTLP_HEADERS=HEADERS)
        cls.suite.wait_ready()
        cls.suite.put_customer("ada")

    @classmethod
    def tearDownClass(cls):
        cls.suite.demo("up", *TRACED, *IN_JSON)  # no traces again

    @classmethod
    def entry(cls):
        """The port that services send to."""
        return cls.port

    @classmethod
    def start_collector(cls):
        cls.collector = subprocess.Popen([PYTHON, ROOT / "tests/e2e/collector.py", str(cls.port), cls.home], stdin=subprocess.DEVNULL)
        wait_until(lambda: is_open(cls.port), 30, "the collector listens")

    @classmethod
    def stop_collector(cls):
        if cls.collector is not None:
            cls.collector.kill()
            cls.collector.wait(10)
        cls.collector = None

    def tearDown(self):
        self.assertFalse((self.home / "wrong").exists() and (self.home / "wrong").read_text())

    def spans(self):
        try:
            return [json.loads(line) for line in (self.home / "spans").read_text().splitlines(True) if line.endswith("\n")]
        except FileNotFoundError:
            return []

    def of(self, trace, *names):
        """The trace's spans, as soon as they have all these names: "service: name"."""
        def found():
            spans = [s for s in self.spans() if s["trace"] == trace.id]
            have = sorted(f"{s['resource']['service.name']}: {s['name']}" for s in spans)
            missing = list(names)
            for name in have:
                if name in missing:
                    missing.remove(name)
            if missing:
                raise AssertionError(f"missing {missing}, there are {have}")
            return spans
        return wait_until(found, 30, f"all spans of {trace.id}")

    def buy(self, order, trace):
        answer = self.suite.http("POST", "/v1/orders", {"id": order, "customerId": "ada", "productId": "cable-rca-1m", "quantity": 1,
                                                        "priceCents": 100}, trace.headers if trace else None)
        self.assertEqual(answer.status, 201, answer)
        return self.assert_order(order, "VALIDATED", within=60)

    def pay(self, order, trace):
        answer = self.suite.http("POST", "/v1/payments", {"orderId": order, "amountCents": 100, "cardNumber": "4000 0000 0000 0002"},
                                 trace.headers)
        self.assertEqual(answer.status, 201, answer)
        wait_until(lambda: self.suite.http("GET", f"/v1/emails?orderId={order}").json["emails"], 30, f"an email of {order}")

    BOUGHT = ["orders: POST /v1/orders", "orders: send order-requests", "orders: process order-requests",
              "inventory: process orders-by-product", "fraud: process orders-by-customer", *["order-details: process orders"] * 2,
              *["orders: process order-validations"] * 3, "shipping: process orders", "shipping: process orders", *["email: process orders"] * 2]

    def check(self, trace, spans):
        """Of every span: its parent, by the record that it is about; and nothing twice."""
        by_id = {s["span"]: s for s in spans}
        self.assertEqual(len(by_id), len(spans), "a span twice")
        records = {(r["topic"], str(r["partition"]), r["offset"]): r["headers"]
                   for r in self.suite.read("order-requests", "orders", "orders-by-product", "orders-by-customer", "order-validations",
                                            "payments", "emails")}
        for s in spans:
            a, parent = s["attributes"], by_id.get(s["parent"])
            self.assertEqual((s["state"], s["flags"] & 1, s["error"]), ("test=1", 1, False), s)
            self.assertEqual(s["resource"]["deployment.environment.name"], "test")
            self.assertEqual(s["schema"], "https://opentelemetry.io/schemas/1.44.0")
            self.check_request(s)
            if s["kind"] == "SERVER":
                self.assertEqual(s["parent"], trace.client, s)
                self.assertEqual(f"{a['http.request.method']} {a['http.route']}", s["name"])
                self.assertEqual(a["http.response.status_code"], 201)
                continue
            self.assertIsNotNone(parent, f"nobody is the parent of {s}")
            self.assertGreaterEqual(s["start"], parent["start"], s)
            topic, operation = a["messaging.destination.name"], a["messaging.operation.type"]
            self.assertEqual((a["messaging.system"], s["name"]), ("kafka", f"{operation} {topic}"))
            if s["kind"] == "PRODUCER":
                self.assertEqual((operation, parent["kind"]), ("send", "SERVER"), s)
                continue
            self.assertEqual((operation, s["kind"]), ("process", "CONSUMER"), s)
            self.assertTrue(a["messaging.consumer.group.name"])
            headers = records.get((topic, a["messaging.destination.partition.id"], a["messaging.kafka.offset"]))
            if headers is not None:
                self.assertEqual(headers["traceparent"], f"00-{trace.id}-{s['parent']}-01", s)
                self.assertEqual(headers["tracestate"], "test=1")
        return by_id

    def check_request(self, s):
        """That which brought the span."""
        json_wanted = s["resource"]["service.name"] in IN_JSON
        self.assertEqual(s["type"], "application/json" if json_wanted else "application/x-protobuf")
        if json_wanted:
            self.assertEqual(s["headers"]["x-key"], "a b")

    def one(self, spans, service, name):
        found = [s for s in spans if (s["resource"]["service.name"], s["name"]) == (service, name)]
        self.assertEqual(len(found), 1, found)
        return found[0]

    # ---- what there is ----

    def test_an_order_is_one_trace_from_the_post_to_the_email(self):
        trace, order = Trace(), f"traced-{secrets.token_hex(4)}"
        self.buy(order, trace)
        self.of(trace, *self.BOUGHT)  # email has the order before the payment comes
        self.pay(order, trace)
        sent = ["email: process emails"] if is_installed() else []
        spans = self.of(trace, *self.BOUGHT, "payments: POST /v1/payments", "email: process payments", *sent)
        by_id = self.check(trace, spans)

        def way(span):  # from the root
            return [*(way(by_id[span["parent"]]) if span["parent"] in by_id else []),
                    f"{span['resource']['service.name']}: {span['name']}"]

        begin = ["orders: POST /v1/orders", "orders: send order-requests", "orders: process order-requests"]
        checks = ["inventory: process orders-by-product", "fraud: process orders-by-customer", "order-details: process orders"]
        for name in checks:
            found = [s for s in spans if f"{s['resource']['service.name']}: {s['name']}" == name]
            self.assertIn([*begin, name], [way(s) for s in found])
        self.assertEqual(sorted(way(s) for s in spans if s["name"] == "process order-validations"),
                         sorted([*begin, name, "orders: process order-validations"] for name in checks))
        shipped = sorted((way(s) for s in spans if s["resource"]["service.name"] == "shipping"), key=len)
        self.assertEqual(shipped[0], [*begin, "shipping: process orders"])  # CREATED
        self.assertEqual(shipped[1][-2:], ["orders: process order-validations", "shipping: process orders"])  # VALIDATED
        paid = self.one(spans, "email", "process payments")
        self.assertEqual(way(paid)[0], "payments: POST /v1/payments")
        if sent:
            self.assertEqual(self.one(spans, "email", "process emails")["parent"], paid["span"])
        # The email has two causes, and the payment came last.
        created = next(s for s in spans if s["resource"]["service.name"] == "email" and way(s) == [*begin, "email: process orders"])
        self.assertEqual([(link["trace"], link["span"]) for link in paid["links"]], [(trace.id, created["span"])])

    def test_a_payment_of_another_trace_has_a_link_to_the_order(self):
        bought, paid, order = Trace(), Trace(), f"linked-{secrets.token_hex(4)}"
        self.buy(order, bought)
        self.check(bought, self.of(bought, *self.BOUGHT))
        self.pay(order, paid)
        spans = self.of(paid, "email: process payments")
        self.assertEqual([link["trace"] for link in self.one(spans, "email", "process payments")["links"]], [bought.id])

    def test_what_the_client_does_not_sample_is_not(self):
        silent, loud = Trace(sampled=False), Trace()
        self.buy(f"silent-{secrets.token_hex(4)}", silent)
        self.buy(f"loud-{secrets.token_hex(4)}", loud)
        self.of(loud, *self.BOUGHT)
        self.assertEqual([s for s in self.spans() if s["trace"] == silent.id], [])
        flags = {r["headers"]["traceparent"][-2:] for r in self.suite.read("order-requests", "orders", "order-validations")
                 if silent.id in r["headers"].get("traceparent", "")}  # of others' records, too
        self.assertEqual(flags, {"00"})

    def test_who_only_waits_or_looks_after_it_is_no_trace(self):
        order, trace = f"rooted-{secrets.token_hex(4)}", Trace()
        self.buy(order, None)  # and waits for its outcome
        self.suite.http("GET", f"/v1/orders/{order}")
        self.suite.http("GET", f"/v1/orders/{order}/validated?timeout=1000", headers=trace.headers)
        waited = self.of(trace, "orders: GET /v1/orders/{id}/validated")
        self.assertEqual(waited[0]["parent"], trace.client)
        requests = [s for s in self.spans() if s["kind"] == "SERVER"]
        self.assertEqual([s for s in requests if s["name"].endswith("/validated") and s["parent"] is None], [])
        self.assertEqual({s["name"] for s in requests} & {"GET /readyz", "GET /livez", "GET /metrics", "GET /progress"}, set())
        read = wait_until(lambda: [s for s in self.spans() if s["name"] == "GET /v1/orders/{id}" and s["parent"] is None], 30,
                          "a request is a trace of its own")
        self.assertNotIn("error.type", read[0]["attributes"])

    # ---- a collector that is not as one would like ----

    def troubles(self):
        return [line for line in self.suite.log_of("orders").splitlines() if "traces: http://127.0.0.1" in line]

    def exported(self, result):
        text = self.suite.http("GET", "/metrics", port=self.suite.service_port("orders")).body.decode()
        return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f'insideout_spans_total{{result="{result}"}}'))

    def test_orders_go_on_whatever_becomes_of_the_collector(self):
        known = len(self.troubles())
        self.stop_collector()
        self.buy(f"dead-{secrets.token_hex(4)}", Trace())
        said = wait_until(lambda: self.troubles()[known:], 30, "the log says that the collector is away")
        self.assertIn("spans wait", said[0])
        for mode in ("hang", "503"):
            (self.home / "mode").write_text(mode)
            if self.collector is None:
                self.start_collector()
            last = Trace()
            self.buy(f"{mode}-{secrets.token_hex(4)}", last)
            wait_until(lambda: mode in (self.home / "asked").read_text().split(), 30, f"the collector is asked, and its answer is: {mode}")
        self.assertEqual(len(self.troubles()), known + 1)  # and no line more
        (self.home / "mode").write_text("take")
        self.of(last, *self.BOUGHT)  # what waited is not lost
        self.assertIn("spans are taken again", wait_until(lambda: self.troubles()[known + 1:], 30, "the log says that it is back")[0])
        self.assertEqual((self.exported("dropped"), self.exported("refused")), (0, 0))
        self.assertGreater(self.exported("exported"), 0)

    def test_wrong_settings_are_refused(self):
        env = self.suite.tool_env() | {"PORT": "0", "SLOT": "9"}
        for name, value, said in (("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "\"grpc\" is not http/protobuf or http/json"),
                                  ("OTEL_EXPORTER_OTLP_HEADERS", "hush", "its entry 1 is not name=value")):
            done = subprocess.run([self.suite.build / "services/shipping/shipping"], env=env | {name: value}, text=True, capture_output=True,
                                  timeout=60)
            self.assertEqual(done.returncode, 78)
            self.assertIn(name, done.stdout + done.stderr)
            self.assertIn(said, done.stdout + done.stderr.replace("\\", ""))
            self.assertNotIn("hush", done.stdout + done.stderr)
        self.assertNotIn("hush", self.suite.demo("config", OTEL_EXPORTER_OTLP_HEADERS="a=hush").stdout)


@unittest.skipUnless(COLLECTOR, "OpenTelemetry's collector is not built: ./demo test e2e builds it")
class ThroughACollector(Traces):
    """Services send to OpenTelemetry's collector, in protobuf and in JSON, and that one hands on."""

    test_orders_go_on_whatever_becomes_of_the_collector = None  # of ours alone
    test_wrong_settings_are_refused = None

    @classmethod
    def entry(cls):
        port = next(port for port in range(25550, 25650) if is_free(port))
        (cls.home / "collector.yaml").write_text(f"""
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
exporters: {{otlp_http: {{endpoint: "http://127.0.0.1:{cls.port}", compression: none}}}}
service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_http]}}}}, telemetry: {{metrics: {{level: none}}}}}}
""")
        with open(cls.home / "collector.log", "w") as log:
            process = subprocess.Popen([COLLECTOR, "--config", cls.home / "collector.yaml"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        cls.addClassCleanup(lambda: (process.terminate(), process.wait(10)))
        wait_until(lambda: is_open(port), 30, f"the collector listens: {(cls.home / 'collector.log').read_text()}")
        return port

    def check_request(self, s):
        self.assertTrue(s["headers"]["User-Agent"].startswith("OpenTelemetry"), s["headers"])

    def tearDown(self):
        super().tearDown()
        self.assertEqual([line for line in (self.home / "collector.log").read_text().splitlines() if "\tinfo\t" not in line], [])


if __name__ == "__main__":
    unittest.main()
