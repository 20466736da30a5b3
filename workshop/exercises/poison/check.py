"""Whoever cannot read a record says so in a dead letter, and what is behind it goes on."""

import os

from kafka import Wrong
from suite_http import Shop, call, gateway, run_script, verdict, wait


def letters():
    """The ends of dead-letters' partitions."""
    status, answer = call(gateway(), "GET", "/v1/log/topics")
    if status != 200:
        raise Wrong("no-suite", f"The lens does not answer at {gateway()}: ./demo up")
    topic = next(t for t in answer["topics"] if t["name"] == "dead-letters")
    return {p["partition"]: int(p["end"]) for p in topic["partitions"]}


def new_letter(before):
    for partition, end in before.items():
        _, page = call(gateway(), "GET", f"/v1/log/topics/dead-letters/{partition}?from={end}&limit=100")
        for record in (page or {}).get("records", []):
            if record["kind"] == "record":
                return record
    return None


@verdict
def check(checker, work, scratch):
    before, shop = letters(), Shop()
    os.environ["LOG"] = str(checker.build / "workshop_log")
    run_script(work / "poison.sh")
    shop.register()
    shop.order(1)
    if shop.validated != 1:
        raise Wrong("stopped", "An order behind it is not decided any more.")
    letter = wait(lambda: new_letter(before), lambda: (
        "no-dead-letter", "An order behind it was decided, and there is no dead letter: nobody who answers for bad records has read one. In "
        "schemas/topics.json, who is `deadLetters` of the topic?"), seconds=15)
    value = letter["value"]
    place = f"{value['topic']}, partition {value['partition']}, offset {value['offset']}"
    return (f"A dead letter says what was wrong at {place}: {value['reason']}\nAn order behind it was decided as if nothing had been.\n"
            f"In the lens: {gateway()}/lens?topic={value['topic']}&partition={value['partition']}&offset={value['offset']}")
