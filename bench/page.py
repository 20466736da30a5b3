"""docs/PERFORMANCE.md and its plots, of what was measured (docs/performance/results.json), the text around it (page.md) and
a sentence for each target that may not be reached (limits.tsv). tests/performance_test.py holds the page to that.

  page.py     writes it anew"""

import json
import pathlib
import string
from statistics import median

import svg

HERE = pathlib.Path(__file__).resolve().parent
DOCS = HERE.parent / "docs"
PAGE, PLOTS = DOCS / "PERFORMANCE.md", DOCS / "performance"
RESULTS = PLOTS / "results.json"
NOT_RUN = "not in this run"


def values(value):
    return value if isinstance(value, list) else [value]


def number(value):
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def figure(numbers, unit=""):
    """The median, and the least and the greatest where there are more."""
    text = number(median(numbers)) + unit
    return f"{text} ({number(min(numbers))}–{number(max(numbers))})" if len(numbers) > 1 else text


class Target:
    def __init__(self, name, of, asked, unit, at_most, limit, take):
        """Asked of benchmark `of`; `take` gives what it measured, a number or one for each turn."""
        self.name, self.of, self.asked, self.unit, self.at_most, self.limit, self.take = name, of, asked, unit, at_most, limit, take

    def measured(self, results):
        """Numbers, or why there are none."""
        result = results.get(self.of, {"error": NOT_RUN})
        if "error" in result:
            return result["error"]
        try:
            return values(self.take(result))
        except KeyError:
            return NOT_RUN

    def reached(self, numbers):
        return median(numbers) <= self.limit if self.at_most else median(numbers) >= self.limit


def largest(peaks, scale=1.0):
    """Of the processes of each turn."""
    return [max(turn) / scale for turn in zip(*(values(v) for v in peaks.values()))]


def ours_at_most(peaks):
    return largest({name: v for name, v in peaks.items() if name not in ("kafka", "streams")}, 1e6)


TARGETS = [
    Target("alone-p50", "latency", "one order at a time, p50, beside three bare transactions", "×", True, 1.5, lambda r: r["toBare"]["p50"]),
    Target("alone-p99", "latency", "one order at a time, p99, beside three bare transactions", "×", True, 2, lambda r: r["toBare"]["p99"]),
    Target("p50-250", "latency", "p50 at 250/s beside one at a time", "×", True, 1.5, lambda r: r["toOneAtATime"]["250"]["p50"]),
    Target("p50-1000", "latency", "p50 at 1,000/s beside one at a time", "×", True, 2, lambda r: r["toOneAtATime"]["1000"]["p50"]),
    Target("p99-1000", "latency", "p99 at 1,000/s beside one at a time", "×", True, 3, lambda r: r["toOneAtATime"]["1000"]["p99"]),
    Target("paced-p50", "streams", "p50 at 1,000/s beside Kafka Streams", "×", True, 0.1, lambda r: r["pacedRatio"]["p50"]),
    Target("paced-p99", "streams", "p99 at 1,000/s beside Kafka Streams", "×", True, 0.1, lambda r: r["pacedRatio"]["p99"]),
    Target("flood", "streams", "orders/s in a flood beside Kafka Streams", "×", False, 5, lambda r: r["perSecondRatio"]),
    Target("cpu", "streams", "CPU time of an order, services and broker, beside Kafka Streams", "×", True, 0.25, lambda r: r["cpuRatio"]),
    Target("get", "http", "GET of one order at an instance, a second", "", False, 40000, lambda r: r["get"]["perSecond"]),
    Target("get-gateway", "http", "GET of one order over the gateway, a second", "", False, 15000, lambda r: r["getOverGateway"]["perSecond"]),
    Target("post-64", "http", "POST to a durable 201, 64 connections, a second", "", False, 5000, lambda r: r["post64"]["perSecond"]),
    Target("post-512", "http", "POST to a durable 201, 512 connections, a second", "", False, 5000, lambda r: r["post512"]["perSecond"]),
    Target("polls", "http", "long polls that an instance holds, of 10,000", "", False, 10000, lambda r: r["polls"]),
    Target("polls-memory", "http", "memory of those long polls", " MB", True, 100, lambda r: r["pollsMB"]),
    Target("page", "http", "a page of a list, p50", " ms", True, 5, lambda r: r["pageMs"]["p50"]),
    Target("restore", "restore", "records/s of a view from its changelog beside Kafka Streams", "×", False, 5, lambda r: r["perSecondRatio"]),
    Target("restart", "restore", "restart in place until ready", " ms", True, 1000, lambda r: r["restartMs"]),
    Target("failover", "restore", "failover to a standby until the next outcomes", " s", True, 8, lambda r: r["failoverSeconds"]),
    Target("fresh", "fresh", "memory of a fresh service, the largest", " MB", True, 32, lambda r: r["value"]),
    Target("peak", "streams", "memory of a service in a flood, the largest", " MB", True, 100, lambda r: ours_at_most(r["peakBytes"])),
    Target("ratings", "ratings", "ratings/s, counted exactly once", "", False, 700000, lambda r: r["perSecond"]),
    Target("events-in", "events", "Avro events into the log by one process, a second", "", False, 1000000, lambda r: r["inPerSecond"]),
    Target("events-out", "events", "and out of it to four others at the same time, a second", "", False, 4000000, lambda r: r["outPerSecond"]),
    Target("ratings-ratio", "ratings", "ratings/s beside a bare consumer", "×", False, 0.5, lambda r: r["perSecondRatio"]),
]


