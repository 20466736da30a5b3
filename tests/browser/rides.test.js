// The rides: a rider's and a driver's browser side by side, from the hail to the receipt.

import assert from "node:assert/strict";
import { browserTest, eventually, suite } from "./browser.js";

// Near each other, so that a ride takes seconds; each test has streets of its own.
async function place(name) {
  const { streets } = await suite.http("GET", `/v1/city/streets?q=${encodeURIComponent(name)}`);
  assert.equal(streets[0]?.name, name);
  return streets[0];
}

const id = (role) => `${role}-${crypto.randomUUID().slice(0, 8)}`;
const text = ({ lat, lon }) => `${lat},${lon}`;

/** A driver's page, online, with its car at a place. */
async function driver(t, name, at, options) {
  const page = await t.open(`/rides/driver?id=${id("driver")}&name=${name}&at=${text(at)}`, options);
  await page.getByRole("button", { name: "Go online" }).click();
  await page.getByText(`Online as ${name}`).waitFor();
  await page.getByLabel("Pace").selectOption("15");
  return page;
}

/** A rider's page with a destination chosen by keyboard. */
async function rider(t, name, at, destination, options) {
  const page = await t.open(`/rides/rider?id=${id("rider")}&name=${name}&at=${text(at)}`, options);
  const to = page.getByLabel("To", { exact: true });
  await to.focus();
  await page.keyboard.type(destination);
  await page.getByRole("option", { name: destination, selected: true }).waitFor(); // of the whole name: what Enter takes
  await page.keyboard.press("Enter");
  return page;
}

async function hail(page) {
  await page.getByRole("button", { name: "Hail a car" }).click();
  await page.getByText("Looking for a driver").waitFor();
}

const accept = (page, name) => page.getByRole("button", { name: `Accept ${name}` });
const says = (page, words) => page.getByRole("status").filter({ hasText: words }).waitFor();
const press = (page, name) => page.getByRole("button", { name }).click();

browserTest("a ride, from the hail to the receipt", async (t) => {
  const from = await place("Heron Row");
  const paul = await driver(t, "Paul", from);
  const rita = await rider(t, "Rita", from, "Kite Street");
  await t.assertAccessible(rita);
  await t.shot(rita, "rides-rider-plan");
  const price = await rita.locator("#price").textContent();
  await hail(rita);
  await t.shot(rita, "rides-rider-hailed");

  await accept(paul, "Rita").waitFor();
  await t.assertAccessible(paul);
  await t.shot(paul, "rides-driver-hail");
  await accept(paul, "Rita").click();
  await says(paul, /On the way to the rider|You are at the pickup/);
  await says(rita, "Paul is on the way to you");
  assert.match(await rita.locator("#driver").textContent(), /Paul/);
  await t.shot(rita, "rides-rider-approach");
  await t.assertAccessible(rita);

  await press(paul, "I am here");
  await says(rita, "Your car is here");
  assert.ok(await rita.getByRole("button", { name: "Cancel" }).isVisible());
  await press(paul, "Start the trip");
  await says(rita, "On the way");
  assert.ok(await rita.getByRole("button", { name: "Cancel" }).isHidden());
  const clock = rita.locator("#eta");
  await clock.waitFor();
  const first = await clock.textContent();
  assert.match(first, /^\d+:\d\d to your destination$/);
  await eventually(async () => (await clock.textContent()) !== first, "the ETA counts down");
  await t.shot(rita, "rides-rider-trip");
  await t.shot(paul, "rides-driver-trip");
  await says(paul, "You are at the destination");
  await press(paul, "Complete the ride");

  await rita.getByRole("heading", { name: "Receipt" }).waitFor();
  await paul.getByRole("heading", { name: "Earned" }).waitFor();
  const paid = await rita.locator("#paid").textContent();
  assert.equal(paid, price);
  assert.equal(await paul.locator("#earned").textContent(), paid);
  assert.match(await rita.locator("#receipt").textContent(), /Paul.*Heron Row.*Kite Street/);
  await t.shot(rita, "rides-rider-receipt");
  await t.shot(paul, "rides-driver-receipt");
  await t.assertAccessible(rita);
  await t.assertAccessible(paul);
  await press(rita, "Another ride");
  await rita.getByRole("heading", { name: "Where to?" }).waitFor();
});

browserTest("of two drivers who accept at once one wins, and the other is told", async (t) => {
  const from = await place("Vine Boulevard");
  const drivers = [await driver(t, "Uno", from), await driver(t, "Due", from)];
  const rita = await rider(t, "Rosa", from, "Oak Boulevard");
  t.expectErrors(/status of 409/);
  await hail(rita);
  await Promise.all(drivers.map((page) => accept(page, "Rosa").waitFor()));
  await Promise.all(drivers.map((page) => accept(page, "Rosa").evaluate((button) => button.click())));
  const lost = (page) => page.getByRole("alert").filter({ hasText: "Somebody else was quicker" }).isVisible();
  const won = (page) => page.getByText("On the way to the rider").or(page.getByText("You are at the pickup")).isVisible();
  await eventually(async () => {
    const [w, l] = [await Promise.all(drivers.map(won)), await Promise.all(drivers.map(lost))];
    return w.filter(Boolean).length === 1 && l.filter(Boolean).length === 1 && w.indexOf(true) !== l.indexOf(true);
  }, "one driver has the ride and the other's screen says so");
  const loser = (await lost(drivers[0])) ? 0 : 1;
  await t.shot(drivers[loser], "rides-driver-too-late");
  await says(rita, `${["Uno", "Due"][1 - loser]} is on the way to you`);
});

