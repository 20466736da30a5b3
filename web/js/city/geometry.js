// Places, distances, and where one is on a way. Degrees, metres, seconds.

const RADIUS = 6371000;
const rad = (degrees) => (degrees * Math.PI) / 180;

/** Metres, as the crow flies. */
export function distance(a, b) {
  const s = Math.sin(rad(b.lat - a.lat) / 2);
  const t = Math.sin(rad(b.lon - a.lon) / 2);
  return 2 * RADIUS * Math.asin(Math.min(1, Math.sqrt(s * s + Math.cos(rad(a.lat)) * Math.cos(rad(b.lat)) * t * t)));
}

/** Degrees clockwise from the north. */
export function heading(a, b) {
  const east = (b.lon - a.lon) * Math.cos(rad((a.lat + b.lat) / 2));
  return ((Math.atan2(east, b.lat - a.lat) * 180) / Math.PI + 360) % 360;
}

/** The shorter way from one heading to another: -180 to 180. */
export const turn = (from, to) => ((((to - from) % 360) + 540) % 360) - 180;

export const between = (a, b, t) => ({ lat: a.lat + (b.lat - a.lat) * t, lon: a.lon + (b.lon - a.lon) * t });

/** Where one is after so many seconds on a route of `/v1/city/route`, and what is left of it. */
export function along({ path, seconds }, time) {
  const last = path.length - 1;
  if (last === 0 || time >= seconds[last]) return { at: path[last], heading: null, rest: [path[last]], left: 0 };
  let i = 0;
  while (seconds[i + 1] <= time) i++;
  const t = Math.max(0, (time - seconds[i]) / (seconds[i + 1] - seconds[i]));
  const at = between(path[i], path[i + 1], t);
  return { at, heading: heading(path[i], path[i + 1]), rest: [at, ...path.slice(i + 1)], left: seconds[last] - Math.max(0, time) };
}

/** The place of the route that is nearest to `p`: the seconds from the start, and how many metres p is off. */
export function project({ path, seconds }, p) {
  const k = Math.cos(rad(p.lat));
  let best = { time: 0, off: Infinity };
  for (let i = 0; i < path.length; i++) {
    const a = path[i];
    const b = path[Math.min(i + 1, path.length - 1)];
    const [dx, dy] = [(b.lon - a.lon) * k, b.lat - a.lat];
    const square = dx * dx + dy * dy;
    const t = square === 0 ? 0 : Math.min(1, Math.max(0, ((p.lon - a.lon) * k * dx + (p.lat - a.lat) * dy) / square));
    const off = distance(p, between(a, b, t));
    if (off < best.off) best = { off, time: seconds[i] + t * ((seconds[i + 1] ?? seconds[i]) - seconds[i]) };
  }
  return best;
}
