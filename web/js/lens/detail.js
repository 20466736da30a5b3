// One record, with all that is known of it.

import { call, segment } from "../api.js";
import { $, element, setText } from "../dom.js";
import { bytes, count, instant } from "../format.js";
import { KIND_WORDS, causesOf, keyText, storyAddress, tapeAddress } from "./entry.js";

/** A hexdump: 16 bytes a line, and what of them is text. */
function dump(hex) {
  const lines = [];
  for (let at = 0; at < hex.length; at += 32) {
    const pairs = hex.slice(at, at + 32).match(/../g) ?? [];
    const text = pairs.map((p) => Number.parseInt(p, 16)).map((b) => (b > 31 && b < 127 ? String.fromCharCode(b) : "·")).join("");
    lines.push(`${(at / 2).toString(16).padStart(6, "0")}  ${pairs.join(" ").padEnd(47)}  ${text}`);
  }
  return lines.join("\n");
}

function valueText(e) {
  if (e.kind === "compacted") return "A newer record of its key was enough; this one is gone.";
  if (e.kind === "marker") return e.marker === "commit" ? "The transaction of this producer is committed." : "The transaction of this producer is aborted: its records count for nobody.";
  if (e.tombstone) return "none: a tombstone, what was there is deleted";
  if (e.large) return `${bytes(e.size)}, too large to be shown unasked`;
  if (e.error !== undefined) return `${e.error}\n\n${dump(e.hex)}`;
  return JSON.stringify(e.value, null, 2);
}

export class Detail {
  #open;
  #entry = null;

  constructor(open) {
    this.#open = open;
    $("detail-full").addEventListener("click", () => this.#fetchAll());
  }

  async #fetchAll() {
    const { topic, partition, offset } = this.#entry;
    const page = await call("GET", `/v1/log/topics/${segment(topic)}/${partition}?from=${offset}&limit=1&full=true`);
    if (page.records.length > 0) this.show(page.records[0]);
  }

  #place(cause) {
    const link = element("a", "mono", `${cause.topic}/${cause.partition}/${cause.offset}`);
    link.href = tapeAddress(cause);
    link.addEventListener("click", (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      this.#open(cause);
    });
    return link;
  }

  show(e) {
    this.#entry = e;
    const facts = [["kind", KIND_WORDS[e.kind] + (e.marker ? `: ${e.marker}` : "")]];
    if (e.timestamp !== undefined) facts.push(["time", instant(Number(e.timestamp))]);
    if (e.key !== undefined) facts.push(["key", keyText(e) === "" ? "none" : keyText(e)]);
    if (e.size !== undefined) facts.push(["size", bytes(e.size)]);
    if (e.schema !== undefined) facts.push(["schema", `no. ${e.schema}`]);
    if (e.producer !== undefined) facts.push(["producer", `${e.producer.id}, epoch ${e.producer.epoch}`]);
    const causes = causesOf(e);
    if (causes.length > 0) facts.push(["caused by", element("span", "", ...causes.flatMap((c, n) => [n > 0 ? ", " : "", this.#place(c)]))]);
    for (const [name, value] of Object.entries(e.headers ?? {})) {
      if (name !== "caused-by" || causes.length === 0) facts.push([name, typeof value === "string" ? value : JSON.stringify(value)]);
    }
    setText($("detail-title"), `${e.topic} / ${e.partition} / ${count(e.offset)}`);
    $("detail-facts").replaceChildren(...facts.map(([name, value]) => element("div", "", element("dt", "label", name), element("dd", "", value))));
    setText($("detail-value"), valueText(e));
    $("detail-full").hidden = !e.large;
    $("detail-story").hidden = typeof e.key !== "string" || e.key === "";
    if (!$("detail-story").hidden) $("detail-story").href = storyAddress(e.key);
    $("detail").hidden = false;
  }
}
