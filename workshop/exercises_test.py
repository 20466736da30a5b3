"""usage: exercises_test.py BUILD [NAME…]   Each exercise: the gap fails for the stated reason, the solution passes, and each
planted wrong solution fails with the verdict that its directory is called. BUILD is the workshop's part of a build directory."""

import sys
import time

from lab import Checker, exercises


def cases(x):
    yield x.directory, x.gap
    yield x.directory / "solution", "passed"
    for wrong in sorted((x.directory / "wrong").glob("*")):
        yield wrong, wrong.name


def main():
    checker, only = Checker(sys.argv[1]), sys.argv[2:]
    failures = []
    everything = exercises()
    if [x.number for x in everything] != list(range(1, len(everything) + 1)):
        failures.append(f"the numbers are {[x.number for x in everything]}")
    for x in everything:
        if only and x.name not in only:
            continue
        if len(x.hints) != 3 or not x.todo or x.minutes <= 0:
            failures.append(f"{x.name}: needs three hints, what to do, and minutes")
        for work, expected in cases(x):
            started = time.monotonic()
            verdict = checker.check(x, work)
            where = work.relative_to(x.directory.parent)
            print(f"{time.monotonic() - started:5.1f} s  {where}: {verdict.name}", flush=True)
            if verdict.name != expected:
                failures.append(f"{where}: {expected} was expected, not {verdict.name}:\n{verdict.text}")
    for failure in failures:
        print(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
