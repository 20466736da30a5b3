"""Emails reach a real mail server: once, or more than once only where SMTP itself cannot tell; and whatever it does."""

import email
import email.policy
import json
import pathlib
import signal
import subprocess
import tempfile
import unittest

import avro
from suite import ROOT, SuiteTest, is_free, is_open, wait_until

PYTHON = "/usr/bin/python3"  # Debian's, which has Debian's aiosmtpd


def is_installed():
    return subprocess.run([PYTHON, "-c", "import aiosmtpd"], capture_output=True).returncode == 0


@unittest.skipUnless(is_installed(), "no aiosmtpd (apt install python3-aiosmtpd)")
class Mail(SuiteTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.port = next(port for port in range(25250, 25350) if is_free(port))
        cls.suite.put_customer("ada")
        cls.use(f"smtp://127.0.0.1:{cls.port}")

    @classmethod
    def use(cls, url):
        cls.suite.demo("up", "email", SMTP_URL=url, SMTP_FROM="shop@example.org")
        cls.suite.wait_ready(services=["email"])

    @classmethod
    def tearDownClass(cls):
        cls.suite.demo("up", "email")  # no mail server again

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory, self.server = pathlib.Path(directory.name), None
        self.addCleanup(self.stop_server)

    def start_server(self, **options):
        self.server = subprocess.Popen([PYTHON, ROOT / "tests/e2e/mail_server.py", str(self.port), self.directory, json.dumps(options)],
                                       stdin=subprocess.DEVNULL)
        wait_until(lambda: is_open(self.port), 15, "the mail server listens")

    def stop_server(self, how=signal.SIGTERM):
        if self.server is not None:
            self.server.send_signal(how)
            self.server.wait(10)
        self.server = None

    def rules(self, **rules):
        new = self.directory / "rules.new"
        new.write_text(json.dumps(rules))
        new.rename(self.directory / "rules")

    def mails(self):
        try:
            return [json.loads(line) for line in (self.directory / "mails").read_text().splitlines()]
        except FileNotFoundError:
            return []

    def parsed(self):
        return [email.message_from_bytes(m["message"].encode("latin-1"), policy=email.policy.default) for m in self.mails()]

    def ids(self):
        return [str(m["Message-ID"]).strip("<>").split("@")[0] for m in self.parsed()]

    def write_customer(self, customer, address):
        schema = next(r["schema"] for r in self.suite.read("customers") if r.get("value"))
        body = b"".join(avro.string(text) for text in (customer, "No", "Body", address, "nowhere")) + avro.integer(0)
        self.suite.write("customers", [{"key": customer, "hex": avro.wire(schema, body)}])

    def order_and_pay(self, order, customer="ada"):
        payment = {"id": order, "orderId": order, "amountCents": 100, "cardNumber": "4000000000000002"}
        wait_until(lambda: self.suite.post_order(id=order, customerId=customer).status in (200, 201), 60, f"{order} is placed")
        wait_until(lambda: self.suite.http("POST", "/v1/payments", payment).status in (200, 201), 60, f"{order} is paid for")
        wait_until(lambda: self.suite.http("GET", f"/v1/emails?orderId={order}").json["emails"], 30, f"an email of {order}")

    def arrives(self, *orders, times=1, timeout=60):
        wait_until(lambda: all(self.ids().count(order) >= times for order in orders), timeout, f"{orders} arrive")

    def metric(self, result):
        text = self.suite.http("GET", "/metrics", port=self.suite.service_port("email")).body.decode()
        name = f'insideout_delivery_records_total{{topology="email-sender",result="{result}"}} '
        return int(next(line[len(name):] for line in text.splitlines() if line.startswith(name)))

    def test_what_is_written_arrives(self):
        self.start_server()
        self.suite.put_customer("zoe", firstName="Zoë", lastName="Ångström\r\nBcc: eve@example.org", email="zoe@example.org",
                                address="3 Umlautweg")
        self.order_and_pay("mail-1", "zoe")
        self.arrives("mail-1")
        mail, message = self.mails()[0], self.parsed()[0]
        self.assertEqual((mail["from"], mail["to"]), ("shop@example.org", ["zoe@example.org"]))
        self.assertEqual(message["Message-ID"], "<mail-1@insideout>")
        self.assertEqual(message["Subject"], "We have received your payment for order mail-1")
        self.assertEqual([(a.display_name, a.addr_spec) for a in message["To"].addresses],
                         [("Zoë Ångström Bcc: eve@example.org", "zoe@example.org")])
        self.assertEqual(message.get_content_type(), "text/plain")
        recorded = self.suite.http("GET", "/v1/emails?orderId=mail-1").json["emails"][0]
        self.assertEqual(message.get_content().replace("\r\n", "\n"), recorded["body"].replace("\r\n", "\n"))
        self.assertEqual(sorted(k.lower() for k in message.keys()),
                         sorted(["date", "from", "to", "subject", "message-id", "mime-version", "content-type", "content-transfer-encoding"]))
        self.order_and_pay("mail-2")
        self.arrives("mail-2")
        self.assertIn("1 x cable-rca-1m", self.parsed()[1].get_content())
        self.assertEqual(sorted(self.ids()), ["mail-1", "mail-2"])

    def test_a_server_that_is_down_delays_and_loses_nothing(self):
        orders = [f"down-{n}" for n in range(5)]
        for order in orders:
            self.order_and_pay(order)
        wait_until(lambda: self.metric("away") > 0, 20, "the sender noticed")
        self.assertTrue(self.suite.is_ready("email"), "what is recorded is served all the same")
        self.suite.demo("kill", "email")  # what it has to do is in the log
        self.suite.wait_ready(services=["email"])
        self.start_server()
        self.arrives(*orders)
        self.assertEqual(sorted(self.ids()), orders)

    def test_one_that_puts_off_delays(self):
        self.start_server()
        self.suite.put_customer("grey", email="grey@example.org")
        self.rules(RCPT={"grey@example.org": "450 4.2.0 come back later"})
        self.order_and_pay("grey-1", "grey")
        wait_until(lambda: self.metric("later") > 0, 30, "put off")
        self.order_and_pay("grey-2")
        self.arrives("grey-2")  # nobody else waits
        self.rules()
        self.arrives("grey-1")
        self.assertEqual(sorted(self.ids()), ["grey-1", "grey-2"])

    def test_one_that_refuses_all_delays(self):
        self.start_server()
        self.rules(DATA="554 5.7.1 not today")
        self.order_and_pay("refused-1")
        wait_until(lambda: self.metric("refused") > 1, 30, "refused, and tried again")
        self.rules(DATA="451 4.3.0 out of disk")
        self.order_and_pay("refused-2")
        self.rules()
        self.arrives("refused-1", "refused-2")
        self.assertEqual(sorted(self.ids()), ["refused-1", "refused-2"])

    def test_what_is_no_address_goes_nowhere_and_stops_nobody(self):
        self.start_server()
        self.write_customer("bad-address", "x@example.org>\r\nRCPT TO:<eve@example.org")  # HTTP takes none such
        self.order_and_pay("address-1", "bad-address")
        self.assertIn("not an address", self.undelivered("address-1"))  # before a server sees it
        self.order_and_pay("address-2")
        self.arrives("address-2")
        self.assertEqual(self.ids(), ["address-2"])

    def undelivered(self, order):
        """Why it was given up."""
        letters = wait_until(lambda: [r["value"]["reason"] for r in self.suite.read("emails-undelivered")
                                      if order in r["value"]["payload"]], 30, f"{order} is given up")
        return letters[0]

    def test_beyond_ascii_only_where_the_server_can(self):
        self.suite.put_customer("joerg", email="jörg@bücher.example")
        self.start_server(utf8=False)
        self.order_and_pay("utf8-1", "joerg")
        self.assertIn("SMTPUTF8", self.undelivered("utf8-1"))
        self.order_and_pay("utf8-2")
        self.arrives("utf8-2")
        self.assertEqual([(m["to"], m["utf8"]) for m in self.mails()], [(["ada@example.org"], False)])
        self.stop_server()
        self.start_server()
        self.order_and_pay("utf8-3", "joerg")
        self.arrives("utf8-3")
        mail = self.mails()[-1]
        self.assertEqual((mail["to"], mail["utf8"]), (["jörg@bücher.example"], True))
        self.assertIn("<jörg@bücher.example>", mail["message"].encode("latin-1").decode())

    # ---- TLS ----

    def certificate(self):
        pair = [str(self.directory / "certificate"), str(self.directory / "key")]
        self.directory.chmod(0o755)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mail", "-addext",
                        "subjectAltName=IP:127.0.0.1", "-out", pair[0], "-keyout", pair[1]], check=True, capture_output=True)
        return pair

    def refuses(self, order, why):
        """It waits and says why; nothing gets to the server."""
        away = self.metric("away")
        self.order_and_pay(order)
        wait_until(lambda: self.metric("away") > away, 30, f"{order} waits")
        wait_until(lambda: why in self.suite.log_of("email"), 30, f"the log says {why}")
        self.assertNotIn(order, self.ids())

    def test_tls_where_it_is_offered_and_needed_where_it_is_asked_for(self):
        url = f"smtp://127.0.0.1:{self.port}"
        pair = self.certificate()
        self.addCleanup(self.use, url)
        self.start_server(tls=pair)  # offered, by whoever it is
        self.order_and_pay("tls-1")
        self.arrives("tls-1")
        self.use(f"{url}?starttls=never")
        self.order_and_pay("tls-2")
        self.arrives("tls-2")
        self.use(f"{url}?starttls=required")
        self.refuses("tls-3", "SSL peer certificate")
        self.use(f"{url}?starttls=required&ca={pair[0]}")
        self.arrives("tls-3")
        self.assertEqual([(i, m["tls"]) for i, m in zip(self.ids(), self.mails())], [("tls-1", True), ("tls-2", False), ("tls-3", True)])
        self.stop_server()
        self.start_server()
        self.refuses("tls-4", "it offers no TLS")
        self.stop_server()
        self.start_server(tls=pair)
        self.arrives("tls-4")

    def test_a_password_is_not_sent_in_the_clear_unless_told_so(self):
        url, pair = f"smtp://shop:hunter2@127.0.0.1:{self.port}", self.certificate()
        self.addCleanup(self.use, f"smtp://127.0.0.1:{self.port}")
        self.use(url)
        self.start_server(password="hunter2")
        self.refuses("password-1", "it offers no TLS")
        self.use(f"{url}?starttls=never")
        self.arrives("password-1")
        self.stop_server()
        self.use(f"{url}?ca={pair[0]}")
        self.start_server(password="hunter2", tls=pair)
        self.order_and_pay("password-2")
        self.arrives("password-2")
        self.assertEqual([m["tls"] for m in self.mails()], [False, True])
        self.assertNotIn("hunter2", self.suite.log_of("email"))

    def test_killed_in_the_middle(self):
        """It keeps the message and dies before it says so: the client cannot know, sends it again, and says that it is the same."""
        self.start_server()
        self.rules(die=True)
        self.order_and_pay("killed-1")
        self.server.wait(30)
        self.rules()
        self.server = None
        self.order_and_pay("killed-2")
        self.start_server()
        self.arrives("killed-1", times=2)
        self.arrives("killed-2")
        self.assertEqual(sorted(self.ids()), ["killed-1", "killed-1", "killed-2"])

    def test_killed_senders_lose_nothing(self):
        self.start_server()
        orders = [f"sender-{n}" for n in range(30)]
        for n, order in enumerate(orders):
            self.order_and_pay(order)
            if n % 10 == 5:
                self.suite.demo("kill", "email")
                wait_until(lambda: self.suite.is_ready("email"), 30, "email is back")
        self.arrives(*orders)
        doubles = len(self.ids()) - len(orders)
        self.assertLessEqual(doubles, 3, "at most the one under way for each kill")
        # what was sent is committed: another start sends nothing again
        count = len(self.ids())
        self.suite.demo("kill", "email")
        self.suite.wait_ready(services=["email"])
        self.order_and_pay("sender-last")
        self.arrives("sender-last")
        self.assertEqual(len(self.ids()), count + 1)

    def test_a_wrong_setting_is_an_error(self):
        for settings, name in (({"SMTP_URL": "nonsense"}, "SMTP_URL"), ({"SMTP_FROM": "nobody"}, "SMTP_FROM")):
            done = self.suite.demo("config", ok=False, **settings)
            self.assertEqual(done.returncode, 2)
            self.assertIn(name, done.stderr)
        env = self.suite.tool_env() | {"PORT": "0", "SLOT": "9", "SMTP_URL": "http://localhost:25"}
        done = subprocess.run([self.suite.build / "services/email/email"], env=env, text=True, capture_output=True, timeout=20)
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertIn("SMTP_URL", done.stderr)
