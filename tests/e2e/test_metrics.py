"""What the services say of themselves to Prometheus, and what is made of it: alerts and dashboards name nothing that is not there."""

import functools
import json
import math
import re
import subprocess
import time
import urllib.parse

from suite import ROOT, SERVICES, SuiteTest, wait_until

NAMES = re.compile(r"\b(?:insideout|process)_[a-z0-9_]+")


def expressions(node):
    """Every expression in a dashboard or a parsed file of rules."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("expr", "query") and isinstance(value, str):
                yield value
            else:
                yield from expressions(value)
    elif isinstance(node, list):
        for value in node:
            yield from expressions(value)


def dashboards():
    return {path.name: json.loads(path.read_text()) for path in (ROOT / "compose/grafana/dashboards").glob("*.json")}


class Metrics(SuiteTest):
    def text(self, service):
        answer = self.suite.http("GET", "/metrics", port=self.suite.service_port(service))
        self.assertEqual((answer.status, answer.type), (200, "text/plain"))
        return answer.body.decode()

    def samples(self, service, family):
        """Labels and value of each sample."""
        found = re.findall(rf"(?m)^{family}(?:{{(.*)}})? (\S+)$", self.text(service))
        return [(dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)) for labels, value in found]

    def value(self, service, family, **labels):
        return sum(value for has, value in self.samples(service, family) if labels.items() <= has.items())

    def test_promtool_has_nothing_to_say(self):
        for service in SERVICES:
            done = subprocess.run(["promtool", "check", "metrics"], input=self.text(service), text=True, capture_output=True, timeout=30)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""), service)

    def test_an_order_shows(self):
        self.assertIn(self.suite.put_customer("ada").status, (200, 201))
        routes = {"method": "POST", "route": "/v1/orders"}
        before = {name: self.value("orders", name, **labels) for name, labels in (
            ("insideout_records_in_total", {"topology": "orders", "topic": "order-requests"}),
            ("insideout_records_out_total", {"topology": "orders", "topic": "orders"}),
            ("insideout_transactions_committed_total", {"topology": "orders"}),
            ("insideout_http_requests_total", routes | {"status": "201"}),
            ("insideout_http_request_duration_seconds_count", routes))}
        self.assertEqual(self.suite.post_order(id="metrics-1").status, 201)
        self.assert_order("metrics-1", "VALIDATED")
        self.assertEqual(self.value("orders", "insideout_records_in_total", topic="order-requests"), before["insideout_records_in_total"] + 1)
        wait_until(lambda: self.value("orders", "insideout_records_out_total", topic="orders")
                   == before["insideout_records_out_total"] + 2, 10, "CREATED and VALIDATED are counted")
        wait_until(lambda: self.value("orders", "insideout_transactions_committed_total")
                   >= before["insideout_transactions_committed_total"] + 2, 10, "commits are counted")
        self.assertEqual(self.value("orders", "insideout_http_requests_total", **routes, status="201"), before["insideout_http_requests_total"] + 1)
        self.assertEqual(self.value("orders", "insideout_http_request_duration_seconds_count", **routes),
                         before["insideout_http_request_duration_seconds_count"] + 1)
        self.assertGreater(self.value("orders", "insideout_view_keys"), 0)
        self.assertGreater(self.value("orders", "insideout_kafka_request_duration_seconds_count", client="transactions", api="EndTxn"), 0)
        self.assertGreater(self.value("orders", "insideout_kafka_received_bytes_total", client="inputs"), 0)
        # No client's path is a label.
        self.suite.http("GET", "/v1/orders/metrics-secret")
        self.assertNotIn("metrics-secret", self.text("orders"))

    def test_all_inputs_and_tables_come_to_their_ends(self):
        for service in SERVICES:
            for family in ("insideout_input_lag_records", "insideout_table_lag_records"):
                wait_until(lambda: all(value == 0 for _, value in self.samples(service, family)), 30,
                           f"{family} of {service}: {self.samples(service, family)}")
            self.assertTrue(all(value == 1 for _, value in self.samples(service, "insideout_ready")), service)
            self.assertEqual(self.value(service, "insideout_restore_left_records"), 0)
        partitions = [has["partition"] for has, _ in self.samples("orders", "insideout_input_lag_records") if has["topic"] == "order-requests"]
        self.assertEqual(sorted(partitions), [str(p) for p in range(self.suite.partitions)])

    def test_the_process_is_what_it_is(self):
        pid = self.suite.pid("orders")
        seen = self.value("orders", "process_start_time_seconds")
        began = started(pid)
        self.assertAlmostEqual(seen, began, delta=2)
        self.assertLess(seen, time.time())
        self.assertGreater(self.value("orders", "process_cpu_seconds_total"), 0)
        self.assertGreater(self.value("orders", "process_open_fds"), 10)
        self.assertGreater(self.value("orders", "process_max_fds"), self.value("orders", "process_open_fds"))
        self.assertEqual(self.samples("orders", "insideout_build_info"), [({"version": "0.1.0", "service": "orders", "slot": "0"}, 1)])

    def test_whatever_is_looked_at_is_there(self):
        there = set()
        for service in SERVICES:
            for name, kind in re.findall(r"(?m)^# TYPE (\S+) (\S+)$", self.text(service)):
                there |= {name + suffix for suffix in {"histogram": ["_bucket", "_sum", "_count"], "summary": ["_sum", "_count"]}.get(kind, [""])}
        wanted = {"compose/prometheus/alerts.yml": set(NAMES.findall((ROOT / "compose/prometheus/alerts.yml").read_text()))}
        for name, dashboard in dashboards().items():
            wanted[name] = {metric for expression in expressions(dashboard) for metric in NAMES.findall(expression)}
        self.assertGreaterEqual(len(wanted), 2)
        for name, metrics in wanted.items():
            self.assertTrue(metrics, name)
            self.assertEqual(metrics - there, set(), name)

    def prometheus(self, path, **query):
        answer = self.suite.http("GET", f"/api/v1/{path}?{urllib.parse.urlencode(query)}", port=self.suite.ports["PROMETHEUS_PORT"])
        self.assertEqual(answer.status, 200, (query, answer))
        return answer.json["data"]

    def shows(self, query):
        """Whether an instant of it has a number, while there is something to count."""
        shown = any(math.isfinite(float(sample["value"][1])) for sample in self.prometheus("query", query=query)["result"])
        if not shown:
            self.suite.post_order()
            time.sleep(0.5)
        return shown

    def test_prometheus_watches_all_of_it(self):
        self.addCleanup(self.suite.demo, "stop", "prometheus", ok=False)
        self.suite.demo("up", "prometheus")
        evil = f"evil.example:{self.suite.ports['PROMETHEUS_PORT']}"
        self.assertEqual(self.suite.http("GET", "/metrics", headers={"Host": evil}, port=self.suite.ports["PROMETHEUS_PORT"]).status, 421)

        def targets():
            return {t["labels"]["instance"]: t["health"] for t in self.prometheus("targets", state="active")["activeTargets"]}

        wait_until(lambda: targets() == {f"{service}-0": "up" for service in SERVICES}, 60, f"all are watched: {targets()}")
        rules = [rule for group in self.prometheus("rules")["groups"] for rule in group["rules"]]
        self.assertGreaterEqual(len(rules), 9)
        self.assertTrue(all(rule["health"] != "err" for rule in rules), rules)
        for name, dashboard in dashboards().items():
            panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
            self.assertGreater(len(panels), 30, name)
            for panel in panels:
                for expression in expressions(panel):
                    shows = functools.partial(self.shows, expression.replace("$__rate_interval", "1m").replace("$service", ".*"))
                    if not panel["description"].startswith("Empty while "):
                        wait_until(shows, 30, f"{name}: {panel['title']} has something to show: {expression}")
                    else:
                        shows()  # 400 where it is no query
        # Who is stopped is no longer expected to answer.
        self.addCleanup(self.suite.demo, "start", "fraud")
        self.suite.demo("stop", "fraud")
        wait_until(lambda: "fraud-0" not in targets(), 30, "a stopped service is no target")


def started(pid):
    """When the process began, in seconds since 1970."""
    fields = (open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1]).split()
    uptime = float(open("/proc/uptime").read().split()[0])
    return time.time() - uptime + int(fields[19]) / 100
