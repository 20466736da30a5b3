// The page: the list of films as their ratings arrive, and one of them. Which one, the address says.

import { $, setText } from "./dom.js";
import { follow } from "./events.js";
import { showFilms, showSkeletons } from "./ratings/board.js";
import { closeFilm, openFilm, tickFilm } from "./ratings/film.js";
import { count, Films } from "./ratings/films.js";
import { setUpLoad, showArriving } from "./ratings/load.js";
import { watchReplay } from "./ratings/replay.js";

const DRAW_MS = 300; // between two orders of the list: rows must have time to glide
const narrow = matchMedia("(max-width: 61.99rem)");

const PAGE = narrow.matches ? 10 : 25;

const films = new Films();
let shown = PAGE;
let chosen = null; // the id of a film
let dirty = false;
let known = false; // all rows are here

// --- where we are ---

function place() {
  const id = new URLSearchParams(location.search).get("movie");
  return /^-?\d{1,19}$/.test(id ?? "") ? Number(id) : null;
}

function arrive() {
  chosen = place();
  showChosen();
  dirty = true;
}

function showChosen() {
  const film = chosen === null ? undefined : films.get(chosen);
  if (film !== undefined) openFilm(film);
  else closeFilm(chosen !== null && known ? "There is no such film (any more)." : "Its ratings show here, and you can add yours.");
}

/** Links to films do not load the page anew. */
function onLink(event) {
  const link = event.target.closest("a");
  if (link === null || link.origin !== location.origin || link.pathname !== "/ratings" || link.hash !== "") return;
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  history.pushState(null, "", link.href);
  arrive();
  draw();
  if (narrow.matches) {
    $("film").scrollIntoView();
    $("film-title").focus({ preventScroll: true });
  }
}

// --- the list ---

function draw() {
  dirty = false;
  if (!known) return;
  const text = $("search").value;
  const listed = films.list($("sort").value, text);
  showFilms(listed.slice(0, shown), chosen);
  $("more").hidden = listed.length <= shown;
  $("none").hidden = listed.length > 0;
  if (films.size === 0) setText($("none"), "No films yet: the legacy database has none, or they have not arrived.");
  else setText($("none"), `No title contains “${text.trim()}”.`);
  setText($("film-count"), count(films.size));
  setText($("rating-count"), count(films.ratings));
}

function onSearch() {
  shown = PAGE;
  draw();
  const found = films.list("title", $("search").value).length;
  setText($("found"), $("search").value.trim() === "" ? "" : `${found} films found`);
}

function tick() {
  const now = performance.now();
  const rate = films.rate(now);
  setText($("rating-rate"), count(rate));
  showArriving(rate);
  if (dirty) draw();
  tickFilm(now);
}

// --- what happens ---

const on = {
  reset: () => {
    films.clear();
    known = false;
  },
  movie: (film) => {
    films.put(film);
    known = true;
    dirty = true;
    if (film.movieId === chosen) openFilm(film);
  },
  "movie-deleted": ({ key }) => {
    films.delete(Number(key));
    dirty = true;
    if (Number(key) === chosen) showChosen();
  },
};

function onState(state) {
  $("feed-lamp").dataset.state = { live: "live", away: "bad", connecting: "wait" }[state];
  setText($("feed-state"), { live: "Live", away: "As last seen; it is tried again", connecting: "Connecting" }[state]);
  if (state === "away") watchReplay();
}

addEventListener("popstate", arrive);
document.addEventListener("click", onLink);
$("search").addEventListener("input", onSearch);
$("sort").addEventListener("change", () => {
  shown = PAGE;
  draw();
});
$("more").addEventListener("click", () => {
  shown += 2 * PAGE;
  draw();
});
showSkeletons(12);
arrive();
setUpLoad();
watchReplay();
follow("/v1/events/movies", { on, onState });
setInterval(tick, DRAW_MS);
