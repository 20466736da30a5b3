// The panel with which an audience breaks the suite: what is done, what will be seen, why, and where the code says so.

import { call, segment } from "../api.js";
import { command, hasToken, readControl } from "../control.js";
import { $, element, setText } from "../dom.js";
import { count } from "../format.js";
import { titleOf } from "./map.js";

const LOOK_MS = 100;
const LOOK_FOR_MS = 60000; // a process that is killed is looked for so long
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

const TELLS = {
  kill: ["Its lamp goes out, and comes back within a second or two. What it was at work on is decided a moment later. On the tape the records of the transaction that it had open are struck through: aborted.",
    "Nothing that it writes counts before its transaction is committed. Its supervisor starts it again; the new process fences the old one, which aborts what was open, restores its views and reads its inputs again from the committed offsets."],
  stop: ["It stays away until it is started. What it has to do waits in the log, its lag grows, and all others go on.",
    "Services never call each other. Whoever is away has work waiting for it in a topic; an order waits for the check that is missing, and loses nothing."],
  start: ["It catches up: its lag falls to nothing, and orders that waited are decided.",
    "The log has kept what came meanwhile, and the group the offset from which on it has not read."],
  slow: ["It gets a tenth of its time for twenty seconds: its lag grows and falls again; its transactions are fewer, and carry more.",
    "A commit comes at once when the input is drained, and after up to 300 ms under load: who falls behind takes more at a time."],
  rewind: ["Its view is deleted and comes back: on the tape of what it is restored from its marker jumps to the beginning and races to the end.",
    "A view is a cache. What it was made from is the log, and a changelog has it in short."],
  scale: ["It has more members, or fewer. Each takes some of the partitions; what the others keep is not interrupted.",
    "A key is in one partition, and a partition is one instance\u2019s: so there is no lock and no second opinion, however many there are."],
  poison: ["A record that nobody can read. One reader writes it to dead-letters, once; the others skip it, and what lies behind it is handled.",
    "A record that fails the same way each time may not hold up what follows. The catalogue of topics names the reader that reports it."],
  kafka: ["Everything waits. A client gets 503 with Retry-After, and the same id again is safe. A few seconds later all go on; nothing is lost, nothing is done twice.",
    "What was acknowledged is in the log; what was not is asked again. A service that misses Kafka waits, and stays as it is."],
};

let known = null; // what the launcher lets us do
let shown = "kill";

const chosen = () => $("control-name").value;

/** Kafka is told of in words of its own: with it everything waits. */
const telling = (verb) => (chosen() === "kafka" && (verb === "kill" || verb === "stop") ? "kafka" : verb);

function tell(verb) {
  shown = verb;
  const [sees, why] = TELLS[telling(verb)];
  setText($("control-sees"), sees);
  setText($("control-why"), why);
  $("control-code").replaceChildren(...known.code.filter((place) => place.verb === telling(verb)).map(({ file, line, text }) => {
    const link = element("a", "mono", `${file}:${line}`);
    link.href = `/source/${file}#:~:text=${encodeURIComponent(text).replaceAll("-", "%2D")}`;
    return element("li", "", link);
  }));
}

/** What may be done with the process that is chosen. */
function offer() {
  const service = known.services.includes(chosen());
  for (const button of $("control").querySelectorAll("[data-verb]")) {
    button.disabled = ["slow", "rewind", "scale"].includes(button.dataset.verb) && !service;
  }
  tell(shown);
}

const tapeOf = (topic, place = {}) => {
  const link = element("a", "", topic);
  link.href = `/lens?${new URLSearchParams({ topic, ...place })}`;
  return link;
};

/** How long until it is ready again, in ms; null: it is not, or it is none that says so. */
async function again(name, since) {
  if (!known.services.includes(name)) return null;
  while (performance.now() - since < LOOK_FOR_MS) {
    const { status } = await call("GET", `/health/${segment(name)}`).catch(() => ({}));
    if (status === "ready") return performance.now() - since;
    await new Promise((done) => setTimeout(done, LOOK_MS));
  }
  return null;
}

const lines = (said) => said.split("\n").map((line) => line.replace(/^ *[\d.]+ s  /, "")).filter(Boolean);

/** What came of it, for people. */
function outcome(verb, said) {
  const words = lines(said).join("; ");
  if (verb === "poison") {
    const [topic, partition, offset] = words.split("/");
    return ["it is ", tapeOf(topic, { partition, offset }), `, partition ${partition}, offset ${offset}; its letter comes to `, tapeOf("dead-letters")];
  }
  if (verb !== "rewind") return [words];
  const rates = [...words.matchAll(/(\d+) events in ([\d.]+)\s*s/g)].map(([, n, s]) => Number(n) / Math.max(0.01, Number(s)));
  return [`${words}${rates.length > 0 ? `: ${count(Math.round(rates.reduce((a, b) => a + b)))} records a second` : ""}`];
}

/** When it is back, and where to look for what it left open. */
async function comesBack(name, since, graph) {
  const ms = await again(name, since);
  const writes = graph.services.find((s) => s.name === name)?.writes ?? [];
  return [ms === null ? "" : `; ready again after ${(ms / 1000).toFixed(1)} s`,
    ...(writes.length > 0 ? ["; what it writes: ", ...writes.flatMap((topic, n) => [n > 0 ? ", " : "", tapeOf(topic)])] : [])];
}

async function act(button, graph) {
  const { verb } = button.dataset;
  const name = verb === "poison" ? $("control-topic").value : chosen();
  const what = verb === "scale" ? { name, count: Number($("control-count").value) } : { name };
  const says = element("span", "", "…");
  const row = element("li", "", element("span", "number soft", clock.format(new Date())), element("strong", "", `${button.textContent.trim()}: ${titleOf(name)}`), says);
  const since = performance.now();
  $("control-done").prepend(row);
  button.setAttribute("aria-busy", "true");
  try {
    const { said } = await command(verb, what);
    says.replaceChildren(...outcome(verb, said));
    if (verb === "kill") says.append(...await comesBack(name, since, graph));
  } catch (problem) {
    row.classList.add("failed");
    setText(says, problem.message);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

const options = (names) => names.map((name) => {
  const option = element("option", "", titleOf(name));
  option.value = name;
  return option;
});

/** Opens the panel, where there is one and this browser has the token. Resolves to { choose(name) }, or null. */
export async function openPanel(graph) {
  if ($("control") === null) return null;
  $("control-locked").hidden = hasToken;
  if (!hasToken) return null;
  try {
    known = await readControl();
  } catch (problem) {
    if (problem.status !== 401) throw problem;
    $("control-locked").hidden = false; // the token is of another suite
    return null;
  }
  $("control-name").replaceChildren(...options([...known.services, ...known.others]));
  $("control-topic").replaceChildren(...options(known.topics));
  for (const button of $("control").querySelectorAll("[data-verb]")) {
    button.addEventListener("focus", () => tell(button.dataset.verb));
    button.addEventListener("pointerenter", () => tell(button.dataset.verb));
    button.addEventListener("click", () => act(button, graph));
  }
  $("control-name").addEventListener("change", offer);
  $("control-open").hidden = false;
  offer();
  return {
    choose(name) {
      if (![...$("control-name").options].some((option) => option.value === name)) return;
      $("control-name").value = name;
      offer();
    },
  };
}
