// One partition as a tape: oldest at the left, the end at the right.

import { call, segment } from "../api.js";
import { element, setText } from "../dom.js";
import { count } from "../format.js";
import { KIND_WORDS, gist, keyText } from "./entry.js";

const CELL_PX = 92;
const CELLS_MIN = 3;
const SAME_MS = 15; // markers of one transaction are written so near to each other
const WHEEL_PX = 40;
const NEAR = 0.04; // of the whole partition

export class Lane {
  following = true;
  readers = []; // groups: { name, position, lag }
  holders = []; // likewise, who has made a view or a table of it
  entries = [];
  from = 0;
  bounds = { first: 0, stable: 0, end: 0 };
  active = -1; // an offset
  #asked = 0;
  #handlers;

  constructor(topic, partition, handlers) {
    this.topic = topic;
    this.partition = partition;
    this.#handlers = handlers;
    this.facts = element("span", "label number");
    this.marks = element("div", "marks");
    this.slider = element("input", "overview");
    this.slider.type = "range";
    this.slider.setAttribute("aria-label", `Place in partition ${partition}`);
    this.list = element("ol", "cells");
    this.list.tabIndex = 0;
    this.list.setAttribute("role", "listbox");
    this.list.setAttribute("aria-label", `Partition ${partition}, oldest first`);
    this.root = element("section", "lane",
      element("div", "lane-head", element("h3", "", `Partition ${partition}`), this.facts),
      element("div", "scale", this.marks, this.slider), this.list);
    this.size = CELLS_MIN;
    this.#listen();
  }

  #listen() {
    this.list.addEventListener("keydown", (event) => this.#key(event));
    this.list.addEventListener("click", (event) => {
      const cell = event.target.closest("li");
      if (cell === null || this.dragged) return;
      this.#activate(Number(cell.dataset.offset));
      this.#select();
    });
    this.list.addEventListener("wheel", (event) => {
      const along = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
      if (Math.abs(along) < Math.abs(event.deltaY) && !event.shiftKey) return;
      event.preventDefault();
      this.#move(Math.sign(along) * Math.max(1, Math.round(Math.abs(along) / WHEEL_PX)));
    }, { passive: false });
    this.list.addEventListener("pointerdown", (event) => {
      const start = { x: event.clientX, from: this.from };
      this.dragged = false;
      const drag = (e) => {
        const cells = Math.round((start.x - e.clientX) / CELL_PX);
        if (cells === 0 && !this.dragged) return;
        this.dragged = true;
        this.#moveTo(start.from + cells);
      };
      const stop = () => {
        removeEventListener("pointermove", drag);
        removeEventListener("pointerup", stop);
        removeEventListener("pointercancel", stop);
      };
      addEventListener("pointermove", drag);
      addEventListener("pointerup", stop);
      addEventListener("pointercancel", stop);
    });
    this.slider.addEventListener("input", () => this.#moveTo(Number(this.slider.value)));
  }

  // --- reading ---

  async #ask(query) {
    const ticket = ++this.#asked;
    const page = await call("GET", `/v1/log/topics/${segment(this.topic.name)}/${this.partition}?${query}`);
    if (ticket === this.#asked) this.#take(page);
    return page;
  }

  #take(page) {
    const { first, stable, end, from, records } = page;
    Object.assign(this, { bounds: { first, stable, end }, from, entries: records });
    this.#paint();
  }

  fit() {
    const size = Math.max(CELLS_MIN, Math.floor(this.list.clientWidth / CELL_PX));
    if (size === this.size || this.list.clientWidth === 0) return;
    this.size = size;
    this.read().catch(() => {});
  }

  /** What is there now: the end where it follows, else the same place. */
  read(force = false) {
    this.size = Math.max(CELLS_MIN, Math.floor(this.list.clientWidth / CELL_PX));
    return this.#ask(new URLSearchParams({ from: this.following || force ? -this.size : this.from, limit: this.size }));
  }

  /** The place, with as much before it as behind it; rejects where there is none. */
  async jump(place) {
    this.following = false;
    this.size = Math.max(CELLS_MIN, Math.floor(this.list.clientWidth / CELL_PX));
    const page = await this.#ask(new URLSearchParams({ from: place, limit: this.size }));
    this.active = page.from;
    if (page.records.length < this.size && page.from > page.first) await this.#moveTo(page.end - this.size);
    else this.#paint();
  }

  async show(offset) {
    this.following = false;
    this.size = Math.max(CELLS_MIN, Math.floor(this.list.clientWidth / CELL_PX));
    await this.#ask(new URLSearchParams({ from: Math.max(0, offset - Math.floor(this.size / 2)), limit: this.size }));
    this.active = offset;
    this.#paint();
  }

  focus(offset) {
    this.list.focus({ preventScroll: true });
    this.root.scrollIntoView({ block: "nearest" });
    this.#activate(offset);
    this.#select();
  }

  // --- moving ---

