// The page: the shelf with a basket beside it, or one order. Which of them, the address says.

import { call, isAway, isId, segment } from "./api.js";
import { $, element, setText } from "./dom.js";
import { cents, moment, money } from "./format.js";
import { click } from "./shop/clicks.js";
import { change, customer, DETAILS, greet } from "./shop/customer.js";
import { closeOrder, openOrder, placeOrder } from "./shop/order.js";
import { listPrice, picture } from "./shop/products.js";
import { filterProducts, markChosen, productName, productRow, showNoProductsYet, showProducts } from "./shop/shelf.js";
import { followStock } from "./shop/stock.js";

const PAST = 6;
const INT32_MAX = 2147483647;

let chosen = null; // the product in the basket
let stopStock = null;

// --- where we are ---

function place() {
  const query = new URLSearchParams(location.search);
  const id = (name) => (isId(query.get(name)) ? query.get(name) : null);
  return { order: id("order"), product: id("product") };
}

function go(path, focus) {
  history.pushState(null, "", path);
  arrive();
  const target = $(focus);
  target.focus({ preventScroll: true });
  if (target.getBoundingClientRect().top < 0 || target.getBoundingClientRect().top > innerHeight) target.scrollIntoView();
}

function arrive() {
  const { order, product } = place();
  $("counter").hidden = order !== null;
  $("order").hidden = order === null;
  if (order !== null) {
    stopStock?.();
    stopStock = null;
    openOrder(order);
    return;
  }
  closeOrder();
  document.title = "Shop · insideout";
  choose(product);
  stopStock ??= followStock({ onRows: showStock, onState: showStockState });
  readPast();
}

/** Links within the page do not load it anew. */
function onLink(event) {
  const link = event.target.closest("a");
  if (link === null || link.origin !== location.origin || link.pathname !== "/shop") return;
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  const product = new URL(link.href).searchParams.get("product");
  const order = new URL(link.href).searchParams.get("order");
  if (product !== null) click(`look at ${product}`);
  go(link.href, product !== null ? "basket-title" : order !== null ? "order-title" : "shelf-title");
}

// --- the shelf ---

let shelved = 0;

function showStock(rows) {
  showProducts(rows);
  showChosen();
  if (rows.length !== shelved) showPast(); // by names that were not known before
  shelved = rows.length;
}

function showStockState(state) {
  const away = state === "away";
  $("stock-lamp").dataset.state = { connecting: "wait", live: "live", away: "bad" }[state];
  setText($("stock-state"), { connecting: "Reading the stock", live: "Live stock", away: "Stock as last seen" }[state]);
  const notice = $("stock-notice");
  if (away && notice.childNodes.length === 0) {
    notice.append(element("strong", "", "The stock is not live."), "It goes on by itself. Is inventory stopped? Then start it: ",
      element("code", "", "./demo start inventory"));
  }
  if (state === "live") notice.replaceChildren();
}

// --- the basket ---

function choose(productId) {
  const other = chosen !== productId;
  chosen = productId;
  $("counter").classList.toggle("choosing", productId !== null);
  markChosen(productId);
  $("basket-form").hidden = productId === null;
  $("basket-empty").hidden = productId !== null;
  if (productId === null) return;
  if (other) {
    $("quantity").value = "1";
    $("price").value = money(listPrice(productId)).replaceAll(",", "");
    $("basket-notice").replaceChildren();
    $("chosen-picture").setAttribute("href", `/img/shelf.svg#${picture(productId)}`);
    setText($("quantity-error"), "");
    setText($("price-error"), "");
  }
  showChosen();
}

function wanted() {
  const text = $("quantity").value.trim();
  const quantity = /^-?\d{1,10}$/.test(text) ? Number(text) : NaN;
  return { quantity: Math.abs(quantity) <= INT32_MAX ? quantity : NaN, priceCents: cents($("price").value) };
}

function showChosen() {
  if (chosen === null) return;
  const row = productRow(chosen);
  const { quantity, priceCents } = wanted();
  setText($("chosen-name"), productName(chosen));
  $("chosen-name").dir = "auto";
  setText($("chosen-stock"), row ? `${row.available} available · ${row.onHand} on hand, ${row.reserved} reserved` : "not on the shelf");
  const total = quantity * priceCents;
  setText($("total"), Number.isFinite(total) ? money(total) : "–");
  const short = row !== undefined && quantity > row.available;
  setText($("shortage"), short ? "That is more than there is: the inventory check will say no." : "");
}

