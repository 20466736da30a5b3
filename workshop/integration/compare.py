#!/usr/bin/env python3
"""Orders tells shipping of three orders, in four ways. In each, one of the two is killed at the worst moment and started
again; then a field changes: `address` becomes `street` and `city`.

usage: compare.py BUILD_DIR      Needs KAFKA_BROKERS and REGISTRY_URL. ./demo lab integration
"""

import collections
import csv
import http.server
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request

ORDERS = {"o-1": "1 Analytical Row", "o-2": "2 Compiler Court", "o-3": "3 Relation Street"}


def killed(program, *args):
    """Runs it in a process of its own, which kills itself on the way; then again, without."""
    for crash in (True, False):
        pid = os.fork()
        if pid == 0:
            program(*args, crash)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status) == crash, f"{program.__name__}: {status}"


def die(crash):
    if crash:
        os.kill(os.getpid(), signal.SIGKILL)


def told(shipped):
    """What became of the orders, from (id, address) of each shipment."""
    counts = collections.Counter(id for id, _ in shipped)
    wrong = ([f"{id} was not shipped" for id in ORDERS if counts[id] == 0] + [f"{id} was shipped {n} times" for id, n in counts.items() if n > 1]
             + [f"{id} was shipped to '{address}'" for id, address in shipped if address != ORDERS[id]])
    return ", ".join(wrong) or "each was shipped once"


# ---- one database for both ----

class Database:
    name, crash = "shared database", "shipping, between its two writes"

    def __init__(self, directory):
        self.file = directory / "shop.db"
        with sqlite3.connect(self.file) as db:
            db.execute("CREATE TABLE orders (id TEXT PRIMARY KEY, address TEXT, shipped INT DEFAULT 0)")
            db.execute("CREATE TABLE shipments (id TEXT, address TEXT)")
            db.executemany("INSERT INTO orders (id, address) VALUES (?, ?)", ORDERS.items())

    def ship(self, crash=False):
        with sqlite3.connect(self.file) as db:
            for id, address in db.execute("SELECT id, address FROM orders WHERE NOT shipped").fetchall():
                db.execute("INSERT INTO shipments VALUES (?, ?)", (id, address))
                die(crash)
                db.execute("UPDATE orders SET shipped = 1 WHERE id = ?", (id,))

    def after_a_crash(self):
        killed(self.ship)
        with sqlite3.connect(self.file) as db:
            return told(db.execute("SELECT id, address FROM shipments").fetchall())

    def after_a_change(self):
        with sqlite3.connect(self.file) as db:
            db.execute("ALTER TABLE orders RENAME COLUMN address TO street")
            db.execute("ALTER TABLE orders ADD COLUMN city TEXT")
        try:
            self.ship()
        except sqlite3.OperationalError as error:
            return f"shipping stops at once: {error}"


# ---- a file that one writes and the other fetches ----

class File:
    name, crash = "files", "orders, in the middle of the file"

    def __init__(self, directory):
        self.file = directory / "orders.csv"

    def write(self, crash):
        with self.file.open("w", buffering=1) as file:
            for n, (id, address) in enumerate(ORDERS.items()):
                if n == 1 and crash:
                    file.write(f"{id};{address[:4]}")  # what had left the buffer
                    file.flush()
                    die(crash)
                file.write(f"{id};{address}\n")

    def ship(self):
        with self.file.open() as file:
            return [(row[0], row[1]) for row in csv.reader(file, delimiter=";")]

    def after_a_crash(self):
        pid = os.fork()
        if pid == 0:
            self.write(True)
        os.waitpid(pid, 0)
        return told(self.ship())  # at six in the morning, as every day

    def after_a_change(self):
        self.file.write_text("".join(f"{id};{address};Port Nemo\n" for id, address in ORDERS.items()))
        return told([(id, address) for id, address in self.ship()]).replace("each was shipped once", "each was shipped, to a street without a city; nobody said so")


# ---- a call ----

