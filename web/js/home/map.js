// The suite as a drawing: the log in the middle, services on both sides, an edge for whoever writes or reads a topic.

import { element, svg } from "../dom.js";

const WIDTH = 1200;
const ROW = 27; // of a topic
const TOPIC = { x: 475, width: 250, height: 22 };
const BOX = { width: 190, height: 58 };
const ORDER = ["orders", "order-details", "inventory", "fraud", "customers", "shipping", "connect", "payments", "possible-fraud", "email", "clickstream", "ratings", "rider", "driver"];
const NAMES = { connect: "Kafka Connect" };

export const titleOf = (name) => NAMES[name] ?? name;

/** Where everything is: services { name, x, y, left }, topics { name, y }, edges { service, topic, writes, d, points }. */
export function layOut(graph) {
  const rank = (s) => (ORDER.indexOf(s.name) + ORDER.length + 1) % (ORDER.length + 1);
  const services = [...graph.services].sort((a, b) => rank(a) - rank(b)).map((s) => ({ ...s }));
  const half = Math.ceil(services.length / 2);
  const height = Math.max(graph.topics.length * ROW, half * (BOX.height + 16)) + 8;
  services.forEach((s, n) => {
    s.left = n < half;
    const rows = s.left ? half : services.length - half;
    s.x = s.left ? 4 : WIDTH - BOX.width - 4;
    s.y = ((s.left ? n : n - half) + 0.5) * (height / rows);
  });
  const middle = (topic) => {
    const ys = services.flatMap((s) => [...s.reads, ...s.writes].filter((t) => t === topic).map(() => s.y));
    return ys.reduce((sum, y) => sum + y, 0) / Math.max(1, ys.length);
  };
  const topics = [...graph.topics].sort((a, b) => middle(a) - middle(b)).map((name, n) => ({ name, y: (n + 0.5) * (height / graph.topics.length) }));
  const edges = services.flatMap((s) => [...s.writes.map((t) => [t, true]), ...s.reads.map((t) => [t, false])].map(([name, writes]) => {
    const topic = topics.find((t) => t.name === name);
    const shift = s.reads.includes(name) && s.writes.includes(name) ? (writes ? -4 : 4) : 0;
    const from = { x: s.left ? s.x + BOX.width : s.x, y: s.y + shift * 2 };
    const to = { x: s.left ? TOPIC.x : TOPIC.x + TOPIC.width, y: topic.y + shift };
    const bend = (to.x - from.x) * 0.5;
    const points = [from, { x: from.x + bend, y: from.y }, { x: to.x - bend, y: to.y }, to];
    return { service: s.name, topic: name, writes, points: writes ? points : [...points].reverse(),
      d: `M${from.x} ${from.y}C${points[1].x} ${points[1].y} ${points[2].x} ${points[2].y} ${to.x} ${to.y}` };
  }));
  return { width: WIDTH, height, services, topics, edges };
}

/** A point of an edge, t from 0 to 1, in the direction in which records go. */
export function along([a, b, c, d], t) {
  const u = 1 - t;
  const at = (k) => u * u * u * a[k] + 3 * u * u * t * b[k] + 3 * u * t * t * c[k] + t * t * t * d[k];
  return [at("x"), at("y")];
}

const text = (x, y, className, content, anchor = "start") => {
  const e = svg("text", { x, y, class: className, "text-anchor": anchor });
  e.textContent = content;
  return e;
};

/** Draws it into `root`; `choose` hears of a service that is clicked. Returns what changes: lamps, figures, edges. */
export function draw(root, plan, choose) {
  const paths = new Map();
  const boxes = new Map();
  const strips = new Map();
  root.setAttribute("viewBox", `0 0 ${plan.width} ${plan.height}`);
  for (const edge of plan.edges) {
    const path = svg("path", { d: edge.d, class: `edge ${edge.writes ? "writes" : "reads"}`, "vector-effect": "non-scaling-stroke" });
    paths.set(edge, path);
    root.append(path);
  }
  const light = (of) => {
    for (const [edge, path] of paths) path.classList.toggle("hot", of !== null && (edge.service === of || edge.topic === of));
  };
  const hover = (e, name) => {
    e.addEventListener("pointerenter", () => light(name));
    e.addEventListener("pointerleave", () => light(null));
  };
  for (const t of plan.topics) {
    const link = svg("g", { class: "strip" });
    link.addEventListener("click", () => (location.href = `/lens?topic=${encodeURIComponent(t.name)}`));
    const rate = text(TOPIC.x + TOPIC.width - 8, t.y + 4.5, "figure", "", "end");
    link.append(svg("rect", { x: TOPIC.x, y: t.y - TOPIC.height / 2, width: TOPIC.width, height: TOPIC.height, rx: 4 }), text(TOPIC.x + 8, t.y + 4.5, "name", t.name), rate);
    hover(link, t.name);
    strips.set(t.name, { link, rate });
    root.append(link);
  }
  for (const s of plan.services) {
    const box = svg("g", { class: "box" });
    const lamp = svg("circle", { cx: s.x + 17, cy: s.y - 9, r: 6, class: "light" });
    const facts = text(s.x + 12, s.y + 17, "figure", "");
    box.append(svg("rect", { x: s.x, y: s.y - BOX.height / 2, width: BOX.width, height: BOX.height, rx: 7 }), lamp, text(s.x + 31, s.y - 4, "name", titleOf(s.name)), facts);
    box.addEventListener("click", () => choose(s.name));
    hover(box, s.name);
    boxes.set(s.name, { box, lamp, facts });
    root.append(box);
  }
  return { paths, boxes, strips };
}

/** A link to a topic's tape. */
export function topicLink(name) {
  const link = element("a", "", name);
  link.href = `/lens?topic=${encodeURIComponent(name)}`;
  return link;
}

/** A link to a view, as it is and as it was. */
export function viewLink({ name, topic }) {
  const link = element("a", "", name);
  link.href = `/lens/view/${encodeURIComponent(topic)}`;
  return link;
}
