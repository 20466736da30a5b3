// The story of a key: all that happened because of it, over all topics, as a waterfall.

import { call, segment } from "./api.js";
import { $, element, setText, svg } from "./dom.js";
import { count, duration, instant } from "./format.js";
import { causesOf, gist, keyText, placeOf, storyAddress, tapeAddress } from "./lens/entry.js";
import { timeScale } from "./lens/scale.js";

const AGAIN_MS = 1500;
const AGAIN_FOR_MS = 60000; // a story that goes on is followed so long
const ROW = 10; // of the drawing's units

const key = decodeURIComponent(location.pathname.replace(/^\/lens\/key\//, ""));
let shown = "";

const timeOf = (e) => Number(e.written ?? e.timestamp);

/** Each record with its causes that are in the story, when it began to be waited for, and when it was there. */
function spansOf(records) {
  const byPlace = new Map(records.map((e, n) => [placeOf(e), n]));
  return records.map((e, n) => {
    const causes = causesOf(e).map((c) => byPlace.get(placeOf(c))).filter((c) => c !== undefined && c < n);
    const end = timeOf(e);
    const begin = causes.length === 0 ? end : Math.min(end, Math.max(...causes.map((c) => timeOf(records[c]))));
    return { entry: e, causes, begin, end };
  });
}

function row(span, scale) {
  const { entry: e, causes, begin, end } = span;
  const link = element("a", "", element("span", "where mono", placeOf(e)), element("span", "says", gist(e)));
  link.href = tapeAddress(e);
  const name = element("div", "who", link, e.byKey ? undefined : element("span", "label other-key", keyText(e)));
  const bar = element("div", `span ${causes.length === 0 ? "root" : ""} ${e.kind}`);
  bar.style.setProperty("--from", `${(100 * scale.at(begin)).toFixed(3)}%`);
  bar.style.setProperty("--to", `${(100 * scale.at(end)).toFixed(3)}%`);
  const took = element("span", `took label ${scale.at(end) > 0.75 ? "before" : ""}`, causes.length === 0 ? instant(end) : `+${duration(end - begin)}`);
  bar.append(took);
  return element("li", "", name, element("div", "track", bar));
}

function drawEdges(spans, scale) {
  const drawing = $("edges");
  drawing.setAttribute("viewBox", `0 0 1000 ${spans.length * ROW}`);
  drawing.replaceChildren(...spans.flatMap(({ causes, begin }, n) => causes.map((c) => {
    const x1 = 1000 * scale.at(spans[c].end);
    const x2 = 1000 * scale.at(begin);
    const [y1, y2] = [(c + 0.5) * ROW, (n + 0.5) * ROW];
    return svg("path", { d: `M${x1.toFixed(1)} ${y1} V${y2 - ROW / 4} L${x2.toFixed(1)} ${y2}`, "vector-effect": "non-scaling-stroke" });
  })));
}

function drawRuler(scale) {
  $("ruler").replaceChildren(...scale.gaps.map(({ from, to, ms }) => {
    const gap = element("li", "gap", element("span", "", duration(ms)));
    gap.style.setProperty("--from", `${(100 * from).toFixed(3)}%`);
    gap.style.setProperty("--to", `${(100 * to).toFixed(3)}%`);
    return gap;
  }));
}

function show({ records, more, complete }) {
  const spans = spansOf(records);
  const times = spans.flatMap((s) => [s.begin, s.end]);
  const scale = timeScale(times);
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const topics = new Set(records.map((e) => e.topic)).size;
  const facts = [`${count(records.length)} records in ${count(topics)} topics`, `${instant(first)}, and ${duration(last - first)} from first to last`];
  if (more) facts.push("there are more: the newest of each partition are here");
  if (!complete) facts.push("the lens has not read all of the log yet");
  setText($("story-facts"), facts.join(" · "));
  $("records").replaceChildren(...spans.map((s) => row(s, scale)));
  drawEdges(spans, scale);
  drawRuler(scale);
}

function become(state, word) {
  $("state").querySelector(".lamp").dataset.state = state;
  setText($("state").querySelector(".word"), word);
}

async function read() {
  const story = await call("GET", `/v1/log/keys/${segment(key)}`);
  const places = story.records.map((e) => `${placeOf(e)}${e.written}`).join() + story.complete;
  if (places !== shown) show(story);
  const news = places !== shown;
  shown = places;
  return news;
}

async function watch() {
  let until = Date.now() + AGAIN_FOR_MS;
  while (Date.now() < until) {
    if (!document.hidden) {
      try {
        if (await read()) until = Date.now() + AGAIN_FOR_MS;
        setText($("trouble"), "");
        become("live", "Live");
      } catch (problem) {
        setText($("trouble"), problem.status === 404 ? `Nothing in the log has the key ${key}.` : problem.message);
        become(problem.status === 404 ? "off" : "bad", problem.status === 404 ? "No story yet" : "Trying again");
      }
    }
    await new Promise((done) => setTimeout(done, AGAIN_MS));
  }
  become("off", "No news for a minute; reload to look again");
}

setText($("key"), key);
document.title = `${key} · insideout`;
$("story-form").addEventListener("submit", (event) => {
  event.preventDefault();
  location.href = storyAddress($("story-key").value);
});
watch();
