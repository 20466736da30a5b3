// One order on the page: placed here or found again by its id, followed to its end.

import { call, persist, segment } from "../api.js";
import { $, element, setText } from "../dom.js";
import { follow } from "../events.js";
import { money } from "../format.js";
import { Board } from "./board.js";
import { makeKnown } from "./customer.js";
import { forget, keep, kept } from "../kept.js";
import { CHECK_NAMES, Life } from "./life.js";
import { watchCard } from "./fraud.js";
import { showPayment } from "./pay.js";
import { learnName, productName } from "./shelf.js";
import { clearTape, writeTape } from "./tape.js";

const SERVICE_OF = { INVENTORY_CHECK: "inventory", FRAUD_CHECK: "fraud", ORDER_DETAILS_CHECK: "order-details" };
const TOPICS = ["orders", "order-validations", "payments", "shipments", "emails"];
const PATIENCE_MS = 4000; // so long nobody need be told that something is missing
const STREAM_FIRST_MS = 2000; // an order is placed once its events are listened for, or after this
const KEPT_ORDERS = 12;

const board = new Board($("board"));
let current = null; // what is on the page

/** All there is to one order on the page. `since`: when it was sent from here, else null. */
class Watched {
  life;
  since;
  events = [];
  stream = null;
  live = "connecting";
  lastNews = Date.now();
  trouble = null; // what keeps it from being placed or read: { text, command }
  cards = new Map(); // by token: what stops watching it
  timer = 0;
  looking = false;
  unheard = false; // it was placed before its events were listened for

  constructor(id, since) {
    this.life = new Life(id);
    this.since = since;
  }

  close() {
    this.stream?.close();
    clearInterval(this.timer);
    for (const stop of this.cards.values()) stop();
  }
}

// --- what is kept over a reload: the events so far, and the position to go on from ---

function save(w) {
  const ids = [w.life.id, ...(kept("orders") ?? []).filter((id) => id !== w.life.id)];
  for (const old of ids.splice(KEPT_ORDERS)) forget(`order.${old}`);
  keep("orders", ids);
  keep(`order.${w.life.id}`, { since: w.since, order: w.life.order, events: w.events, position: w.stream?.position ?? "" });
}

function restore(w) {
  const saved = kept(`order.${w.life.id}`);
  if (saved === null) return "";
  w.since = saved.since ?? null;
  w.life.order = saved.order ?? null;
  for (const { event, at } of saved.events ?? []) hear(w, event, at);
  return saved.position ?? "";
}

// --- events ---

function hear(w, event, at) {
  if (!w.life.take(event)) return;
  w.events.push({ event, at });
  w.lastNews = Date.now();
  writeTape(event, w.since === null ? null : Math.max(0, at - w.since));
  if (event.topic === "payments") watch(w, event.value.cardToken);
  if (event.topic === "possible-fraud") showFraud(event.value);
}

/** A row of an earlier window says nothing about this order. */
function watch(w, token) {
  if (w !== current || w.cards.has(token)) return;
  w.cards.set(token, watchCard(token, (row) => {
    const inWindow = ({ timestamp }) => timestamp >= row.windowStart && timestamp < row.windowEnd;
    if (w.life.payments.some(inWindow)) news(w, { topic: "possible-fraud", value: row });
  }));
}

function news(w, event) {
  hear(w, event, Date.now());
  save(w);
  if (w === current) show(w);
}

/** Resolves once the stream is live, or after a while: then it catches up. */
function listen(w, position) {
  return new Promise((resolve) => {
    setTimeout(resolve, STREAM_FIRST_MS);
    w.stream = follow(`/v1/events/orders?id=${segment(w.life.id)}`, {
      position,
      on: Object.fromEntries(TOPICS.map((topic) => [topic, (event) => news(w, event)])),
      onState: (state) => {
        w.live = state;
        if (state === "live") {
          resolve();
          if (w.life.created) catchUp(w);
        }
        if (w === current) show(w);
      },
    });
  });
}

// --- placing one, finding one ---

