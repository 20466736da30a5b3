// The suite's HTTP, with its errors as exceptions. Nothing here knows a page.

/** An answer that is no success: `status`, what it says to people, and the `field` it is about. */
export class Problem extends Error {
  constructor(status, detail, field) {
    super(detail);
    this.status = status;
    this.field = field;
  }
}

/** Sends `body`, if there is one, as JSON; resolves to the answer's JSON, rejects with a Problem. `cache`, `headers`: as fetch() has them. */
export async function call(method, path, body, { signal, cache = "no-store", headers = {} } = {}) {
  const init = { method, signal, cache, headers: { accept: "application/json", ...headers } };
  if (body !== undefined) {
    init.headers["content-type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(503, "The gateway cannot be reached.");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new Problem(response.status, answer.detail ?? answer.title ?? `HTTP ${response.status}`, answer.field);
  }
  return answer;
}

/** For what is away or late, and comes back: the answer to repeat. */
export const isAway = (problem) => [502, 503, 504].includes(problem?.status);

/**
 * Calls `attempt` again, a little later each time, while what it needs is away; it must be safe to repeat.
 * `onAway(problem, n)` hears of each failed attempt that is followed by another.
 */
export async function persist(times, attempt, onAway = () => {}) {
  for (let n = 1; ; n++) {
    try {
      return await attempt();
    } catch (problem) {
      if (n >= times || !isAway(problem)) throw problem;
      onAway(problem, n);
      await new Promise((done) => setTimeout(done, Math.min(500 * n, 4000)));
    }
  }
}

/** Whether the suite takes it as an id: all but what no path can have as a segment. */
export const isId = (text) => /^(?!\.\.?$)[A-Za-z0-9._:-]{1,128}$/.test(text ?? "");

/** The value as one segment of a path. */
export const segment = encodeURIComponent;