class Shipping(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = "address" in order
        if known:
            self.server.shipped.append((order["id"], order["address"]))
        self.send_response(200 if known else 400)
        self.end_headers()

    def log_message(self, *_):
        pass


class Call:
    name, crash = "RPC", "orders, between the call and its note of it"

    def __init__(self, directory):
        self.noted = directory / "noted"
        self.noted.touch()
        self.server = http.server.HTTPServer(("127.0.0.1", 0), Shipping)
        self.server.shipped = []
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def call(self, order):
        request = urllib.request.Request(f"http://127.0.0.1:{self.server.server_port}", json.dumps(order).encode())
        with urllib.request.urlopen(request, timeout=10):
            pass

    def send(self, crash):
        for id, address in ORDERS.items():
            if id not in self.noted.read_text().split():
                self.call({"id": id, "address": address})
                die(crash)
                with self.noted.open("a") as noted:
                    noted.write(f"{id}\n")

    def after_a_crash(self):
        killed(self.send)
        return told(self.server.shipped)

    def after_a_change(self):
        try:
            self.call({"id": "o-4", "street": "4 Commit Lane", "city": "Port Nemo"})
        except urllib.error.HTTPError as error:
            return f"orders is refused ({error.code}), until shipping knows the new form, too"


# ---- a log ----

class Log:
    name, crash = "log", "shipping, between its shipment and its position"

    def __init__(self, build):
        self.build, self.topics = build, f"lab-integration-{os.getpid()}-"
        self.subject = f"{os.environ['REGISTRY_URL']}/subjects/{self.topics}orders-value"

    def log(self, *words, given=""):
        return subprocess.run([self.build / "workshop/workshop_log", *words], input=given, text=True, check=True, stdout=subprocess.PIPE).stdout

    def ship(self, *crash):
        return subprocess.run([self.build / "workshop/integration/integration_shipping", os.environ["KAFKA_BROKERS"], self.topics + "orders",
                               self.topics + "shipments", *crash], check=not crash).returncode

    def after_a_crash(self):
        for topic in ("orders", "shipments"):
            self.log("create", self.topics + topic, "1")
        try:
            self.log("write", self.topics + "orders", given="".join(f"0\t{id}\t{address}\n" for id, address in ORDERS.items()))
            assert self.ship("crash") == -signal.SIGKILL
            self.ship()
            return told([tuple(line.split("\t")[2:4]) for line in self.log("read", self.topics + "shipments").splitlines()])
        finally:
            self.log("forget", self.topics)

    def register(self, *fields):
        schema = {"type": "record", "name": "Order", "fields": [{"name": "id", "type": "string"}, *fields]}
        request = urllib.request.Request(f"{self.subject}/versions", json.dumps({"schema": json.dumps(schema)}).encode(),
                                         {"Content-Type": "application/vnd.schemaregistry.v1+json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def after_a_change(self):
        text = lambda name, **more: {"name": name, "type": "string", **more}
        rule = urllib.request.Request(f"{os.environ['REGISTRY_URL']}/config/{self.topics}orders-value", b'{"compatibility": "BACKWARD"}',
                                      {"Content-Type": "application/vnd.schemaregistry.v1+json"}, method="PUT")
        try:
            assert self.register(text("address")) == 200
            with urllib.request.urlopen(rule, timeout=30):
                pass
            refused = self.register(text("street"), text("city"))
            taken = self.register(text("address"), text("city", default=""))
            return f"refused before anything is written ({refused}); beside the old field, with a default, taken ({taken})"
        finally:
            with urllib.request.urlopen(urllib.request.Request(self.subject, method="DELETE"), timeout=30):
                pass


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        ways = [Database(directory), File(directory), Call(directory), Log(pathlib.Path(sys.argv[1]).resolve())]
        print("killed in between, and started again")
        for way in ways:
            print(f"  {way.name:16} {way.crash:48} {way.after_a_crash()}", flush=True)
        print("\naddress becomes street and city")
        for way in ways:
            print(f"  {way.name:16} {way.after_a_change()}", flush=True)


if __name__ == "__main__":
    main()
