// A view as it was at a moment: what it held, what has changed since, and whether it is what the log says.

import { call, segment } from "./api.js";
import { command, hasToken } from "./control.js";
import { $, element, setText } from "./dom.js";
import { count, duration, instant } from "./format.js";
import { gist, keyText, tapeAddress } from "./lens/entry.js";
import { watchRace } from "./lens/race.js";

const SETTLE_MS = 120; // of the slider
const STEPS = 1000;

const topic = decodeURIComponent(location.pathname.replace(/^\/lens\/view\//, "")) || "reserved-stock";
const address = new URLSearchParams(location.search);
let at = address.get("at") ?? ""; // a time or a vector; "": now
let span = { first: 0, last: 0 }; // of the slider, in ms
let owner = null;
let partitions = [];
let asked = 0;

function say(problem) {
  setText($("trouble"), problem === null ? "" : problem.message);
}

function remember() {
  const query = new URLSearchParams(at === "" ? {} : { at });
  history.replaceState(null, "", `/lens/view/${segment(topic)}${query.size > 0 ? `?${query}` : ""}`);
}

// --- rows ---

const shortest = (value) => JSON.stringify(value).replace(/^\{|\}$/g, "").replaceAll(",\"", ", \"");

function side(e) {
  if (e === null) return element("span", "soft", "not there");
  if (e.kind === "compacted") return element("span", "soft", "compacted away");
  const link = element("a", "", element("span", "says", gist(e)), element("span", "mono value", e.error ?? (e.large ? "large" : shortest(e.value))));
  link.href = tapeAddress(e);
  return link;
}

function tableRow(row) {
  const key = element("th", "key", keyText(row.then ?? row.now ?? {}) || row.key);
  key.scope = "row";
  const now = row.changed ? side(row.now) : element("span", "soft", "the same");
  return element("tr", row.changed ? "changed" : "", key, element("td", "", side(row.then)), element("td", "", now));
}

const words = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;

/** Asks until the lens has read what it had not; then shows the first page, or one more. */
async function read(after = "") {
  const ticket = ++asked;
  let total = 0;
  remember();
  for (;;) {
    const query = new URLSearchParams({ ...(at === "" ? {} : { at }), ...(after === "" ? {} : { after }),
      ...(after === "" && $("from-key").value !== "" ? { key: $("from-key").value } : {}), changed: $("changed").checked });
    let answer;
    try {
      answer = await call("GET", `/v1/log/views/${segment(topic)}?${query}`);
    } catch (problem) {
      if (ticket !== asked) return;
      if (problem.field === "at") setText($("moment-problem"), problem.message);
      else say(problem);
      setText($("facts"), "");
      return;
    }
    if (ticket !== asked) return;
    say(null);
    setText($("moment-problem"), "");
    total += Number(answer.read);
    if (!answer.complete) {
      setText($("facts"), `Reading ${count(total)} of ${count(total + Number(answer.left))} records…`);
      continue;
    }
    show(answer, total, after);
    return;
  }
}

function show({ rows, next, at: vector, thinned }, total, after) {
  const shown = rows.map(tableRow);
  $("table").classList.toggle("is-now", at === "");
  if (after === "") $("rows").replaceChildren(...shown);
  else $("rows").append(...shown);
  setText($("vector"), vector.replaceAll(",", ", "));
  const facts = [`${words($("rows").children.length, "key", "keys")}${next === null ? "" : ", and more"}`,
    total > 0 ? `${words(total, "record", "records")} read for it` : "nothing had to be read again"];
  if (thinned) facts.push("some older records are compacted away: a key that was written again since may be missing");
  setText($("facts"), facts.join(" · "));
  $("more").hidden = next === null;
  $("more").dataset.after = next ?? "";
}

// --- the moment ---

function showMoment() {
  const ms = at.includes("/") ? NaN : Date.parse(at); // of a vector a browser would make a date, too
  setText($("moment-words"), at === "" ? "now" : Number.isNaN(ms) ? "a vector of offsets" : instant(ms));
  if (at === "") $("moment").value = STEPS;
  else if (!Number.isNaN(ms) && span.last > span.first) $("moment").value = Math.round((STEPS * (ms - span.first)) / (span.last - span.first));
  $("moment").setAttribute("aria-valuetext", $("moment-words").textContent);
}

function go(to) {
  at = to;
  showMoment();
  read().catch(say);
}

let settling = 0;
$("moment").addEventListener("input", () => {
  const step = Number($("moment").value);
  at = step === STEPS ? "" : new Date(Math.round(span.first + ((span.last - span.first) * step) / STEPS)).toISOString();
  showMoment();
  clearTimeout(settling);
  settling = setTimeout(() => read().catch(say), SETTLE_MS);
});
$("moment-form").addEventListener("submit", (event) => {
  event.preventDefault();
  go($("moment-text").value.trim());
});
$("moment-now").addEventListener("click", () => go(""));
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  read().catch(say);
});
$("changed").addEventListener("change", () => read().catch(say));
$("more").addEventListener("click", () => read($("more").dataset.after).catch(say));

