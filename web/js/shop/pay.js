// Paying for the order on the page. The card number lives in its field and in one request, and nowhere else.

import { call, persist } from "../api.js";
import { $, element, setText } from "../dom.js";
import { money } from "../format.js";
import { click } from "./clicks.js";
import { EMAIL_WITHIN_MS } from "./life.js";

let life = null;
let busy = false;
let ticking = 0;

export function showPayment(of) {
  life = of;
  const amount = life.order ? money(Math.max(0, life.order.quantity * life.order.priceCents)) : "";
  const times = life.payments.length;
  setText($("pay-title"), times === 0 ? "Pay" : "Paid");
  setText($("pay-submit"), times === 0 ? `Pay ${amount}` : "Pay again");
  $("pay").hidden = !life.created;
  $("pay-submit").disabled = busy || !life.created;
  clearInterval(ticking);
  showText();
  if (times === 0) ticking = setInterval(showText, 1000);
}

/** Why one would pay, and how long there is time for it. */
function showText() {
  if (!life.created) return;
  if (life.payments.length > 0) {
    const card = "The fourth payment with one card within five minutes is reported as possible fraud.";
    setText($("pay-text"), `Paying again is recorded again, and sends no second email. ${card}`);
    return;
  }
  const left = Math.ceil((life.created.timestamp + EMAIL_WITHIN_MS - Date.now()) / 1000);
  setText($("pay-text"), left > 0
    ? `An order and its payment meet in an email when they are within a minute of each other: ${left} s left.`
    : "An email would have needed a payment within a minute of the order. Paying still counts.");
}

const digits = (text) => text.replace(/[\s-]/g, "");

export function digitsAreCard(text) {
  return /^\d{12,19}$/.test(digits(text));
}

async function pay(event) {
  event.preventDefault();
  const text = $("card").value;
  const bad = !digitsAreCard(text);
  setText($("card-error"), bad ? "A card number has 12 to 19 digits." : "");
  $("card").setAttribute("aria-invalid", String(bad));
  $("pay-notice").replaceChildren();
  if (bad) return void $("card").focus();

  const paid = life;
  const payment = {
    id: crypto.randomUUID(), // the same however often it is sent
    orderId: paid.id,
    amountCents: Math.max(0, paid.order.quantity * paid.order.priceCents),
    cardNumber: digits(text),
  };
  busy = true;
  $("pay-submit").disabled = true;
  click("pay");
  try {
    await persist(4, () => call("POST", "/v1/payments", payment));
  } catch (problem) {
    if (problem.field === "cardNumber") {
      setText($("card-error"), problem.message);
      $("card").setAttribute("aria-invalid", "true");
    } else {
      $("pay-notice").replaceChildren(element("strong", "", "Not paid"), `${problem.message} Is payments stopped? Then start it: `,
        element("code", "", "./demo start payments"), " and pay again.");
    }
  } finally {
    busy = false;
    showPayment(life);
  }
}

/** 16 digits whose last one makes the sum right, as a terminal would check. */
function madeUpCard() {
  const d = [4, ...crypto.getRandomValues(new Uint8Array(14)).map((n) => n % 10)];
  const sum = d.reduce((total, n, i) => total + (i % 2 === 0 ? (2 * n > 9 ? 2 * n - 9 : 2 * n) : n), 0);
  return [...d, (10 - (sum % 10)) % 10].join("").replace(/(.{4})(?=.)/g, "$1 ");
}

$("pay-form").addEventListener("submit", pay);
$("test-card").addEventListener("click", () => {
  $("card").value = madeUpCard();
  setText($("card-error"), "");
  $("card").setAttribute("aria-invalid", "false");
  $("pay-submit").focus();
});
