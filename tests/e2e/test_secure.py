"""The whole suite with a Kafka, a registry and a Kafka Connect of others': SASL/SCRAM, TLS on both sides, basic authentication, and for each
service the permissions that it asks for (--acls) and no more."""

import concurrent.futures
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import unittest

from suite import PRODUCT, ROOT, SERVICES, Suite, free_ports, is_open, java_dir, wait_until

ADMIN = "admin"
USERS = [ADMIN, "connect", *SERVICES]


class Authority:
    """Certificates, made by openssl."""

    def __init__(self, directory):
        self.dir = directory
        self.certificate = directory / "ca.pem"
        self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "30",
                     "-subj", "/CN=test authority")
        (directory / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")

    def openssl(self, *args):
        subprocess.run(["openssl", *args], cwd=self.dir, check=True, capture_output=True)

    def issue(self, name, days=30):
        """NAME.pem: the key and the certificate of localhost. Less than no days: it has expired."""
        self.openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=localhost")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                     "-out", f"{name}.crt", "-days", str(days), "-extfile", "names")
        path = self.dir / f"{name}.pem"
        path.write_text((self.dir / f"{name}.key").read_text() + (self.dir / f"{name}.crt").read_text())
        return path


class Broker:
    """A Kafka of others': clients come by SASL/SCRAM over TLS, with a certificate, and may what they were given."""

    def __init__(self, directory, ports, certificates):
        self.dir, self.ports, self.certificates = directory, ports, certificates
        self.classpath = f"{java_dir()}/lib/*"
        self.process = None

    def java(self, name, *args, given=None):
        done = subprocess.run(["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", self.classpath, name, *args], input=given,
                              text=True, capture_output=True, timeout=120)
        if done.returncode != 0:
            raise AssertionError(f"{name} {args}: {done.stdout}{done.stderr}")
        return done.stdout

    def configure(self, certificate):
        # over the plain listener comes only the node itself, and the test
        path = self.dir / "server.properties"
        path.write_text(f"""
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{self.ports["controller"]}
listeners=CLIENTS://127.0.0.1:{self.ports["clients"]},INTERNAL://127.0.0.1:{self.ports["internal"]},CONTROLLER://127.0.0.1:{self.ports["controller"]}
advertised.listeners=CLIENTS://localhost:{self.ports["clients"]},INTERNAL://127.0.0.1:{self.ports["internal"]}
listener.security.protocol.map=CLIENTS:SASL_SSL,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=INTERNAL
controller.listener.names=CONTROLLER
listener.name.clients.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.clients.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.clients.ssl.keystore.type=PEM
listener.name.clients.ssl.keystore.location={certificate}
listener.name.clients.ssl.client.auth=required
listener.name.clients.ssl.truststore.type=PEM
listener.name.clients.ssl.truststore.location={self.certificates}/ca.pem
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{ADMIN};User:ANONYMOUS
log.dirs={self.dir}/log
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
""")
        return path

    def start(self, certificate="broker"):
        path = self.configure(self.certificates / f"{certificate}.pem")
        if not (self.dir / "log").exists():
            users = [option for user in USERS for option in ("--add-scram", f"SCRAM-SHA-512=[name={user},password={password(user)},iterations=4096]")]
            self.java("kafka.tools.StorageTool", "format", "--cluster-id", "c2VjdXJlLXRlc3QtMDAwMQ", "--config", str(path), *users)
        with open(self.dir / "kafka.log", "a") as log:
            self.process = subprocess.Popen(["java", f"-Dlog4j2.configurationFile={ROOT}/compose/kafka/log4j2.properties", "-Xmx384m",
                                             "-XX:+UseSerialGC", "-cp", self.classpath, "kafka.Kafka", str(path)],
                                            stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        wait_until(lambda: is_open(self.ports["clients"]), 60, f"the broker listens: {self.dir}/kafka.log")

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
            self.process = None

    def set_password(self, user, word):
        self.java("kafka.admin.ConfigCommand", "--bootstrap-server",
                  f"127.0.0.1:{self.ports['internal']}", "--alter", "--entity-type", "users", "--entity-name", user,
                  "--add-config", f"SCRAM-SHA-512=[iterations=4096,password={word}]")

    def acls(self, *args):
        self.java("org.apache.kafka.tools.AclCommand", "--bootstrap-server", f"127.0.0.1:{self.ports['internal']}", *args)


class Behind:
    """One of the suite's own programs, behind nginx with TLS and basic authentication."""

    def __init__(self, name, directory, ports, certificates, **env):
        self.name, self.dir, self.certificates = name, directory, certificates
        self.port, self.https, self.env = ports[name], ports[f"{name} by TLS"], env
        self.processes = []

    def start(self):
        env = os.environ | {"DATA_DIR": str(self.dir), "JAVA_DIR": str(java_dir()), "LISTEN": "127.0.0.1",
                            f"{self.name.upper()}_PORT": str(self.port)} | self.env
        with open(self.dir / f"{self.name}.log", "w") as log:
            self.processes.append(subprocess.Popen([str(ROOT / "compose" / self.name / "start")], env=env, stdout=log, stderr=log,
                                                   start_new_session=True))  # it brings a guard
        self.set_password(PASSWORD)
        self.serve("broker")

    def set_password(self, word):
        hashed = subprocess.run(["openssl", "passwd", "-apr1", word], check=True, capture_output=True, text=True).stdout
        (self.dir / "users").write_text(f"suite:{hashed}")

    def serve(self, certificate):
        """Anew, with this certificate."""
        (self.dir / "nginx.conf").write_text(f"""
daemon off; pid {self.dir}/nginx.pid; error_log stderr; {'user root;' if os.getuid() == 0 else ''}
events {{}}
http {{
    access_log off; client_body_temp_path {self.dir}/body; proxy_temp_path {self.dir}/proxy; fastcgi_temp_path {self.dir}/f;
    uwsgi_temp_path {self.dir}/u; scgi_temp_path {self.dir}/s;
    server {{
        listen 127.0.0.1:{self.https} ssl;
        ssl_certificate {self.certificates}/{certificate}.crt; ssl_certificate_key {self.certificates}/{certificate}.key;
        auth_basic {self.name}; auth_basic_user_file {self.dir}/users;
        location / {{ proxy_pass http://127.0.0.1:{self.port}; proxy_set_header Host $http_host; proxy_set_header Authorization ""; }}
    }}
}}
""")
        for process in self.processes[1:]:
            process.terminate()
            process.wait(30)
        with open(self.dir / "nginx.log", "a") as log:
            self.processes[1:] = [subprocess.Popen(["nginx", "-c", str(self.dir / "nginx.conf")], stdout=log, stderr=log)]
        wait_until(lambda: is_open(self.https) and is_open(self.port), 60, f"{self.name} listens")

    def settings(self, path=""):
        """By which a suite finds it."""
        name = self.name.upper()
        return {f"{name}_URL": f"https://localhost:{self.https}{path}", f"{name}_AUTH": f"suite:{PASSWORD}",
                f"{name}_CA_FILE": str(self.certificates / "ca.pem")}

    def stop(self):
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if process is self.processes[0] else os.kill)(process.pid, signal.SIGTERM)
            process.wait(30)
        self.processes = []


PASSWORD = "letters & pa:ss"  # of what is behind nginx


def password(user):
    return f"secret-of-{user}"


class Secure(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        directory = pathlib.Path(cls.stack.enter_context(tempfile.TemporaryDirectory(prefix="secure-")))
        directory.chmod(0o755)
        for name in ("certificates", "kafka", "registry", "connect", "identities"):
            (directory / name).mkdir()
        (directory / "identities").chmod(0o700)
        ports, claim = free_ports()
        cls.stack.callback(claim.close)
        first = ports["PORT"]
        ports = {name: first + n for n, name in enumerate(
            ["clients", "internal", "controller", "registry", "registry by TLS", "connect", "connect by TLS"])}
        authority = Authority(directory / "certificates")
        authority.issue("broker")
        authority.issue("client")
        authority.issue("expired", -1)
        cls.broker = Broker(directory / "kafka", ports, directory / "certificates")
        cls.stack.callback(cls.broker.stop)
        cls.registry = Behind("registry", directory / "registry", ports, directory / "certificates", REGISTRY_HEAP="128m")
        cls.stack.callback(cls.registry.stop)
        cls.registry.start()
        cls.broker.start()
        for user in USERS:
            (directory / "identities" / f"{'tools' if user == ADMIN else user}.env").write_text(
                f"KAFKA_SASL_USERNAME={user}\nKAFKA_SASL_PASSWORD={password(user)}\n")
        cls.suite = Suite()
        cls.stack.callback(cls.suite.close)
        cls.suite.live = True
        kafka = {"KAFKA_BROKERS": f"localhost:{ports['clients']}", "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
                 "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512", "KAFKA_SSL_CA_LOCATION": str(authority.certificate),
                 "KAFKA_SSL_CERTIFICATE_LOCATION": str(authority.dir / "client.crt"), "KAFKA_SSL_KEY_LOCATION": str(authority.dir / "client.key")}
        (authority.dir / "client.key").chmod(0o644)  # each service is a user of its own
        registry = cls.registry.settings("/apis/ccompat/v7")
        cls.suite.env |= kafka | registry | {"IDENTITIES_DIR": str(directory / "identities")}
        cls.connect = Behind("connect", directory / "connect", ports, directory / "certificates", CONNECT_HEAP="192m", **kafka, **registry,
                             KAFKA_SASL_USERNAME="connect", KAFKA_SASL_PASSWORD=password("connect"))
        cls.stack.callback(cls.connect.stop)
        cls.give_rights(*SERVICES)
        cls.said = cls.suite.demo("up", timeout=600).stdout
        cls.suite.sql(f"UPDATE stock SET quantity = 1000000 WHERE product_id = '{PRODUCT}'")

    @classmethod
    def tool(cls, program, *args, given=""):
        identity = {"KAFKA_SASL_USERNAME": ADMIN, "KAFKA_SASL_PASSWORD": password(ADMIN)}
        done = subprocess.run([str(cls.suite.build / program), *args], input=given, env=cls.suite.env | identity, text=True,
                              capture_output=True, timeout=60)
        if done.returncode != 0:
            raise AssertionError(f"{program} {args}: {done.stderr}")
        return done.stdout

    @classmethod
    def rights_of(cls, service):
        binary = dict(line.split("\t")[:2] for line in (ROOT / "services/services.tsv").read_text().splitlines())[service]
        return subprocess.run([str(cls.suite.build / binary), "--acls"], check=True, capture_output=True, text=True).stdout

    @classmethod
    def give_rights(cls, *services):
        lines = "".join(cls.rights_of(service) for service in services) + (ROOT / "compose/connect/acls").read_text()
        cls.tool("schemas/topics", "acls", given=lines)

    @classmethod
    def right(cls, service, *words):
        """The line of what the service asks for that has all these words, as kafka-acls takes it."""
        return next(line for line in cls.rights_of(service).splitlines() if all(word in line.split() for word in words)).split()

    @contextlib.contextmanager
    def without(self, right):
        self.broker.acls("--remove", *right[1:])
        try:
            yield
        finally:
            self.broker.acls(*right)

    def order(self, order):
        self.suite.put_customer("ada")
        answer = wait_until(lambda: (a := self.suite.post_order(once=True, id=order)).status != 503 and a, 60, f"{order} is taken")
        self.assertIn(answer.status, (200, 201), answer)
        self.assertEqual(self.suite.outcome(order, 60)["state"], "VALIDATED")

    def reason(self, service):
        answer = self.suite.readyz(service)
        return "" if answer is None or answer.status == 200 else answer.json["detail"]

    def assert_hindered(self, service, *texts):
        """It is not ready, and says why."""
        wait_until(lambda: all(text in self.reason(service) for text in texts), 60, f"{service} says {texts}: {self.reason(service)}")

    def assert_back(self, service):
        wait_until(lambda: self.suite.is_ready(service), 60, f"{service} is back: {self.reason(service)}")

    def assert_says_once(self, service, text, since):
        """Not again and again, in its log behind so many characters of it."""
        lines = wait_until(lambda: [line for line in self.suite.log_of(service)[since:].splitlines() if text in line], 10,
                           f"{service} says {text}")
        heads = {line.split('"message":"')[1].split(":")[0] for line in lines}  # a topology each
        self.assertLessEqual(len(lines), 2 * len(heads), lines)

    def test_1_up_starts_none_of_what_is_there(self):
        self.assertIn("kafka is the one at localhost:", self.said)
        self.assertIn("registry is the one at https://localhost:", self.said)
        rows = {row["name"]: row["state"] for row in self.suite.status()}
        self.assertNotIn("kafka", rows)
        self.assertNotIn("registry", rows)
        self.assertEqual({state for state in rows.values()}, {"ready"}, rows)
        config = self.suite.demo("config").stdout
        self.assertNotIn("letters", config)
        self.assertIn("KAFKA_SECURITY_PROTOCOL", config)
        doctor = self.suite.demo("doctor").stdout
        self.assertRegex(doctor, "(?m)^   ok +transactions ")

    def test_2_an_order(self):
        self.order("secure-1")
        self.suite.audit()

    def test_3_the_log_is_shown(self):
        answer = self.suite.http("GET", "/v1/log/topics/orders/0?from=first&limit=1")
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(self.suite.http("GET", "/v1/log/groups").status, 200)

    def test_4_who_scales_down_leaves_at_once(self):
        self.suite.demo("scale", "fraud", 2)
        self.suite.demo("scale", "fraud", 1)
        self.order("secure-2")

    def test_5_a_wrong_password(self):
        since = len(self.suite.log_of("fraud"))
        self.broker.set_password("fraud", "another")
        self.suite.demo("kill", "fraud")
        self.assert_hindered("fraud", "SCRAM-SHA-512", "uthentication")
        self.broker.set_password("fraud", password("fraud"))
        self.assert_back("fraud")
        self.assert_says_once("fraud", "uthentication", since)
        self.assertNotIn(password("fraud"), self.suite.log_of("fraud"))
        self.order("secure-3")

    def test_6_an_expired_certificate(self):
        since = len(self.suite.log_of("orders"))
        self.broker.stop()
        self.broker.start("expired")
        self.assert_hindered("orders", "certificate has expired")
        self.broker.stop()
        self.broker.start()
        self.suite.wait_ready()
        self.assert_says_once("orders", "certificate has expired", since)
        self.order("secure-4")

    def test_7_a_missing_permission(self):
        since = len(self.suite.log_of("inventory"))
        with self.without("--add --force --allow-principal User:inventory --operation Write --topic order-validations".split()):
            self.suite.put_customer("ada")
            self.assertEqual(self.suite.post_order(id="secure-5").status, 201)
            self.assert_hindered("inventory", "order-validations", "uthorization failed")
            with concurrent.futures.ThreadPoolExecutor(8) as threads:
                taken = threads.map(lambda n: self.suite.post_order(id=f"secure-behind-{n}", priceCents=1).status, range(1000))
            self.assertLessEqual(set(taken), {200, 201})
            self.assertRegex(self.suite.demo("doctor", ok=False).stdout,
                             r"(?m)^  BAD +inventory +is [0-9]+ records behind.*\n +-> \./demo logs inventory")
        self.assert_back("inventory")
        self.assertEqual(self.suite.outcome("secure-5", 60)["state"], "VALIDATED")
        self.assert_says_once("inventory", "uthorization failed", since)

    def test_7_a_missing_permission_of_who_begins(self):
        for service, words, named in (("shipping", ["Read", "--group"], "group shipping"),
                                      ("fraud", ["--transactional-id"], "transactional id fraud-0"),
                                      ("email", ["Read", "--topic"], "the topic ")):
            with self.subTest(named), self.without(self.right(service, *words)):
                self.suite.demo("kill", service)
                self.assert_hindered(service, named, "uthorization failed")
            self.assert_back(service)
        self.order("secure-6")

    def test_7_who_may_not_write_what_requests_bring(self):
        """It has been running, and it begins."""
        since = len(self.suite.log_of("customers"))
        with self.without(self.right("customers", "Write", "--topic")):
            self.assertEqual(self.suite.http("PUT", "/v1/customers/eve", {"firstName": "Eve", "lastName": "E", "email": "eve@example.org",
                                                                           "address": "1"}).status, 503)
            self.assert_hindered("customers", "writing to customers", "uthorization failed")
            self.assert_says_once("customers", "requests: waiting for Kafka: writing to customers", since)
        self.assert_back("customers")
        self.assert_says_once("customers", "requests: may write again", since)
        self.suite.put_customer("eve")
        with self.without(self.right("customers", "Write", "--topic")):
            self.suite.demo("kill", "customers")
            self.assert_hindered("customers", "writing to customers", "uthorization failed")
        self.assert_back("customers")
        self.suite.put_customer("eve")

    def test_8_a_registry_that_is_not_to_be_had(self):
        for why, hinder, mend in (("certificate has expired", lambda: self.registry.serve("expired"), lambda: self.registry.serve("broker")),
                                  ("401", lambda: self.registry.set_password("another"), lambda: self.registry.set_password(PASSWORD))):
            with self.subTest(why):
                hinder()
                self.suite.demo("kill", "email")
                self.assert_hindered("email", why)
                mend()
                self.assert_back("email")

    def test_9_a_connect_of_others(self):
        self.connect.start()
        self.connect.set_password("another")
        self.suite.env |= self.connect.settings()
        up = subprocess.Popen([str(ROOT / "demo"), "up"], env=self.suite.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(up.wait, 60)
        said = []
        for line in up.stdout:
            said.append(line)
            if "(401)" in line:
                self.connect.set_password(PASSWORD)
        self.assertEqual(up.wait(60), 0, said)
        said = "".join(said)
        self.assertEqual(len(re.findall(r"waiting for connect: Kafka Connect at https://localhost:\d+/connectors refuses the user suite", said)), 1, said)
        self.assertIn("connect is the one at https://localhost:", said)
        self.assertEqual([row for row in self.suite.status() if row["name"] == "connect"], [])
        self.suite.sql("UPDATE stock SET quantity = 4321 WHERE product_id = 'lp-river-songs'")
        wait_until(lambda: self.suite.stock("lp-river-songs")["onHand"] == 4321, 60, "a change of a legacy table comes through it")

        self.connect.serve("expired")
        ill = self.suite.demo("doctor", ok=False).stdout
        self.assertRegex(ill, r"(?m)^  BAD +connect .*certificate has expired")
        self.assertRegex(self.suite.demo("status").stdout, r"(?m)^connect at https://localhost:\d+: failed .*certificate has expired")
        self.connect.serve("broker")
        wait_until(lambda: re.search(r"(?m)^connect at .*: ready$", self.suite.demo("status").stdout), 60, "it is well again")

    def test_9_secrets_are_for_nobodys_eyes(self):
        secrets = [word.encode() for word in (PASSWORD, *(password(user) for user in USERS))]
        said = "".join(self.suite.demo(*command, ok=False).stdout for command in (["config"], ["status"], ["doctor"])) + self.said
        self.assertEqual([word for word in secrets if word.decode() in said], [])
        logs = pathlib.Path(self.suite.data, "log")
        for path in pathlib.Path(self.suite.data).rglob("*"):
            with contextlib.suppress(OSError):
                if path.is_file() and (path.stat().st_mode & 0o044 or logs in path.parents):
                    self.assertEqual([word for word in secrets if word in path.read_bytes()], [], path)
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                self.assertEqual([word for word in secrets if word in path.read_bytes()], [], path.read_bytes())

    def test_9_the_panel_knows_how_kafka_is_reached(self):
        token = pathlib.Path(self.suite.data, "secrets/control-token").read_text().strip()
        answer = self.suite.http("POST", "/v1/demo/scale", {"name": "shipping", "count": 2}, {"Authorization": f"Bearer {token}"}, timeout=120)
        self.assertEqual(answer.status, 200, answer)
        wait_until(lambda: self.suite.is_ready("shipping", 1), 30, f"it is ready: {self.suite.readyz('shipping', 1)}")

    def test_z_reset_leaves_what_is_others(self):
        said = self.suite.demo("reset").stdout
        self.assertRegex(said, "Kafka at .* stays")
        self.assertRegex(said, "Kafka Connect at .* stays")
        self.assertRegex(self.tool("schemas/topics", "create"), "^0 topics made")
        self.assertRegex(self.tool("schemas/topics", "delete"), "^[1-9][0-9]* topics deleted")
