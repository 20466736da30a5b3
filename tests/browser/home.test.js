// The first page, and what all pages share.

import assert from "node:assert/strict";
import { browserTest, suite } from "./browser.js";

browserTest("the first page leads to the others", async (t) => {
  const page = await t.open("/");
  await t.assertAccessible(page);
  await t.shot(page, "home");
  await page.getByRole("navigation").getByRole("link", { name: "Shop", exact: true }).click();
  await page.waitForURL("/shop");
});

browserTest("the first page fits a phone, and the dark", async (t) => {
  const page = await t.open("/", { width: 390, height: 844, dark: true });
  await t.assertFits(page);
  await t.assertAccessible(page);
  await t.shot(page, "home-phone-dark");
});

browserTest("by keyboard the first stop leads past the header", async (t) => {
  const page = await t.open("/");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
});

browserTest("the API's calls are listed, and can be tried", async (t) => {
  const page = await t.open("/api");
  await page.getByRole("link", { name: "stock", exact: true }).click();
  await page.getByRole("button", { name: "GET /v1/stock/{productId} One product" }).click();
  const call = page.locator("#operations-stock-getStock");
  await call.getByPlaceholder("productId").fill("lp-blue-hour");
  await call.getByRole("button", { name: "Execute" }).click();
  await call.locator(".live-responses-table").getByText("The Night Trains").first().waitFor();
  await t.assertFits(page);
});

browserTest("the topics are described: by keyboard, on a phone, for all", async (t) => {
  const page = await t.open("/asyncapi", { width: 390, height: 844, dark: true });
  await page.locator("summary").filter({ hasText: "order-validations" }).focus();
  await page.keyboard.press("Enter");
  const topic = page.locator("#order-validations");
  await topic.getByRole("rowheader", { name: "reservedBefore" }).waitFor();
  await t.assertFits(page);
  await t.assertAccessible(page);
  await t.shot(page, "asyncapi-phone-dark");
  await topic.getByRole("link", { name: "fraud" }).focus();
  await page.keyboard.press("Enter");
  await page.locator("#service-fraud").getByRole("link", { name: "orders-by-customer" }).waitFor();
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.emulateMedia({ colorScheme: "light" });
  await t.assertAccessible(page);
  await t.shot(page, "asyncapi");
});

browserTest("a browser that may keep nothing shows every page", async (t) => {
  for (const path of ["/", "/shop", "/ratings", "/rides", "/rides/rider", "/rides/driver", "/lens", "/lens/view/orders", "/api", "/asyncapi"]) {
    const page = await t.open(path, { keeps: false });
    await page.getByRole("main").waitFor();
    await page.waitForLoadState("load"); // all modules have run; an exception in one fails the test
  }
});

const order = () => suite.http("POST", "/v1/orders", { customerId: "nobody", productId: "none", quantity: 1, priceCents: 1 });

browserTest("the first page shows what runs, what flows, and a service that is stopped", async (t) => {
  const page = await t.open("/", { still: false });
  await page.locator('#map .box[data-state="good"]').nth(11).waitFor();
  const strip = page.locator("#map .strip").filter({ hasText: "order-requests" });
  await strip.waitFor();
  for (let n = 0; n < 20; n++) await order();
  await page.locator("#map .strip.busy").filter({ hasText: "order-requests" }).waitFor();
  await page.locator("#map .edge.busy").first().waitFor();
  await t.assertAccessible(page);
  await t.assertFits(page);
  await t.shot(page, "home-flow");

  await suite.demo("stop", "fraud");
  try {
    const away = page.locator('#map .box[data-state="bad"]').filter({ hasText: "fraud" });
    await away.first().waitFor();
    await page.locator("#service-fraud").filter({ hasText: "away" }).waitFor();
    await order();
    await page.locator("#service-fraud").filter({ hasText: "behind" }).waitFor();
    await t.shot(page, "home-stopped");
  } finally {
    await suite.demo("start", "fraud");
  }
  await page.locator('#map .box[data-state="good"]').filter({ hasText: "fraud" }).first().waitFor();
  await strip.click();
  await page.waitForURL(/\/lens\?topic=order-requests/);
});

browserTest("without a mouse the list has the same facts", async (t) => {
  const page = await t.open("/", { width: 390, height: 844 });
  const row = page.locator("#service-inventory");
  await row.filter({ hasText: "ready" }).waitFor();
  await row.locator("summary").focus();
  await page.keyboard.press("Enter");
  await row.getByRole("link", { name: "orders-by-product" }).waitFor();
  await t.assertAccessible(page);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/lens\?topic=/);
});
