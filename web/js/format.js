// Amounts and times for people.

const moneyFormat = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const momentFormat = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const clockFormat = new Intl.DateTimeFormat("en-GB", { timeStyle: "short" });

/** Integer cents, as money. */
export const money = (cents) => moneyFormat.format(cents / 100);

export const moment = (ms) => momentFormat.format(new Date(ms));

export const clock = (ms) => clockFormat.format(new Date(ms));

/** Milliseconds as "48 ms", "3.2 s" or "4 min". */
export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 100000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.round(ms / 60000)} min`;
}

/** "24.90", "24,9" or "-3" as integer cents; NaN where it is no amount. */
export function cents(text) {
  const match = /^\s*(-?)(\d{1,12})(?:[.,](\d{1,2}))?\s*$/.exec(text);
  if (match === null) return NaN;
  const amount = Number(match[2]) * 100 + Number((match[3] ?? "0").padEnd(2, "0"));
  return match[1] === "-" && amount !== 0 ? -amount : amount;
}

const countFormat = new Intl.NumberFormat("en");
const instantFormat = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** A whole number with its thousands apart. */
export const count = (n) => countFormat.format(n);

/** "512 bytes", "48 KB", "3.1 MB" */
export function bytes(n) {
  if (n < 1000) return `${n} bytes`;
  const units = ["KB", "MB", "GB", "TB"];
  const power = Math.min(Math.floor(Math.log10(n) / 3), units.length);
  const value = n / 1000 ** power;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[power - 1]}`;
}

/** To the millisecond. */
export const instant = (ms) => `${instantFormat.format(new Date(ms))}.${String(ms % 1000).padStart(3, "0")}`;
