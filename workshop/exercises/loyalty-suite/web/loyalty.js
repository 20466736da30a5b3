// The page: the points of a customer, as the service has them now.

import { call } from "./api.js";
import { $ } from "./dom.js";

$("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const id = $("customer").value;
  try {
    const { points, orders } = await call("GET", `/v1/loyalty/${encodeURIComponent(id)}`);
    $("points").textContent = `${points} points, for ${orders} orders`;
  } catch (problem) {
    $("points").textContent = problem.status === 404 ? `${id} has none yet` : problem.message;
  }
});
