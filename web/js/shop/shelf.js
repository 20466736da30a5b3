// The products on the shelf: links, whose numbers change in place.

import { call, segment } from "../api.js";
import { $, element, setText, svg } from "../dom.js";
import { money } from "../format.js";
import { listPrice, picture } from "./products.js";

const cards = new Map(); // by product id
const names = new Map(); // of products that were asked for without the shelf
let rows = new Map();
let chosen = null;

const nameOf = (row) => row.name ?? row.productId;

function makeCard(productId) {
  const icon = svg("svg", { class: "picture", "aria-hidden": "true" });
  icon.append(svg("use", { href: `/img/shelf.svg#${picture(productId)}` }));
  const name = element("span", "product-name");
  const price = element("span", "product-price number", money(listPrice(productId)));
  const available = element("span", "product-available number");
  const meter = element("span", "meter", element("span", "meter-reserved"), element("span", "meter-free"));
  meter.setAttribute("aria-hidden", "true");
  const link = element("a", "product", icon, name, price, available, meter);
  link.href = `/shop?product=${encodeURIComponent(productId)}`;
  const item = element("li", "", link);
  return { item, link, name, available, meter, shown: null };
}

function showCard(card, row) {
  const shown = `${row.available}/${row.reserved}`;
  setText(card.name, nameOf(row));
  card.name.dir = "auto";
  if (card.shown === shown) return;
  setText(card.available, row.available > 0 ? `${row.available} available` : "sold out");
  card.link.classList.toggle("sold-out", row.available <= 0);
  const most = Math.max(row.onHand, 1);
  card.meter.style.setProperty("--free", Math.max(0, Math.min(1, row.available / most)));
  card.meter.style.setProperty("--reserved", Math.max(0, Math.min(1, row.reserved / most)));
  if (card.shown !== null) {
    card.link.classList.remove("changed");
    void card.link.offsetWidth; // so that the animation begins anew
    card.link.classList.add("changed");
  }
  card.shown = shown;
}

/** Shows all products; those that are gone go. */
export function showProducts(list) {
  const all = $("products");
  rows = new Map(list.map((row) => [row.productId, row]));
  for (const [id, card] of cards) {
    if (rows.has(id)) continue;
    card.item.remove();
    cards.delete(id);
  }
  if (cards.size === 0) all.replaceChildren();
  list.forEach((row, n) => {
    let card = cards.get(row.productId);
    if (card === undefined) cards.set(row.productId, (card = makeCard(row.productId)));
    if (all.children[n] !== card.item) all.insertBefore(card.item, all.children[n] ?? null);
    showCard(card, row);
  });
  all.setAttribute("aria-busy", "false");
  filterProducts();
  markChosen(chosen);
}

/** Until there are any. */
export function showNoProductsYet() {
  const blanks = Array.from({ length: 8 }, () => element("li", "", element("span", "product skeleton")));
  for (const blank of blanks) blank.setAttribute("aria-hidden", "true");
  $("products").replaceChildren(...blanks);
}

/** Only what the search field asks for. */
export function filterProducts() {
  const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const [id, card] of cards) {
    const text = `${id} ${nameOf(rows.get(id))}`.toLowerCase();
    card.item.hidden = !words.every((word) => text.includes(word));
    if (!card.item.hidden) found++;
  }
  const none = $("no-products");
  none.hidden = cards.size === 0 || found > 0;
  if (!none.hidden) setText(none, `Nothing on the shelf is called “${$("search").value.trim()}”. Try fewer letters.`);
}

export function markChosen(productId) {
  chosen = productId;
  for (const [id, card] of cards) {
    if (id === productId) card.link.setAttribute("aria-current", "true");
    else card.link.removeAttribute("aria-current");
  }
}

export const productRow = (productId) => rows.get(productId);

export const productName = (productId) => (rows.has(productId) ? nameOf(rows.get(productId)) : names.get(productId) ?? productId);

/** Resolves once productName() knows this one, if the shop does. */
export async function learnName(productId) {
  if (rows.has(productId) || names.has(productId)) return;
  const { name } = await call("GET", `/v1/stock/${segment(productId)}`).catch(() => ({}));
  if (name) names.set(productId, name);
}
