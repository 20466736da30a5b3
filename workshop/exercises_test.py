"""usage: exercises_test.py BUILD [NAME…]   Each exercise: the gap fails for the stated reason, the solution passes, and each
planted wrong solution fails with the verdict that its directory is called. BUILD is the workshop's part of a build directory.

Those that need a suite get one, unless KAFKA_BROKERS and GATEWAY_URL name it."""

import concurrent.futures
import os
import pathlib
import signal
import sys
import time

from lab import Checker, exercises

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/e2e"))
from suite import Suite  # noqa: E402

AT_ONCE = 4  # most of the time is waiting


def cases(x):
    yield x.directory, x.gap
    yield x.directory / "solution", "passed"
    for wrong in sorted((x.directory / "wrong").glob("*")):
        yield wrong, wrong.name


def failures_of(checker, x):
    """One after the other: they have names in Kafka in common."""
    for work, expected in cases(x):
        started = time.monotonic()
        verdict = checker.check(x, work)
        where = work.relative_to(x.directory.parent)
        print(f"{time.monotonic() - started:5.1f} s  {where}: {verdict.name}", flush=True)
        if verdict.name != expected:
            yield f"{where}: {expected} was expected, not {verdict.name}:\n{verdict.text}"


def failures_in_form(all_of_them):
    if [x.number for x in all_of_them] != list(range(1, len(all_of_them) + 1)):
        yield f"the numbers are {[x.number for x in all_of_them]}"
    for x in all_of_them:
        if len(x.hints) != 3 or not x.todo or x.minutes <= 0:
            yield f"{x.name}: needs three hints, what to do, and minutes"


def main():
    checker, only = Checker(sys.argv[1]), sys.argv[2:]
    chosen = [x for x in exercises() if not only or x.name in only]
    if "GATEWAY_URL" not in os.environ and any(x.needs_suite for x in chosen):
        suite = Suite()
        suite.up()
        os.environ |= suite.tool_env() | {"GATEWAY_URL": f"http://127.0.0.1:{suite.ports['PORT']}"}
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        # the long ones first
        results = pool.map(lambda x: list(failures_of(checker, x)), sorted(chosen, key=lambda x: not x.needs_suite))
    failures = [*failures_in_form(exercises()), *(f for fs in results for f in fs)]
    for failure in failures:
        print(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    sys.exit(main())
