// The stock, live: what the legacy system has on hand, and what of it is reserved, from two tables of inventory.

import { follow } from "../events.js";

const nameOf = (row) => row.name ?? row.productId;

/**
 * Calls onRows(rows) with all products, sorted by name, at first and after each change, and onState("connecting",
 * "live" or "away"). Returns a function that stops it.
 */
export function followStock({ onRows, onState }) {
  const stock = new Map(); // { productId, name, onHand }
  const reserved = new Map(); // { productId, reserved }
  let pending = false;

  function rows() {
    return [...stock.values()]
      .map((row) => {
        const held = reserved.get(row.productId)?.reserved ?? 0;
        return { ...row, reserved: held, available: row.onHand - held };
      })
      .sort((a, b) => nameOf(a).localeCompare(nameOf(b)));
  }

  // Many rows come at once: they are shown together.
  function changed() {
    if (pending) return;
    pending = true;
    setTimeout(() => {
      pending = false;
      onRows(rows());
    });
  }

  const table = (name, map) => ({
    [name]: (row) => {
      map.set(row.productId, row);
      changed();
    },
    [`${name}-deleted`]: ({ key }) => {
      map.delete(key);
      changed();
    },
  });
  const stream = follow("/v1/events/stock", {
    onState,
    on: {
      ...table("stock", stock),
      ...table("reserved-stock", reserved),
      reset: ({ event }) => (event === "stock" ? stock : reserved).clear(),
    },
  });
  return () => stream.close();
}
