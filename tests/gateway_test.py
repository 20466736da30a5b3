"""The gateway in front of two instances of a service that say whether they are ready: who is not gets no requests."""

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


if __name__ == "__main__":
    unittest.main()
