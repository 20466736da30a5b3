// Records that flow along the edges of the drawing, as many as there are, up to what an eye can tell apart.

import { along } from "./map.js";

const TRAVEL_MS = 1700;
const MOST = 9; // a second, on one edge

/** A rate as dots a second: each record up to three, then slower and slower. */
export const dotsOf = (rate) => (rate <= 3 ? rate : Math.min(MOST, 3 + Math.log2(rate / 3)));

export class Flow {
  #canvas;
  #plan;
  #streams = new Map(); // by edge: { rate, next, dots }
  #frame = 0;
  #colours = null;

  constructor(canvas, plan) {
    this.#canvas = canvas;
    this.#plan = plan;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (this.#colours = null));
    document.addEventListener("visibilitychange", () => this.#wake());
  }

  setRate(edge, rate) {
    const stream = this.#streams.get(edge) ?? { rate: 0, next: 0, dots: [] };
    const was = stream.rate;
    stream.rate = dotsOf(rate);
    if (was === 0 && stream.rate > 0) stream.next = performance.now() + Math.random() * 300;
    this.#streams.set(edge, stream);
    this.#wake();
  }

  /** Nothing is drawn, nor asked for, while nothing flows. */
  #wake() {
    const busy = [...this.#streams.values()].some((s) => s.rate > 0 || s.dots.length > 0);
    if (this.#frame === 0 && busy && !document.hidden) this.#frame = requestAnimationFrame((now) => this.#paint(now));
  }

  #fit() {
    const scale = Math.min(2, devicePixelRatio);
    const { clientWidth, clientHeight } = this.#canvas;
    const [w, h] = [Math.round(clientWidth * scale), Math.round(clientHeight * scale)];
    if (this.#canvas.width !== w || this.#canvas.height !== h) Object.assign(this.#canvas, { width: w, height: h });
    return w / this.#plan.width;
  }

  #paint(now) {
    this.#frame = 0;
    const scale = this.#fit();
    const context = this.#canvas.getContext("2d");
    const style = getComputedStyle(document.documentElement);
    this.#colours ??= { writes: style.getPropertyValue("--lamp-accent"), reads: style.getPropertyValue("--lamp-good") };
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    for (const writes of [true, false]) {
      context.fillStyle = this.#colours[writes ? "writes" : "reads"];
      context.beginPath();
      for (const [edge, stream] of this.#streams) {
        if (edge.writes !== writes) continue;
        this.#step(stream, now);
        for (const since of stream.dots) {
          const [x, y] = along(edge.points, Math.min(1, (now - since) / TRAVEL_MS));
          context.moveTo(x + 3.2, y);
          context.arc(x, y, 3.2, 0, 2 * Math.PI);
        }
      }
      context.fill();
    }
    this.#wake();
  }

  #step(stream, now) {
    while (stream.dots.length > 0 && now - stream.dots[0] > TRAVEL_MS) stream.dots.shift();
    if (stream.rate === 0) return;
    if (now - stream.next > TRAVEL_MS) stream.next = now; // the page was away
    for (; stream.next <= now; stream.next += 1000 / stream.rate) stream.dots.push(stream.next);
  }
}
