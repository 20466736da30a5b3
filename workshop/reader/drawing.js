// Graphs as SVG: boxes are services, rounded ones topics. Laid out in columns in the direction in which records go.

const BOX = { height: 44, gap: 22, column: 92, letter: 8.6, padding: 32 };

const escape = (text) => text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

/** `[service] -> (topic): label`, an edge a line; `[a] => [b]` is a question that waits for its answer. */
export function parseGraph(text) {
  const nodes = new Map();
  const node = (word) => {
    const [, open, name] = /^([[(])(.+?)[\])]$/.exec(word.trim()) ?? [];
    if (name === undefined) throw new Error(`graph: '${word.trim()}' is neither [service] nor (topic)`);
    nodes.set(name, { name, topic: open === "(" });
    return name;
  };
  const edges = text.split("\n").filter((line) => line.trim()).map((line) => {
    const [, from, arrow, to, label = ""] = /^\s*([[(].+?[\])]) ([-=]>) ([[(].+?[\])])(?:: (.+))?$/.exec(line) ?? [];
    if (from === undefined) throw new Error(`graph: '${line}' is no edge`);
    return { from: node(from), to: node(to), asks: arrow === "=>", label };
  });
  return { nodes: [...nodes.values()], edges };
}

/** These services of web/topology.json and the topics between them; those that only one of them has are left out where
 * there are several services. */
export function drawTopology(topology, names) {
  if (names.length === 0) throw new Error("topology: it names no service");
  const services = names.map((name) => topology.services.find((s) => s.name === name) ?? fail(`topology: no service '${name}'`));
  const users = (topic) => services.filter((s) => s.reads.includes(topic) || s.writes.includes(topic)).length;
  const shown = new Set(services.flatMap((s) => [...s.reads, ...s.writes]).filter((topic) => services.length === 1 || users(topic) > 1));
  // A topic may be called as its service is: two nodes of one name.
  const id = (name, topic) => (topic ? `(${name})` : `[${name}]`);
  const nodes = [...services.map((s) => ({ id: id(s.name, false), name: s.name, topic: false })),
    ...[...shown].map((name) => ({ id: id(name, true), name, topic: true }))];
  const edges = services.flatMap((s) => [
    ...s.reads.filter((t) => shown.has(t)).map((t) => ({ from: id(t, true), to: id(s.name, false), label: "" })),
    ...s.writes.filter((t) => shown.has(t)).map((t) => ({ from: id(s.name, false), to: id(t, true), label: "" })),
  ]);
  return drawGraph({ nodes, edges });
}

function fail(why) {
  throw new Error(why);
}

/** Columns by the longest way from a beginning; edges that close a circle are no hindrance. */
function columnsOf(nodes, edges) {
  const column = new Map();
  const out = (id) => edges.filter((e) => e.from === id).map((e) => e.to);
  const back = new Set();
  const state = new Map();
  const visit = (id) => {
    state.set(id, "open");
    for (const next of out(id)) {
      if (state.get(next) === "open") back.add(`${id} ${next}`);
      else if (!state.has(next)) visit(next);
    }
    state.set(id, "done");
  };
  const entered = new Set(edges.map((e) => e.to));
  for (const n of [...nodes.filter((n) => !entered.has(n.id)), ...nodes]) if (!state.has(n.id)) visit(n.id);
  const forward = edges.filter((e) => !back.has(`${e.from} ${e.to}`));
  const depth = (id) => {
    if (!column.has(id)) column.set(id, Math.max(0, ...forward.filter((e) => e.to === id).map((e) => depth(e.from) + 1)));
    return column.get(id);
  };
  nodes.forEach((n) => depth(n.id));
  return { column, back };
}