def table(head, rows):
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in (head, ["---"] * len(head), *rows))


def targets(results, limits):
    rows, why = [], []
    for t in TARGETS:
        asked = f"{'≤' if t.at_most else '≥'} {number(t.limit)}{t.unit}"
        numbers = t.measured(results)
        if isinstance(numbers, str):
            rows.append([t.asked, asked, f"not measured: {numbers}", ""])
            continue
        rows.append([t.asked, asked, figure(numbers, t.unit), "yes" if t.reached(numbers) else "**no**"])
        if not t.reached(numbers):
            why.append(f"- **{t.asked}**: {limits[t.name]}")
    return table(["", "asked", "measured", "reached"], rows) + ("\n\nWhat keeps the others:\n\n" + "\n".join(why) if why else "")


def kept(results, name):
    return results.get(name, {}) if "error" not in results.get(name, {"error": ""}) else {}


def plots(results):
    """{file name: SVG}, of what there is."""
    out = {}
    if streams := kept(results, "streams"):
        out["throughput"] = svg.bars("A flood, turn by turn", "orders/s", {
            f"turn {i + 1}": {"insideout": a, "Kafka Streams": b}
            for i, (a, b) in enumerate(zip(streams["perSecond"], streams["peerPerSecond"]))})
        out["budget"] = svg.bars("Where the CPU time of an order goes", "µs an order", {
            who: {name: median(v) for name, v in streams[field].items()}
            for who, field in (("insideout", "cpuMicroseconds"), ("Kafka Streams", "peerCpuMicroseconds"))}, stacked=True)
        out["memory"] = svg.lines("Memory during a flood", "seconds", "MB, resident", streams["memoryMB"], ylog=True)
    if latency := kept(results, "latency"):
        ranks = {1: "p50", 2: "p90", 3: "p99", 4: "p99.9"}
        named = {"three bare transactions": latency["bareMs"]} | {
            "one at a time" if who == "alone" else f"at {int(who):,}/s": ms for who, ms in latency["outcomeMs"].items()}
        out["latency"] = svg.lines("From POST to the outcome", "of all orders", "ms", {
            who: [(at, median(ms[rank])) for at, rank in ranks.items()] for who, ms in named.items()}, ranks, ylog=True)
    if views := kept(results, "views"):
        out["views"] = svg.lines("Cost against the size of the view", "orders in the view", "µs an order", {
            name: [(int(size), v["cpuMicroseconds"][name]) for size, v in views["sizes"].items()]
            for name in next(iter(views["sizes"].values()))["cpuMicroseconds"]}, xlog=True)
    if scale := kept(results, "scale"):
        out["scale"] = svg.lines("Partitions and instances of each service", "partitions", "orders/s", {
            f"{n} instance{'s' if n != '1' else ''}": [(int(p), of[n]["perSecond"]) for p, of in scale["partitions"].items()]
            for n in next(iter(scale["partitions"].values()))})
    return out


def budget(results):
    streams = kept(results, "streams")
    if not streams:
        return ""
    rows = [[name, *(figure(streams[side][name]) if name in streams[side] else "" for side in ("cpuMicroseconds", "peerCpuMicroseconds"))]
            for name in dict.fromkeys([*streams["cpuMicroseconds"], *streams["peerCpuMicroseconds"]])]
    sums = [figure([sum(turn) for turn in zip(*streams[side].values())]) for side in ("cpuMicroseconds", "peerCpuMicroseconds")]
    return table(["µs of CPU time an order", "insideout", "Kafka Streams"], [*rows, ["**all**", *sums]]) + f"\n\nThe audit of that log: {streams['audit']}"


