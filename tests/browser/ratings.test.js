// The page of ratings: what one rates, others see; the dial; the list that moves; the view that comes back.

import assert from "node:assert/strict";
import { browserTest, eventually, suite } from "./browser.js";

/** A film of this run alone: nobody else rates it. */
async function makeFilm(id, title) {
  await suite.sql(`INSERT INTO movies VALUES (${id}, '${title}', 2024) ON CONFLICT (movie_id) DO UPDATE SET title = EXCLUDED.title`);
  await eventually(() => suite.http("GET", `/v1/movies/${id}`).catch(() => null), `film ${id} is served`);
}

const movie = (id) => suite.http("GET", `/v1/movies/${id}`);
const live = (page) => page.locator("#feed-state").filter({ hasText: /^Live$/ }).waitFor();
const votes = (page) => page.locator("#film-votes").textContent();

async function setStars(page, value) {
  await page.locator("#rating").evaluate((input, v) => {
    input.value = v;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }, String(value));
}

browserTest("one rates, another sees it", async (t) => {
  await makeFilm(930001, "Two Browsers");
  const before = (await movie(930001)).ratingCount;
  const one = await t.open("/ratings?movie=930001");
  const other = await t.open("/ratings?movie=930001", { width: 390, height: 844, dark: true });
  for (const page of [one, other]) {
    await live(page);
    await page.getByRole("heading", { name: "Two Browsers" }).waitFor();
  }
  await setStars(one, 9.3);
  const at = Date.now();
  await one.getByRole("button", { name: "Rate 9.3" }).click();
  const wanted = before + 1 === 1 ? "1 rating" : `${before + 1} ratings`;
  await eventually(async () => (await votes(other)) === wanted, "the other sees it");
  console.log(`    seen by the other after ${Date.now() - at} ms`);
  await one.locator("#rate-said").filter({ hasText: "It counts" }).waitFor();
  assert.equal((await movie(930001)).ratingCount, before + 1);
  for (const [page, name] of [[one, "ratings"], [other, "ratings-phone-dark"]]) {
    await t.assertAccessible(page);
    await t.assertFits(page);
    await t.shot(page, name);
  }
});

browserTest("a rating by keyboard alone", async (t) => {
  await makeFilm(930002, "Keyboard Only");
  const before = (await movie(930002)).ratingCount;
  const page = await t.open("/ratings?movie=930002");
  await page.getByRole("heading", { name: "Keyboard Only" }).waitFor();
  const stars = page.getByRole("slider", { name: "Your rating" });
  await stars.focus();
  await page.keyboard.press("End");
  for (let n = 0; n < 3; n++) await page.keyboard.press("ArrowLeft");
  assert.equal(await stars.getAttribute("aria-valuetext"), "9.7 of 10");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.locator("#rate-said").filter({ hasText: "It counts" }).waitFor();
  const now = await movie(930002);
  assert.equal(now.ratingCount, before + 1);
  assert.equal(now.distribution[9] > 0, true);
});

browserTest("by mouse and by finger, where the stars are", async (t) => {
  await makeFilm(930003, "Pointers");
  const page = await t.open("/ratings?movie=930003");
  await page.getByRole("heading", { name: "Pointers" }).waitFor();
  const box = await page.locator("#stars").boundingBox();
  await page.mouse.click(box.x + box.width * 0.25, box.y + box.height / 2);
  assert.equal(await page.locator("#rating").inputValue(), "2.5");
  await page.mouse.click(box.x + box.width * 0.805, box.y + box.height / 2);
  assert.ok(["8", "8.1"].includes(await page.locator("#rating").inputValue()));
});

browserTest("films are found, renamed and deleted while one looks", async (t) => {
  t.expectErrors(/404 .*\/v1\/movies\/930004/); // what is asked in the moment of its deletion
  await makeFilm(930004, "A Needle in a Haystack");
  const page = await t.open("/ratings");
  await live(page);
  await page.getByLabel("Find a film").fill("NEEDLE in");
  const row = page.getByRole("link", { name: /A Needle in a Haystack/ });
  await row.waitFor();
  assert.equal(await page.locator("#films > li").count(), 1);
  await row.click();
  await page.getByRole("heading", { name: "A Needle in a Haystack" }).waitFor();
  await suite.sql("UPDATE movies SET title = 'A Needle in a Bottle' WHERE movie_id = 930004");
  await page.getByRole("link", { name: /A Needle in a Bottle/ }).waitFor();
  await suite.sql("DELETE FROM movies WHERE movie_id = 930004");
  await page.locator("#none").filter({ hasText: "No title contains" }).waitFor();
  await page.locator("#film-year").filter({ hasText: "no such film" }).waitFor();
  await page.getByLabel("Find a film").fill("");
  await page.getByLabel("Order").selectOption("title");
  await eventually(async () => /12 Angry Men|\d/.test(await page.locator("#films .film-name").first().textContent()), "by title");
  await t.assertAccessible(page);
});

browserTest("the dial lets others rate, and stops them", async (t) => {
  const page = await t.open("/ratings", { still: false });
  await live(page);
  const dial = page.getByRole("slider", { name: "Let others rate" });
  await dial.focus();
  await page.keyboard.press("Home");
  for (let n = 0; n < 9; n++) await page.keyboard.press("ArrowUp");
  assert.equal(await dial.getAttribute("aria-valuetext"), "500 ratings a second");
  const seen = async () => Number((await page.locator("#rating-count").textContent()).replace(/\D/g, ""));
  const before = await seen();
  await eventually(async () => (await seen()) > before + 1000, "simulated ratings are counted on the page");
  await eventually(async () => /[1-9]/.test(await page.locator("#load-arrives").textContent()), "how many arrive is shown");
  await t.shot(page, "ratings-load");
  const box = await dial.boundingBox();
  await page.mouse.move(box.x + box.width * 0.5, box.y + box.height * 0.15);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.2, box.y + box.height * 0.6, { steps: 8 });
  await page.mouse.move(box.x + box.width * 0.22, box.y + box.height * 0.85, { steps: 4 });
  await page.mouse.up();
  assert.equal(await dial.getAttribute("aria-valuetext"), "nobody rates");
  await eventually(async () => (await suite.http("GET", "/v1/ratings/simulation")).rate === 0, "the simulation stops");
});

browserTest("the view comes back before one's eyes", async (t) => {
  t.expectErrors(/503|net::ERR|Failed to load resource|EventSource/);
  const page = await t.open("/ratings");
  await live(page);
  const films = (await suite.sql("SELECT count(*) FROM movies")).trim();
  const complete = () => eventually(async () => (await page.locator("#film-count").textContent()) === films, "all films are there");
  await complete();
  await suite.demo("rewind", "ratings");
  await page.locator("#replay-text").filter({ hasText: /It came back: [\d,]+ events/ }).waitFor();
  assert.match(await page.locator("#replay-position").textContent(), /[1-9]/);
  await live(page);
  await complete();
  await t.shot(page, "ratings-rewound");
});
