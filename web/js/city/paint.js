// Paints the city's GeoJSON as a map, in the colours of the style sheet. One canvas; nothing here knows the page.

import * as L from "/vendor/leaflet/dist/leaflet-src.esm.js";

const ZOOM = 16; // of the units in which shapes are kept: pixels at this zoom, from the city's middle
const CLASSES = {
  // width in pixels at zoom 16, its growth with each zoom, where names begin, in which order painted
  street: { width: 4.4, growth: 2.05, names: 16.4, order: 0 },
  road: { width: 6.2, growth: 1.95, names: 15.2, order: 1 },
  avenue: { width: 8, growth: 1.85, names: 14.3, order: 2 },
};
const COLOURS = ["sea", "shoal", "land", "block", "house", "park", "tree", "street", "road", "avenue", "casing", "bridge",
  "name", "water-name", "park-name", "halo", "arrow"];

function shapes(geojson, origin) {
  const local = ([lon, lat]) => {
    const p = L.CRS.EPSG3857.latLngToPoint(L.latLng(lat, lon), ZOOM);
    return [p.x - origin.x, p.y - origin.y];
  };
  return geojson.features.map(({ properties, geometry }) => {
    const points = (properties.kind === "street" ? geometry.coordinates : geometry.coordinates[0]).map(local);
    const path = outline(points, properties.kind !== "street");
    const behind = properties.kind === "block" ? yard(points, YARD_DEPTH) : null;
    const xs = points.map(([x]) => x);
    const ys = points.map(([, y]) => y);
    const box = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
    return { ...properties, points, path, box, yard: behind && outline(behind, true) };
  });
}

const area = (points) => points.reduce((sum, [x, y], i) => {
  const [px, py] = points.at(i - 1);
  return sum + px * y - x * py;
}, 0) / 2;

/** The yard of a block: its outline, so far inside; null where nothing is left. */
function yard(ring, depth) {
  const points = ring.slice(0, -1);
  const whole = area(points);
  const side = Math.sign(whole) * depth;
  const normal = ([ax, ay], [bx, by]) => {
    const l = Math.hypot(bx - ax, by - ay) || 1;
    return [(ay - by) / l, (bx - ax) / l];
  };
  const inside = points.map((p, i) => {
    const m = normal(points.at(i - 1), p);
    const n = normal(p, points[(i + 1) % points.length]);
    const k = side / Math.max(0.35, 1 + m[0] * n[0] + m[1] * n[1]);
    return [p[0] + (m[0] + n[0]) * k, p[1] + (m[1] + n[1]) * k];
  });
  const left = area(inside) / whole;
  return left > 0.1 && left < 1 ? inside : null;
}

const YARD_DEPTH = 13;

function outline(points, closed) {
  const path = new Path2D();
  points.forEach(([x, y], i) => (i === 0 ? path.moveTo(x, y) : path.lineTo(x, y)));
  if (closed) path.closePath();
  return path;
}

/** Trees where a park's ground is, spread by its own numbers: the same each time. */
function trees(park, context) {
  const path = new Path2D();
  const step = 13;
  for (let y = park.box[1]; y < park.box[3]; y += step) {
    for (let x = park.box[0]; x < park.box[2]; x += step) {
      const h = Math.abs(Math.sin(x * 12.9898 + y * 78.233) * 43758.5453) % 1;
      const g = (h * 977) % 1;
      const [px, py, r] = [x + h * step, y + g * step, 1.6 + 2.4 * ((h * 31) % 1)];
      if (h < 0.62 && context.isPointInPath(park.path, px, py)) {
        path.moveTo(px + r, py);
        path.arc(px, py, r, 0, 2 * Math.PI);
      }
    }
  }
  return path;
}

const length = (points) => {
  let sum = 0;
  for (let i = 1; i < points.length; i++) sum += Math.hypot(points[i][0] - points[i - 1][0], points[i][1] - points[i - 1][1]);
  return sum;
};

/** The point at `at` units along a line. */
function walk(points, at) {
  for (let i = 1; i < points.length; i++) {
    const piece = Math.hypot(points[i][0] - points[i - 1][0], points[i][1] - points[i - 1][1]);
    if (at <= piece || i === points.length - 1) {
      const t = piece === 0 ? 0 : at / piece;
      return [points[i - 1][0] + (points[i][0] - points[i - 1][0]) * t, points[i - 1][1] + (points[i][1] - points[i - 1][1]) * t];
    }
    at -= piece;
  }
  return points[0];
}

