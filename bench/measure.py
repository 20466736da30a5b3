"""The benchmarks. Each takes a suite and how much, and returns what it measured: numbers, and lists of numbers where it
took turns. `value` is the figure, `peerValue` what a bare client or Kafka Streams made of the same Kafka in the same run."""

import contextlib
import json
import os
import pathlib
import random
import subprocess
import time
from statistics import median

from world import CHECKS, SERVICES, Failed, Sampler, cpu_ms, memory, result_of, say


def column(rows, *path):
    """The same number of each turn."""
    for name in path:
        rows = [row[name] for row in rows]
    return rows


def ratios(ours, theirs):
    return [a / b for a, b in zip(ours, theirs)]


def taking_turns(name, turns):
    for turn in range(turns):
        say(f"{name}, turn {turn + 1} of {turns}")
        yield turn


# ---- orders ----

def by_service(of_instances, together):
    """{"orders-0": 1, "orders-1": 2} by `sum`: {"orders": 3}."""
    services = {}
    for key, value in of_instances.items():
        services.setdefault(key.rstrip("0123456789").rstrip("-"), []).append(value)
    return {name: together(values) for name, values in services.items()}


def flood_of(suite, begin, count, *arguments):
    """Requests that are in the log before anybody decides; `begin` starts who does, and returns their processes and what
    each has used before. CPU time tells more than the clock on a busy machine."""
    with suite.running("flood", "--hold", "--count", count, "--json", "--timeout", 300, *arguments) as flood:
        if flood.stdout.readline().strip() != "written":
            raise Failed("the flood was not written")
        kafka = suite.pid("kafka-0")
        before = cpu_ms(kafka)
        pids, used = begin()
        with Sampler(pids) as sampler:
            result = result_of(flood, "flood", 400)
    cpu = {"kafka": cpu_ms(kafka) - before} | {key: cpu_ms(pid) - used.get(key, 0) for key, pid in pids.items()}
    return {"perSecond": result["perSecond"], "cpuMicroseconds": {name: ms * 1000 / count for name, ms in by_service(cpu, sum).items()},
            "peakBytes": by_service({key: memory(pid, "VmHWM") for key, pid in pids.items()}, max),
            "memoryMB": by_service(sampler.points, lambda instances: instances[0])}


def flood_ours(suite, count):
    def begin():
        suite.start(*CHECKS)
        return suite.pids(CHECKS), {}
    suite.stop(*CHECKS)
    return flood_of(suite, begin, count)


def flood(suite, count=200000):
    suite.up()
    ours = flood_ours(suite, count)
    peer = suite.program("peer", "produce", "--count", count)["perSecond"]
    return {"unit": "orders/s", "value": ours["perSecond"], "peer": "an idempotent producer, records/s", "peerValue": peer,
            "ratio": ours["perSecond"] / peer} | {k: v for k, v in ours.items() if k not in ("perSecond", "memoryMB")}


@contextlib.contextmanager
def kafka_streams(suite, *mode):
    """A JVM that has made its topics, and begins at a line; what it says further comes from its output."""
    at, work = pathlib.Path(os.environ["STREAMS_DIR"]), suite.data / "streams"
    work.mkdir(parents=True, exist_ok=True)
    with open(work / "log", "a") as log, subprocess.Popen(
            ["java", "-Xms1g", "-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", f"{at}/classes:{at}/lib/*", "Peer", *mode],
            env=suite.env | {"STATE_DIR": str(work / "state")}, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log) as jvm:
        try:
            if jvm.stdout.readline().strip() != "topics":
                raise Failed(f"Kafka Streams did not start: {(work / 'log').read_text()[-300:]}")
            yield jvm
            jvm.stdin.close()
            jvm.wait(120)
        finally:
            if jvm.poll() is None:
                jvm.kill()


def tell(jvm):
    jvm.stdin.write("\n")
    jvm.stdin.flush()


def paced(suite, rate, seconds, *arguments):
    """From when a request was due until a committed reader had its outcome, by the same program for both."""
    return suite.program("flood", "--rate", rate, "--count", rate * seconds, *arguments)


