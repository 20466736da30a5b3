// The code that pages link to: where a name is defined, and a file's lines with colours.

import { existsSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const LANGUAGES = { c: "c", h: "c", py: "python", js: "javascript", sh: "bash", json: "json", avsc: "json", yaml: "yaml", yml: "yaml",
  sql: "sql", css: "css", html: "xml", cmake: "cmake", md: "markdown", java: "java" };

const escape = (text) => text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

export class Code {
  #root;
  #highlighter;
  #texts = new Map(); // by path, of what was linked to
  #linked = new Set();

  constructor(root, packages) {
    this.#root = root;
    this.#highlighter = createRequire(join(packages, "package.json"))("highlight.js");
  }

  /** Text as HTML with the classes of highlight.js. */
  coloured(text, language) {
    return this.#highlighter.getLanguage(language) ? this.#highlighter.highlight(text, { language }).value : escape(text);
  }

  /** The lines of a file as HTML, each whole in itself. */
  lines(path) {
    const text = this.#text(path).replace(/\n$/, "");
    const extension = path.slice(path.lastIndexOf(".") + 1);
    const language = LANGUAGES[extension] ?? (text.startsWith("#!") ? (/python/.test(text.split("\n")[0]) ? "python" : "bash") : "plaintext");
    let open = [];
    return this.coloured(text, language).split("\n").map((line) => {
      const before = open.join("");
      for (const tag of line.match(/<span[^>]*>|<\/span>/g) ?? []) {
        if (tag === "</span>") open = open.slice(0, -1);
        else open = [...open, tag];
      }
      return before + line + "</span>".repeat(open.length);
    });
  }

  linked() {
    return [...this.#linked].sort();
  }

  isFile(path) {
    return existsSync(join(this.#root, path)) && statSync(join(this.#root, path)).isFile();
  }

  /** The address of a file's listing, at a symbol's line where one is named. Throws where the file has none, or several. */
  link(path, symbol) {
    if (!this.isFile(path)) throw new Error(`no such file: ${path}`);
    this.#linked.add(path);
    return `/workshop/code/${path}${symbol ? `#L${this.#lineOf(path, symbol)}` : ""}`;
  }

  /** The line at which an excerpt begins. Its lines are the file's, in this order; a line of nothing but … stands for any. */
  find(path, excerpt) {
    const have = this.#text(path).split("\n").map((line) => line.trim());
    const parts = excerpt.split(/^[ \t/*]*…[ \t/*]*$/m).map((part) => part.split("\n").map((line) => line.trim()).filter(Boolean));
    let at = 0;
    let first = -1;
    for (const part of parts) {
      if (part.length === 0) continue;
      const solid = have.map((line, n) => [line, n]).filter(([line, n]) => n >= at && line !== "");
      const found = solid.findIndex((_, n) => part.every((line, k) => solid[n + k]?.[0] === line));
      if (found === -1) throw new Error(`${path} does not have: ${part[0]}`);
      if (first === -1) first = solid[found][1] + 1;
      at = solid[found + part.length - 1][1] + 1;
    }
    this.#linked.add(path);
    return first;
  }

  #text(path) {
    if (!this.#texts.has(path)) this.#texts.set(path, readFileSync(join(this.#root, path), "utf8"));
    return this.#texts.get(path);
  }

  #lineOf(path, symbol) {
    const lines = this.#text(path).split("\n");
    const name = symbol.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    const is = (pattern) => (line) => new RegExp(pattern.replaceAll("NAME", name)).test(line);
    const body = (from) => lines.slice(from).find((line) => /[{;]\s*(\/[/*].*)?$/.test(line)) ?? ";";
    const kinds = [
      (line, n) => is("^[A-Za-z_][\\w \\t*()]*\\bNAME\\(")(line) && /\{/.test(body(n)), // a function of C
      is("^(typedef |static |const )*(struct|enum|union) NAME \\{"),
      is("^#\\s*define NAME\\b"),
      is("^[A-Za-z_][\\w \\t*]*\\bNAME(\\[[^\\]]*\\])* = "),
      (line, n) => path.endsWith(".h") && is("^[A-Za-z_][\\w \\t*()]*\\bNAME\\(")(line) && !/\{/.test(body(n)),
      is("^NAME\\(\\) [{(]"), // of the shell
      is("^\\s*(async )?(def|class) NAME\\b"),
      is("^\\s*(export )?(async )?(function|class|const|let) NAME\\b"),
      is("\"NAME\""),
      is("(^|[^\\w-])NAME($|[^\\w-])"),
    ];
    for (const kind of kinds) {
      const found = lines.map((line, n) => (kind(line, n) ? n + 1 : 0)).filter(Boolean);
      if (found.length === 1) return found[0];
      if (found.length > 1) throw new Error(`${path} has '${symbol}' at lines ${found.slice(0, 5).join(", ")}: name one`);
    }
    throw new Error(`${path} has no '${symbol}'`);
  }
}
