#!/usr/bin/env python3
"""Draws docs/topology.md, web/topology.json for the first page, and web/asyncapi.yaml, from what the services say of
themselves with --topology.

usage: docs/topology.py BUILD_DIR            writes the files
       docs/topology.py BUILD_DIR --check    exit 1 where a file says something else
"""

import functools
import json
import pathlib
import subprocess
import sys

import asyncapi

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/topology.md"
GRAPH = ROOT / "web/topology.json"
TOPICS = ROOT / "web/asyncapi.yaml"
LEGEND = """# Data flow

Generated from the services' `--topology` and the catalogue of topics (`docs/topology.py`); a test keeps it true.

Boxes are services, rounded ones topics. A solid arrow into a service is an input that it handles, a dotted one a table
that it keeps a replica of; HTTP writes to topics and reads from tables. Left out: changelogs, and `dead-letters`,
which every topology may write to.

"""


@functools.cache  # each is asked once, whatever is drawn of it
def said(build):
    """(name, paths, topologies, deliveries) of each service."""
    return list(ask(build))


def ask(build):
    rows = [line.split("\t") for line in (ROOT / "services/services.tsv").read_text().splitlines() if not line.startswith("#")]
    for name, binary, _, paths in rows:
        graph = json.loads(subprocess.run([build / binary, "--topology"], check=True, capture_output=True, text=True).stdout)
        yield name, paths.replace("!", ""), graph["topologies"], graph["deliveries"]


def services(build):
    return (row[:3] for row in said(build))


def node(name):
    return name.replace("-", "_")


def edges(build, catalogue):
    writers = {}
    for topic in catalogue:
        for writer in topic["writers"]:
            writers.setdefault(writer, set()).add(topic["name"])
    for name, paths, topologies in services(build):
        box, derived = f'{node(name)}["{name}"]', set()
        changelogs = {view["changelog"] for t in topologies for view in t["views"]}
        for t in topologies:
            for source in t["sources"]:
                if source["handled"]:
                    yield f't_{node(source["topic"])}(["{source["topic"]}"]) --> {box}'
            for table in t["tables"]:
                yield f't_{node(table["topic"])}(["{table["topic"]}"]) -.-> {box}'
            derived |= set(t["outputs"]) | {v["changelog"] for v in t["views"] if not is_internal(catalogue, v["changelog"])}
        if paths != "-":
            yield f'http_{node(name)}(("HTTP {paths}")) <--> {box}'
        # what routes write is in the catalogue and in no topology
        for topic in sorted(derived) + sorted(writers.get(name, set()) - derived - changelogs - {"dead-letters"}):
            yield f'{box} --> t_{node(topic)}(["{topic}"])'
    for topic in sorted(writers.get("connect", ())):
        yield f'postgres[("legacy PostgreSQL")] --> connect["Kafka Connect"] --> t_{node(topic)}(["{topic}"])'


def is_internal(catalogue, topic):
    return next(t.get("internal", False) for t in catalogue if t["name"] == topic)


def table(build):
    yield "| topology | inputs | views (changelog) | tables | outputs |"
    yield "|---|---|---|---|---|"
    for name, _, topologies in services(build):
        for t in topologies:
            title = name if t["name"] == name else f"{name}: {t['name']}"
            columns = [[s["topic"] for s in t["sources"]], [f"{v['name']} ({v['changelog']})" for v in t["views"]],
                       [f"{r['name']}" for r in t["tables"]], t["outputs"]]
            yield f"| {title} | " + " | ".join(", ".join(column) or "–" for column in columns) + " |"


def page(build):
    catalogue = json.loads((ROOT / "schemas/topics.json").read_text())["topics"]
    lines = list(dict.fromkeys(edges(build, catalogue)))
    return LEGEND + "```mermaid\nflowchart LR\n" + "".join(f"    {line}\n" for line in lines) + "```\n\n" + "\n".join(table(build)) + "\n"


def graph(build):
    """The same for a page: changelogs that nobody else reads are left out."""
    catalogue = json.loads((ROOT / "schemas/topics.json").read_text())["topics"]
    boxes = []
    for name, paths, topologies in services(build):
        if not topologies and paths.startswith("/v1/log"):
            continue  # the lens reads everything
        changelogs = {v["changelog"] for t in topologies for v in t["views"]}
        reads = {s["topic"] for t in topologies for s in t["sources"] if s["handled"]} | {r["topic"] for t in topologies for r in t["tables"]}
        writes = {t["name"] for t in catalogue if name in t["writers"]} | {topic for t in topologies for topic in t["outputs"]}
        boxes.append({"name": name, "groups": [t["name"] for t in topologies], "views": sorted(({"name": v["name"], "topic": v["changelog"]} for t in topologies for v in t["views"]), key=lambda v: v["name"]),
                      "changelogs": sorted(changelogs), "reads": sorted(reads), "writes": sorted((writes | changelogs) - {"dead-letters"})})
    boxes.append({"name": "connect", "groups": [], "views": [], "changelogs": [], "reads": [],
                  "writes": sorted(t["name"] for t in catalogue if "connect" in t["writers"])})
    others = {topic: {b["name"] for b in boxes if topic in b["reads"] or topic in b["writes"]} for b in boxes for topic in b["reads"] + b["writes"]}
    shown = sorted(t["name"] for t in catalogue if t["name"] in others and (not t.get("internal") or len(others[t["name"]]) > 1))
    for box in boxes:
        box["reads"] = [topic for topic in box["reads"] if topic in shown]
        box["writes"] = [topic for topic in box["writes"] if topic in shown]
        del box["changelogs"]
    return json.dumps({"services": boxes, "topics": shown}, indent=1) + "\n"


def topics(build):
    catalogue = json.loads((ROOT / "schemas/topics.json").read_text())["topics"]
    return asyncapi.document(build, catalogue, [(name, topologies, deliveries) for name, _, topologies, deliveries in said(build)])


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--check"]):
        sys.exit(__doc__)
    build = pathlib.Path(sys.argv[1]).resolve()
    for path, text in ((PAGE, page(build)), (GRAPH, graph(build)), (TOPICS, topics(build))):
        if not sys.argv[2:]:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.exit(f"{path.relative_to(ROOT)} is not what the services say: run docs/topology.py {sys.argv[1]}")


if __name__ == "__main__":
    main()
