#!/usr/bin/env python3
"""Runs the three stages of the refactoring under the same load, while the customers service is slowed and killed.

usage: run.py BUILD_DIR [--seconds N] [--rate N] [--svg FILE]

Each stage is the same four boxes. For N seconds each (2): all is well; customers takes 400 ms for an answer; it is
killed; it is back. Prints a table and what it says, and draws FILE. Needs KAFKA_BROKERS. ./demo lab refactoring
"""

import argparse
import concurrent.futures
import difflib
import http.client
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import xml.sax.saxutils

HERE = pathlib.Path(__file__).resolve().parent
PHASES = ["well", "slow", "dead", "back"]
SLOW_MS = 400
DRAIN_S = 60  # what is on its way when the load ends
LATE_S = 1    # a shipment that a person would notice

# Whom each box asks by address, and what it writes and reads. $NAME: a port; +NAME: a topic.
STAGES = {
    "a-rpc": {
        "title": "a: RPC",
        "boxes": {"webserver": "$webserver $orders", "orders": "$orders $shipping", "shipping": "$shipping $customers",
                  "customers": "$customers"},
        "sources": ["a-rpc/orders.c", "a-rpc/shipping.c", "a-rpc/customers.c"],
    },
    "b-events": {
        "title": "b: Order Created",
        "boxes": {"webserver": "$webserver $orders", "orders": "$orders BROKERS +orders", "shipping": "BROKERS +orders $customers",
                  "customers": "$customers"},
        "sources": ["b-events/orders.c", "b-events/shipping.c", "a-rpc/customers.c"],
    },
    "c-replica": {
        "title": "c: Customer Updated",
        "boxes": {"webserver": "$webserver $orders", "orders": "$orders BROKERS +orders", "shipping": "BROKERS +orders +customers",
                  "customers": "$customers BROKERS +customers"},
        "sources": ["b-events/orders.c", "c-replica/shipping.c", "c-replica/customers.c"],
    },
}


def free_ports(names):
    held = {}
    for name in names:
        held[name] = socket.create_server(("127.0.0.1", 0))
    ports = {name: s.getsockname()[1] for name, s in held.items()}
    for s in held.values():
        s.close()
    return ports


def is_open(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"refactoring: {what}: not within {seconds} s")
        time.sleep(0.02)


