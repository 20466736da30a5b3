// Server-sent events that go on where they stopped, however the connection ended.

const RETRY_MIN_MS = 250;
const RETRY_MAX_MS = 4000;

/**
 * Follows the stream of events at `url`.
 *
 * on        { type: (data, event) => … }: what hears each type of event; data is its JSON
 * position  from where on: what an earlier stream gave as its position; without one, from now on
 * onState   (state) => …: "connecting", "live", "away" (it will be tried again)
 *
 * The position is kept over a lost connection, a server that is restarted and a page in the background (which gives its
 * connection back: a browser has six for a host, all its pages together). Returns { position, close() }.
 */
export function follow(url, { on, position = "", onState = () => {} }) {
  let source = null;
  let timer = 0;
  let delay = RETRY_MIN_MS;
  let state = "";
  let closed = false;

  const stream = {
    get position() {
      return position;
    },
    close() {
      closed = true;
      document.removeEventListener("visibilitychange", onVisibility);
      disconnect();
    },
  };

  function become(next) {
    if (state !== next) onState((state = next));
  }

  function disconnect() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  function hear(event, handler) {
    if (event.lastEventId) position = event.lastEventId;
    handler?.(JSON.parse(event.data), event);
  }

  function connect() {
    disconnect();
    const address = new URL(url, location.href);
    if (position) address.searchParams.set("lastEventId", position);
    source = new EventSource(address);
    // The browser itself tries again only after some errors, and never after a 503.
    source.onerror = () => {
      disconnect();
      become("away");
      timer = setTimeout(connect, delay * (0.75 + Math.random() / 2));
      delay = Math.min(2 * delay, RETRY_MAX_MS);
    };
    // Only now is it settled from where on events come: what happens from here is not missed.
    source.addEventListener("position", (event) => {
      position = event.lastEventId;
      delay = RETRY_MIN_MS;
      become("live");
    });
    for (const [type, handler] of Object.entries(on)) source.addEventListener(type, (event) => hear(event, handler));
  }

  function onVisibility() {
    if (closed) return;
    if (document.hidden) disconnect();
    else if (source === null) connect();
  }

  document.addEventListener("visibilitychange", onVisibility);
  become("connecting");
  if (!document.hidden) connect();
  return stream;
}
