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

browserTest("a browser that may keep nothing shows every page", async (t) => {
  for (const path of ["/", "/shop", "/ratings", "/rides", "/rides/rider", "/rides/driver"]) {
    const page = await t.open(path, { keeps: false });
    await page.getByRole("main").waitFor();
    await page.waitForLoadState("load"); // all modules have run; an exception in one fails the test
  }
});
