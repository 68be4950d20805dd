// Pairs of what is heard and what is to be written, each a row of two inputs.
import { h, replace, svg } from "../dom.js";
import { number } from "../format.js";
import { LONGEST } from "./hotwords.js";

export const MOST = 500;

/**
 * Return the editor of a list of {from, to}; it changes the list in place and tells of it.
 * @param {{pairs: () => Array<{from: string, to: string}>, onChange: () => void,
 *   editable: boolean}} options
 */
export function replacements({ pairs, onChange, editable }) {
  const rows = h("ol", { class: "box-pairs", "aria-label": "Replacements" });
  const counted = h("p", { class: "muted small" });
  const add = h(
    "button",
    { class: "button", type: "button", onclick: () => append() },
    svg("plus"),
    "Add a replacement",
  );
  const append = () => {
    const last = rows.lastElementChild?.querySelector("input");
    if (last && last.value.trim() === "") {
      last.focus(); // one empty row is enough
      return;
    }
    pairs().push({ from: "", to: "" });
    onChange();
    draw();
    rows.lastElementChild.querySelector("input").focus();
  };
  const remove = (pair) => {
    const at = pairs().indexOf(pair);
    pairs().splice(at, 1);
    onChange();
    draw();
    const left = rows.querySelectorAll("button");
    (left[Math.min(at, left.length - 1)] ?? add).focus();
  };
  const row = (pair, index) => {
    const input = (side, label) =>
      h("input", {
        type: "text",
        maxlength: String(LONGEST),
        autocomplete: "off",
        value: pair[side],
        readonly: !editable,
        "aria-label": `${label}, replacement ${index + 1}`,
        oninput: (event) => {
          pair[side] = event.target.value;
          event.target.removeAttribute("aria-invalid");
          onChange();
        },
        onkeydown: (event) => {
          if (event.key === "Enter" && !event.isComposing && editable) {
            event.preventDefault();
            append();
          }
        },
      });
    return h(
      "li",
      {},
      input("from", "Heard"),
      h("span", { class: "box-arrow muted", "aria-hidden": "true" }, "→"),
      input("to", "Written"),
      editable &&
        h(
          "button",
          {
            class: "button quiet small icon-only",
            type: "button",
            "aria-label": `Remove replacement ${index + 1}`,
            onclick: () => remove(pair),
          },
          svg("close"),
        ),
    );
  };
  const draw = () => {
    replace(rows, ...pairs().map(row));
    add.disabled = pairs().length >= MOST;
    const none = pairs().length === 0;
    rows.hidden = none;
    replace(counted, none ? "No replacement yet." : `${number(pairs().length)} of ${MOST}`);
  };
  /** Mark the row that is wrong, if any, and return the sentence that says so. */
  const check = () => {
    const seen = new Set();
    for (const [index, { from, to }] of pairs().entries()) {
      const name = from.trim().replace(/\s+/g, " ").toLowerCase();
      const empty = name === "" && to.trim() !== "";
      if (empty || (name !== "" && seen.has(name))) {
        const input = rows.children[index].querySelector("input");
        input.setAttribute("aria-invalid", "true");
        input.focus();
        return empty
          ? `Replacement ${index + 1} doesn't say what is heard. Fill it in, or remove the row.`
          : `“${from.trim()}” is there twice. Keep one of the two.`;
      }
      seen.add(name);
    }
    return null;
  };
  draw();
  const element = h(
    "section",
    { class: "card", "aria-labelledby": "box-replacements" },
    h(
      "div",
      {},
      h("h2", { id: "box-replacements" }, "Replacements"),
      h(
        "p",
        { class: "muted" },
        "What is written in place of what is heard, in the note; the original stays as it was. ",
        "Leave the right side empty to leave the words out.",
      ),
    ),
    rows,
    counted,
    editable ? h("div", {}, add) : null,
  );
  return { element, draw, check };
}
