"""usage: run.py MODULE[.Class[.test]]…   Runs them in this order over one suite, which it always takes down."""

import contextlib
import signal
import sys
import unittest

from suite import SERVICES, SuiteTest


def main(modules):
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, lambda *_: sys.exit(130))  # atexit takes the suite down
    tests = unittest.defaultTestLoader.loadTestsFromNames(modules)
    result = unittest.TextTestRunner(verbosity=2).run(tests)
    suite = SuiteTest.suite
    if not result.wasSuccessful() and suite is not None and suite.live:
        for service in SERVICES:
            with contextlib.suppress(OSError):
                print(f"---- the end of the log of {service}\n" + "".join(suite.log_of(service).splitlines(True)[-15:]))
    return 0 if result.wasSuccessful() and result.testsRun > 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
