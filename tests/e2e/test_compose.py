"""`docker compose up` from nothing: the slim profile, the full one on the same data, and what every container is bound to."""

import datetime
import io
import json
import pathlib
import subprocess
import tarfile
import tempfile

from containers import COMPOSE, FILE, SLIM, ContainersTest
from suite import SERVICES, Load, wait_until

SLIM_MIB = 1500
SERVICE_IMAGE_MIB = 60


class Compose(ContainersTest):
    profile = "slim"

    def test_1_slim_an_order_is_validated(self):
        self.assertEqual(set(self.suite.containers()), {"kafka", "registry", "connect", "postgres", "gateway", "setup", *SLIM})
        self.assertEqual(self.suite.put_customer("ada").status, 201)
        answer = self.suite.post_order(id="first", productId="lp-blue-hour", quantity=2, priceCents=2500)
        self.assertEqual(answer.status, 201, answer)
        self.assert_order("first", "VALIDATED")

    def test_2_slim_an_edit_of_legacy_stock_is_seen(self):
        self.suite.sql("UPDATE stock SET quantity = 7 WHERE product_id = 'cassette-deck'")
        wait_until(lambda: self.suite.stock("cassette-deck")["onHand"] == 7, 30, "the edit is in the view")

    def test_3_slim_is_small_under_load(self):
        with Load(self.suite, "slim") as load:
            load.wait_for(300, 180)
            used = self.suite.memory()
        self.assertEqual(load.refused, [])
        for i in load.ids:
            self.suite.outcome(i, 60)
        self.assertEqual(len(used), 10, used)
        print(f"    slim: {sum(used.values()):.0f} MiB in all; {used}")
        self.assertLess(sum(used.values()), SLIM_MIB, used)
        self.suite.audit(GATEWAY_URL="")  # without --wait and views: nobody ships here

    def test_3_slim_who_is_not_ready_gets_no_requests(self):
        lost = self.suite.compose("run", "-d", "--no-deps", "--use-aliases", "-e", "KAFKA_BROKERS=127.0.0.1:9", "orders").stdout.split()[-1]
        self.addCleanup(self.suite.run, "docker", "rm", "-f", lost)
        wait_until(lambda: '"status":503' in self.suite.run("docker", "exec", lost, "/service", "--ready", ok=False).stdout, 30,
                   "it says that it is not ready")
        for _ in range(100):
            self.assertEqual(self.suite.http("GET", "/v1/orders/first", timeout=5).status, 200)
        networks = json.loads(self.suite.run("docker", "inspect", lost).stdout)[0]["NetworkSettings"]["Networks"]
        [address] = [network["IPAddress"] for network in networks.values()]
        metrics = self.suite.compose("exec", "-T", "gateway", "curl", "-s", f"http://{address}:8080/metrics").stdout
        asked = {line.split('route="')[1].split('"')[0] for line in metrics.splitlines() if line.startswith("insideout_http_requests_total{")}
        self.assertEqual(asked, {"/readyz"})

    def test_4_full_goes_on_with_the_data_of_slim(self):
        self.suite.compose("down")
        self.suite.env |= {"COMPOSE_PROFILES": "full,observability", "SIMULATE": "1"}
        self.suite.up()
        self.assertEqual({name for name in self.suite.containers() if "/" not in name},
                         {"kafka", "registry", "connect", "postgres", "gateway", "setup", "simulator", "prometheus", *SERVICES})
        self.assertEqual(self.suite.http("GET", "/v1/orders/first").json["state"], "VALIDATED")
        self.assertEqual(self.suite.stock("cassette-deck")["onHand"], 7)

    def test_5_full_a_paid_order_is_shipped_and_told_of(self):
        self.assertEqual(self.suite.post_order(id="paid").status, 201)
        self.assert_order("paid", "VALIDATED")
        answer = self.suite.http("POST", "/v1/payments", {"orderId": "paid", "amountCents": 100, "cardNumber": "4111111111111111"})
        self.assertEqual(answer.status, 201, answer)
        answer = self.suite.http("GET", "/v1/shipments/paid?timeout=20000", timeout=30)
        self.assertEqual(answer.status, 200, answer)
        wait_until(lambda: b"paid" in self.suite.http("GET", "/v1/emails?orderId=paid").body, 20, "the email is written")

    def test_5_full_movies_are_rated_and_cars_drive(self):
        movies = self.suite.http("GET", "/v1/movies?limit=1").json["movies"]
        answer = self.suite.http("POST", "/v1/ratings", {"movieId": movies[0]["movieId"], "rating": 9.5})
        self.assertEqual(answer.status, 202, answer)
        wait_until(lambda: self.suite.http("GET", f"/v1/movies/{movies[0]['movieId']}").json["ratingCount"] > 0, 20, "it counts")
        wait_until(lambda: self.suite.http("GET", "/v1/drivers/sim-driver-1/position").status == 200, 60, "a driver is on the road")
        self.suite.audit("--wait=120")

    def test_5_full_prometheus_sees_every_service(self):
        def up():
            answer = self.suite.http("GET", "/api/v1/query?query=up", port=self.suite.ports["PROMETHEUS_PORT"]).json
            return {row["metric"]["job"] for row in answer["data"]["result"] if row["value"][1] == "1"}

        wait_until(lambda: up() == set(SERVICES), 60, "all are up")

    def test_6_every_container_is_bound(self):
        for name, container in self.suite.containers().items():
            with self.subTest(name):
                host, config = container["HostConfig"], container["Config"]
                self.assertNotIn(config["User"].split(":")[0], ("", "0", "root"))
                self.assertTrue(host["ReadonlyRootfs"])
                self.assertFalse(host["Privileged"])
                self.assertEqual(host["CapDrop"], ["ALL"])
                self.assertIn("no-new-privileges:true", host["SecurityOpt"])
                self.assertGreater(host["Memory"], 0)
                self.assertIn(host["RestartPolicy"]["Name"], ("unless-stopped", "on-failure"))
                for mount in container["Mounts"]:
                    self.assertTrue(mount["Type"] == "volume" and mount["Name"].startswith("insideout-test_")
                                    or mount["Source"] == "/dev/null", mount)
                for bindings in (host["PortBindings"] or {}).values():
                    self.assertEqual([b["HostIp"] for b in bindings], ["127.0.0.1"] * len(bindings))
                self.assertEqual(container["RestartCount"], 0)

    def test_6_what_is_published_answers_for_localhost_only(self):
        for name, path in (("PORT", "/v1/orders"), ("REGISTRY_PORT", "/apis/ccompat/v7/subjects"), ("CONNECT_PORT", "/connectors"),
                           ("PROMETHEUS_PORT", "/metrics")):
            port = self.suite.ports[name]
            for host, status in ((f"localhost:{port}", 200), (f"127.0.0.1:{port}", 200), (f"evil.example:{port}", 421)):
                with self.subTest(name, host=host):
                    answer = self.suite.http("GET", path, headers={"Host": host}, port=port)
                    self.assertEqual(answer.status, status, answer)
                    if status != 200:
                        self.assert_problem(answer, status)

    def test_6_settings_of_the_local_file_go_by_way_of_the_shell(self):
        """As the documentation says."""
        with tempfile.TemporaryDirectory() as directory:
            pathlib.Path(directory, ".env.local").write_text("# mine\nREGISTRY_HEAP=99m\n")
            found = self.suite.run("bash", "-c", f'cd {directory}; set -a; . ./.env.local; set +a; {" ".join(COMPOSE)} -f {FILE} config').stdout
        self.assertRegex(found, r"REGISTRY_HEAP: '?\"?99m")
        self.assertRegex(found, r"KAFKA_HEAP: '?\"?384m")

    def test_6_what_needs_something_started_after_it(self):
        """Setup when registry and database were healthy, services when setup had ended."""
        def moment(text):
            return datetime.datetime.fromisoformat(text[:19])

        containers = self.suite.containers()
        setup = containers["setup"]["State"]
        self.assertEqual((setup["Status"], setup["ExitCode"]), ("exited", 0))
        for name in ("registry", "postgres"):
            self.assertLessEqual(moment(containers[name]["State"]["StartedAt"]), moment(setup["StartedAt"]))
        for name in SERVICES:
            self.assertGreaterEqual(moment(containers[name]["State"]["StartedAt"]), moment(setup["FinishedAt"]), name)

    def test_6_a_service_image_is_a_binary_and_its_libraries(self):
        containers = self.suite.containers()
        for name in SERVICES:
            image = containers[name]["Image"]
            size = int(self.suite.run("docker", "image", "inspect", "-f", "{{.Size}}", image).stdout) / 2**20
            self.assertLess(size, SERVICE_IMAGE_MIB, name)
        archive = subprocess.run(["docker", "export", containers["orders"]["Id"]], capture_output=True, check=True, timeout=60).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            regular = [f.name for f in files if f.isreg() and f.size > 0]
        others = [f for f in regular if ".so" not in f and not f.startswith("data/")]
        self.assertEqual(sorted(others), ["etc/ssl/certs/ca-certificates.crt", "service"])

    def test_7_scale_in_the_middle_of_load(self):
        with Load(self.suite, "scale") as load:
            load.wait_for(20)
            self.suite.demo("scale", "orders", 3)
            self.assertEqual({"orders", "orders/2", "orders/3"} - set(self.suite.containers()), set())
            self.suite.wait_healthy()
            load.wait_for(50)
            self.suite.demo("scale", "orders", 1)
            load.wait_for(20)
        self.assertEqual(load.refused, [])
        for i in load.ids:
            self.suite.outcome(i, 60)
        self.suite.audit("--wait=120")

    def test_8_nothing_stays(self):
        self.suite.close()
        self.assertEqual(self.suite.containers(), {})
        self.assertEqual(self.suite.run("docker", "volume", "ls", "-q", "--filter", "name=insideout-test_").stdout, "")
