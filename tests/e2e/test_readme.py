"""What the README tells people to type works as it says, and the generated page says what the services say."""

import os
import re
import subprocess

from suite import ROOT, SuiteTest


class Readme(SuiteTest):
    def run_block(self, text):
        for told, port in (("8000", "PORT"), ("5433", "POSTGRES_PORT"), ("9092", "KAFKA_PORT")):
            text = re.sub(rf"(localhost:|-p ){told}\b", rf"\g<1>{self.suite.ports[port]}", text)
        done = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", text], cwd=ROOT, env=self.suite.env, text=True,
                              capture_output=True, timeout=240)
        self.assertEqual(done.returncode, 0, f"{text}\n{done.stdout}{done.stderr}")
        return done.stdout

    def test_five_minutes(self):
        blocks = re.findall(r"(?ms)^```sh\n(.*?)^```$", (ROOT / "README.md").read_text())
        self.assertGreater(len(blocks), 3)
        for block in blocks:
            with self.subTest(block.splitlines()[0]):
                said = self.run_block(block)
                for expected in re.findall(r"# (VALIDATED|409|\"\w+\":\d+)$", block, re.M):
                    self.assertIn(expected, said)

    def test_its_links_and_services_are_there(self):
        for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
            for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
                if "://" not in link:
                    self.assertTrue((page.parent / link).exists(), f"{page.name}: {link}")
        named = re.findall(r"(?m)^\| \[([a-z-]+)\]", (ROOT / "README.md").read_text())
        rows = [line.split("\t")[0] for line in (ROOT / "services/services.tsv").read_text().splitlines()[1:]]
        self.assertEqual(named, rows)

    def test_the_drawn_data_flow_is_true(self):
        done = subprocess.run(["docs/topology.py", self.suite.build, "--check"], cwd=ROOT, text=True, capture_output=True,
                              env=os.environ, timeout=30)
        self.assertEqual(done.returncode, 0, done.stderr)
