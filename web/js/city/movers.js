// Cars and riders on the map: each glides from where it was seen to where it is seen now.

import * as L from "/vendor/leaflet/dist/leaflet-src.esm.js";
import { between, distance, heading, turn } from "./geometry.js";

const JUMP_M = 400; // farther than anybody drives between two reports
const FADE_AFTER_MS = 15000;
const GONE_AFTER_MS = 60000;
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** One canvas for all of them, painted while something moves. */
export const MoversLayer = L.Renderer.extend({
  options: { padding: 0.15 },

  initialize(options) {
    L.Renderer.prototype.initialize.call(this, options);
    this._movers = new Map();
    this._frame = 0;
  },

  _initContainer() {
    this._container = L.DomUtil.create("canvas", "movers");
    this._container.setAttribute("aria-hidden", "true");
    this._context = this._container.getContext("2d");
    this._wake = () => this._schedule();
    document.addEventListener("visibilitychange", this._wake);
    this._dark = matchMedia("(prefers-color-scheme: dark)");
    this._dark.addEventListener("change", this._wake);
    this._timer = setInterval(() => this._someAge() && this._schedule(), 1000);
  },

  _destroyContainer() {
    clearInterval(this._timer);
    cancelAnimationFrame(this._frame);
    document.removeEventListener("visibilitychange", this._wake);
    this._dark.removeEventListener("change", this._wake);
    L.DomUtil.remove(this._container);
  },

  /** Was seen: { lat, lon, heading?, kind: "car" or "rider", look: a colour's name, at?: ms since 1970 }. */
  see(id, seen) {
    const now = performance.now();
    const age = seen.at === undefined ? 0 : Math.max(0, Date.now() - seen.at);
    const old = this._movers.get(id);
    const shown = old && this._at(old, now);
    const jump = old === undefined || still.matches || distance(shown, seen) > JUMP_M;
    const moved = old !== undefined && distance(old.to, seen) > 0.5;
    const facing = seen.heading ?? (moved ? heading(old.to, seen) : old?.facing ?? 0);
    // As long as the time between its reports, so that it arrives when the next one comes.
    const pace = old ? 0.6 * old.pace + 0.4 * Math.min(2500, Math.max(200, now - old.start)) : 1000;
    this._movers.set(id, {
      ...seen, pace, seen: now - age,
      from: jump ? seen : shown, to: { lat: seen.lat, lon: seen.lon },
      turned: jump ? facing : shown.heading, facing, start: now,
    });
    this._schedule();
  },

  /** Forgets those that are not seen again soon. */
  doubt(test) {
    const before = performance.now();
    setTimeout(() => {
      for (const [id, mover] of this._movers) if (mover.start < before && test(mover, id)) this.forget(id);
    }, 2000);
  },

  forget(id) {
    if (this._movers.delete(id)) this._schedule();
  },

  /** Where it is shown now, or undefined. */
  where(id) {
    const mover = this._movers.get(id);
    return mover && this._at(mover, performance.now());
  },

  count(test) {
    let n = 0;
    for (const mover of this._movers.values()) n += test(mover) ? 1 : 0;
    return n;
  },

  /** Has somebody not been heard of for a while? */
  _someAge() {
    const now = performance.now();
    for (const { seen } of this._movers.values()) if (now - seen > FADE_AFTER_MS) return true;
    return false;
  },

  _at(mover, now) {
    const t = Math.min(1, (now - mover.start) / mover.pace);
    const bend = Math.min(1, 2.5 * t);
    return { ...between(mover.from, mover.to, t), heading: mover.turned + turn(mover.turned, mover.facing) * bend };
  },

  _update() {
    if (this._map._animatingZoom && this._bounds) return;
    L.Renderer.prototype._update.call(this);
    const size = this._bounds.getSize();
    this._ratio = Math.min(devicePixelRatio, 2);
    this._container.width = size.x * this._ratio;
    this._container.height = size.y * this._ratio;
    this._container.style.width = `${size.x}px`;
    this._container.style.height = `${size.y}px`;
    L.DomUtil.setPosition(this._container, this._bounds.min);
    this._paint();
  },

  _schedule() {
    if (this._frame || document.hidden || !this._map) return;
    this._frame = requestAnimationFrame(() => {
      this._frame = 0;
      if (this._paint()) this._schedule();
    });
  },

  // True while something still moves.
  _paint() {
    const now = performance.now();
    const c = this._context;
    const map = this._map;
    if (!map || map._animatingZoom) return true;
    const zoom = map.getZoom();
    const size = this._bounds.getSize();
    const style = getComputedStyle(this._container);
    const looks = {};
    const look = (name) => (looks[name] ??= style.getPropertyValue(`--mover-${name}`).trim());
    let moving = false;
    c.setTransform(this._ratio, 0, 0, this._ratio, 0, 0);
    c.clearRect(0, 0, size.x, size.y);
    for (const kind of ["rider", "car"]) {
      for (const [id, mover] of this._movers) {
        const age = now - mover.seen;
        if (age > GONE_AFTER_MS) this._movers.delete(id);
        if (mover.kind !== kind || age > GONE_AFTER_MS) continue;
        const at = this._at(mover, now);
        moving ||= now - mover.start < mover.pace && distance(mover.from, mover.to) > 0.3;
        const p = map.project(L.latLng(at.lat, at.lon), zoom).subtract(map.getPixelOrigin()).subtract(this._bounds.min);
        if (p.x < -30 || p.y < -30 || p.x > size.x + 30 || p.y > size.y + 30) continue;
        c.save();
        c.globalAlpha = age > FADE_AFTER_MS ? 0.35 : 1;
        c.translate(p.x, p.y);
        if (kind === "car") car(c, at.heading, carSize(zoom, mover.own), look(mover.look), look("edge"), look("glass"));
        else person(c, mover.own ? 9 : Math.max(3.5, zoom - 10.5), look(mover.look), look("edge"));
        c.restore();
      }
    }
    return moving;
  },
});

const carSize = (zoom, own) => (own ? 1.35 : 1) * Math.max(0.52, Math.min(1.3, 0.52 + (zoom - 13.5) * 0.2));

// A car from above, its nose to the heading; far away only an arrowhead of the same colour.
function car(c, facing, k, colour, edge, glass) {
  c.rotate((facing * Math.PI) / 180);
  c.scale(k, k);
  c.fillStyle = colour;
  c.strokeStyle = edge;
  c.lineWidth = 1.5 / k;
  c.beginPath();
  if (k < 0.75) {
    c.moveTo(0, -11);
    c.lineTo(8, 9);
    c.lineTo(0, 5);
    c.lineTo(-8, 9);
    c.closePath();
    c.fill();
    c.stroke();
    return;
  }
  c.roundRect(-6.5, -13, 13, 26, [6, 6, 4, 4]);
  c.fill();
  c.stroke();
  c.fillStyle = glass;
  c.beginPath();
  c.roundRect(-4.7, -6.5, 9.4, 4.6, [2.5, 2.5, 1, 1]);
  c.roundRect(-4.4, 6, 8.8, 3, 1);
  c.fill();
}

function person(c, r, colour, edge) {
  c.fillStyle = colour;
  c.strokeStyle = edge;
  c.lineWidth = 1.5;
  c.beginPath();
  c.arc(0, 0, r, 0, 2 * Math.PI);
  c.fill();
  c.stroke();
}
