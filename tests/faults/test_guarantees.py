"""docs/GUARANTEES.md names tests that there are."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = [path for part in ("tests", "shared", "services") for kind in ("*.c", "*.py") for path in (ROOT / part).rglob(kind)]


class Guarantees(unittest.TestCase):
    def test_every_test_that_is_named_exists(self):
        rows = [line for line in (ROOT / "docs/GUARANTEES.md").read_text().splitlines() if line.startswith("|")]
        named = {name for row in rows for name in re.findall(r"(?<![\w…])[a-z]\w*_\w+", row)}
        there = {path.stem for path in SOURCES}.union(*(re.findall(r"\w+_\w+", path.read_text()) for path in SOURCES))
        self.assertGreater(len(named), 50)
        self.assertEqual({name for name in named if name.removeprefix("mutant_") not in there}, set())


if __name__ == "__main__":
    unittest.main()