/** A layer with the whole map. */
export const CityLayer = L.Renderer.extend({
  options: { padding: 0.2 },

  initialize(geojson, options) {
    L.Renderer.prototype.initialize.call(this, options);
    const [west, south, east, north] = geojson.bbox;
    this._origin = L.CRS.EPSG3857.latLngToPoint(L.latLng((south + north) / 2, (west + east) / 2), ZOOM);
    const all = shapes(geojson, this._origin);
    const of = (kind) => all.filter((shape) => shape.kind === kind);
    this._land = of("land");
    this._blocks = of("block");
    this._parks = of("park");
    this._water = of("river");
    this._streets = of("street").sort((a, b) => CLASSES[a.class].order - CLASSES[b.class].order);
  },

  _initContainer() {
    this._container = L.DomUtil.create("canvas", "city");
    this._container.setAttribute("aria-hidden", "true");
    this._context = this._container.getContext("2d");
    for (const park of this._parks) park.trees = trees(park, this._context);
    this._dark = matchMedia("(prefers-color-scheme: dark)");
    this._repaint = () => this._map && this._update();
    this._dark.addEventListener("change", this._repaint);
    document.fonts.ready.then(this._repaint);
  },

  _hasFont: () => document.fonts.check("600 12px Archivo"),

  _destroyContainer() {
    this._dark.removeEventListener("change", this._repaint);
    L.DomUtil.remove(this._container);
  },

  _update() {
    if (this._map._animatingZoom && this._bounds) return;
    L.Renderer.prototype._update.call(this);
    const size = this._bounds.getSize();
    const painted = [this._bounds.min, size, this._zoom, this._map.getPixelOrigin(), this._dark.matches, this._hasFont()].join();
    if (painted === this._painted) return; // Leaflet tells some moves twice
    this._painted = painted;
    const ratio = Math.min(devicePixelRatio, 2);
    this._container.width = size.x * ratio;
    this._container.height = size.y * ratio;
    this._container.style.width = `${size.x}px`;
    this._container.style.height = `${size.y}px`;
    L.DomUtil.setPosition(this._container, this._bounds.min);
    this._paint(ratio);
  },

  _paint(ratio) {
    const style = getComputedStyle(this._container);
    const colour = Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--map-${name}`).trim()]));
    const zoom = this._map.getZoom();
    const scale = 2 ** (zoom - ZOOM);
    const size = this._bounds.getSize();
    const shift = this._origin.multiplyBy(scale).subtract(this._map.getPixelOrigin()).subtract(this._bounds.min);
    const c = this._context;
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.fillStyle = colour.sea;
    c.fillRect(0, 0, size.x, size.y);
    c.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * shift.x, ratio * shift.y);
    c.lineJoin = c.lineCap = "round";
    const view = [-shift.x / scale, -shift.y / scale, (size.x - shift.x) / scale, (size.y - shift.y) / scale];
    const visible = ({ box }) => box[0] <= view[2] && box[2] >= view[0] && box[1] <= view[3] && box[3] >= view[1];
    this._paintGround(c, colour, zoom, scale, visible);
    this._paintStreets(c, colour, zoom, scale, visible);
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    this._paintNames(c, colour, zoom, scale, shift, visible);
  },

  _paintGround(c, colour, zoom, scale, visible) {
    for (const land of this._land) {
      for (const [width, alpha] of [[74, 0.28], [44, 0.4], [20, 0.55]]) { // the sea gets shallow
        c.globalAlpha = alpha;
        c.strokeStyle = colour.shoal;
        c.lineWidth = width;
        c.stroke(land.path);
      }
      c.globalAlpha = 1;
      c.fillStyle = colour.land;
      c.fill(land.path);
    }
    const blocks = this._blocks.filter(visible);
    c.fillStyle = colour.block;
    for (const block of blocks) c.fill(block.path);
    if (zoom >= 15) { // houses along the streets, yards behind them
      c.globalAlpha = Math.min(1, 2 * (zoom - 14.75));
      c.fillStyle = colour.house;
      for (const block of blocks) c.fill(block.path);
      c.globalAlpha = 1;
      c.fillStyle = colour.block;
      for (const block of blocks) if (block.yard) c.fill(block.yard);
    }
    for (const park of this._parks.filter(visible)) {
      c.fillStyle = colour.park;
      c.fill(park.path);
      if (zoom >= 14.5) {
        c.fillStyle = colour.tree;
        c.fill(park.trees);
      }
    }
    c.save();
    for (const land of this._land) c.clip(land.path); // the river's own shape goes on into the sea
    c.strokeStyle = colour.shoal;
    c.fillStyle = colour.sea;
    c.lineWidth = 5;
    for (const water of this._water) c.stroke(water.path);
    for (const water of this._water) c.fill(water.path);
    c.restore();
  },

  _paintStreets(c, colour, zoom, scale, visible) {
    const streets = this._streets.filter(visible);
    const width = (s) => Math.max(s.class === "street" ? 0.7 : 1.4, CLASSES[s.class].width * CLASSES[s.class].growth ** (zoom - ZOOM));
    if (zoom >= 14.6) {
      c.strokeStyle = colour.casing;
      for (const street of streets) {
        c.lineWidth = (width(street) + (street.class === "street" ? 1 : 2)) / scale;
        c.stroke(street.path);
      }
    }
    for (const street of streets) {
      c.strokeStyle = colour[street.class];
      c.lineWidth = width(street) / scale;
      c.stroke(street.path);
    }
    c.lineCap = "butt";
    for (const bridge of streets.filter((street) => street.bridge)) {
      c.strokeStyle = colour.bridge;
      c.lineWidth = (width(bridge) + 4) / scale;
      c.stroke(bridge.path);
      c.strokeStyle = colour.avenue;
      c.lineWidth = width(bridge) / scale;
      c.stroke(bridge.path);
    }
    c.lineCap = "round";
    if (zoom >= 16.5) this._paintArrows(c, colour, scale, streets);
  },

  _paintArrows(c, colour, scale, streets) {
    c.strokeStyle = colour.arrow;
    c.lineWidth = 1.4 / scale;
    const r = 3.2 / scale;
    for (const { points, oneway } of streets) {
      if (!oneway) continue;
      for (let at = 45 / scale; at < length(points); at += 110 / scale) {
        const [x, y] = walk(points, at);
        const [px, py] = walk(points, at - 4 / scale);
        const a = Math.atan2(y - py, x - px);
        c.beginPath();
        c.moveTo(x - r * Math.cos(a - 0.8), y - r * Math.sin(a - 0.8));
        c.lineTo(x, y);
        c.lineTo(x - r * Math.cos(a + 0.8), y - r * Math.sin(a + 0.8));
        c.stroke();
      }
    }
  },

  // Names run along their streets where those are straight enough; none covers another.
  _paintNames(c, colour, zoom, scale, shift, visible) {
    const taken = [];
    const free = (x, y, r) => taken.every(([tx, ty, tr]) => Math.hypot(x - tx, y - ty) > r + tr);
    const write = (text, x, y, angle, fill) => {
      c.save();
      c.translate(x, y);
      c.rotate(angle);
      c.strokeStyle = colour.halo;
      c.lineWidth = 3;
      c.strokeText(text, 0, 0);
      c.fillStyle = fill;
      c.fillText(text, 0, 0);
      c.restore();
    };
    c.textAlign = "center";
    c.textBaseline = "middle";
    for (const area of [...this._water, ...this._parks].filter(visible)) {
      const big = Math.max(area.box[2] - area.box[0], area.box[3] - area.box[1]) * scale;
      c.font = area.kind === "park" ? "550 11px Archivo, sans-serif" : "italic 550 13px Archivo, sans-serif";
      if (area.name === undefined || area.name.startsWith("River") || big < c.measureText(area.name).width + 20) continue;
      const x = ((area.box[0] + area.box[2]) / 2) * scale + shift.x;
      const y = ((area.box[1] + area.box[3]) / 2) * scale + shift.y;
      const half = c.measureText(area.name).width / 2;
      write(area.name, x, y, 0, area.kind === "park" ? colour["park-name"] : colour["water-name"]);
      taken.push([x - half / 2, y, half / 2], [x + half / 2, y, half / 2]);
    }
    for (const street of [...this._streets].reverse().filter(visible)) {
      if (zoom < CLASSES[street.class].names && !(street.bridge && zoom >= 15.2)) continue;
      c.font = `${street.class === "street" ? 500 : 600} ${street.class === "street" ? 11 : 12}px Archivo, sans-serif`;
      const half = c.measureText(street.name).width / 2;
      const whole = length(street.points) * scale;
      for (let at = half + 12; at + half + 12 < whole; at += 380) {
        const middle = whole < 760 && at < 200 ? whole / 2 : at;
        const [a, b, m] = [middle - half, middle + half, middle].map((d) => walk(street.points, d / scale));
        const chord = Math.hypot(b[0] - a[0], b[1] - a[1]) * scale;
        const [x, y] = [((a[0] + b[0]) / 4 + m[0] / 2) * scale + shift.x, ((a[1] + b[1]) / 4 + m[1] / 2) * scale + shift.y];
        let angle = Math.atan2(b[1] - a[1], b[0] - a[0]);
        if (Math.abs(angle) > Math.PI / 2) angle += Math.PI;
        const [dx, dy] = [(Math.cos(angle) * half) / 2, (Math.sin(angle) * half) / 2];
        const spots = [[x - dx, y - dy], [x + dx, y + dy]];
        if (chord < 1.94 * half || !spots.every(([sx, sy]) => free(sx, sy, half / 2 + 6))) continue;
        for (const [sx, sy] of spots) taken.push([sx, sy, half / 2]);
        write(street.name, x, y, angle, colour.name);
        if (middle !== at) break;
      }
    }
  },
});
