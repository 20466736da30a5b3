"""The whole suite with a Kafka and a registry of others': SASL/SCRAM, TLS, basic authentication, and for each service the
permissions that it asks for (--acls) and no more."""

import contextlib
import hashlib
import os
import pathlib
import signal
import subprocess
import tempfile
import unittest

from suite import ROOT, SERVICES, Suite, free_ports, is_open, wait_until

ADMIN = "admin"
USERS = [ADMIN, "connect", *SERVICES]


def java_dir():
    """Where ./demo has put the jars."""
    lock, pom = ((ROOT / "compose/maven" / name).read_bytes() for name in ("jars.sha256", "pom.xml"))
    cache = os.environ.get("XDG_CACHE_HOME") or ("/var/cache" if os.getuid() == 0 else os.path.expanduser("~/.cache"))
    return pathlib.Path(cache, "insideout", "java-" + hashlib.sha256(lock + pom).hexdigest()[:12])


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
    """A Kafka of others': clients come by SASL/SCRAM over TLS, and may what they were given."""

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


class Registry:
    """The suite's own, behind nginx with TLS and basic authentication."""

    def __init__(self, directory, ports, certificates):
        self.dir, self.ports, self.certificates = directory, ports, certificates
        self.processes = []

    def start(self):
        env = os.environ | {"DATA_DIR": str(self.dir), "JAVA_DIR": str(java_dir()), "LISTEN": "127.0.0.1",
                            "REGISTRY_PORT": str(self.ports["registry"]), "REGISTRY_HEAP": "128m"}
        with open(self.dir / "registry.log", "w") as log:
            self.processes.append(subprocess.Popen([str(ROOT / "compose/registry/start")], env=env, stdout=log, stderr=log,
                                                   start_new_session=True))  # it brings a guard
        hashed = subprocess.run(["openssl", "passwd", "-apr1", "letters & pa:ss"], check=True, capture_output=True, text=True).stdout
        (self.dir / "users").write_text(f"suite:{hashed}")
        self.serve("broker")

    def serve(self, certificate):
        """Anew, with this certificate."""
        (self.dir / "nginx.conf").write_text(f"""
daemon off; pid {self.dir}/nginx.pid; error_log stderr; {'user root;' if os.getuid() == 0 else ''}
events {{}}
http {{
    access_log off; client_body_temp_path {self.dir}/body; proxy_temp_path {self.dir}/proxy; fastcgi_temp_path {self.dir}/f;
    uwsgi_temp_path {self.dir}/u; scgi_temp_path {self.dir}/s;
    server {{
        listen 127.0.0.1:{self.ports["https"]} ssl;
        ssl_certificate {self.certificates}/{certificate}.crt; ssl_certificate_key {self.certificates}/{certificate}.key;
        auth_basic registry; auth_basic_user_file {self.dir}/users;
        location / {{ proxy_pass http://127.0.0.1:{self.ports["registry"]}; proxy_set_header Host $http_host; proxy_set_header Authorization ""; }}
    }}
}}
""")
        for process in self.processes[1:]:
            process.terminate()
            process.wait(30)
        with open(self.dir / "nginx.log", "a") as log:
            self.processes[1:] = [subprocess.Popen(["nginx", "-c", str(self.dir / "nginx.conf")], stdout=log, stderr=log)]
        wait_until(lambda: is_open(self.ports["https"]) and is_open(self.ports["registry"]), 60, "the registry listens")

    @property
    def env(self):
        return {"REGISTRY_URL": f"https://localhost:{self.ports['https']}/apis/ccompat/v7",
                "REGISTRY_AUTH": "suite:letters & pa:ss", "REGISTRY_CA_FILE": str(self.certificates / "ca.pem")}

    def stop(self):
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if process is self.processes[0] else os.kill)(process.pid, signal.SIGTERM)
            process.wait(30)
        self.processes = []


def password(user):
    return f"of-{user}"


