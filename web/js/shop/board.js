// The order's way as a board: a lamp for each stage, wires between them that light up as events pass.

import { element, setText, svg } from "../dom.js";
import { CHECKS } from "./life.js";

// In the order in which they are read out; their places are in the style sheet.
const STAGES = [
  ["request", "Request"], ["created", "Order"],
  ["INVENTORY_CHECK", "Inventory"], ["FRAUD_CHECK", "Fraud"], ["ORDER_DETAILS_CHECK", "Details"],
  ["outcome", "Outcome"], ["shipment", "Shipping"], ["payment", "Payment"], ["email", "Email"],
];

const WIRES = [
  ["request", "created"],
  ...CHECKS.flatMap((check) => [["created", check], [check, "outcome"]]),
  ["outcome", "shipment"], ["created", "payment"], ["payment", "email"],
];

/** Lamp and words of each stage: { stage: [state, words, event] }. */
export function stagesOf(life) {
  const failed = life.state === "FAILED";
  const stages = {
    request: life.created ? ["good", "in the log"] : ["wait", "on its way"],
    created: life.created ? ["good", "created", life.created] : ["off", "…"],
    outcome: life.outcome ? [failed ? "bad" : "good", life.cancelled ? "cancelled" : failed ? "failed" : "validated", life.outcome]
      : life.created ? ["wait", "waits for the checks"] : ["off", "…"],
    shipment: shipment(life, failed),
    payment: life.payments.length > 0 ? ["good", life.payments.length > 1 ? `paid ${life.payments.length} times` : "paid", life.payments[0]]
      : ["off", life.created ? "your turn" : "…"],
    email: email(life),
  };
  for (const check of CHECKS) {
    const verdict = life.verdict(check);
    if (verdict !== null) stages[check] = [verdict === "PASS" ? "good" : "bad", verdict === "PASS" ? "pass" : "fail", life.checks[check]];
    else if (!life.created) stages[check] = ["off", "…"];
    else stages[check] = life.outcome?.offset === undefined && failed ? ["off", "not known here"] : ["wait", "looking"];
  }
  return stages;
}

function shipment(life, failed) {
  if (life.shipment) return life.shipment.value.state === "HELD" ? ["bad", "held", life.shipment] : ["good", "shipped", life.shipment];
  if (failed) return ["off", "nothing to ship"];
  return life.outcome ? ["wait", "packing"] : ["off", "…"];
}

function email(life) {
  if (life.emails.length > 0) return ["good", "sent", life.emails[0]];
  if (life.emailDue) return ["wait", "writing"];
  if (life.payments.length > 0) return ["off", "none: paid too late"];
  return ["off", life.created ? "after the payment" : "…"];
}

export class Board {
  #root;
  #stages = new Map();
  #wires = new Map();
  #drawing;

  constructor(root) {
    this.#root = root;
    this.#drawing = svg("svg", { class: "wires", "aria-hidden": "true" });
    const list = element("ul", "stages");
    for (const [key, name] of STAGES) {
      const lamp = element("span", "lamp");
      const word = element("span", "stage-word");
      const place = element("span", "stage-place mono");
      const item = element("li", "stage", element("span", "stage-name", lamp, name), word, place);
      item.dataset.stage = key;
      list.append(item);
      this.#stages.set(key, { item, lamp, word, place });
    }
    for (const [from, to] of WIRES) {
      const base = svg("path", { class: "wire" });
      const light = svg("path", { class: "wire light", pathLength: "1" });
      this.#drawing.append(base, light);
      this.#wires.set(`${from}>${to}`, { from, to, base, light });
    }
    root.replaceChildren(this.#drawing, list);
    new ResizeObserver(() => this.#draw()).observe(root);
  }

  /** Dark, as before an order. */
  clear() {
    for (const { light } of this.#wires.values()) light.classList.remove("on", "bad");
  }

  show(life) {
    const stages = stagesOf(life);
    for (const [key, [state, words, event]] of Object.entries(stages)) {
      const { item, lamp, word, place } = this.#stages.get(key);
      item.dataset.state = state;
      lamp.dataset.state = state;
      setText(word, words);
      setText(place, event?.offset === undefined ? "" : `${event.topic}/${event.partition}:${event.offset}`);
    }
    const lit = (key) => ["good", "bad"].includes(stages[key][0]);
    for (const { from, to, light } of this.#wires.values()) {
      // What happened at one end travels to the other; only a payment is a person's doing, and nothing follows a failure.
      const on = lit(from) && (to !== "payment" || lit(to)) && !(from === "outcome" && stages.outcome[0] === "bad");
      light.classList.toggle("on", on);
      light.classList.toggle("bad", stages[from][0] === "bad");
    }
  }

  #draw() {
    const box = this.#root.getBoundingClientRect();
    if (box.width === 0) return;
    this.#drawing.setAttribute("viewBox", `0 0 ${box.width} ${box.height}`);
    for (const { from, to, base, light } of this.#wires.values()) {
      const path = curve(this.#box(from, box), this.#box(to, box));
      base.setAttribute("d", path);
      light.setAttribute("d", path);
    }
  }

  #box(key, outer) {
    const b = this.#stages.get(key).item.getBoundingClientRect();
    return { left: b.left - outer.left, right: b.right - outer.left, top: b.top - outer.top, bottom: b.bottom - outer.top };
  }
}

/** From one box to another: sideways where there is room between them, else downwards. */
function curve(a, b) {
  if (b.left >= a.right) {
    const y1 = (a.top + a.bottom) / 2;
    const y2 = (b.top + b.bottom) / 2;
    const bend = Math.min((b.left - a.right) / 2, 48);
    const turn = b.left - bend;
    return `M${a.right} ${y1} H${turn - bend} C${turn} ${y1} ${turn} ${y2} ${b.left} ${y2}`;
  }
  const x1 = (a.left + a.right) / 2;
  const x2 = (b.left + b.right) / 2;
  const half = (b.top - a.bottom) / 2;
  return `M${x1} ${a.bottom} C${x1} ${a.bottom + half} ${x2} ${b.top - half} ${x2} ${b.top}`;
}
