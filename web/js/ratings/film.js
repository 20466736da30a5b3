// One film: its figures, your rating, how its ratings are spread, and how its average came about.

import { call, segment } from "../api.js";
import { $, element, setText } from "../dom.js";
import { showHistory } from "./chart.js";
import { duration } from "../format.js";
import { average, count, title } from "./films.js";
import { setUpStars } from "./stars.js";

const EVERY_MS = 700; // between two looks at what the feed does not carry

let film = null;
let points = [];
let asked = null; // of which row the rest is being asked for, or was last
let busy = false;
let askedAt = 0;
let rated = null; // { id, count, at }: a rating that is in the log and not yet on the page
const stars = setUpStars(rate);

const bars = Array.from({ length: 10 }, (_, n) => {
  const bar = element("span", "spread-bar");
  const words = element("span", "unseen");
  const item = element("li", "", bar, words, element("span", "spread-label number", String(n)));
  item.lastChild.setAttribute("aria-hidden", "true");
  return { item, bar, words };
});
$("spread").append(...bars.map((b) => b.item));

function showSpread(distribution) {
  const most = Math.max(1, ...distribution);
  bars.forEach(({ bar, words }, n) => {
    bar.style.setProperty("--part", String(distribution[n] / most));
    setText(words, `${n}.0 to ${n === 9 ? "10.0" : `${n}.9`}: ${count(distribution[n])}`);
  });
}

function showFigures() {
  setText($("film-title"), title(film));
  setText($("film-year"), film.releaseYear === null ? "" : String(film.releaseYear));
  $("film-story").firstChild.href = `/lens/key/${film.movieId}`;
  $("film-story").hidden = false;
  setText($("film-average"), average(film));
  setText($("film-votes"), film.ratingCount === 1 ? "1 rating" : `${count(film.ratingCount)} ratings`);
}

async function askTheRest(now) {
  if (busy || film === asked || now - askedAt < EVERY_MS) return;
  busy = true;
  askedAt = now;
  asked = film;
  const id = film.movieId;
  try {
    const [one, history] = await Promise.all([
      call("GET", `/v1/movies/${segment(id)}`), call("GET", `/v1/movies/${segment(id)}/history`)]);
    if (film?.movieId !== id) return;
    points = history.points;
    showSpread(one.distribution);
    showHistory(points, one, Date.now());
  } catch (problem) {
    asked = null; // again; the lamp over the list says that the service is away
  } finally {
    busy = false;
  }
}

async function rate(tenths) {
  if (film === null) return;
  const button = $("rate-button");
  const id = film.movieId;
  const at = performance.now();
  const before = film.ratingCount;
  button.disabled = true;
  try {
    await call("POST", "/v1/ratings", { movieId: id, rating: tenths / 10 });
    rated = { id, before, at };
    setText($("rate-said"), `${(tenths / 10).toFixed(1)} is in the log.`);
    sayCounted(); // its event can be quicker than its answer
  } catch (problem) {
    setText($("rate-said"), `${problem.message} Try again.`);
  } finally {
    button.disabled = false;
    if (document.activeElement === document.body) button.focus({ preventScroll: true });
  }
}

function sayCounted() {
  if (rated === null || rated.id !== film?.movieId || film.ratingCount <= rated.before) return;
  setText($("rate-said"), `It counts; that took ${duration(performance.now() - rated.at)}.`);
  rated = null;
}

/** Shows a film; another one than before starts from nothing. */
export function openFilm(next) {
  const other = film?.movieId !== next.movieId;
  film = next;
  $("film-body").hidden = false;
  $("film-figure").hidden = false;
  showFigures();
  if (other) {
    asked = null;
    askedAt = 0;
    rated = null;
    points = [];
    setText($("rate-said"), "");
    showSpread(Array(10).fill(0));
    showHistory([], { ratingCount: 0 }, Date.now());
    stars.set(film.ratingCount === 0 ? 5 : film.averageRating);
  }
  sayCounted();
}

/** The film is gone from the legacy table. */
export function closeFilm(text) {
  film = null;
  $("film-body").hidden = true;
  $("film-figure").hidden = true;
  $("film-story").hidden = true;
  setText($("film-title"), "Choose a film");
  setText($("film-year"), text);
}

/** Call it regularly. */
export function tickFilm(now) {
  if (film !== null) askTheRest(now);
}