function invalid(field, text) {
  setText($(`${field}-error`), text);
  $(field).setAttribute("aria-invalid", String(text !== ""));
  return text !== "";
}

async function buy(event) {
  event.preventDefault();
  const { quantity, priceCents } = wanted();
  const badQuantity = invalid("quantity", Number.isNaN(quantity) ? "A whole number, such as 1." : "");
  const badPrice = invalid("price", Number.isNaN(priceCents) ? "An amount, such as 24.90." : "");
  if (badQuantity || badPrice) return void $(badQuantity ? "quantity" : "price").focus();

  const back = location.href;
  const request = { id: crypto.randomUUID(), customerId: customer.id, productId: chosen, quantity, priceCents };
  click(`order ${chosen}`);
  const placed = placeOrder(request);
  go(`/shop?order=${request.id}`, "order-title");
  try {
    await placed;
  } catch (problem) {
    history.replaceState(null, "", back);
    arrive();
    $("basket-notice").replaceChildren(element("strong", "", "Nothing is ordered."), problem.message);
    $("buy").focus();
  }
}

const TRIES = {
  stock: () => ($("quantity").value = String(Math.max(1, (productRow(chosen)?.available ?? 0) + 1))),
  fraud: () => {
    $("quantity").value = "1";
    $("price").value = "2000.00";
  },
  details: () => ($("quantity").value = "0"),
};

function step(by) {
  const { quantity } = wanted();
  $("quantity").value = String(Number.isNaN(quantity) ? 1 : Math.max(1, quantity + by));
  showChosen();
}

// --- the customer ---

function showCustomer() {
  setText($("customer-name"), `${customer.firstName} ${customer.lastName}`);
  setText($("customer-address"), customer.address);
  setText($("customer-level"), customer.level.toLowerCase());
  $("customer-level").dataset.level = customer.level;
  for (const id of ["customer-name", "customer-address"]) $(id).dir = "auto";
  setText($("customer-id"), customer.id);
  for (const name of DETAILS) $(name).value = customer[name];
}

async function saveCustomer(event) {
  event.preventDefault();
  const notice = $("customer-notice");
  notice.className = "notice";
  try {
    await change(Object.fromEntries(DETAILS.map((name) => [name, $(name).value])));
    notice.classList.add("good");
    setText(notice, "Saved. Orders and emails from now on use it.");
    showCustomer();
  } catch (problem) {
    notice.classList.add("bad");
    notice.replaceChildren(element("strong", "", "Not saved"), `${problem.message} `);
    if (isAway(problem)) notice.append("If customers is stopped: ", element("code", "", "./demo start customers"));
    if (problem.field !== undefined) $(problem.field)?.focus();
  }
}

// --- the orders before ---

let past = [];
let next = null;

function pastItem(order) {
  const link = element("a", "", `${order.quantity} × `, element("bdi", "", productName(order.productId)));
  link.href = `/shop?order=${segment(order.id)}`;
  const lamp = element("span", "lamp");
  lamp.dataset.state = { VALIDATED: "good", FAILED: "bad" }[order.state] ?? "wait";
  return element("li", "", lamp, link, element("span", "number", money(order.quantity * order.priceCents)),
    element("span", "soft when", `${order.state.toLowerCase()} · ${moment(order.createdAt)}`));
}

async function readPast(path = `/v1/orders?customerId=${segment(customer.id)}&limit=${PAST}`, append = false) {
  let page;
  try {
    page = await call("GET", path);
  } catch (problem) {
    setText($("past-empty"), `Your orders cannot be read: ${problem.message}`);
    $("past-empty").hidden = false;
    return;
  }
  past = append ? [...past, ...page.orders] : page.orders;
  next = page.next;
  $("past-empty").hidden = past.length > 0;
  $("older").hidden = next === null;
  showPast();
}

function showPast() {
  $("past").replaceChildren(...past.map(pastItem));
}

document.addEventListener("click", onLink);
addEventListener("popstate", arrive);
$("search").addEventListener("input", filterProducts);
$("basket-form").addEventListener("submit", buy);
$("basket-form").addEventListener("input", showChosen);
$("fewer").addEventListener("click", () => step(-1));
$("more").addEventListener("click", () => step(1));
for (const button of document.querySelectorAll("[data-try]")) {
  button.addEventListener("click", () => {
    TRIES[button.dataset.try]();
    showChosen();
  });
}
$("customer-form").addEventListener("submit", saveCustomer);
$("older").addEventListener("click", () => readPast(next, true));

showCustomer();
showNoProductsYet();
arrive();
greet();
click("visit");
