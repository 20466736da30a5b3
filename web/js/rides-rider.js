// The rider's page: where to, the car that comes, the trip, the receipt.

import { call, isAway, persist } from "./api.js";
import { followCity } from "./city/feed.js";
import { Journey, ends, findWay } from "./city/journey.js";
import { openMap } from "./city/map.js";
import { person, somewhere } from "./city/person.js";
import { streetInput } from "./city/street-input.js";
import { $, element, setText } from "./dom.js";
import { money, moment } from "./format.js";

const REPORT_MS = 3000;
const ME = "me";
const me = person("rider");
const at = (path = "") => `/v1/riders/${encodeURIComponent(me.id)}${path}`;

const plan = { pickup: null, destination: null, route: null };
let ride = null; // the one that is shown; null: still planning
let streets = ["", ""]; // where it begins and ends
let journey = null;
let aim = "destination"; // what a click on the map sets
let here = null;

const map = await openMap($("map"), { place: point });
const way = map.way("");
const pins = { pickup: map.pin("", "A"), destination: map.pin("destination", "B") };
const inputs = {
  pickup: streetInput($("pickup"), (street) => set("pickup", street)),
  destination: streetInput($("destination"), (street) => set("destination", street)),
};

// --- planning ---

const minutes = (seconds) => `${Math.max(1, Math.round(seconds / 60))} min`;
const kilometres = (metres) => `${(metres / 1000).toFixed(1)} km`;

function notice(text, kind = "bad") {
  $("notice").className = `notice ${kind}`;
  setText($("notice"), text);
}

async function set(which, place) {
  plan[which] = { lat: place.lat, lon: place.lon };
  if (place.name !== undefined) inputs[which].show(place.name);
  if (which === "pickup") here = plan.pickup;
  pins[which](plan[which]);
  plan.route = null;
  $("hail").disabled = true;
  if (plan.pickup === null || plan.destination === null) return;
  const { pickup, destination } = plan;
  try {
    const route = await findWay(pickup, destination);
    if (pickup !== plan.pickup || destination !== plan.destination) return;
    plan.route = route;
    notice("");
    showPlan();
  } catch (problem) {
    notice(problem.message);
  }
}

async function point(place) {
  if (ride !== null) return;
  const which = aim;
  const near = await findWay(place, place).catch(() => null);
  if (near === null) {
    notice("There is no street near that.");
    return;
  }
  notice("");
  await set(which, { ...near.path[0], name: near.steps[0].street });
  if (which === "pickup") aimAt("destination");
}

function aimAt(which) {
  aim = which;
  $("map").dataset.aim = which;
}

function showPlan() {
  const { route } = plan;
  way.set(route.path);
  $("estimate").hidden = false;
  $("distance").textContent = kilometres(route.distanceM);
  $("duration").textContent = minutes(route.durationS);
  $("price").textContent = money(route.fareCents);
  $("hail").disabled = false;
  map.show(route.path);
}

async function hail(event) {
  event.preventDefault();
  $("hail").disabled = true;
  notice("");
  const id = crypto.randomUUID(); // so that it is safe to repeat
  const body = { id, name: me.name, pickup: plan.pickup, destination: plan.destination };
  try {
    show(await persist(6, () => call("POST", at("/rides"), body)));
  } catch (problem) {
    notice(isAway(problem) ? `${problem.message} Try again in a moment.` : problem.message);
    $("hail").disabled = false;
  }
}

// --- the ride ---

const SAYS = {
  REQUESTED: ["wait", "Looking for a driver…", "Your hail is out"],
  ACCEPTED: ["live", "Your driver is on the way", "A car is coming"],
  ARRIVED: ["good", "Your car is here", "Get in"],
  ON_TRIP: ["live", "On the way", "Sit back"],
  COMPLETED: ["good", "You have arrived", "Thank you"],
  CANCELLED: ["off", "The ride is cancelled", "Where to?"],
};

function say(state, driver) {
  const [lamp, word, title] = SAYS[state];
  $("state").hidden = false;
  $("state").querySelector(".lamp").dataset.state = lamp;
  setText($("state").querySelector(".word"), state === "ACCEPTED" && driver ? `${driver} is on the way to you` : word);
  setText($("title"), title);
}

function part(name) {
  for (const id of ["plan", "ride", "done"]) $(id).hidden = id !== name;
  if (name === "plan") aimAt("destination");
  else delete $("map").dataset.aim;
}

async function show(next) {
  const before = ride;
  if (before?.id === next.id && before.state === next.state && before.driverId === next.driverId) return;
  if (before === null) $("title").focus({ preventScroll: true });
  ride = next;
  say(ride.state, ride.driverName);
  if (ride.state === "CANCELLED") {
    notice(ride.reason ?? "", "");
    startOver();
    return;
  }
  part(ride.state === "COMPLETED" ? "done" : "ride");
  $("cancel").hidden = !["REQUESTED", "ACCEPTED", "ARRIVED"].includes(ride.state);
  $("agreed").textContent = money(ride.fareCents);
  for (const e of document.querySelectorAll(".of-driver")) e.hidden = ride.driverId === null;
  $("driver").textContent = ride.driverName ?? ride.driverId ?? "";
  if (before?.driverId && ride.driverId === null) notice("Your driver is gone. We are looking for another one.", "");
  else if (ride.state === "ACCEPTED") notice("");
  for (const which of ["pickup", "destination"]) pins[which](ride[which]);
  follow(before);
  if (before?.id !== ride.id) {
    const route = await findWay(ride.pickup, ride.destination).catch(() => null);
    if (route) streets = ends(route);
    plan.route = route;
    if (ride.state === "REQUESTED" && route) way.set(route.path);
  }
  $("from").textContent = streets[0];
  $("to").textContent = streets[1];
  if (ride.state === "COMPLETED") showReceipt();
}

