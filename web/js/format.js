// Amounts and times for people.

const moneyFormat = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const timeFormat = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** Integer cents, as money. */
export const money = (cents) => moneyFormat.format(cents / 100);

export const moment = (ms) => timeFormat.format(new Date(ms));

/** "24.90", "24,9" or "-3" as integer cents; NaN where it is no amount. */
export function cents(text) {
  const match = /^\s*(-?)(\d{1,12})(?:[.,](\d{1,2}))?\s*$/.exec(text);
  if (match === null) return NaN;
  const amount = Number(match[2]) * 100 + Number((match[3] ?? "0").padEnd(2, "0"));
  return match[1] === "-" && amount !== 0 ? -amount : amount;
}

/** An element with a class and text. Text is always text: nothing from outside becomes markup. */
export function element(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}
