/* A level meter: the loudness of the last second, in dBFS, told to the eye and in words. */

import { h } from "../dom.js";

const LOWEST_DBFS = -60; // what is drawn as nothing
const LOUD_DBFS = -6;
const QUIET_DBFS = -50;

/** Make the meter: {element, show(dbfs|null)}. */
export function meter() {
  const bar = h("div", { class: "level-bar" });
  const figure = h("span", { class: "level-figure muted", "aria-hidden": "true" }, "–");
  const track = h(
    "div",
    {
      class: "level-track",
      role: "meter",
      "aria-label": "Level",
      "aria-valuemin": String(LOWEST_DBFS),
      "aria-valuemax": "0",
      "aria-valuenow": String(LOWEST_DBFS),
      "aria-valuetext": "no level yet",
    },
    bar,
  );

  function show(dbfs) {
    const known = dbfs !== null && dbfs !== undefined;
    const value = known ? Math.min(Math.max(dbfs, LOWEST_DBFS), 0) : LOWEST_DBFS;
    bar.style.setProperty("--level", String(1 - value / LOWEST_DBFS));
    bar.classList.toggle("is-loud", known && value > LOUD_DBFS);
    figure.textContent = known ? `${Math.round(Math.max(dbfs, -120))} dB` : "–";
    track.setAttribute("aria-valuenow", String(Math.round(value)));
    track.setAttribute(
      "aria-valuetext",
      known ? `${Math.round(dbfs)} dBFS, ${inWords(value)}` : "no level yet",
    );
  }

  return { element: h("div", { class: "level" }, track, figure), show };
}

function inWords(dbfs) {
  if (dbfs > LOUD_DBFS) return "very loud";
  return dbfs < QUIET_DBFS ? "very quiet" : "good";
}
