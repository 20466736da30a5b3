// A page's Markdown as HTML. Beyond what Markdown has (CONTRIBUTING.md says it for authors):
//
//   # Title *(20 minutes)*           the first line
//   <!-- notes: … -->                what a teacher says here; hidden unless asked for
//   ```sh, then ```output            a command and what it prints; ```sh until: repeated until it prints that
//   ```c services/x/x.c              an excerpt of that file
//   ```topology                      in it names of services: these and their topics, as the services themselves say
//   ```graph                         [service] -> (topic): label, an edge a line
//   [text](../services/x/x.c#name)   the line where the file defines `name`

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, normalize } from "node:path";
import { drawGraph, drawTopology, parseGraph } from "./drawing.js";

const slugOf = (text) => text.toLowerCase().replace(/[^\w\s-]/g, "").trim().replace(/\s+/g, "-");

export class Reader {
  problems = [];
  #root;
  #code;
  #markdown;
  #topology;

  constructor(root, packages, code) {
    this.#root = root;
    this.#code = code;
    this.#topology = JSON.parse(readFileSync(join(root, "web/topology.json"), "utf8"));
    const load = createRequire(join(packages, "package.json"))("markdown-it");
    const MarkdownIt = load.default ?? load;
    this.#markdown = new MarkdownIt({ html: true, typographer: false });
    this.#teach(this.#markdown);
  }

