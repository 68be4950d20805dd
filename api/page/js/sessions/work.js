// What is on its way: files being sent, jobs in the queue, and those that failed, each one a row
// from its upload to its session.

import { ask } from "../dialog.js";
import { h } from "../dom.js";
import { count } from "../format.js";
import { Failure } from "../client.js";
import { may } from "../me.js";
import { announce, failed, toast } from "../notice.js";
import { Jobs, isOpen } from "./jobs.js";
import { uploads } from "./uploads.js";
import { WorkRow, textOfUpload } from "./work_row.js";

const STEP = "Look whether the file plays elsewhere, then upload it again.";

export class Work {
  /** @param {{onSession: () => void, onWhile: () => void, signal: AbortSignal}} options */
  constructor({ onSession, onWhile, signal }) {
    this._onSession = onSession;
    this._rows = new Map();
    this.heading = h("h2", { class: "work-heading" });
    this.list = h("ul", { class: "work-rows" });
    this.element = h("section", { class: "work card", "aria-label": "On their way", hidden: true },
      this.heading, this.list);
    const onDone = (job) => this._done(job);
    this.jobs = new Jobs({ onChange: () => this._show(), onDone, onWhile, signal });
    uploads.addEventListener("change", () => this._show(), { signal });
    uploads.addEventListener("accepted", ({ detail }) => this._accepted(detail), { signal });
    this._show();
    this.jobs.look();
  }

  _accepted(item) {
    const row = this._rows.get(item.key);
    this._rows.delete(item.key);
    this._rows.set(`job-${item.job}`, row); // the same row goes on
    this.jobs.expect(item.job, item.name);
    this._show();
    announce(`${item.name} is uploaded.`);
  }

  _done(job) {
    this._onSession();
    toast(`${nameOf(job)} is transcribed.`, { kind: "ok", action: {
      label: "Open", run: () => (location.hash = `#/sessions/${job.sessionId}`) } });
  }

  _show() {
    const all = [...this.jobs.shown, ...uploads.own]; // in the order in which they will be served
    const hasFailed = (one) => one.state === "failed";
    const sorted = [...all.filter((one) => !hasFailed(one)), ...all.filter(hasFailed)];
    const steps = new Map(sorted.map((one) => [one.key ?? `job-${one.id}`, one]));
    for (const [key, row] of this._rows) {
      if (!steps.has(key)) this._remove(key, row);
    }
    let before = null;
    for (const [key, step] of steps) {
      if (!this._rows.has(key)) this._rows.set(key, new WorkRow());
      const row = this._rows.get(key);
      row.show(step.key ? this._stepOfUpload(step) : this._stepOfJob(step, row));
      const place = before === null ? this.list.firstElementChild : before.nextElementSibling;
      if (place !== row.element) this.list.insertBefore(row.element, place);
      before = row.element;
    }
    const open = all.length - all.filter(hasFailed).length;
    this.heading.textContent = open > 0 ? `${count(open, "file")} on the way` : "Not transcribed";
    this.element.hidden = steps.size === 0;
  }

  _remove(key, row) {
    const next = row.element.nextElementSibling ?? row.element.previousElementSibling;
    if (row.element.contains(document.activeElement)) next?.querySelector("button")?.focus();
    row.element.remove();
    this._rows.delete(key);
  }

  _stepOfUpload(item) {
    const { state, name, fraction, failure } = item;
    const giveUp = () => uploads.remove(item);
    if (state === "failed") {
      const again = { label: "Try again", icon: "replay", run: () => uploads.retry(item) };
      const dismiss = { label: "Dismiss", icon: "close", run: giveUp };
      const actions = isHopeless(failure) ? [dismiss] : [again, dismiss];
      return { state, name, text: "", fraction: null, failure, actions };
    }
    return { state, name, text: textOfUpload(item), failure: null,
      fraction: state === "checking" ? null : fraction,
      actions: [{ label: "Cancel", icon: "close", run: giveUp }] };
  }

  _stepOfJob(job, row) {
    const name = nameOf(job);
    if (!isOpen(job)) {
      const dismiss = { label: "Dismiss", icon: "close", run: () => this.jobs.dismiss(job) };
      const failure = (row.failureShown ??= new Failure(422, job.error ?? "It could not be transcribed", { step: STEP }));
      return { state: "failed", name, text: "", fraction: null, failure, actions: [dismiss] };
    }
    const cancel = { label: "Cancel", icon: "close", run: () => this._cancel(job) };
    return { state: job.state, name, text: row.textOf(job), failure: null,
      fraction: job.state === "running" ? job.progress : null,
      actions: may("sessions:write") ? [cancel] : [] };
  }

  async _cancel(job) {
    const sure = await ask({ title: "Cancel this transcription?", danger: true,
      text: `${nameOf(job)} is not transcribed, and the box deletes its audio. The file on your own device stays.`,
      confirm: "Cancel transcription", cancel: "Keep it" });
    if (!sure) return;
    try {
      await this.jobs.cancel(job);
      announce(`${nameOf(job)} is cancelled.`);
    } catch (error) {
      if (error.status === 409) toast("It had ended before it could be cancelled.");
      else failed(error);
      this.jobs.look();
    }
  }
}

function nameOf(job) {
  return job.title || `Upload ${job.id}`;
}

function isHopeless({ status }) {
  return [400, 403, 413, 415].includes(status);
}
