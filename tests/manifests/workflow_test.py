"""GitHub's workflows: as their schema says, every action of others by its commit, and a tag is the project's version."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").iterdir())
CHECK = [pathlib.Path(os.environ["MANIFEST_TOOLS"], "bin/check-jsonschema"), "--builtin-schema", "vendor.github-workflows"]


def version():
    return re.search(r"^project\(.* VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE)[1]


class Workflows(unittest.TestCase):
    def test_they_are_as_the_schema_says(self):
        done = subprocess.run([*CHECK, *WORKFLOWS], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_what_is_wrong_is_refused(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as wrong:
            wrong.write(WORKFLOWS[0].read_text().replace("runs-on:", "run-on:"))
            wrong.flush()
            self.assertEqual(subprocess.run([*CHECK, wrong.name], capture_output=True).returncode, 1)

    def test_actions_are_pinned(self):
        for path in WORKFLOWS:
            for line in re.findall(r".*\buses:.*", path.read_text()):
                self.assertRegex(line, r"uses: [\w/-]+@[0-9a-f]{40} # v[\d.]+$", path)

    def test_what_they_run_is_there(self):
        for path in WORKFLOWS:
            for script in re.findall(r"\brun: (\.\S+)", path.read_text()):
                self.assertTrue(os.access(ROOT / script, os.X_OK), script)

    def test_a_tag_names_the_version(self):
        released = f"\n## {version()} " in (ROOT / "CHANGELOG.md").read_text()
        for tag, code in ((f"v{version()}", 0 if released else 1), ("v0.0.0", 1), (version(), 1)):
            with self.subTest(tag=tag):
                done = subprocess.run([ROOT / ".ci/tag", tag], capture_output=True, text=True)
                self.assertEqual(done.returncode, code, done.stderr)


if __name__ == "__main__":
    unittest.main()