def streams(suite, count=200000, turns=5, rate=1000, seconds=6):
    """Ours and Kafka Streams, in turns: a flood, and then, warm, orders at a rate."""
    suite.up()
    rows = []
    for _ in taking_turns("streams", turns):
        ours = flood_ours(suite, count) | {"pacedMs": paced(suite, rate, seconds)}
        with kafka_streams(suite) as jvm:
            def begin():
                used = {"streams": cpu_ms(jvm.pid)}
                tell(jvm)
                return {"streams": jvm.pid}, used
            theirs = flood_of(suite, begin, count, "--peer") | {"pacedMs": paced(suite, rate, seconds, "--peer")}
        rows.append({"ours": ours, "theirs": theirs})
    say("streams, the audit")
    ours, theirs = column(rows, "ours"), column(rows, "theirs")

    def cpu(side):
        return [sum(row["cpuMicroseconds"].values()) for row in side]

    def ms(side):
        return {rank: column(side, "pacedMs", rank) for rank in ("p50", "p99")}

    def by_process(side):
        return {name: column(side, "cpuMicroseconds", name) for name in side[0]["cpuMicroseconds"]}
    return {"unit": "orders/s", "value": median(column(ours, "perSecond")),
            "peer": "Kafka Streams with the same checks, exactly once, on the same Kafka", "peerValue": median(column(theirs, "perSecond")),
            "ratio": median(ratios(column(ours, "perSecond"), column(theirs, "perSecond"))), "orders": count,
            "perSecond": column(ours, "perSecond"), "peerPerSecond": column(theirs, "perSecond"),
            "perSecondRatio": ratios(column(ours, "perSecond"), column(theirs, "perSecond")),
            "cpuRatio": ratios(cpu(ours), cpu(theirs)), "pacedMs": ms(ours), "peerPacedMs": ms(theirs),
            "pacedRatio": {rank: ratios(ms(ours)[rank], ms(theirs)[rank]) for rank in ("p50", "p99")},
            "cpuMicroseconds": by_process(ours), "peerCpuMicroseconds": by_process(theirs),
            "peakBytes": {name: column(ours, "peakBytes", name) for name in ours[0]["peakBytes"]},
            "peerPeakBytes": column(theirs, "peakBytes", "streams"),
            "memoryMB": ours[-1]["memoryMB"] | {"Kafka Streams": theirs[-1]["memoryMB"]["streams"]},
            "audit": suite.audit()}


def latency(suite, count=300, turns=5, seconds=10):
    """Ours, then three bare transactions, and again: what is compared was measured within a minute."""
    suite.up()
    rows = []
    for _ in taking_turns("latency", turns):
        paces = suite.program("latency", "--count", count, "--seconds", seconds, "--json")
        rows.append({"alone" if pace["rate"] == 0 else str(pace["rate"]): pace["outcomeMs"] for pace in paces} |
                    suite.program("peer", "wide", "--count", count) | {"bare": suite.program("peer", "chain", "--count", count)})

    def ms(who):
        return {rank: column(rows, who, rank) for rank in ("p50", "p90", "p99", "p99.9")}
    paces = [who for who in rows[0] if who not in ("bare", "narrow", "wide")]
    return {"unit": "ms from POST to the outcome, one at a time, p50", "value": median(column(rows, "alone", "p50")),
            "peer": "three bare transactions, one after the other", "peerValue": median(column(rows, "bare", "p50")),
            "ratio": median(ratios(column(rows, "alone", "p50"), column(rows, "bare", "p50"))),
            "outcomeMs": {who: ms(who) for who in paces}, "bareMs": ms("bare"),
            "toBare": {rank: ratios(column(rows, "alone", rank), column(rows, "bare", rank)) for rank in ("p50", "p99")},
            "toOneAtATime": {who: {rank: ratios(column(rows, who, rank), column(rows, "alone", rank)) for rank in ("p50", "p99")}
                             for who in paces if who != "alone"},
            "bareOverTwelvePartitionsToOne": {rank: ratios(column(rows, "wide", rank), column(rows, "narrow", rank))
                                              for rank in ("p50", "p99")}}


def fresh(suite):
    """The memory of each process of the suite that has just started."""
    suite.up(fresh=True)
    time.sleep(5)
    megabytes = {name: memory(pid) / 1e6 for name, pid in suite.pids(SERVICES).items()}
    return {"unit": "MB, the largest service of a fresh suite", "value": max(megabytes.values()), "memoryMB": megabytes}


# ---- others ----

def ratings(suite, count=2000000, turns=1):
    """Ratings that are in the log, counted by a process of the benchmark's own on a fresh view, while the suite's are
    stopped."""
    suite.up()
    rows = []
    suite.stop("ratings")
    for _ in taking_turns("ratings", turns):
        rows.append(suite.program("ratings", "--count", count, "--json"))
    suite.start("ratings")
    counted = column(rows, "counted")
    return {"unit": "ratings/s, counted exactly once", "value": median(column(counted, "perSecond")),
            "peer": "a bare consumer of the same records, records/s", "peerValue": median(column(counted, "peerPerSecond")),
            "ratio": median(column(counted, "ratio")), "perSecond": column(counted, "perSecond"),
            "peerPerSecond": column(counted, "peerPerSecond"), "perSecondRatio": column(counted, "ratio"),
            "peakBytes": column(counted, "peakRssBytes"), "cpuMicroseconds": column(rows, "cpuMicrosecondsPerRating"),
            "hydrated": {name: column(rows, "hydrated", name) for name in rows[0]["hydrated"]}}


