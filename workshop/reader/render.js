#!/usr/bin/env node
// Makes the pages of /workshop of the Markdown in workshop/: a page each, and a listing of each file of code that one
// of them links to. A link that leads nowhere, or an excerpt that the code does not have, is an error.
//
// usage: render.js PACKAGES OUT      PACKAGES: where `npm ci` put what web/package.json names; OUT is replaced

import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Code } from "./code.js";
import { Reader } from "./markdown.js";
import * as html from "./html.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

function main(packages, out) {
  const code = new Code(ROOT, packages);
  const reader = new Reader(ROOT, packages, code);
  const pages = readdirSync(join(ROOT, "workshop"))
    .filter((name) => name.endsWith(".md"))
    .sort((a, b) => (b === "README.md") - (a === "README.md") || a.localeCompare(b))
    .map((name) => reader.read(name));
  const files = pages.map((page, n) => [html.fileOf(page.name), html.page(page, pages, n)]);
  for (const path of code.linked()) files.push([`code/${path}.html`, html.listing(path, code.lines(path))]);
  if (reader.problems.length > 0) throw new Error(reader.problems.join("\n"));

  rmSync(`${out}.new`, { recursive: true, force: true });
  for (const [name, text] of files) {
    const path = join(`${out}.new`, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  rmSync(out, { recursive: true, force: true });
  renameSync(`${out}.new`, out);
}

if (process.argv.length !== 4) {
  console.error("usage: render.js PACKAGES OUT");
  process.exit(2);
}
try {
  main(process.argv[2], process.argv[3]);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
