// Elements. Text is always text: nothing that comes from outside becomes markup.

export const $ = (id) => document.getElementById(id);

/** An element with a class and children: elements, or text. */
export function element(tag, className, ...children) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...children.filter((child) => child !== undefined && child !== null));
  return e;
}

/** An SVG element with attributes. */
export function svg(tag, attributes = {}) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  return e;
}

/** Sets the text where it differs, so that what is announced is announced once. */
export function setText(e, text) {
  if (e.textContent !== text) e.textContent = text;
}
