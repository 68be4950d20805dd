// A labelled input with its hint and, when something is wrong with it, the sentence that says so.
import { h, replace } from "../dom.js";

let count = 0;

/**
 * Return {element, input, complain}: complain(sentence) marks the input, complain(null) clears it.
 * @param {string} label
 * @param {HTMLElement} input an input, select or textarea
 */
export function field(label, input, { hint = null } = {}) {
  const id = `box-field-${++count}`;
  input.id = id;
  const error = h("p", { class: "error", id: `${id}-error`, hidden: true });
  const described = [hint === null ? "" : `${id}-hint`, `${id}-error`].join(" ").trim();
  input.setAttribute("aria-describedby", described);
  const element = h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    input,
    hint === null ? null : h("p", { class: "hint", id: `${id}-hint` }, hint),
    error,
  );
  const complain = (sentence) => {
    replace(error, sentence ?? "");
    error.hidden = sentence === null;
    if (sentence === null) input.removeAttribute("aria-invalid");
    else input.setAttribute("aria-invalid", "true");
  };
  input.addEventListener("input", () => complain(null));
  return { element, input, complain };
}

/** Return a select of [value, label] pairs. */
export function choice(pairs, { value = pairs[0]?.[0], ...props } = {}) {
  const options = pairs.map(([one, label]) => h("option", { value: one }, label));
  const select = h("select", props, ...options);
  select.value = value;
  return select;
}

/** Return radio buttons that look like one switch; `onPick` hears of the value picked. */
export function segmented(legend, pairs, value, onPick) {
  const name = `box-pick-${++count}`;
  const parts = pairs.map(([one, label]) =>
    h(
      "label",
      {},
      h("input", {
        type: "radio",
        name,
        value: one,
        checked: one === value,
        onchange: () => onPick(one),
      }),
      h("span", {}, label),
    ),
  );
  return h(
    "fieldset",
    { class: "box-segmented" },
    h("legend", { class: "visually-hidden" }, legend),
    ...parts,
  );
}

/** Put what the box says of single fields beside them; return whether any was placed. */
export function place(error, fields) {
  let placed = false;
  for (const { field: name, message } of error.errors ?? []) {
    if (name in fields) {
      fields[name].complain(message);
      placed = true;
    }
  }
  return placed;
}
