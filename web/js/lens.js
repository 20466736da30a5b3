// The log explorer: topics, the partitions of one as tapes, one record in detail.

import { call, segment } from "./api.js";
import { command, hasToken } from "./control.js";
import { $, element, setText } from "./dom.js";
import { follow as followEvents } from "./events.js";
import { bytes, count } from "./format.js";
import { Detail } from "./lens/detail.js";
import { Finder } from "./lens/find.js";
import { Lane } from "./lens/lane.js";
import { placesOf, watchRace } from "./lens/race.js";

const TOPICS_EVERY_MS = 5000;
const GROUPS_EVERY_MS = 2500;
const REFRESH_MS = 300; // at most so often while records come

const address = new URLSearchParams(location.search);
let topics = [];
let graph = { services: [] }; // what the services say of themselves
let topic = null; // that is on the tape
let lanes = [];
let stream = null;
let following = true;
let dirty = false;
let leftOut = 0;

const detail = new Detail((record) => goTo(record));
const finder = new Finder({ topic: () => topic?.name, open: (record) => goTo(record) });

function say(problem) {
  setText($("trouble"), problem === null ? "" : problem.message);
}

// --- topics ---

const total = (t, field) => t.partitions.reduce((sum, p) => sum + Number(p[field] ?? 0), 0);

function topicRow(t) {
  const link = element("a", "", element("span", "topic-name", t.name), element("span", "number soft rate"));
  link.href = `/lens?topic=${segment(t.name)}`;
  link.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    open(t.name);
  });
  const row = element("li", t.internal ? "internal" : "", link);
  row.dataset.topic = t.name;
  return row;
}

function showTopics() {
  const list = $("topics");
  const names = topics.map((t) => t.name).join("\n");
  if (list.dataset.names !== names) {
    list.dataset.names = names;
    const inOrder = [...topics].sort((a, b) => Number(a.internal ?? false) - Number(b.internal ?? false));
    list.replaceChildren(...inOrder.map(topicRow));
  }
  for (const row of list.children) {
    const t = topics.find((one) => one.name === row.dataset.topic);
    const rate = total(t, "rate");
    const text = rate >= 0.5 ? `${count(Math.round(rate))}/s` : count(total(t, "end") - total(t, "first"));
    setText(row.querySelector(".rate"), text);
    row.classList.toggle("busy", rate >= 0.5);
    row.firstChild.toggleAttribute("aria-current", t.name === topic?.name);
    if (t.name === topic?.name) row.firstChild.setAttribute("aria-current", "true");
  }
  filterTopics();
}

function filterTopics() {
  const text = $("topic-filter").value.trim().toLowerCase();
  for (const row of $("topics").children) row.hidden = !row.dataset.topic.includes(text);
}

async function readTopics() {
  topics = (await call("GET", "/v1/log/topics")).topics;
  showTopics();
  if (topic !== null) showFacts();
}

function showFacts() {
  topic = topics.find((t) => t.name === topic.name) ?? topic;
  const facts = [`${count(total(topic, "end") - total(topic, "first"))} offsets`, `${bytes(total(topic, "bytes"))} read`];
  if (topic.known) {
    facts.push(`key: ${topic.key}`, `value: ${topic.value}`, topic.compacted ? "compacted" : "kept whole",
      `written by ${topic.writers.join(", ") || "anybody"}`, `read by ${topic.readers.join(", ") || "nobody"}`);
  }
  setText($("tape-facts"), facts.join(" · "));
}

// --- the tape ---

function remember(place = {}) {
  const query = new URLSearchParams({ topic: topic.name, ...place });
  history.replaceState(null, "", `/lens?${query}`);
}

function setFollowing(on) {
  following = on;
  $("follow").setAttribute("aria-pressed", String(on));
  for (const lane of lanes) lane.following = on;
  showLive();
}

let liveState = "connecting";

function showLive() {
  const words = { connecting: "Connecting…", away: "The lens is away; trying again", live: following ? "Live" : "Paused here" };
  const left = leftOut > 0 && liveState === "live" ? ` · ${count(leftOut)} records left out of the live tail` : "";
  $("live").querySelector(".lamp").dataset.state = { connecting: "wait", away: "bad", live: following ? "good" : "off" }[liveState];
  setText($("live").querySelector(".word"), words[liveState] + left);
}

async function refresh() {
  dirty = false;
  if (topic === null || document.hidden) return;
  await Promise.all(lanes.filter((lane) => lane.following).map((lane) => lane.read()));
}

function listen() {
  stream?.close();
  leftOut = 0;
  if (!topic.known) { // the live tail knows the catalogue's only
    liveState = "live";
    showLive();
    return;
  }
  stream = followEvents(`/v1/events/log/${segment(topic.name)}`, {
    on: {
      [topic.name]: () => (dirty = true),
      "left-out": ({ records }) => {
        leftOut += records;
        dirty = true;
        showLive();
      },
    },
    onState: (state) => {
      liveState = state;
      dirty = true;
      showLive();
    },
  });
}

/** Shows a topic; `place`: { partition, offset } to go to. */
async function open(name, place = null) {
  const found = topics.find((t) => t.name === name);
  if (found === undefined) {
    say({ message: `There is no topic ${name}.` });
    return;
  }
  say(null);
  if (topic?.name !== name) {
    topic = found;
    finder.close();
    setText($("tape-title"), name);
    lanes = found.partitions.map((p) => new Lane(topic, p.partition, { select: (e, lane) => choose(e, lane), moved: () => setFollowing(false), same }));
    $("lanes").replaceChildren(...lanes.map((lane) => lane.root));
    listen();
    readGroups().catch(say);
    showViews();
  }
  showFacts();
  showTopics();
  setFollowing(place === null);
  if (place === null) {
    remember();
    await refresh().catch(say);
  } else {
    await Promise.all(lanes.map((lane) => (lane.partition === place.partition ? lane.show(place.offset) : lane.read(true)))).catch(say);
  }
}