export function drawGraph({ nodes: given, edges }) {
  const nodes = given.map((n) => ({ ...n, id: n.id ?? n.name }));
  const { column, back } = columnsOf(nodes, edges);
  const columns = [];
  for (const n of nodes) (columns[column.get(n.id)] ??= []).push(n);

  // Each beside those it is tied to: a few sweeps are enough for a handful of nodes.
  const place = new Map();
  const settle = () => columns.forEach((c) => c.forEach((n, k) => place.set(n.id, (k + 0.5) / c.length)));
  const wish = (n) => {
    const tied = edges.flatMap((e) => (e.from === n.id ? [e.to] : e.to === n.id ? [e.from] : [])).map((id) => place.get(id));
    return tied.length > 0 ? tied.reduce((a, b) => a + b, 0) / tied.length : place.get(n.id);
  };
  settle();
  for (let sweep = 0; sweep < 4; sweep++) {
    for (const c of columns) c.sort((a, b) => wish(a) - wish(b));
    settle();
  }

  const widthOf = (n) => Math.max(84, n.name.length * BOX.letter + BOX.padding);
  const rows = Math.max(...columns.map((c) => c.length));
  const under = back.size > 0 ? 34 : 0;
  const height = rows * (BOX.height + BOX.gap) + under;
  let x = 2;
  columns.forEach((c, n) => {
    const width = Math.max(...c.map(widthOf));
    const labels = edges.filter((e) => column.get(e.from) === n).map((e) => e.label.length * 7.2);
    c.forEach((node, k) => Object.assign(node, { x, width, y: ((k + 0.5) * (height - under)) / c.length }));
    x += width + Math.max(BOX.column, ...labels.map((l) => l + 44));
  });
  const at = new Map(nodes.map((n) => [n.id, n]));
  const width = Math.max(...nodes.map((n) => n.x + n.width)) + 2;

  const lines = edges.map((e) => {
    const [a, b] = [at.get(e.from), at.get(e.to)];
    const both = edges.some((o) => o.from === e.to && o.to === e.from);
    const kind = e.asks ? "asks" : a.topic ? "reads" : "writes";
    if (column.get(e.from) >= column.get(e.to)) { // back, or within a column: around below
      const shift = both ? 8 : 0;
      const low = height - 8;
      const [ax, bx] = [a.x + a.width / 2 + shift, b.x + b.width / 2 - shift];
      return `<path class="edge ${kind}" marker-end="url(#tip-${kind})" d="M${ax} ${a.y + BOX.height / 2}C${ax} ${low} ${ax} ${low} ${(ax + bx) / 2} ${low}S${bx} ${low} ${bx} ${b.y + BOX.height / 2 + 4}"/>`;
    }
    const [x1, x2] = [a.x + a.width, b.x - 5];
    const bend = (x2 - x1) / 2;
    const label = e.label ? `<text class="label" x="${x1 + bend}" y="${(a.y + b.y) / 2 - 8}" text-anchor="middle">${escape(e.label)}</text>` : "";
    return `<path class="edge ${kind}" marker-end="url(#tip-${kind})" d="M${x1} ${a.y}C${x1 + bend} ${a.y} ${x2 - bend} ${b.y} ${x2} ${b.y}"/>${label}`;
  });
  const boxes = nodes.map((n) => `<g class="${n.topic ? "topic" : "service"}"><rect x="${n.x}" y="${n.y - BOX.height / 2}" width="${n.width}" height="${BOX.height}" rx="${n.topic ? 22 : 7}"/>
<text x="${n.x + n.width / 2}" y="${n.y + 5}" text-anchor="middle">${escape(n.name)}</text></g>`);
  const tips = ["reads", "writes", "asks"].map((kind) => `<marker id="tip-${kind}" class="tip ${kind}" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z"/></marker>`);
  const told = edges.map((e) => `${at.get(e.from).name} ${e.asks ? "asks" : at.get(e.from).topic ? "is read by" : "writes"} ${at.get(e.to).name}`).join("; ");
  return `<svg role="img" aria-label="${escape(told)}" viewBox="0 0 ${Math.ceil(width)} ${Math.ceil(height)}" width="${Math.ceil(width)}" height="${Math.ceil(height)}"><defs>${tips.join("")}</defs>${lines.join("\n")}${boxes.join("\n")}</svg>`;
}
