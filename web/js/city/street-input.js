// A field for a street: type some letters, choose with the arrow keys and Enter, or with the pointer.

import { call } from "../api.js";
import { element } from "../dom.js";

const PAUSE_MS = 120;

/**
 * Makes `input` a combobox over the list after it. `choose(street)` hears { name, lat, lon }.
 * Returns { show(name) }, which sets the text.
 */
export function streetInput(input, choose) {
  const list = element("ul");
  list.id = `${input.id}-streets`;
  list.role = "listbox";
  list.ariaLabel = "Streets";
  list.hidden = true;
  input.after(list);
  for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false",
    "aria-controls": list.id, autocomplete: "off", spellcheck: "false" })) input.setAttribute(name, value);
  let streets = [];
  let active = -1;
  let timer = 0;
  let asked = 0;

  function open(isOpen) {
    list.hidden = !isOpen;
    input.setAttribute("aria-expanded", isOpen);
    if (!isOpen) activate(-1);
  }

  function activate(n) {
    active = n;
    [...list.children].forEach((item, i) => item.setAttribute("aria-selected", i === n));
    if (n >= 0) {
      input.setAttribute("aria-activedescendant", list.children[n].id);
      list.children[n].scrollIntoView({ block: "nearest" });
    } else {
      input.removeAttribute("aria-activedescendant");
    }
  }

  function take(n) {
    const street = streets[n];
    input.value = street.name;
    open(false);
    choose(street);
  }

  async function search() {
    const mine = ++asked;
    const answer = await call("GET", `/v1/city/streets?limit=8&q=${encodeURIComponent(input.value.trim())}`).catch(() => null);
    if (mine !== asked || answer === null || document.activeElement !== input) return;
    streets = answer.streets;
    list.replaceChildren(...streets.map((street, n) => {
      const item = element("li", "", element("span", "", street.name), element("span", "kind", street.kind === "street" ? "" : street.kind));
      item.id = `${list.id}-${n}`;
      item.role = "option";
      item.addEventListener("pointerdown", (event) => {
        event.preventDefault(); // the field keeps the keyboard
        take(n);
      });
      return item;
    }));
    open(streets.length > 0);
    if (streets.length > 0) activate(0);
  }

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, PAUSE_MS);
  });
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && list.hidden) search();
    else if (step) activate((active + step + streets.length) % streets.length);
    else if (event.key === "Enter" && !list.hidden && active >= 0) take(active);
    else if (event.key === "Escape" && !list.hidden) open(false);
    else return;
    event.preventDefault();
  });
  input.addEventListener("blur", () => open(false));
  if (input.value !== "") search(); // typed while the page was still loading
  return {
    show(name) {
      input.value = name ?? "";
    },
  };
}
