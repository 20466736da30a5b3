"""usage: report.py RESULT…   Writes the figures of runs of rounds.py (--results) into docs/GUARANTEES.md, between its markers."""

import collections
import json
import pathlib
import sys

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/GUARANTEES.md"
BEGIN, END = "<!-- faults: written by tests/faults/report.py -->", "<!-- /faults -->"


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


def figures(rows, what):
    values = [row[what] for row in rows if what in row]
    if not values:
        return "–"
    return " / ".join(f"{value:.1f}" for value in (quantile(values, 0.5), quantile(values, 0.99), max(values)))


def table(results):
    """Lines of Markdown."""
    rows = [row for result in results for row in result["rows"]]
    kinds = collections.defaultdict(list)
    for row in rows:
        kinds[row["fault"]].append(row)
    runs = ", ".join(f"{result['seed']} ({len(result['rows'])})" for result in results)
    requests = sum(row["requests"] for row in rows)
    failed = ", ".join(f"{failure['fault']} (seed {result['seed']}, round {failure['round']})" for result in results
                       for failure in result["failed"])
    yield f"{len(rows)} rounds passed, {requests:,} requests of clients judged. Failed: {failed or 'none'}. Seeds (rounds): {runs}."
    yield f"Machine: {results[-1]['machine']}."
    yield ""
    yield "| what happened | rounds | orders before it | next outcome | orders in all partitions | every service used |"
    yield "|---|---|---|---|---|---|"
    for name in sorted(kinds):
        of = kinds[name]
        if of[0]["skipped"]:
            yield f"| {of[0]['what']} | {len(of)} | skipped: {of[0]['skipped']} | | | |"
        else:
            yield f"| {of[0]['what']} | {len(of)} | {figures(of, 'before')} | {figures(of, 'next')} | {figures(of, 'orders')} | {figures(of, 'all')} |"
    ran = [row for row in rows if not row["skipped"]]
    yield f"| **all** | {len(ran)} | {figures(ran, 'before')} | {figures(ran, 'next')} | {figures(ran, 'orders')} | {figures(ran, 'all')} |"


def main(files):
    results = [json.loads(pathlib.Path(file).read_text()) for file in files]
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(table(results)) + f"\n{END}{after}")


if __name__ == "__main__":
    main(sys.argv[1:])
