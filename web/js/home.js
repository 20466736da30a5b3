// The first page: which services are there.

import { call } from "./api.js";
import { $, element, setText } from "./dom.js";

const EVERY_MS = 3000;
const WORDS = { ready: "ready", away: "away", unknown: "asking" };

function makeRow(name) {
  const lamp = element("span", "lamp");
  const word = element("span", "soft", WORDS.unknown);
  $("services").append(element("li", "", lamp, element("span", "service-name", name), word));
  return { name, lamp, word };
}

async function ask({ name, lamp, word }) {
  const { status } = await call("GET", `/health/${name}`).catch(() => ({ status: "away" }));
  lamp.dataset.state = status === "ready" ? "good" : "bad";
  setText(word, WORDS[status] ?? status);
}

async function watch(rows) {
  for (;;) {
    if (!document.hidden) await Promise.all(rows.map(ask));
    await new Promise((done) => setTimeout(done, EVERY_MS));
  }
}

call("GET", "/health").then(
  (names) => watch(names.map(makeRow)),
  (problem) => setText($("services-problem"), problem.message),
);
