// The page: a form, the events of the order it makes, and the orders before it.

import { awaitOutcome, listOrders, listStock, nextOrders, postOrder } from "./orders.js";
import { change, customer, makeKnown } from "./customer.js";
import { cents, element, moment, money } from "./format.js";
import { Timeline } from "./timeline.js";

const STOCK_EVERY_MS = 2000;
const RECENT = 8;

const $ = (id) => document.getElementById(id);
const timeline = new Timeline($("timeline"));
let stock = new Map(); // by product id

// --- the stock ---

function showStock() {
  const select = $("product");
  const ids = [...stock.keys()];
  if (ids.join("\n") !== [...select.options].map((o) => o.value).join("\n")) {
    const chosen = select.value;
    select.replaceChildren(...ids.map((id) => new Option("", id)));
    if (stock.has(chosen)) select.value = chosen;
  }
  for (const option of select.options) {
    const p = stock.get(option.value);
    option.textContent = `${p.name ?? p.productId} (${p.available})`;
  }
  select.disabled = $("submit").disabled = ids.length === 0;
  showChoice();
}

function showChoice() {
  const product = stock.get($("product").value);
  const quantity = Number($("quantity").value);
  const price = cents($("price").value);
  const text = product ? `${product.available} available: ${product.onHand} on hand, ${product.reserved} reserved` : "";
  if ($("availability").textContent !== text) $("availability").textContent = text;
  $("availability").classList.toggle("short", product !== undefined && quantity > product.available);
  $("total").textContent = Number.isFinite(price * quantity) ? money(price * quantity) : "–";
}

async function readStock() {
  const rows = await listStock();
  rows.sort((a, b) => (a.name ?? a.productId).localeCompare(b.name ?? b.productId));
  stock = new Map(rows.map((p) => [p.productId, p]));
  showStock();
}

async function followStock() {
  for (;;) {
    if (!document.hidden) {
      await readStock().catch((problem) => {
        $("availability").textContent = `The stock cannot be read: ${problem.message}`;
      });
    }
    await new Promise((done) => setTimeout(done, STOCK_EVERY_MS));
  }
}

// --- the orders so far ---

function orderItem(order) {
  const item = element("li");
  const name = stock.get(order.productId)?.name ?? order.productId;
  const state = element("p");
  state.append(element("span", `state ${order.state}`, order.state));
  for (const reason of order.reasons) state.append(element("span", "reasons", reason));
  item.append(
    element("p", "when", moment(order.createdAt)),
    element("p", "", `${order.quantity} × ${name}, ${money(order.quantity * order.priceCents)}`),
    state,
  );
  return item;
}

let next = null;

function showOrders(page, append) {
  const list = $("recent");
  const items = page.orders.map(orderItem);
  if (append) list.append(...items);
  else list.replaceChildren(...items);
  next = page.next;
  $("none").hidden = list.children.length > 0;
  $("older").hidden = next === null;
}

const readOrders = async () => showOrders(await listOrders(customer.id, RECENT), false);

// --- an order ---

function readForm() {
  const quantity = Number($("quantity").value);
  const priceCents = cents($("price").value);
  if (!Number.isInteger(quantity)) throw new Error("The quantity must be a whole number.");
  if (Number.isNaN(priceCents)) throw new Error("The price must be an amount such as 24.90.");
  return { id: crypto.randomUUID(), customerId: customer.id, productId: $("product").value, quantity, priceCents };
}

async function follow(order) {
  timeline.start();
  $("nothing").hidden = true;
  timeline.wait("Request", "on its way into the log");
  await makeKnown();
  await postOrder(order);
  timeline.add("CREATED", `order ${order.id}`);
  timeline.wait("Three checks", "inventory, fraud and details read the event");
  const outcome = await awaitOutcome(order.id);
  if (outcome.state === "VALIDATED") timeline.add("VALIDATED", "all three checks passed; the stock is yours", "good");
  else timeline.add("FAILED", outcome.reasons.join("; "), "bad");
}

async function placeOrder(event) {
  event.preventDefault();
  $("error").textContent = "";
  $("submit").disabled = true;
  try {
    await follow(readForm());
  } catch (problem) {
    if ($("timeline").querySelector(".wait")) timeline.add("No answer", problem.message, "bad");
    $("error").textContent = problem.message;
  } finally {
    $("submit").disabled = stock.size === 0;
  }
  await Promise.allSettled([readOrders(), readStock()]);
}

// --- the customer ---

const details = ["firstName", "lastName", "email", "address"];

function showCustomer() {
  $("customer-name").textContent = `${customer.firstName} ${customer.lastName}`;
  $("customer-id").textContent = customer.id;
  for (const name of details) $(name).value = customer[name];
}

async function saveCustomer(event) {
  event.preventDefault();
  try {
    await change(Object.fromEntries(details.map((name) => [name, $(name).value])));
    $("saved").textContent = "Saved.";
  } catch (problem) {
    $("saved").textContent = problem.message;
  }
  showCustomer();
}

$("order").addEventListener("submit", placeOrder);
$("order").addEventListener("input", showChoice);
$("customer").addEventListener("submit", saveCustomer);
$("older").addEventListener("click", async () => {
  $("older").disabled = true;
  await nextOrders(next).then((page) => showOrders(page, true), () => {});
  $("older").disabled = false;
});

showCustomer();
change({}).catch(() => {}); // at the latest the first order says what is wrong
readStock().then(readOrders, () => {}); // names of products first
followStock();