  #moveTo(offset) {
    const { first, end } = this.bounds;
    const from = Math.max(first, Math.min(offset, end - this.size));
    this.#handlers.moved();
    this.following = false;
    if (from === this.from) return Promise.resolve();
    this.from = from;
    return this.#ask(new URLSearchParams({ from, limit: this.size })).catch(() => {});
  }

  #move(by) {
    return this.#moveTo(this.from + by);
  }

  async #activate(offset) {
    const { first, end } = this.bounds;
    this.active = Math.max(first, Math.min(offset, end - 1));
    if (this.active < this.from) await this.#moveTo(this.active);
    else if (this.active >= this.from + this.size) await this.#moveTo(this.active - this.size + 1);
    this.#paint();
  }

  #select() {
    const entry = this.entries.find((e) => e.offset === this.active);
    if (entry === undefined) return;
    this.#handlers.select(entry, this);
    this.#handlers.same(this.#transactionOf(entry));
  }

  #key(event) {
    const { first, end } = this.bounds;
    const at = this.active < this.from || this.active >= this.from + this.size ? this.from + this.entries.length : this.active;
    const to = {
      ArrowLeft: at - 1, ArrowRight: at + 1, PageUp: at - this.size, PageDown: at + this.size, Home: first, End: end - 1,
    }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      this.#activate(to);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.#select();
    }
  }

  // --- transactions ---

  /** Producer and time of the marker that ends an entry's transaction, if that is on the tape. */
  #transactionOf(entry) {
    if (entry.producer === undefined) return null;
    const end = this.entries.find((e) => e.kind === "marker" && e.offset >= entry.offset && e.producer.id === entry.producer.id);
    return { producer: entry.producer.id, at: end?.timestamp ?? null };
  }

  mark(transaction) {
    for (const [n, cell] of [...this.list.children].entries()) {
      const own = transaction && this.entries[n] && this.#transactionOf(this.entries[n]);
      const is = own && own.producer === transaction.producer && (own.at === transaction.at || Math.abs(own.at - transaction.at) <= SAME_MS);
      cell.classList.toggle("same", Boolean(is));
    }
  }

  // --- painting ---

  #cell(entry, n) {
    const e = entry;
    const previous = this.entries[n - 1];
    const cell = element("li", `cell ${e.kind}`,
      element("span", "unseen", `${e.kind === "record" ? "" : `${KIND_WORDS[e.kind]}, `}offset `), element("span", "offset number", count(e.offset)),
      element("span", "unseen", ", "), element("span", "key", keyText(e)), element("span", "unseen", ", "), element("span", "gist", gist(e)));
    cell.id = `cell-${this.partition}-${e.offset}`;
    cell.dataset.offset = e.offset;
    cell.setAttribute("role", "option");
    cell.setAttribute("aria-selected", String(e.offset === this.active));
    if (e.producer !== undefined) {
      cell.classList.add("transaction");
      if (previous?.producer?.id !== e.producer.id || previous.kind === "marker") cell.classList.add("begins");
      if (e.kind === "marker") cell.classList.add("ends", e.marker);
    }
    if (e.kind === "marker") cell.classList.add(e.marker);
    if (e.offset === this.bounds.stable) cell.classList.add("stable");
    const here = this.readers.filter((r) => r.position === e.offset).map((r) => r.name);
    if (here.length > 0) cell.prepend(element("span", "reads", here.join(", ")));
    return cell;
  }

  #paint() {
    const { first, stable, end } = this.bounds;
    const held = end - first;
    setText(this.facts, held === 0 ? "empty" : `${count(first)} – ${count(end - 1)}${stable < end ? ` · stable to ${count(stable)}` : ""}`);
    this.slider.min = first;
    this.slider.max = Math.max(first, end - this.size);
    this.slider.value = this.from;
    this.slider.disabled = held <= this.size;
    this.list.replaceChildren(...this.entries.map((e, n) => this.#cell(e, n)));
    this.list.classList.toggle("stable-end", stable === end);
    this.list.classList.toggle("empty", this.entries.length === 0);
    const shown = this.entries.some((e) => e.offset === this.active);
    if (shown) this.list.setAttribute("aria-activedescendant", `cell-${this.partition}-${this.active}`);
    else this.list.removeAttribute("aria-activedescendant");
    this.paintMarks();
  }

  paintReaders() {
    this.#paint();
  }

  /** Where each consumer is in the whole partition; those too near to each other share a mark. */
  paintMarks() {
    const { first, end } = this.bounds;
    const marks = [];
    for (const { name, position, lag } of [...this.readers, ...this.holders].sort((a, b) => a.position - b.position)) {
      const part = end === first ? 1 : Math.max(0, Math.min(1, (position - first) / (end - first)));
      const text = lag > 0 ? `${name} −${count(lag)}` : name;
      if (marks.length > 0 && part - marks.at(-1).part < NEAR) marks.at(-1).names.push(text);
      else marks.push({ part, names: [text] });
    }
    while (this.marks.children.length > marks.length) this.marks.lastChild.remove();
    for (const [n, { part, names }] of marks.entries()) {
      const mark = this.marks.children[n] ?? this.marks.appendChild(element("span", "mark", element("span", "mark-name")));
      mark.classList.toggle("left", part > 0.5);
      mark.style.setProperty("--at", `${(part * 100).toFixed(2)}%`);
      setText(mark.firstChild, names.join(", "));
    }
  }
}
