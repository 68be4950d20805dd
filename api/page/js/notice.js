/** What the page says by itself: for a moment (toast), in place (failed), or to be heard only. */

import { h, replace, svg } from "./dom.js";

const SECONDS = { info: 5, ok: 5, warning: 8, error: 10 };
const ICON = { info: "info", ok: "check", warning: "alert", error: "alert" };

let toasts = null;
let spoken = null;

/**
 * Say something for a moment at the edge of the page.
 * @param {string} sentence
 * @param {{kind?: "info"|"ok"|"warning"|"error", action?: {label: string, run: () => void},
 *   seconds?: number}} [options]
 * @returns {() => void} what takes it away
 */
export function toast(sentence, { kind = "info", action, seconds } = {}) {
  toasts ??= document.body.appendChild(
    h("div", { class: "toasts", role: "region", "aria-label": "Messages", popover: "manual" }),
  );
  let timer;
  const gone = () => {
    clearTimeout(timer);
    item.remove();
    if (toasts.children.length === 0) toasts.hidePopover();
  };
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(gone, 1000 * (seconds ?? SECONDS[kind] + (action ? 5 : 0)));
  };
  const item = h(
    "div",
    {
      class: ["toast", kind],
      // whoever is reading or about to press is not hurried
      onmouseenter: () => clearTimeout(timer),
      onmouseleave: wait,
      onfocusin: () => clearTimeout(timer),
      onfocusout: wait,
    },
    svg(ICON[kind]),
    h("span", { class: "toast-text" }, sentence),
    action && h("button", { class: "button small quiet", type: "button", onclick: () => {
      gone();
      action.run();
    } }, action.label),
    h("button", { class: "button small quiet icon-only", type: "button", "aria-label": "Dismiss",
      onclick: gone }, svg("close")),
  );
  toasts.append(item);
  while (toasts.children.length > 3) toasts.firstChild.remove();
  if (toasts.matches(":popover-open")) toasts.hidePopover();
  toasts.showPopover(); // above a dialog too, were it opened before or after
  announce(sentence);
  wait();
  return gone;
}

/** Have a screen reader say something; nothing is seen. */
export function announce(text) {
  spoken ??= document.body.appendChild(
    h("div", { class: "visually-hidden", role: "status", "aria-live": "polite" }),
  );
  replace(spoken, h("span", null, text)); // a new node, so that the same words are said again
}

/**
 * Show what failed and what to do next; an abort is no failure.
 * @param {Error} error
 * @param {Element|null} [where] what gets the message as its only content; a toast without
 * @param {{retry?: () => void}} [options]
 * @returns {HTMLElement|null} the message
 */
export function failed(error, where = null, { retry } = {}) {
  if (error?.name === "AbortError") return null;
  const sentence = error?.sentence ?? "Something went wrong on this page.";
  const step = error?.step ?? "Reload the page. If it comes again, tell whoever runs the box.";
  if (where === null) {
    toast(`${sentence} ${step}`, { kind: "error", action: retry && { label: "Try again", run: retry } });
    return null;
  }
  const alert = message("error", sentence, step, retry && h(
    "button",
    { class: "button small", type: "button", onclick: retry },
    svg("replay"),
    "Try again",
  ));
  alert.setAttribute("role", "alert");
  replace(where, alert);
  return alert;
}

/**
 * Make a message that stays in place.
 * @param {"info"|"ok"|"warning"|"error"} kind
 * @param {string|Node} sentence
 * @param {...any} more the next step, a button
 */
export function message(kind, sentence, ...more) {
  const rest = more.map((each) => (typeof each === "string" ? h("p", null, each) : each));
  return h(
    "div",
    { class: ["alert", kind] },
    svg(ICON[kind]),
    h("div", { class: "alert-text" }, h("p", { class: "alert-title" }, sentence), rest),
  );
}
