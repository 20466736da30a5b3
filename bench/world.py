"""The suite that is measured, seen from outside: started by ./demo, on the ports and in the data directory of the
environment; its processes by the supervisor's directories and /proc."""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / os.environ.get("BUILD", "release")
SERVICE_INDEX = {row[0]: int(row[2]) for row in (line.split("\t") for line in (ROOT / "services/services.tsv").read_text().splitlines())
                 if not row[0].startswith("#")}
SERVICES = list(SERVICE_INDEX)
CHECKS = ["orders", "inventory", "fraud", "order-details"]  # who decides an order
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
STARTED = time.monotonic()


class Failed(Exception):
    """What keeps a benchmark from a figure."""


def say(text):
    print(f"{time.monotonic() - STARTED:6.1f} s  {text}", file=sys.stderr, flush=True)


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(0.01)
    return value


def cpu_ms(pid):
    """All that a process has used so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_MS


def memory(pid, which="VmRSS"):
    """In bytes, now; VmHWM: the most so far."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(which):
            return int(line.split()[1]) * 1024
    raise Failed(f"process {pid} has ended")


def last_line(text):
    return ((text or "").strip().splitlines() or ["it said nothing"])[-1]


class Suite:
    def __init__(self):
        port = os.environ.__getitem__
        self.data = pathlib.Path(os.environ["DATA_DIR"])
        self.setting = {"SIMULATE": "0", "OBSERVE": "0", "LOG_LEVEL": "warn"}
        self.env = os.environ | {
            "KAFKA_BROKERS": f"localhost:{port('KAFKA_PORT')}",
            "REGISTRY_URL": f"http://localhost:{port('REGISTRY_PORT')}/apis/ccompat/v7",
            "GATEWAY_URL": f"http://127.0.0.1:{port('PORT')}",
            "LEGACY_URL": f"postgresql://legacy:legacy@127.0.0.1:{port('POSTGRES_PORT')}/legacy"}
        self.has = None  # the services that run, and the partitions of their topics
        self.filled = 0  # orders that were written into the log, not ordered

    # ---- its life ----

    def demo(self, *arguments, timeout=300):
        done = subprocess.run([ROOT / "demo", *arguments], env=os.environ | self.setting, text=True, capture_output=True,
                              timeout=timeout, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            said = [line for line in done.stderr.splitlines() if line.startswith("demo: ")]
            raise Failed(f"./demo {' '.join(arguments)}: {'; '.join(said) or last_line(done.stderr)}")
        return done.stdout

    def up(self, services=(), partitions=4, fresh=False):
        """With these services (none: with all), as it is where it is so already."""
        wanted = (tuple(services), partitions)
        if self.has == wanted and not fresh:
            return
        if self.has is not None or any(self.data.iterdir() if self.data.exists() else ()):
            self.has = None
            shutil.rmtree(self.data / "streams", ignore_errors=True)  # the peer's: a reset deletes what is the suite's
            self.demo("reset")
        say(f"starting a suite{' of ' + ', '.join(services) if services else ''}, {partitions} partitions")
        self.setting["PARTITIONS"] = self.env["PARTITIONS"] = str(partitions)
        self.demo("up", *services)
        self.has, self.filled = wanted, 0

    def keys(self, name):
        return sorted(p.name for p in (self.data / "run").glob(f"{name}-[0-9]"))

    def pid(self, key):
        with contextlib.suppress(OSError, ValueError):
            return int((self.data / "run" / key / "supervise/pid").read_text())
        return None

    def pids(self, names):
        return {key: self.pid(key) for name in names for key in self.keys(name) if self.pid(key)}

    def is_up(self, key):
        return (self.data / "run" / key / "supervise/stat").read_text().strip() == "run" and self.pid(key)

    def stop(self, *names):
        """They stay stopped until `start`."""
        keys = [key for name in names for key in self.keys(name)]
        for key in keys:
            (self.data / "run" / key / "down").touch()
            subprocess.run(["sv", "down", self.data / "run" / key], stdout=subprocess.DEVNULL, check=True)
        for key in keys:
            wait_until(lambda: (self.data / "run" / key / "supervise/stat").read_text().strip() == "down", 25, f"{key} stops")
        time.sleep(1.1)  # the supervisor rests for a second behind each end, and hears nothing meanwhile

    def start(self, *names):
        keys = [key for name in names for key in self.keys(name)]
        for key in keys:
            (self.data / "run" / key / "down").unlink(missing_ok=True)
            subprocess.run(["sv", "up", self.data / "run" / key], stdout=subprocess.DEVNULL, check=True)
        for key in keys:
            wait_until(lambda: self.is_up(key), 10, f"{key} starts")

    # ---- what is asked of it ----

    def port(self, key):
        name, _, slot = key.rpartition("-")
        return int(os.environ["SERVICE_PORT"]) + 10 * SERVICE_INDEX[name] + int(slot)

    def get(self, key, path, timeout=5):
        """Status and body; 0 where nobody answers."""
        return ask("GET", self.port(key), path, timeout=timeout)

    def wait_ready(self, *keys, seconds=120):
        for key in keys:
            wait_until(lambda: self.get(key, "/readyz")[0] == 200, seconds, f"{key} is ready")

    def metric(self, key, name):
        """The sum of a metric over its labels."""
        return sum(float(line.split()[1]) for line in self.get(key, "/metrics")[1].decode().splitlines()
                   if line.startswith((name + "{", name + " ")))

    # ---- programs of the benchmarks ----

    def program(self, name, *arguments, timeout=600):
        """What it prints, a JSON value."""
        with self.running(name, *arguments) as p:
            return result_of(p, name, timeout)

    @contextlib.contextmanager
    def running(self, name, *arguments):
        """With pipes to and from it; killed at the end where it has not ended."""
        command = [str(a) for a in (BUILD / "bench" / name, *arguments)]
        with subprocess.Popen(command, env=self.env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as p:
            try:
                yield p
            finally:
                if p.poll() is None:
                    p.kill()

    def audit(self):
        """Its verdict and its last line."""
        done = subprocess.run([BUILD / "tests/audit", "--wait"], env=self.env, text=True, capture_output=True, timeout=600)
        return f"{'no violation' if done.returncode == 0 else 'VIOLATIONS'}; {last_line(done.stdout)}"


def result_of(process, name, timeout=600):
    try:
        out = process.communicate(timeout=timeout)[0]
    except subprocess.TimeoutExpired:
        raise Failed(f"{name} has not ended within {timeout} s") from None
    if process.returncode != 0:
        raise Failed(f"{name} ended with {process.returncode}")
    return json.loads(out)


def ask(method, port, path, body=None, timeout=30):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


class Sampler:
    """The memory of processes over time, in MB: {name: [[seconds, MB], …]}."""

    def __init__(self, pids, every=0.25):
        self.pids, self.every, self.points, self.stopped = pids, every, {name: [] for name in pids}, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.start = time.monotonic()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()

    def run(self):
        while not self.stopped.wait(self.every):
            for name, pid in self.pids.items():
                with contextlib.suppress(OSError, Failed):
                    self.points[name].append([round(time.monotonic() - self.start, 2), round(memory(pid) / 1e6, 1)])
