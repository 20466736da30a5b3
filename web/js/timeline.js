// The events of one order, as they arrive.

import { element } from "./format.js";

export class Timeline {
  #list;
  #start = 0;
  #waiting = null;

  constructor(list) {
    this.#list = list;
  }

  start() {
    this.#list.replaceChildren();
    this.#start = performance.now();
    this.#waiting = null;
  }

  /** Adds an entry; `kind` is good, bad or "". Whatever was waited for has come. */
  add(name, detail, kind = "") {
    this.#waiting?.remove();
    this.#waiting = null;
    return this.#append(name, detail, kind, `+${Math.round(performance.now() - this.#start)} ms`);
  }

  /** Says what is waited for, until the next entry. */
  wait(name, detail) {
    this.#waiting?.remove();
    this.#waiting = this.#append(name, detail, "wait", "…");
  }

  #append(name, detail, kind, when) {
    const item = element("li", kind);
    const what = element("div", "what");
    what.append(element("span", "name", name), element("span", "when", when));
    item.append(what, element("p", "detail", detail));
    this.#list.append(item);
    return item;
  }
}
