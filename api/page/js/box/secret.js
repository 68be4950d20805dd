// A secret that the box shows this once: to be copied, then put out of sight.
import { h } from "../dom.js";

/**
 * Return a card with the secret; `onDone` runs when the person has kept it.
 * @param {{title: string, sentence: string, label: string, secret: string, onDone: () => void}} what
 */
export function secretCard({ title, sentence, label, secret, onDone }) {
  const shown = h("input", {
    class: "box-secret-text",
    type: "text",
    value: secret,
    readonly: true,
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": label,
    onfocus: (event) => event.target.select(),
  });
  const told = h("p", { class: "muted", "aria-live": "polite" });
  const copyIt = async () => {
    const copied = await copy(shown);
    told.textContent = copied
      ? "Copied. Keep it where you keep passwords."
      : "The browser doesn't allow copying here: the text is selected, press Ctrl+C or ⌘C.";
  };
  const heading = h("h2", { tabindex: "-1" }, title);
  const card = h(
    "section",
    { class: "card box-secret", "aria-label": title },
    heading,
    h("p", {}, sentence),
    h(
      "div",
      { class: "box-secret-row" },
      shown,
      h("button", { class: "button primary", type: "button", onclick: copyIt }, "Copy"),
    ),
    told,
    h(
      "button",
      {
        class: "button",
        type: "button",
        onclick: () => {
          shown.value = "";
          card.remove();
          onDone();
        },
      },
      "I have kept it",
    ),
  );
  return card;
}

/** Bring the card into view; the focus has its heading read. */
export function present(card) {
  card.querySelector("h2").focus();
  card.scrollIntoView({ block: "nearest" });
}

/** Copy what an input holds; plain http has no clipboard, so there is the old way, too. */
async function copy(input) {
  input.focus();
  input.select();
  try {
    await navigator.clipboard.writeText(input.value);
    return true;
  } catch {
    return document.execCommand("copy");
  }
}
