"""usage: run.py [NAME…]   The tests of pages (NAME.test.js, or all) over one suite, which it always takes down."""

import pathlib
import shutil
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from suite import Suite  # noqa: E402

SKIPPED = 77


def main(names):
    missing = [program for program in ("node", "chromium") if shutil.which(program) is None]
    if missing:
        print(f"skipped: no {' and no '.join(missing)} here")
        return SKIPPED
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, lambda *_: sys.exit(130))  # atexit takes the suite down
    suite = Suite().up()
    return subprocess.run(["node", "--test-reporter=spec", HERE / "main.js", *names], env=suite.env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
