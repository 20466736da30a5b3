"""The checker finds what it is there to find: a violation of each kind is planted into a good history."""

import collections
import itertools
import random
import unittest

from checker import Checker, linearizable, order_step, register_step, ride_step
from history import Op

A = {"customerId": "c", "productId": "p", "quantity": 1, "priceCents": 100}


def order(state, reason=None, **fields):
    return A | fields | {"state": state, "reasons": [reason] if reason else []}


def ride(state, driver=None):
    return {"state": state, "driverId": driver}


def op(start, end, name, status=200, value=None, client="me", kind="order", key="o", **args):
    return Op(client, kind, key, name, args, start, float("inf") if status is None else end, status, value)


def create(start, end, status=201, **fields):
    value = order("CREATED", **fields) if status in (200, 201) else None
    return op(start, end, "create", status, value, **(A | fields))


def record(topic, key, value):
    return {"topic": topic, "key": key, "value": value}


def parts(ops):
    """All that is known, with each part of what is not."""
    known, unknown = [o for o in ops if o.known], [o for o in ops if not o.known]
    for size in range(len(unknown) + 1):
        yield from (known + list(some) for some in itertools.combinations(unknown, size))


def explains(sequence, step):
    """Is this in real time's order, and each answer right?"""
    states = [None]
    for n, o in enumerate(sequence):
        if any(later.end < o.start for later in sequence[n + 1:]):
            return False
        states = [after for state in states for after in step(state, o)]
    return bool(states)


class Linearizability(unittest.TestCase):
    def test_a_register_read_while_it_is_written(self):
        def put(start, end, n, status=200):
            return op(start, end, "put", status, n=n)

        def get(start, end, n):
            return op(start, end, "get", value={"n": n}, n=n)
        for good in ([put(0, 1, 1), put(2, 5, 2), get(3, 4, 1)], [put(0, 1, 1), put(2, 5, 2), get(3, 4, 2)],
                     [put(0, 1, 1), put(2, 3, 2, None), get(4, 5, 1), get(6, 7, 2)], [put(0, 1, 1), put(2, 3, 2, None)]):
            self.assertTrue(linearizable(good, register_step))
        for bad in ([put(0, 1, 1), put(2, 3, 2), get(4, 5, 1)],  # stale
                    [put(0, 1, 1), put(2, 7, 2), get(3, 4, 2), get(5, 6, 1)],  # back again
                    [put(0, 1, 1), get(2, 3, 9)],
                    [put(0, 1, 1), put(2, 3, 2, None), get(4, 5, 2), get(6, 7, 1)]):
            self.assertFalse(linearizable(bad, register_step))

    def test_as_trying_all_sequences_says(self):
        chance, said = random.Random(1), collections.Counter()
        for _ in range(400):
            ops = []
            for _ in range(chance.randint(2, 6)):
                start, n = chance.randrange(8), chance.randrange(2)
                ops.append(op(start, start + chance.randint(1, 5), "put", chance.choice((200, None)), n=n) if chance.random() < 0.5 else
                           op(start, start + chance.randint(1, 5), "get", value={"n": n}))
            said[self.judge(ops, register_step)] += 1
        self.assertGreater(min(said[True], said[False]), 50)

    def test_as_trying_all_sequences_says_of_orders(self):
        chance, said = random.Random(2), collections.Counter()
        for _ in range(400):
            ops = [create(0, 1)]
            for _ in range(chance.randint(1, 4)):
                start = chance.randrange(8)
                end, asked = start + chance.randint(1, 5), chance.random()
                ops.append(op(start, end, "get", value=order(chance.choice(("CREATED", "VALIDATED", "FAILED")))) if asked < 0.5 else
                           op(start, end, "cancel", 409) if asked < 0.8 else op(start, end, "cancel", None))
            said[self.judge(ops, order_step)] += 1
        self.assertGreater(min(said[True], said[False]), 50)

    def judge(self, ops, step):
        """The search and the attempt of everything agree; on what?"""
        expected = any(explains(sequence, step) for part in parts(ops) for sequence in itertools.permutations(part))
        self.assertEqual(linearizable(ops, step), expected, ops)
        return expected

    def test_a_long_history(self):
        ops = [op(n, n + 1.5, "put", None if n % 4000 == 5 else 200, n=n) for n in range(10_000)]
        ops += [op(n + 1.6, n + 1.7, "get", value={"n": n}) for n in range(10_000) if n % 4000 != 5]
        self.assertTrue(linearizable(ops, register_step))

    def test_two_drivers_of_whom_one_wins(self):
        def act(start, end, name, driver, status=200):
            return op(start, end, name, status, kind="ride", driver=driver)
        hail = op(0, 1, "hail", 201, kind="ride")
        won = [hail, act(2, 5, "accept", "a"), act(2, 5, "accept", "b", 409), act(6, 7, "arrive", "a")]
        self.assertTrue(linearizable(won, ride_step))
        self.assertFalse(linearizable([hail, act(2, 5, "accept", "a"), act(2, 5, "accept", "b")], ride_step))
        self.assertFalse(linearizable([hail, act(2, 5, "accept", "a", 409), act(2, 5, "accept", "b", 409)], ride_step))
        self.assertFalse(linearizable(won + [act(8, 9, "start", "b")], ride_step))
        self.assertFalse(linearizable(won + [op(8, 9, "cancel", kind="ride"), act(10, 11, "start", "a")], ride_step))
        # nobody knows about a, and b was refused: so a has it
        lost = [hail, act(2, 5, "accept", "a", None), act(2, 5, "accept", "b", 409)]
        self.assertTrue(linearizable(lost, ride_step))
        self.assertTrue(linearizable(lost + [act(8, 9, "arrive", "a")], ride_step))

    def test_a_driver_who_vanished(self):
        def act(start, end, name, driver, status=200):
            return op(start, end, name, status, kind="ride", driver=driver)
        story = [op(0, 1, "hail", 201, kind="ride"), act(2, 3, "accept", "a"), act(4, 5, "accept", "b")]
        self.assertFalse(linearizable(story, ride_step))
        self.assertTrue(linearizable(story + [act(0, 9, "gone", "a")], ride_step))

    def test_an_outcome_and_a_cancellation_exclude_each_other(self):
        read = [op(4, 5, "get", value=order("VALIDATED"))]
        self.assertTrue(linearizable([create(0, 1), *read], order_step))
        self.assertTrue(linearizable([create(0, 1), op(2, 3, "cancel", 409), *read], order_step))
        self.assertFalse(linearizable([create(0, 1), op(2, 3, "cancel", value=order("FAILED", "CANCELLED")), *read], order_step))
        self.assertFalse(linearizable([create(0, 1), op(2, 3, "cancel", 409), op(4, 5, "get", value=order("CREATED"))], order_step))
        self.assertFalse(linearizable([create(0, 1), *read, op(6, 7, "get", value=order("FAILED", "x"))], order_step))


