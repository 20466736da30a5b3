"""The gateway in front of two instances of a service that say whether they are ready: who is not gets no requests. And
what it says itself to what it does not pass on."""

import contextlib
import http.client
import http.server
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

START = pathlib.Path(__file__).resolve().parents[1] / "compose/nginx/start"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def open_below(directory):
    """What any process has open there; nginx unlinks such files at once."""
    links = set()
    for fd in pathlib.Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            links.add(os.readlink(fd))
    return sorted(link for link in links if link.startswith(f"{directory}/"))


class Instance(http.server.ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.ready = True
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.server.ready or self.path != "/readyz" else 503)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"%05d" % self.server.server_port)

    def do_POST(self):
        """Answers with the size of the body, and the files that the gateway has made of it until here."""
        size = len(self.rfile.read(int(self.headers["Content-Length"] or 0)))  # nginx had it whole
        if self.headers["Transfer-Encoding"] == "chunked":
            while n := int(self.rfile.readline() or b"0", 16):
                size += len(self.rfile.read(n))
                self.rfile.readline()
            self.rfile.readline()
        answer = json.dumps({"size": size, "files": open_below(self.server.data / "gateway/body")}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class Gateway(unittest.TestCase):
    def setUp(self):
        self.instances = [Instance(), Instance()]
        self.port = free_port()
        data = tempfile.TemporaryDirectory()
        self.addCleanup(data.cleanup)
        os.chmod(data.name, 0o755)
        for instance in self.instances:
            instance.data = pathlib.Path(data.name)
        web = pathlib.Path(data.name, "gateway/web")
        web.mkdir(parents=True)
        (web / "page.txt").write_text("0123456789")
        self.listed = pathlib.Path(data.name, "gateway/instances")
        self.list(self.instances)
        env = os.environ | {"DATA_DIR": data.name, "LISTEN": "127.0.0.1", "PORT": str(self.port)}
        gateway = subprocess.Popen([START], env=env, process_group=0)
        self.addCleanup(gateway.wait)
        self.addCleanup(os.killpg, gateway.pid, signal.SIGKILL)

    def list(self, instances):
        new = self.listed.with_suffix(".new")
        new.write_text("things\t/v1/things\t" + ",".join(f"127.0.0.1:{i.server_port}" for i in instances) + "\nnone\t-\t\n")
        new.rename(self.listed)

    def asked(self):
        """Which instances answer eight requests; None where no answer is one."""
        answers = set()
        for _ in range(8):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("GET", "/v1/things")
                response = connection.getresponse()
                answers.add(int(response.read()) if response.status == 200 else None)
        return answers

    def wait_for(self, instances):
        """For a while, too: nginx's processes of before take some connections until they have been told to go."""
        wanted, deadline, since = {i.server_port for i in instances}, time.monotonic() + 20, None
        while since is None or time.monotonic() < since + 0.5:
            asked = self.asked()
            self.assertLess(time.monotonic(), deadline, f"{asked} answer, and not {wanted}")
            since = None if asked != wanted else since or time.monotonic()

    def test_who_is_not_ready_gets_no_requests(self):
        first, second = self.instances
        self.wait_for([first, second])
        second.ready = False
        self.wait_for([first])
        for _ in range(10):
            self.assertEqual(self.asked(), {first.server_port})
        second.ready, first.ready = True, False
        self.wait_for([second])
        second.ready = False  # what they have to say themselves is better than nothing
        self.wait_for([first, second])
        first.ready = second.ready = True
        self.list([first])
        self.wait_for([first])

    def test_names_that_dns_completes(self):
        """Kubernetes' DNS answers for `things` with the name that it looked up, domain and all."""
        renewed = tempfile.TemporaryDirectory()
        self.addCleanup(renewed.cleanup)
        dns = pathlib.Path(renewed.name, "getent")
        dns.write_text("#!/bin/sh\nprintf '10.0.0.%s\\n' '6 STREAM things.suite.svc.cluster.local' '6 DGRAM' '7 STREAM' '5 STREAM' '5 DGRAM'\n")
        dns.chmod(0o755)
        pathlib.Path(renewed.name, "gateway").mkdir()
        pathlib.Path(renewed.name, "gateway/instances").write_text("none\t-\tnone:8080\nthings\t/v1/things\tthings:8080\n")
        env = os.environ | {"DATA_DIR": renewed.name, "LISTEN": "127.0.0.1", "PORT": "1", "PATH": f"{renewed.name}:{os.environ['PATH']}"}
        subprocess.run([START.with_name("renew")], env=env, check=True)
        self.assertEqual(pathlib.Path(renewed.name, "gateway/ready").read_text(), "none\t-\t\nthings\t/v1/things\t10.0.0.5:8080,10.0.0.6:8080,10.0.0.7:8080\n")

    def post(self, body, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("POST", "/v1/things?a=%20b", body, {"Content-Type": "application/json"} | headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def test_a_chunked_body_is_never_in_a_file(self):
        self.wait_for(self.instances)
        digits, chunked = b"4111111111111111", {"Transfer-Encoding": "chunked"}
        for name, body, size in (
            ("chunks of one", b"1\r\n4\r\n" * 20000, 20000),
            ("long extensions", b"".join(b"10;" + b"x" * 5000 + b"\r\n" + digits + b"\r\n" for _ in range(40)), 640),
            ("one chunk", b"%x\r\n" % 60000 + b"4" * 60000 + b"\r\n", 60000),
        ):
            with self.subTest(name):
                self.assertEqual(self.post(body + b"0\r\n\r\n", **chunked), (200, {"size": size, "files": []}))
        status, problem = self.post(b"%x\r\n" % 70000 + b"4" * 70000 + b"\r\n0\r\n\r\n", **chunked)
        self.assertEqual((status, problem["status"], problem["title"]), (413, 413, "Content Too Large"))
        for instance in self.instances:
            instance.shutdown()
            instance.server_close()
        status, problem = self.post(b"1\r\n4\r\n0\r\n\r\n", **chunked)
        self.assertEqual((status, problem["status"], problem["title"]), (503, 503, "Service Unavailable"))

    def say(self, request):
        """Sends the bytes as they are; status, headers and body of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as s:
            s.sendall(request.encode())
            response = http.client.HTTPResponse(s)
            response.begin()
            return response.status, response.headers, response.read()

    def test_its_own_errors_are_problems(self):
        self.wait_for(self.instances)
        host = "Host: localhost\r\n"
        for request, status in (
            (f"GET /nothing HTTP/1.1\r\n{host}\r\n", 404),
            (f"GET /v1/nothing HTTP/1.1\r\n{host}\r\n", 404),
            (f"POST /page.txt HTTP/1.1\r\n{host}Content-Length: 0\r\n\r\n", 405),
            (f"TRACE /page.txt HTTP/1.1\r\n{host}\r\n", 405),
            (f"GET /page.txt HTTP/1.1\r\n{host}If-Unmodified-Since: Thu, 01 Jan 1970 00:00:01 GMT\r\n\r\n", 412),
            (f'GET /page.txt HTTP/1.1\r\n{host}If-Match: "x"\r\n\r\n', 412),
            (f"POST /v1/things HTTP/1.1\r\n{host}Content-Length: 65537\r\n\r\n", 413),
            (f"GET /{'x' * 9000} HTTP/1.1\r\n{host}\r\n", 414),
            (f"GET /page.txt HTTP/1.1\r\n{host}Range: bytes=99-\r\n\r\n", 416),
            ("GET /page.txt HTTP/1.1\r\nHost: evil.test\r\n\r\n", 421),
            (f"GET /page.txt HTTP/1.1\r\n{host}X: {'x' * 9000}\r\n\r\n", 431),
            (f"POST /v1/things HTTP/1.1\r\n{host}Transfer-Encoding: gzip\r\n\r\n", 501),
            (f"GET /page.txt HTTP/9.9\r\n{host}\r\n", 505),
            (f"POST /v1/things HTTP/1.1\r\n{host}Content-Length: x\r\n\r\n", 400),
            (f"POST /v1/things HTTP/1.1\r\n{host}Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
            ("GET /page.txt HTTP/1.1\r\n\r\n", 400),
            (f"GET /page.txt HTTP/1.1\r\n{host}{host}\r\n", 400),
            ("nonsense\r\n\r\n", 400),
            (f"GET /v1/things/.. HTTP/1.1\r\n{host}\r\n", 400),
            (f"GET /v1/things/%2e?x=1 HTTP/1.1\r\n{host}\r\n", 400),
        ):
            with self.subTest(request[:60]):
                answer = self.say(request)
                self.assertEqual(answer[0], status)
                self.assertEqual(answer[1]["Content-Type"], "application/problem+json")
                self.assertEqual(json.loads(answer[2])["status"], status)
                self.assertEqual(answer[1]["Allow"], "GET, HEAD" if status == 405 else None)
        self.assertEqual(self.say(f"GET /v1/things/..x HTTP/1.1\r\n{host}\r\n")[0], 200)
        self.assertEqual(self.say(f"GET /v1/things?x=/../ HTTP/1.1\r\n{host}\r\n")[0], 200)


class Pages(unittest.TestCase):
    def test_they_are_laid_out_from_wherever_they_are_named(self):
        with tempfile.TemporaryDirectory() as directory:
            here = pathlib.Path(directory)
            for name, text in (("web/index.html", "page"), ("web/vendor.txt", "lib/a.js\n"), ("packages/node_modules/lib/a.js", "library"),
                               ("packages/node_modules/lib/b.js", "not asked for"), ("workshop/one.html", "lesson")):
                (here / name).parent.mkdir(parents=True, exist_ok=True)
                (here / name).write_text(text)
            subprocess.run([START.parent / "pages", "web", here / "packages", here / "workshop", here / "out"], cwd=here, check=True)
            laid = {str(file.relative_to(here / "out")): file.read_text() for file in (here / "out").rglob("*") if file.is_file()}
            self.assertEqual(laid, {"index.html": "page", "vendor/lib/a.js": "library", "workshop/one.html": "lesson"})


if __name__ == "__main__":
    unittest.main()
