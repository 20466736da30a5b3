"""usage: run.py MODULE[.Class[.test]]…   Runs them in this order over one suite, which it always takes down. With the environment's BUILD
(asan-ubsan, tsan) the services are of that build, and none may have reported anything."""

import contextlib
import signal
import sys
import time
import unittest

from suite import SANITIZED, SERVICES, Suite, SuiteTest


class Result(unittest.TextTestResult):
    """Says at once what failed, in case there is no end, and how long each test took."""

    def startTest(self, test):
        self.since = time.monotonic()
        super().startTest(test)

    def stopTest(self, test):
        self.stream.writeln(f"    {time.monotonic() - self.since:.1f} s")
        super().stopTest(test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.stream.writeln(self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.stream.writeln(self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.stream.writeln((self.failures + self.errors)[-1][1])

    def printErrors(self):
        pass


def main(modules):
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, lambda *_: sys.exit(130))  # atexit takes the suite down
    tests = unittest.defaultTestLoader.loadTestsFromNames(modules)
    result = unittest.TextTestRunner(verbosity=2, resultclass=Result).run(tests)
    suite = SuiteTest.suite
    if not result.wasSuccessful() and suite is not None and suite.live:
        for service in SERVICES:
            with contextlib.suppress(OSError):
                print(f"---- the end of the log of {service}\n" + "".join(suite.log_of(service).splitlines(True)[-50:]))
    if suite is not None:
        suite.close()
    for service, report in Suite.reports.items():
        print(f"---- {service}\n{report}")
    if SANITIZED and Suite.examined == 0:
        print("nobody has looked at what the sanitizers say: no suite was there at the end")
        return 1
    return 0 if result.wasSuccessful() and result.testsRun > 0 and not Suite.reports else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
