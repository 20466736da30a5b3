// usage: node main.js [NAME…]   Runs NAME.test.js, or all, one test after the other: they share a suite and a browser.

import { readdirSync } from "node:fs";

const here = new URL(".", import.meta.url);
const names = process.argv.slice(2).map((name) => `${name}.test.js`);
const files = names.length > 0 ? names : readdirSync(here).filter((name) => name.endsWith(".test.js")).sort();
for (const file of files) await import(new URL(file, here));
