// The workshop's reader.

import assert from "node:assert/strict";
import { browserTest } from "./browser.js";

browserTest("the workshop is read from its index on, and each page has what it shows", async (t) => {
  const page = await t.open("/workshop", { width: 1000 });
  await page.getByRole("heading", { level: 1, name: "The workshop" }).waitFor();
  await t.assertAccessible(page);
  await t.shot(page, "workshop");
  await page.locator("article").getByRole("link", { name: "0. Ready?" }).click();
  await page.waitForURL("/workshop/00-ready");
  await page.locator(".typed .hljs-string").first().waitFor(); // colours
  await page.locator(".said samp").filter({ hasText: "VALIDATED" }).first().waitFor();
  const [typed, said] = await Promise.all([".typed", ".said"].map((part) => page.locator(`.step.beside ${part}`).first().boundingBox()));
  assert.ok(said.y > typed.y, "the output stands below its command");
  await page.locator(".drawing svg .topic").first().waitFor();
  await t.assertAccessible(page);
  await t.assertFits(page);
  await t.shot(page, "workshop-ready");
});

browserTest("where there is room the output stands beside its command", async (t) => {
  const page = await t.open("/workshop/00-ready", { width: 1600 });
  const [typed, said] = await Promise.all([".typed", ".said"].map((part) => page.locator(`.step.beside ${part}`).first().boundingBox()));
  assert.ok(said.x >= typed.x + typed.width - 1, "beside");
  await t.shot(page, "workshop-wide");
});

browserTest("a command is copied as it is typed", async (t) => {
  const page = await t.open("/workshop/00-ready");
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.getByRole("button", { name: "Copy" }).first().click();
  await page.getByRole("button", { name: "Copied" }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "./demo lab ready");
});

browserTest("commands and links of a page lead to the suite that serves it", async (t) => {
  const page = await t.open("/workshop/00-ready");
  const { host } = new URL(page.url());
  assert.notEqual(host, "localhost:8000", "a suite at ports of its own");
  assert.match(await page.locator(".typed", { hasText: "/v1/customers/ada" }).first().textContent(), new RegExp(`${host}/v1/customers/ada`));
  assert.equal(await page.getByRole("link", { name: "the story of the order" }).first().getAttribute("href"), "/lens/key/o-1");
  assert.doesNotMatch(await page.locator("article").textContent(), /localhost:8000/);
});

browserTest("by keyboard pages turn, and the speaker's notes come and stay", async (t) => {
  const page = await t.open("/workshop", { width: 1600 });
  const notes = page.locator(".notes").first();
  assert.equal(await notes.isVisible(), false);
  await page.keyboard.press("n");
  await notes.waitFor();
  await page.keyboard.press("ArrowRight");
  await page.waitForURL("/workshop/00-ready?notes");
  await notes.waitFor();
  await t.assertAccessible(page);
  await t.assertFits(page);
  await t.shot(page, "workshop-notes");
  await page.keyboard.press("n");
  await notes.waitFor({ state: "hidden" });
  await page.keyboard.press("ArrowLeft");
  await page.waitForURL("/workshop");
});

browserTest("a link to code leads to the line that it names", async (t) => {
  const page = await t.open("/workshop/05-database");
  await page.getByRole("link", { name: "index_order" }).first().click();
  await page.waitForURL(/\/workshop\/code\/services\/orders\/orders\.c#L\d+$/);
  const line = page.locator(".line:target");
  assert.match(await line.textContent(), /index_order\(/);
  assert.ok(await line.evaluate((e) => e.getBoundingClientRect().top < innerHeight && e.getBoundingClientRect().top > 0), "in sight");
  await t.assertAccessible(page);
  await t.assertFits(page);
});

browserTest("the workshop fits a phone, and the dark", async (t) => {
  for (const path of ["/workshop", "/workshop/00-ready", "/workshop/05-database"]) {
    const page = await t.open(path, { width: 390, height: 844, dark: true });
    await t.assertFits(page);
    await t.assertAccessible(page);
    await t.shot(page, `phone-dark${path.replaceAll("/", "-")}`);
  }
});

browserTest("on paper there is the text, and nothing to press", async (t) => {
  const page = await t.open("/workshop/00-ready");
  await page.emulateMedia({ media: "print" });
  assert.equal(await page.getByRole("button", { name: "Copy" }).first().isVisible(), false);
  assert.equal(await page.locator("header.site").isVisible(), false);
  await t.assertFits(page);
  await t.shot(page, "workshop-print");
});
