"""Judges histories of clients (history.py): is there one order of what happened in which every answer is right?

`linearizable` is the search of Wing and Gong with the memory of Lowe. A model says what a command does to one order, ride, customer or
payment; whatever is told of one key is judged by itself.
"""

import collections
import math

from history import Op

OUTCOMES = ("VALIDATED", "FAILED")


def linearizable(ops, step, initial=None):
    """Is there a sequence of all known ops, and of any of the unknown ones, that respects real time and in which step() allows each?

    step(state, op) returns the states after op, none where its answer is impossible; states are hashable.
    """
    known, unknown = (sorted((op for op in ops if op.known is yes), key=lambda op: op.start) for yes in (True, False))
    # What is done: of the known as many from the first on, and of those behind it these, as bits; of the unknown these, as bits.
    seen, stack = set(), [(0, 0, 0, initial)]

    def reach(*reached):
        if reached not in seen:
            seen.add(reached)
            stack.append(reached)

    while stack:
        first, behind, maybe, state = stack.pop()
        if first == len(known):
            return True
        # Whoever began after another had its answer comes after it: mostly few of the known can be next, however many there are.
        bound, window = math.inf, []
        for n in range(first, len(known)):
            if known[n].start > bound:
                break
            if not behind >> n - first & 1:
                window.append(n)
                bound = min(bound, known[n].end)
        for n, op in enumerate(unknown):
            if op.start > bound:
                break
            if not maybe >> n & 1:
                for after in step(state, op):
                    if after != state:  # what did nothing need not have happened
                        reach(first, behind, maybe | 1 << n, after)
        for n in reversed(window):  # the first one is tried first
            bits = behind | 1 << n - first
            done = (~bits & bits + 1).bit_length() - 1  # ones at its end
            for after in step(state, known[n]):
                reach(first + done, bits >> done, maybe, after)
    return False


# ---- models ----

ORDER_FIELDS = ("customerId", "productId", "quantity", "priceCents")


def order_seen(value):
    """The order of an answer, or of the log, as the model has it: its fields, and its state with CANCELLED apart from other failures."""
    state = "CANCELLED" if "CANCELLED" in value["reasons"] else value["state"]
    return tuple(value[f] for f in ORDER_FIELDS), state


def order_becomes(state, seen):
    """Checks decide by themselves, at any time."""
    if state == seen:
        return [seen]
    if state is not None and state[0] == seen[0] and state[1] == "CREATED" and seen[1] in OUTCOMES:
        return [seen]
    return []


def order_step(state, op):
    if op.name == "create":
        fields = tuple(op.args[f] for f in ORDER_FIELDS)
        created = (fields, "CREATED") if state is None else state
        if not op.known:
            return [created]
        if op.status in (200, 201):
            return order_becomes(created, order_seen(op.value))
        return [state] if op.status == 409 and state is not None and state[0] != fields else []
    if op.name == "get":
        if op.status == 404:
            return [state] if state is None else []
        return order_becomes(state, order_seen(op.value)) if op.status == 200 else []
    if op.name == "cancel":
        open_ = state is not None and state[1] == "CREATED"
        if not op.known:
            return [(state[0], "CANCELLED")] if open_ else [state]
        if op.status == 404:
            return [state] if state is None else []
        if op.status == 409:  # an outcome was there
            return [(state[0], s) for s in OUTCOMES] if open_ else [state] if state is not None and state[1] in OUTCOMES else []
        cancelled = order_seen(op.value)
        done = op.status == 200 and cancelled[1] == "CANCELLED" and state is not None and state[0] == cancelled[0]
        return [cancelled] if done and (open_ or state[1] == "CANCELLED") else []
    raise ValueError(op.name)


def register_step(state, op):
    """A customer: the latest fields."""
    fields = tuple(sorted(op.args.items()))
    if op.name == "put":
        return [fields] if not op.known or op.status in (200, 201) else []
    if op.name == "get":
        if op.status == 404:
            return [state] if state is None else []
        return [state] if op.status == 200 and state is not None and all(op.value.get(k) == v for k, v in state) else []
    raise ValueError(op.name)


def payment_step(state, op):
    """Written once: another one of the same id is refused."""
    if op.name == "create":
        fields = (op.args["orderId"], op.args["amountCents"])
        created = state or fields
        if not op.known:
            return [created]
        if op.status == 409:
            return [state] if state is not None and state != fields else []
        return [created] if op.status in (200, 201) and created == fields and payment_seen(op.value) == fields else []
    if op.name == "get":
        if op.status == 404:
            return [state] if state is None else []
        return [state] if op.status == 200 and state == payment_seen(op.value) else []
    raise ValueError(op.name)


