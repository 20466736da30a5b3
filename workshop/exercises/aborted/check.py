"""A topic in which some transactions were aborted: which of its offsets?"""

import random

from kafka import Wrong, verdict
from suite_http import call, run_script


@verdict
def check(kafka, work):
    if call(kafka.gateway, "GET", "/v1/log/topics")[0] != 200:
        raise Wrong("no-suite", f"The lens does not answer at {kafka.gateway}: ./demo up")
    topic = kafka.topic()
    for end in random.sample(["commit", "abort", None, "abort", "commit"], 5):
        kafka.write(topic, [(0, "ada", f"order {n}") for n in range(random.randrange(1, 4))], end)
    committed = {o for _, o, *_ in kafka.read(topic)}
    aborted = {o for _, o, *_ in kafka.read(topic, uncommitted=True)} - committed
    said = run_script(work / "aborted.sh", topic, 0).split()
    lens = kafka.lens(topic)
    if not all(s.isdigit() for s in said):
        raise Wrong("wrong-value", f"It should say offsets, and says {said}.\n{lens}")
    offsets = {int(s) for s in said}
    if offsets == committed:
        raise Wrong("committed", f"{sorted(offsets)} are the records that count. The others are between them.\n{lens}")
    for o in sorted(offsets - aborted):
        what = "is a record that counts" if o in committed else "is no record, but the mark of a transaction's end"
        raise Wrong("not-aborted", f"Offset {o} {what}.\n{kafka.lens(topic, 0, o)}")
    if aborted - offsets:
        raise Wrong("lost", f"Offset {min(aborted - offsets)} is missing.\n{lens}")
    return f"Right: {sorted(aborted)} are in the log, and count for nobody.\n{lens}"
