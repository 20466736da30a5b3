"""Clients that order, cancel, pay, rate and ride while things fail, and note what they asked and were told (history.py)."""

import random
import threading
import time

from history import Op

PRODUCTS = ["turntable-mk2", "cassette-deck", "stylus-conical", "lp-river-songs", "slipmat-felt", "amp-tube"]
PLACE, DESTINATION = {"lat": 52.5, "lon": 13.4}, {"lat": 52.52, "lon": 13.45}
PATIENCE = 120  # seconds until a client gives up on one command; longer than any outage


class Clients:
    """A thread for each client. All go through the gateway or directly to any instance, at random.

        clients = Clients(suite, history, chance, "round-7")
        …                 # faults
        clients.finish()  # each ends what it is at
    """

    def __init__(self, suite, history, seed, name, instances):
        """`instances`: how many there are of each service that has more than one."""
        self.suite, self.history, self.name, self.instances = suite, history, name, instances
        self.stop, self.errors = threading.Event(), []
        jobs = [self.orders] * 3 + [self.customers, self.payments, self.ratings, self.rides]
        self.threads = [threading.Thread(target=self.run, args=(job, f"{name}-{n}", random.Random(f"{seed}-{n}")), daemon=True)
                        for n, job in enumerate(jobs)]
        for thread in self.threads:
            thread.start()

    def run(self, job, client, chance):
        count = 0
        try:
            while not self.stop.is_set():
                count += 1
                job(client, chance, f"{client}-{count}")
        except Exception as error:
            self.errors.append(f"{client}: {error!r}")
            raise

    def finish(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(PATIENCE + 60)
        stuck = [thread.name for thread in self.threads if thread.is_alive()]
        if stuck or self.errors:
            raise AssertionError(f"clients that do not end: {stuck}; that failed: {self.errors}")

    # ---- asking ----

    def port(self, chance, service):
        """Of the gateway, or of one instance."""
        n = chance.randrange(-1, self.instances.get(service, 1))
        return None if n < 0 else self.suite.service_port(service, n)

    def ask(self, chance, service, op, method, path, body=None, repeat=False):
        """`repeat`: until somebody answers, each time wherever."""
        def request():
            return self.suite.http(method, path, body, port=self.port(chance, service), timeout=12)
        return self.history.ask(op, request, op.start + PATIENCE if repeat else None)

    def command(self, client, chance, service, kind, key, name, method, path, body=None, **args):
        return self.ask(chance, service, Op(client, kind, key, name, args, time.monotonic()), method, path, body, True)

    def read(self, client, chance, service, kind, key, path, **args):
        return self.ask(chance, service, Op(client, kind, key, "get", args, time.monotonic()), "GET", path)

    # ---- what they do ----

    def orders(self, client, chance, order):
        fields = {"customerId": f"{self.name}-{chance.randrange(3)}", "productId": chance.choice(PRODUCTS),
                  "quantity": chance.randint(1, 3), "priceCents": chance.choice([100, 5000])}
        path = f"/v1/orders/{order}"

        def post(**other):
            body = fields | other
            return self.command(client, chance, "orders", "order", order, "create", "POST", "/v1/orders", {"id": order} | body, **body)
        post()
        self.read(client, chance, "orders", "order", order, path)
        dice = chance.random()
        if dice < 0.2:
            post()
        elif dice < 0.3:
            post(quantity=fields["quantity"] + 1)
        elif dice < 0.5:
            self.command(client, chance, "orders", "order", order, "cancel", "POST", path + "/cancel", {})
        elif dice < 0.55:
            refused = order + "-refused"
            self.command(client, chance, "orders", "order", refused, "refuse", "POST", "/v1/orders",
                         fields | {"id": refused, "quantity": "many"})
        for _ in range(2):
            self.read(client, chance, "orders", "order", order, path)

    def customers(self, client, chance, _):
        """One of the round's customers moves; reads it wherever."""
        customer, city = f"{self.name}-{chance.randrange(3)}", f"{chance.randrange(10**9)} Row"
        fields = {"firstName": "Ada", "lastName": "Byron", "email": "ada@example.org", "address": city}
        path = f"/v1/customers/{customer}"
        self.command(client, chance, "customers", "customer", customer, "put", "PUT", path, fields, **fields)
        for _ in range(3):
            self.read(client, chance, "customers", "customer", customer, path)

    def payments(self, client, chance, payment):
        order, cents = payment + "-order", chance.randint(1, 10**6)
        path = f"/v1/payments/{payment}"

        def post(cents):
            body = {"id": payment, "orderId": order, "amountCents": cents, "cardNumber": "4111111111111111"}
            return self.command(client, chance, "payments", "payment", payment, "create", "POST", "/v1/payments", body,
                                orderId=order, amountCents=cents)
        post(cents)
        self.read(client, chance, "payments", "payment", payment, path)
        if chance.random() < 0.5:
            post(cents + chance.randrange(2))
        self.read(client, chance, "payments", "payment", payment, path)

    def ratings(self, client, chance, _):
        """A rating has no id: it is asked for once."""
        movie = f"{chance.randint(1, 20)}"
        self.ask(chance, "ratings", Op(client, "rating", movie, "rate", {}, time.monotonic()), "POST", "/v1/ratings",
                 {"movieId": int(movie), "rating": chance.randint(0, 100) / 10})
        self.read(client, chance, "ratings", "rating", movie, f"/v1/movies/{movie}")
        if chance.random() < 0.2:  # of a movie that nobody rates otherwise
            self.ask(chance, "ratings", Op(client, "rating", "999999999", "refuse", {}, time.monotonic()), "POST", "/v1/ratings",
                     {"movieId": 999999999, "rating": 10.1})

    def rides(self, client, chance, ride):
        """A hail; two drivers who both want it, and at times a rider who does not any more."""
        self.command(client, chance, "rider", "ride", ride, "hail", "POST", f"/v1/riders/{ride}-rider/rides",
                     {"id": ride, "pickup": PLACE, "destination": DESTINATION})
        self.read(client, chance, "rider", "ride", ride, f"/v1/rides/{ride}")
        drivers = [threading.Thread(target=self.driver, args=(f"{ride}-driver-{n}", random.Random(chance.random()), ride))
                   for n in range(2)]
        for thread in drivers:
            thread.start()
        if chance.random() < 0.3:
            self.command(client, chance, "rider", "ride", ride, "cancel", "POST", f"/v1/rides/{ride}/cancel", {"commandId": ride + "-x"})
        for _ in range(2):
            self.read(client, chance, "rider", "ride", ride, f"/v1/rides/{ride}")
        for thread in drivers:
            thread.join()

    def driver(self, driver, chance, ride):
        for action in ("accept", "arrive", "start", "complete"):
            op = self.command(driver, chance, "driver", "ride", ride, action, "POST", f"/v1/drivers/{driver}/rides/{ride}/{action}",
                              {"commandId": f"{driver}-{action}"}, driver=driver)
            if op.status != 200:
                return
            self.read(driver, chance, "rider", "ride", ride, f"/v1/rides/{ride}")
