/** What one row of the transcript shows, and the switch for those that were held back. */

import { h, replace, svg } from "../dom.js";
import { clock, count } from "../format.js";
import { engineWords, reasonWords } from "../record/words.js";

/**
 * Make a row: its time, its text, why that was held back, who wrote it.
 * @param {import("./timeline.js").Row} row
 * @param {number} number
 * @param {boolean} tellsEngine whether the engine is another than in the row before
 */
export function rowNode(row, number, tellsEngine) {
  const isHeld = row.reason !== undefined;
  const engine = engineWords(row.engine, row.engineReason);
  const time = clock(row.start);
  const props = { class: "row-time figures", type: "button", tabindex: "-1" };
  return h(
    "li",
    { class: isHeld ? "heard-row held-back" : "heard-row", dataset: { row: number } },
    h("button", { ...props, "aria-label": `Play from ${time}` }, time),
    h(
      "div",
      { class: "row-text" },
      h("p", { class: "said" }, row.text || "(no text)"),
      isHeld &&
        h("p", { class: "row-note" }, svg("eye-off"), `Held back: ${reasonWords(row.reason)}.`),
      tellsEngine &&
        h(
          "p",
          { class: "row-note" },
          svg(engine.cloud ? "cloud" : "box"),
          engine.detail || engine.label,
        ),
    ),
  );
}

/** Make what hides and shows the text that was held back; null if there is none. */
export function heldBackSwitch(rows, list) {
  const held = rows.filter((row) => row.reason !== undefined).length;
  if (!held) return null;
  const label = `${count(held, "passage")} held back`;
  const button = h(
    "button",
    {
      class: "button quiet small held-switch",
      type: "button",
      "aria-pressed": "true",
      onclick: turn,
    },
    svg("eye"),
    label,
  );

  function turn() {
    const hides = list.classList.toggle("without-held-back");
    button.setAttribute("aria-pressed", String(!hides));
    replace(button, svg(hides ? "eye-off" : "eye"), label);
  }

  return button;
}
