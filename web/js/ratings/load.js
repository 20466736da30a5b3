// Simulated ratings: who turns the dial keeps asking for them; who only looks shows what is asked for.

import { call, isAway } from "../api.js";
import { $, setText } from "../dom.js";
import { setUpDial, setUpLeds } from "./dial.js";
import { count } from "./films.js";

const RENEW_MS = 5000;

let mine = 0; // what this page asks for; 0: nothing
let settling = 0; // calls under way: until they are answered the dial shows what the hand did
const dial = setUpDial(turn);
const light = setUpLeds();

function show(rate) {
  setText($("load-rate"), `${count(rate)}/s`);
}

function complain(problem) {
  const text = isAway(problem) ? `The service ratings does not answer: ${problem.message}` : problem.message;
  setText($("load-notice"), text);
}

async function put(rate) {
  settling++;
  try {
    const state = await call("PUT", "/v1/ratings/simulation", { rate });
    setText($("load-notice"), "");
    if (settling === 1) show(state.rate);
  } catch (problem) {
    complain(problem);
  } finally {
    settling--;
  }
}

function turn(rate) {
  mine = rate;
  show(rate);
  put(rate);
}

async function look() {
  if (document.hidden || settling > 0) return;
  try {
    const state = await call("GET", "/v1/ratings/simulation");
    if (settling > 0 || mine > 0) return;
    dial.set(state.rate);
    show(state.rate);
  } catch (problem) {
    if (!isAway(problem)) complain(problem);
  }
}

/** Shows how many ratings really arrive a second. */
export function showArriving(rate) {
  setText($("load-arrives"), `${count(rate)}/s`);
  light(rate);
}

export function setUpLoad() {
  setInterval(() => (mine > 0 ? put(mine) : look()), RENEW_MS);
  look();
  // A page that goes takes its load with it.
  addEventListener("pagehide", () => {
    if (mine === 0) return;
    const init = { method: "PUT", keepalive: true, headers: { "content-type": "application/json" }, body: '{"rate":0}' };
    fetch("/v1/ratings/simulation", init).catch(() => {});
    mine = 0;
  });
}
