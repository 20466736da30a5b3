// The panel on the first page, and the way of an audience: an order, its story, its records on the tape, a kill in
// mid-transaction, what is aborted, and a view that comes back. By keyboard, but for what a mouse has done in other tests.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { browserTest, eventually, suite } from "./browser.js";

const data = process.env.DATA_DIR ?? "/var/lib/insideout";
const token = readFileSync(join(data, "secrets/control-token"), "utf8").trim();
const withToken = `/#token=${token}`;
const TRIES = 200; // to find a transaction open

const done = (page, text) => page.getByRole("log", { name: "What was done" }).getByRole("listitem").first().filter({ hasText: text });

/** Goes to a control by its keyboard focus, and presses. */
async function press(control, key = "Enter") {
  await control.focus();
  await control.press(key);
}

const buy = () => suite.http("POST", "/v1/orders", { customerId: "walk-ada", productId: "cable-rca-1m", quantity: 1, priceCents: 1 });

const entries = async (topic, partition, from) => (await suite.http("GET", `/v1/log/topics/${topic}/${partition}?from=${from}`)).records;

/** A record of a transaction of inventory that is open; null: there is none. */
async function undecided() {
  for (const topic of ["reservations", "reserved-stock"]) {
    for (let partition = 0; partition < 4; partition++) {
      const found = (await entries(topic, partition, -20)).find((e) => e.kind === "undecided" && e.producer);
      if (found) return found;
    }
  }
  return null;
}

/** Stops inventory in mid-transaction, so that the kill comes then: orders flow meanwhile. */
async function stopInMidTransaction() {
  let stopped = false;
  const flow = Array.from({ length: 6 }, async () => {
    while (!stopped) await buy().catch(() => {});
  });
  let record = null;
  const pid = Number(readFileSync(join(data, "run/inventory-0/supervise/pid"), "utf8"));
  try {
    for (let n = 0; n < TRIES && record === null; n++) {
      process.kill(pid, "SIGSTOP");
      record = await undecided();
      if (record !== null) break;
      process.kill(pid, "SIGCONT");
      await suite.http("GET", `/v1/orders/${(await buy()).id}/validated?timeout=20000`);
    }
  } finally {
    stopped = true;
    if (record === null) process.kill(pid, "SIGCONT");
  }
  await Promise.all(flow);
  assert.ok(record !== null, `in ${TRIES} looks never was a transaction open`);
  return record;
}

