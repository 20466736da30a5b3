// The driver's page: go online, accept a hail, drive there, take the rider where they want to go. The page is the car too.

import { call, isAway, persist } from "./api.js";
import { followCity } from "./city/feed.js";
import { along, distance } from "./city/geometry.js";
import { ends, findWay } from "./city/journey.js";
import { openMap } from "./city/map.js";
import { person, somewhere } from "./city/person.js";
import { $, element, setText } from "./dom.js";
import { money, moment } from "./format.js";

const REPORT_MS = 1000;
const MOVE_MS = 200;
const me = person("driver");
const at = (path = "") => `/v1/drivers/${encodeURIComponent(me.id)}${path}`;

let online = false;
let ride = null;
let car = null; // { lat, lon, heading }
let drive = null; // { route, time } while the car moves
const hails = new Map(); // by ride id: { ride, route, seen, card }
const done = new Set(); // rides whose end was shown

const map = await openMap($("map"), { place: goTo });
const way = map.way("");
const pins = { pickup: map.pin("", "A"), destination: map.pin("destination", "B") };

function notice(text, kind = "bad") {
  $("notice").className = `notice ${kind}`;
  setText($("notice"), text);
}

function say(lamp, word, title) {
  $("state").querySelector(".lamp").dataset.state = lamp;
  setText($("state").querySelector(".word"), word);
  setText($("title"), title);
}

function part(name) {
  for (const id of ["offline", "online", "ride", "done"]) $(id).hidden = id !== name;
  $("speed-row").hidden = name === "offline";
  if (name === "online") $("map").dataset.aim = "drive";
  else delete $("map").dataset.aim;
}

const minutes = (seconds) => `${Math.max(1, Math.round(seconds / 60))} min`;
const kilometres = (metres) => `${(metres / 1000).toFixed(1)} km`;

// --- the car ---

async function driveTo(goal) {
  const route = await findWay(car, goal);
  drive = { route, time: 0 };
}

let moved = performance.now();
function move() {
  const now = performance.now();
  const elapsed = ((now - moved) / 1000) * Number($("speed").value);
  moved = now;
  if (car === null) return;
  if (drive !== null) {
    drive.time += elapsed;
    const { at: place, heading, rest, left } = along(drive.route, drive.time);
    car = { lat: place.lat, lon: place.lon, heading: heading ?? car.heading };
    way.set(rest);
    tick(left);
    if (left === 0) {
      drive = null;
      way.set([]);
      arrivedThere();
    }
  }
  map.movers.see("me", { ...car, kind: "car", look: "own", own: true });
}

async function report() {
  if (!online || car === null) return;
  const body = { lat: car.lat, lon: car.lon, status: ride === null ? "FREE" : "BUSY", name: me.name };
  if (car.heading !== null) body.heading = car.heading;
  await call("POST", at("/position"), body).catch(() => {});
}

async function goTo(place) {
  if (!online || ride !== null) return;
  await driveTo(place).then(() => notice(""), () => notice("There is no street near that."));
}

function tick(left) {
  $("eta").hidden = ride === null || drive === null;
  if ($("eta").hidden) return;
  const seconds = Math.round(left);
  const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  $("eta").replaceChildren(clock, element("small", "", ride.state === "ON_TRIP" ? " to the destination" : " to the rider"));
}

function arrivedThere() {
  $("eta").hidden = true;
  if (ride?.state === "ACCEPTED") say("good", "You are at the pickup", "Pick up");
  if (ride?.state === "ON_TRIP") say("good", "You are at the destination", "Drop off");
}

// --- hails ---

function hailed(next) {
  if (ride !== null || done.has(next.id)) return;
  const known = hails.get(next.id);
  if (known) {
    known.seen = performance.now();
    return;
  }
  const hail = { ride: next, seen: performance.now(), card: element("li", "card new") };
  hails.set(next.id, hail);
  drawHail(hail);
  $("hails").append(hail.card);
  showCount();
}

