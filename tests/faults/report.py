"""usage: report.py FILE…   Adds up what pieces of rounds.py found (--results FILE), and writes it into docs/GUARANTEES.md, between its
markers."""

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
    failures = [failure | {"seed": result["seed"]} for result in results for failure in result["failed"]]
    kinds, failed, runs = collections.defaultdict(list), collections.defaultdict(list), collections.Counter()
    for row in rows:
        kinds[row["fault"]].append(row)
    for failure in failures:
        failed[failure["fault"]].append(failure)
    for result in results:
        runs[result["seed"]] += len(result["rows"]) + len(result["failed"])
    seeds = ", ".join(f"{seed} ({count})" for seed, count in runs.items())
    requests = sum(row["requests"] for row in rows)
    yield f"{len(rows) + len(failures)} rounds, {requests:,} requests of clients judged. Seeds (rounds): {seeds}."
    yield f"Commit: {', '.join(dict.fromkeys(result['commit'] for result in results))}. Machine: {results[-1]['machine']}."
    yield ""
    yield ("| what happened | rounds | violations | not back in time | orders before it | next outcome | orders in all partitions "
           "| every service used |")
    yield "|---|---|---|---|---|---|---|---|"
    for name in sorted(kinds.keys() | failed.keys()):
        yield line((kinds[name] + failed[name])[0]["what"], kinds[name], failed[name])
    yield line("**all**", rows, failures)
    for failure in failures:
        yield f"\nFailed: {failure['fault']}, seed {failure['seed']}, round {failure['round']}: {failure['error'].splitlines()[0][:200]}"


def line(what, rows, failures):
    ran = [row for row in rows if not row["skipped"]]
    violations = sum(failure["violation"] for failure in failures)
    skipped = f" (skipped {len(rows) - len(ran)}: {next(row['skipped'] for row in rows if row['skipped'])})" if len(ran) < len(rows) else ""
    return (f"| {what}{skipped} | {len(ran) + len(failures)} | {violations} | {len(failures) - violations} | {figures(ran, 'before')} "
            f"| {figures(ran, 'next')} | {figures(ran, 'orders')} | {figures(ran, 'all')} |")


def main(files):
    results = [json.loads(piece) for file in files for piece in pathlib.Path(file).read_text().splitlines()]
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(table(results)) + f"\n{END}{after}")


if __name__ == "__main__":
    main(sys.argv[1:])