class Whole(unittest.TestCase):
    GOOD = [create(0, 1), create(2, 3, 409, quantity=2), op(4, 5, "get", value=order("CREATED"))]
    LOG = [record("orders", "o", order("CREATED")), record("orders", "o", order("VALIDATED"))]

    def violations(self, ops, log):
        return Checker().check(ops, log)

    def test_a_good_one(self):
        self.assertEqual(self.violations(self.GOOD, self.LOG), [])
        self.assertEqual(self.violations([create(0, 1, None)], []), [])
        self.assertEqual(self.violations([create(0, 1, None)], self.LOG), [])

    def test_acknowledged_and_missing(self):
        self.assertTrue(self.violations(self.GOOD, []))
        checker = Checker()
        self.assertEqual(checker.check(self.GOOD, self.LOG), [])
        self.assertEqual(checker.check([], self.LOG), [])
        self.assertIn("acknowledged, and not in the log: order o", checker.check([], []))

    def test_refused_and_done(self):
        refused = op(0, 1, "refuse", 400, {})
        self.assertEqual(self.violations([refused], []), [])
        self.assertTrue(self.violations([refused], self.LOG))
        self.assertTrue(self.violations([create(0, 1, quantity=2), create(2, 3, 409)], self.LOG), "the refused fields are in the log")

    def test_a_repeated_id_with_two_effects(self):
        self.assertTrue(self.violations(self.GOOD, [self.LOG[0], *self.LOG]))
        self.assertTrue(self.violations(self.GOOD, [*self.LOG, self.LOG[1]]))
        payment = record("payments", "o", {"id": "p", "orderId": "o", "amountCents": 1})
        self.assertEqual(self.violations([], [payment]), [])
        self.assertTrue(self.violations([], [payment, payment]))

    def test_what_one_wrote_and_does_not_read(self):
        self.assertTrue(self.violations(self.GOOD + [op(6, 7, "get", 404)], self.LOG))
        self.assertTrue(self.violations([op(0, 1, "hail", 201, kind="ride"), op(2, 3, "get", 404, kind="ride")],
                                        [record("rides", "o", ride("REQUESTED"))]))

    def test_a_ride_that_goes_back(self):
        log = [record("rides", "o", ride(*state)) for state in (("REQUESTED",), ("ACCEPTED", "a"), ("CANCELLED",))]
        told = [op(0, 1, "hail", 201, kind="ride"), op(1, 5, "accept", kind="ride", client="a", driver="a"),
                op(1, 5, "cancel", kind="ride", client="b")]

        def get(start, *state):
            return op(start, start + 0.5, "get", kind="ride", value=ride(*state))
        self.assertEqual(self.violations(told + [get(2, "REQUESTED"), get(3, "ACCEPTED", "a"), get(4, "CANCELLED")], log), [])
        self.assertTrue(self.violations(told + [get(2, "ACCEPTED", "a"), get(3, "REQUESTED")], log))
        self.assertTrue(self.violations(told + [get(2, "ARRIVED", "a")], log))

    def test_ratings(self):
        def rate(status=202):
            return op(0, 1, "rate", status, kind="rating", key="7")
        rating = record("raw-ratings", "7", {"movieId": 7, "ratingTenths": 1})
        self.assertEqual(self.violations([rate(), rate(None)], [rating]), [])
        self.assertEqual(self.violations([rate(), rate(None)], [rating] * 2), [])
        self.assertTrue(self.violations([rate(), rate()], [rating]), "one is lost")
        self.assertTrue(self.violations([rate()], [rating] * 2), "one counts twice")
        read = [op(n, n + 0.5, "get", kind="rating", key="7", value={"ratingCount": count}) for n, count in ((2, 2), (3, 1))]
        self.assertTrue(self.violations([rate(), rate(), *read], [rating] * 2), "a read goes back")

    def test_an_answer_that_is_none(self):
        self.assertTrue(self.violations([op(0, 1, "get", 500)], []))


if __name__ == "__main__":
    unittest.main()
