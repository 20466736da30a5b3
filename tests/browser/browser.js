// What the tests of pages share: the running suite, a browser, checks that hold for each page.
//
// They run against the suite that the environment's settings name (PORT, DATA_DIR …): that of run.py, or one that
// `./demo up` started:  node tests/browser/main.js [name…]

import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const ARTIFACTS = process.env.ARTIFACTS ?? join(ROOT, "build/browser");
const PATIENCE_MS = 60000; // how long a test waits for what should come at once, on a busy machine

// ./demo installed them, into a directory named by the lock file.
const lock = createHash("sha256").update(readFileSync(join(ROOT, "web/package-lock.json"))).digest("hex").slice(0, 12);
const inCache = execFileSync(join(ROOT, "shared/cmake/librdkafka.sh"), ["--prefix"], { encoding: "utf8" });
const require = createRequire(join(dirname(inCache), `web-${lock}`, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

/** The suite: `./demo`, its legacy database, its HTTP past the browser. */
export const suite = {
  url: `http://localhost:${process.env.PORT ?? 8000}`,

  async demo(...args) {
    return (await run(join(ROOT, "demo"), args, { timeout: 180000 })).stdout;
  },

  async sql(statement) {
    const env = { ...process.env, PGPASSWORD: "legacy", PGCONNECT_TIMEOUT: "5" };
    const port = process.env.POSTGRES_PORT ?? "5433";
    const args = ["-h", "127.0.0.1", "-p", port, "-U", "legacy", "-XAt", "-v", "ON_ERROR_STOP=1", "-c", statement, "legacy"];
    return (await run("psql", args, { env, timeout: 30000 })).stdout.trim();
  },

  /** The answer's JSON; fails where it is no success. */
  async http(method, path, body) {
    const init = { method, headers: { "content-type": "application/json" }, body: body && JSON.stringify(body) };
    const response = await fetch(this.url + path, init);
    assert.ok(response.ok, `${method} ${path}: ${response.status}`);
    return response.json();
  },
};

export const openBrowser = () => chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  chromiumSandbox: process.getuid() !== 0,
  args: ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});

let browser = null;

after(() => browser?.close());

/** A screenshot of the whole page, kept with the build. */
async function shot(page, name) {
  mkdirSync(ARTIFACTS, { recursive: true });
  await page.screenshot({ path: join(ARTIFACTS, `${name}.png`), fullPage: true, animations: "disabled" });
}

/** No violation of accessibility rules that axe knows, once what is fading in is there. */
async function assertAccessible(page) {
  await page.evaluate(axe);
  await page.evaluate(() => {
    const ends = document.getAnimations().filter((a) => Number.isFinite(a.effect.getComputedTiming().endTime));
    return Promise.allSettled(ends.map((a) => a.finished.then(() => null))); // rejected: its element is gone
  });
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const found = violations.map((v) => `${v.id}: ${v.help}\n${v.nodes.map((n) => `    ${n.html}\n    ${n.failureSummary}`).join("\n")}`);
  assert.equal(found.length, 0, `axe:\n${found.join("\n")}`);
}

/** Nothing is wider than the window. */
async function assertFits(page) {
  const { wide, window } = await page.evaluate(() => ({ wide: document.documentElement.scrollWidth, window: innerWidth }));
  assert.ok(wide <= window, `the page is ${wide} px wide in a window of ${window} px`);
}

/**
 * A test with browsers. `t.open(path, options)` opens a page in a browser profile of its own and returns Playwright's
 * page; options: width, height, dark, still (reduced motion), keeps (false: localStorage is forbidden). `t.shot`, `t.assertAccessible` and `t.assertFits` take a
 * page. An error on a page's console, an exception, or a request to anywhere but the suite fails the test, unless the
 * test said `t.expectErrors(pattern)` about it.
 */
export function browserTest(name, body) {
  test(name, { timeout: 600000 }, async () => {
    const contexts = [];
    const errors = [];
    let expected = null;

    const t = {
      shot,
      assertAccessible,
      assertFits,
      expectErrors(pattern) {
        expected = pattern;
      },
      async open(path, { width = 1280, height = 900, dark = false, still = true, keeps = true } = {}) {
        browser ??= await openBrowser();
        const context = await browser.newContext({
          baseURL: suite.url,
          viewport: { width, height },
          colorScheme: dark ? "dark" : "light",
          reducedMotion: still ? "reduce" : "no-preference",
        });
        contexts.push(context);
        context.setDefaultTimeout(PATIENCE_MS);
        if (!keeps) {
          await context.addInitScript(() => {
            const get = () => {
              throw new DOMException("forbidden", "SecurityError");
            };
            Object.defineProperty(globalThis, "localStorage", { get });
          });
        }
        const page = await context.newPage();
        page.on("console", (message) => {
          if (message.type() === "error") errors.push(`console: ${message.text()} ${message.location().url}`);
        });
        page.on("pageerror", (error) => errors.push(`exception: ${error.stack}`));
        page.on("request", (request) => {
          if (!request.url().startsWith(suite.url) && !request.url().startsWith("data:")) errors.push(`request to ${request.url()}`);
        });
        await page.goto(path);
        return page;
      },
    };

    try {
      await body(t);
    } catch (error) {
      for (const [n, context] of contexts.entries()) {
        for (const page of context.pages()) await shot(page, `failed-${name.replace(/\W+/g, "-")}-${n}`).catch(() => {});
      }
      if (errors.length > 0) error.message += `\non the way: ${errors.join("\n")}`;
      throw error;
    } finally {
      for (const context of contexts) await context.close();
    }
    const unexpected = errors.filter((error) => !expected?.test(error));
    assert.deepEqual(unexpected, []);
  });
}

/** Polls until `condition()` is true and returns it; fails with `what` when it does not come. */
export async function eventually(condition, what, within = PATIENCE_MS) {
  const deadline = Date.now() + within;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) assert.fail(`not within ${within} ms: ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}
