"""The API is as web/openapi.yaml says: the calls that there are, and every answer to whatever is asked. web/asyncapi.yaml is
an AsyncAPI document; test_readme holds it to what the services say."""

import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from suite import ROOT, SuiteTest

DOCUMENT = ROOT / "web/openapi.yaml"
TOPICS = ROOT / "web/asyncapi.yaml"
CACHE = pathlib.Path(subprocess.check_output([ROOT / "shared/cmake/librdkafka.sh", "--prefix"], text=True).strip()).parent
PACKAGES = CACHE / f"web-{hashlib.sha256((ROOT / 'web/package-lock.json').read_bytes()).hexdigest()[:12]}/node_modules"
ROUTE = re.compile(r'"(GET|POST|PUT|DELETE)",\s*"(/v1/[^"]*)",\s*\w+')


def documented():
    """(method, path) of each operation; the file keeps the indentation of paths and methods."""
    path = None
    for line in DOCUMENT.read_text().splitlines():
        if found := re.match(r"  (/\S+):", line):
            path = found[1]
        elif found := re.match(r"    (get|post|put|delete):", line):
            yield found[1].upper(), path


class Routes(unittest.TestCase):
    def test_what_is_documented_is_what_services_answer(self):
        sources = [p for p in (ROOT / "services").rglob("*.[ch]") if not p.name.endswith("_test.c")]
        routes = {found.groups() for p in sources for found in ROUTE.finditer(p.read_text())}
        self.assertEqual(set(documented()), routes)


class Document(unittest.TestCase):
    def test_the_linter_has_nothing_to_say(self):
        done = subprocess.run(["node", ROOT / "tests/api/lint.mjs", PACKAGES, DOCUMENT], text=True, capture_output=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Topics(unittest.TestCase):
    def test_the_document_is_asyncapi(self):
        python = pathlib.Path(os.environ.get("SCHEMATHESIS", "schemathesis")).with_name("python")
        version = re.search(r"(?m)^asyncapi: \"?([\d.]+)", TOPICS.read_text())[1]
        done = subprocess.run([python, ROOT / "tests/api/asyncapi.py", TOPICS, PACKAGES / f"@asyncapi/specs/schemas/{version}.json"],
                              text=True, capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Answers(SuiteTest):
    def test_every_answer_is_as_documented(self):
        """Schemathesis asks, with what is allowed and with what is not; streams have no end, so they are left out."""
        tool = os.environ.get("SCHEMATHESIS", "schemathesis")
        scratch = tempfile.TemporaryDirectory()  # it keeps what it found where it runs
        self.addCleanup(scratch.cleanup)
        subprocess.run(
            [tool, "run", DOCUMENT, "--url", f"http://localhost:{self.suite.ports['PORT']}", "--exclude-path-regex", "^/v1/events/|/validated$",
             "--phases", "examples,coverage,fuzzing", "--max-examples", "8", "--generation-deterministic",
             "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
                         "response_schema_conformance", "--request-timeout", "30", "--continue-on-failure", "--no-color", "--warnings", "off"],
            check=True, cwd=scratch.name, env=os.environ | {"SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(ROOT / "tests/api")}, stdout=sys.stderr)