def latencies(results):
    latency = kept(results, "latency")
    if not latency:
        return ""
    named = {"three bare transactions, one after the other": latency["bareMs"]} | {
        "one order at a time" if who == "alone" else f"{int(who):,} orders/s": ms for who, ms in latency["outcomeMs"].items()}
    return table(["ms", "p50", "p90", "p99", "p99.9"], [[who, *(figure(v) for v in ms.values())] for who, ms in named.items()])


def listed(*rows):
    return table(["", "measured"], [[what, figure(values(numbers), unit)] for what, unit, numbers in rows])


def answers(http):
    rows = [[what, figure(http[name]["perSecond"]), figure(http[name]["p50"]), figure(http[name]["p99"]), sum(http[name]["failed"])]
            for what, name in (("GET of one order, 64 connections", "get"), ("the same over the gateway", "getOverGateway"),
                               ("POST to its 201, 64 connections", "post64"), ("POST to its 201, 512 connections", "post512"))]
    return f"With {http['orders']:,} orders in the view.\n\n" + table(["", "a second", "p50, ms", "p99, ms", "failed"], rows)


def restored(restore):
    return f"With {restore['keys']:,} orders in the view.\n\n" + listed(
        ("from the changelog, from the start of the process until it is ready, records/s", "", restore["perSecond"]),
        ("Kafka Streams, from the first record until it runs, records/s", "", restore["peerPerSecond"]),
        ("restart in place until ready", " ms", restore["restartMs"]),
        ("from a death until each of 16 new orders has its outcome", " s", restore["failoverSeconds"]))


def counted(ratings):
    return listed(
        ("ratings/s, counted exactly once", "", ratings["perSecond"]), ("a bare consumer of the same records, records/s", "", ratings["peerPerSecond"]),
        ("CPU time of a rating, service alone", " µs", ratings["cpuMicroseconds"]),
        ("memory at most", " MB", [n / 1e6 for n in values(ratings["peakBytes"])]),
        ("its views once more from the log, records/s", "", ratings["hydrated"]["perSecond"]))


def surroundings(runs):
    rows = []
    for run in runs:
        machine = run["machine"]
        rows.append([run["date"], f"{machine['processors']} × {machine['model']}, {machine['memoryGB']} GB",
                     ", ".join(f"{name} {version}" for name, version in run["versions"].items())])
    return table(["date", "machine", "versions"], rows) if rows else "Nothing was measured yet."


def sections(results):
    """What the text names with $name."""
    drawn = plots(results)
    what = {f"plot_{name}": f"![{name}](performance/{name}.svg)" if name in drawn else f"(no plot: not measured: {why})"
            for name, of in (("throughput", "streams"), ("budget", "streams"), ("memory", "streams"), ("latency", "latency"),
                             ("views", "views"), ("scale", "scale"))
            for why in [results.get(of, {}).get("error", NOT_RUN)]}
    tables = {f"table_{name}": of(result) if (result := kept(results, name)) else f"not measured: {results.get(name, {}).get('error', NOT_RUN)}"
              for name, of in (("http", answers), ("restore", restored), ("ratings", counted))}
    return what | tables | {"budget": budget(results), "latencies": latencies(results)}, drawn


def limits():
    rows = (line.split("\t") for line in (HERE / "limits.tsv").read_text().splitlines() if not line.startswith("#"))
    return {name: sentence for name, sentence in rows}


def render(data):
    """{file: text}: the page and its plots."""
    results = data["results"]
    what, drawn = sections(results)
    text = string.Template((HERE / "page.md").read_text()).substitute(
        what, targets=targets(results, limits()), surroundings=surroundings(data["runs"]))
    return {PAGE: text} | {PLOTS / f"{name}.svg": plot for name, plot in drawn.items()}


def load():
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {"runs": [], "results": {}}


def save(data):
    """A line a benchmark: what has changed is seen."""
    PLOTS.mkdir(exist_ok=True)
    RESULTS.write_text('{"runs": ' + json.dumps(data["runs"]) + ',\n"results": {\n' + ",\n".join(
        f"{json.dumps(name)}: {json.dumps(one)}" for name, one in data["results"].items()) + "}}\n")


def keep(result, run):
    """In place of what the same benchmark measured before. `run`: when, of what and where."""
    data = load()
    of = {name: data["runs"][one["run"]] for name, one in data["results"].items()} | {result["name"]: run}
    data["results"][result["name"]] = result
    runs = [r for r in [*data["runs"], *([] if run in data["runs"] else [run])] if r in of.values()]
    save({"runs": runs, "results": {name: one | {"run": runs.index(of[name])} for name, one in data["results"].items()}})


def write():
    data = load()
    files = render(data)
    save(data)
    for old in set(PLOTS.glob("*.svg")) - set(files):
        old.unlink()
    for path, text in files.items():
        path.write_text(text)


if __name__ == "__main__":
    write()
