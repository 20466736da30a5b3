"""Benchmarks of what is kept: how it is answered from, restored, and what it costs as it grows and is divided."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
import uuid
from statistics import median

from measure import CHECKS, column, flood_ours, kafka_streams, ratios, request_ms, taking_turns, tell
from world import Failed, ask, memory, say, wait_until

SERVICES = [*CHECKS, "customers"]


def fill(suite, count):
    """The view of orders has so many, that it took from its changelog."""
    if suite.filled < count:
        say(f"filling the view up to {count} orders")
        suite.stop("orders")
        suite.program("fill", "--from", suite.filled, "--count", count - suite.filled)
        suite.filled = count
        suite.start("orders")
        suite.wait_ready("orders-0", seconds=600)
    drain(suite)


def drain(suite):
    """Until all that there is has been handled."""
    keys = [key for name in CHECKS for key in suite.keys(name)]
    suite.wait_ready(*keys, seconds=600)
    wait_until(lambda: all(suite.metric(key, "insideout_input_lag_records") == 0 for key in keys), 600, "nothing is left to be handled")


def http(suite, count=1000000, turns=3, seconds=5):
    """What orders answers, with so many in its view."""
    suite.up(SERVICES)
    fill(suite, count)
    direct, gateway = f"http://127.0.0.1:{suite.port('orders-0')}", suite.env["GATEWAY_URL"]
    what = {"get": ("get", direct, 64), "getOverGateway": ("get", gateway, 64), "post64": ("post", direct, 64), "post512": ("post", direct, 512)}
    rows = {name: [] for name in what}
    for _ in taking_turns("http", turns):
        for name, (method, url, connections) in what.items():
            row = suite.program("http", method, url, "--count", count, "--connections", connections, "--seconds", seconds)
            if row["failed"]:
                say(f"{name}: {row['failed']} requests failed, the last with {row['lastStatus']}")
            rows[name].append(row | row.pop("ms"))
            drain(suite)
    result = {name: {field: column(rows[name], field) for field in ("perSecond", "p50", "p99", "failed")} for name in what}
    pages = [request_ms(suite, "orders-0", ["/v1/orders?limit=50"] * 200) for _ in range(turns)]
    return {"unit": f"GETs of one order a second, of {count}", "value": median(result["get"]["perSecond"]), "orders": count} | result | {
        "pageMs": {rank: column(pages, rank) for rank in ("p50", "p99")}} | long_polls(suite, direct, 10000)


def long_polls(suite, url, wanted):
    """How many an instance holds of so many, and the memory that they take."""
    before = memory(suite.pid("orders-0"))
    with suite.running("http", "polls", url, "--count", wanted) as clients:
        held = json.loads(clients.stdout.readline() or '{"open": 0}')["open"]
        megabytes = (memory(suite.pid("orders-0")) - before) / 1e6
        clients.stdin.close()
        clients.wait(60)
    return {"polls": held, "pollsMB": megabytes}


def restored(suite, count):
    """Records a second from the changelogs into an empty view, from the start of the process until it is ready."""
    suite.stop("orders")
    shutil.rmtree(suite.data / "views/orders-0")
    start = time.monotonic()
    suite.start("orders")
    suite.wait_ready("orders-0", seconds=900)
    taken = time.monotonic() - start
    records = suite.metric("orders-0", "insideout_restored_records_total")
    if records < count:
        raise Failed(f"orders has restored {records:.0f} of {count} records")
    return records / taken


def restored_by_streams(suite, count, written):
    """The same records into Kafka Streams' store, from the first of them until it runs: without what the JVM and the group take."""
    shutil.rmtree(suite.data / "streams/state", ignore_errors=True)
    with kafka_streams(suite, "restore") as jvm:
        if not written:
            suite.program("fill", "--topic", "peer-restore-kept-changelog", "--count", count)
        tell(jvm)
        said = json.loads(jvm.stdout.readline() or "{}")
        if said.get("records", 0) < count:
            raise Failed(f"Kafka Streams has restored {said}")
    return said["records"] / said["seconds"]


def restarted_ms(suite):
    suite.stop("orders")
    start = time.monotonic()
    suite.start("orders")
    suite.wait_ready("orders-0")
    return (time.monotonic() - start) * 1000


