// The life of one order: what the events so far say. Nothing here knows the page.

/** The checks, in the order in which they stand on the page. */
export const CHECKS = ["INVENTORY_CHECK", "FRAUD_CHECK", "ORDER_DETAILS_CHECK"];

/** An order and its payment meet in an email when they are at most this far apart. */
export const EMAIL_WITHIN_MS = 60000;

export class Life {
  id;
  order = null; // as it was ordered, or as the log has it
  created = null; // these are events: { topic, partition, offset, timestamp, value, … }
  checks = {}; // by check
  outcome = null;
  payments = [];
  shipment = null;
  emails = [];
  #seen = new Set();

  constructor(id) {
    this.id = id;
  }

  /** Takes an event in; false where it is no news. */
  take(event) {
    const { value } = event;
    if (value === null || this.#seen.has(identity(event))) return false;
    this.#seen.add(identity(event));
    switch (event.topic) {
      case "orders":
        this.order = { ...this.order, ...value };
        if (value.state === "CREATED") this.created = known(this.created, event);
        else this.outcome = known(this.outcome, event);
        return true;
      case "order-validations":
        this.checks[value.check] ??= event;
        return true;
      case "payments":
        this.payments = [...this.payments.filter((p) => !isFact(p) || p.value.id !== value.id), event];
        return true;
      case "shipments":
        this.shipment = known(this.shipment, event);
        return true;
      case "emails":
        this.emails = [...this.emails.filter((e) => !isFact(e)), event];
        return true;
      case "possible-fraud":
        return true;
      default:
        return false;
    }
  }

  /** Takes in what was read from views, for what no event said: such a fact has a value, and no place in the log. */
  complete({ order, shipment, payments = [], emails = [] }) {
    const fact = (topic, value) => ({ topic, value, timestamp: order?.createdAt });
    if (order) {
      this.order = { ...this.order, ...order };
      this.created ??= fact("orders", { ...order, state: "CREATED" });
      if (order.state !== "CREATED") this.outcome ??= fact("orders", order);
    }
    if (shipment) this.shipment ??= fact("shipments", shipment);
    for (const p of payments) {
      if (!this.payments.some(({ value }) => value.id === p.id)) this.payments.push(fact("payments", p));
    }
    if (this.emails.length === 0) this.emails = emails.map((e) => fact("emails", e));
  }

  get state() {
    return this.outcome?.value.state ?? (this.created ? "CREATED" : "REQUESTED");
  }

  get cancelled() {
    return this.state === "FAILED" && this.outcome.value.reasons?.[0] === "CANCELLED";
  }

  /** PASS, FAIL, or null while nobody has said: a VALIDATED order has passed each of them. */
  verdict(check) {
    return this.checks[check]?.value.result ?? (this.state === "VALIDATED" ? "PASS" : null);
  }

  /** Is an email to come? Of a payment that only a view told of, nobody here knows when it was. */
  get emailDue() {
    return this.emails.length === 0 && this.created !== null && this.payments.some(
      (p) => !isFact(p) && Math.abs(p.timestamp - this.created.timestamp) <= EMAIL_WITHIN_MS);
  }

  get missingChecks() {
    return this.created && !this.outcome ? CHECKS.filter((check) => this.verdict(check) === null) : [];
  }
}

/** Read from a view: then it has no place in the log. */
const isFact = (event) => event.offset === undefined;

/** The first event counts, and says more than a fact. */
const known = (before, event) => (before === null || isFact(before) ? event : before);

/** A record's place in the log; a row's content. */
const identity = (event) =>
  isFact(event) ? JSON.stringify(event.value) : `${event.topic}/${event.partition}:${event.offset}`;

/** What an event says to people: { title, detail, kind: "good", "bad" or "" }. */
export function tell(event) {
  const v = event.value;
  switch (event.topic) {
    case "orders":
      if (v.state === "CREATED") return { title: "Order created", detail: "Three checks read it now, each from views of its own.", kind: "" };
      if (v.state === "VALIDATED") return { title: "Order validated", detail: "All three checks passed. The stock is yours.", kind: "good" };
      if (v.reasons?.[0] === "CANCELLED") return { title: "Order cancelled", detail: "In time: no check had the last word yet. What it held is free again.", kind: "bad" };
      return { title: "Order failed", detail: v.reasons?.join("; ") ?? "", kind: "bad" };
    case "order-validations":
      return { title: `${CHECK_NAMES[v.check] ?? v.check}: ${v.result}`, detail: checked(v), kind: v.result === "PASS" ? "good" : "bad" };
    case "payments":
      return { title: "Payment recorded", detail: `Card ${shortToken(v.cardToken)}. The number itself was never written down.`, kind: "good" };
    case "shipments":
      if (v.state === "HELD") return { title: "Shipment held", detail: "Its customer was deleted: somebody must say where it goes.", kind: "bad" };
      return { title: "Order shipped", detail: `To ${v.address}`, kind: "good" };
    case "emails":
      return { title: "Email sent", detail: `To ${v.to}: ${v.subject}`, kind: "good" };
    case "possible-fraud":
      return { title: "Possible fraud", detail: `${v.count} payments with card ${shortToken(v.cardToken)} within five minutes`, kind: "bad" };
    default:
      return { title: event.topic, detail: "", kind: "" };
  }
}

export const CHECK_NAMES = { INVENTORY_CHECK: "Inventory", FRAUD_CHECK: "Fraud", ORDER_DETAILS_CHECK: "Details" };

function checked(v) {
  if (v.reason) return v.reason;
  if (v.check === "INVENTORY_CHECK" && v.onHand !== undefined && v.onHand !== null) {
    return `${v.onHand} on hand, ${v.reservedBefore} reserved by others before`;
  }
  return "";
}

/** The end of a token is enough to tell cards apart. */
export const shortToken = (token) => `…${String(token).slice(-6)}`;
