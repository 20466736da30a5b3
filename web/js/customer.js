// Who is ordering: made up at the first visit, kept in this browser, and known to the shop once saved.

import { putCustomer } from "./orders.js";

const KEY = "insideout.customer";

function restored() {
  try {
    const c = JSON.parse(localStorage.getItem(KEY));
    return typeof c?.id === "string" && /^[A-Za-z0-9._:-]{1,128}$/.test(c.id) ? c : null;
  } catch {
    return null;
  }
}

function madeUp() {
  const id = `guest-${crypto.randomUUID().slice(0, 8)}`;
  return { id, firstName: "Guest", lastName: id.slice(6), email: `${id}@example.org`, address: "1 Groove Lane" };
}

export const customer = restored() ?? madeUp();

let known = null;

/** Resolves once the shop can read this customer. After a failure the next call tries again. */
export function makeKnown() {
  known ??= putCustomer(customer).catch((problem) => {
    known = null;
    throw problem;
  });
  return known;
}

export function change(details) {
  Object.assign(customer, details);
  try {
    localStorage.setItem(KEY, JSON.stringify(customer));
  } catch {
    // a browser that keeps nothing: the customer lasts as long as the page
  }
  known = null;
  return makeKnown();
}