async function drawHail({ ride: hail, card }) {
  const title = element("span", "who", hail.riderName ?? hail.riderId);
  const where = element("span", "soft", "…");
  const far = element("span", "soft number", "…");
  const accept = element("button", "", `Accept ${hail.riderName ?? hail.riderId}, ${money(hail.fareCents)}`);
  accept.type = "button";
  accept.addEventListener("click", () => take(hail, accept));
  card.append(element("div", "row", title, far), where, accept);
  const pin = map.pin("hail", "!");
  pin(hail.pickup);
  hails.get(hail.id).pin = pin;
  const [there, trip] = await Promise.all([findWay(car, hail.pickup), findWay(hail.pickup, hail.destination)].map((p) => p.catch(() => null)));
  far.textContent = there ? `${minutes(there.durationS)} away` : `${kilometres(distance(car, hail.pickup))} away`;
  where.textContent = trip ? `${ends(trip)[0]} to ${ends(trip)[1]}, ${kilometres(trip.distanceM)}` : "";
}

function drop(id) {
  const hail = hails.get(id);
  if (!hail) return;
  if (hail.card.contains(document.activeElement)) $("title").focus();
  hail.card.remove();
  hail.pin?.(null);
  hails.delete(id);
  showCount();
}

function showCount() {
  $("none").hidden = hails.size > 0;
}

async function take(hail, button) {
  button.disabled = true;
  notice("");
  const body = { name: me.name, commandId: crypto.randomUUID() };
  try {
    const mine = await persist(6, () => call("POST", at(`/rides/${encodeURIComponent(hail.id)}/accept`), body));
    show(mine);
  } catch (problem) {
    const who = hail.riderName ?? hail.riderId;
    notice(problem.status === 409 ? `Somebody else was quicker: ${who} has a driver.` : problem.message);
    button.disabled = false;
    if (problem.status === 409 || problem.status === 404) drop(hail.id);
  }
}

// --- the ride ---

const STEPS = {
  ACCEPTED: ["wait", "On the way to the rider", "Pick up", "I am here", "arrive"],
  ARRIVED: ["good", "The rider gets in", "Pick up", "Start the trip", "start"],
  ON_TRIP: ["live", "On the way to the destination", "Drop off", "Complete the ride", "complete"],
};

async function show(next) {
  if (ride?.id === next.id && ride.state === next.state) return;
  const before = ride;
  const ended = ["COMPLETED", "CANCELLED", "REQUESTED"].includes(next.state) || next.driverId !== me.id;
  if (ended && before?.id !== next.id) return;
  if (ended) {
    finish(next);
    return;
  }
  ride = next;
  for (const id of [...hails.keys()]) drop(id);
  const [lamp, word, title, action] = STEPS[ride.state];
  say(lamp, word, title);
  part("ride");
  $("next").textContent = action;
  $("next").disabled = false;
  $("rider").textContent = ride.riderName ?? ride.riderId;
  $("fare").textContent = money(ride.fareCents);
  for (const which of ["pickup", "destination"]) pins[which](ride[which]);
  if (before?.id !== ride.id) {
    $("title").focus({ preventScroll: true });
    findWay(ride.pickup, ride.destination).then((route) => {
      [$("from").textContent, $("to").textContent] = ends(route);
      ride.route = route;
    }, () => {});
  } else {
    ride.route = before.route;
  }
  const goal = { ACCEPTED: ride.pickup, ON_TRIP: ride.destination }[ride.state];
  drive = null;
  way.set([]);
  $("eta").hidden = true;
  if (goal) {
    await driveTo(goal).catch((problem) => notice(problem.message));
    map.show([car, goal]);
  }
}

function finish(ended) {
  const route = ride.route;
  ride = null;
  drive = null;
  done.add(ended.id);
  way.set([]);
  for (const pin of Object.values(pins)) pin(null);
  if (ended.state === "COMPLETED") {
    say("good", "The ride is complete", "Done");
    part("done");
    $("earned").textContent = money(ended.fareCents);
    const rows = [["Rider", ended.riderName ?? ended.riderId], ["From", $("from").textContent], ["To", $("to").textContent],
      ["Distance", route ? kilometres(route.distanceM) : ""], ["Started", moment(ended.startedAt)], ["Ride", ended.id]];
    $("receipt").replaceChildren(...rows.flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value)]));
    return;
  }
  wait();
  notice(ended.state === "CANCELLED" ? `${ended.riderName ?? ended.riderId} cancelled the ride.` : "The ride went to somebody else.", "");
}

