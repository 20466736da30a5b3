#!/usr/bin/env python3
"""Draws docs/topology.md from what the services say of themselves with --topology.

usage: docs/topology.py BUILD_DIR            writes the file
       docs/topology.py BUILD_DIR --check    exit 1 where the file says something else
"""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/topology.md"
LEGEND = """# Data flow

Generated from the services' `--topology` and the catalogue of topics (`docs/topology.py`); a test keeps it true.

Boxes are services, rounded ones topics. A solid arrow into a service is an input that it handles, a dotted one a table
that it keeps a replica of; HTTP writes to topics and reads from tables. Left out: changelogs, and `dead-letters`,
which every topology may write to.

"""


def services(build):
    rows = [line.split("\t") for line in (ROOT / "services/services.tsv").read_text().splitlines() if not line.startswith("#")]
    for name, binary, _, paths in rows:
        said = subprocess.run([build / binary, "--topology"], check=True, capture_output=True, text=True).stdout
        yield name, paths.replace("!", ""), json.loads(said)["topologies"]


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


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--check"]):
        sys.exit(__doc__)
    text = page(pathlib.Path(sys.argv[1]).resolve())
    if sys.argv[2:]:
        if not PAGE.exists() or PAGE.read_text() != text:
            sys.exit(f"{PAGE.relative_to(ROOT)} is not what the services say: run docs/topology.py {sys.argv[1]}")
    else:
        PAGE.write_text(text)


if __name__ == "__main__":
    main()
