// The topics, as asyncapi.yaml describes them: #orders opens one of them, #service-orders what a service does.

import { $, element } from "./dom.js";
import { duration } from "./format.js";

const DAY = 24 * 3600 * 1000;

const time = (ms) => (ms < 0 ? "for ever" : ms >= DAY ? `${ms / DAY} days` : ms >= 3600000 ? `${ms / 3600000} h` : duration(ms));

function link(href, text) {
  const a = element("a", "", text);
  a.href = href;
  return a;
}

function typeName(type) {
  if (Array.isArray(type)) return type.filter((t) => t !== "null").map(typeName).join(" or ") + " or null";
  if (typeof type === "string") return type;
  if (type.type === "array") return `array of ${typeName(type.items)}`;
  if (type.type === "enum") return type.symbols.join(", ");
  return type.name ?? (type.logicalType ? `${type.type} (${type.logicalType})` : typeName(type.type));
}

/** Rows of a record's fields, those of records in it behind it with their path. */
function* fields(record, path = "") {
  for (const { name, type, doc, default: fallback } of record.fields) {
    yield [path + name, typeName(type), [doc, fallback !== undefined && `else ${JSON.stringify(fallback)}`].filter(Boolean).join("; ")];
    if (type.fields) yield* fields(type, `${path}${name}.`);
    if (type.items?.fields) yield* fields(type.items, `${path}${name}[].`);
  }
}

function fieldTable(record, of) {
  const head = element("thead", "", element("tr", "", ...["Field", "Type", "Meaning"].map((text) => {
    const th = element("th", "label", text);
    th.scope = "col";
    return th;
  })));
  const rows = [...fields(record)].map(([name, type, doc]) => {
    const th = element("th", "mono", name);
    th.scope = "row";
    return element("tr", "", th, element("td", "mono soft", type), element("td", "", doc));
  });
  const box = element("div", "table-box", element("table", "", head, element("tbody", "", ...rows)));
  box.tabIndex = 0;
  box.role = "region";
  box.ariaLabel = `Fields of ${of}`;
  return box;
}

function facts(pairs) {
  return element("dl", "facts", ...pairs.map(([name, value]) => element("div", "", element("dt", "label", name), element("dd", "", value))));
}

function role(title, operations, whom) {
  const items = operations.map((o) => element("li", "", link(...whom(o)), `: ${o.summary}`));
  return element("div", "", element("h3", "", title), items.length > 0 ? element("ul", "", ...items) : element("p", "soft", "Nobody here."));
}

function fold(id, name, description, ...inside) {
  const e = element("details", "", element("summary", "", element("strong", "", name), element("span", "soft", description)),
    element("div", "inside", ...inside));
  e.id = id;
  return e;
}

function topic(name, channel, document, operations) {
  const [[value, message]] = Object.entries(channel.messages);
  const { partitions, topicConfiguration } = channel.bindings.kafka;
  const compacted = topicConfiguration["cleanup.policy"].includes("compact");
  const here = operations.filter((o) => o.topic === name);
  const whom = (o) => [`#service-${o.service}`, o.service];
  return fold(name, name, channel.summary ?? "",
    facts([["Key", message.bindings.kafka.key.description], ["Value", value], ["Partitions", partitions],
      ["Kept", compacted ? "the last record of each key" : time(topicConfiguration["retention.ms"])]]),
    channel.description && element("p", "", channel.description),
    fieldTable(document.components.schemas[value].schema, name),
    element("div", "roles", role("Sent by", here.filter((o) => o.action === "send"), whom),
      role("Received by", here.filter((o) => o.action === "receive"), whom)),
    element("p", "", link(`/lens?topic=${name}`, `The records of ${name}`)));
}

function service(name, operations) {
  const here = operations.filter((o) => o.service === name);
  const whom = (o) => [`#${o.topic}`, o.topic];
  return fold(`service-${name}`, name, `sends to ${here.filter((o) => o.action === "send").length} topics, receives from ${here.filter((o) => o.action === "receive").length}`,
    element("div", "roles", role("Sends to", here.filter((o) => o.action === "send"), whom),
      role("Receives from", here.filter((o) => o.action === "receive"), whom)));
}

function openNamed() {
  const e = $(decodeURIComponent(location.hash.slice(1)));
  if (e?.tagName !== "DETAILS") return;
  e.open = true;
  e.scrollIntoView();
  e.querySelector("summary").focus({ preventScroll: true });
}

try {
  const response = await fetch("/asyncapi.yaml");
  if (!response.ok) throw new Error(`asyncapi.yaml: ${response.status}`);
  const document = globalThis.jsyaml.load(await response.text());
  const operations = Object.values(document.operations).map((o) => (
    { action: o.action, summary: o.summary, service: o.tags[0].name, topic: o.channel.$ref.split("/").at(-1) }));
  $("about").textContent = document.info.description;
  for (const [name, channel] of Object.entries(document.channels))
    $(channel.tags?.some((tag) => tag.name === "internal") ? "internal" : "topics").append(topic(name, channel, document, operations));
  $("services").append(...[...new Set(operations.map((o) => o.service))].map((name) => service(name, operations)));
  openNamed();
  addEventListener("hashchange", openNamed);
} catch (error) {
  $("trouble").textContent = `The topics cannot be shown: ${error.message}`;
}