def payment_seen(value):
    return value["orderId"], value["amountCents"]


RIDE = ["REQUESTED", "ACCEPTED", "ARRIVED", "ON_TRIP", "COMPLETED"]
RIDE_ACTIONS = {"accept": 1, "arrive": 2, "start": 3, "complete": 4}


def ride_step(state, op):
    """(number of its state, driver), with -1 for CANCELLED. A driver who vanished gives the ride back, which the log tells."""
    if op.name == "hail":
        if op.status == 409:
            return [state]  # the rider has another one
        return [(0, None)] if state is None else [state] if op.known else []
    if op.name == "gone":
        return [(0, None)] if state in ((1, op.args["driver"]), (2, op.args["driver"])) else []
    if op.name == "end":  # as the log has it
        return [state] if state == ride_seen(op.value) else []
    if op.status == 404 or (not op.known and state is None):
        return [state] if state is None else []
    if state is None:
        return []
    at, driver = state
    if op.name == "cancel":
        if op.status == 409:
            return [state] if at >= 3 else []
        return [(-1, None)] if at < 3 else [] if op.known else [state]
    to, who = RIDE_ACTIONS[op.name], op.args["driver"]
    moves = at == to - 1 and (to == 1 or driver == who)
    repeats = at >= to and driver == who
    if not op.known:
        return [(to, who)] if moves else [state]
    if op.status == 200:
        return [(to, who)] if moves else [state] if repeats else []
    busy = op.name == "accept" and op.args.get("busy")  # refused because of another ride
    return [state] if op.status == 409 and (busy or not (moves or repeats)) else []


def ride_seen(value):
    return (-1, None) if value["state"] == "CANCELLED" else (RIDE.index(value["state"]), value["driverId"])


# ---- the whole ----

STEPS = {"order": order_step, "customer": register_step, "payment": payment_step, "ride": ride_step}
ALLOWED = {"create": {200, 201, 409}, "put": {200, 201}, "get": {200, 404}, "cancel": {200, 404, 409}, "hail": {200, 201, 409},
           "rate": {202}, "refuse": {400}} | dict.fromkeys(RIDE_ACTIONS, {200, 404, 409})


class Checker:
    """Judges one round's history after the other, against the log as it is then; and that what was acknowledged in rounds before is
    still there."""

    def __init__(self):
        self.acknowledged = {}  # (kind, key): what the log must have for ever
        self.rated = collections.Counter()  # by movie: ratings that were acknowledged
        self.perhaps = collections.Counter()  # by movie: ratings of which nobody knows
        self.checked = collections.Counter()  # ops by kind, for the report

    def check(self, ops, log):
        """Returns violations, as texts. `log`: records as logtool prints them, each partition in its order."""
        said = Log(log)
        wrong = [f"an answer that is none: {op}" for op in ops if op.known and op.status not in ALLOWED[op.name]]
        by_key = collections.defaultdict(list)
        for op in ops:
            self.checked[op.kind] += 1
            if not op.known or op.status in ALLOWED[op.name]:
                by_key[op.kind, op.key].append(op)
        for (kind, key), told in by_key.items():
            wrong += self.one(kind, key, told, said)
        for (kind, key), needed in self.acknowledged.items():
            wrong += said.lacks(kind, key, needed)
        for movie in self.rated | self.perhaps:
            least, most, there = self.rated[movie], self.rated[movie] + self.perhaps[movie], said.ratings[movie]
            if not least <= there <= most:
                wrong.append(f"rating {movie}: {there} in the log, of {least} acknowledged and {most} asked for")
        return wrong + said.wrong

    def one(self, kind, key, told, said):
        if any(op.name == "refuse" and op.known for op in told):
            return [f"refused, and in the log: {kind} {key}"] if said.has(kind, key) else []
        if kind == "rating":
            return self.ratings(key, told)
        if kind == "ride":
            return self.ride(key, told, said)
        if not linearizable(told + said.end_of(kind, key), STEPS[kind]):
            return [f"no order explains the answers about {kind} {key}:\n" + listing(told + said.end_of(kind, key))]
        for op in told:
            if op.known and op.name in ("create", "put") and op.status in (200, 201):
                self.acknowledged[kind, key] = op.args
        return []

    def ratings(self, key, told):
        wrong, most = [], collections.Counter()
        for op in sorted(told, key=lambda op: op.start):
            if op.name == "rate":
                (self.rated if op.known else self.perhaps)[key] += 1
            elif op.status == 200:
                if op.value["ratingCount"] < most[op.client]:
                    wrong.append(f"rating {key}: {op.client} read {op.value['ratingCount']} after {most[op.client]}")
                most[op.client] = max(most[op.client], op.value["ratingCount"])
        return wrong

    def ride(self, key, told, said):
        commands = [op for op in told if op.name != "get"]
        sequence = said.rides.get(key, [])
        commands += said.end_of("ride", key)
        if not linearizable(commands, ride_step):
            return [f"no order explains the answers about ride {key}:\n" + listing(commands)]
        if any(op.known and op.name == "hail" and op.status in (200, 201) for op in told):
            self.acknowledged["ride", key] = {}
        wrong = []
        for client in {op.client for op in told}:
            at, acknowledged = -1, []
            for op in sorted((op for op in told if op.client == client and op.known), key=lambda op: op.end):
                if op.name == "hail":
                    acknowledged.append(op)
                if op.name == "get":
                    if op.status == 404:
                        if at >= 0 or any(a.status in (200, 201) and a.end < op.start for a in acknowledged):
                            wrong.append(f"ride {key}: not there any more: {op}")
                        continue
                    places = [n for n, value in enumerate(sequence) if n >= at and ride_seen(value) == ride_seen(op.value)]
                    if not places:
                        wrong.append(f"ride {key}: went back: {op}; in the log: {[ride_seen(v) for v in sequence]}")
                    else:
                        at = places[0]
        return wrong


