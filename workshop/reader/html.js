// What stands around a page's text. Head and header are those of all pages: nginx puts them in (web/parts/).

const escape = (text) => text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

export const fileOf = (name) => (name === "README.md" ? "index.html" : name.replace(/\.md$/, ".html"));
const addressOf = (name) => (name === "README.md" ? "/workshop" : `/workshop/${name.replace(/\.md$/, "")}`);

const document = (title, content) => `<!doctype html>
<html lang="en">
<head>
  <!--# set var="page" value="workshop" --><!--# include virtual="/parts/head.html" -->
  <title>${escape(title)}</title>
  <link rel="stylesheet" href="/workshop.css">
  <script type="module" src="/js/workshop.js"></script>
</head>
<body>
  <!--# include virtual="/parts/header.html" -->
${content}
</body>
</html>
`;

const minutes = (n) => (n > 0 ? `${n} min` : "");

function contents(page, pages) {
  const sections = page.sections.map((s) => `<li><a href="#${s.id}">${escape(s.title)}</a></li>`).join("");
  return pages.map((p) => `<li><a href="${addressOf(p.name)}"${p === page ? ' aria-current="page"' : ""}><span>${escape(p.title)}</span> <span class="label">${minutes(p.minutes)}</span></a>${
    p === page && sections ? `<ol>${sections}</ol>` : ""}</li>`).join("\n");
}

const step = (rel, page, word) => (page === undefined ? "<span></span>"
  : `<a class="panel" rel="${rel}" href="${addressOf(page.name)}"><span class="label">${word}</span> <strong>${escape(page.title)}</strong></a>`);

/** The n-th of pages. */
export function page(page, pages, n) {
  return document(`${page.title} · insideout workshop`, `  <div class="workshop">
    <nav class="parts" aria-label="Parts of the workshop">
      <details open><summary>The workshop</summary>
      <ul>
${contents(page, pages)}
      </ul></details>
    </nav>
    <main id="main">
      <article>
        <header><h1>${escape(page.title)}</h1>${page.minutes > 0 ? `<p class="label minutes">${page.minutes} minutes</p>` : ""}</header>
${page.body}
      </article>
      <nav class="turn" aria-label="Previous and next part">${step("prev", pages[n - 1], "previous")}${step("next", pages[n + 1], "next")}</nav>
      <p class="label keys">Keys: <kbd>←</kbd> <kbd>→</kbd> turn the page, <kbd>n</kbd> shows the speaker's notes.</p>
      <p id="told" class="unseen" role="status"></p>
    </main>
  </div>`);
}

/** A file of code, a line an element with an id: L1, L2 … */
export function listing(path, lines) {
  const numbered = lines.map((line, n) => `<a class="at" href="#L${n + 1}" aria-label="line ${n + 1}" tabindex="-1">${n + 1}</a><span class="line" id="L${n + 1}">${line || " "}</span>`);
  return document(`${path} · insideout workshop`, `  <main id="main" class="listing">
    <header><h1>${escape(path)}</h1><p class="soft"><a href="/workshop">The workshop</a></p></header>
    <div class="code hljs" tabindex="0" role="group" aria-label="${escape(path)}"><code>${numbered.join("\n")}</code></div>
  </main>`);
}
