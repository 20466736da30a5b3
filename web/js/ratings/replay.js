// How the service's views come back: what /v1/ratings/status says while they do.

import { call } from "../api.js";
import { $, setText } from "../dom.js";
import { duration } from "../format.js";
import { count } from "./films.js";

const LOOK_MS = 80;

let watching = false;
let run = null; // { since, records, left }: a hydration that this page saw

function say(state, text) {
  $("replay-lamp").dataset.state = state;
  setText($("replay-text"), text);
}

function sum(status, what) {
  return status.streams.reduce((n, stream) => n + stream[what], 0);
}

function showRun(now) {
  const seconds = Math.max(0.05, (now - run.since) / 1000);
  $("replay-run").hidden = false;
  $("replay-bar").value = run.left === 0 ? (run.records > 0 ? 1 : 0) : run.records / (run.records + run.left);
  setText($("replay-position"), count(run.records));
  setText($("replay-lag"), count(run.left));
  setText($("replay-rate"), count(run.records / seconds));
}

function step(status, now) {
  const records = sum(status, "records");
  if (!status.ready) {
    run ??= { since: now, records: 0, left: 0, over: 0 };
    Object.assign(run, { records, left: sum(status, "left") });
    say("wait", `Hydrating from the log: ${status.streams.find((s) => !s.ready).status || "starting"}`);
    showRun(now);
    return true;
  }
  if (run !== null) {
    Object.assign(run, { records, left: 0 });
    showRun(now);
    say("good", `It came back: ${count(records)} events in ${duration(now - run.since)}.`);
    run = null;
  } else if ($("replay-run").hidden) {
    say("good", "Complete, and following the log.");
  }
  return false;
}

/** Watches until the service is ready; call it at the start and when its stream of events ends. */
export async function watchReplay() {
  if (watching) return;
  watching = true;
  for (let again = true; again;) {
    try {
      again = step(await call("GET", "/v1/ratings/status"), performance.now());
    } catch {
      say("bad", "The service is stopped, or not up yet.");
      run ??= { since: performance.now(), records: 0, left: 0 };
      run.since = performance.now(); // it has not begun
    }
    if (again) await new Promise((done) => setTimeout(done, document.hidden ? 1000 : LOOK_MS));
  }
  watching = false;
}