browserTest("without the token there is nothing to press", async (t) => {
  const page = await t.open("/");
  await page.locator("#control-locked").filter({ hasText: "./demo up" }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Kill" }).isVisible(), false);
  t.expectErrors(/status of 401/);
  const wrong = await t.open("/#token=wrong");
  await wrong.locator("#control-locked").filter({ hasText: "./demo up" }).waitFor();
});

browserTest("the panel tells what will be seen, why, and where in the code", async (t) => {
  const page = await t.open(withToken);
  await page.getByRole("button", { name: "Kill" }).waitFor();
  assert.equal(new URL(page.url()).hash, "", "the token is not left in the address");
  for (const [name, text] of [["Stop", "stays away"], ["Rewind", "races to the end"], ["Publish a poison record", "dead-letters"]]) {
    await page.getByRole("button", { name }).focus();
    await page.locator("#control-sees").filter({ hasText: text }).waitFor();
  }
  await page.getByRole("button", { name: "Rewind" }).focus();
  const link = page.locator("#control-code a").first();
  assert.match(await link.textContent(), /^[\w./-]+:\d+$/);
  await page.getByLabel("Process").selectOption("kafka");
  assert.equal(await page.getByRole("button", { name: "Rewind" }).isDisabled(), true);
  await page.getByRole("button", { name: "Kill" }).focus();
  await page.locator("#control-sees").filter({ hasText: "Retry-After" }).waitFor();
  await t.assertAccessible(page);
  await t.assertFits(page);
  await t.shot(page, "panel");

  await press(page.getByRole("button", { name: "Publish a poison record" }));
  await done(page, "dead-letters").waitFor();
  const phone = await t.open(withToken, { width: 390, height: 844, dark: true });
  await phone.getByRole("button", { name: "Kill" }).waitFor();
  await t.assertAccessible(phone);
  await t.assertFits(phone);
  await t.shot(phone, "panel-phone-dark");
  await page.locator("#control-code a").first().click();
  await page.waitForURL(/\/source\//);
});

browserTest("an order, its story, its records, a kill in mid-transaction, and what is seen of it", async (t) => {
  await suite.http("PUT", "/v1/customers/walk-ada", { firstName: "Ada", lastName: "Byron", email: "ada@example.org", address: "1 Analytical Row" });
  const page = await t.open("/shop");
  await page.getByText("Live stock").waitFor();
  await press(page.getByRole("list", { name: "Products" }).getByRole("link").first());
  await press(page.getByRole("button", { name: "Place the order" }));
  await page.waitForURL(/order=/);
  await page.locator(".stage", { has: page.getByText("Outcome", { exact: true }) }).getByText("validated", { exact: true }).waitFor();
  await press(page.locator("#order-story"));
  await page.waitForURL(/\/lens\/key\//);
  await page.locator("#records li").filter({ hasText: "order-validations" }).first().waitFor();
  await press(page.locator("#records a").filter({ hasText: "order-validations" }).first());
  await page.waitForURL(/\/lens\?topic=order-validations/);
  await page.locator("#detail-value").filter({ hasText: "_CHECK" }).waitFor();

  const panel = await t.open(withToken);
  await panel.getByLabel("Process").selectOption("inventory");
  const record = await stopInMidTransaction();
  await press(panel.getByRole("button", { name: "Kill" }));
  await done(panel, "killed inventory-0").waitFor();
  await done(panel, "ready again").waitFor();
  await eventually(async () => (await entries(record.topic, record.partition, record.offset))[0].kind === "aborted", "what was open is aborted");
  await t.shot(panel, "panel-killed");
  await panel.goto(`/lens?topic=${record.topic}&partition=${record.partition}&offset=${record.offset}`);
  await panel.locator('.cells .aborted[aria-selected="true"]').waitFor();
  await panel.locator("#detail-title").filter({ hasText: `${record.topic} / ${record.partition}` }).waitFor();
  await t.assertAccessible(panel);
  await t.shot(panel, "lens-aborted");
  const end = (await entries(record.topic, record.partition, record.offset)).find((e) => e.kind === "marker" && e.producer.id === record.producer.id);
  assert.equal(end.marker, "abort");
  await panel.goto(`/lens?topic=${end.topic}&partition=${end.partition}&offset=${end.offset}`);
  await panel.locator('.cells .marker.abort[aria-selected="true"]').waitFor();
  const { id } = await buy();
  const decided = await suite.http("GET", `/v1/orders/${id}/validated?timeout=30000`); // it is back
  assert.ok(["VALIDATED", "FAILED"].includes(decided.state));
});

browserTest("a view is rewound, races back, and is equal to a copy beside it", async (t) => {
  for (let n = 0; n < 20; n++) await suite.http("POST", "/v1/ratings", { movieId: 1 + (n % 5), rating: 5 });
  const page = await t.open(withToken);
  await page.getByRole("button", { name: "Kill" }).waitFor();
  await page.goto("/lens?topic=rated-movies");
  await page.getByRole("button", { name: "Rewind ratings" }).waitFor();
  await page.locator(".mark-name").filter({ hasText: "ratings: view" }).first().waitFor();
  await press(page.getByRole("button", { name: "Rewind ratings" }));
  await page.locator("#tape-views output").filter({ hasText: /ratings-0: \d+ events in/ }).waitFor();
  await t.assertAccessible(page);
  await t.shot(page, "lens-rewound");

  await press(page.getByRole("link", { name: /ratings’s view/ }));
  await page.waitForURL(/\/lens\/view\/rated-movies/);
  await page.locator("#rows tr").nth(4).waitFor();
  await press(page.getByRole("button", { name: "Make a copy beside it, and compare" }));
  await page.locator("#verdict.good").filter({ hasText: "Equal" }).waitFor();
  await t.assertAccessible(page);
  await t.shot(page, "lens-view");
  await press(page.getByRole("button", { name: "Delete it, and let it come back" }));
  await page.locator("#verdict.good").filter({ hasText: "events in" }).waitFor();
  await t.shot(page, "lens-view-rewound");
});

browserTest("a view as it was, by keyboard, on a phone and in the dark", async (t) => {
  await suite.http("POST", "/v1/ratings", { movieId: 3, rating: 1 });
  const topic = "rated-movies";
  const own = async () => (await suite.http("GET", `/v1/log/views/${topic}?key=3&limit=1`)).rows[0]?.then;
  const before = await eventually(own, "movie 3 is rated");
  await suite.http("POST", "/v1/ratings", { movieId: 3, rating: 10 });
  await eventually(async () => Number((await own())?.offset) > Number(before.offset), "it is rated again");
  const vector = `${topic}/${before.partition}:${Number(before.offset) + 1}`;

  const page = await t.open(`/lens/view/${topic}`, { width: 390, height: 844, dark: true });
  await page.locator("#rows tr").first().waitFor();
  await page.getByLabel("At", { exact: true }).fill(vector);
  await page.getByLabel("At", { exact: true }).press("Enter");
  await page.getByLabel("From key").fill("3");
  await page.getByLabel("From key").press("Enter");
  await page.locator("#rows tr.changed").first().filter({ hasText: /^3/ }).waitFor();
  await page.getByLabel("Only what has changed since").press("Space");
  await eventually(async () => (await page.locator("#rows tr").count()) === (await page.locator("#rows tr.changed").count()), "only what has changed");
  assert.ok(page.url().includes("at="), "the moment is in the address");
  await t.assertAccessible(page);
  await t.assertFits(page);
  await t.shot(page, "lens-view-phone-dark");
  await page.getByRole("slider", { name: "The moment" }).press("Home");
  await page.locator("#moment-words").filter({ hasText: ":" }).waitFor();
  await page.getByRole("button", { name: "Now" }).press("Enter");
  await page.locator("#moment-words").filter({ hasText: /^now$/ }).waitFor();
  t.expectErrors(/status of 400/);
  await page.getByLabel("At", { exact: true }).fill("soon");
  await page.getByLabel("At", { exact: true }).press("Enter");
  await page.locator("#moment-problem").filter({ hasText: "vector" }).waitFor();
});
