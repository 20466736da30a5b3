"""The lens: no offset is left out, whatever lies there, and what it says is what the log has."""

import contextlib
import json
import os
import signal
import time
from urllib.parse import quote

from suite import ROOT, Load, SuiteTest, wait_until
from test_events import Stream

KINDS = {"record", "marker", "aborted", "undecided", "compacted"}


class Lens(SuiteTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.suite.wait_ready(60, ["lens"])
        cls.suite.put_customer("lens-ada")
        cls.suite.post_order(id="lens-1", customerId="lens-ada")
        cls.suite.outcome("lens-1")

    def get(self, path, status=200):
        answer = self.suite.http("GET", f"/v1/log/{path}")
        if status != 200:
            self.assert_problem(answer, status)
        self.assertEqual(answer.status, status, answer)
        return answer.json

    def topics(self):
        return {t["name"]: t for t in self.get("topics")["topics"]}

    def whole(self, topic, partition, limit=1000):
        """All entries of a partition, page by page."""
        entries, at = [], "0"
        while True:
            page = self.get(f"topics/{topic}/{partition}?from={at}&limit={limit}")
            self.assertEqual([e["offset"] for e in page["records"]], list(range(page["from"], page["next"])))
            entries += page["records"]
            if page["next"] == page["end"]:
                return entries
            self.assertGreater(page["next"], page["from"])
            at = page["next"]

    # ---- pages ----

    def test_no_offset_is_left_out_and_records_are_those_of_a_committed_reader(self):
        for topic in ("orders", "order-validations", "order-checks", "customers", "stock"):
            committed = {(r["partition"], r["offset"]): r for r in self.suite.read(topic)}
            for partition in self.topics()[topic]["partitions"]:
                entries = self.whole(topic, partition["partition"], 7 if topic == "orders" else 1000)
                self.assertEqual([e["offset"] for e in entries], list(range(len(entries))))
                for e in entries:
                    self.assertIn(e["kind"], KINDS)
                    record = committed.get((e["partition"], e["offset"]))
                    if e["kind"] != "record":
                        self.assertIsNone(record, e)
                    elif record is not None:  # what was written since
                        self.assertEqual({k: e[k] for k in ("topic", "key", "timestamp", "headers", "value")},
                                         {k: record[k] for k in ("topic", "key", "timestamp", "headers", "value")})
                        self.assertEqual(e.get("schema"), record.get("schema"))
                seen = {e["offset"] for e in entries if e["kind"] == "record"}
                self.assertEqual({o for (p, o) in committed if p == partition["partition"]} - seen, set())
                if topic == "orders":  # each transaction has its end
                    self.assertEqual({e["marker"] for e in entries if e["kind"] == "marker"} - {"commit", "abort"}, set())

    def test_topics_say_where_they_begin_and_end(self):
        topics = self.topics()
        orders = topics["orders"]
        self.assertEqual((orders["key"], orders["value"], orders["writers"]), ("order id", "Order", ["orders"]))
        self.assertEqual(len(orders["partitions"]), self.suite.partitions)
        self.assertTrue(any(p["records"] > 0 and p["bytes"] > 0 for p in orders["partitions"]))
        for topic in topics.values():
            self.assertFalse(topic["name"].startswith("__"))
            for p in topic["partitions"]:
                self.assertLessEqual(p["first"], p["stable"])
                self.assertLessEqual(p["stable"], p["end"])
                self.assertEqual(p["last"], p["end"] - 1)
        self.assertNotIn("connect-configs", topics)  # it has passwords

    def test_places(self):
        written = self.suite.write("clickstream", [{"key": "lens", "hex": "00", "partition": 0, "timestamp": 1700000000000 + n * 1000}
                                                   for n in range(5)])
        first, end = written[0]["offset"], written[-1]["offset"] + 1
        page = lambda place, more="": self.get(f"topics/clickstream/0?from={place}{more}")
        self.assertEqual(page(first + 1, "&limit=2")["next"], first + 3)
        self.assertEqual([e["offset"] for e in page("-2")["records"]], [end - 2, end - 1])
        self.assertEqual(page("-1000000")["from"], 0)
        self.assertEqual(page("last")["from"], end - 1)
        self.assertEqual(page("first")["from"], 0)
        self.assertEqual(page(end)["records"], [])
        if first == 0:  # nobody clicked before, so time rises
            for time_ in ("1700000002000", "@1700000001001", "2023-11-14T22:13:22Z", "2023-11-14T23:13:21.5%2B01:00", "2023-11-14T22:13:22"):
                self.assertEqual(page(time_)["from"], 2, time_)
        self.assertEqual(page("2999-01-01")["records"], [])

    def test_what_is_wrong_is_named(self):
        for path, status, text in [
                ("topics/ordrs/0", 404, "orders"), ("topics/orders/99", 404, "partition"), ("topics/orders/x", 400, "partition"),
                ("topics/orders/-1", 400, "partition"), ("topics/orders/0?from=99999999", 404, "from"),
                ("topics/orders/0?from=soon", 400, "from"), ("topics/orders/0?from=", 400, "from"), ("topics/orders/0?from=1.5", 400, "from"),
                ("topics/orders/0?limit=0", 400, "limit"), ("topics/orders/0?limit=1001", 400, "limit"), ("topics/orders/0?limit=x", 400, "limit"),
                ("topics/orders/0?full=maybe", 400, "full"), ("keys/never-there", 404, "key"), ("keys/x?limit=0", 400, "limit"),
                ("search?topic=nothing", 404, "topic"), ("search?value=state%20%3D", 400, "value"), ("search?after=x", 400, "after"),
                ("search?from=x", 400, "from"), ("search?to=y", 400, "to"), ("search?header=%22x", 400, "header"), ("nothing", 404, "")]:
            with self.subTest(path):
                self.assertIn(text, json.dumps(self.get(path, status)))
        self.assert_problem(self.suite.http("POST", "/v1/log/topics", {}), 405)

    def test_a_record_that_cannot_be_decoded_hides_nothing(self):
        html = '<img src=x onerror="alert(1)">\u202eabc'
        where = self.suite.write("clickstream", [{"key": html, "hex": "ff01020304", "partition": 1}, {"key": "lens/a b%", "hex": "00000000010c", "partition": 1},
                                                 {"key": None, "hex": None, "partition": 1}, {"key": "lens-long", "hex": "07" * 30000, "partition": 1}])
        page = self.get(f"topics/clickstream/1?from={where[0]['offset']}")["records"]
        self.assertEqual([e["kind"] for e in page[:4]], ["record"] * 4)
        self.assertEqual((page[0]["key"], page[0]["hex"], page[0]["value"]), (html, "ff01020304", None))
        self.assertIn("magic byte", page[0]["error"])
        self.assertEqual(page[1]["hex"], "00000000010c")
        self.assertTrue(page[1]["error"])
        self.assertEqual((page[2]["key"], page[2]["value"], page[2]["tombstone"]), (None, None, True))
        self.assertEqual((page[3]["large"], page[3]["value"], "hex" in page[3]), (True, None, False))
        self.assertGreater(page[3]["size"], 30000)
        full = self.get(f"topics/clickstream/1?from={where[3]['offset']}&full=true")["records"][0]
        self.assertEqual(full["hex"], "07" * 30000)
        for key, record in ((html, 0), ("lens/a b%", 1)):
            story = self.get(f"keys/{quote(key, safe='')}")
            self.assertIn((1, where[record]["offset"]), [(r["partition"], r["offset"]) for r in story["records"] if r["topic"] == "clickstream"])

    def test_integers_survive_a_browser(self):
        self.suite.post_order(id="lens-big", customerId="lens-ada", priceCents=2**53 + 1)
        self.assertEqual(self.suite.outcome("lens-big")["priceCents"], str(2**53 + 1))
        self.assertEqual({r["value"]["priceCents"] for r in self.get("keys/lens-big")["records"] if r["topic"] == "orders"}, {str(2**53 + 1)})
        found = self.get(f"search?topic=orders&value={quote(f'priceCents > {2**53}')}")
        self.assertIn("lens-big", [r["key"] for r in found["records"]])

    # ---- transactions ----

    def test_a_kill_in_mid_transaction_is_seen(self):
        """Stopped in the middle, its records are undecided; killed, they are aborted, and a marker says so."""
        with Load(self.suite, "lens-kill") as load:
            load.wait_for(20)
            caught = None
            deadline = time.monotonic() + 120
            while caught is None and time.monotonic() < deadline:
                pid = self.suite.pid("orders")
                os.kill(pid, signal.SIGSTOP)
                try:
                    caught = self.undecided()
                finally:
                    if caught is None:
                        os.kill(pid, signal.SIGCONT)
                        load.wait_for(1)
            self.assertIsNotNone(caught, "never was a transaction open")
            self.suite.demo("kill", "orders")
            topic, entry = caught
            at = f"topics/{topic}/{entry['partition']}?from={entry['offset']}"
            decided = wait_until(lambda: (e := self.get(at)["records"][0])["kind"] != "undecided" and e, 30, "it is decided")
            self.assertEqual(decided["kind"], "aborted", decided)
            self.assertEqual((decided["key"], decided["value"]), (entry["key"], entry["value"]))
            ends = [e for e in self.get(at)["records"] if e["kind"] == "marker" and e["producer"]["id"] == entry["producer"]["id"]]
            self.assertEqual(ends[0]["marker"], "abort")
            load.wait_for(20)
        for order in load.ids:
            self.suite.outcome(order, 60)
        self.assertNotIn(entry["offset"], [r["offset"] for r in self.suite.read(topic) if r["partition"] == entry["partition"]])
        stories = self.get(f"keys/{quote(entry['key'], safe='')}")["records"]
        self.assertNotIn((topic, entry["offset"]), [(r["topic"], r["offset"]) for r in stories if r["partition"] == entry["partition"]])

    def undecided(self):
        for topic in ("orders", "orders-by-customer", "orders-by-product", "order-checks"):
            for partition in range(self.suite.partitions):
                for entry in self.get(f"topics/{topic}/{partition}?from=-20")["records"]:
                    if entry["kind"] == "undecided" and "producer" in entry:
                        return topic, entry
        return None

    # ---- keys, search, groups ----

    def test_the_story_of_an_order(self):
        records = wait_until(lambda: (s := self.get("keys/lens-1")["records"]) and "shipments" in [r["topic"] for r in s] and s, 20, "it is shipped")
        places = [f"{r['topic']}/{r['partition']}/{r['offset']}" for r in records]
        for n, record in enumerate(records):
            for cause in filter(None, record["headers"].get("caused-by", "").split(",")):
                if cause in places:
                    self.assertLess(places.index(cause), n, record)
        self.assertEqual(places[0].split("/")[0], "order-requests")
        topics = [r["topic"] for r in records]
        for topic in ("orders-by-product", "orders-by-customer", "order-validations", "shipments", "reserved-stock"):
            self.assertIn(topic, topics)
        states = [r["value"]["state"] for r in records if r["topic"] == "orders"]
        self.assertEqual(states, ["CREATED", "VALIDATED"])
        self.assertEqual(topics.count("order-validations"), 3)
        self.assertTrue(all(r["byKey"] == (r["key"] == "lens-1") for r in records))
        customer = self.get("keys/lens-ada")["records"]
        self.assertEqual(customer[0]["topic"], "customers")
        self.assertIn("orders-by-customer", [r["topic"] for r in customer])

    def test_search(self):
        def search(**terms):
            found, read, after = [], 0, ""
            while True:
                query = "&".join(f"{k}={quote(str(v))}" for k, v in terms.items())
                answer = self.get(f"search?{query}{after}")
                found += answer["records"]
                read += answer["read"]
                self.assertGreaterEqual(answer["of"], answer["read"])
                if answer["complete"]:
                    self.assertIsNone(answer["next"])
                    return found, read
                after = f"&after={quote(answer['next'])}"
        everything, read = search(topic="orders", limit=5)
        committed = {(r["partition"], r["offset"]) for r in self.suite.read("orders")}
        self.assertEqual(len(everything), len({(r["partition"], r["offset"]) for r in everything}))
        self.assertLessEqual({(r["partition"], r["offset"]) for r in everything}, committed)
        self.assertGreaterEqual(read, len(everything))
        one, read_one = search(topic="orders", key="lens-1")
        self.assertEqual([r["value"]["state"] for r in one], ["CREATED", "VALIDATED"])
        self.assertLess(read_one, read)  # its own partition only
        self.assertEqual([r["key"] for r in search(topic="orders", value="state = VALIDATED and id = lens-1")[0]], ["lens-1"])
        self.assertEqual({r["topic"] for r in search(key="lens-1")[0]} >= {"orders", "order-requests", "shipments"}, True)
        self.assertTrue(search(topic="orders", header="caused-by contains order-requests/")[0])
        self.assertEqual(search(topic="orders", value="state = NEVER")[0], [])
        self.assertEqual(search(topic="orders", **{"from": "2999-01-01"})[0], [])
        self.assertEqual(search(topic="orders", to="first")[0], [])

    def test_groups_have_no_lag_when_all_is_done(self):
        groups = wait_until(lambda: (g := {g["name"]: g for g in self.get("groups")["groups"]}) and not any(
            one["lag"] for name, one in g.items() if name in ("orders", "inventory", "fraud", "shipping")) and g, 60, "no lag")
        inventory = groups["inventory"]
        self.assertEqual(len(inventory["members"]), 1)
        self.assertEqual({p["topic"] for p in inventory["partitions"]} >= {"orders-by-product"}, True)
        for p in inventory["partitions"]:
            self.assertLessEqual(p["position"], p["end"])
        # behind its last record a transaction has a marker, so position and end differ although all is read
        self.assertTrue(any(p["position"] < p["end"] for g in groups.values() for p in g["partitions"]))

    def test_lag_of_who_is_stopped(self):
        order = f"lens-{time.time_ns()}"
        self.suite.demo("stop", "shipping")
        self.addCleanup(self.suite.demo, "start", "shipping")
        self.suite.post_order(id=order, customerId="lens-ada")
        self.suite.outcome(order)
        shipping = wait_until(lambda: next((g for g in self.get("groups")["groups"] if g["name"] == "shipping" and g["lag"] > 0), None), 20, "it lags")
        self.assertTrue(any(p["lag"] > 0 and p["lagMs"] >= 0 for p in shipping["partitions"]))

    # ---- time travel ----

    def view(self, topic, **query):
        """All rows, page by page: {(key, partition): row}, and what the answers say of themselves."""
        rows, read, after = {}, 0, {}
        while True:
            answer = self.get(f"views/{topic}?" + "&".join(f"{k}={quote(str(v))}" for k, v in (query | after).items()))
            read += answer["read"]
            if not answer["complete"]:
                continue
            for row in answer["rows"]:
                self.assertNotIn((row["key"], row["partition"]), rows)
                rows[row["key"], row["partition"]] = row
            if answer["next"] is None:
                return rows, answer | {"read": read}
            after = {"after": answer["next"]}

    def test_a_view_is_what_it_was_at_any_vector(self):
        topic = "reserved-stock"
        for n in range(3):
            self.suite.post_order(id=f"lens-travel-{n}", customerId="lens-ada", productId="turntable-mk2")
            self.suite.outcome(f"lens-travel-{n}")
        log = [r for r in self.suite.read(topic) if r["key"] is not None]
        own = [r for r in log if r["key"] == "turntable-mk2"]
        self.assertGreaterEqual(len(own), 3)
        now = {(r["key"], r["partition"]): r for r in log}
        for cut in own:
            vector = f"{topic}/{cut['partition']}:{cut['offset']}"  # just before it; the others as they are
            then = {}
            for r in log:
                if r["partition"] != cut["partition"] or r["offset"] < cut["offset"]:
                    then[r["key"], r["partition"]] = r
            rows, said = self.view(topic, at=vector, limit=2)
            self.assertIn(vector, said["at"])
            self.assertEqual({k: row["then"]["offset"] for k, row in rows.items() if k in then}, {k: r["offset"] for k, r in then.items()})
            self.assertEqual({k: row["then"]["value"] for k, row in rows.items() if k in then}, {k: r["value"] for k, r in then.items()})
            changed = self.view(topic, at=vector, changed="true")[0]
            self.assertEqual(set(changed), {k for k, r in now.items() if r["offset"] != then.get(k, {"offset": None})["offset"]})
            self.assertGreater(changed["turntable-mk2", cut["partition"]]["now"]["value"]["reserved"], 0)
        self.assertEqual(self.view(topic)[1]["read"], 0)  # what it has read it keeps
        at_once = self.view(topic, at="2999-01-01")[0]
        self.assertEqual({k: r["then"]["offset"] for k, r in at_once.items()}, {k: r["then"]["offset"] for k, r in self.view(topic)[0].items()})
        self.assertEqual(self.view(topic, at="2001-01-01")[0], {})
        self.assertEqual(self.get(f"views/{topic}?key=turntable&limit=1")["rows"][0]["key"], "turntable-mk2")

    def test_what_is_no_moment_is_named(self):
        for path, status, text in (("views/nothing", 404, "topic"), ("views/orders?at=soon", 400, "at"), ("views/orders?at=orders/0:99999999", 404, "at"),
                                   ("views/orders?at=first", 400, "at"), ("views/orders?after=xyz", 400, "after"), ("views/orders?changed=maybe", 400, "changed"),
                                   ("views/orders?limit=0", 400, "limit"), ("views/nothing/digest", 404, "topic")):
            with self.subTest(path):
                self.assertIn(text, json.dumps(self.get(path, status)))

    def test_a_copy_beside_each_view_is_equal_to_it(self):
        graph = json.loads((ROOT / "web/topology.json").read_text())
        views = [(s["name"], v["topic"]) for s in graph["services"] for v in s["views"]]
        self.assertGreater(len(views), 8)
        for service, topic in views:
            with self.subTest(service=service, topic=topic):
                wait_until(lambda: self.is_equal(service, topic), 30, "they are equal")
        self.assert_problem(self.suite.http("GET", "/digest/fraud/orders"), 404, "topic")

    def is_equal(self, service, topic):
        live = self.suite.http("GET", f"/digest/{service}/{topic}").json["partitions"]
        self.assertEqual([p["partition"] for p in live], list(range(self.suite.partitions)))
        vector = ",".join(f"{topic}/{p['partition']}:{p['position']}" for p in live)
        return self.get(f"views/{topic}/digest?at={vector}")["partitions"] == live

    # ---- the live tail ----

    def test_the_live_tail_goes_on_where_it_was(self):
        with contextlib.closing(Stream(self.suite, "/v1/events/log/order-requests")) as stream:
            self.assertEqual(stream.next()[0], "position")
            first, second = f"lens-{time.time_ns()}-1", f"lens-{time.time_ns()}-2"
            self.suite.post_order(id=first, customerId="lens-ada")
            events = stream.until(lambda _, data: data.get("key") == first)
            self.assertEqual(events[-1][0], "order-requests")
            last_id = stream.last_id
        self.suite.post_order(id=second, customerId="lens-ada")
        with contextlib.closing(Stream(self.suite, "/v1/events/log/order-requests", last_id=last_id)) as stream:
            stream.until(lambda _, data: data.get("key") == second)
        self.assert_problem(self.suite.http("GET", "/v1/events/log/nothing"), 404)

    def test_a_burst_is_sampled_and_counted(self):
        with contextlib.closing(Stream(self.suite, "/v1/events/log/clickstream?partition=2")) as stream:
            self.assertEqual(stream.next()[0], "position")
            self.suite.write("clickstream", [{"key": "burst", "hex": "00", "partition": 2}] * 3000)
            sent = left_out = 0
            while sent + left_out < 3000:
                kind, data = stream.next()
                sent += kind == "clickstream"
                left_out += data["records"] if kind == "left-out" else 0
            self.assertEqual(sent + left_out, 3000)
            self.assertGreater(left_out, 0)
            self.assertGreater(sent, 0)
