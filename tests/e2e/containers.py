"""The suite in containers, as compose/compose.yaml describes it: images built from this tree, ports and volumes of its own.

A module that imports this is skipped (exit code 77) where no Docker engine answers."""

import atexit
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys

from suite import ROOT, SERVICES, Suite, SuiteTest, free_ports, wait_until

SLIM = ["orders", "inventory", "fraud", "order-details", "customers"]
FILE = str(ROOT / "compose/compose.yaml")


def succeeds(*command):
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=600).returncode == 0
    return False


def compose_command():
    """Compose as a plugin of docker or as a program of its own; None: there is neither, or no engine."""
    if not succeeds("docker", "info"):
        return None
    if succeeds("docker", "compose", "version"):
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else None


def base_image():
    return os.environ.get("BASE_IMAGE") or re.search("^BASE_IMAGE=(.*)$", (ROOT / "compose/.env").read_text(), re.M)[1]


COMPOSE = compose_command()
if COMPOSE is None:
    print("skipped: no Docker engine answers, or there is no compose")
    sys.exit(77)
if not succeeds("docker", "image", "inspect", base_image()) and not succeeds("docker", "pull", "-q", base_image()):
    print(f"skipped: the base image {base_image()} is not there and cannot be had")
    sys.exit(77)


class Containers(Suite):
    def __init__(self, profile, **settings):
        ports, self.claim = free_ports()
        self.ports = ports | {"KAFKA_PORT_2": ports["SERVICE_PORT"] + 1, "KAFKA_PORT_3": ports["SERVICE_PORT"] + 2}
        self.env = os.environ | {name: str(port) for name, port in self.ports.items()}
        self.env |= {"COMPOSE_PROJECT_NAME": "insideout-test", "COMPOSE_PROFILES": profile, "SIMULATE": "0"} | settings
        self.live = True
        atexit.register(self.close)
        self.compose("down", "-v", "--remove-orphans", timeout=300)  # of a run that was cut off

    def run(self, *command, ok=True, timeout=300):
        done = subprocess.run(command, env=self.env, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout)
        if ok and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        return done

    def compose(self, *args, **options):
        return self.run(*COMPOSE, "-f", FILE, *args, **options)

    def up(self):
        # one service for each image; all would be asked one after the other, and cached as they are that takes minutes
        profiles = self.env["COMPOSE_PROFILES"].split(",")
        services = SLIM if profiles == ["slim"] else SERVICES
        extra = ["prometheus"] if "observability" in profiles else []
        self.compose("build", "registry", "postgres", "setup", "gateway", *services, *extra, timeout=3600)
        self.compose("up", "-d", timeout=1200)
        self.wait_healthy()

    def close(self):
        if self.live:
            self.live = False
            self.env["COMPOSE_PROFILES"] = "slim,full,cluster,observability"
            self.compose("down", "-v", "--remove-orphans", ok=False)

    def containers(self):
        """What `docker inspect` says, by the names of services (the second container of one: orders/2)."""
        ids = self.run("docker", "ps", "-aq", "--filter", "label=com.docker.compose.project=insideout-test").stdout.split()
        found = {}
        for container in json.loads(self.run("docker", "inspect", *ids).stdout) if ids else []:
            labels = container["Config"]["Labels"]
            number = labels["com.docker.compose.container-number"]
            if labels.get("com.docker.compose.oneoff") != "True":
                found[labels["com.docker.compose.service"] + (f"/{number}" if number != "1" else "")] = container
        return found

    def unhealthy(self, *names):
        """What each of these (none: all) that is not healthy is instead."""
        found = self.containers()
        return {name: state.get("Health", state)["Status"] for name, state in ((n, found[n]["State"]) for n in names or found)
                if name not in ("setup", "simulator") and state.get("Health", {}).get("Status") != "healthy"}

    def wait_healthy(self, *names, timeout=300):
        try:
            wait_until(lambda: not self.unhealthy(*names), timeout, "all are healthy")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.unhealthy(*names)}") from None

    def log_of(self, service, instance=0):
        both = [name for name in (service, f"{service}-2") if name in self.containers()]  # of the cluster
        done = self.compose("logs", "--no-color", "--tail", "25", *both, ok=False)
        return done.stdout

    def audit(self, *options, **settings):
        extra = [f"-e{name}={value}" for name, value in settings.items()]
        return self.compose("run", "--rm", "-T", *extra, "tools", "audit", *options, timeout=400).stdout

    def sql(self, statement):
        self.compose("exec", "-T", "-e", "PGPASSWORD=legacy", "postgres", "psql", "-h", "127.0.0.1", "-p", "5432", "-U",
                     "legacy", "-Xq", "-v", "ON_ERROR_STOP=1", "-c", statement, "legacy")

    def memory(self):
        """MiB in use, by container: without the pages of files that the kernel may drop."""
        unit = {"B": 2**-20, "KiB": 2**-10, "MiB": 1, "GiB": 2**10}
        rows = self.run("docker", "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}").stdout.splitlines()
        used = {row.split()[0]: re.match(r"([0-9.]+)([A-Za-z]+)", row.split()[1]).groups() for row in rows}
        return {name: float(n) * unit[u] for name, (n, u) in used.items() if name.startswith("insideout-test")}


class ContainersTest(SuiteTest):
    profile = None

    @classmethod
    def setUpClass(cls):
        if SuiteTest.suite is None:
            SuiteTest.suite = Containers(cls.profile)
            SuiteTest.suite.up()
        cls.suite = SuiteTest.suite
