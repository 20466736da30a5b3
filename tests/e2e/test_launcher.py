"""./demo as its users meet it. The last of the modules: it ends with `down` and `reset`."""

import base64
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import avro
from suite import PORTS, ROOT, SERVICES, SuiteTest, is_open, java_dir, wait_until


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
                         {"kafka", "registry", "postgres", "connect", "gateway", "control"})
        for row in rows:
            with self.subTest(row["name"]):
                self.assertEqual(set(row), {"name", "kind", "instance", "pid", "port", "state", "rss_bytes", "log"})
                self.assertEqual(row["state"], "ready")
                self.assertGreater(row["rss_bytes"], 1 << 20)
                self.assertTrue(pathlib.Path(f"/proc/{row['pid']}").exists())
                self.assertTrue(is_open(row["port"]) or row["name"] == "control")
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
        finally:
            self.suite.demo("start", "fraud")
        self.assert_order("one-check-less", "VALIDATED")

    def state(self, name):
        [row] = [row for row in self.suite.status() if row["name"] == name]
        return row["state"]

    def test_status_tells_when_the_panel_is_away(self):
        pid = self.suite.pid("control")
        os.kill(pid, signal.SIGSTOP)
        try:
            self.assertEqual(self.state("control"), "starting")
        finally:
            os.kill(pid, signal.SIGCONT)
        self.suite.demo("kill", "control")
        wait_until(lambda: self.suite.pid("control") not in (pid, None) and self.state("control") == "ready", 15, "the panel is back")
        self.suite.demo("stop", "control")
        self.assertEqual(self.state("control"), "stopped")
        self.assertRegex(self.suite.demo("up", "gateway").stdout, r"(?s)control-0 was stopped.*ready")
        self.assertEqual(self.state("control"), "ready")

    def test_the_registry_and_its_guard_end_together(self):
        before = self.suite.pid("registry")
        os.kill(int(pathlib.Path(self.suite.data, "registry/guard/nginx.pid").read_text()), signal.SIGKILL)
        wait_until(lambda: self.suite.pid("registry") not in (before, None) and self.state("registry") == "ready", 30, "both are back")

    def test_up_starts_what_was_stopped_and_names_it(self):
        others = {row["name"]: row["pid"] for row in self.suite.status() if row["name"] not in ("fraud", "postgres")}
        self.suite.demo("stop", "fraud")
        self.suite.demo("stop", "postgres")
        said = self.suite.demo("up").stdout
        self.assertRegex(said, r"(?s)postgres-0 was stopped.*fraud-0 was stopped.*ready")
        rows = self.suite.status()
        self.assertEqual({row["state"] for row in rows}, {"ready"})
        self.assertEqual({row["name"]: row["pid"] for row in rows if row["name"] in others}, others)

    def test_ready_is_said_of_what_stays(self):
        """A service that dies behind the first look is no ready one."""
        self.suite.demo("stop", "shipping")
        up = subprocess.Popen([str(ROOT / "demo"), "up"], env=self.suite.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        while up.poll() is None:  # three seconds are long enough to be seen, and none that stays
            if self.suite.is_ready("shipping"):
                time.sleep(3)
                os.kill(self.suite.pid("shipping"), signal.SIGKILL)
            time.sleep(0.1)
        said = up.communicate()[0]
        self.assertEqual(up.returncode, 1, said)
        self.assertRegex(said, r"shipping-0 (did not stay|is not ready)(?s:.*)log: ")
        wait_until(lambda: self.suite.is_ready("shipping"), 30, "shipping is back")

    def test_who_comes_back_again_and_again_is_not_stopped(self):
        """A process that lives for less than a second waits before its next start."""
        for _ in range(2):
            wait_until(lambda: (pid := self.suite.pid("shipping")) and not os.kill(pid, signal.SIGKILL), 10, "shipping runs, and is killed")
        self.assertNotEqual([row["state"] for row in self.suite.status() if row["name"] == "shipping"], ["stopped"])
        wait_until(lambda: self.suite.is_ready("shipping"), 30, "shipping is back")

    def test_each_process_has_a_user_of_its_own_and_few_settings(self):
        self.suite.demo("stop", "email")
        self.suite.demo("start", "email", LISTEN="0.0.0.0", SECRET="of this shell")
        rows = self.suite.status()
        for row in rows:
            script = pathlib.Path(self.suite.data, "run", f"{row['name']}-{row['instance']}", "run")
            self.assertEqual(script.stat().st_mode & 0o077, 0, f"{script}: settings can have passwords")
        environment = pathlib.Path(f"/proc/{self.suite.pid('email')}/environ").read_bytes().split(b"\0")
        self.assertEqual([line for line in environment if line.startswith((b"LISTEN=", b"SECRET="))], [])
        if os.getuid() == 0:
            users = {row["name"]: pathlib.Path(f"/proc/{row['pid']}").stat().st_uid for row in rows}
            del users["gateway"], users["control"]  # the one's workers are nginx's user, the other calls ./demo
            self.assertNotIn(0, users.values())
            self.assertEqual(len(set(users.values())), len(users), users)

    def test_config_says_where_each_value_comes_from(self):
        lines = self.suite.demo("config", SMTP_URL="smtp://localhost:2525").stdout.splitlines()
        values = {line.split()[0]: line.split()[1:3] for line in lines}
        self.assertEqual(values["SMTP_URL"], ["smtp://localhost:2525", "environment"])
        self.assertEqual(values["DATA_DIR"], [self.suite.data, "environment"])
        self.assertEqual(values["SIMULATE"][:2], ["0", "environment"])
        self.assertLessEqual(set(PORTS), set(values))

    def test_wrong_settings_and_words_are_refused(self):
        for args, settings, said in [
            (["status"], {"PORT": "80a"}, "PORT"), (["status"], {"PORT": "70000"}, "PORT"), (["status"], {"PARTITIONS": "0"}, "PARTITIONS"),
            (["status"], {"DATA_DIR": "relative"}, "DATA_DIR"), (["status"], {"SIMULATE": "yes"}, "SIMULATE"),
            (["status"], {"PARTITION": "4"}, "PARTITIONS"), (["status"], {"KAFKA_HEAP": "lots"}, "KAFKA_HEAP"),
            (["frobnicate"], {}, "frobnicate"), (["kill", "nobody"], {}, "nobody"), (["kill", "fraud", "7"], {}, "7"),
            (["status"], {"ADVERTISED": "a b"}, "ADVERTISED"), (["status"], {"RUN_UID": "nobody"}, "RUN_UID"),
            (["rewind", "kafka"], {}, "usage"), (["scale", "fraud", "0"], {}, "usage"), (["test", "nolabel"], {}, "nolabel"),
        ]:
            with self.subTest(f"{args} {settings}"):
                done = self.suite.demo(*args, ok=False, **settings)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(said, done.stderr)

    def test_secrets_are_not_shown(self):
        for settings in ({"SMTP_URL": "smtps://me:hush@localhost"}, {"CONNECT_URL": "https://me:hush@localhost:8083"}, {"REGISTRY_AUTH": "me:hush"},
                         {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://me:hush@localhost"}, {"KAFKA_SASL_PASSWORD": "hush"}):
            with self.subTest(settings):
                self.assertNotIn("hush", self.suite.demo("config", **settings).stdout)
        for settings in ({"SMTP_URL": "smtp:/me:hush@localhost"}, {"REGISTRY_AUTH": "hush"}, {"CONNECT_AUTH": "hush"}):
            with self.subTest(settings):
                done = self.suite.demo("config", ok=False, **settings)
                self.assertEqual(done.returncode, 2)
                self.assertIn(f"setting {next(iter(settings))} is ", done.stderr)
                self.assertNotIn("hush", done.stderr)

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

    def test_the_doctor_names_what_is_wrong_and_what_mends_it(self):
        well = self.suite.demo("doctor").stdout
        for what in ("memory", "disk", "ports", "clock", "processes", "lag", "transactions", "legacy"):
            self.assertRegex(well, rf"(?m)^   ok +{what} ")
        pid = self.suite.pid("fraud")
        os.kill(pid, signal.SIGSTOP)
        try:
            ill = self.suite.demo("doctor", ok=False)
        finally:
            os.kill(pid, signal.SIGCONT)
        self.assertEqual(ill.returncode, 1, ill.stdout)
        self.assertRegex(ill.stdout, r"(?m)^  BAD +fraud-0 .*\n +-> \./demo logs fraud")

    def test_the_doctor_sees_who_holds_others_up(self):
        """A transaction that stays open, a slot that nobody reads, a bad record."""
        def kafka(tool, *args):
            return ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{java_dir()}/lib/*", f"org.apache.kafka.tools.{tool}", *args]

        broker = f"127.0.0.1:{self.suite.ports['KAFKA_PORT']}"
        write = kafka("ProducerPerformance", "--topic", "stuck", "--record-size", "10", "--throughput", "5", "--transactional-id", "forgotten",
                      "--transaction-duration-ms", "600000", "--producer-props", f"bootstrap.servers={broker}", "transaction.timeout.ms=600000")
        topic = kafka("TopicCommand", "--bootstrap-server", broker, "--topic", "stuck")
        subprocess.run([*topic, "--create"], check=True, capture_output=True, timeout=60)
        self.addCleanup(subprocess.run, [*topic, "--delete"], check=True, capture_output=True, timeout=60)
        writer = subprocess.Popen([*write, "--num-records", "1000000"], stdout=subprocess.DEVNULL)
        self.addCleanup(lambda: (writer.kill(), writer.wait(10)))

        self.assertTrue(self.suite.demo("poison", "raw-ratings").stdout)
        wait_until(lambda: re.search(r"(?m)^ note +dead-letters +[1-9][0-9]* since .*/lens\?topic=dead-letters", self.suite.demo("doctor", ok=False).stdout),
                   30, "the doctor counts bad records")

        self.suite.demo("stop", "connect")
        self.suite.sql("CREATE TABLE large AS SELECT repeat(md5(n::text), 60) FROM generate_series(1, 160000) n")  # 300 MB of WAL
        self.addCleanup(self.suite.sql, "DROP TABLE large")
        ill = self.suite.demo("doctor", ok=False).stdout
        self.assertRegex(ill, r"(?m)^  BAD +legacy +its slot holds [0-9]+ MB of WAL back, and nobody reads it\n +-> \./demo start connect")
        self.suite.demo("start", "connect")
        wait_until(lambda: re.search(r"(?m)^   ok +legacy ", self.suite.demo("doctor", ok=False).stdout), 60, "the slot is read again")

        wait_until(lambda: re.search(r"(?m)^  BAD +transactions .*: forgotten *\n +-> \./demo kill SERVICE", self.suite.demo("doctor", ok=False).stdout),
                   60, "the doctor names the transaction that stays open")
        writer.kill()
        writer.wait(10)
        subprocess.run([*write, "--num-records", "1"], check=True, capture_output=True, timeout=60)  # the next of this name ends it
        self.assertRegex(self.suite.demo("doctor", ok=False).stdout, r"(?m)^   ok +transactions ")

    def test_only_what_is_ours_is_taken_and_deleted(self):
        with tempfile.TemporaryDirectory() as foreign:
            precious = pathlib.Path(foreign, "log", "precious")
            precious.parent.mkdir()
            precious.write_text("of others")
            for args in (["reset"], ["down"], ["up"]):
                with self.subTest(args[0]):
                    done = self.suite.demo(*args, ok=False, DATA_DIR=foreign)
                    self.assertNotEqual(done.returncode, 0)
                    self.assertIn(foreign, done.stderr)
            self.assertEqual([precious], [path for path in pathlib.Path(foreign).rglob("*") if path.is_file()])

    def test_data_has_one_name_however_it_is_spelled(self):
        with tempfile.TemporaryDirectory() as directory:
            link = pathlib.Path(directory, "link")
            link.symlink_to(self.suite.data)
            for spelled in (f"{link}", f"{self.suite.data}/", f"{directory}/../{pathlib.Path(directory).name}/link/"):
                rows = json.loads(self.suite.demo("status", "--json", DATA_DIR=spelled).stdout)
                self.assertEqual({row["log"].split("/log/")[0] for row in rows}, {os.path.realpath(self.suite.data)})

    def test_a_proxy_is_not_asked_for_what_is_here(self):
        self.assertEqual({row["state"] for row in json.loads(self.suite.demo("status", "--json", http_proxy="http://127.0.0.1:9").stdout)},
                         {"ready"})

    def test_benchmarks_have_ports_and_data_of_their_own(self):
        orders = len(self.suite.read("order-requests"))
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o711)  # its users pass through
            bench = subprocess.Popen([str(ROOT / "demo"), "bench", "flood", "--count", "1000"], env=self.suite.env | {"TMPDIR": directory},
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
            try:
                script = wait_until(lambda: next(pathlib.Path(directory).glob("*/run/kafka-0/run"), None), 120, "it starts a Kafka")
                settings = dict(re.findall(r"(?m)^export (\w+)=(\S+)$", script.read_text()))
                wait_until(lambda: is_open(int(settings["KAFKA_PORT"])), 60, "its Kafka runs")
            finally:
                os.killpg(bench.pid, signal.SIGTERM)
                said = bench.communicate(timeout=120)[0]
            self.assertNotEqual(bench.returncode, 0, said)
            self.assertEqual(settings["DATA_DIR"], str(script.parents[2]))
            self.assertEqual(set(self.suite.ports.values()) & {int(v) for name, v in settings.items() if name.endswith("_PORT")}, set())
            self.assertFalse(is_open(int(settings["KAFKA_PORT"])), said)
            self.assertEqual(processes_below(directory), [], said)
            self.assertEqual(list(pathlib.Path(directory).glob("*/run")), [], said)  # interrupted, it takes its data away
        self.assertEqual(len(self.suite.read("order-requests")), orders)

    def test_zy_the_audit_finds_a_good_record_that_a_dead_letter_names(self):
        self.suite.put_customer("ada")
        self.suite.post_order(id="good")
        self.suite.outcome("good")
        good = next(r for r in self.suite.read("order-validations") if r["key"] == "good")
        place = f"{good['topic']}/{good['partition']}/{good['offset']}"
        self.assertEqual(self.suite.http("GET", "/v1/orders/good").json["state"], "VALIDATED")
        schema = self.suite.http("GET", "/apis/ccompat/v7/subjects/dead-letters-value/versions/latest", port=self.suite.ports["REGISTRY_PORT"]).json["id"]
        letter = (avro.string(good["topic"]) + avro.integer(good["partition"]) + avro.integer(good["offset"]) +
                  avro.string("orderId: no such order") + avro.string(""))
        self.suite.write("dead-letters", [{"key": place, "hex": avro.wire(schema, letter)}])
        found = self.suite.demo("audit", "--wait=3", ok=False)
        self.assertEqual(found.returncode, 1, found.stdout)
        self.assertIn(f"{place} is a good record of order good, and a dead letter names it", found.stdout)

    def test_zz_down_leaves_nothing_and_data_stays(self):
        self.suite.put_customer("ada")
        self.suite.post_order(id="before-down")
        self.suite.outcome("before-down")
        ports = [row["port"] for row in self.suite.status()]
        self.suite.demo("down")
        self.assertEqual([port for port in ports if is_open(port)], [])
        self.assertEqual(processes_below(self.suite.data), [])
        for service in SERVICES:  # in order, the last process too
            self.assertIn("stopping, by Terminated", self.suite.log_of(service).rpartition("listening on")[2], service)

        with socket.socket() as taken:  # a port that somebody else has is named with who has it
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", self.suite.ports["KAFKA_PORT"]))
            taken.listen()
            done = self.suite.demo("up", ok=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(str(self.suite.ports["KAFKA_PORT"]), done.stderr)
            self.assertTrue(re.search(rf"python.*\(pid {os.getpid()}\)", done.stderr), done.stderr)
            done = self.suite.demo("doctor", ok=False)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertRegex(done.stdout, rf"BAD +port {self.suite.ports['KAFKA_PORT']} +which kafka needs, is taken by python")

        self.suite.up()
        self.assertEqual(self.suite.http("GET", "/v1/orders/before-down").json["state"], "VALIDATED")
        self.suite.reset()
        self.assertEqual(processes_below(self.suite.data), [])
        self.assertFalse(pathlib.Path(self.suite.data, "kafka").exists())


class Parts(unittest.TestCase):
    """What needs no suite to run."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.here = pathlib.Path(directory.name)

    def bash(self, script, **settings):
        shell = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}  # none of the settings of who tests
        return subprocess.run(["bash", "-c", f"set -euo pipefail\n{script}"], text=True, capture_output=True, timeout=240,
                              env=shell | {"ROOT": str(ROOT), "HERE": str(self.here)} | settings)

    def test_what_supervises_a_process_is_renewed_at_an_upgrade(self):
        """Also where what runs is as it was."""
        define = '. "$ROOT/compose/native/supervise.sh"; RUN=$HERE/run DATA_DIR=$HERE; define_process fraud-0 <<<"exec true" && echo changed'
        self.assertEqual(self.bash(define).stdout, "changed\n")
        scripts = [self.here / "run/fraud-0" / name for name in ("finish", "log/run")]
        new = [script.read_text() for script in scripts]
        for script in scripts:
            script.write_text("#!/bin/sh\n# of the version before\n")
        self.assertEqual(self.bash(define).stdout, "")
        self.assertEqual([script.read_text() for script in scripts], new)

    def test_a_new_kafka_has_an_id_that_is_no_option(self):
        """One in 64 began with -."""
        java = self.here / "java"
        java.write_text('#!/bin/sh\nfor word; do [ "$before" != --cluster-id ] || echo "$word"; before=$word; done\n')
        java.chmod(0o755)
        settings = {"DATA_DIR": str(self.here), "JAVA_DIR": "/", "LISTEN": "127.0.0.1", "KAFKA_PORT": "1", "KAFKA_CONTROLLER_PORT": "2", "KAFKA_HEAP": "1m",
                    "PATH": f"{self.here}:{os.environ['PATH']}"}
        ids = self.bash('for n in {1..200}; do "$ROOT/compose/kafka/start"; done', **settings).stdout.split()
        self.assertEqual(len(set(ids)), 200)
        for given in ids:
            self.assertRegex(given, r"^[A-Za-z0-9][A-Za-z0-9_-]{21}$")
            self.assertEqual(len(base64.urlsafe_b64decode(given + "==")), 16)

    def test_a_database_that_does_not_answer_buries_nobody(self):
        bury = """. <(sed -n '/^bury_missing/,/^}/p' "$ROOT/compose/connect/register")
            kafka_tool() { if [ "$1" = ConsoleProducer ]; then cat >"$HERE/buried"; else printf 'a\nb\nc\n'; fi; }
            query() { %s; }
            bury_missing stock product_id"""
        self.assertNotEqual(self.bash(bury % "echo a; return 2").returncode, 0)
        self.assertFalse((self.here / "buried").exists())
        done = self.bash(bury % "printf 'a\nc\n'")
        self.assertEqual((done.returncode, (self.here / "buried").read_text()), (0, "b\tNULL\n"), done.stderr)

    def test_settings_of_the_local_file_are_between_the_shell_and_the_defaults(self):
        for name in ("demo", "compose/.env", "compose/native", "services/services.tsv", "shared/cmake/librdkafka.sh", "compose/maven", "web/package-lock.json"):
            (self.here / name).parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, self.here / name)
        (self.here / ".env.local").write_text("# mine\nPORT=8001\nKAFKA_PORT=9999\n\nADVERTISED=box.example\n")
        config = self.bash('"$HERE/demo" config', PORT="8002", DATA_DIR=str(self.here))
        found = {line.split()[0]: line.split()[1:3] for line in config.stdout.splitlines()}
        self.assertEqual({name: found.get(name) for name in ("PORT", "KAFKA_PORT", "ADVERTISED")},
                         {"PORT": ["8002", "environment"], "KAFKA_PORT": ["9999", ".env.local"], "ADVERTISED": ["box.example", ".env.local"]}, config.stderr)
        with (self.here / ".env.local").open("a") as file:
            file.write("KAFKAPORT=1\n")
        refused = self.bash('"$HERE/demo" config', DATA_DIR=str(self.here))
        self.assertEqual(refused.returncode, 2)
        self.assertIn("unknown setting KAFKAPORT: did you mean KAFKA_PORT?", refused.stderr)


class Packages(unittest.TestCase):
    """What stands on the host while packages are installed is gone afterwards, or at least forbids nothing."""

    SCRIPT = """set -euo pipefail
        cd "$ROOT"
        . compose/native/packages.sh
        POLICY=$HERE/policy CLUSTERS=$HERE/clusters/insideout.conf
        missing_packages() { echo something; }
        as_root() { if [[ " $* " == *" apt-get "* ]]; then apt; else "$@"; fi; }
        step() { "${@:2}" || exit 1; }
        install_packages something"""

    def install(self, apt):
        self.here = tempfile.TemporaryDirectory()
        self.addCleanup(self.here.cleanup)
        process = subprocess.Popen(["bash", "-c", f"apt() {{ {apt}\n}}\n{self.SCRIPT}"], text=True, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, env=os.environ | {"ROOT": str(ROOT), "HERE": self.here.name},
                                   start_new_session=True)
        self.addCleanup(process.__exit__, None, None, None)
        return process

    def policy(self):
        """The exit code that invoke-rc.d would get, or None."""
        file = pathlib.Path(self.here.name, "policy")
        return subprocess.run([file]).returncode if file.exists() else None

    def test_installed_failed_or_interrupted(self):
        for apt, code in (("true", 0), ("return 100", 1), ("kill -TERM $BASHPID", 130)):
            with self.subTest(apt):
                done = self.install(apt)
                self.assertEqual(done.wait(20), code)
                self.assertEqual(list(pathlib.Path(self.here.name).iterdir()), [])

    def test_killed(self):
        process = self.install("echo installing; read -r _")
        self.assertEqual(process.stdout.readline(), "installing\n")
        self.assertEqual(self.policy(), 101)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)
        wait_until(lambda: self.policy() == 0, 5, "servers may start again")
        again = self.install("true")  # the next one takes it away
        self.assertEqual(again.wait(20), 0)
        self.assertIsNone(self.policy())
