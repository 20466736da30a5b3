// What this page knows of the films, and in which order they stand. No elements here.

/** By average, exactly: sums are integers, so fractions are compared by their cross products. */
function byRating(a, b) {
  if (a.ratingCount === 0 || b.ratingCount === 0) {
    return (a.ratingCount === 0) - (b.ratingCount === 0) || a.movieId - b.movieId;
  }
  const left = b.ratingSumTenths * a.ratingCount;
  const right = a.ratingSumTenths * b.ratingCount;
  const difference = Math.max(left, right) <= Number.MAX_SAFE_INTEGER
    ? left - right
    : Number(BigInt(b.ratingSumTenths) * BigInt(a.ratingCount) - BigInt(a.ratingSumTenths) * BigInt(b.ratingCount));
  return difference || b.ratingCount - a.ratingCount || a.movieId - b.movieId;
}

const collator = new Intl.Collator("en", { sensitivity: "base", numeric: true });
const byTitle = (a, b) => collator.compare(a.title ?? "\uffff", b.title ?? "\uffff") || a.movieId - b.movieId;

const ORDERS = {
  rating: byRating,
  count: (a, b) => b.ratingCount - a.ratingCount || byRating(a, b),
  title: byTitle,
  year: (a, b) => (b.releaseYear ?? 0) - (a.releaseYear ?? 0) || byTitle(a, b),
};

const WINDOW_MS = 3000;

/** The films by id, and how fast ratings come in. */
export class Films {
  #films = new Map();
  #ratings = 0;
  #seen = []; // [when, ratings so far]: of the last seconds

  get size() {
    return this.#films.size;
  }

  get ratings() {
    return this.#ratings;
  }

  get(id) {
    return this.#films.get(id);
  }

  put(film) {
    this.#ratings += film.ratingCount - (this.#films.get(film.movieId)?.ratingCount ?? 0);
    this.#films.set(film.movieId, film);
  }

  delete(id) {
    this.#ratings -= this.#films.get(id)?.ratingCount ?? 0;
    this.#films.delete(id);
    this.#seen = [];
  }

  clear() {
    this.#films.clear();
    this.#ratings = 0;
    this.#seen = [];
  }

  /** Ratings a second over the last seconds; call it regularly. */
  rate(now) {
    this.#seen.push([now, this.#ratings]);
    while (this.#seen.length > 2 && this.#seen[1][0] < now - WINDOW_MS) this.#seen.shift();
    const [then, ratings] = this.#seen[0];
    return now > then ? Math.max(0, ((this.#ratings - ratings) * 1000) / (now - then)) : 0;
  }

  /** In an order, each with its rank; only those whose title contains the text. */
  list(order, text) {
    const wanted = text.trim().toLowerCase();
    return [...this.#films.values()]
      .sort(ORDERS[order])
      .map((film, n) => ({ film, rank: n + 1 }))
      .filter(({ film }) => wanted === "" || (film.title ?? "").toLowerCase().includes(wanted));
  }
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
export const count = (n) => whole.format(n);

/** Hundredths while there are few places between neighbours. */
export const average = (film) => (film.ratingCount === 0 ? "–" : film.averageRating.toFixed(2));
export const title = (film) => film.title ?? `Film ${film.movieId}`;
