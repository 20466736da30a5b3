// The suite's HTTP, with its errors as exceptions. Nothing here knows the page.

/** An answer that is no success: `status`, what it says to people, and the `field` it is about. */
export class Problem extends Error {
  constructor(status, detail, field) {
    super(detail);
    this.status = status;
    this.field = field;
  }
}

async function call(method, path, body) {
  const init = { method, cache: "no-store", headers: { accept: "application/json" } };
  if (body !== undefined) {
    init.headers["content-type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, init);
  } catch {
    throw new Problem(503, "The shop cannot be reached.");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new Problem(response.status, answer.detail ?? answer.title ?? `HTTP ${response.status}`, answer.field);
  }
  return answer;
}

/** Calls again while the answer is one of `statuses`; what is called must be safe to repeat. */
async function persist(times, statuses, attempt) {
  for (let n = 1; ; n++) {
    try {
      return await attempt();
    } catch (problem) {
      if (n === times || !statuses.includes(problem.status)) throw problem;
      await new Promise((done) => setTimeout(done, 500 * n));
    }
  }
}

const order = (id) => `/v1/orders/${encodeURIComponent(id)}`;
const customer = (id) => `/v1/customers/${encodeURIComponent(id)}`;

export const listStock = async () => (await call("GET", "/v1/stock")).stock;
export const putCustomer = (c) => persist(3, [502, 503, 504], () => call("PUT", customer(c.id), c));

/** The id makes it safe to repeat: however often it is sent, there is one order. */
export const postOrder = (o) => persist(3, [502, 503, 504], () => call("POST", "/v1/orders", o));

/** Waits for VALIDATED or FAILED. A check that is down delays the outcome and loses nothing: so ask again. */
export const awaitOutcome = (id) =>
  persist(20, [502, 503, 504], () => call("GET", `${order(id)}/validated?timeout=20000`));

export const listOrders = (customerId, limit) =>
  call("GET", `/v1/orders?customerId=${encodeURIComponent(customerId)}&limit=${limit}`);
export const nextOrders = (next) => call("GET", next);