/** From the first record's time to now. */
async function findSpan() {
  const pages = await Promise.all(partitions.map((p) => call("GET", `/v1/log/topics/${segment(topic)}/${p.partition}?from=first&limit=1`).catch(() => ({ records: [] }))));
  const times = pages.flatMap((page) => page.records).map((e) => Number(e.timestamp)).filter((ms) => ms > 0);
  span = { first: Math.min(...times, Date.now()), last: Date.now() };
  showMoment();
}

// --- made again ---

async function compare() {
  setText($("verdict"), "Making it again from the log…");
  $("verdict").className = "verdict";
  try {
    const since = performance.now();
    const live = await call("GET", `/digest/${segment(owner)}/${segment(topic)}`);
    const moment = live.partitions.map((p) => `${topic}/${p.partition}:${p.position}`).join(",");
    const copy = await call("GET", `/v1/log/views/${segment(topic)}/digest?at=${segment(moment)}`);
    const pairs = live.partitions.map((p) => [p, copy.partitions.find((q) => q.partition === p.partition)]);
    const unlike = pairs.filter(([p, q]) => p.digest !== q?.digest);
    const rows = live.partitions.reduce((sum, p) => sum + Number(p.rows), 0);
    const what = `${words(rows, "row", "rows")} in ${words(pairs.length, "partition", "partitions")}; ${words(Number(copy.read), "record", "records")} read in ${duration(performance.now() - since)}`;
    $("verdict").className = `verdict ${unlike.length === 0 ? "good" : "bad"}`;
    setText($("verdict"), unlike.length === 0 ? `Equal: ${what}.` : `Not equal, in ${unlike.map(([p]) => p.partition).join(", ")}: ${what}.`);
  } catch (problem) {
    $("verdict").className = "verdict bad";
    setText($("verdict"), problem.message);
  }
}

function raceRow(partition) {
  const mark = element("span", "runner");
  const figure = element("span", "label number");
  const row = element("li", "", element("span", "label", `Partition ${partition}`), element("span", "course", mark), figure);
  return { row, mark, figure };
}

async function rewind() {
  $("rewind").disabled = true;
  $("verdict").className = "verdict";
  const { topics } = await call("GET", "/v1/log/topics");
  const ends = topics.find((t) => t.name === topic).partitions;
  const lanes = ends.map((p) => ({ ...raceRow(p.partition), end: Number(p.end) }));
  $("race").replaceChildren(...lanes.map((lane) => lane.row));
  $("race").hidden = false;
  const done = command("rewind", { name: owner });
  let best = 0;
  await watchRace(owner, done, ({ places, rate }) => {
    best = Math.max(best, rate);
    for (const [n, lane] of lanes.entries()) {
      const place = places.find((p) => p.topic === topic && p.partition === ends[n].partition && p.what === "view");
      const position = Number(place?.position ?? 0);
      lane.mark.style.setProperty("--at", `${lane.end === 0 ? 100 : Math.min(100, (100 * position) / lane.end)}%`);
      setText(lane.figure, `${count(position)} of ${count(lane.end)}`);
    }
    setText($("verdict"), best === 0 ? `${owner} has no view now…` : `${count(Math.round(best))} records a second`);
  });
  try {
    const { said } = await done;
    setText($("verdict"), said.trim());
    $("verdict").classList.add("good");
  } catch (problem) {
    setText($("verdict"), problem.message);
    $("verdict").classList.add("bad");
  }
  $("rewind").disabled = false;
}

$("compare").addEventListener("click", compare);
$("rewind")?.addEventListener("click", () => rewind().catch(say));

// --- the page ---

async function begin() {
  const [graph, { topics }] = await Promise.all([call("GET", "/topology.json"), call("GET", "/v1/log/topics")]);
  const views = graph.services.flatMap((service) => service.views.map((view) => ({ ...view, service: service.name })));
  const own = views.find((view) => view.topic === topic);
  partitions = topics.find((t) => t.name === topic)?.partitions ?? [];
  owner = own?.service ?? null;
  setText($("owner"), owner ?? "whoever reads the topic");
  setText($("view"), own === undefined ? topic : own.name);
  document.title = `${topic} as it was · insideout`;
  const known = own === undefined ? [...views, { service: "topic", name: topic, topic }] : views;
  $("choose-view").replaceChildren(...known.map((view) => {
    const option = element("option", "", `${view.service}: ${view.name}`);
    option.value = view.topic;
    option.selected = view.topic === topic;
    return option;
  }));
  $("compare").disabled = owner === null;
  if ($("rewind") !== null) $("rewind").hidden = owner === null || !hasToken;
  await Promise.all([findSpan(), read()]);
}

$("choose").addEventListener("change", () => (location.href = `/lens/view/${segment($("choose-view").value)}`));
$("choose").addEventListener("submit", (event) => event.preventDefault());
begin().catch(say);
