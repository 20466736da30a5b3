// Whether a card draws attention: the newest row of possible-fraud for its token, and each time it changes.

import { segment } from "../api.js";
import { follow } from "../events.js";

/** Calls onRow({ cardToken, count, windowStart, windowEnd }); returns a function that stops it. */
export function watchCard(token, onRow) {
  const stream = follow(`/v1/events/possible-fraud?cardToken=${segment(token)}`, { on: { "possible-fraud": onRow } });
  return () => stream.close();
}
