"""For the checks of exercises that need the suite: asking it, as anybody could, and ordering things."""

import http.client
import json
import os
import pathlib
import secrets
import subprocess
import time
import urllib.parse

from kafka import Wrong

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS = 60
PRICE_CENTS = 1000  # of one


def gateway():
    return os.environ.get("GATEWAY_URL", "http://127.0.0.1:8000")


def wait(condition, otherwise, seconds=SECONDS):
    """Until it is true; else the verdict."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise Wrong(*otherwise())
        time.sleep(0.05)
    return answer


def call(base, method, path, body=None):
    """Status and JSON; status 0: nobody is there."""
    at = urllib.parse.urlsplit(base)
    c = http.client.HTTPConnection(at.hostname, at.port, timeout=30)
    try:
        c.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"} if body else {})
        answer = c.getresponse()
        return answer.status, json.loads(answer.read() or "null")
    except (OSError, ValueError, http.client.HTTPException):
        return 0, None
    finally:
        c.close()


class Shop:
    """The suite, through its gateway."""

    def __init__(self):
        self.gateway = gateway()

        def stock_of():  # a service may be on its way back: another exercise kills it
            status, stock = call(self.gateway, "GET", "/v1/stock")
            if status == 0:
                raise Wrong("no-suite", f"Orders need the suite, and nobody answers at {self.gateway}: ./demo up")
            return status == 200 and stock

        stock = wait(stock_of, lambda: ("no-suite", f"Orders need the suite, and inventory does not answer: ./demo status"))
        self.product = max(stock["stock"], key=lambda s: s["available"])["productId"]
        self.customer, self.validated = "lab-" + secrets.token_hex(3), 0

    def register(self):
        status, answer = call(self.gateway, "PUT", f"/v1/customers/{self.customer}", {
            "firstName": "Lab", "lastName": "Lab", "email": "lab@example.org", "address": "1 Lab Row", "level": "GOLD"})
        if status not in (200, 201):
            raise AssertionError(f"no customer: {status} {answer}")

    def order(self, count):
        for n in range(count):
            order = f"{self.customer}-{secrets.token_hex(3)}"
            call(self.gateway, "POST", "/v1/orders", {"id": order, "customerId": self.customer, "productId": self.product, "quantity": 1,
                                                      "priceCents": PRICE_CENTS})
            _, answer = call(self.gateway, "GET", f"/v1/orders/{order}/validated?timeout=30000")
            self.validated += bool(answer) and answer["state"] == "VALIDATED"


def run_script(script, *args, seconds=120):
    """A learner's, in the root of the clone; what it says."""
    try:
        done = subprocess.run(["sh", script, *map(str, args)], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", timeout=seconds)
    except subprocess.TimeoutExpired as e:
        raise Wrong("no-end", f"The script did not come to an end within {seconds} seconds.") from e
    if done.returncode:
        raise Wrong("stopped", f"The script ended with {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def verdict(run):
    """Makes run(checker, work, scratch) an exercise's check()."""
    def check(checker, work, scratch):
        try:
            return "passed", run(checker, work, scratch)
        except Wrong as e:
            return e.args
    return check
