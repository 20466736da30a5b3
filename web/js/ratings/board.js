// The list of films, whose rows glide to their new places.

import { $, element, setText } from "../dom.js";
import { average, count, title } from "./films.js";

const GLIDE_MS = 420;
const still = matchMedia("(prefers-reduced-motion: reduce)");
const rows = new Map(); // by film: what is on the page

function makeRow(film) {
  const link = element("a", "film-link");
  link.href = `/ratings?movie=${film.movieId}`;
  const row = {
    item: element("li", "film"),
    link,
    rank: element("span", "rank number"),
    name: element("span", "film-name"),
    year: element("span", "film-year soft number"),
    votes: element("span", "film-votes soft number"),
    figure: element("span", "figure number"),
    meter: element("span", "bar"),
    film: null,
  };
  const words = element("span", "film-words", row.name, row.year);
  link.append(row.rank, words, row.votes, row.figure, row.meter);
  row.item.append(link);
  return row;
}

function fillRow(row, film, rank, chosen) {
  setText(row.rank, String(rank));
  if (row.film !== film) {
    const changed = row.film !== null && row.film.ratingCount !== film.ratingCount;
    setText(row.name, title(film));
    setText(row.year, film.releaseYear === null ? "" : String(film.releaseYear));
    setText(row.votes, film.ratingCount === 1 ? "1 rating" : `${count(film.ratingCount)} ratings`);
    setText(row.figure, average(film));
    row.meter.style.setProperty("--part", String(film.averageRating / 10));
    row.item.classList.toggle("unrated", film.ratingCount === 0);
    if (changed && !still.matches) flash(row.figure);
    row.film = film;
  }
  if (chosen) row.link.setAttribute("aria-current", "true");
  else row.link.removeAttribute("aria-current");
}

function flash(e) {
  const accent = getComputedStyle(e).getPropertyValue("--accent");
  e.animate([{ color: accent }, {}], { duration: 700, easing: "ease-out" });
}

/** Where the rows are on the screen, movements under way included. */
function places() {
  const at = new Map();
  for (const [id, row] of rows) at.set(id, row.item.getBoundingClientRect().top);
  return at;
}

function glide(id, row, before) {
  const now = row.item.getBoundingClientRect().top;
  const from = before.get(id);
  if (from === undefined) {
    row.item.animate([{ opacity: 0 }, { opacity: 1 }], { duration: GLIDE_MS });
  } else if (Math.abs(from - now) >= 1) {
    const rises = from > now;
    row.item.classList.toggle("rising", rises);
    const moves = row.item.animate([{ transform: `translateY(${from - now}px)` }, { transform: "none" }], {
      duration: GLIDE_MS,
      easing: "cubic-bezier(0.2, 0.7, 0.2, 1)",
    });
    moves.onfinish = () => row.item.classList.remove("rising");
  }
}

/** Shows these films, in this order. */
export function showFilms(listed, chosen) {
  const list = $("films");
  const before = still.matches || document.hidden ? null : places();
  const focused = document.activeElement;
  const shown = new Set(listed.map(({ film }) => film.movieId));
  for (const [id, row] of rows) {
    if (shown.has(id)) continue;
    row.item.remove();
    rows.delete(id);
  }
  listed.forEach(({ film, rank }, n) => {
    if (!rows.has(film.movieId)) rows.set(film.movieId, makeRow(film));
    const row = rows.get(film.movieId);
    fillRow(row, film, rank, film.movieId === chosen);
    if (list.children[n] !== row.item) list.insertBefore(row.item, list.children[n] ?? null);
  });
  while (list.children.length > listed.length) list.lastChild.remove(); // what stood there while nothing was known
  list.removeAttribute("aria-busy");
  if (focused !== document.activeElement && list.contains(focused)) focused.focus({ preventScroll: true });
  if (before === null) return;
  for (const row of rows.values()) for (const a of row.item.getAnimations()) if (a.effect.getKeyframes().some((k) => k.transform)) a.cancel();
  for (const [id, row] of rows) glide(id, row, before);
}

/** While nothing is known yet. */
export function showSkeletons(n) {
  $("films").replaceChildren(...Array.from({ length: n }, () => element("li", "film skeleton", "\u00a0")));
}
