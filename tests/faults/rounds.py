"""usage: rounds.py [--rounds N] [--seed S] [--only FAULT,…] [--from N] [--to N] [--results FILE]

Rounds of faults against a suite of its own: clients do what they do, something happens at a random instant, the suite recovers; then
clients pause, the audit must be clean, and the histories of the clients must be explained by the log (checker.py).
FAULT_ROUNDS in the environment asks for so many rounds of the long form.

N rounds of one seed may be run in pieces, --from one --to another. What a piece found is added to FILE after each round: report.py
adds the pieces up.
"""

import argparse
import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from checker import Checker  # noqa: E402
from clients import DESTINATION, PLACE, Clients  # noqa: E402
from faults import Skipped, World, plan  # noqa: E402
from history import History  # noqa: E402
from report import figures  # noqa: E402
from suite import Suite, wait_until  # noqa: E402

INSTANCES = {"orders": 2, "inventory": 2, "customers": 2, "driver": 2}
TOPICS = ["orders", "customers", "payments", "rides", "raw-ratings"]
RECOVERS = 60  # seconds within which all must work again, on a machine however slow
PROBES = 8  # orders: enough to meet every partition
STARTS = 3  # that many times a suite is tried to start, where rounds go on after one that failed


class Violation(Exception):
    """A promise was broken; what else fails a round did not come back in time."""


class Probes:
    """Uses every service once, from now on until it works, and notes how long each took."""

    def __init__(self, suite, name, since):
        self.suite, self.name, self.since = suite, name, since
        jobs = {"customers": self.customer, "payments": self.payment, "ratings": self.rating, "rides": self.ride, "clicks": self.click}
        jobs |= {f"order {n}": lambda n=n: self.order(n) for n in range(PROBES)}
        with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
            self.took = dict(zip(jobs, pool.map(self.timed, jobs.values())))
        outcomes = [took for job, took in self.took.items() if job.startswith("order")]
        self.next, self.orders, self.all = min(outcomes), max(outcomes), max(self.took.values())

    def timed(self, job):
        job()
        return time.monotonic() - self.since

    def until(self, statuses, method, path, body=None):
        def ask():
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = self.suite.http(method, path, body, timeout=2)
                return answer if answer.status in statuses else None
        return wait_until(ask, RECOVERS, f"{statuses} to {method} {path}")

    def order(self, n):
        order = f"{self.name}-{n}"
        self.until((200, 201), "POST", "/v1/orders", {"id": order, "customerId": f"probe-{n}", "productId": "cable-rca-1m", "quantity": 1,
                                                      "priceCents": 100})
        self.until((200,), "GET", f"/v1/orders/{order}/validated?timeout=1500")

    def customer(self):
        self.until((200, 201), "PUT", "/v1/customers/probe-0", {"firstName": "A", "lastName": "B", "email": "a@example.org",
                                                                "address": self.name})

    def payment(self):
        self.until((200, 201), "POST", "/v1/payments", {"id": f"{self.name}-p", "orderId": f"{self.name}-0", "amountCents": 1,
                                                        "cardNumber": "4111111111111111"})

    def rating(self):
        self.until((202,), "POST", "/v1/ratings", {"movieId": 21, "rating": 5})
        self.until((200,), "GET", "/v1/movies/21")

    def ride(self):
        ride = f"{self.name}-r"
        self.until((200, 201), "POST", f"/v1/riders/{ride}/rides", {"id": ride, "pickup": PLACE, "destination": DESTINATION})
        self.until((200,), "POST", f"/v1/drivers/{ride}/rides/{ride}/accept", {"commandId": "x"})

    def click(self):
        self.until((202,), "POST", "/v1/clicks", {"userId": "probe-0", "page": "/", "action": "view"})