async function goTo({ topic: name, partition, offset }) {
  await open(name, { partition, offset });
  const lane = lanes.find((one) => one.partition === partition);
  lane?.focus(offset);
}

function choose(entry, lane) {
  if (following && lane.following) setFollowing(false);
  remember({ partition: entry.partition, offset: entry.offset });
  detail.show(entry);
}

/** Marks the records of one transaction, in all partitions: its producer is the same, and so, nearly, is the time of its markers. */
function same(mark) {
  for (const lane of lanes) lane.mark(mark);
}

/** Where a service's views and tables of this topic are, by its places. */
function showHolders(service, places) {
  for (const lane of lanes) {
    const own = places.filter((p) => p.topic === topic.name && p.partition === lane.partition && p.what !== "input");
    lane.holders = [...lane.holders.filter((h) => h.service !== service),
      ...own.map((p) => ({ service, name: `${service}: ${p.what}`, position: Number(p.position), lag: 0 }))];
    lane.paintMarks();
  }
}

/** The views that are made of this topic, and what may be done with them. */
function showViews() {
  const makers = graph.services.filter((s) => s.views.some((view) => view.topic === topic.name));
  $("tape-views").hidden = makers.length === 0;
  $("tape-views").replaceChildren(...makers.flatMap((service) => {
    const link = element("a", "", `${service.name}’s view, as it was and as it is`);
    link.href = `/lens/view/${segment(topic.name)}`;
    if ($("control-here") === null || !hasToken) return [link];
    const button = element("button", "quiet", `Rewind ${service.name}`);
    button.type = "button";
    button.addEventListener("click", () => rewind(service.name, button).catch(say));
    return [link, " ", button, element("output", "number")];
  }));
}

async function rewind(service, button) {
  const says = button.nextElementSibling;
  const raced = topic;
  const done = command("rewind", { name: service });
  let best = 0;
  button.disabled = true;
  await watchRace(service, done, ({ places, rate }) => {
    if (topic !== raced) return;
    best = Math.max(best, rate);
    // Without a view it is at the beginning: there is nothing of it.
    const own = topic.partitions.map((p) => places.find((place) => place.what === "view" && place.topic === topic.name && place.partition === p.partition)
      ?? { what: "view", topic: topic.name, partition: p.partition, position: 0 });
    showHolders(service, own);
    setText(says, best === 0 ? "its view is gone" : `${count(Math.round(best))} records a second`);
  });
  button.disabled = false;
  setText(says, (await done.catch((problem) => ({ said: problem.message }))).said.trim());
}

async function readHolders() {
  if (topic === null || !topic.known) return;
  const asked = topic;
  const near = graph.services.filter((s) => s.groups.length > 0 && (topic.readers.includes(s.name) || topic.writers.includes(s.name)));
  const all = await Promise.all(near.map(async (s) => [s.name, (await placesOf(s.name)).places]));
  if (topic !== asked) return;
  for (const [name, places] of all) if (places.length > 0) showHolders(name, places);
}

async function readGroups() {
  if (topic === null) return;
  readHolders();
  const { groups } = await call("GET", "/v1/log/groups");
  for (const lane of lanes) {
    lane.readers = groups.flatMap((g) => g.partitions
      .filter((p) => p.topic === topic.name && p.partition === lane.partition)
      .map((p) => ({ name: g.name, position: p.position, lag: p.lag })));
    lane.paintReaders();
  }
}

// --- what is asked for ---

$("topic-filter").addEventListener("input", filterTopics);

$("story-form").addEventListener("submit", (event) => {
  event.preventDefault();
  location.href = `/lens/key/${segment($("story-key").value)}`;
});

$("follow").addEventListener("click", () => {
  setFollowing(!following);
  if (following) refresh().catch(say);
});

$("jump").addEventListener("submit", async (event) => {
  event.preventDefault();
  const place = $("jump-to").value.trim();
  setText($("jump-problem"), "");
  if (place === "" || topic === null) return;
  setFollowing(false);
  const problems = (await Promise.all(lanes.map((lane) => lane.jump(place).then(() => null, (problem) => problem)))).filter(Boolean);
  if (problems.length === lanes.length) setText($("jump-problem"), problems[0].message);
});

$("find").addEventListener("submit", (event) => {
  event.preventDefault();
  setText($("jump-problem"), "");
  finder.find($("find-what").value, $("find-text").value.trim()).catch((problem) => setText($("jump-problem"), problem.message));
});

async function every(ms, what) {
  for (;;) {
    if (!document.hidden) await what().then(() => say(null), say);
    await new Promise((done) => setTimeout(done, ms));
  }
}

async function begin() {
  showLive();
  for (;;) {
    try {
      graph = await call("GET", "/topology.json");
      await readTopics();
      break;
    } catch (problem) {
      say(problem);
      await new Promise((done) => setTimeout(done, 1000));
    }
  }
  const wanted = address.get("topic") ?? "orders";
  const place = address.has("offset") ? { topic: wanted, partition: Number(address.get("partition")), offset: Number(address.get("offset")) } : null;
  if (place === null) await open(wanted);
  else await goTo(place).catch(say);
  every(TOPICS_EVERY_MS, readTopics);
  every(GROUPS_EVERY_MS, readGroups);
  every(REFRESH_MS, async () => dirty && refresh());
}

let resized = 0;
new ResizeObserver(() => {
  clearTimeout(resized);
  resized = setTimeout(() => lanes.forEach((lane) => lane.fit()), 150);
}).observe($("lanes"));

begin();
