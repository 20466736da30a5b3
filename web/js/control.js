// What changes the suite itself: some of ./demo's commands, for who has the token that `./demo up` printed. It comes in the
// address, behind #, so that no server hears it there, and is kept as long as the tab.

import { call } from "./api.js";

const KEY = "control-token";

function kept() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function take() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token") ?? new URLSearchParams(location.search).get("token");
  if (found === null) return kept();
  try {
    sessionStorage.setItem(KEY, found);
  } catch {
    // then it is kept as long as the page
  }
  const address = new URL(location.href);
  address.searchParams.delete("token");
  address.hash = "";
  history.replaceState(null, "", address.pathname + address.search);
  return found;
}

const token = take();
const headers = { authorization: `Bearer ${token}` };

/** Whether this browser may ask; the suite may still say no. */
export const hasToken = token !== null;

/** What there is to be changed: { services, others, topics, code }. */
export const readControl = () => call("GET", "/v1/demo", undefined, { headers });

/** Does it, and waits until it is done: { said, seconds }. `what`: { name }, of `scale` with a count. */
export const command = (verb, what) => call("POST", `/v1/demo/${verb}`, what, { headers });
