// Finds records, as far as one wants to: the lens reads for a second, says how much of how much, and goes on when asked.

import { call } from "../api.js";
import { $, element, setText } from "../dom.js";
import { count, instant } from "../format.js";
import { gist, keyText, tapeAddress } from "./entry.js";

const ENOUGH = 200;

export class Finder {
  #topic;
  #open;
  #search = null;

  constructor({ topic, open }) {
    this.#topic = topic;
    this.#open = open;
    $("found-stop").addEventListener("click", () => this.close());
  }

  close() {
    this.#search?.abort();
    this.#search = null;
    $("found").hidden = true;
  }

  async find(field, text) {
    this.close();
    if (text === "" || this.#topic() === undefined) return;
    const search = (this.#search = new AbortController());
    const query = new URLSearchParams({ topic: this.#topic(), [field]: text });
    let read = 0;
    let found = 0;
    $("found").hidden = false;
    $("found-list").replaceChildren();
    setText($("found-stop"), "Stop");
    setText($("found-state"), "Reading…");
    for (;;) {
      const answer = await call("GET", `/v1/log/search?${query}`, undefined, { signal: search.signal }).catch((problem) => {
        if (problem.name === "AbortError") return null;
        this.close();
        throw problem;
      });
      if (answer === null) return;
      read += answer.read;
      found += answer.records.length;
      $("found-list").append(...answer.records.map((e) => this.#row(e)));
      const all = answer.complete || found >= ENOUGH;
      setText($("found-state"), `${count(found)} found · read ${count(read)} of ${count(read + answer.of - answer.read)} offsets${all && !answer.complete ? "; there may be more" : ""}`);
      if (all) break;
      query.set("after", answer.next);
    }
    setText($("found-stop"), "Close");
  }

  #row(e) {
    const link = element("a", "", element("span", "mono", `${e.partition}/${count(e.offset)}`), " ", element("span", "found-key", keyText(e)), " ",
      element("span", "soft", [gist(e), instant(Number(e.timestamp))].filter(Boolean).join(" · ")));
    link.href = tapeAddress(e);
    link.addEventListener("click", (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      this.#open(e);
    });
    return element("li", "", link);
  }
}
