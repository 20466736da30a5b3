// The average over time, drawn by uPlot in the colours of the page.

import uPlot from "/vendor/uplot/dist/uPlot.esm.js";
import { $, setText } from "../dom.js";

const HEIGHT = 140;
const SHORT_S = 900;
const minutes = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const seconds = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const days = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const dark = matchMedia("(prefers-color-scheme: dark)");

let plot = null;
let data = [[], [], []];

/** Points of the history, and where the film stands now, as time, average so far, and average since the point before. */
function seriesOf(points, film, now) {
  const all = [...points];
  if (film.ratingCount > (all.at(-1)?.ratingCount ?? 0)) all.push({ timestamp: now, ...film });
  const times = [];
  const soFar = [];
  const lately = [];
  let before = { ratingCount: 0, ratingSumTenths: 0 };
  for (const p of all) {
    const more = p.ratingCount - before.ratingCount;
    times.push(p.timestamp / 1000);
    soFar.push(p.ratingSumTenths / p.ratingCount / 10);
    lately.push(more > 0 ? (p.ratingSumTenths - before.ratingSumTenths) / more / 10 : null);
    before = p;
  }
  return [times, soFar, lately];
}

/** Times as short as tells them apart. */
function times(values) {
  const span = values.at(-1) - values[0];
  const format = span < SHORT_S ? seconds : span < 100 * SHORT_S ? minutes : days;
  return values.map((t) => format.format(t * 1000));
}

function options(width) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const font = `11px ${colour("--mono")}`;
  const axis = { stroke: colour("--soft"), font, grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 8, 0, 0],
    scales: { y: { range: (u, low, high) => [Math.max(0, Math.floor(low - 0.3)), Math.min(10, Math.ceil(high + 0.3))] } },
    axes: [
      { ...axis, size: 24, space: 90, values: (u, values) => times(values), grid: { show: false } },
      { ...axis, size: 34, space: 34 },
    ],
    series: [
      {},
      { stroke: colour("--accent"), width: 2.5, points: { show: data[0].length < 2, fill: colour("--accent") } },
      { stroke: "transparent", points: { show: true, size: 4, stroke: colour("--edge"), fill: colour("--edge") } },
    ],
  };
}

function draw() {
  const width = $("over-time").clientWidth;
  if (width === 0) return;
  plot?.destroy();
  plot = new uPlot(options(width), data, $("over-time"));
}

new ResizeObserver(() => plot !== null && plot.width !== $("over-time").clientWidth && draw()).observe($("over-time"));
dark.addEventListener("change", () => plot !== null && draw());

/** Shows a film's history. */
export function showHistory(points, film, now) {
  const few = data[0].length < 2;
  data = seriesOf(points, film, now);
  if (plot === null || few) draw();
  else plot.setData(data);
  const ends = data[1];
  setText($("time-text"), ends.length === 0 ? "Nobody has rated it yet."
    : `Line: all ratings so far, ${ends[0].toFixed(1)} at first, ${ends.at(-1).toFixed(2)} now. Dots: those since the dot before.`);
}
