// What happens in the city, as it happens: cars, riders and rides in view.

import { call } from "../api.js";

const EVERY_MS = 1000;

/**
 * Follows `riders` or `drivers` in the map's view, as `id` may see them.
 *   onCar(position), onRider(position), onRide(ride), onState("connecting" | "live" | "away")
 * Returns { look(bbox), close() }: look() tells that another part of the map is in view.
 */
export function followCity({ sees, id, bbox, onCar = () => {}, onRider = () => {}, onRide = () => {}, onState = () => {} }) {
  let closed = false;
  const who = encodeURIComponent(id);
  async function round() {
    if (sees.includes("cars")) for (const car of (await call("GET", `/v1/riders/${who}/nearby?bbox=${bbox}`)).drivers) onCar(car);
    if (sees.includes("riders")) {
      const near = await call("GET", `/v1/drivers/${who}/nearby?bbox=${bbox}`);
      for (const rider of near.riders) onRider(rider);
      for (const ride of near.hails) onRide(ride);
    }
    for (const role of ["riders", "drivers"]) {
      if (sees.includes(`rides of ${role}`)) {
        for (const ride of (await call("GET", `/v1/${role}/${who}/rides?limit=1`)).rides) onRide(ride);
      }
    }
  }
  (async () => {
    while (!closed) {
      await round().then(() => onState("live"), () => onState("away"));
      await new Promise((done) => setTimeout(done, EVERY_MS));
    }
  })();
  return { look: (box) => (bbox = box), close: () => (closed = true) };
}
