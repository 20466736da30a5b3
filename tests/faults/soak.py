"""usage: soak.py [--minutes N] [--rate N] [--svg FILE]

The suite at half of its capacity for long (60 minutes), an instance of a service killed or restarted each minute. Orders are for ever, so
disk grows with them, and memory by what finds a row: filters and indexes, bounded here by row. Beyond these, memory, open files, threads
and lag of every process must not grow; in the end the audit must be clean. Draws the curves: those of an hour into
docs/pictures/soak.svg, of less time into soak.svg here, unless --svg says where. SOAK_MINUTES in the environment is the same as --minutes.
"""

import argparse
import collections
import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import curves  # noqa: E402
from suite import ROOT, SERVICES, Suite, wait_until  # noqa: E402

INFRASTRUCTURE = ["kafka", "registry", "connect", "postgres", "gateway"]
INTERVAL = 5  # seconds between samples
PAGE = os.sysconf("SC_PAGE_SIZE")
# What may grow from the second quarter to the last, in parts and as such: allocators and caches settle late.
MARGINS = {"RSS beyond views": (1.15, 10e6), "open files beyond views": (1.1, 10), "threads": (1.1, 4)}
BYTES_A_ROW = 32  # of memory, for a view's filters and indexes


def open_files(pid):
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since
            yield os.readlink(fd)


def total(page, metric):
    """Of a metric over all its labels."""
    return sum(float(n) for n in re.findall(rf"(?m)^insideout_{metric}\{{.*\}} (\S+)$", page))


def usage(pid, views, page):
    proc, files = pathlib.Path(f"/proc/{pid}"), list(open_files(pid))
    rss, index = int((proc / "statm").read_text().split()[1]) * PAGE, total(page, "view_index_bytes")
    return {"RSS": rss, "RSS beyond views": rss - index - total(page, "view_memory_bytes"), "index of views": index,
            "rows": total(page, "view_keys"), "open files": len(files),
            "open files beyond views": sum(not f.startswith(views) for f in files), "threads": len(os.listdir(proc / "task"))}


def disk(path):
    done = subprocess.run(["du", "-sk", path], capture_output=True, text=True)  # files come and go meanwhile
    return int(done.stdout.split()[0]) * 1024


