// What the plan leaves today and this week: two bars, or that there is no limit.
import { h } from "../dom.js";
import { number } from "../format.js";

const USED_UP = {
  daily: "The words of today are used up. They begin anew at midnight.",
  weekly: "The words of this week are used up. They begin anew on Monday.",
};

/** Return the part of the page that tells of limits, from what check-limit answers. */
export function limits(standing) {
  const bars = [
    bar("Today", standing.dailyWordsUsed, standing.dailyWordsLimit, "at midnight"),
    bar("This week", standing.weeklyWordsUsed, standing.weeklyWordsLimit, "on Monday"),
  ];
  return h(
    "section",
    { "aria-label": "Limits" },
    h("h2", {}, "Limits ", h("span", { class: "chip" }, `plan ${standing.plan}`)),
    usedUp(standing),
    h("div", { class: "box-limits" }, ...bars),
  );
}

function usedUp({ allowed, limitType }) {
  if (allowed || !(limitType in USED_UP)) return null;
  return h(
    "div",
    { class: "alert warning", role: "status" },
    h("p", {}, h("strong", {}, USED_UP[limitType])),
    h("p", {}, "Only the cloud pauses until then; the box itself goes on transcribing."),
  );
}

function bar(label, used, limit, anew) {
  if (limit === null) {
    return h(
      "div",
      { class: "card box-limit" },
      h("p", { class: "box-limit-name" }, label),
      h("p", { class: "box-figure" }, number(used), h("span", { class: "muted" }, " words")),
      h("p", { class: "muted small" }, "No limit."),
    );
  }
  const left = Math.max(0, limit - used);
  const state = left === 0 ? "used-up" : used > 0.8 * limit ? "nearly" : "fine";
  return h(
    "div",
    { class: "card box-limit" },
    h("p", { class: "box-limit-name" }, label),
    h(
      "p",
      { class: "box-figure" },
      number(used),
      h("span", { class: "muted" }, ` of ${number(limit)} words`),
    ),
    h("progress", {
      class: "progress box-meter",
      dataset: { state },
      max: Math.max(limit, 1),
      value: Math.min(used, limit),
      "aria-label": `${label}: words used`,
    }),
    h("p", { class: "muted small" }, `${number(left)} left; begins anew ${anew}.`),
  );
}
