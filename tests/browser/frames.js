// usage: node frames.js   Measures the first page of the running suite in Chromium, by software alone: frames a second while
// records flow along every edge, and how much of a core its processes take while nothing flows. No test: it needs a
// machine that does nothing else.

import { openBrowser, suite } from "./browser.js";

const SECONDS = 8;

const browser = await openBrowser();
const context = await browser.newContext({ baseURL: suite.url, viewport: { width: 1280, height: 900 } });
const page = await context.newPage();
const devtools = await browser.newBrowserCDPSession();

/** CPU seconds of the page's process and of the one that draws. */
async function cpu() {
  const { processInfo } = await devtools.send("SystemInfo.getProcessInfo");
  return Object.fromEntries(processInfo.filter((p) => p.type !== "utility").map((p) => [`${p.type} ${p.id}`, p.cpuTime]));
}

const frames = () => page.evaluate((ms) => new Promise((done) => {
  const since = performance.now();
  let n = 0;
  requestAnimationFrame(function next(now) {
    n++;
    if (now - since < ms) requestAnimationFrame(next);
    else done((1000 * n) / (now - since));
  });
}), 1000 * SECONDS);

async function measure(name, what) {
  const before = await cpu();
  const since = performance.now();
  const figures = await what();
  const seconds = (performance.now() - since) / 1000;
  const after = await cpu();
  const used = Object.entries(after).filter(([p]) => p in before).map(([p, s]) => `${p.split(" ")[0]} ${(100 * (s - before[p]) / seconds).toFixed(1)} %`);
  console.log(`${name}: ${figures}; of a core: ${used.join(", ")}`);
}

/** Every topic has this rate, whatever the log says. */
const flow = (rate) => page.route("**/v1/log/topics", async (route) => {
  const response = await route.fetch();
  const answer = await response.json();
  for (const topic of answer.topics) for (const partition of topic.partitions) partition.rate = rate;
  await route.fulfill({ response, json: answer });
});

await flow(0);
await page.goto("/");
await page.locator('#map .box[data-state="good"]').nth(11).waitFor();
await page.waitForTimeout(2000);
await measure("nothing flows", async () => {
  await page.waitForTimeout(1000 * SECONDS);
  return "at rest";
});
await page.unroute("**/v1/log/topics");
await flow(1000);
await page.locator("#map .strip.busy").nth(20).waitFor();
await page.waitForTimeout(3000);
await measure("every edge is busy", async () => `${(await frames()).toFixed(1)} frames/s`);
await browser.close();