class Secure(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        directory = pathlib.Path(cls.stack.enter_context(tempfile.TemporaryDirectory(prefix="secure-")))
        directory.chmod(0o755)
        for name in ("certificates", "kafka", "registry", "identities"):
            (directory / name).mkdir()
        ports, claim = free_ports()
        cls.stack.callback(claim.close)
        first = ports["PORT"]
        ports = {name: first + n for n, name in enumerate(["clients", "internal", "controller", "registry", "https"])}
        authority = Authority(directory / "certificates")
        authority.issue("broker")
        authority.issue("expired", -1)
        cls.broker = Broker(directory / "kafka", ports, directory / "certificates")
        cls.stack.callback(cls.broker.stop)
        cls.registry = Registry(directory / "registry", ports, directory / "certificates")
        cls.stack.callback(cls.registry.stop)
        cls.registry.start()
        cls.broker.start()
        for user in USERS:
            (directory / "identities" / f"{'tools' if user == ADMIN else user}.env").write_text(
                f"KAFKA_SASL_USERNAME={user}\nKAFKA_SASL_PASSWORD={password(user)}\n")
        cls.suite = Suite()
        cls.stack.callback(cls.suite.close)
        cls.suite.live = True
        cls.suite.env |= {"KAFKA_BROKERS": f"localhost:{ports['clients']}", "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
                          "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512", "KAFKA_SSL_CA_LOCATION": str(authority.certificate),
                          "IDENTITIES_DIR": str(directory / "identities")} | cls.registry.env
        cls.give_rights(*SERVICES)
        cls.said = cls.suite.demo("up", timeout=600).stdout

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

    def order(self, order):
        self.suite.put_customer("ada")
        answer = wait_until(lambda: (a := self.suite.post_order(once=True, id=order)).status != 503 and a, 60, f"{order} is taken")
        self.assertIn(answer.status, (200, 201), answer)
        self.assertEqual(self.suite.outcome(order, 60)["state"], "VALIDATED")

    def reason(self, service):
        answer = self.suite.readyz(service)
        return "" if answer is None or answer.status == 200 else answer.json["detail"]

    def assert_says_once(self, service, text, since):
        """Not again and again, in its log behind so many characters of it."""
        lines = [line for line in self.suite.log_of(service)[since:].splitlines() if text in line]
        self.assertTrue(lines, f"{service} does not say {text}")
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
        wait_until(lambda: "SCRAM-SHA-512" in self.reason("fraud"), 30, f"fraud says why: {self.reason('fraud')}")
        self.assertIn("uthentication", self.reason("fraud"))
        self.broker.set_password("fraud", password("fraud"))
        wait_until(lambda: self.suite.is_ready("fraud"), 60, f"fraud is back: {self.reason('fraud')}")
        self.assert_says_once("fraud", "uthentication", since)
        self.assertNotIn(password("fraud"), self.suite.log_of("fraud"))
        self.order("secure-3")

    def test_6_an_expired_certificate(self):
        since = len(self.suite.log_of("orders"))
        self.broker.stop()
        self.broker.start("expired")
        wait_until(lambda: "certificate has expired" in self.reason("orders"), 60, f"orders says why: {self.reason('orders')}")
        self.broker.stop()
        self.broker.start()
        self.suite.wait_ready()
        self.assert_says_once("orders", "certificate has expired", since)
        self.order("secure-4")

    def test_7_a_missing_permission(self):
        since = len(self.suite.log_of("inventory"))
        self.broker.acls("--remove", "--force", "--allow-principal", "User:inventory", "--operation", "Write", "--topic", "order-validations")
        self.suite.put_customer("ada")
        self.assertEqual(self.suite.post_order(id="secure-5").status, 201)
        wait_until(lambda: "order-validations" in self.reason("inventory"), 60, f"inventory says why: {self.reason('inventory')}")
        self.assertIn("uthorization failed", self.reason("inventory"))
        line = next(line for line in self.rights_of("inventory").splitlines() if "Write --topic" in line)
        self.broker.acls(*line.split())  # as kafka-acls takes it
        wait_until(lambda: self.suite.is_ready("inventory"), 60, f"inventory is back: {self.reason('inventory')}")
        self.assertEqual(self.suite.outcome("secure-5", 60)["state"], "VALIDATED")
        self.assert_says_once("inventory", "uthorization failed", since)

    def test_8_a_registry_whose_certificate_has_expired(self):
        self.registry.serve("expired")
        self.suite.demo("kill", "email")
        wait_until(lambda: "certificate has expired" in self.reason("email"), 60, f"email says why: {self.reason('email')}")
        self.registry.serve("broker")
        wait_until(lambda: self.suite.is_ready("email"), 60, f"email is back: {self.reason('email')}")

    def test_9_reset_leaves_what_is_others(self):
        said = self.suite.demo("reset").stdout
        self.assertIn("stays", said)
        self.assertRegex(self.tool("schemas/topics", "create"), "^0 topics made")
        self.assertRegex(self.tool("schemas/topics", "delete"), "^[1-9][0-9]* topics deleted")
