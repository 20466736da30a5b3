// Who is buying: made up at the first visit, kept in this browser, and known to the shop once it was put there.

import { call, isId, persist, segment } from "../api.js";
import { keep, kept } from "../kept.js";

export const LEVELS = ["BRONZE", "SILVER", "GOLD", "PLATINUM"];
export const DETAILS = ["firstName", "lastName", "email", "address", "level"];

function restored() {
  const c = kept("customer");
  const whole = c !== null && DETAILS.every((name) => typeof c[name] === "string");
  return whole && isId(c.id) ? c : null;
}

function madeUp() {
  const id = `guest-${crypto.randomUUID().slice(0, 8)}`;
  return { id, firstName: "Robin", lastName: "Guest", email: `${id}@example.org`, address: "1 Groove Lane", level: "BRONZE" };
}

export const customer = restored() ?? madeUp();

let pending = null;

async function put(details) {
  const { known, ...body } = { ...customer, ...details };
  await call("PUT", `/v1/customers/${segment(customer.id)}`, body);
  Object.assign(customer, details, { known: true });
  keep("customer", customer);
}

/** Resolves once the shop knows this customer. Who is known stays so: that the service is away hinders nobody then. */
export function makeKnown() {
  if (customer.known) return Promise.resolve();
  pending ??= persist(2, () => put({})).finally(() => (pending = null));
  return pending;
}

/** At a visit. The shop may have forgotten whom this browser remembers: `./demo reset` deletes customers too. */
export async function greet() {
  if (customer.known) {
    await call("GET", `/v1/customers/${segment(customer.id)}`).catch((problem) => {
      if (problem.status === 404) customer.known = false;
    });
  }
  await makeKnown().catch(() => {}); // an order will say what is wrong
}

/** Rejects with a Problem; then nothing is changed. */
export const change = (details) => put(details);