for (const service of ["rider", "driver"]) {
  browserTest(`kill -9 of ${service} at each stage: the ride goes on`, async (t) => {
    t.expectErrors(/status of 50[234]|ERR_INCOMPLETE|ERR_CONNECTION|ERR_EMPTY/);
    const from = await place(service === "rider" ? "Ivy Avenue" : "Lily Boulevard");
    const paul = await driver(t, "Pina", from);
    const rita = await rider(t, "Rolf", from, service === "rider" ? "Vine Boulevard" : "Cormorant Avenue");
    const kill = () => suite.demo("kill", service);
    await hail(rita);
    await kill();
    await accept(paul, "Rolf").click();
    await says(rita, "Pina is on the way to you");
    await kill();
    await press(paul, "I am here");
    await says(rita, "Your car is here");
    await kill();
    await press(paul, "Start the trip");
    await says(rita, "On the way");
    await kill();
    await press(paul, "Complete the ride");
    await rita.getByRole("heading", { name: "Receipt" }).waitFor();
    await paul.getByRole("heading", { name: "Earned" }).waitFor();
  });
}

browserTest("a rider cancels, and the driver is told", async (t) => {
  const from = await place("Beacon Avenue");
  const paul = await driver(t, "Pia", from);
  const rita = await rider(t, "Rudi", from, "Topaz Park");
  await hail(rita);
  await accept(paul, "Rudi").click();
  await says(rita, "Pia is on the way to you");
  await press(rita, "Cancel");
  await paul.getByRole("alert").filter({ hasText: "Rudi cancelled the ride" }).waitFor();
  await rita.getByRole("heading", { name: "Where to?" }).waitFor();
});

browserTest("a page that is opened again goes on with its ride", async (t) => {
  const from = await place("Glass Boulevard");
  const paul = await driver(t, "Pepe", from);
  const rita = await rider(t, "Ruth", from, "Aspen Boulevard");
  await hail(rita);
  await accept(paul, "Ruth").click();
  await says(rita, "Pepe is on the way to you");
  await Promise.all([rita.reload(), paul.reload()]);
  await says(rita, "Pepe is on the way to you");
  await press(paul, "I am here");
  await says(rita, "Your car is here");
  await press(rita, "Cancel");
});

browserTest("the whole city shows cars and riders as they appear", async (t) => {
  const [from, far] = [await place("Hemp Park"), await place("Pewter Park")];
  const before = await t.open("/rides");
  await before.getByText("Live", { exact: true }).waitFor();
  await driver(t, "Cara", far);
  const rita = await rider(t, "Rene", from, "Ocean Drive");
  await eventually(async () => Number(await before.locator("#free").textContent()) >= 1, "the car is counted");
  await eventually(async () => Number(await before.locator("#riders").textContent()) >= 1, "the rider is counted");
  await hail(rita);
  await before.getByText("Rene is looking for a car").waitFor();
  await t.assertAccessible(before);
  await t.shot(before, "rides");
  await press(rita, "Cancel");
});

browserTest("what is typed before the map is there counts", async (t) => {
  const rita = await t.open("about:blank");
  let drawMap;
  await rita.route("**/v1/city", (route) => new Promise((done) => { drawMap = done; }).then(() => route.continue()));
  await rita.goto(`/rides/rider?id=${id("rider")}`);
  await rita.getByLabel("To", { exact: true }).pressSequentially("Kite Street");
  await eventually(() => drawMap, "the page asks for its map");
  drawMap();
  await rita.getByRole("option", { name: "Kite Street" }).click();
  await rita.getByText("Distance").waitFor();
});

browserTest("on a phone, in the dark", async (t) => {
  const from = await place("Canvas Park");
  const phone = { width: 390, height: 844, dark: true };
  const city = await t.open("/rides", phone);
  await city.getByText("Live", { exact: true }).waitFor();
  const rita = await rider(t, "Rika", from, "North Quay", phone);
  await rita.getByText("Distance").waitFor();
  const paul = await t.open(`/rides/driver?id=${id("driver")}&at=${text(from)}`, phone);
  for (const [page, name] of [[city, "city"], [rita, "rider"], [paul, "driver"]]) {
    await t.assertFits(page);
    await t.assertAccessible(page);
    await t.shot(page, `rides-${name}-phone-dark`);
  }
});
