"""usage: lab_test.py BUILD   The learner's way through an exercise: ./demo lab without the launcher. BUILD as for exercises_test.py."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from lab import EXERCISES, HERE, exercises

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
X = next(x for x in exercises() if x.name == "butterflies")
PATIENCE = 60


class Lab(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="lab-test-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.own = self.directory / X.name / X.files[0]
        self.env = os.environ | {"LAB_DIR": str(self.directory), "BUILD_DIR": str(BUILD.parent)}

    def command(self, *args):
        return [sys.executable, "-B", HERE / "lab.py", *map(str, args)]

    def lab(self, *args, code=0):
        done = subprocess.run(self.command(*args), env=self.env, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, f"{args}: {done.stdout}{done.stderr}")
        return done.stdout

    def solve(self):
        shutil.copyfile(EXERCISES / X.name / "solution" / X.files[0], self.own)

    def test_red_is_where_one_begins(self):
        self.assertIn("begins red", self.lab())
        self.assertIn(X.gap, self.lab(X.number, "--check", code=1))
        self.assertIn("begun", self.lab())
        self.solve()
        self.assertIn("green", self.lab(X.name, "--check"))
        self.assertIn("green", self.lab())

    def test_each_save_is_checked_until_it_is_right(self):
        watch = subprocess.Popen(self.command(X.number), env=self.env, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
        self.addCleanup(watch.stdout.close)
        self.addCleanup(watch.kill)
        self.assertTrue(any(X.gap in line for line in watch.stdout))  # reads as far as that
        self.own.write_text(self.own.read_text().replace("struct caterpillar *c", "struct caterpillar *c = 1 +"))
        self.assertTrue(any("does-not-compile" in line for line in watch.stdout))
        new = self.own.with_suffix(".new")  # as many editors save
        shutil.copyfile(EXERCISES / X.name / "solution" / X.files[0], new)
        new.replace(self.own)
        self.assertTrue(any("green" in line for line in watch.stdout))
        watch.stdout.read()
        self.assertEqual(watch.wait(PATIENCE), 0)

    def test_hints_one_by_one_then_the_solution(self):
        for level in (1, 2, 3, 3):
            said = self.lab(X.number, "--hint")
            self.assertEqual([h in said for h in X.hints], [n < level for n in range(3)])
        self.assertIn("+    txn_emit(", self.lab(X.number, "--solution"))
        self.solve()
        self.assertIn("Yours is the solution", self.lab(X.number, "--solution"))

    def test_reset_keeps_what_one_had_and_progress_survives(self):
        self.lab(X.number, "--check", code=1)
        self.solve()
        self.lab(X.number, "--check")
        self.assertTrue(json.loads((self.directory / "progress.json").read_text())[X.name]["passed"])
        self.lab(X.number, "--reset")
        self.assertEqual(self.own.read_text(), (EXERCISES / X.name / X.files[0]).read_text())
        self.assertIn("txn_emit(txn, &topic_butterflies, in->key", self.own.with_name(f"{X.files[0]}.before").read_text())
        self.lab(X.number, "--check", code=1)

    def test_one_who_crashes_is_told_so(self):
        self.lab(X.number, "--check", code=1)
        gap = self.own.read_text()
        self.own.write_text(gap.replace("(void)txn, (void)c;", "(void)txn, (void)c; *(volatile int *)0 = 1;"))
        self.assertIn("crashes", self.lab(X.number, "--check", code=1))

    def test_what_is_no_exercise_is_refused(self):
        self.lab(99, "--check", code=2)
        self.lab("--check", code=2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
