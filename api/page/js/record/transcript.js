/* The text of a recording as it comes: settled lines, the line being said, gaps between them.
   It stays at the newest line until somebody scrolls away from it. */

import { h, replace } from "../dom.js";
import { clock, count } from "../format.js";
import { engineWords, gapSentence, reasonWords } from "./words.js";

const NEAR_PX = 48; // from the end still counts as being there
const CAUGHT_UP_MS = 2000;

/** Make the text view: {element, segment, gap, partial, settle}. */
export function transcript() {
  const rows = []; // {at, node}, in the order of the sound
  let heldBack = 0;
  let pinned = true;
  let frame = 0;
  let top = 0; // where the reader is

  const stable = h("span", { class: "line-stable" });
  const tentative = h("span", { class: "line-tentative" });
  const saying = h(
    "p",
    { class: "line line-now", "aria-hidden": "true", hidden: true },
    h("span", { class: "line-at" }),
    h("span", { class: "line-text" }, stable, " ", tentative),
  );
  const lines = h("div", {
    class: "lines",
    role: "log",
    "aria-live": "off",
    "aria-label": "What was said",
  });
  // what was said before is there to be read, not to be read out
  setTimeout(() => lines.setAttribute("aria-live", "polite"), CAUGHT_UP_MS);
  const nothing = h("p", { class: "lines-empty muted" }, "Words appear here while people speak.");
  const box = h(
    "div",
    { class: "lines-scroll", tabindex: "0", role: "region", "aria-label": "Live text" },
    nothing,
    lines,
    saying,
  );
  const newest = h(
    "button",
    { type: "button", class: "button lines-newest", hidden: true, onclick: toNewest },
    "Newest text",
  );
  const toggle = h("button", {
    type: "button",
    class: "button quiet lines-held",
    hidden: true,
    "aria-pressed": "false",
    onclick: showHeldBack,
  });
  const element = h("section", { class: "card live-text" }, box, newest, toggle);

  box.addEventListener("scroll", () => {
    const left = box.scrollHeight - box.scrollTop - box.clientHeight;
    // lines that turn out higher than was guessed leave the end too, but nobody scrolled up
    if (left < NEAR_PX) pinned = true;
    else if (box.scrollTop < top - 1) pinned = false;
    top = box.scrollTop;
    newest.hidden = pinned;
    if (pinned && left > 1) stay();
  });
  const sizes = new ResizeObserver(stay);
  for (const each of [box, lines, saying]) sizes.observe(each);

  /** Stay at the end, once a frame: of a long recording thousands of lines come at once. */
  function stay() {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      if (pinned) box.scrollTop = box.scrollHeight;
      else newest.hidden = false;
    });
  }

  function toNewest() {
    pinned = true;
    newest.hidden = true;
    stay();
    box.focus({ preventScroll: true });
  }

  function showHeldBack() {
    const shown = element.classList.toggle("with-held-back");
    toggle.setAttribute("aria-pressed", String(shown));
    stay();
  }

  /** Put a row where it belongs in time; it almost always is the last. */
  function place(at, node) {
    let before = rows.length;
    while (before > 0 && rows[before - 1].at > at) before -= 1;
    lines.insertBefore(node, rows[before]?.node ?? null);
    rows.splice(before, 0, { at, node });
    nothing.hidden = true;
    stay();
  }

  function segment(told) {
    partial({}); // its words are in the segment
    const engine = engineWords(told.engine, told.engineReason);
    const reason = told.reason ?? null;
    const failed = reason === "engine error";
    const text = failed ? `No text here: ${reasonWords(reason)}.` : told.text;
    const kind = failed ? "line line-lost" : reason ? "line line-held" : "line";
    const because =
      reason && !failed ? h("span", { class: "line-why" }, reasonWords(reason)) : null;
    const by = h("span", { class: engine.cloud ? "line-by line-cloud" : "line-by" }, engine.label);
    by.title = engine.detail;
    const words = h("span", { class: "line-text" }, text, ...(because ? [" ", because] : []));
    place(told.start, h("p", { class: kind }, stamp(told.start), words, by));
    if (reason && !failed) {
      heldBack += 1;
      toggle.hidden = false;
      replace(toggle, `Show ${count(heldBack, "passage", "passages")} held back`);
    }
  }

  function gap(told) {
    const sentence = h("span", { class: "line-text" }, gapSentence(told));
    place(told.atSeconds, h("p", { class: "line line-gap" }, stamp(told.atSeconds), sentence));
  }

  function partial(told) {
    stable.textContent = told.stable ?? "";
    tentative.textContent = told.tentative ?? "";
    saying.hidden = !(told.stable || told.tentative);
    nothing.hidden = nothing.hidden || !saying.hidden;
    stay();
  }

  /** Nothing more comes: what was being said is a line by now. */
  function settle() {
    partial({});
    if (!rows.length) nothing.textContent = "Nothing was said.";
  }

  return { element, segment, gap, partial, settle };
}

function stamp(seconds) {
  return h("span", { class: "line-at" }, clock(seconds));
}
