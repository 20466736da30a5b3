"""The gateway in front of two instances of a service that say whether they are ready: who is not gets no requests."""

import contextlib
import http.client
import http.server
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

    def log_message(self, *_):
        pass


class Gateway(unittest.TestCase):
    def setUp(self):
        self.instances = [Instance(), Instance()]
        self.port = free_port()
        data = tempfile.TemporaryDirectory()
        self.addCleanup(data.cleanup)
        os.chmod(data.name, 0o755)
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


if __name__ == "__main__":
    unittest.main()
