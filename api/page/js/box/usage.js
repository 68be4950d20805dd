// Usage: what is left of the plan, this month against the last one, and a chart by day.
import { call } from "../client.js";
import { h, replace } from "../dom.js";
import { count, number } from "../format.js";
import { failed } from "../notice.js";
import { chart } from "./chart.js";
import { segmented } from "./field.js";
import { limits } from "./limits.js";

const PATH = "/v1/transcribe/usage";
const SPANS = [
  [7, "7 days"],
  [30, "30 days"],
  [90, "90 days"],
];
export const FIGURES = {
  wordCount: { label: "Words", told: (n) => count(n, "word"), short: (n) => number(n) },
  audioMinutes: {
    label: "Minutes",
    told: (n) => `${number(n, Number.isInteger(n) ? 0 : 1)} min`,
    short: (n) => number(n, Number.isInteger(n) ? 0 : 1),
  },
  dictationCount: { label: "Dictations", told: (n) => count(n, "dictation"), short: (n) => number(n) },
  estimatedCost: { label: "Cost", told: null, short: null }, // in the currency of the price table
};

/** Show usage; ask for the chart again when another span is picked. */
export async function show(root, { signal }) {
  const [standing, byMonth] = await Promise.all([
    call(`${PATH}/check-limit`, { signal }),
    call(PATH, { query: { months: 2 }, signal }),
  ]);
  const slot = h("div", { class: "box-chart-slot" });
  const chosen = { days: 30, figure: "wordCount" };
  const known = new Map();
  const draw = async () => {
    const { days, figure } = chosen;
    try {
      if (!known.has(days)) {
        known.set(days, await call(`${PATH}/daily`, { query: { days }, signal }));
      }
      if (days === chosen.days && figure === chosen.figure) {
        replace(slot, byDay(known.get(days), figure, standing));
      }
    } catch (error) {
      if (!signal.aborted) failed(error, slot);
    }
  };
  const pick = (what) => (value) => {
    chosen[what] = value;
    draw();
  };
  const figures = Object.entries(FIGURES).map(([name, { label }]) => [name, label]);
  replace(
    root,
    h(
      "div",
      { class: "stack" },
      limits(standing),
      months(byMonth.months),
      h(
        "section",
        { "aria-label": "By day" },
        h("h2", {}, "By day"),
        h(
          "div",
          { class: "card" },
          h(
            "div",
            { class: "box-chart-bar" },
            segmented("What the chart shows", figures, chosen.figure, pick("figure")),
            segmented("How many days", SPANS, chosen.days, pick("days")),
          ),
          slot,
        ),
      ),
      h(
        "p",
        { class: "muted small" },
        "Counted are dictations: what apps keep in the history of the box. Sessions and recordings",
        " have no limit and are not counted here.",
      ),
    ),
  );
  await draw();
}

/** Return how a figure of the account is told, in its currency if it is the cost. */
export function figureOf(name, currency) {
  if (name !== "estimatedCost") return FIGURES[name];
  const told = (n) => money(n, currency);
  return { label: "Cost", told, short: told };
}

/** Return an amount; small ones keep the digits that make them more than nothing. */
export function money(amount, currency) {
  const digits = amount > 0 && amount < 1 ? 4 : 2;
  try {
    return new Intl.NumberFormat("en", {
      style: "currency",
      currency,
      minimumFractionDigits: 2,
      maximumFractionDigits: digits,
    }).format(amount);
  } catch {
    return `${number(amount, digits)} ${currency}`; // a price table may name what is no currency
  }
}

function months([current, before]) {
  const tiles = Object.keys(FIGURES).map((name) => {
    const { label, short } = figureOf(name, current.currency);
    return h(
      "div",
      { class: "card box-tile" },
      h("dt", {}, label),
      h("dd", { class: "box-figure" }, short(current[name])),
      h("dd", { class: "muted small" }, `${short(before[name])} last month`),
    );
  });
  return h(
    "section",
    { "aria-label": "This month" },
    h("h2", {}, "This month"),
    h("dl", { class: "box-tiles" }, ...tiles),
  );
}

function byDay({ days, timezone }, name, standing) {
  const figure = figureOf(name, days[0].currency);
  if (days.every((day) => day.dictationCount === 0)) {
    return h(
      "div",
      { class: "empty" },
      h("p", {}, h("strong", {}, `No dictation in these ${days.length} days.`)),
      h(
        "p",
        { class: "muted" },
        "Give an app a key with the scopes of Dictation; what it dictates shows up here.",
      ),
    );
  }
  const limit = name === "wordCount" ? standing.dailyWordsLimit : null;
  return chart({ days: [...days].reverse(), name, figure, limit, timezone });
}