async function step() {
  const action = STEPS[ride.state][4];
  $("next").disabled = true;
  notice("");
  const path = at(`/rides/${encodeURIComponent(ride.id)}/${action}`);
  const body = { commandId: crypto.randomUUID() };
  try {
    show(await persist(8, () => call("POST", path, body), () => notice("No answer yet; trying again.", "")));
    notice("");
  } catch (problem) {
    notice(isAway(problem) ? `${problem.message} Try again.` : problem.message);
    $("next").disabled = false;
  }
}

function wait() {
  part("online");
  say("live", `Online as ${me.name}`, "Waiting for a hail");
  showCount();
}

// --- online and offline ---

let feed = null;

async function goOnline(event) {
  event?.preventDefault();
  me.rename($("name").value);
  notice("");
  if (car === null) car = { ...(await findWay(...Array(2).fill(await somewhere()))).path[0], heading: 0 };
  online = true;
  wait();
  $("title").focus({ preventScroll: true });
  map.show([car], { least: 16 });
  await report();
  feed ??= followCity({
    stream: `/v1/events/drivers/${encodeURIComponent(me.id)}`,
    view: map.bounds,
    onRider: (rider) => {
      if (rider.status === "OFFLINE" || rider.status === "RIDING") map.movers.forget(rider.id);
      else map.movers.see(rider.id, { ...rider, kind: "rider", look: "rider" });
    },
    onRide: heard,
    onGone(kind, key) {
      if (kind === "rider") map.movers.forget(key);
      else gone(key);
    },
    onReset(kind) {
      if (kind === "rider") map.movers.doubt((mover) => mover.kind === "rider");
      else doubtHails();
    },
  });
}

/** A hail that somebody took, or a ride that is no longer ours. */
async function gone(id) {
  drop(id);
  if (id === ride?.id) await call("GET", `/v1/rides/${encodeURIComponent(id)}`).then(heard, () => {});
}

/** Those that are not told again soon are gone. */
function doubtHails() {
  const before = performance.now();
  setTimeout(() => {
    for (const [id, hail] of hails) if (hail.seen < before) drop(id);
  }, 2000);
}

function heard(next) {
  if (!online) return;
  if (next.driverId === me.id || next.id === ride?.id) {
    if (!done.has(next.id)) show(next);
  } else if (next.state === "REQUESTED") {
    hailed(next);
  } else {
    drop(next.id);
  }
}

async function leave() {
  online = false;
  drive = null;
  feed?.close();
  feed = null;
  for (const id of [...hails.keys()]) drop(id);
  part("offline");
  say("off", "You are offline", "Drive a car");
  await call("POST", at("/position"), { lat: car.lat, lon: car.lon, status: "OFFLINE", name: me.name }).catch(() => {});
}

map.leaflet.on("moveend", () => feed?.look());
$("offline").addEventListener("submit", goOnline);
$("leave").addEventListener("click", leave);
$("next").addEventListener("click", step);
$("again").addEventListener("click", () => {
  wait();
  $("title").focus();
});
$("name").value = me.name;
$("go").disabled = false;
part("offline");
setInterval(move, MOVE_MS);
setInterval(report, REPORT_MS);

// A ride that was under way when the page was closed goes on.
const { rides } = await persist(20, () => call("GET", at("/rides?limit=1")));
if (rides.length > 0 && rides[0].state in STEPS && rides[0].driverId === me.id) {
  const last = await call("GET", at("/position")).catch(() => null);
  if (last) car = { lat: last.lat, lon: last.lon, heading: last.heading ?? 0 };
  await goOnline();
  show(rides[0]);
}
