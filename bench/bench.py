"""./demo bench: a suite's figures, each beside what a bare client, or Kafka Streams, gets from the same Kafka in the same run.
compose/native/bench.sh calls it, with ports and data for a suite of its own.

  bench.py [NAME…] [--count N] [--turns N] [--json]
  bench.py report [NAME…] [--count N] [--turns N]     into docs/PERFORMANCE.md (page.py), by default all of it

Exit codes: 0; 1 when one failed; 2 usage."""

import argparse
import inspect
import json
import os
import re
import statistics
import subprocess
import sys
import time

import measure
import page
import serving
import world

ALL = measure.ALL | serving.ALL

BY_DEFAULT = ["flood", "latency", "ratings", "positions", "lens"]
# What a report has, in this order, and how much: a whole one is a matter of half an hour on two cores.
REPORT = {"fresh": {}, "latency": {"count": 200, "seconds": 6, "turns": 5}, "streams": {"count": 120000, "turns": 5},
          "ratings": {"turns": 3}, "events": {"turns": 3}, "views": {}, "http": {}, "restore": {}, "scale": {"count": 30000}}


def arguments():
    parser = argparse.ArgumentParser(prog="./demo bench", allow_abbrev=False)
    parser.add_argument("name", nargs="*", metavar="NAME")
    parser.add_argument("--count", type=int)
    parser.add_argument("--turns", type=int)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)  # only whether it is called rightly
    a = parser.parse_args()
    a.report = a.name[:1] == ["report"]
    if a.report:
        a.name = a.name[1:] or list(REPORT)
    for name in a.name:
        if name not in ALL:
            parser.error(f"unknown benchmark '{name}'; there are: {' '.join(ALL)}, and before them: report")
    if any(n is not None and n < 1 for n in (a.count, a.turns)):
        parser.error("--count and --turns begin with 1")
    a.name = a.name or BY_DEFAULT
    return a


def run(suite, name, **options):
    """What a benchmark measured; what keeps it from that as `error`."""
    function = ALL[name]
    taken = inspect.signature(function).parameters
    started = time.monotonic()
    try:
        result = function(suite, **{k: v for k, v in options.items() if v is not None and k in taken})
    except (world.Failed, OSError, ValueError, KeyError, IndexError, ZeroDivisionError, subprocess.SubprocessError) as error:
        world.say(f"{name} failed: {error}")
        suite.has = None  # nobody knows what it left
        result = {"error": f"{type(error).__name__}: {error}" if not isinstance(error, world.Failed) else str(error)}
    return {"name": name} | result | {"seconds": time.monotonic() - started}


def rounded(value):
    if isinstance(value, float):
        return float(f"{value:.4g}") if abs(value) < 1000 else round(value)
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return [rounded(v) for v in value] if isinstance(value, list) else value


def spread(value):
    """Lists of numbers, one a turn, as their median, least and greatest."""
    if isinstance(value, dict):
        return {k: spread(v) for k, v in value.items() if k != "memoryMB" or not any(isinstance(p, list) for p in v.values())}
    if isinstance(value, list) and value and isinstance(value[0], (int, float)):
        return {"median": statistics.median(value), "min": min(value), "max": max(value)}
    return value


def show(result):
    if "error" in result:
        return f"{result['name']}: not measured: {result['error']}"
    head = f"{result['name']}: {result['value']} {result['unit']}"
    if "peer" in result:
        head += f"; {result['peer']}: {result['peerValue']}; ratio {result['ratio']}"
    rest = {k: v for k, v in result.items() if k not in ("name", "unit", "value", "peer", "peerValue", "ratio")}
    return "\n".join([head, *(f"  {k}: {json.dumps(v)}" for k, v in rest.items())])


def first_match(pattern, file):
    found = re.search(pattern, (world.ROOT / file).read_text())
    return found[1] if found else "unknown"


def output_of(*command):
    return subprocess.run(command, cwd=world.ROOT, text=True, capture_output=True, check=False).stdout.strip()


def surroundings():
    """What the figures are of: no names of people or hosts."""
    cpu = first_match(r"model name\s*: (.+)", "/proc/cpuinfo")
    kilobytes = int(first_match(r"MemTotal:\s*(\d+)", "/proc/meminfo"))
    return {"date": time.strftime("%Y-%m-%d", time.gmtime()),
            "versions": {"insideout": first_match(r"project\([^)]*VERSION (\S+?)[\s)]", "CMakeLists.txt") + " " +
                         output_of("git", "rev-parse", "--short=10", "HEAD"),
                         "Kafka": first_match(r"<kafka.version>([^<]+)", "compose/maven/pom.xml"),
                         "Kafka Streams": first_match(r"kafka-streams</artifactId>\s*<version>([^<]+)", "bench/peers/streams/pom.xml"),
                         "librdkafka": first_match(r"(?m)^BUILD=([0-9.]+)", "shared/cmake/librdkafka.sh") + ", patched",
                         "RocksDB": output_of("pkg-config", "--modversion", "rocksdb"),
                         "Java": java_version(),
                         "Linux": re.match(r"[\d.]*", os.uname().release)[0].rstrip(".")},
            "machine": {"processors": os.cpu_count(), "model": cpu, "memoryGB": round(kilobytes / 1e6)}}


def java_version():
    said = subprocess.run(["java", "-version"], text=True, capture_output=True, check=False).stderr
    found = re.search(r'version "([^"]+)"', said)
    return found[1] if found else "unknown"


def main():
    a = arguments()
    if a.check:
        return 0
    suite, here, results = world.Suite(), surroundings(), []
    for name in a.name:
        options = (REPORT.get(name, {}) if a.report else {}) | {k: v for k, v in (("count", a.count), ("turns", a.turns)) if v}
        results.append(rounded(run(suite, name, **options)))
        if a.report:  # as soon as it is there
            page.keep(results[-1], here)
    if a.report:
        page.write()
        world.say(f"written: {page.PAGE.relative_to(world.ROOT)}")
    elif a.json:
        print(json.dumps([spread(r) for r in results], indent=1))
    if not a.json:
        print("\n".join(show(spread(r)) for r in results))
    return 1 if any("error" in r for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
