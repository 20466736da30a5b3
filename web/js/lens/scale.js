// Time on a line on which nothing happening takes little room.

const LONG = 8; // times the typical step is a gap …
const LONG_MS = 400; // … if it is longer than this, too

/** `at(ms)` is a place from 0 to 1; `gaps` are what was cut short: { from, to } as places, and how many `ms`. */
export function timeScale(times) {
  const sorted = [...new Set(times)].sort((a, b) => a - b);
  const steps = sorted.slice(1).map((t, n) => t - sorted[n]);
  const typical = [...steps].sort((a, b) => a - b)[Math.floor(steps.length / 2)] ?? 0;
  const long = Math.max(LONG_MS, LONG * typical);
  const busy = steps.filter((s) => s <= long).reduce((sum, s) => sum + s, 0);
  const cut = Math.max(busy * 0.12, 1);
  const widths = steps.map((s) => (s > long ? cut : s));
  const whole = widths.reduce((sum, w) => sum + w, 0) || 1;
  const places = [0];
  for (const w of widths) places.push(places.at(-1) + w / whole);
  const gaps = steps.flatMap((ms, n) => (ms > long ? [{ from: places[n], to: places[n + 1], ms }] : []));
  return { gaps, at: (ms) => places[sorted.indexOf(ms)] ?? 0 };
}
