"""What the README links to is there, and the generated page says what the services say. (What there is to type is in the
workshop: test_workshop.)"""

import os
import re
import subprocess

from suite import ROOT, SuiteTest


class Readme(SuiteTest):
    def test_its_links_and_services_are_there(self):
        for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
            for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
                if "://" not in link:
                    self.assertTrue((page.parent / link).exists(), f"{page.name}: {link}")
        named = re.findall(r"(?m)^\| \[([a-z-]+)\]", (ROOT / "README.md").read_text())
        rows = [line.split("\t")[0] for line in (ROOT / "services/services.tsv").read_text().splitlines()[1:]]
        self.assertEqual(named, rows)

    def test_it_is_short(self):
        self.assertLessEqual(len((ROOT / "README.md").read_text().split()), 800)

    def test_the_drawn_data_flow_is_true(self):
        done = subprocess.run(["docs/topology.py", self.suite.build, "--check"], cwd=ROOT, text=True, capture_output=True,
                              env=os.environ, timeout=30)
        self.assertEqual(done.returncode, 0, done.stderr)