def listing(ops):
    return "\n".join(f"    {op}" for op in sorted(ops, key=lambda op: op.start))


class Log:
    """What the log says of keys, folded; `wrong` is what no log may say."""

    def __init__(self, records):
        self.orders, self.rides, self.customers, self.payments = {}, {}, {}, {}
        self.ratings, self.wrong = collections.Counter(), []
        for record in records:
            topic, key, value = record["topic"], record["key"], record.get("value")
            if value is None:
                if topic == "customers":
                    self.customers.pop(key, None)
            elif topic == "orders":
                self.orders.setdefault(key, []).append(value)
            elif topic == "rides":
                self.rides.setdefault(key, []).append(value)
            elif topic == "customers":
                self.customers[key] = value
            elif topic == "payments":
                self.payments.setdefault(value["id"], []).append(value)
            elif topic == "raw-ratings":
                self.ratings[key] += 1
        for key, values in self.orders.items():
            states = [value["state"] for value in values]
            if states[0] != "CREATED" or states.count("CREATED") != 1 or len(states) > 2:
                self.wrong.append(f"order {key}: {states}")
        self.wrong += [f"payment {key}: {len(values)} of them" for key, values in self.payments.items() if len(values) != 1]

    def has(self, kind, key):
        if kind == "rating":
            return self.ratings[key] > 0
        return key in {"order": self.orders, "ride": self.rides, "customer": self.customers, "payment": self.payments}[kind]

    def end_of(self, kind, key):
        """What is known after all is over, as the last op; and what happened to a ride by itself."""
        late = 1e18

        def last(name, value, status=200, **args):
            return Op("the log", kind, key, name, args, late, late, status, value)
        if kind == "order":
            values = self.orders.get(key)
            return [last("get", values[-1]) if values else last("get", None, 404)]
        if kind == "customer":
            value = self.customers.get(key)
            return [last("get", value) if value else last("get", None, 404)]
        if kind == "payment":
            values = self.payments.get(key)
            return [last("get", values[-1]) if values else last("get", None, 404)]
        values = self.rides.get(key, [])
        given_back = [Op("the log", kind, key, "gone", {"driver": before["driverId"]}, 0, late, 200)
                      for before, after in zip(values, values[1:]) if after["state"] == "REQUESTED"]
        return given_back + ([last("end", values[-1])] if values else [])

    def lacks(self, kind, key, needed):
        if not self.has(kind, key):
            return [f"acknowledged, and not in the log: {kind} {key}"]
        if kind == "order" and any(self.orders[key][0][f] != needed[f] for f in ORDER_FIELDS):
            return [f"order {key}: acknowledged with {needed}, in the log {self.orders[key][0]}"]
        return []
