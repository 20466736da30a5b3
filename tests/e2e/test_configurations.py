"""The same answers whatever the number of partitions and of instances."""

import http.client
import os
import pathlib
import re
import signal
import threading

from suite import SERVICES, Load, Suite, SuiteTest, wait_until


class Configuration:
    """The scenario; subclasses say how the suite runs."""

    partitions = 4

    @classmethod
    def setUpClass(cls):
        cls.suite = SuiteTest.suite = Suite(cls.partitions)
        cls.suite.up()

    @classmethod
    def tearDownClass(cls):
        cls.suite.close()

    def test_scenario(self):
        """Orders one after the other against a model of the rules."""
        on_hand = {name: self.suite.stock(name)["onHand"] for name in ("cassette-deck", "amp-tube", "speaker-floor")}
        reserved, spent = dict.fromkeys(on_hand, 0), {}
        for n in range(3):
            self.suite.put_customer(f"c{n}")
        for n in range(24):
            customer, product, quantity = f"c{n % 3}", list(on_hand)[n // 2 % 3], n % 4
            spent[customer] = spent.get(customer, 0) + quantity * 15_000
            good = 1 <= quantity <= on_hand[product] - reserved[product] and spent[customer] < 200_000
            reserved[product] += quantity if good else 0
            self.suite.post_order(id=f"s-{n}", customerId=customer, productId=product, quantity=quantity, priceCents=15_000)
            with self.subTest(f"order {n}"):
                self.assertEqual(self.suite.outcome(f"s-{n}")["state"], "VALIDATED" if good else "FAILED")
                # what a FAILED order held is given back before the next one
                wait_until(lambda: {p: self.suite.stock(p)["reserved"] for p in on_hand} == reserved, 10, f"reserved {reserved}")

    def test_under_load(self):
        with Load(self.suite, "load") as load:
            load.wait_for(200)
        self.assertEqual(load.refused, [])
        for i in load.ids:
            self.suite.outcome(i, 60)
        self.assert_each_order_once(load.ids)
        self.suite.audit()


class OnePartition(Configuration, SuiteTest):
    partitions = 1


class TwelvePartitions(Configuration, SuiteTest):
    partitions = 12


class TwoInstances(Configuration, SuiteTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for service in SERVICES:
            cls.suite.demo("scale", service, 2)

    def test_the_same_id_to_two_instances_at_once(self):
        self.suite.put_customer("ada")
        ports = [self.suite.service_port("orders", n) for n in (0, 1)]
        for n in range(10):
            answers = {}

            def post(port, quantity, n=n, answers=answers):
                answers[port] = self.suite.post_order(port=port, id=f"race-{n}", quantity=quantity)

            same = n % 2 == 0
            threads = [threading.Thread(target=post, args=(port, 1 if same else k + 1)) for k, port in enumerate(ports)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            statuses = sorted(answer.status for answer in answers.values())
            if same:
                self.assertIn(statuses, ([200, 201], [201, 201]))
            else:
                self.assertEqual(statuses, [201, 409])
            self.suite.outcome(f"race-{n}")
        self.assert_each_order_once([f"race-{n}" for n in range(10)])

    def test_what_one_instance_wrote_the_other_reads(self):
        ports = [self.suite.service_port("orders", n) for n in (0, 1)]
        self.suite.put_customer("ada")
        for n in range(10):
            self.assertEqual(self.suite.post_order(port=ports[n % 2], id=f"cross-{n}").status, 201)
            self.assertEqual(self.suite.http("GET", f"/v1/orders/cross-{n}", port=ports[1 - n % 2]).status, 200)
        for n in range(10):
            customers = [self.suite.service_port("customers", k) for k in (n % 2, 1 - n % 2)]
            body = {"firstName": "A", "lastName": str(n), "email": "a@b", "address": "c"}
            self.suite.http("PUT", "/v1/customers/cross", body, port=customers[0])
            self.assertEqual(self.suite.http("GET", "/v1/customers/cross", port=customers[1]).json["lastName"], str(n))

    def lists_of(self, port):
        """All orders by page, and two lists, as one instance tells them."""
        ids, path = [], "/v1/orders?limit=40"
        while path:
            page = self.suite.http("GET", path, port=port).json
            ids += [order["id"] for order in page["orders"]]
            path = page["next"]
        lists = [self.suite.http("GET", f"/v1/orders?limit=500&{query}", port=port).json
                 for query in ("state=VALIDATED", "customerId=parts-1", "customerId=parts-2&state=FAILED")]
        return ids, lists

    def held(self, instance):
        """How many partitions of the view an instance answers for, how many it has, and how many it owns."""
        metrics = self.suite.http("GET", "/metrics", port=self.suite.service_port("orders", instance)).body.decode()
        figures = dict(line.split(" ") for line in metrics.splitlines() if line.startswith("insideout_partitions_"))
        parts = pathlib.Path(self.suite.data, "views", f"orders-{instance}", "orders.parts")
        return int(figures["insideout_partitions_held"]), len(list(parts.iterdir())), int(figures["insideout_partitions_owned"])

    def restored(self, instance):
        """How many records of changelogs it has read, of those by which it stands by too."""
        metrics = self.suite.http("GET", "/metrics", port=self.suite.service_port("orders", instance)).body.decode()
        return sum(int(n) for n in re.findall(r'(?m)^insideout_restored_records_total\{topology="orders",.*\} (\d+)$', metrics))

    def test_x_a_standby_takes_over_without_restoring(self):
        """What it has of the other's tasks is there before it has them."""
        with Load(self.suite, "followed") as load:
            load.wait_for(60)
        for i in load.ids:
            self.suite.outcome(i, 60)
        wait_until(lambda: [self.held(n) for n in (0, 1)] == [(4, 4, 2)] * 2, 60, "each owns two and stands by for two")
        before, pid = self.restored(0), self.suite.pid("orders", 1)
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_until(lambda: self.held(0) == (4, 4, 4), 60, "it has the other's tasks")
            self.assertEqual(self.restored(0), before)
            for n in range(8):
                self.suite.post_order(port=self.suite.service_port("orders", 0), id=f"taken-over-{n}")
                self.suite.outcome(f"taken-over-{n}", 60)
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_until(lambda: [self.held(n) for n in (0, 1)] == [(4, 4, 2)] * 2, 120, "both have their tasks again")
        self.assert_each_order_once(load.ids + [f"taken-over-{n}" for n in range(8)])

    def test_y_three_instances_have_a_part_each(self):
        """Any of them answers for any order, while they come, die and go."""
        with Load(self.suite, "parts") as load:
            load.wait_for(60)
        for i in load.ids:
            self.suite.outcome(i, 60)
        self.suite.demo("scale", "orders", 3)
        ports = [self.suite.service_port("orders", n) for n in range(3)]

        def divided():
            held = [self.held(n) for n in range(3)]
            # each partition twice: by its owner, and by one that stands by
            return sum(owned for *_, owned in held) == 4 and sum(here for here, *_ in held) == 8 and all(
                here == there for here, there, _ in held)
        wait_until(divided, 60, f"two instances have each partition: {[self.held(n) for n in range(3)]}")
        told = [self.lists_of(port) for port in ports]
        self.assertEqual(told[0], told[1])
        self.assertEqual(told[0], told[2])
        self.assertGreaterEqual(set(told[0][0]), set(load.ids))
        self.assertEqual(len(set(told[0][0])), len(told[0][0]))

        with Readers(self.suite, load.ids, ports[:1]) as readers, Load(self.suite, "dying") as dying:
            dying.wait_for(10)
            self.suite.demo("kill", "orders", 2)
            readers.wait_for_all()
            dying.wait_for(10)
            self.suite.demo("scale", "orders", 2, timeout=90)
            readers.wait_for_all()
        self.assertEqual(readers.failed, [])
        self.assertEqual(dying.refused, [])
        for i in dying.ids:
            self.suite.outcome(i, 60)
        self.assert_each_order_once(dying.ids)

    def test_zz_crashes_and_fewer_instances(self):
        with Load(self.suite, "fewer") as load:
            for service in SERVICES:
                load.wait_for(20)
                self.suite.demo("kill", service, 1)
            load.wait_for(20)
            for service in SERVICES:
                self.suite.demo("scale", service, 1, timeout=90)
            load.wait_for(20)
        self.assertEqual(load.refused, [])
        for i in load.ids:
            self.suite.outcome(i, 60)
        self.assert_each_order_once(load.ids)
        self.assertEqual(len([row for row in self.suite.status() if row["kind"] == "service"]), len(SERVICES))


class NoStandbys(SuiteTest):
    @classmethod
    def setUpClass(cls):
        cls.suite = SuiteTest.suite = Suite()
        cls.suite.env["STANDBYS"] = "0"
        cls.suite.up("orders", "inventory", "fraud", "order-details", "customers")
        cls.suite.demo("scale", "orders", 2)

    @classmethod
    def tearDownClass(cls):
        cls.suite.close()

    def owned(self, instance):
        metrics = self.suite.http("GET", "/metrics", port=self.suite.service_port("orders", instance)).body.decode()
        return int(re.search(r"(?m)^insideout_partitions_owned (\d+)$", metrics)[1])

    def test_orders_of_an_instance_that_died_are_away_until_they_are_back(self):
        """Away, and not unknown."""
        with Load(self.suite, "alone") as load:
            load.wait_for(60)
        for i in load.ids:
            self.suite.outcome(i, 60)
        wait_until(lambda: self.owned(0) == self.owned(1) == 2, 30, "each instance has two partitions")
        port = self.suite.service_port("orders", 0)
        for sign, expected in ((signal.SIGKILL, "it is started again"), (signal.SIGSTOP, "the other one takes over")):
            pid = self.suite.pid("orders", 1)
            os.kill(pid, sign)
            with self.subTest(expected):
                answers = {}

                def all_are_there(answers=answers):
                    for i in load.ids:
                        answer = self.suite.http("GET", f"/v1/orders/{i}", port=port)
                        answers.setdefault(answer.status, answer)
                        if answer.status != 200:
                            return False
                    return True
                try:
                    wait_until(all_are_there, 60, expected)
                finally:
                    if sign == signal.SIGSTOP:
                        os.kill(pid, signal.SIGCONT)
                self.assertLessEqual(set(answers), {200, 503}, answers)
                if 503 in answers:
                    self.assertTrue(answers[503].headers["Retry-After"])


class Readers:
    """A thread for each port, which asks for one order after the other."""

    def __init__(self, suite, ids, ports):
        self.suite, self.ids, self.failed, self.stop = suite, ids, [], threading.Event()
        self.rounds = dict.fromkeys(ports, 0)
        self.threads = [threading.Thread(target=self.read, args=(port,), daemon=True) for port in ports]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(60)

    def read(self, port):
        while not self.stop.is_set():
            for i in self.ids:
                try:
                    answer = self.suite.http("GET", f"/v1/orders/{i}", port=port)
                except (OSError, http.client.HTTPException) as error:
                    answer = error
                if getattr(answer, "status", 0) != 200:
                    self.failed.append((i, answer))
                if self.stop.is_set():
                    return
            self.rounds[port] += 1

    def wait_for_all(self):
        """Everyone has asked for every order since."""
        since = dict(self.rounds)
        wait_until(lambda: all(self.rounds[port] > since[port] + 1 for port in since), 60, "every order was read")