/** Whose car is followed, and where to. */
function follow(before) {
  if (before?.driverId && before.driverId !== ride.driverId) lookOf(before.driverId, false);
  if (ride.driverId) lookOf(ride.driverId, ride.state !== "COMPLETED");
  const goal = { ACCEPTED: ride.pickup, ARRIVED: null, ON_TRIP: ride.destination }[ride.state] ?? null;
  journey = goal && new Journey(goal);
  if (ride.state === "ARRIVED" || ride.state === "COMPLETED") way.set([]);
  const car = ride.driverId && map.movers.where(ride.driverId);
  if (car) reported(car);
  if (ride.state !== "COMPLETED") {
    map.show([ride.pickup, ...(goal === ride.destination || !car ? [ride.destination] : []), ...(car && goal ? [car] : [])]);
  }
  tick();
}

const own = new Set();
function lookOf(id, isOurs) {
  if (isOurs) own.add(id);
  else own.delete(id);
}

async function reported(car) {
  if (journey === null) return;
  const mine = journey;
  await mine.report(car);
  if (mine !== journey) return;
  way.set([{ lat: car.lat, lon: car.lon }, ...mine.rest]);
  tick();
}

function tick() {
  const left = journey?.left ?? null;
  $("eta").hidden = left === null;
  if (left === null) return;
  const seconds = Math.round(left);
  const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  $("eta").replaceChildren(clock, element("small", "", ride.state === "ON_TRIP" ? " to your destination" : " until it is here"));
}

function rideStory(id) {
  const link = element("a", "", id);
  link.href = `/lens/key/${encodeURIComponent(id)}`;
  return link;
}

function showReceipt() {
  const rows = [
    ["Driver", ride.driverName ?? ride.driverId],
    ["From", streets[0]],
    ["To", streets[1]],
    ["Distance", plan.route ? kilometres(plan.route.distanceM) : ""],
    ["Started", moment(ride.startedAt)],
    ["Time", `${Math.floor((ride.endedAt - ride.startedAt) / 60000)} min ${Math.round(((ride.endedAt - ride.startedAt) % 60000) / 1000)} s`],
    ["Ride", rideStory(ride.id)],
  ];
  $("paid").textContent = money(ride.fareCents);
  $("receipt").replaceChildren(...rows.flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value)]));
  here = ride.destination;
}

function startOver() {
  journey = null;
  ride = null;
  own.clear();
  part("plan");
  plan.route = null;
  way.set([]);
  $("estimate").hidden = true;
  if (plan.pickup && plan.destination) set("destination", plan.destination);
}

async function cancel() {
  $("cancel").disabled = true;
  try {
    show(await persist(6, () => call("POST", `/v1/rides/${encodeURIComponent(ride.id)}/cancel`, {})));
  } catch (problem) {
    notice(problem.message);
  }
  $("cancel").disabled = false;
}

// --- where I am ---

function position() {
  const car = ride?.state === "ON_TRIP" && map.movers.where(ride.driverId);
  return car ? { lat: car.lat, lon: car.lon } : here;
}

async function reportMe() {
  const where = position();
  if (where === null) return;
  const status = ride === null || ride.state === "COMPLETED" ? "ONLINE" : ride.state === "ON_TRIP" ? "RIDING" : "HAILING";
  if (status === "RIDING") map.movers.forget(ME);
  else map.movers.see(ME, { ...where, kind: "rider", look: "rider", own: true });
  await call("POST", at("/position"), { ...where, status, name: me.name }).catch(() => {});
}

// --- all that comes in ---

function seen(car) {
  if (car.status === "OFFLINE") {
    map.movers.forget(car.id);
    return;
  }
  const ours = own.has(car.id);
  map.movers.see(car.id, { ...car, kind: "car", look: ours ? "own" : car.status === "BUSY" ? "busy" : "free", own: ours });
  if (ours) reported(car);
}

function heard(next) {
  if (next.riderId !== me.id) return;
  if (ride === null && ["COMPLETED", "CANCELLED"].includes(next.state)) return; // an old one
  if (ride !== null && next.id !== ride.id && next.requestedAt < ride.requestedAt) return;
  show(next);
}

$("plan").addEventListener("submit", hail);
$("cancel").addEventListener("click", cancel);
$("again").addEventListener("click", () => {
  plan.pickup = here;
  plan.destination = null;
  pins.destination(null);
  inputs.destination.show("");
  $("state").hidden = true;
  setText($("title"), "Where to?");
  startOver();
  set("pickup", { ...here, name: streets[1] });
  $("destination").focus();
});
for (const which of ["pickup", "destination"]) $(which).addEventListener("focus", () => aimAt(which));
$("name").value = me.name;
$("who").textContent = me.name;
$("name").addEventListener("change", () => {
  me.rename($("name").value);
  $("who").textContent = me.name;
});

part("plan");
const start = await somewhere();
if (start.name === null) start.name = (await findWay(start, start)).steps[0].street;
await set("pickup", start);
map.show([start], { least: 15.5 });
const feed = followCity({
  stream: `/v1/events/riders/${encodeURIComponent(me.id)}`,
  view: map.bounds,
  onCar: seen,
  onRide: heard,
  onGone: (kind, key) => kind === "car" && map.movers.forget(key),
  onReset: (kind) => kind === "car" && map.movers.doubt((mover) => mover.kind === "car"),
});
map.leaflet.on("moveend", feed.look);
setInterval(() => {
  tick();
  $("near").textContent = map.movers.count((m) => m.kind === "car" && m.look === "free");
}, 1000);
setInterval(reportMe, REPORT_MS);
reportMe();
