"""Runs the script, and looks on: who was killed, and when."""

import os
import pathlib
import re
import subprocess
import time

from kafka import Wrong
from suite_http import ROOT, SECONDS, gateway, verdict


def pid():
    try:
        return int(pathlib.Path(os.environ["DATA_DIR"], "run/inventory-0/supervise/pid").read_text())
    except (OSError, ValueError, KeyError):
        return None


@verdict
def check(checker, work, scratch):
    first = pid()
    if first is None:
        raise Wrong("no-suite", "inventory does not run: ./demo up")
    said = scratch / "said"
    with said.open("w") as out:
        script = subprocess.Popen(["sh", work / "kill.sh"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    deaths, last, deadline = [], first, time.monotonic() + 4 * SECONDS
    while script.poll() is None:
        if time.monotonic() > deadline:
            script.kill()
            raise Wrong("no-end", "The script does not come to an end.")
        now = pid()
        if now not in (None, last):
            deaths.append(not re.search(r"orders in [\d.]+ s:", said.read_text()))  # the load's last line
            last = now
        time.sleep(0.01)
    text = said.read_text().strip()
    if len(deaths) == 0:
        raise Wrong("nobody-was-killed", f"Orders flowed, and inventory lived through all of it.\n{text}")
    if not any(deaths):
        raise Wrong("too-late", "It was killed when all orders had been placed: that hurts nobody. Kill it while they flow.")
    if script.returncode:
        raise Wrong("stopped", f"The script ends with {script.returncode}:\n{text}")
    return (f"inventory was killed {sum(deaths)} times while orders flowed, and the audit found each of them decided once, and no stock sold "
            f"twice.\n{text.splitlines()[-1]}\nIn the lens: {gateway()}/lens?topic=order-validations, where the transactions that it left are "
            "drawn as aborted.")