/** Shows an order and places it. Rejects with a Problem where it is refused; then there is none. */
export async function placeOrder(request) {
  const w = begin(new Watched(request.id, Date.now()));
  w.life.order = request;
  save(w);
  show(w);
  await listen(w, "");
  try {
    await place(w);
  } catch (problem) {
    forget(`order.${request.id}`);
    throw problem;
  }
}

/** As often as it takes, as long as it is on the page: of one id there is one order. */
async function place(w) {
  const { id, customerId, productId, quantity, priceCents } = w.life.order;
  const untilDone = (attempt, what, service) => persist(Infinity, () => (w === current ? attempt() : null), ({ message }) => {
    w.trouble = { text: `${what} (${message}) It is tried again, and there will be one order.`, command: `./demo start ${service}` };
    if (w === current) show(w);
  });
  await untilDone(makeKnown, "Nobody takes down who you are.", "customers");
  w.since = Date.now();
  w.unheard = w.live !== "live";
  save(w); // with the position before the order
  const order = await untilDone(() => call("POST", "/v1/orders", { id, customerId, productId, quantity, priceCents }), "Nobody takes the order.", "orders");
  if (order === null) return;
  w.trouble = null;
  w.life.complete({ order });
  save(w);
  if (w === current) show(w);
  catchUp(w);
}

/** Shows the order of this id: what this browser saw of it, what the views say, and what is still to come. */
export async function openOrder(id) {
  if (current?.life.id === id) return;
  const w = begin(new Watched(id, null));
  const position = restore(w);
  show(w);
  await listen(w, position);
  try {
    if (w.life.order !== null && w.life.created === null) await place(w);
  } catch (problem) {
    return trouble(w, problem.message, null);
  }
  await look(w);
}

/** Whoever comes first has the last word, this or the checks: the log says which, and the events tell. */
async function cancel() {
  const w = current;
  $("cancel").disabled = true;
  $("cancel-notice").replaceChildren();
  try {
    const order = await persist(Infinity, () => (w === current ? call("POST", `/v1/orders/${segment(w.life.id)}/cancel`, {}) : null),
      (problem) => setText($("cancel-notice"), `It cannot be cancelled yet. (${problem.message}) It is tried again.`));
    setText($("cancel-notice"), "");
    w.life.complete({ order });
    save(w);
  } catch (problem) {
    setText($("cancel-notice"), problem.status === 409 ? "Too late: it has been decided." : problem.message);
  } finally {
    $("cancel").disabled = false;
  }
  if (w === current) show(w);
}

$("cancel").addEventListener("click", cancel);

function trouble(w, text, command) {
  w.trouble = { text, command };
  if (w === current) show(w);
}

/** Reads the views, for what no event said. */
async function look(w) {
  const id = segment(w.life.id);
  const away = (problem) => trouble(w, `The order cannot be read. (${problem.message}) It is tried again.`, "./demo start orders");
  try {
    const order = await persist(Infinity, () => (w === current ? call("GET", `/v1/orders/${id}`) : null), away);
    if (order === null) return;
    w.trouble = null;
    const { links } = order;
    const later = (link) => (link === undefined ? {} : call("GET", link).catch(() => ({})));
    const [{ payments }, { emails }, shipment] = await Promise.all(
      [links.payments, links.emails, links.shipment && `${links.shipment}?timeout=2000`].map(later));
    w.life.complete({ order, payments, emails, shipment: shipment.orderId === undefined ? undefined : shipment });
    await learnName(order.productId);
    for (const p of w.life.payments) watch(w, p.value.cardToken);
  } catch (problem) {
    const gone = problem.status === 404;
    return trouble(w, gone ? "There is no order of this id. It may have gone with its data (./demo reset)." : problem.message, null);
  }
  if (w === current) show(w);
}

export function closeOrder() {
  current?.close();
  current = null;
}

function begin(w) {
  closeOrder();
  current = w;
  clearTape();
  board.clear();
  $("fraud-notice").replaceChildren();
  $("cancel-notice").replaceChildren();
  w.timer = setInterval(() => tick(w), 1000);
  return w;
}

