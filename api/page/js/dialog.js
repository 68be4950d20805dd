/** Dialogs: the browser's own, named by their heading; the focus goes back to where it was. */

import { h, replace, svg } from "./dom.js";

let numbered = 0;

/**
 * Show a dialog over the page.
 * @param {string} title
 * @param {Node|Array<Node>} content
 * @param {{actions?: Array<Node>, wide?: boolean, onClose?: (value: string) => void}} [options]
 * @returns {{dialog: HTMLDialogElement, close: (value?: string) => void, closed: Promise<string>,
 *   setContent: (...children: any) => void}} `closed` resolves with what close() was given, ""
 */
export function showDialog(title, content, { actions = [], wide = false, onClose } = {}) {
  const before = document.activeElement;
  const name = `dialog-${(numbered += 1)}`;
  const body = h("div", { class: "dialog-body" }, content);
  const dialog = h(
    "dialog",
    { class: ["dialog", wide && "wide"], "aria-labelledby": name },
    h(
      "header",
      { class: "dialog-head" },
      h("h2", { id: name }, title),
      h(
        "button",
        {
          class: "button quiet icon-only",
          type: "button",
          "aria-label": "Close",
          onclick: () => dialog.close(""),
        },
        svg("close"),
      ),
    ),
    body,
    actions.length > 0 && h("footer", { class: "dialog-actions" }, actions),
  );
  let pressedOutside = false;
  dialog.addEventListener("pointerdown", (event) => {
    pressedOutside = event.target === dialog; // the dialog itself is only hit on its backdrop
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog && pressedOutside) dialog.close("");
  });
  const closed = new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before?.isConnected) before.focus();
      onClose?.(dialog.returnValue);
      resolve(dialog.returnValue);
    });
  });
  document.body.append(dialog);
  dialog.showModal();
  return {
    dialog,
    closed,
    close: (value = "") => dialog.close(value),
    setContent: (...children) => replace(body, ...children),
  };
}

/**
 * Ask for a decision.
 * @param {{title: string, text: string|Node|Array<any>, confirm: string, cancel?: string,
 *   danger?: boolean}} question
 * @returns {Promise<boolean>} whether it was confirmed
 */
export async function ask({ title, text, confirm, cancel = "Cancel", danger = false }) {
  const no = h("button", { class: "button", type: "button", onclick: () => shown.close("") }, cancel);
  const yes = h(
    "button",
    {
      class: ["button", danger ? "danger" : "primary"],
      type: "button",
      onclick: () => shown.close("yes"),
    },
    confirm,
  );
  const content = typeof text === "string" ? h("p", null, text) : text;
  const shown = showDialog(title, content, { actions: [no, yes] });
  (danger ? no : yes).focus();
  return (await shown.closed) === "yes";
}

/** Close every open dialog: what they are about has gone. */
export function closeDialogs() {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close("");
}
