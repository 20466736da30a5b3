"""Runs the service beside the suite: orders through the gateway, asks it, kills it while orders flow, asks again."""

import json
import os
import signal
import socket
import subprocess
import threading

from kafka import Wrong
from suite_http import PRICE_CENTS, Shop, call, verdict, wait

HERE = os.path.dirname(os.path.abspath(__file__))
LOYALTY = os.path.join(HERE, "../loyalty/solution/loyalty.c")
POINTS = 3 * PRICE_CENTS // 100  # for one, for GOLD


class Service:
    def __init__(self, program, scratch):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.base, self.program, self.log = f"http://127.0.0.1:{self.port}", program, scratch / "log"
        self.env = os.environ | {"DATA_DIR": str(scratch / "data"), "PORT": str(self.port), "SLOT": "90", "LISTEN": "127.0.0.1"}
        (scratch / "data").mkdir()
        self.process = None

    def start(self):
        with self.log.open("a") as log:
            self.process = subprocess.Popen([self.program], env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait(lambda: call(self.base, "GET", "/readyz")[0] == 200 or self.process.poll() is not None,
             lambda: ("not-ready", f"It does not become ready: {self.last_line()}"))
        if self.process.poll() is not None:
            raise Wrong("stopped", f"It ended with {self.process.returncode}: {self.last_line()}")

    def last_line(self):
        lines = self.log.read_text(errors="replace").splitlines()
        return lines[-1] if lines else "it says nothing"

    def points(self, customer):
        return call(self.base, "GET", f"/v1/loyalty/{customer}?timeout=1000")

    def end(self, how):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(30)


def must_have(service, shop, when):
    """Neither less in the end nor ever more than the orders come to."""
    want, seen = shop.validated * POINTS, {}

    def right():
        status, row = service.points(shop.customer)
        seen.update(status=status, row=row)
        if status == 200 and (not isinstance(row, dict) or "points" not in row):
            raise Wrong("nothing-follows", f"GET /v1/loyalty/{shop.customer} answers 200 and {json.dumps(row)}: there should be a customerId, "
                        "points, and orders.")
        if status == 200 and int(row["points"]) > want:
            raise Wrong("counted-twice", f"{shop.customer} has {row['points']} points {when}, and {want} follow from {shop.validated} orders.")
        return status == 200 and int(row["points"]) == want and int(row["orders"]) == shop.validated

    wait(right, lambda: ("stale", f"{when.capitalize()} GET /v1/loyalty/{shop.customer} goes on to answer {seen['status']} "
                         f"{json.dumps(seen['row'])}; {want} points follow from {shop.validated} orders.\n"
                         f"In the lens: {shop.gateway}/lens/key/{shop.customer}"), seconds=30)


@verdict
def check(checker, work, scratch):
    trouble = checker.compile([work / "main.c", work / "loyalty_http.c", LOYALTY], scratch / "loyalty", f"-I{work}", *checker.flags("service"))
    if trouble:
        raise Wrong(trouble.name, trouble.text)
    shop, service = Shop(), Service(scratch / "loyalty", scratch)
    made = subprocess.run([checker.build / "workshop_topics", "create"], capture_output=True, text=True, timeout=60)
    if made.returncode:
        raise Wrong("no-kafka", f"The topics of loyalty cannot be made: {made.stderr.strip()}")
    try:
        service.start()
        if service.points(shop.customer)[0] not in (404, 504, 200):
            raise Wrong("wrong-answer", f"Of a customer without points it says {service.points(shop.customer)}.")
        shop.register()
        shop.order(3)
        must_have(service, shop, "in the beginning")
        orders = threading.Thread(target=shop.order, args=(8,))
        orders.start()
        for _ in range(2):  # while they flow
            service.end(signal.SIGKILL)
            service.start()
        orders.join()
        must_have(service, shop, "killed twice while orders flowed,")
        shop.order(3)  # what it has answered before is no longer so
        must_have(service, shop, "after more orders,")
        service.end(signal.SIGTERM)
        if service.process.returncode != 0:
            raise Wrong("no-clean-end", f"At SIGTERM it ends with {service.process.returncode}: {service.last_line()}")
    finally:
        service.end(signal.SIGKILL)
    return (f"{shop.validated} orders, {shop.validated * POINTS} points, exactly: it was killed twice while they flowed.\n"
            f"In the lens: {shop.gateway}/lens/key/{shop.customer}")
