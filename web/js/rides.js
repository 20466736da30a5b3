// The whole city: every car and rider, and the latest rides.

import { followCity } from "./city/feed.js";
import { openMap } from "./city/map.js";
import { $, element, setText } from "./dom.js";

const SHOWN = 8;
const map = await openMap($("map"));
const { leaflet, movers } = map;
const extent = [[map.city.bbox[1], map.city.bbox[0]], [map.city.bbox[3], map.city.bbox[2]]].map(([lat, lon]) => ({ lat, lon }));
map.show(extent, { padding: [16, 16] });

const WORDS = {
  REQUESTED: ["wait", "is looking for a car"],
  ACCEPTED: ["live", "waits for"],
  ARRIVED: ["live", "gets in with"],
  ON_TRIP: ["live", "rides with"],
};
const rides = new Map(); // those that are not over

function heard(ride) {
  const old = rides.get(ride.id);
  if (old && old.state === ride.state && old.driverId === ride.driverId) return;
  rides.delete(ride.id);
  rides.set(ride.id, ride); // the latest is last
  draw();
}

function draw() {
  const latest = [...rides.values()].slice(-SHOWN).reverse();
  $("none").hidden = latest.length > 0;
  $("rides").replaceChildren(...latest.map((ride) => {
    const [lamp, says] = WORDS[ride.state];
    const light = element("span", "lamp");
    light.dataset.state = lamp;
    const driver = ride.driverId ? ` ${ride.driverName ?? ride.driverId}` : "";
    const story = element("a", "word", light, ride.state.toLowerCase().replace("_", " "));
    story.href = `/lens/key/${encodeURIComponent(ride.id)}`;
    story.title = "Its story in the log";
    return element("li", "card", element("div", "row",
      element("span", "", element("span", "who", ride.riderName ?? ride.riderId), ` ${says}${driver}`), story));
  }));
}

function look(position, kind) {
  if (position.status === "OFFLINE" || (kind === "rider" && position.status === "RIDING")) {
    movers.forget(`${kind} ${position.id}`);
    return;
  }
  movers.see(`${kind} ${position.id}`, { ...position, kind, look: kind === "rider" ? "rider" : position.status === "BUSY" ? "busy" : "free" });
}

const STATES = { connecting: ["wait", "Connecting…"], live: ["live", "Live"], away: ["bad", "Away; trying again"] };
const feed = followCity({
  stream: "/v1/events/rides",
  view: map.bounds,
  onCar: (car) => look(car, "car"),
  onRider: (rider) => look(rider, "rider"),
  onRide: heard,
  onGone(kind, key) {
    if (kind !== "ride") movers.forget(`${kind} ${key}`);
    else if (rides.delete(key)) draw();
  },
  onReset(kind) {
    if (kind === "ride") rides.clear();
    else movers.doubt((mover) => mover.kind === kind);
  },
  onState(state) {
    const [lamp, word] = STATES[state];
    $("state").querySelector(".lamp").dataset.state = lamp;
    setText($("state").querySelector(".word"), word);
  },
});
leaflet.on("moveend", feed.look);

setInterval(() => {
  setText($("free"), String(movers.count((m) => m.kind === "car" && m.look === "free")));
  setText($("busy"), String(movers.count((m) => m.kind === "car" && m.look === "busy")));
  setText($("riders"), String(movers.count((m) => m.kind === "rider")));
}, 500);