def positions(suite, count=5000):
    """Cars that report once a second each, into the topic; a bare consumer reads along. Then the same over HTTP."""
    suite.up()
    with following(suite, "driver-positions") as follower:
        topic = suite.program("positions", "--cars", count, "--json")
        follower.terminate()
        bare = result_of(follower, "peer")["cpuMicroseconds"] * topic["perSecond"] / 10000
    over_http = suite.program("positions", "--cars", count, "--http", "--json")

    def cpu(result):
        return {p["name"]: p["cpuPercent"] for p in result["processes"]}
    return {"unit": f"% of a core, driver, with {count} reports a second", "value": cpu(topic)["driver"],
            "peer": "a bare consumer of the same records", "peerValue": bare, "ratio": cpu(topic)["driver"] / bare,
            "cpuPercent": cpu(topic), "rssBytes": {p["name"]: p["rssBytes"] for p in topic["processes"]},
            "http": {"perSecond": over_http["perSecond"], "lost": over_http["lost"], "cpuPercent": cpu(over_http),
                     "acceptedMs": over_http["acceptedMs"]}}


@contextlib.contextmanager
def following(suite, topic, *arguments):
    """A bare consumer that has found the topic's end."""
    with suite.running("peer", "follow", topic, *arguments) as follower:
        if follower.stdout.readline() != "ready\n":
            raise Failed(f"no consumer follows {topic}")
        yield follower


def events(suite, count=3000000, turns=1, readers=4):
    """Avro events into the log by one process, and out of it to four at the same time."""
    suite.up()
    suite.stop("clickstream")
    rows = []
    for _ in taking_turns("events", turns):
        with contextlib.ExitStack() as stack:
            followers = [stack.enter_context(following(suite, "clickstream", "--count", count)) for _ in range(readers)]
            written = suite.program("clicks", "--count", count)
            rows.append({"in": written["perSecond"], "out": sum(result_of(f, "peer")["perSecond"] for f in followers)})
    return {"unit": "Avro events/s into the log", "value": median(column(rows, "in")), "inPerSecond": column(rows, "in"),
            "outPerSecond": column(rows, "out"), "readers": readers}


def request_ms(suite, key, paths):
    """Requests one after the other, on a connection each."""
    taken = []
    for path in paths:
        start = time.monotonic()
        status, _ = suite.get(key, path, timeout=60)
        taken.append((time.monotonic() - start) * 1000)
        if status != 200:
            raise Failed(f"GET {path}: {status}")
    return {"p50": median(taken), "p99": sorted(taken)[len(taken) * 99 // 100], "max": max(taken)}


def lens(suite, count=10000000):
    """A log of so many ratings: the first page of a partition, jumps in it, a key's story; beside an empty answer."""
    suite.up()
    topic, lens_0 = "/v1/log/topics/raw-ratings/0", "lens-0"
    suite.program("load", "ratings", "--direct", "--rate", 50000, "--count", count, "--json", timeout=count / 10000 + 300)

    def answer(path):
        return json.loads(suite.get(lens_0, path, timeout=60)[1] or "{}")
    deadline = time.monotonic() + 900  # until its index has it all
    while not answer("/v1/log/keys/1").get("complete") and time.monotonic() < deadline:
        time.sleep(1)
    page = answer(f"{topic}?from=first&limit=1")
    end, first, last = page["end"], page["records"][0]["timestamp"], time.time() * 1000

    def ms(path):
        return request_ms(suite, lens_0, (path() for _ in range(50)))
    empty, first_page = ms(lambda: "/livez"), ms(lambda: topic)
    return {"unit": f"ms for the first page of {count} records, p50", "value": first_page["p50"],
            "peer": "an empty answer of the same service", "peerValue": empty["p50"], "ratio": first_page["p50"] / empty["p50"],
            "pageMs": first_page, "offsetMs": ms(lambda: f"{topic}?from={random.randrange(max(1, end - 100))}"),
            "timeMs": ms(lambda: f"{topic}?from=@{random.uniform(first, last):.0f}"), "storyMs": ms(lambda: "/v1/log/keys/1"),
            "peakBytes": memory(suite.pid(lens_0), "VmHWM")}


ALL = {f.__name__: f for f in (flood, latency, ratings, events, positions, lens, streams, fresh)}