class Run:
    def __init__(self, options):
        self.options, self.rows, self.failed = options, [], []
        self.suite, self.pieces, self.commit = None, None, commit()

    def start(self):
        """A suite of its own, and nothing known of it."""
        if self.suite is not None:
            self.suite.close()
        self.suite = Suite()
        self.world = World(self.suite, INSTANCES)
        self.checker, self.history = Checker(), History()
        self.suite.up()
        for service, count in INSTANCES.items():
            self.suite.demo("scale", service, count)
        for n in range(PROBES):
            self.suite.put_customer(f"probe-{n}")

    def round(self, number, fault):
        chance = random.Random(f"{self.options.seed}-{number}")
        name = f"r{number}"
        print(f"round {number}: {fault.__name__}", flush=True)
        self.world.notes, self.world.after = [], []
        clients = Clients(self.suite, self.history, f"{self.options.seed}-{number}", name, INSTANCES)
        try:
            wait_until(lambda: len(self.history.ops) >= 50, 60, "clients are at work")
            before = Probes(self.suite, f"{name}-before", time.monotonic())  # what this machine takes without a fault
            time.sleep(chance.uniform(0, 1))  # at any instant
            try:
                since, skipped = self.happen(fault, chance)
                probes = Probes(self.suite, name, since)
            finally:
                for end in self.world.after:
                    end()
            self.all_ready()
            clients.finish()
        finally:
            clients.stop.set()
        requests = self.judge()
        took = {job: round(seconds, 2) for job, seconds in probes.took.items()}
        print(f"    {requests} requests; orders took {before.orders:.2f} s before; next outcome after {probes.next:.2f} s, all {PROBES} orders {probes.orders:.2f} s, "
              f"everything {probes.all:.2f} s: {took}", flush=True)
        self.rows.append({"round": number, "fault": fault.__name__, "what": fault.__doc__, "did": self.world.notes, "requests": requests,
                          "before": before.orders, "next": probes.next, "orders": probes.orders, "all": probes.all, "skipped": skipped})

    def happen(self, fault, chance):
        try:
            return fault(self.world, chance), None
        except Skipped as why:
            print(f"    SKIPPED: {why}", flush=True)
            return time.monotonic(), str(why)

    def judge(self):
        """How many requests; all of them right."""
        try:
            self.suite.audit()
        except AssertionError as error:
            raise Violation(str(error)) if "VIOLATION" in str(error) else error
        ops = self.history.take()
        wrong = self.checker.check(ops, self.suite.read(*TOPICS))
        if wrong:
            raise Violation(f"{len(wrong)} violations:\n" + "\n".join(wrong[:10]))
        return len(ops)

    def all_ready(self):
        others = {"kafka", "registry", "connect", "postgres", "gateway"}
        wait_until(lambda: self.suite.are_ready(others), 120, f"ready are {others}")
        for service, n in self.world.processes():
            wait_until(lambda: self.suite.is_ready(service, n), RECOVERS, f"{service}-{n} is ready: {self.suite.readyz(service, n)}")

    def start_again(self):
        for left in reversed(range(STARTS)):
            try:
                return self.start()
            except Exception as error:
                print(f"a suite does not start: {error}", flush=True)
                if left == 0:
                    raise

    def run(self):
        """After a round that failed the long form goes on with another suite."""
        self.start()
        planned = plan(self.options.rounds, self.options.seed, self.options.long, self.options.only)
        last = self.options.to or len(planned)
        for number, fault in list(enumerate(planned, 1))[self.options.first - 1:last]:
            try:
                self.round(number, fault)
            except Exception as error:
                self.tell(number, fault, error)
                self.failed.append({"round": number, "fault": fault.__name__, "what": fault.__doc__, "did": self.world.notes,
                                    "violation": isinstance(error, Violation), "error": str(error)})
                self.save()
                if not self.options.long:
                    break
                if number < last:
                    self.start_again()
            self.save()
        print("\n".join(summary(self.rows)))
        print(f"seed {self.options.seed}: {len(self.rows)} rounds passed, {sum(row['requests'] for row in self.rows)} requests judged; "
              f"{len(self.failed)} failed: {[(f['round'], f['fault']) for f in self.failed]}")
        return not self.failed

    def tell(self, number, fault, error):
        print(f"FAILED: seed {self.options.seed}, round {number}, {fault.__name__}: {self.world.notes}: {error}")
        for service, n in [*self.world.processes(), ("kafka", 0), ("registry", 0), ("connect", 0)]:
            with contextlib.suppress(OSError):
                lines = self.suite.log_of(service, n).splitlines(True)
                print(f"---- the end of the log of {service}-{n}\n" + "".join(lines[-300 if service == "kafka" else -25:]))
        sys.stdout.flush()

    def save(self):
        """One line of the file for each piece: the others stay, and so does what a killed one had."""
        if not self.options.results:
            return
        path = pathlib.Path(self.options.results)
        if self.pieces is None:
            self.pieces = path.read_text() if path.exists() else ""
        result = {"seed": self.options.seed, "commit": self.commit, "machine": machine(), "rows": self.rows, "failed": self.failed}
        new = path.with_name(path.name + ".new")
        new.write_text(self.pieces + json.dumps(result) + "\n")
        new.rename(path)


def summary(rows):
    """Lines of a table: seconds until the next outcome, and until all probes had worked."""
    yield f"{'fault':<34} {'rounds':>6}   next p50 / p99 / max       all p50 / p99 / max"
    for fault in sorted({row["fault"] for row in rows}):
        of = [row for row in rows if row["fault"] == fault]
        yield f"{fault:<34} {len(of):>6}   {figures(of, 'next'):<22}     {figures(of, 'all')}"


def machine():
    model = re.search(r"(?m)^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text())
    return f"{os.cpu_count()} processors{' (' + model[1] + ')' if model else ''}"


def commit():
    """What is tested; with + where files differ from it."""
    done = subprocess.run(["git", "describe", "--always", "--dirty=+", "--exclude=*"], cwd=pathlib.Path(__file__).parent, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def main():
    long = int(os.environ.get("FAULT_ROUNDS", 0))
    arguments = argparse.ArgumentParser(usage=__doc__)
    arguments.add_argument("--rounds", type=int, default=long or 10)
    arguments.add_argument("--seed", type=int, default=random.randrange(10**6) if long else 20)
    arguments.add_argument("--only", type=lambda text: text.split(","))
    arguments.add_argument("--long", action="store_true", default=long > 0)
    arguments.add_argument("--from", type=int, default=1, dest="first")
    arguments.add_argument("--to", type=int)
    arguments.add_argument("--results")
    options = arguments.parse_args()
    options.long |= bool(options.only)
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, lambda *_: sys.exit(130))  # atexit takes the suite down
    print(f"seed {options.seed}: {options.rounds} rounds", flush=True)
    sys.exit(0 if Run(options).run() else 1)


if __name__ == "__main__":
    main()
