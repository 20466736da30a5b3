"""docs/PERFORMANCE.md and its plots are what bench/page.py makes of docs/performance/results.json."""

import pathlib
import sys
import unittest
import xml.dom.minidom

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench"))

import page  # noqa: E402
import svg  # noqa: E402

RUN = {"date": "2026-01-01", "versions": {"insideout": "1"}, "machine": {"processors": 2, "model": "any", "memoryGB": 8}}
PEAKS = {"orders": [90e6, 120e6, 95e6], "fraud": [50e6, 50e6, 50e6]}
STREAMS = {"perSecond": [900, 1000, 1100], "peerPerSecond": [300, 200, 275], "perSecondRatio": [3.0, 5.0, 4.0], "cpuRatio": [0.1, 0.2, 0.3],
           "cpuMicroseconds": {"kafka": [40, 50, 60], "orders": [30, 30, 30]}, "peerCpuMicroseconds": {"kafka": [90, 90, 90], "streams": [300, 300, 300]},
           "peakBytes": PEAKS, "memoryMB": {"orders": [[0, 30], [1, 80]]}, "audit": "all is well", "run": 0}

MS = {rank: [10.0, 20.0, 30.0] for rank in ("p50", "p90", "p99", "p99.9")}
ANSWERS = MS | {"perSecond": [50000, 39000, 30000], "failed": [0, 1, 0]}
COST = {"perSecond": 1000, "cpuMicroseconds": {"kafka": 40, "orders": 30}}
WHOLE = {"streams": STREAMS | {"pacedRatio": MS},
         "latency": {"outcomeMs": {"alone": MS, "250": MS, "1000": MS}, "bareMs": MS, "toBare": MS, "toOneAtATime": {"250": MS, "1000": MS}},
         "http": {"orders": 1000000, "polls": 2048, "pollsMB": 50.0, "pageMs": MS} |
                 {name: ANSWERS for name in ("get", "getOverGateway", "post64", "post512")},
         "restore": {"keys": 1000000, "perSecond": [400000], "peerPerSecond": [100000], "perSecondRatio": [4.0], "restartMs": [300], "failoverSeconds": [7]},
         "fresh": {"value": 38.0}, "events": {"inPerSecond": [1000000], "outPerSecond": [4000000]},
         "ratings": {"perSecond": [1], "peerPerSecond": [2], "perSecondRatio": [0.5], "cpuMicroseconds": [1], "peakBytes": [1e6], "hydrated": {"perSecond": [1]}},
         "views": {"sizes": {"10000": COST, "100000": COST}}, "scale": {"partitions": {"1": {"1": COST, "2": COST}, "4": {"1": COST, "2": COST}}}}


def rows(text):
    return {cells[1].strip(): [c.strip() for c in cells[2:-1]] for line in text.splitlines() if len(cells := line.split("|")) > 4}


class Page(unittest.TestCase):
    def test_it_is_made_of_the_results(self):
        files = page.render(page.load())
        for path, text in files.items():
            self.assertEqual(path.read_text(), text, f"{path} is not what bench/page.py writes: run it")
        self.assertEqual(set(page.PLOTS.glob("*.svg")), set(files) - {page.PAGE})

    def test_each_target_has_a_sentence_on_what_its_limit_is(self):
        self.assertEqual(set(page.limits()), {t.name for t in page.TARGETS})
        self.assertEqual([s for s in page.limits().values() if not s.endswith(".")], [])

    def test_what_was_not_measured_is_said(self):
        text = page.render({"runs": [], "results": {"http": {"error": "nobody is there", "run": 0}}})[page.PAGE]
        for target in page.TARGETS:
            reason = "nobody is there" if target.of == "http" else page.NOT_RUN
            self.assertEqual(rows(text)[target.asked][1:], [f"not measured: {reason}", ""])

    def test_figures_come_from_the_results(self):
        files = page.render({"runs": [RUN], "results": {"streams": STREAMS}})
        told = rows(files[page.PAGE])
        self.assertEqual(told["orders/s in a flood beside Kafka Streams"], ["≥ 5×", "4× (3–5)", "**no**"])
        self.assertEqual(told["CPU time of an order, services and broker, beside Kafka Streams"], ["≤ 0.25×", "0.2× (0.1–0.3)", "yes"])
        self.assertEqual(told["memory of a service in a flood, the largest"], ["≤ 100 MB", "95 MB (90–120)", "yes"])
        self.assertIn(page.limits()["flood"], files[page.PAGE])
        self.assertNotIn(page.limits()["cpu"], files[page.PAGE])
        self.assertIn("| **all** | 80 (70–90) | 390 (390–390) |", files[page.PAGE])
        for path, text in files.items():
            if path != page.PAGE:
                xml.dom.minidom.parseString(text)
                self.assertNotIn("http:", text.replace("http://www.w3.org/2000/svg", ""))

    def test_a_whole_report_has_a_figure_for_each_target_and_all_plots(self):
        files = page.render({"runs": [RUN], "results": {name: result | {"run": 0} for name, result in WHOLE.items()}})
        told = rows(files[page.PAGE])
        self.assertEqual([t.asked for t in page.TARGETS if told[t.asked][2] not in ("yes", "**no**")], [])
        self.assertEqual({path.stem for path in files} - {page.PAGE.stem}, {"throughput", "budget", "memory", "latency", "views", "scale"})
        self.assertEqual(told["GET of one order, 64 connections"], ["39,000 (30,000–50,000)", "20 (10–30)", "20 (10–30)", "1"])

    def test_plots_of_little_are_plots(self):
        for text in (svg.lines("one point", "x", "y", {"a": [(1, 1)]}), svg.bars("nothing & more", "y", {"a": {"b": 0.0}}),
                     svg.lines("decades", "x", "y", {"a": [(10, 1), (1e7, 900)]}, xlog=True, ylog=True)):
            xml.dom.minidom.parseString(text)


if __name__ == "__main__":
    unittest.main()
