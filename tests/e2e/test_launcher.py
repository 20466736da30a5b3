"""./demo as its users meet it. The last of the modules: it ends with `down` and `reset`."""

import os
import pathlib
import re
import socket

from suite import PORTS, SERVICES, SuiteTest, is_open, wait_until


def processes_below(directory):
    """Processes whose working directory or command names it."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                cwd, command = os.readlink(entry / "cwd"), (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if directory in cwd or directory in command:
                found.append((int(entry.name), command))
    return found


class Launcher(SuiteTest):
    def test_status_has_a_row_for_each_process(self):
        rows = self.suite.status()
        self.assertEqual({row["name"] for row in rows if row["kind"] == "service"}, set(SERVICES))
        self.assertEqual({row["name"] for row in rows if row["kind"] == "infrastructure"},
                         {"kafka", "registry", "postgres", "connect", "gateway"})
        for row in rows:
            with self.subTest(row["name"]):
                self.assertEqual(set(row), {"name", "kind", "instance", "pid", "port", "state", "rss_bytes", "log"})
                self.assertEqual(row["state"], "ready")
                self.assertGreater(row["rss_bytes"], 1 << 20)
                self.assertTrue(pathlib.Path(f"/proc/{row['pid']}").exists())
                self.assertTrue(is_open(row["port"]))
                self.assertTrue(pathlib.Path(row["log"]).exists())
        table = self.suite.demo("status").stdout
        for name in SERVICES:
            self.assertRegex(table, rf"(?m)^{name} +service +0 +ready ")

    def test_a_killed_service_comes_back_and_a_stopped_one_stays_stopped(self):
        before = self.suite.pid("fraud")
        self.suite.demo("kill", "fraud")
        wait_until(lambda: self.suite.pid("fraud") not in (before, None) and self.suite.is_ready("fraud"), 15, "fraud is back")
        self.suite.demo("stop", "fraud")
        try:
            self.assertEqual([row["state"] for row in self.suite.status() if row["name"] == "fraud"], ["stopped"])
            self.suite.put_customer("ada")
            self.suite.post_order(id="one-check-less")
            self.assert_problem(self.suite.http("GET", "/v1/orders/one-check-less/validated?timeout=500"), 504)
            self.assertIn("stays stopped", self.suite.demo("up").stdout)
        finally:
            self.suite.demo("start", "fraud")
        self.assert_order("one-check-less", "VALIDATED")

    def test_config_says_where_each_value_comes_from(self):
        lines = self.suite.demo("config", SMTP_URL="smtp://localhost:2525").stdout.splitlines()
        values = {line.split()[0]: line.split()[1:3] for line in lines}
        self.assertEqual(values["SMTP_URL"], ["smtp://localhost:2525", "environment"])
        self.assertEqual(values["DATA_DIR"], [self.suite.data, "environment"])
        self.assertEqual(values["SIMULATE"][1], "default" if "SIMULATE" not in os.environ else "environment")
        self.assertLessEqual(set(PORTS), set(values))

    def test_wrong_settings_and_words_are_refused(self):
        for args, settings, said in [
            (["status"], {"PORT": "80a"}, "PORT"), (["status"], {"PORT": "70000"}, "PORT"), (["status"], {"PARTITIONS": "0"}, "PARTITIONS"),
            (["status"], {"DATA_DIR": "relative"}, "DATA_DIR"), (["status"], {"SIMULATE": "yes"}, "SIMULATE"),
            (["status"], {"PARTITION": "4"}, "PARTITIONS"), (["status"], {"KAFKA_HEAP": "lots"}, "KAFKA_HEAP"),
            (["frobnicate"], {}, "frobnicate"), (["kill", "nobody"], {}, "nobody"), (["kill", "fraud", "7"], {}, "7"),
            (["rewind", "kafka"], {}, "usage"), (["scale", "fraud", "0"], {}, "usage"), (["test", "nolabel"], {}, "nolabel"),
        ]:
            with self.subTest(f"{args} {settings}"):
                done = self.suite.demo(*args, ok=False, **settings)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(said, done.stderr)

    def test_another_number_of_partitions_is_refused(self):
        other = str(self.suite.partitions + 1)
        done = self.suite.demo("up", ok=False, PARTITIONS=other)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(f"PARTITIONS={self.suite.partitions}", done.stderr)
        self.suite.up()

    def test_a_second_up_changes_nothing(self):
        before = {row["name"]: row["pid"] for row in self.suite.status()}
        said = self.suite.demo("up").stdout
        self.assertEqual({row["name"]: row["pid"] for row in self.suite.status()}, before)
        for port in (self.suite.ports["PORT"], self.suite.ports["KAFKA_PORT"], self.suite.ports["POSTGRES_PORT"]):
            self.assertIn(str(port), said)

    def test_zz_down_leaves_nothing_and_data_stays(self):
        self.suite.put_customer("ada")
        self.suite.post_order(id="before-down")
        self.suite.outcome("before-down")
        ports = [row["port"] for row in self.suite.status()]
        self.suite.demo("down")
        self.assertEqual([port for port in ports if is_open(port)], [])
        self.assertEqual(processes_below(self.suite.data), [])

        with socket.socket() as taken:  # a port that somebody else has is named with who has it
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", self.suite.ports["KAFKA_PORT"]))
            taken.listen()
            done = self.suite.demo("up", ok=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(str(self.suite.ports["KAFKA_PORT"]), done.stderr)
            self.assertTrue(re.search(rf"python.*\(pid {os.getpid()}\)", done.stderr), done.stderr)

        self.suite.up()
        self.assertEqual(self.suite.http("GET", "/v1/orders/before-down").json["state"], "VALIDATED")
        self.suite.demo("reset")
        self.assertEqual(processes_below(self.suite.data), [])
        self.assertFalse(pathlib.Path(self.suite.data, "kafka").exists())
        self.suite.live = False
