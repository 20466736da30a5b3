// The lens: the tape, the story of a key, by mouse, keyboard, on a phone and in the dark.

import assert from "node:assert/strict";
import { browserTest, eventually, suite } from "./browser.js";

const HTML = '<img src=x onerror=document.title=1>';

async function order(id) {
  await suite.http("PUT", `/v1/customers/${id}-ada`, { firstName: "Ada", lastName: "Byron", email: "ada@example.org", address: "1 Analytical Row" });
  await suite.http("POST", "/v1/orders", { id, customerId: `${id}-ada`, productId: "cable-rca-1m", quantity: 1, priceCents: 100 });
  await suite.http("GET", `/v1/orders/${id}/validated?timeout=20000`);
}

const unique = (name) => `${name}-${Date.now()}`;
const live = (page) => page.locator("#live").filter({ hasText: /^ *Live/ }).waitFor();
const cells = (page) => page.locator(".cells .cell");

browserTest("the tape follows the end, and goes where it is told", async (t) => {
  await order(unique("tape"));
  const page = await t.open("/lens?topic=orders");
  await live(page);
  await cells(page).first().waitFor();
  const id = unique("tape");
  await order(id);
  await page.locator(".cells .key").filter({ hasText: id }).first().waitFor();
  await page.locator(".cells .marker.commit").first().waitFor();
  await t.assertAccessible(page);
  await t.assertFits(page);
  await t.shot(page, "lens");

  await page.locator(".cells .record").filter({ hasText: id }).first().click();
  await page.locator("#detail-value").filter({ hasText: id }).waitFor();
  await page.locator("#live").filter({ hasText: "Paused" }).waitFor();
  assert.match(page.url(), /topic=orders&partition=\d&offset=\d+/);
  await t.assertAccessible(page);
  await t.shot(page, "lens-record");

  const again = await t.open(new URL(page.url()).pathname + new URL(page.url()).search); // the address can be shared
  await again.locator("#detail-value").filter({ hasText: id }).waitFor();

  await page.getByLabel("Go to", { exact: true }).fill("first");
  await page.getByRole("button", { name: "Go", exact: true }).click();
  await eventually(async () => (await page.locator(".cells .offset").allTextContents()).includes("0"), "the first offset is there");
  await page.getByLabel("Go to", { exact: true }).fill("soon");
  await page.getByRole("button", { name: "Go", exact: true }).click();
  await page.locator("#jump-problem").filter({ hasText: "offset" }).waitFor();
  t.expectErrors(/status of 400/);
});

browserTest("a record is found, and what is in it is text", async (t) => {
  const id = unique("found");
  await order(id);
  await suite.http("PUT", "/v1/customers/lens-html", { firstName: HTML, lastName: "\u202eByron", email: "a@example.org", address: HTML });
  const page = await t.open("/lens?topic=customers");
  await live(page);
  await page.getByLabel("What to look for").fill("lens-html");
  await page.getByRole("button", { name: "Find" }).click();
  await page.locator("#found-list a").last().click();
  await page.locator("#detail-value").filter({ hasText: HTML }).waitFor();
  assert.equal(await page.locator("#detail img").count(), 0);
  await page.getByLabel("Filter topics").fill("order-val");
  await page.getByRole("link", { name: "order-validations" }).click();
  await page.getByRole("heading", { name: "order-validations", exact: true }).waitFor();
  await page.getByLabel("Where to look").selectOption("value");
  await page.getByLabel("What to look for").fill(`orderId = ${id} and result = PASS`);
  await page.getByRole("button", { name: "Find" }).click();
  await page.locator("#found-state").filter({ hasText: "3 found" }).waitFor();
  await t.shot(page, "lens-found");
});

browserTest("the tape by keyboard alone, on a phone, in the dark", async (t) => {
  const id = unique("keys");
  await order(id);
  const page = await t.open("/lens?topic=order-requests", { width: 390, height: 844, dark: true });
  await live(page);
  await cells(page).first().waitFor();
  await t.assertFits(page);
  await t.assertAccessible(page);
  const tape = page.getByRole("listbox").filter({ has: page.locator(".key", { hasText: id }) });
  await tape.first().focus();
  await page.keyboard.press("End");
  await page.keyboard.press("Home");
  await eventually(async () => (await tape.first().getAttribute("aria-activedescendant").catch(() => null)) !== "x", "it moves");
  const lane = page.locator(".lane").filter({ has: page.locator('[aria-activedescendant]') });
  await eventually(async () => (await lane.locator('[aria-selected="true"] .offset').textContent().catch(() => "")) === "0", "Home leads to the first");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("Enter");
  await page.locator("#detail-title").filter({ hasText: /order-requests .* 0$/ }).waitFor();
  await t.assertAccessible(page);
  await t.shot(page, "lens-phone-dark");
});

browserTest("the story of an order", async (t) => {
  const id = unique("story");
  await order(id);
  const page = await t.open(`/lens/key/${id}`);
  await page.locator("#records li").filter({ hasText: "shipments" }).waitFor();
  const rows = await page.locator("#records .where").allTextContents();
  assert.match(rows[0], /^order-requests\//);
  for (const topic of ["orders", "order-validations", "orders-by-product", "reserved-stock"]) {
    assert.ok(rows.some((row) => row.startsWith(`${topic}/`)), `${topic} in ${rows}`);
  }
  await t.assertAccessible(page);
  await t.assertFits(page);
  await t.shot(page, "lens-story");
  await page.locator("#records a").first().focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/lens\?topic=order-requests/);
  await page.locator("#detail-value").filter({ hasText: id }).waitFor();
  await page.getByRole("link", { name: "Story of this key" }).click();
  await page.waitForURL(`/lens/key/${id}`);
});

browserTest("a story on a phone, in the dark; and one that there is not", async (t) => {
  const id = unique("dark");
  await order(id);
  const page = await t.open(`/lens/key/${id}`, { width: 390, height: 844, dark: true });
  await page.locator("#records li").filter({ hasText: "shipments" }).waitFor();
  await t.assertFits(page);
  await t.assertAccessible(page);
  await t.shot(page, "lens-story-phone-dark");
  t.expectErrors(/status of 404/);
  const none = await t.open(`/lens/key/${encodeURIComponent('no/such "key" %')}`);
  await none.locator("#trouble").filter({ hasText: 'no/such "key" %' }).waitFor();
  await t.assertAccessible(none);
});
