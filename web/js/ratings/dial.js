// A knob for the load: a slider of a few steps, for the mouse, a finger and the keyboard.

import { $, svg } from "../dom.js";
import { count } from "./films.js";

const RATES = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];
const LABELS = { 0: "0", 10: "10", 100: "100", 1000: "1k", 10000: "10k" };
const SWEEP = 270; // degrees, from bottom left over the top to bottom right
const LAST = RATES.length - 1;
const LEDS = 16;

const angleOf = (step) => -SWEEP / 2 + (SWEEP * step) / LAST;

function at(angle, radius) {
  const r = ((angle - 90) * Math.PI) / 180;
  return [60 + radius * Math.cos(r), 60 + radius * Math.sin(r)].map((n) => n.toFixed(2));
}

function draw(dial) {
  const picture = svg("svg", { viewBox: "-6 -6 132 132", "aria-hidden": "true" });
  RATES.forEach((rate, step) => {
    const [x1, y1] = at(angleOf(step), 45);
    const [x2, y2] = at(angleOf(step), rate in LABELS ? 51 : 49);
    picture.append(svg("line", { x1, y1, x2, y2, class: "tick", "data-step": step }));
    if (!(rate in LABELS)) return;
    const [x, y] = at(angleOf(step), 60);
    const text = svg("text", { x, y, class: "tick-label" });
    text.textContent = LABELS[rate];
    picture.append(text);
  });
  const knob = svg("g", { class: "knob" });
  knob.append(svg("circle", { cx: 60, cy: 60, r: 38, class: "knob-side" }), svg("circle", { cx: 60, cy: 58.5, r: 36, class: "knob-top" }));
  const hand = svg("g", { class: "hand" });
  hand.append(svg("line", { x1: 60, y1: 42, x2: 60, y2: 27 }));
  picture.append(knob, hand);
  dial.append(picture);
  return { hand, ticks: [...picture.querySelectorAll(".tick")] };
}

/** Sets the knob up; `onTurn(rate)` hears of each new rate that a person chose. */
export function setUpDial(onTurn) {
  const dial = $("dial");
  const { hand, ticks } = draw(dial);
  let step = 0;
  let turning = false;

  function show(next) {
    step = next;
    hand.setAttribute("transform", `rotate(${angleOf(step)} 60 58.5)`);
    ticks.forEach((tick, n) => tick.classList.toggle("on", step > 0 && n <= step));
    dial.setAttribute("aria-valuemax", String(LAST));
    dial.setAttribute("aria-valuenow", String(step));
    dial.setAttribute("aria-valuetext", step === 0 ? "nobody rates" : `${count(RATES[step])} ratings a second`);
  }

  function turn(next) {
    const bounded = Math.min(LAST, Math.max(0, next));
    if (bounded === step) return;
    show(bounded);
    onTurn(RATES[step]);
  }

  function follow(event) {
    const box = dial.getBoundingClientRect();
    const x = event.clientX - box.left - box.width / 2;
    const y = event.clientY - box.top - box.height / 2;
    const angle = (Math.atan2(x, -y) * 180) / Math.PI; // 0 at the top
    const next = Math.round(((Math.min(SWEEP / 2, Math.max(-SWEEP / 2, angle)) + SWEEP / 2) / SWEEP) * LAST);
    // Through the gap at the bottom nothing jumps from one end to the other.
    if (!turning || Math.abs(next - step) <= LAST / 2) turn(next);
  }

  const keys = {
    ArrowUp: () => step + 1, ArrowRight: () => step + 1, ArrowDown: () => step - 1, ArrowLeft: () => step - 1,
    PageUp: () => step + 3, PageDown: () => step - 3, Home: () => 0, End: () => LAST,
  };
  dial.addEventListener("keydown", (event) => {
    if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    turn(keys[event.key]());
  });
  dial.addEventListener("pointerdown", (event) => {
    dial.setPointerCapture(event.pointerId);
    follow(event);
    turning = true;
  });
  dial.addEventListener("pointermove", (event) => turning && follow(event));
  for (const end of ["pointerup", "pointercancel"]) dial.addEventListener(end, () => (turning = false));
  show(0);

  return {
    /** What the server says, unless a hand is on the knob. */
    set(rate) {
      const nearest = RATES.findLastIndex((r) => r <= rate);
      if (!turning && nearest !== step) show(nearest);
    },
  };
}

/** A row of lamps, as many of them lit as the rate has reached, on a logarithmic scale. */
export function setUpLeds() {
  const lamps = Array.from({ length: LEDS }, () => document.createElement("span"));
  $("meter").append(...lamps);
  return (rate) => {
    const lit = rate < 0.5 ? 0 : Math.ceil((LEDS * Math.log10(rate + 1)) / 4);
    lamps.forEach((lamp, n) => lamp.classList.toggle("on", n < lit));
  };
}
