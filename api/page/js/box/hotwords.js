// The words that the engine should expect, as chips; several may be pasted at once.
import { h, replace, svg } from "../dom.js";
import { number } from "../format.js";
import { announce } from "../notice.js";
import { field } from "./field.js";

export const MOST = 200;
export const LONGEST = 100;

/**
 * Return the editor of a list of words; it changes the list in place and tells of it.
 * @param {{words: () => string[], onChange: () => void, editable: boolean}} options
 */
export function hotwords({ words, onChange, editable }) {
  const chips = h("ul", { class: "chips box-words", "aria-label": "Words to expect" });
  const counted = h("p", { class: "muted small" });
  const entry = field(
    "Add a word or a name",
    h("input", { type: "text", autocomplete: "off", spellcheck: "false", enterkeyhint: "done" }),
    { hint: "Several at once: separate them by commas, or paste a list." },
  );
  const add = (text) => {
    const wanted = text.split(/[,;\n]/).map((word) => word.trim().replace(/\s+/g, " "));
    const fresh = [...new Set(wanted)].filter((word) => word !== "" && !words().includes(word));
    const long = fresh.find((word) => [...word].length > LONGEST);
    if (long !== undefined) {
      entry.complain(`“${[...long].slice(0, 30).join("")}…” is too long: ${LONGEST} characters are the most.`);
    } else if (words().length + fresh.length > MOST) {
      entry.complain(`${MOST} words are the most; remove some first.`);
    } else {
      entry.input.value = "";
      entry.complain(null);
      if (fresh.length === 0 && text.trim() !== "") announce("It is there already.");
      if (fresh.length > 0) {
        words().push(...fresh);
        announce(`Added: ${fresh.join(", ")}.`);
        onChange();
        draw();
      }
    }
    return entry.input.value === "";
  };
  const remove = (index) => {
    const [word] = words().splice(index, 1);
    announce(`Removed: ${word}.`);
    onChange();
    draw();
    const buttons = chips.querySelectorAll("button");
    (buttons[Math.min(index, buttons.length - 1)] ?? entry.input).focus();
  };
  const draw = () => {
    const items = words().map((word, index) =>
      h(
        "li",
        { class: "chip box-word" },
        h("span", {}, word),
        editable &&
          h(
            "button",
            { type: "button", "aria-label": `Remove ${word}`, onclick: () => remove(index) },
            svg("close"),
          ),
      ),
    );
    replace(chips, ...items);
    chips.hidden = items.length === 0;
    replace(
      counted,
      items.length === 0 ? "No word yet." : `${number(items.length)} of ${MOST}`,
    );
  };
  entry.input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    add(entry.input.value);
  });
  entry.input.addEventListener("paste", (event) => {
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (!/[,;\n]/.test(text)) return;
    event.preventDefault(); // a line of input would glue the lines together
    const kept = entry.input.value;
    if (!add(`${kept}${text}`)) entry.input.value = kept;
  });
  draw();
  const button = h(
    "button",
    { class: "button", type: "button", onclick: () => add(entry.input.value) },
    "Add",
  );
  const element = h(
    "section",
    { class: "card", "aria-labelledby": "box-hotwords" },
    h(
      "div",
      {},
      h("h2", { id: "box-hotwords" }, "Words to expect"),
      h("p", { class: "muted" }, "Names and terms that are said here. The engine leans towards them."),
    ),
    editable ? h("div", { class: "box-entry" }, entry.element, button) : null,
    chips,
    counted,
  );
  return { element, draw, pending: () => entry.input.value.trim(), flush: () => add(entry.input.value) };
}
