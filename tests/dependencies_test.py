"""docs/dependencies.tsv, by which ./demo outdated asks, lists all that is pinned or installed, with the version that it has there."""

import json
import pathlib
import re
import subprocess
import unittest
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]
FILES = subprocess.run(["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"], capture_output=True, text=True, check=True).stdout.split()


def named(suffix):
    return [name for name in FILES if ("/" + name).endswith(suffix) and (ROOT / name).exists()]


def listed():
    lines = (ROOT / "docs/dependencies.tsv").read_text().splitlines()
    return [dict(zip(lines[0].split("\t"), line.split("\t"))) for line in lines[1:]]


def poms():
    """What a POM names by group, artifact and version, its plugins too."""
    space = {"": "http://maven.apache.org/POM/4.0.0"}
    for name in named("/pom.xml"):
        root = xml.etree.ElementTree.parse(ROOT / name).getroot()
        properties = {p.tag.split("}")[1]: p.text for p in root.find("properties", space) if p.text}
        for kind in ("dependency", "artifactItem", "plugin"):
            for found in root.iter(f"{{{space['']}}}{kind}"):
                version = found.findtext("version", namespaces=space)
                version = re.sub(r"\$\{([^}]*)\}", lambda m: properties[m[1]], version)
                yield "maven", f"{found.findtext('groupId', namespaces=space)}:{found.findtext('artifactId', namespaces=space)}", version, name


def pinned():
    yield from poms()
    for name in named("/package.json"):
        package = json.loads((ROOT / name).read_text())
        for key in ("dependencies", "devDependencies"):
            for what, version in package.get(key, {}).items():
                yield "npm", what, version, name
    for name in named("/requirements.in"):
        for line in (ROOT / name).read_text().split():
            yield "pypi", *line.split("=="), name
    for name in named("/go.mod"):
        for what, version in re.findall(r"^\t(\S+) (v\S+)$", (ROOT / name).read_text(), re.MULTILINE):  # the rest is // indirect
            yield "go", what, version, name
    for name in named(".sh"):
        text = (ROOT / name).read_text()
        for what, version in re.findall(r"^PACKAGE=(\S+)@(\S+)$", text, re.MULTILINE):
            yield "npm", what, version, name
        for what, version in re.findall(r"=(org\.codehaus\.mojo:[\w-]+):([\d.]+)$", text, re.MULTILINE):
            yield "maven", what, version, name
    for name in (name for name in FILES if name.startswith(".github/workflows/")):
        for what, version in re.findall(r"uses: ([\w/-]+)@[0-9a-f]{40} # (\S+)$", (ROOT / name).read_text(), re.MULTILINE):
            yield "github", what, version, name


def installed():
    """Debian's packages, by name: the release says which version."""
    packages = (ROOT / "compose/native/packages.sh").read_text()
    for words in re.findall(r"^PACKAGES_\w+=\((.*?)\)", packages, re.MULTILINE | re.DOTALL):
        yield from words.split()
    for name in named(".sh"):
        for kind, words in re.findall(r"\binstall_(packages|programs) ([a-z][\w:. -]*)", (ROOT / name).read_text()):
            yield from (word.split(":")[-1] for word in words.split())
    for words in re.findall(r"(?:^RUN|&&)(?:[^&\n]|\\\n)*?\bpackages ((?:[a-z0-9.+ -]|\\\n)+)", (ROOT / "compose/images/Dockerfile").read_text(), re.MULTILINE):
        yield from words.replace("\\\n", " ").split()


class Dependencies(unittest.TestCase):
    def test_all_that_is_pinned_is_listed(self):
        listed_versions = {(d["registry"], d["name"]): d["version"] for d in listed()}
        for registry, name, version, where in pinned():
            with self.subTest(where=where, name=name):
                self.assertEqual(listed_versions.get((registry, name)), version)
        debian = {d["name"] for d in listed() if d["registry"] == "debian"}
        self.assertEqual(set(installed()) - debian, set())

    def test_all_that_is_listed_is_used(self):
        known = {(registry, name, where) for registry, name, _, where in pinned()}
        used = set(installed())
        for row in listed():
            with self.subTest(name=row["name"]):
                self.assertGreater(len(row["why"]), 3)
                if row["registry"] == "debian":
                    self.assertIn(row["name"], used)
                    self.assertIn(row["name"], (ROOT / row["pinned in"]).read_text())
                else:
                    self.assertIn((row["registry"], row["name"], row["pinned in"]), known)

    def test_nothing_is_listed_twice(self):
        names = [(d["registry"], d["name"]) for d in listed()]
        self.assertEqual(len(names), len(set(names)))


if __name__ == "__main__":
    unittest.main()
