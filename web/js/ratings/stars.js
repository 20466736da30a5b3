// Ten stars over a slider: a mouse, a finger and the arrow keys all move the same thing, in steps of 0.1.

import { $, element, setText, svg } from "../dom.js";

const STARS = 10;
const SHAPE = "M12 1.8l3.1 6.6 7.1.9-5.2 5 1.3 7.1L12 17.9l-6.3 3.5L7 14.3l-5.2-5 7.1-.9z";

function layer(name) {
  const picture = svg("svg", { viewBox: `0 0 ${STARS * 24} 24`, "aria-hidden": "true", class: `stars-layer ${name}` });
  for (let n = 0; n < STARS; n++) picture.append(svg("path", { d: SHAPE, transform: `translate(${n * 24} 0)` }));
  return picture;
}

/** Sets the stars up; `onRate(tenths)` hears of the form being sent. */
export function setUpStars(onRate) {
  const input = $("rating");
  const stars = $("stars");
  stars.prepend(layer("empty"), layer("full"), layer("aim"));
  stars.append(element("span", "stars-focus"));

  const show = () => {
    const value = Number(input.value);
    stars.style.setProperty("--value", String(value));
    input.setAttribute("aria-valuetext", `${value.toFixed(1)} of 10`);
    setText($("rate-value"), value.toFixed(1));
  };
  const aim = (event) => {
    const box = stars.getBoundingClientRect();
    const part = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    stars.style.setProperty("--aim", String(Math.round(part * 100) / 10));
  };
  input.addEventListener("input", show);
  stars.addEventListener("pointermove", (event) => event.pointerType === "mouse" && aim(event));
  stars.addEventListener("pointerleave", () => stars.style.setProperty("--aim", "0"));
  $("rate").addEventListener("submit", (event) => {
    event.preventDefault();
    onRate(Math.round(Number(input.value) * 10));
  });
  show();

  return {
    set(value) {
      input.value = value.toFixed(1);
      show();
    },
  };
}
