"""Runs the script in a copy of the clone, and looks whether what comes of it is whole: it generates, compiles, links, and says
what it is."""

import json
import shutil
import subprocess

from kafka import Wrong
from suite_http import ROOT, gateway, verdict

COPIED = ["schemas", "services", "web", "workshop/exercises", "workshop/schemas"]


def catalogue_is_right(root):
    if not (root / "schemas/Loyalty.avsc").exists():
        raise Wrong("no-schema", "schemas/ has no Loyalty.avsc.")
    catalogue = json.loads((root / "schemas/topics.json").read_text())
    topics = {t["name"]: t for t in catalogue["topics"]}
    if "loyalty" not in catalogue["services"]:
        raise Wrong("no-topic", "schemas/topics.json: loyalty is none of the services.")
    for name, cleanup in (("loyalty", "compact"), ("loyalty-orders", "delete")):
        topic = topics.get(name)
        if topic is None:
            raise Wrong("no-topic", f"schemas/topics.json has no topic {name}.")
        if topic["cleanup"] != cleanup or "loyalty" not in topic["writers"] or "loyalty" not in topic["readers"]:
            raise Wrong("no-topic", f"schemas/topics.json: {name} has cleanup {cleanup}, and is written and read by loyalty.")
    for name in ("orders", "customers"):
        if "loyalty" not in topics[name]["readers"]:
            raise Wrong("no-readers", f"schemas/topics.json: loyalty reads {name}, and is none of its readers: whoever changes that topic "
                        "would not know of it.")


def service_is_listed(root):
    rows = [line.split("\t") for line in (root / "services/services.tsv").read_text().splitlines() if not line.startswith("#")]
    mine = next((r for r in rows if r[0] == "loyalty"), None)
    if mine is None:
        raise Wrong("no-service", "services/services.tsv has no line of loyalty.")
    if len(mine) != 4 or mine[1] != "services/loyalty/loyalty" or "/v1/loyalty" not in mine[3]:
        raise Wrong("no-service", f"services/services.tsv: {mine} are not name, binary, index and paths.")
    others = [r[0] for r in rows if r[2] == mine[2] and r is not mine]
    if others:
        raise Wrong("no-ports", f"services/services.tsv: index {mine[2]} is that of {others[0]}: both would listen at its ports.")


def it_builds(checker, root, scratch):
    done = checker.run(["python3", ROOT / "shared/events/codegen.py", root / "schemas", scratch / "schemas"], root)
    if done.returncode:
        raise Wrong("no-topic", f"The schemas cannot be generated: {done.stderr.strip()}")
    sources = [*sorted((root / "services/loyalty").glob("*.c")), scratch / "schemas/schemas.gen.c"]
    trouble = checker.compile(sources, scratch / "loyalty", *checker.flags("service"), first=[f"-I{scratch}"])
    if trouble:
        raise Wrong(trouble.name, trouble.text)
    graph = json.loads(checker.run([scratch / "loyalty", "--topology"], scratch).stdout)
    return [t["name"] for t in graph["topologies"]]


@verdict
def check(checker, work, scratch):
    root = scratch / "clone"
    for directory in COPIED:
        shutil.copytree(ROOT / directory, root / directory, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    added = (root / "services/loyalty").exists()
    if not added:
        done = subprocess.run(["sh", work / "add.sh"], cwd=root, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise Wrong("stopped", f"The script ends with {done.returncode}: {done.stderr.strip()}")
    catalogue_is_right(root)
    service_is_listed(root)
    for name in ("web/loyalty.html", "web/js/loyalty.js", "services/loyalty/CMakeLists.txt", "services/loyalty/main.c"):
        if not (root / name).exists():
            raise Wrong("no-page" if name.startswith("web") else "no-service", f"There is no {name}.")
    names = it_builds(checker, root, scratch)
    if added:
        return f"Your clone has it: {', '.join(names)}. ./demo up starts it; {gateway()}/loyalty is its page."
    return (f"In a copy of your clone it is whole, and builds: {', '.join(names)}.\nNow in the clone itself, and it runs in the suite:\n"
            f"    (cd {ROOT} && sh {work}/add.sh && ./demo up)\nIts page: {gateway()}/loyalty. Then ./demo kill loyalty, and ask again.")
