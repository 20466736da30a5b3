// A way to somewhere and how far one is on it.

import { call, persist } from "../api.js";
import { project } from "./geometry.js";

const ASTRAY_M = 70;
const AGAIN_MS = 3000;
const text = ({ lat, lon }) => `${lat.toFixed(6)},${lon.toFixed(6)}`;

/** The quickest way, as `/v1/city/route` has it. */
export const findWay = (from, to) => persist(5, () => call("GET", `/v1/city/route?from=${text(from)}&to=${text(to)}`));

/** The names of the streets where a way begins and ends. */
export const ends = (route) => [route.steps[0].street, route.steps.at(-1).street];

/** Somebody's way to a goal, seen from outside: each report of where they are brings it up to date. */
export class Journey {
  #goal;
  #route = null;
  #asked = -Infinity;
  #left = null;
  #seen = 0;

  constructor(goal) {
    this.#goal = goal;
  }

  /** Resolves when the report is worked in. */
  async report(at) {
    const now = performance.now();
    let on = this.#route && project(this.#route, at);
    if ((on === null || on.off > ASTRAY_M) && now - this.#asked > AGAIN_MS) {
      this.#asked = now;
      this.#route = await findWay(at, this.#goal).catch(() => this.#route);
      on = this.#route && project(this.#route, at);
    }
    if (on === null) return;
    this.#left = this.#route.durationS - on.time;
    this.#seen = performance.now();
  }

  /** Seconds to go, counting down between reports; null while nothing is known. */
  get left() {
    return this.#left === null ? null : Math.max(0, this.#left - (performance.now() - this.#seen) / 1000);
  }

  /** What is left of the way. */
  get rest() {
    if (this.#route === null) return [];
    const { path, seconds, durationS } = this.#route;
    const time = durationS - this.#left;
    return path.filter((_, i) => seconds[i] >= time);
  }
}
