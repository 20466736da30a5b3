// What happens in the city, as it happens: cars, riders and rides in view.

import { follow } from "../events.js";

const LOOK_MS = 400; // a view that still moves is not asked for

/**
 * Follows `stream`: /v1/events/riders/{id}, /v1/events/drivers/{id} or /v1/events/rides, in the box that `view()` tells.
 *   onCar(position), onRider(position), onRide(ride): as each of them is now
 *   onGone(kind, key): "car", "rider" or "ride", no longer in view
 *   onReset(kind): what is not told again from now on is gone
 *   onState("connecting" | "live" | "away")
 * Returns { look(), close() }; look() says that the view may be another.
 */
export function followCity({ stream, view, onCar, onRider, onRide, onGone = () => {}, onReset = () => {}, onState = () => {} }) {
  const kinds = { driver: ["car", onCar], rider: ["rider", onRider], ride: ["ride", onRide] };
  const on = { reset: ({ event }) => onReset(kinds[event][0]) };
  for (const [event, [kind, tell]] of Object.entries(kinds)) {
    if (tell === undefined) continue;
    on[event] = tell;
    on[`${event}-deleted`] = ({ key }) => onGone(kind, key);
  }
  let seen = "";
  let events = null;
  let timer = 0;

  // Another view is another stream, from its beginning.
  function open() {
    if (view() === seen) return;
    seen = view();
    events?.close();
    events = follow(`${stream}?bbox=${seen}`, { on, onState });
  }

  open();
  return {
    look() {
      clearTimeout(timer);
      timer = setTimeout(open, LOOK_MS);
    },
    close() {
      clearTimeout(timer);
      events.close();
    },
  };
}
