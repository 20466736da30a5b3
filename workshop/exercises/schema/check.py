"""The registry refuses what readers could not read."""

import os

from kafka import Wrong
from suite_http import call, run_script, verdict

SUBJECT = "orders-value"


@verdict
def check(checker, work, scratch):
    registry = os.environ.get("REGISTRY_URL", "http://localhost:8081/apis/ccompat/v7")
    path = registry.split("/", 3)[3]
    status, before = call(registry, "GET", f"/{path}/subjects/{SUBJECT}/versions")
    if status != 200:
        raise Wrong("no-suite", f"The registry does not know {SUBJECT} at {registry}: ./demo up")
    said = run_script(work / "schema.sh").strip()
    if not said:
        raise Wrong("nothing-follows", "It says nothing: what did the registry answer?")
    _, after = call(registry, "GET", f"/{path}/subjects/{SUBJECT}/versions")
    if after != before:
        raise AssertionError(f"the registry took it: {before}, {after}")
    if said != "409":
        raise Wrong("taken", f"The answer is {said}. A subject that no reader depends on takes anything; the one of `orders` is {SUBJECT}.")
    return (f"409: there are readers of {SUBJECT} who would not know what to do with a customer who is a number. It still has the versions "
            f"{before}. A field that is new, with a default, it would have taken.")