def outcome_of_new_order(port, deadline):
    """Until a new order has its outcome, as a client that repeats what was not answered."""
    body = json.dumps(order := {"id": f"over-{uuid.uuid4()}", "customerId": "bench-0000", "productId": "load-01", "quantity": 1, "priceCents": 1})
    for method, path, done in (("POST", "/v1/orders", (200, 201)), ("GET", f"/v1/orders/{order['id']}/validated?timeout=5000", (200,))):
        while ask(method, port, path, body if method == "POST" else None, timeout=10)[0] not in done:
            if time.monotonic() > deadline:
                raise Failed(f"no answer to {method} {path}")
            time.sleep(0.02)


def failed_over_seconds(suite):
    """One of two instances dies and stays dead: until 16 orders, sent at once and spread over all partitions, have outcomes."""
    def divided():
        return [suite.metric(f"orders-{n}", f"insideout_partitions_{what}") for n in (0, 1) for what in ("held", "owned")] == [4, 2, 4, 2]
    wait_until(divided, 120, "each of two instances owns two partitions and stands by for two")
    time.sleep(2)
    subprocess.run(["sv", "once", suite.data / "run/orders-1"], stdout=subprocess.DEVNULL, check=True)
    start = time.monotonic()
    os.kill(suite.pid("orders-1"), signal.SIGKILL)
    failed = []

    def one():
        try:
            outcome_of_new_order(suite.port("orders-0"), start + 60)
        except Failed as error:
            failed.append(error)
    threads = [threading.Thread(target=one) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.monotonic() - start
    subprocess.run(["sv", "up", suite.data / "run/orders-1"], stdout=subprocess.DEVNULL, check=True)
    suite.wait_ready("orders-1")
    if failed:
        raise failed[0]
    return taken


def restore(suite, count=1000000, turns=3):
    """A view that is lost, beside Kafka Streams with a store of the same records; a restart; a sudden death."""
    suite.up(SERVICES)
    fill(suite, count)
    rows = []
    for turn in taking_turns("restore", turns):
        rows.append({"ours": restored(suite, suite.filled), "theirs": restored_by_streams(suite, suite.filled, turn > 0)})
    drain(suite)
    restarts = [restarted_ms(suite) for _ in range(2 * turns)]
    say("two instances, one of which dies")
    suite.demo("scale", "orders", "2")
    try:
        failovers = [failed_over_seconds(suite) for _ in range(turns)]
    finally:
        suite.demo("scale", "orders", "1")
    ours, theirs = column(rows, "ours"), column(rows, "theirs")
    return {"unit": f"records/s, a view of {suite.filled} orders from its changelog", "value": median(ours),
            "peer": "Kafka Streams, a store of the same records", "peerValue": median(theirs), "ratio": median(ratios(ours, theirs)),
            "keys": suite.filled, "perSecond": ours, "peerPerSecond": theirs, "perSecondRatio": ratios(ours, theirs),
            "restartMs": restarts, "failoverSeconds": failovers}


def views(suite, count=1000000):
    """What an order costs when so many are there already: 10,000, and ten times as many, up to `count`."""
    suite.up(SERVICES, fresh=True)
    sizes, size, flooded = {}, 10000, 10000
    flood_ours(suite, flooded)  # the broker is warm behind it
    while size <= max(count, 10000):
        fill(suite, size - flooded)
        say(f"views, a flood on {size} orders")
        flood = flood_ours(suite, 50000)
        flooded += 50000
        sizes[str(size)] = {field: flood[field] for field in ("perSecond", "cpuMicroseconds", "peakBytes")}
        size *= 10
    last = list(sizes.values())[-1]
    return {"unit": f"µs of CPU time an order, with {size // 10} in the view", "value": sum(last["cpuMicroseconds"].values()), "sizes": sizes}


def scale(suite, count=40000):
    """A flood by how many partitions, and instances of each of the four services."""
    partitions = {}
    for number in (1, 4, 16):
        suite.up(SERVICES, partitions=number, fresh=True)
        partitions[str(number)] = {}
        for instances in (1, 2, 3):
            say(f"scale, {number} partitions, {instances} of each")
            if instances > 1:
                for name in CHECKS:
                    suite.demo("scale", name, str(instances))
            flood = flood_ours(suite, count)
            partitions[str(number)][str(instances)] = {field: flood[field] for field in ("perSecond", "cpuMicroseconds")}
    suite.has = None
    return {"unit": "orders/s, 4 partitions, one instance of each", "value": partitions["4"]["1"]["perSecond"], "partitions": partitions}


ALL = {f.__name__: f for f in (http, restore, views, scale)}
