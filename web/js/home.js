// The first page: the suite as it runs now. The graph is what the services say of themselves (topology.json is made of
// their --topology, and a test keeps it true); rates, lag and health are asked for.

import { call } from "./api.js";
import { $, element, setText } from "./dom.js";
import { count, duration } from "./format.js";
import { Flow } from "./home/flow.js";
import { draw, layOut, titleOf, topicLink, viewLink } from "./home/map.js";
import { openPanel } from "./home/panel.js";

const HEALTH_EVERY_MS = 1000; // a kill shows within a second
const RATES_EVERY_MS = 2500;
const GROUPS_EVERY_MS = 3000;
const WORDS = { ready: ["good", "ready"], away: ["bad", "away"], starting: ["wait", "starting"] };

const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
const rows = new Map(); // by service: its row in the list
let drawn = null;

function makeRow(service) {
  const lamp = element("span", "lamp");
  const word = element("span", "soft", "asking");
  const lag = element("span", "soft number");
  const links = (names) => names.flatMap((name, n) => [n > 0 ? ", " : "", topicLink(name)]);
  const fact = (name, ...content) => (content.length > 0 ? [element("dt", "label", name), element("dd", "", ...content)] : []);
  const row = element("li", "", element("details", "",
    element("summary", "", lamp, element("span", "service-name", titleOf(service.name)), lag, word),
    element("dl", "", ...fact("reads", ...links(service.reads)), ...fact("writes", ...links(service.writes)),
      ...fact("views of its own", ...service.views.flatMap((view, n) => [n > 0 ? ", " : "", viewLink(view)])))));
  row.id = `service-${service.name}`;
  $("services").append(row);
  rows.set(service.name, { row, lamp, word, lag });
}

let panel = null;

function choose(name) {
  panel?.choose(name);
  const { row } = rows.get(name);
  row.querySelector("details").open = true;
  row.scrollIntoView({ block: "center", behavior: still ? "auto" : "smooth" });
  row.querySelector("summary").focus({ preventScroll: true });
}

// --- what is asked for ---

async function askHealth(name) {
  const { status } = await call("GET", `/health/${name}`).catch(() => ({ status: "away" }));
  const [state, word] = WORDS[status === 503 ? "starting" : status] ?? WORDS.starting;
  const row = rows.get(name);
  row.lamp.dataset.state = state;
  setText(row.word, word);
  const box = drawn.boxes.get(name);
  if (box !== undefined) box.box.dataset.state = state;
}

function showRates(plan, flow, topics) {
  const rates = new Map(topics.map((t) => [t.name, t.partitions.reduce((sum, p) => sum + (p.rate ?? 0), 0)]));
  for (const { name } of plan.topics) {
    const rate = rates.get(name) ?? 0;
    const { link, rate: figure } = drawn.strips.get(name);
    setText(figure, rate < 0.05 ? "" : `${rate < 10 ? rate.toFixed(1) : count(Math.round(rate))}/s`);
    link.classList.toggle("busy", rate >= 0.05);
  }
  for (const edge of plan.edges) {
    const writers = plan.services.filter((s) => s.writes.includes(edge.topic)).length;
    const rate = (rates.get(edge.topic) ?? 0) / (edge.writes ? Math.max(1, writers) : 1); // whose of several it is no record says
    drawn.paths.get(edge).classList.toggle("busy", rate > 0.05);
    if (!still) flow.setRate(edge, rate < 0.05 ? 0 : rate);
  }
}

function showGroups(plan, groups) {
  for (const service of plan.services) {
    const own = groups.filter((g) => service.groups.includes(g.name));
    const lag = own.reduce((sum, g) => sum + Number(g.lag), 0);
    const ms = Math.max(0, ...own.map((g) => Number(g.lagMs)));
    const members = Math.max(0, ...own.map((g) => g.members.length));
    const behind = lag === 0 ? (own.length > 0 ? "up to date" : "") : `${count(lag)} behind, ${duration(ms)}`;
    const text = [members > 1 ? `${members} instances` : "", behind].filter(Boolean).join(" · ");
    setText(drawn.boxes.get(service.name).facts, text);
    if (rows.has(service.name)) setText(rows.get(service.name).lag, text);
  }
}

async function every(ms, what) {
  for (;;) {
    if (!document.hidden) {
      await what().then(() => setText($("services-problem"), ""), (problem) => setText($("services-problem"), problem.message));
    }
    await new Promise((done) => setTimeout(done, ms));
  }
}

async function begin() {
  const [graph, names] = await Promise.all([call("GET", "/topology.json"), call("GET", "/health")]);
  const plan = layOut(graph);
  drawn = draw($("map"), plan, (name) => rows.has(name) && choose(name));
  const flow = new Flow($("flow"), plan);
  openPanel(graph).then((opened) => (panel = opened)).catch((problem) => setText($("services-problem"), problem.message));
  for (const service of plan.services) makeRow(service);
  for (const name of names.filter((n) => !rows.has(n))) makeRow({ name, reads: [], writes: [], views: [] });
  const known = names.filter((name) => rows.has(name));
  if (!known.includes("connect")) setText(rows.get("connect").word, "");
  every(HEALTH_EVERY_MS, () => Promise.all(known.map(askHealth)));
  if (!names.includes("lens")) return;
  every(RATES_EVERY_MS, async () => showRates(plan, flow, (await call("GET", "/v1/log/topics")).topics));
  every(GROUPS_EVERY_MS, async () => showGroups(plan, (await call("GET", "/v1/log/groups")).groups));
}

begin().catch((problem) => setText($("services-problem"), problem.message));
