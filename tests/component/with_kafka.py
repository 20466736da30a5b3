"""usage: with_kafka.py PROGRAM…   Runs it against a Kafka and a registry of its own, unless KAFKA_BROKERS names one."""

import os
import pathlib
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from suite import Suite  # noqa: E402

if os.environ.get("KAFKA_BROKERS"):
    os.execv(sys.argv[1], sys.argv[1:])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
suite = Suite()
suite.up("kafka", "registry")
sys.exit(subprocess.run(sys.argv[1:], env=suite.tool_env()).returncode)
