// The events of one order, line by line, as they come.

import { $, element } from "../dom.js";
import { duration } from "../format.js";
import { tell } from "./life.js";

export function clearTape() {
  $("tape").replaceChildren();
  $("tape-empty").hidden = false;
}

/** Adds an event; `after`: milliseconds since the order was placed, or null where nobody watched. */
export function writeTape(event, after) {
  const { title, detail, kind } = tell(event);
  const where = element("span", "tape-where mono", element("span", "topic", event.topic));
  if (event.offset !== undefined) where.append(` ${event.partition}:${event.offset}`);
  const when = element("span", "tape-when mono", after === null ? "earlier" : `+${duration(after)}`);
  const detailed = element("p", "tape-detail", detail);
  detailed.dir = "auto";
  const item = element("li", `entry ${kind}`, element("p", "tape-title", title), when, detailed, where);
  $("tape").append(item);
  $("tape-empty").hidden = true;
}
