// One file on its way to a session, in a row that stays the same element from the upload to the end,
// so that the focus is never lost: how far it is, in words and as a bar, and what can be done.

import { h, replace, svg } from "../dom.js";
import { bytes, count, duration } from "../format.js";

const ENOUGH_MS = 4000; // of progress seen before the rest is guessed
const ENOUGH = 0.03;

/**
 * @typedef {object} Step
 * @property {string} state what the row is marked with
 * @property {string} name of the file or the session
 * @property {string} text where it is, in words
 * @property {number|null} fraction 0..1; null: nobody knows
 * @property {Error|null} failure
 * @property {Array<{label: string, icon: string, run: () => void}>} actions
 */

export class WorkRow {
  constructor() {
    this.name = h("span", { class: "work-name" });
    this.text = h("span", { class: "work-text muted" });
    this.bar = h("progress", { class: "progress", max: 1 });
    this.trouble = h("div", { class: "work-trouble" });
    this.actions = h("div", { class: "work-actions" });
    this.element = h("li", { class: "work-row" }, svg("file"),
      h("div", { class: "work-main" }, this.name, this.text, this.bar, this.trouble), this.actions);
    this._labels = "";
    this._run = [];
  }

  /** Show how it stands now. @param {Step} step */
  show({ state, name, text, fraction, failure, actions }) {
    this.element.dataset.state = state;
    if (this.name.textContent !== name) this.name.textContent = name;
    this.text.textContent = text;
    this.text.hidden = failure !== null;
    this.bar.hidden = failure !== null;
    this.bar.setAttribute("aria-label", `${name}: ${text}`);
    if (fraction === null) this.bar.removeAttribute("value");
    else this.bar.value = fraction;
    this._showFailure(failure);
    this._run = actions.map(({ run }) => run);
    const labels = actions.map(({ label }) => label).join();
    if (labels === this._labels) return; // a button that is about to be pressed stays
    const hadFocus = this.actions.contains(document.activeElement);
    this._labels = labels;
    replace(this.actions, actions.map(({ label, icon }, at) => h(
      "button",
      { type: "button", class: "button quiet", "aria-label": `${label}: ${name}`,
        onclick: () => this._run[at]() },
      svg(icon), label,
    )));
    if (hadFocus) this.actions.firstElementChild?.focus();
  }

  _showFailure(failure) {
    if (failure === this._failure) return;
    this._failure = failure;
    replace(this.trouble, failure && h("p", { role: "alert" },
      h("strong", null, sentenceOf(failure.sentence)), " ", failure.step));
  }

  /** Say how a job stands, with a guess of how long it still takes. */
  textOf(job) {
    if (job.state === "queued") return queued(job.position);
    const now = performance.now();
    if (!this._began || job.progress < this._began.progress) {
      this._began = { at: now, progress: job.progress };
    }
    const percent = `Transcribing, ${Math.floor(job.progress * 100)} %`;
    const gained = job.progress - this._began.progress;
    const spent = now - this._began.at;
    if (gained < ENOUGH || spent < ENOUGH_MS) return percent;
    return `${percent}, about ${duration(rounded(((1 - job.progress) / gained) * (spent / 1000)))} left`;
  }
}

/** Say how far a file has gone. */
export function textOfUpload({ state, fraction, file }) {
  if (state === "waiting") return "Waits for the upload before it";
  if (state === "checking") return "Sent; the box writes it down…";
  return `Uploading, ${bytes(fraction * file.size)} of ${bytes(file.size)}`;
}

function queued(position) {
  if (position === null) return "Queued";
  return position === 0 ? "Begins in a moment" : `Queued, ${count(position, "file")} before it`;
}

function rounded(seconds) {
  const step = seconds < 60 ? 5 : 60;
  return Math.max(step, Math.round(seconds / step) * step);
}

function sentenceOf(text) {
  const sentence = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(sentence) ? sentence : `${sentence}.`;
}
