// The first page, and what all pages share.

import assert from "node:assert/strict";
import { browserTest } from "./browser.js";

browserTest("the first page leads to the others", async (t) => {
  const page = await t.open("/");
  await t.assertAccessible(page);
  await t.shot(page, "home");
  await page.getByRole("navigation").getByRole("link", { name: "Shop" }).click();
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