/** Once it is there and listened for: what happened in between. */
function catchUp(w) {
  if (!w.unheard || w.live !== "live") return;
  w.unheard = false;
  lookOnce(w);
}

function lookOnce(w) {
  if (w.looking) return;
  w.looking = true;
  look(w).finally(() => (w.looking = false));
}

/** While no events come, the views are asked. */
function tick(w) {
  showNotice(w);
  if (w.live === "away" && !w.trouble && !document.hidden) lookOnce(w);
}

// --- the page ---

function headline(life, trouble) {
  if (trouble && !life.created) return trouble.command === null ? "No such order" : "Not placed yet";
  if (life.cancelled) return "Cancelled";
  if (life.state === "FAILED") return "This order failed";
  if (life.state === "VALIDATED") {
    if (life.shipment?.value.state === "HELD") return "Validated, but held";
    if (life.shipment) return life.emails.length > 0 ? "Shipped, and you have mail" : "Shipped";
    return "Validated";
  }
  return life.created ? "Being checked" : "On its way into the log";
}

function show(w) {
  const { life } = w;
  setText($("order-title"), headline(life, w.trouble));
  $("order").dataset.state = life.state;
  document.title = `${headline(life, w.trouble)} · insideout`;
  setText($("order-id"), life.id);
  $("order-story").href = `/lens/key/${segment(life.id)}`;
  const o = life.order;
  // <bdi>: a name that turns the direction of text turns its own only
  const what = o ? [`${o.quantity} × `, element("bdi", "", productName(o.productId)), `, ${money(o.quantity * o.priceCents)}`] : [];
  $("order-what").replaceChildren(...what);
  setText($("order-live"), { connecting: "Connecting", live: "Live", away: "Interrupted, trying again" }[w.live]);
  $("order-lamp").dataset.state = { connecting: "wait", live: "live", away: "bad" }[w.live];
  $("cancel").hidden = life.state !== "CREATED";
  const exists = life.created !== null || w.trouble === null;
  $("board-panel").hidden = $("order-columns").hidden = !exists;
  board.show(life);
  showPayment(w.life);
  showLetter(life);
  showNotice(w);
}

function showLetter(life) {
  const email = life.emails[0]?.value;
  $("letter").hidden = email === undefined;
  if (email === undefined) return;
  setText($("letter-to"), email.to);
  setText($("letter-subject"), email.subject);
  setText($("letter-body"), email.body);
}

function showFraud(v) {
  const text = `${v.count} payments with this card within five minutes. The query possible-fraud counted them as they passed; nothing is stopped by it.`;
  $("fraud-notice").replaceChildren(element("strong", "", "Possible fraud"), text);
}

/** What is late, and what to do about it. */
function delay(w) {
  const { life } = w;
  if (w.trouble) return w.trouble;
  if (w.live === "away") return { text: "The connection to the events is interrupted. It goes on where it stopped.", command: "./demo start orders" };
  if (Date.now() - w.lastNews < PATIENCE_MS) return null;
  const [check] = life.missingChecks;
  if (check) {
    const names = life.missingChecks.map((c) => CHECK_NAMES[c]).join(", ");
    return { text: `${names}: no verdict yet. Nothing is lost; the order waits in the log.`, command: `./demo start ${SERVICE_OF[check]}` };
  }
  if (life.state === "VALIDATED" && !life.shipment) return { text: "Nobody ships it yet. It is in the log and will be.", command: "./demo start shipping" };
  if (life.emailDue) return { text: "Nobody writes the email yet. Order and payment are in the log and wait.", command: "./demo start email" };
  return null;
}

function showNotice(w) {
  const late = delay(w);
  const notice = $("order-notice");
  const text = late === null ? "" : late.text + (late.command ?? "");
  if (notice.dataset.text === text) return;
  notice.dataset.text = text;
  notice.replaceChildren();
  if (late === null) return;
  notice.append(element("p", "", late.text));
  if (late.command) notice.append(element("p", "", "Is it stopped? Then start it: ", element("code", "", late.command)));
}
