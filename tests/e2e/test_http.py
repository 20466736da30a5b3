"""What a client may send wrong, through the gateway and past it. Nothing of it ends a process."""

import gzip
import re
import subprocess

from suite import SERVICES, SuiteTest

ORDER = b'{"customerId":"ada","productId":"slipmat-felt","quantity":1,"priceCents":1}'


def order(**changes):
    """A valid order's text with some values replaced by raw JSON; None leaves the field out."""
    fields = {"customerId": '"ada"', "productId": '"slipmat-felt"', "quantity": "1", "priceCents": "1"} | changes
    return ("{" + ",".join(f'"{name}":{value}' for name, value in fields.items() if value is not None) + "}").encode()


class BadInput(SuiteTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pids = {row["name"]: row["pid"] for row in cls.suite.status()}

    def test_bad_bodies_name_the_field(self):
        for body, field in [
            (order(customerId=None), "customerId"), (order(productId=None), "productId"),
            (order(quantity=None), "quantity"), (order(priceCents=None), "priceCents"),
            (order(customerId='""'), "customerId"), (order(customerId="7"), "customerId"), (order(customerId="null"), "customerId"),
            (order(customerId='"a b"'), "customerId"), (order(customerId='"' + "x" * 129 + '"'), "customerId"),
            (order(customerId='"ada\\u0000"'), "customerId"), (order(id='"ä"'), "id"), (order(id='"a/b"'), "id"), (order(id="5"), "id"),
            (order(quantity='"1"'), "quantity"), (order(quantity="1.5"), "quantity"), (order(quantity="true"), "quantity"),
            (order(quantity="2147483648"), "quantity"), (order(quantity="-2147483649"), "quantity"), (order(quantity="[1]"), "quantity"),
            (order(priceCents="9223372036854775808"), "priceCents"), (order(priceCents="1e400"), ""),
            (order(quantity="NaN"), ""), (order(quantity="01"), ""), (b"", ""), (b"{", ""), (b"[]", ""), (b"null", ""), (b'"x"', ""),
            (ORDER[:-1] + b',"quantity":2}', "quantity"), (ORDER + b"x", ""), (b"\xff\xfe", ""), (b'{"customerId":"\xff"}', ""),
            (b"[" * 20000 + b"]" * 20000, ""), (b'{"a":' * 5000 + b"1" + b"}" * 5000, ""),
        ]:
            with self.subTest(body[:80]):
                for port in (None, self.suite.service_port("orders")):
                    self.assert_problem(self.suite.http("POST", "/v1/orders", body, port=port), 400, field)

    def test_bad_customers(self):
        whole = {"firstName": "A", "lastName": "B", "email": "c@d", "address": "e"}
        for change, field in [({"level": "WOOD"}, "level"), ({"level": 3}, "level"), ({"email": None}, "email"), ({"id": "other"}, "id"),
                              ({"firstName": 1}, "firstName"), ({"address": "x" * 5000}, "address")]:
            with self.subTest(field):
                self.assert_problem(self.suite.http("PUT", "/v1/customers/x", whole | change), 400, field)
        self.assert_problem(self.suite.http("PUT", "/v1/customers/a%20b", whole), 400, "id")

    def test_bad_queries(self):
        for query, field in [("limit=0", "limit"), ("limit=x", "limit"), ("limit=100000", "limit"), ("state=NEW", "state"),
                             ("customerId=%20", "customerId"), ("after=nonsense", "after")]:
            with self.subTest(query):
                self.assert_problem(self.suite.http("GET", f"/v1/orders?{query}"), 400, field)
        for query in ("timeout=x", "timeout=-1", "timeout=99999999999999999999"):
            self.assert_problem(self.suite.http("GET", f"/v1/orders/a?{query}"), 400, "timeout")

    def owner(self, path):
        """The port of the service that has the path, or none."""
        services = {"orders": "orders", "stock": "inventory", "customers": "customers"}
        return next((self.suite.service_port(name) for part, name in services.items() if path.startswith(f"/v1/{part}")), None)

    def test_paths_methods_and_types(self):
        for method, path, headers, body, status in [
            ("GET", "/v1/nothing", {}, None, 404), ("GET", "/v1/orders/a/b/c", {}, None, 404), ("GET", "/v1", {}, None, 404),
            ("GET", "/no/such/page", {}, None, 404), ("GET", "/v1/stock/no-such-product", {}, None, 404),
            ("DELETE", "/v1/orders/a", {"Content-Type": None}, None, 405), ("PUT", "/v1/orders", {}, ORDER, 405),
            ("POST", "/v1/stock", {}, b"{}", 405), ("POST", "/v1/customers/a", {}, b"{}", 405),
            ("POST", "/v1/orders", {"Content-Type": "text/plain"}, ORDER, 415), ("POST", "/v1/orders", {"Content-Type": None}, ORDER, 415),
            ("POST", "/v1/orders", {"Content-Type": "application/x-www-form-urlencoded"}, b"a=b", 415),
            ("POST", "/v1/orders", {"Content-Encoding": "gzip"}, gzip.compress(ORDER), 415),
            ("POST", "/v1/orders", {}, order(id='"' + "x" * 70000 + '"'), 413),
            ("GET", "/v1/orders/..", {}, None, 400), ("GET", "/v1/orders/%2e", {}, None, 400), ("GET", "/v1/stock/%2e%2E", {}, None, 400),
            ("POST", "/v1/orders", {}, order(id='".."'), 400), ("PUT", "/v1/customers/.", {}, b"{}", 400),
        ]:
            for port in {None, self.owner(path)}:
                with self.subTest(f"{method} {path} {headers} {port or 'the gateway'}"):
                    answer = self.suite.http(method, path, body, headers, port=port)
                    self.assert_problem(answer, status)
                    if status == 405:
                        self.assertTrue(answer.headers.get("Allow"), answer.headers)
        spelled = {"Content-Type": "Application/JSON; charset=utf-8"}
        self.assertEqual(self.suite.http("POST", "/v1/orders", ORDER, spelled).status, 201)

    def test_requests_that_no_library_sends(self):
        line = b"GET /v1/orders HTTP/1.1\r\n"
        post = b"POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        for request, port, statuses in [
            (line + b"Host: evil.example\r\n\r\n", None, {421}), (line + b"Host: localhost.evil.example\r\n\r\n", None, {421}),
            (line + b"Host: evil.example:8100\r\n\r\n", "orders", {421}),
            (line + b"\r\n", None, {400}), (line + b"\r\n", "orders", {400}),
            (line + b"Host: a\r\nHost: b\r\n\r\n", None, {400}), (line + b"Host: a\r\nHost: b\r\n\r\n", "orders", {400}),
            (b"GET /v1/orders/a%00b HTTP/1.1\r\nHost: localhost\r\n\r\n", None, {400}),
            (b"GET /v1/orders/a%00b HTTP/1.1\r\nHost: localhost\r\n\r\n", "orders", {400}),
            (b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", None, {400, 404}),
            (b"BREW /v1/orders HTTP/1.1\r\nHost: localhost\r\n\r\n", None, {400, 405, 501}),
            (post + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", None, {400}),
            (post + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "orders", {400}),
            (post + b"Content-Length: -1\r\n\r\n", None, {400}), (post + b"Content-Length: -1\r\n\r\n", "orders", {400, 413}),
            (line + b"Host: localhost\r\nX-Long: " + b"x" * 40000 + b"\r\n\r\n", None, {400, 431}),
            (b"GET /" + b"x" * 40000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", None, {414}),
        ]:
            with self.subTest(f"{request[:90]!r} to {port or 'the gateway'}"):
                answer = self.suite.raw(request, self.suite.service_port(port) if port else None)
                if port and answer is None:
                    continue  # a service may just close on what is no request at all
                self.assertIsNotNone(answer)
                self.assertIn(answer.status, statuses, answer)
                if not port:
                    self.assert_problem(answer, answer.status)

    def test_connect_and_the_registry_answer_for_localhost_only(self):
        for name, path in (("connect", "/connectors"), ("registry", "/apis/ccompat/v7/subjects")):
            port = self.suite.ports[f"{name.upper()}_PORT"]
            for headers, status in (({}, 200), ({"Host": f"localhost:{port}"}, 200), ({"Host": f"evil.example:{port}"}, 421),
                                    ({"Host": "localhost.evil.example"}, 421), ({"Host": name}, 200),
                                    ({"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}"}, 200),
                                    ({"Host": f"evil.example:{port}", "Origin": f"http://evil.example:{port}"}, 421),
                                    ({"Host": f"localhost:{port}", "Origin": "http://evil.example"}, 403),
                                    ({"Host": f"localhost:{port}", "Origin": "http://localhost:1"}, 403), ({"Origin": "null"}, 403)):
                for method in ("GET", "POST") if status != 200 else ("GET",):
                    with self.subTest(name, method=method, headers=headers):
                        answer = self.suite.http(method, path, headers=headers, port=port)
                        self.assertEqual(answer.status, status, answer)
                        if status != 200:
                            self.assert_problem(answer, status)
            # What is behind the guard is not where a page can guess. (The registry has a socket more, at which it accepts nobody.)
            sockets = subprocess.run(["ss", "-ltnpH"], text=True, capture_output=True, check=True).stdout.splitlines()
            listens = [line.split()[3].replace("[::ffff:", "").replace("]", "").rsplit(":", 1) for line in sockets
                       if f"pid={self.suite.pid(name)}," in line]
            self.assertEqual(len([address for address, _ in listens if re.fullmatch(r"127\.(?!0\.)\d+\.\d+\.\d+", address)]), 1, listens)
            for address, number in listens:
                if address in ("127.0.0.1", "*", "0.0.0.0", "[::]"):
                    with self.assertRaises(OSError, msg=f"{name} answers at {address}:{number}"):
                        self.suite.http("GET", path, port=int(number), timeout=1)

    def test_what_may_be_kept_is_asked_for_again(self):
        city = self.suite.http("GET", "/v1/city")
        self.assertEqual(city.headers.get_all("Cache-Control"), ["max-age=300"])
        for port in (None, self.suite.service_port("rider")):
            again = self.suite.http("GET", "/v1/city", headers={"If-None-Match": city.headers["ETag"]}, port=port)
            self.assertEqual((again.status, again.body), (304, b""))

    def test_each_subject_says_that_it_is_compatible(self):
        api, port = "/apis/ccompat/v7", self.suite.ports["REGISTRY_PORT"]
        for subject in self.suite.http("GET", f"{api}/subjects", port=port).json:
            config = self.suite.http("GET", f"{api}/config/{subject}", port=port).json
            self.assertEqual(config.get("compatibilityLevel"), "BACKWARD", subject)

    def test_a_service_that_is_stopped_is_503(self):
        self.suite.demo("stop", "customers")
        try:
            answer = self.suite.http("GET", "/v1/customers/ada")
            self.assert_problem(answer, 503)
            self.assertTrue(answer.headers["Retry-After"])
            self.assertEqual(self.suite.http("GET", "/health/customers").json, {"status": "away"})
        finally:
            self.suite.demo("start", "customers")
        # Once it is said to be started, each request reaches it.
        self.assertEqual({self.suite.http("GET", "/v1/customers/nobody").status for _ in range(40)}, {404})
        self.pids["customers"] = self.suite.pid("customers")

    def test_zz_nothing_of_it_ended_a_process(self):
        self.assertEqual({row["name"]: row["pid"] for row in self.suite.status()}, self.pids)

    def test_pages_and_probes(self):
        for path in ("/", "/shop"):
            page = self.suite.http("GET", path)
            self.assertEqual((page.status, page.type), (200, "text/html"))
            self.assertIn("default-src 'none'", page.headers["Content-Security-Policy"])
            self.assertIn(b'<header class="site">', page.body)  # put in by nginx
        font = self.suite.http("GET", "/vendor/@fontsource-variable/archivo/files/archivo-latin-wdth-normal.woff2")
        self.assertEqual((font.status, font.type), (200, "font/woff2"))
        self.assertEqual(self.suite.http("GET", "/health").json, SERVICES)
        for service in SERVICES:
            self.assertEqual(self.suite.http("GET", f"/health/{service}").json, {"status": "ready"})
            port = self.suite.service_port(service)
            self.assertEqual([self.suite.http("GET", path, port=port).status for path in ("/livez", "/readyz")], [200, 200])
            metrics = self.suite.http("GET", "/metrics", port=port)
            self.assertEqual((metrics.status, metrics.type), (200, "text/plain"))
            self.assertRegex(metrics.body.decode(), r"(?m)^process_resident_memory_bytes \d+$")
        self.assert_problem(self.suite.http("GET", "/metrics"), 404)  # not through the gateway
