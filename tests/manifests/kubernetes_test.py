"""The manifests of compose/kubernetes: valid by the schemas of Kubernetes and Strimzi, consistent in themselves, and the same
suite as compose has. Needs MANIFEST_TOOLS, which `./demo test` installs."""

import copy
import functools
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import jsonschema
import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "compose"
MANIFESTS = COMPOSE / "kubernetes"
TOOLS = pathlib.Path(os.environ["MANIFEST_TOOLS"])
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
VERSIONS = ("1.32", "1.37")  # the oldest that has what is used, and the newest whose schema there is
OVERLAYS = ("local", "strimzi", "external")
POD_KINDS = ("StatefulSet", "Deployment", "Job")
# It reads two megabytes anew for each document.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)


def render(path):
    done = subprocess.run([TOOLS / "bin/kubectl", "kustomize", path], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return list(yaml.load_all(done.stdout, LOADER))


def closed(schema):
    """As the API server takes it with strict validation: a field that is not declared is a mistake."""
    if isinstance(schema, list):
        return [closed(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {k: closed(v) for k, v in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    return schema


def strimzi_schemas():
    for path in TOOLS.glob("strimzi/*.yaml"):
        crd = yaml.load(path.read_text(), LOADER)
        for version in crd["spec"]["versions"]:
            schema = closed(version["schema"]["openAPIV3Schema"])
            for name in ("apiVersion", "kind", "metadata"):
                schema["properties"][name] = {}
            yield (f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"]), schema


STRIMZI = dict(strimzi_schemas())


def validate(document, version):
    strimzi = STRIMZI.get((document["apiVersion"], document["kind"]))
    if strimzi is not None:
        jsonschema.validate(document, strimzi)
    else:
        kubernetes_validate.validate(document, version, strict=True)


def env_file(path):
    lines = (line for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def compose_services():
    defaults = env_file(COMPOSE / ".env")
    text = re.sub(r"\$\{(\w+)(:-[^}]*)?\}", lambda m: defaults[m[1]], (COMPOSE / "compose.yaml").read_text())
    return yaml.safe_load(text)["services"]


def image_env(target):
    """ENV of a target of the Dockerfile, and of the targets that it is made from."""
    env, stages, name = {}, {}, None
    for line in (COMPOSE / "images/Dockerfile").read_text().splitlines():
        if m := re.match(r"FROM (\S+) AS (\S+)", line):
            name = m[2]
            stages[name] = {"from": m[1], "env": {}}
        elif line.startswith("ENV "):
            stages[name]["env"] |= dict(word.split("=", 1) for word in line.split()[1:])
    while target in stages:
        env = stages[target]["env"] | env
        target = stages[target]["from"]
    return env


def memory(text):
    number, unit = re.fullmatch(r"(\d+)(\w+)", str(text)).groups()
    return int(number) * {"m": 1, "Mi": 1, "g": 1024, "Gi": 1024}[unit]


class Manifests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rendered = {name: render(MANIFESTS / "overlays" / name) for name in OVERLAYS}
        with tempfile.TemporaryDirectory(dir=MANIFESTS) as both:
            (pathlib.Path(both) / "kustomization.yaml").write_text(
                "resources: [../overlays/local]\ncomponents: [../observability]\nnamespace: insideout\n")
            cls.rendered["observability"] = render(both)
        cls.whole = {(d["kind"], d["metadata"]["name"]): d for d in cls.rendered["observability"]}
        cls.compose = compose_services()

    def pods(self, documents):
        return {d["metadata"]["name"]: d["spec"]["template"] for d in documents if d["kind"] in POD_KINDS}

    def settings(self, documents):
        return next(d["data"] for d in documents if d["kind"] == "ConfigMap")

    def env(self, pod, documents):
        container = pod["spec"]["containers"][0]
        settings, env = self.settings(documents), {}
        for source in container.get("envFrom", []):
            env |= settings if "configMapRef" in source else {}
        for e in container.get("env", []):
            source = e.get("valueFrom", {}).get("configMapKeyRef")
            env[e["name"]] = settings[source["key"]] if source else e.get("value", "(of the pod)")
        return env

    # ---- the API's schemas ----

    def test_every_document_is_valid(self):
        seen = set()
        for overlay, documents in self.rendered.items():
            for document in documents:
                name = document["metadata"]["name"]
                text = str(document).replace(name, "NAME")  # services differ by their names only
                if text not in seen:
                    seen.add(text)
                    for version in VERSIONS:
                        with self.subTest(overlay=overlay, kind=document["kind"], name=name, version=version):
                            validate(document, version)

    def test_what_is_wrong_is_refused(self):
        for overlay, kind, path in (("strimzi", "StatefulSet", ()), ("strimzi", "Kafka", ("kafka",)), ("strimzi", "KafkaNodePool", ())):
            document = next(d for d in self.rendered[overlay] if d["kind"] == kind)
            for field, value in (("replica", 1), ("replicas", "two"), ("listeners", 1)):
                wrong = copy.deepcopy(document)
                spec = wrong["spec"]
                for step in path:
                    spec = spec[step]
                spec[field] = value
                with self.subTest(kind=kind, field=field), self.assertRaises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
                    validate(wrong, VERSIONS[-1])

    # ---- what belongs together ----

    def test_generated_files_are_what_generate_writes(self):
        with tempfile.TemporaryDirectory() as out:
            subprocess.run([MANIFESTS / "generate", out], check=True)
            for path in pathlib.Path(out).iterdir():
                self.assertEqual(path.read_text(), (MANIFESTS / "base" / path.name).read_text(), f"run {MANIFESTS / 'generate'}")

    def test_every_reference_has_its_target(self):
        for overlay, documents in self.rendered.items():
            names = {(d["kind"], d["metadata"]["name"]) for d in documents}
            labels = [pod["metadata"]["labels"] for pod in self.pods(documents).values()]
            for d in documents:
                spec = d.get("spec", {})
                with self.subTest(overlay=overlay, kind=d["kind"], name=d["metadata"]["name"]):
                    self.assertEqual(d["metadata"].get("namespace", "insideout"), "insideout")
                    if d["kind"] == "StatefulSet":
                        self.assertIn(("Service", spec["serviceName"]), names)
                    if d["kind"] in ("StatefulSet", "Deployment"):
                        self.assertLessEqual(spec["selector"]["matchLabels"].items(), spec["template"]["metadata"]["labels"].items())
                    if d["kind"] in ("Service", "PodDisruptionBudget"):
                        selector = spec["selector"] if d["kind"] == "Service" else spec["selector"]["matchLabels"]
                        self.assertTrue(any(selector.items() <= some.items() for some in labels), selector)
                    for port in spec.get("ports", []) if d["kind"] == "Service" else []:
                        ports = [p["name"] for pod in self.pods(documents).values() if spec["selector"].items() <= pod["metadata"]["labels"].items()
                                 for p in pod["spec"]["containers"][0]["ports"]]
                        self.assertIn(port["targetPort"], ports)
                    for reference in re.findall(r"'name': '(settings[^']*)'", str(spec)):
                        self.assertIn(("ConfigMap", reference), names)

    def test_network_policies_let_in_whom_they_let_out(self):
        """Both ends have to agree: for each connection of the suite, the caller's egress and the callee's ingress."""
        services = [row.split("\t")[0] for row in (ROOT / "services/services.tsv").read_text().splitlines() if not row.startswith("#")]
        wanted = {("connect", "kafka", 19092), ("connect", "registry", 8081), ("connect", "postgres", 5432), ("setup", "kafka", 19092),
                  ("setup", "registry", 8081), ("setup", "connect", 8083), ("setup", "postgres", 5432), ("tools", "kafka", 19092),
                  ("tools", "registry", 8081), ("tools", "postgres", 5432), ("tools", "gateway", 8000),
                  ("simulator", "gateway", 8000), ("kafka", "kafka", 19092)}
        for name in services:
            wanted |= {(name, "kafka", 19092), (name, "registry", 8081), (name, name, 8080), ("gateway", name, 8080), ("prometheus", name, 8080)}
        pods = self.pods(self.whole.values())
        policies = [d["spec"] for d in self.whole.values() if d["kind"] == "NetworkPolicy"]
        ports = {name: {p["containerPort"] for p in pod["spec"]["containers"][0].get("ports", [])} for name, pod in pods.items()}
        open_to_all = {("gateway", 8000), ("prometheus", 9090)}
        got = {(a, b, port) for a in pods for b in pods for port in ports[b]
               if self.allowed(policies, pods[a], pods[b], port, "egress", "to") and self.allowed(policies, pods[b], pods[a], port, "ingress", "from")}
        self.assertEqual(got, wanted)
        for name, port in open_to_all:
            self.assertTrue(self.allowed(policies, pods[name], None, port, "ingress", "from"))

    def selects(self, selector, pod):
        labels = pod["metadata"]["labels"]
        return (selector.get("matchLabels", {}).items() <= labels.items()
                and all(e["operator"] == "In" and labels.get(e["key"]) in e["values"] for e in selector.get("matchExpressions", [])))

    def allowed(self, policies, pod, peer, port, direction, end):
        for policy in policies:
            if not self.selects(policy["podSelector"], pod) or direction.capitalize() not in policy["policyTypes"]:
                continue
            for rule in policy.get(direction, []):
                if port not in [p["port"] for p in rule.get("ports", [{"port": port}])]:
                    continue
                if end not in rule or any("namespaceSelector" not in p and peer is not None and self.selects(p["podSelector"], peer) for p in rule[end]):
                    return True
        return False

    def test_pods_are_without_rights(self):
        for name, pod in self.pods(self.whole.values()).items():
            spec, container = pod["spec"], pod["spec"]["containers"][0]
            with self.subTest(pod=name):
                self.assertEqual(len(spec["containers"]), 1)
                self.assertIs(spec["automountServiceAccountToken"], False)
                self.assertIs(spec["enableServiceLinks"], False)
                self.assertIs(spec["securityContext"]["runAsNonRoot"], True)
                self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                self.assertEqual(container["securityContext"], {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}})

    # ---- the same as compose ----

    def test_same_containers(self):
        self.assertEqual(set(self.pods(self.whole.values())), {re.sub(r"-\d$", "", name) for name in self.compose})

    def test_same_images_commands_and_memory(self):
        for name, pod in self.pods(self.whole.values()).items():
            container, theirs = pod["spec"]["containers"][0], self.compose[name]
            with self.subTest(pod=name):
                self.assertEqual(container["image"], theirs["image"])
                self.assertEqual(memory(container["resources"]["limits"]["memory"]), memory(theirs["mem_limit"]))
                self.assertLessEqual(memory(container["resources"]["requests"]["memory"]), memory(theirs["mem_limit"]))
                if name != "tools":  # waits here for what is asked of it
                    self.assertEqual(container.get("args", []), theirs.get("command", []))
                if "stop_grace_period" in theirs:
                    seconds = container["lifecycle"]["preStop"]["sleep"]["seconds"] + int(theirs["stop_grace_period"].rstrip("s"))
                    self.assertGreaterEqual(pod["spec"]["terminationGracePeriodSeconds"], seconds)

    def test_same_settings(self):
        of_the_pod = {"POD", "SLOT", "ADVERTISED"}
        for name, pod in self.pods(self.whole.values()).items():
            ours, theirs = self.env(pod, self.whole.values()), dict(self.compose[name].get("environment", {}))
            if ours.keys() >= of_the_pod:
                self.assertEqual(ours.pop("ADVERTISED"), f"$(POD).{name}-slots")
                ours = {k: v for k, v in ours.items() if k not in of_the_pod}
            for env in (ours, theirs):
                env |= {"KAFKA_BROKERS": "", "KAFKA_HOST": ""} if "KAFKA_BROKERS" in env or "KAFKA_HOST" in env else {}
            if name == "simulator":  # an alias in compose adds nothing
                theirs = {k: v for k, v in theirs.items() if k in ours}
            with self.subTest(pod=name):
                self.assertEqual({k: str(v) for k, v in ours.items()}, {k: str(v) for k, v in theirs.items()})

    def test_same_ports_as_the_images(self):
        java = {"registry": "REGISTRY_PORT", "connect": "CONNECT_PORT"}
        for name, pod in self.pods(self.whole.values()).items():
            container = pod["spec"]["containers"][0]
            ports = [p["containerPort"] for p in container.get("ports", [])]
            with self.subTest(pod=name):
                image = image_env(self.compose[name]["build"]["target"])
                port = image.get("PORT", image.get("POSTGRES_PORT", image.get("PROMETHEUS_PORT", self.env(pod, self.whole.values()).get(java.get(name)))))
                if port is not None:
                    self.assertEqual(ports, [int(port)])
                for probe in ("livenessProbe", "readinessProbe"):
                    self.assertEqual(probe in container, bool(ports))

    def test_services_are_asked_what_they_answer(self):
        for row in (ROOT / "services/services.tsv").read_text().splitlines():
            if row.startswith("#"):
                continue
            name = row.split("\t")[0]
            stateful = self.whole["StatefulSet", name]["spec"]
            container = stateful["template"]["spec"]["containers"][0]
            with self.subTest(service=name):
                self.assertEqual(container["livenessProbe"]["httpGet"]["path"], "/livez")
                self.assertEqual(container["readinessProbe"]["httpGet"]["path"], "/readyz")
                self.assertGreaterEqual(stateful["replicas"], 2)
                self.assertEqual(self.whole["PodDisruptionBudget", name]["spec"]["maxUnavailable"], 1)
                self.assertEqual(self.whole["Service", name]["spec"]["clusterIP"], "None")
                self.assertTrue(self.whole["Service", f"{name}-slots"]["spec"]["publishNotReadyAddresses"])
                secrets = [v for v in stateful["template"]["spec"].get("volumes", []) if "secret" in v]
                self.assertEqual(bool(secrets), "secrets:/secrets:ro" in self.compose[name]["volumes"])

    def test_strimzi_has_the_settings_of_three_nodes(self):
        start = (COMPOSE / "kafka/start").read_text()
        ours = dict(re.findall(r"^([a-z.]+)=(\S+)$", start, re.MULTILINE))
        values = {"$replicas": "3", "$in_sync": "2"}
        config = next(d for d in self.rendered["strimzi"] if d["kind"] == "Kafka")["spec"]["kafka"]["config"]
        for name, value in config.items():
            with self.subTest(name=name):
                self.assertEqual(str(value).lower(), values.get(ours[name], ours[name]))


if __name__ == "__main__":
    unittest.main()
