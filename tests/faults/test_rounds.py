"""A run goes on after whatever fails, keeps what it has found, and its pieces add up to one table."""

import argparse
import contextlib
import io
import json
import pathlib
import tempfile
import unittest

from report import table
from rounds import Run, Violation, summary


class Fake(Run):
    """Its suite starts at every second try."""

    def __init__(self, options, wrong):
        super().__init__(options)
        self.wrong, self.starts = wrong, 0

    def start(self):
        self.starts += 1
        self.world = argparse.Namespace(notes=[])
        if self.starts % 2 == 0:
            raise OSError("a port is taken")

    def tell(self, number, fault, error):
        pass

    def round(self, number, fault):
        if number in self.wrong:
            raise self.wrong[number]
        self.rows.append({"round": number, "fault": fault.__name__, "what": fault.__doc__, "did": [], "requests": 10, "before": 0.1,
                          "next": number, "orders": number, "all": number, "skipped": None})


class Rounds(unittest.TestCase):
    def run_piece(self, file, first, last, wrong=None, seed=7):
        options = argparse.Namespace(seed=seed, rounds=6, only=["kill_service"], long=True, first=first, to=last, results=file)
        with contextlib.redirect_stdout(io.StringIO()):
            run = Fake(options, wrong or {})
            self.assertEqual(run.run(), not wrong)
        return run

    def test_pieces_of_which_rounds_fail(self):
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory, "results")
            run = self.run_piece(file, 1, 4, {2: Violation("stock is oversold"), 3: TimeoutError("Kafka does not come back")})
            self.assertEqual([row["round"] for row in run.rows], [1, 4])
            self.assertEqual(run.starts, 5)  # twice again, each at the second try
            self.run_piece(file, 5, None)
            pieces = [json.loads(line) for line in file.read_text().splitlines()]
        self.assertEqual([row["round"] for piece in pieces for row in piece["rows"]], [1, 4, 5, 6])
        self.assertEqual([(f["round"], f["violation"]) for f in pieces[0]["failed"]], [(2, True), (3, False)])
        lines = list(table(pieces))
        self.assertIn("6 rounds, 40 requests of clients judged. Seeds (rounds): 7 (6).", lines)
        self.assertIn("| kill -9 of one service | 6 | 1 | 1 | 0.1 / 0.1 / 0.1 | 5.0 / 6.0 / 6.0 | 5.0 / 6.0 / 6.0 | 5.0 / 6.0 / 6.0 |", lines)
        self.assertIn("\nFailed: kill_service, seed 7, round 2: stock is oversold", lines)
        self.assertEqual(len(list(summary(run.rows))), 2)

    def test_a_kind_of_which_no_round_passed(self):
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory, "results")
            self.run_piece(file, 1, 1, {1: Violation("lost")})
            lines = list(table([json.loads(line) for line in file.read_text().splitlines()]))
        self.assertIn("| kill -9 of one service | 1 | 1 | 0 | – | – | – | – |", lines)


if __name__ == "__main__":
    unittest.main()
