// A service that restores its view: where in the log it is, as often as an eye can follow.

import { call, segment } from "../api.js";

const LOOK_MS = 60;

/** Where the service is in each partition that it reads: [{ what, topic, partition, position }]; [] while it is away. */
export async function placesOf(service) {
  const { places = [], ready = false, left = 0 } = await call("GET", `/progress/${segment(service)}`).catch(() => ({}));
  return { places, ready, left };
}

/**
 * Watches a service while `until` is not settled, and once more behind it. `show({ places, rate, records })` hears of each
 * look: records a second since the first that was read, and how many so far.
 */
export async function watchRace(service, until, show) {
  let over = false;
  let since = 0;
  const done = until.finally(() => (over = true)).catch(() => {});
  for (let last = false; !last;) {
    last = over;
    const { places } = await placesOf(service);
    const records = places.filter((p) => p.what !== "input").reduce((sum, p) => sum + Number(p.position), 0);
    if (records > 0 && since === 0) since = performance.now();
    const seconds = since === 0 ? 0 : (performance.now() - since) / 1000;
    show({ places, records, rate: seconds > 0 ? records / seconds : 0 });
    if (!last) await Promise.race([done, new Promise((next) => setTimeout(next, LOOK_MS))]);
  }
}