class Soak:
    def __init__(self, options):
        self.options, self.suite = options, Suite()
        self.samples = collections.defaultdict(list)  # (figure, process): [(seconds, value)]
        self.ready_again = []

    def load(self, *arguments):
        environment = self.suite.env | {"GATEWAY_URL": f"http://127.0.0.1:{self.suite.ports['PORT']}",
                                        "LEGACY_URL": f"postgresql://legacy:legacy@127.0.0.1:{self.suite.ports['POSTGRES_PORT']}/legacy"}
        return subprocess.Popen([self.suite.build / "bench/load", "orders", *map(str, arguments)], env=environment,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def capacity(self):
        """Orders a second, when more are asked for than can be had; warm."""
        def once():
            load = self.load("--rate", 5000, "--count", 30000, "--sample", 0, "--json")
            try:
                said = load.communicate(timeout=300)[0]
            finally:
                load.kill()
            if load.returncode != 0:
                raise AssertionError(f"load: exit {load.returncode}")
            return json.loads(said)["perSecond"]
        return max(once() for _ in range(4))

    def metrics(self):
        """Each service's page; none of one that is not there."""
        pages = {}
        for service in SERVICES:
            with contextlib.suppress(OSError, http.client.HTTPException):
                pages[service] = self.suite.http("GET", "/metrics", port=self.suite.service_port(service)).body.decode()
        return pages

    def lag(self, pages=None):
        """Records that the services have not read yet."""
        return sum(total(page, "(?:input|table)_lag_records") for page in (pages or self.metrics()).values())

    def sample(self, since):
        now, pages = time.monotonic() - since, self.metrics()
        for name in SERVICES + INFRASTRUCTURE:
            with contextlib.suppress(OSError, KeyError):  # one that is being restarted
                page = pages[name] if name in SERVICES else ""
                for figure, value in usage(self.suite.pid(name), f"{self.suite.data}/views/", page).items():
                    self.samples[figure, name].append((now, value))
        self.samples["lag", "all"].append((now, self.lag(pages)))
        self.samples["disk", "log"].append((now, disk(f"{self.suite.data}/kafka")))
        self.samples["disk", "views"].append((now, disk(f"{self.suite.data}/views")))

    def restart(self, number):
        """One service a minute, by kill -9 and SIGTERM in turn."""
        service = SERVICES[number % len(SERVICES)]
        pid = self.suite.pid(service)
        os.kill(pid, signal.SIGKILL if number // len(SERVICES) % 2 == 0 else signal.SIGTERM)
        since = time.monotonic()
        wait_until(lambda: self.suite.pid(service) not in (None, pid) and self.suite.is_ready(service), 60, f"{service} is ready again")
        self.ready_again.append((time.monotonic() - since, service))

    def run(self):
        self.suite.up()
        rate = self.options.rate or int(self.capacity() / 2)
        seconds = self.options.minutes * 60
        print(f"{rate} orders/s for {self.options.minutes} minutes", flush=True)
        load = self.load("--rate", rate, "--count", rate * seconds, "--sample", 100, "--json")
        since, restarts = time.monotonic(), 0
        try:
            while load.poll() is None:
                self.sample(since)
                if time.monotonic() - since > 60 * (restarts + 1):
                    self.restart(restarts)
                    restarts += 1
                with contextlib.suppress(subprocess.TimeoutExpired):
                    load.wait(INTERVAL)
        finally:
            load.kill()
            said = load.communicate()[0]
            self.draw(rate)
        print(said)
        slowest, whose = max(self.ready_again, default=(0, "none"))
        print(f"{restarts} restarts, ready again after {statistics.median(s for s, _ in self.ready_again or [(0, '')]):.1f} s (median), "
              f"{slowest:.1f} s (worst: {whose})")
        wrong = self.grown()
        print("\n".join(wrong) or "nothing grows but what the orders take")
        print("bytes of memory a row: " + ", ".join(f"{name} {each:.1f}" for name, each in sorted(self.bytes_a_row().items())), flush=True)
        wait_until(lambda: self.lag() == 0, 120, "all is read")
        print(self.suite.demo("audit", "--wait", timeout=3600).stdout, flush=True)  # it reads the whole log
        decided = json.loads(said)
        refused = decided["failed"] / max(1, decided["failed"] + decided["validated"])
        if refused > 0.1:
            wrong.append(f"{refused:.0%} of the orders were refused: most of the suite had nothing to do")
            print(wrong[-1])
        return not wrong and load.returncode == 0

    def grown(self):
        wrong = []
        for (figure, name), values in sorted(self.samples.items()):
            if figure not in MARGINS or len(values) < 8:
                continue
            quarter = len(values) // 4
            before, after = (statistics.median(v for _, v in part) for part in (values[quarter:2 * quarter], values[-quarter:]))
            factor, more = MARGINS[figure]
            if after > before * factor + more:
                wrong.append(f"{figure} of {name} grows: {before:.0f}, then {after:.0f}")
        return wrong + [f"{name}: {each:.0f} bytes of memory a row" for name, each in self.bytes_a_row().items() if each > BYTES_A_ROW]

    def bytes_a_row(self):
        """Of memory for what finds them, by service, where there are enough to tell."""
        last = {name: (self.samples["index of views", name][-1][1], self.samples["rows", name][-1][1]) for name in SERVICES}
        return {name: index / rows for name, (index, rows) in last.items() if rows > 1e5}

    def draw(self, rate):
        def of(figure, scale, names=None):
            return {name: [(t / 60, v / scale) for t, v in values] for (f, name), values in self.samples.items()
                    if f == figure and (names is None or name in names)}
        java = {"kafka", "registry", "connect"}
        panels = [("RSS of services, MB", of("RSS", 1e6, set(SERVICES))), ("RSS of what they need, MB", of("RSS", 1e6, java)),
                  ("RSS of services for filters and indexes, MB", of("index of views", 1e6, set(SERVICES))),
                  ("RSS of services beyond their views, MB", of("RSS beyond views", 1e6, set(SERVICES))),
                  ("open files", of("open files", 1, set(SERVICES))), ("threads", of("threads", 1, set(SERVICES))),
                  ("records not yet read", of("lag", 1)), ("disk, MB", of("disk", 1e6))]
        title = f"{rate} orders/s for {self.options.minutes} minutes, a service restarted each minute"
        file = pathlib.Path(self.options.svg or (ROOT / "docs/pictures" if self.options.minutes >= 60 else pathlib.Path()) / "soak.svg")
        file.write_text(curves.draw(title, panels))
        print(f"curves: {file}")


def main():
    arguments = argparse.ArgumentParser(usage=__doc__)
    arguments.add_argument("--minutes", type=int, default=int(os.environ.get("SOAK_MINUTES", 60)))
    arguments.add_argument("--rate", type=int)
    arguments.add_argument("--svg")
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, lambda *_: sys.exit(130))  # atexit takes the suite down
    sys.exit(0 if Soak(arguments.parse_args()).run() else 1)


if __name__ == "__main__":
    main()