  /** { name, title, minutes, sections: [{ id, title }], body } of workshop/NAME; what is wrong is added to `problems`. */
  read(name) {
    const text = readFileSync(join(this.#root, "workshop", name), "utf8");
    const head = /^# (.+?)(?: \*\((\d+) minutes\)\*)?\n/.exec(text);
    if (head === null) {
      this.problems.push(`workshop/${name}: the first line is no '# Title'`);
      return { name, title: name, minutes: 0, sections: [], body: "" };
    }
    const env = { name, sections: [], ids: new Set(), figures: 0 };
    const body = this.#markdown.render(text.slice(head[0].length), env);
    return { name, title: head[1].replace(/`/g, ""), minutes: Number(head[2] ?? 0), sections: env.sections, body };
  }

  #guard(env, what, otherwise) {
    try {
      return what();
    } catch (error) {
      this.problems.push(`workshop/${env.name}: ${error.message}`);
      return otherwise;
    }
  }

  #address(env, href) {
    const [path, fragment = ""] = href.split("#");
    if (href.startsWith("http://localhost:8000")) return href.slice("http://localhost:8000".length) || "/";
    if (/^[a-z]+:/.test(href) || path === "") return href;
    const file = normalize(join("workshop", path));
    if (/^workshop\/[^/]+\.md$/.test(file)) {
      if (!this.#code.isFile(file)) throw new Error(`no such page: ${path}`);
      const page = file === "workshop/README.md" ? "/workshop" : `/workshop/${file.slice("workshop/".length, -3)}`;
      return page + (fragment && `#${fragment}`);
    }
    return this.#code.link(file, fragment);
  }

  #teach(markdown) {
    const { rules } = markdown.renderer;
    const { escapeHtml } = markdown.utils;

    rules.heading_open = (tokens, n, _options, env, self) => {
      const text = tokens[n + 1].children.map((t) => t.content).join("");
      let id = slugOf(text);
      while (env.ids.has(id)) id += "-";
      env.ids.add(id);
      tokens[n].attrSet("id", id);
      if (tokens[n].tag === "h2") env.sections.push({ id, title: text });
      return self.renderToken(tokens, n, {});
    };

    rules.link_open = (tokens, n, options, env, self) => {
      const href = tokens[n].attrGet("href");
      tokens[n].attrSet("href", this.#guard(env, () => this.#address(env, href), href));
      if (tokens[n].attrGet("href").startsWith("/workshop/code/")) tokens[n].attrJoin("class", "to-code");
      return self.renderToken(tokens, n, options);
    };

    rules.image = (tokens, n, _options, env) => {
      const [path, alt] = [tokens[n].attrGet("src"), tokens[n].content];
      return this.#guard(env, () => this.#picture(path, escapeHtml(alt)), "");
    };

    rules.table_open = () => `<div class="scroll" tabindex="0" role="group" aria-label="table"><table>\n`;
    rules.table_close = () => "</table></div>\n";

    const comment = (text, env) => {
      const notes = /^<!--\s*notes:\s*([\s\S]*?)-->\s*$/.exec(text);
      if (notes !== null) return `<div class="notes" role="note" aria-label="Speaker notes" hidden>${markdown.render(notes[1], env)}</div>\n`;
      if (!/^<!--[\s\S]*-->\s*$/.test(text)) this.problems.push(`workshop/${env.name}: HTML: ${text.trim()}`);
      return "";
    };
    rules.html_block = (tokens, n, _options, env) => comment(tokens[n].content, env);
    rules.html_inline = (tokens, n, _options, env) => (/^<\/?kbd>$/.test(tokens[n].content) ? tokens[n].content : comment(tokens[n].content, env));

    rules.fence = (tokens, n, _options, env) => {
      const [language = "", ...rest] = tokens[n].info.trim().split(/\s+/);
      const text = tokens[n].content;
      const isOutput = (k) => tokens[k]?.type === "fence" && tokens[k].info.trim() === "output";
      switch (language) {
        case "output":
          if (tokens[n - 1]?.type === "fence" && /^sh\b/.test(tokens[n - 1].info)) return ""; // stands with its command
          this.problems.push(`workshop/${env.name}: an output without a command: ${text.slice(0, 40)}`);
          return "";
        case "sh":
          return this.#step(text, rest[0] === "until", isOutput(n + 1) ? tokens[n + 1].content : null);
        case "topology":
          return this.#guard(env, () => figure(drawTopology(this.#topology, text.split(/\s+/).filter(Boolean))), "");
        case "graph":
          return this.#guard(env, () => figure(drawGraph(parseGraph(text))), "");
        default:
          return this.#guard(env, () => this.#listing(text, language, rest[0]), "");
      }
    };
  }

  #step(command, until, output) {
    const again = until ? `<p class="label again">repeat it until it says so</p>` : "";
    const said = output === null ? "" : `<div class="said"><p class="label">prints${output.includes("…") ? "; … stands for anything" : ""}</p>
<pre class="output" tabindex="0" role="group" aria-label="output"><samp>${this.#code.coloured(output.trimEnd(), "plaintext")}</samp></pre></div>`;
    const beside = output !== null && longest(command) <= 60 && longest(output) <= 48;
    return `<div class="step${beside ? " beside" : ""}"><div class="typed"><div class="bar"><p class="label">shell</p>${again}<button type="button" class="copy quiet">Copy</button></div>
<pre tabindex="0" role="group" aria-label="command"><code class="hljs">${this.#code.coloured(command.trimEnd(), "bash")}</code></pre></div>${said}</div>\n`;
  }

  #listing(text, language, path) {
    let caption = language ? `<p class="label">${language}</p>` : "";
    if (path) {
      const line = this.#code.find(path, text);
      caption = `<p class="label"><a href="/workshop/code/${path}#L${line}">${path}, line ${line}</a></p>`;
    }
    return `<div class="step"><div class="typed"><div class="bar">${caption}<button type="button" class="copy quiet">Copy</button></div>
<pre tabindex="0" role="group" aria-label="code"><code class="hljs">${this.#code.coloured(text.trimEnd(), language)}</code></pre></div></div>\n`;
  }

  /** An SVG of the repository, drawn into the page so that it takes its colours. */
  #picture(path, alt) {
    const file = normalize(join("workshop", path));
    if (!file.endsWith(".svg") || !this.#code.isFile(file)) throw new Error(`no such picture: ${path}`);
    const svg = readFileSync(join(this.#root, file), "utf8").replace(/^[\s\S]*?<svg/, `<svg role="img" aria-label="${alt}"`);
    return figure(svg.trim(), "span");
  }
}

const longest = (text) => Math.max(...text.split("\n").map((line) => line.length));
const figure = (svg, tag = "figure") => `<${tag} class="drawing" tabindex="0" role="group" aria-label="drawing">${svg}</${tag}>\n`;
