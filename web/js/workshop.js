// The workshop's pages: what they say is in them already; here is what one can do with them.

import { $, setText } from "./dom.js";

const url = new URL(location.href);

// The text has the suite's address as it is by default; what is copied from here shall reach this one.
const DEFAULT = "localhost:8000";
for (const article of document.querySelectorAll("article")) {
  const texts = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(DEFAULT, location.host);
}

function showNotes(shown) {
  for (const note of document.querySelectorAll(".notes")) note.hidden = !shown;
  document.body.classList.toggle("with-notes", shown);
  // The notes stay as one turns the pages.
  for (const link of document.querySelectorAll('.parts > details > ul > li > a, .turn a')) {
    const to = new URL(link.href);
    to.search = shown ? "?notes" : "";
    link.href = to.href;
  }
  if (shown) url.searchParams.set("notes", "");
  else url.searchParams.delete("notes");
  history.replaceState(null, "", url.href.replace(/notes=(?=&|#|$)/, "notes"));
}

async function copy(button) {
  const text = button.closest(".typed").querySelector("pre").textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setText($("told"), "copied");
  } catch { // forbidden: select it, so that the keyboard can
    getSelection().selectAllChildren(button.closest(".typed").querySelector("pre"));
    button.textContent = "Selected";
  }
  setTimeout(() => (button.textContent = "Copy"), 1500);
}

for (const button of document.querySelectorAll("button.copy")) button.addEventListener("click", () => copy(button));

addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.shiftKey || e.target.closest("pre, .scroll, .drawing, input")) return; // these scroll by the arrows
  if (e.key === "n") {
    const shown = !document.body.classList.contains("with-notes");
    showNotes(shown);
    setText($("told"), shown ? "The speaker's notes are shown" : "The speaker's notes are hidden");
  }
  const turn = { ArrowLeft: "prev", ArrowRight: "next" }[e.key];
  document.querySelector(`.turn a[rel="${turn}"]`)?.click();
});

if (url.searchParams.has("notes")) showNotes(true);

// On a phone the list of parts folds away.
const parts = document.querySelector(".parts details");
if (parts !== null && matchMedia("(max-width: 62rem)").matches) parts.open = false;