class Stage:
    """The boxes of a stage, running. `shipped`: when each order was, by its id."""

    def __init__(self, build, name, topics):
        self.build, self.name, self.topics = build / "workshop/refactoring" / name, name, topics
        self.boxes = STAGES[name]["boxes"]
        self.ports = free_ports(self.boxes)
        self.processes, self.shipped = {}, {}

    def __enter__(self):
        for box in reversed(self.boxes):
            self.start(box)
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            process.kill()
            process.wait()

    def argument(self, word):
        if word == "BROKERS":
            return os.environ["KAFKA_BROKERS"]
        return str(self.ports[word[1:]]) if word[0] == "$" else self.topics + word[1:]

    def start(self, box):
        words = self.boxes[box].split()
        process = subprocess.Popen([self.build / box, *map(self.argument, words)], text=True,
                                   stdout=subprocess.PIPE if box == "shipping" else subprocess.DEVNULL)
        self.processes[box] = process
        if box == "shipping":
            threading.Thread(target=self.listen, args=(process.stdout,), daemon=True).start()
        if words[0] == f"${box}":
            wait_until(lambda: is_open(self.ports[box]), 30, f"{self.name}: {box} listens")

    def listen(self, lines):
        for line in lines:
            self.shipped.setdefault(line.split()[0], time.monotonic())

    def ask(self, box, method, path, body=None, timeout=10):
        """The status, or None where nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[box], timeout=timeout)
        try:
            connection.request(method, path, body)
            return connection.getresponse().status
        except OSError:
            return None
        finally:
            connection.close()

    def trouble(self, phase):
        """What happens to customers as a phase begins."""
        if phase == "slow":
            self.ask("customers", "PUT", f"/slow/{SLOW_MS}")
        elif phase == "dead":
            self.processes["customers"].kill()
            self.processes["customers"].wait()
        elif phase == "back":
            self.start("customers")


class Order:
    def __init__(self, n, due):
        self.id, self.customer, self.due, self.answered, self.status = f"o-{n}", f"c-{n % 100}", due, None, None


def load(stage, seconds, rate):
    """Open: what is due is sent, whether what came before was answered or not."""
    wait_until(lambda: stage.ask("webserver", "POST", "/orders/warm", "c-1") == 201, 60, f"{stage.name}: the first order is taken")
    wait_until(lambda: "warm" in stage.shipped, 60, f"{stage.name}: the first order is shipped")
    begin = time.monotonic() + 0.1
    orders = [Order(n, begin + n / rate) for n in range(len(PHASES) * seconds * rate)]

    def send(order):
        order.status = stage.ask("webserver", "POST", f"/orders/{order.id}", order.customer)
        order.answered = time.monotonic()

    def disturb():
        for n, phase in enumerate(PHASES):
            time.sleep(max(0, begin + n * seconds - time.monotonic()))
            stage.trouble(phase)

    disturber = threading.Thread(target=disturb)
    disturber.start()
    with concurrent.futures.ThreadPoolExecutor(128) as pool:
        for order in orders:
            time.sleep(max(0, order.due - time.monotonic()))
            pool.submit(send, order)
    disturber.join()
    taken = [o for o in orders if o.status == 201]
    deadline = time.monotonic() + DRAIN_S
    while any(o.id not in stage.shipped for o in taken) and time.monotonic() < deadline:
        time.sleep(0.05)
    return begin, orders


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def changed_lines(before, after):
    """Lines that go or come, over files of the same role."""
    return sum(line[0] in "+-" and line[:3] not in ("+++", "---")
               for a, b in zip(before, after)
               for line in difflib.unified_diff((HERE / a).read_text().splitlines(), (HERE / b).read_text().splitlines(), n=0))


def knows(boxes):
    pairs = [f"{box}→{word[1:]}" for box, words in boxes.items() for word in words.split() if word[0] == "$" and word != f"${box}"]
    return " ".join(pairs)


class Result:
    def __init__(self, stage, name, begin, orders, before):
        self.name, self.title, self.begin, self.orders = name, STAGES[name]["title"], begin, orders
        self.taken = [o for o in orders if o.status == 201]
        self.shipped_at = {o.id: stage.shipped[o.id] for o in self.taken if o.id in stage.shipped}
        self.lost = len(self.taken) - len(self.shipped_at)
        self.answers = [(o.answered - o.due) * 1000 for o in orders]
        self.ways = [self.shipped_at[o.id] - o.due for o in self.taken if o.id in self.shipped_at]
        self.late = sum(way > LATE_S for way in self.ways)
        self.changed = changed_lines(STAGES[before]["sources"], STAGES[name]["sources"]) if before else 0
        self.knows = knows(STAGES[name]["boxes"])

    def row(self):
        return (f"{self.title:20} {len(self.orders):6} {len(self.taken):6} {len(self.orders) - len(self.taken):8} {len(self.shipped_at):8} "
                f"{self.late:5} {self.lost:5} {percentile(self.answers, .5):8.0f} {percentile(self.answers, .99):8.0f} {max(self.ways, default=0):9.1f}   {self.changed:7}")

    def sentence(self):
        refused = len(self.orders) - len(self.taken)
        return (f"{self.title}: " + ("orders were refused" if refused else "every order was taken") + ", "
                + (f"{self.lost} were lost" if self.lost else "each of them was shipped") + ", "
                + ("some of them late" if self.late else "and none of them late"))


# ---- the picture ----

WIDTH, PANEL, LEFT, STEP = 900, 150, 50, 0.5


def panel(result, n, seconds, rate):
    top, total = 40 + n * (PANEL + 50), len(PHASES) * seconds + 6
    x = lambda t: LEFT + (WIDTH - LEFT - 10) * min(t, total) / total
    y = lambda value: top + PANEL - PANEL * min(value, 2 * rate) / (2 * rate)

    def line(times, colour, kind):
        counts = [0] * int(total / STEP)
        for t in times:
            if 0 <= t - result.begin < total:
                counts[int((t - result.begin) / STEP)] += 1
        points = " ".join(f"{x((k + .5) * STEP):.1f},{y(c / STEP):.1f}" for k, c in enumerate(counts))
        return f'<polyline class="{kind}" points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>'

    parts = [f'<text x="{LEFT}" y="{top - 10}" font-weight="700">{xml.sax.saxutils.escape(result.title)}</text>']
    for k, (phase, shade) in enumerate(zip(PHASES, ("none", "#f29d0b", "#e2372f", "none"))):
        parts.append(f'<rect x="{x(k * seconds):.1f}" y="{top}" width="{x(seconds) - x(0):.1f}" height="{PANEL}" fill="{shade}" fill-opacity="0.13"/>'
                     f'<text class="label" x="{x(k * seconds) + 6:.1f}" y="{top + 14}" font-size="12">customers: {phase}</text>')
    parts.append(f'<path d="M{LEFT} {top}V{top + PANEL}H{WIDTH - 10}" fill="none" stroke="#7b827e"/>')
    parts.append(f'<text class="label" x="{LEFT - 6}" y="{y(rate) + 4:.1f}" font-size="12" text-anchor="end">{rate}/s</text>')
    parts.append(line([o.answered for o in result.taken], "#17ad66", "taken"))
    parts.append(line(result.shipped_at.values(), "#f26322", "shipped"))
    return "\n".join(parts)


def picture(results, seconds, rate):
    height = 40 + len(results) * (PANEL + 50)
    keys = (f'<text x="{WIDTH - 10}" y="16" text-anchor="end" font-size="13"><tspan fill="#17ad66" class="key-taken">━ orders taken</tspan>'
            '   <tspan fill="#f26322" class="key-shipped">━ orders shipped</tspan></text>')
    body = "\n".join(panel(r, n, seconds, rate) for n, r in enumerate(results))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'font-family="system-ui, sans-serif" font-size="15" fill="#545b60">\n{keys}\n{body}\n</svg>\n')


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].removeprefix("usage: "))
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rate", type=int, default=25)
    parser.add_argument("--svg", type=pathlib.Path)
    args = parser.parse_args()
    build = args.build.resolve()
    if args.seconds < 1 or args.rate < 1:
        parser.error("--seconds and --rate are at least 1")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    prefix = f"lab-refactoring-{os.getpid()}-"
    log = lambda *words: subprocess.run([build / "workshop/workshop_log", *words], check=True, stdout=subprocess.DEVNULL)
    results, before = [], None
    try:
        for name in STAGES:
            topics = f"{prefix}{name}-"
            for topic in {word[1:] for words in STAGES[name]["boxes"].values() for word in words.split() if word[0] == "+"}:
                log("create", topics + topic, "1")
            with Stage(build, name, topics) as stage:
                print(f"{STAGES[name]['title']}: {len(PHASES) * args.seconds * args.rate} orders …", file=sys.stderr, flush=True)
                results.append(Result(stage, name, *load(stage, args.seconds, args.rate), before))
            before = name
    finally:
        log("forget", prefix)

    print(f"{'':20} {'orders':>6} {'taken':>6} {'refused':>8} {'shipped':>8} {'late':>5} {'lost':>5} {'p50 ms':>8} {'p99 ms':>8} {'slowest s':>9}   {'changed':>7}")
    for result in results:
        print(result.row())
    print("\nwho knows whom")
    for result in results:
        print(f"{result.title:20} {result.knows}")
    print()
    for result in results:
        print(result.sentence())
    if args.svg:
        args.svg.parent.mkdir(parents=True, exist_ok=True)
        args.svg.write_text(picture(results, args.seconds, args.rate))
        print(f"\nthe plot: {args.svg}")


if __name__ == "__main__":
    main()
