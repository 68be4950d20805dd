// What the box is transcribing, asked for again and again: each second while there is something to
// see, less often otherwise, and not at all while nobody looks.

import { call, events } from "../client.js";

const JOBS = "/api/v1/jobs";
const BUSY_MS = 1000;
const IDLE_MS = 5000;
const WHILE_MS = 15_000;
const FAILED_MS = 4000;
const OPEN = new Set(["queued", "running"]);
const DISMISSED = "scribebox.dismissedJobs";
const MOST_DISMISSED = 200;

/** Tell whether a job is still to be done. */
export function isOpen(job) {
  return OPEN.has(job.state);
}

export class Jobs {
  /**
   * @param {{onChange: () => void, onDone: (job: object) => void, onWhile: () => void,
   *   signal: AbortSignal}} options `onWhile` is called now and then: what else may have come?
   */
  constructor({ onChange, onDone, onWhile, signal }) {
    this.shown = []; // open ones in the order of the queue, then those that failed
    this._on = { onChange, onDone, onWhile };
    this._since = performance.now();
    this._signal = signal;
    this._open = new Set();
    this._expected = new Map();
    this._dismissed = new Set(JSON.parse(localStorage.getItem(DISMISSED) ?? "[]"));
    document.addEventListener("visibilitychange", () => document.hidden || this.look(), { signal });
    events.addEventListener("back", () => this.look(), { signal });
    signal.addEventListener("abort", () => clearTimeout(this._timer));
  }

  /** Ask the box now, and from now on. */
  async look() {
    clearTimeout(this._timer);
    if (this._looking || this._signal.aborted) {
      this._again = true;
      return;
    }
    this._looking = true;
    this._again = false;
    let wait = FAILED_MS;
    try {
      this._take(await call(JOBS, { signal: this._signal }));
      wait = this._open.size > 0 ? BUSY_MS : IDLE_MS;
      if (performance.now() - this._since > WHILE_MS) {
        this._since = performance.now();
        this._on.onWhile();
      }
    } catch {
      // the banner says it if the box can't be reached; whatever it is, the next look may work
    }
    this._looking = false;
    if (this._signal.aborted) return;
    if (this._again) this.look();
    else if (!document.hidden) this._timer = setTimeout(() => this.look(), wait);
  }

  /** Show a job that the box has just taken, before it is in a list. */
  expect(id, title) {
    const job = { id, title, state: "queued", position: null, progress: 0 };
    this._expected.set(id, job);
    this._open.add(id);
    this.shown = [...this.shown.filter(isOpen), job, ...this.shown.filter((one) => !isOpen(one))];
    this._on.onChange();
    this.look();
  }

  /** Give a job up; the box drops its audio. Raise Failure. */
  async cancel(job) {
    await call(`${JOBS}/${job.id}/cancel`, { method: "POST" });
    this._open.delete(job.id);
    this._expected.delete(job.id);
    this.shown = this.shown.filter((one) => one.id !== job.id);
    this._on.onChange();
    this.look();
  }

  /** Show a failed job no more, on this device. */
  dismiss(job) {
    this._dismissed.add(job.id);
    const kept = [...this._dismissed].slice(-MOST_DISMISSED);
    localStorage.setItem(DISMISSED, JSON.stringify(kept));
    this.shown = this.shown.filter((one) => one.id !== job.id);
    this._on.onChange();
  }

  _take(jobs) {
    for (const job of jobs) this._expected.delete(job.id);
    const all = [...this._expected.values(), ...jobs];
    const open = all.filter(isOpen).sort((one, other) => one.id - other.id);
    const failed = jobs.filter((job) => job.state === "failed" && !this._dismissed.has(job.id));
    const done = jobs.filter((job) => job.state === "done" && this._open.has(job.id));
    this._open = new Set(open.map((job) => job.id));
    this.shown = [...open, ...failed];
    this._on.onChange();
    for (const job of done) this._on.onDone(job);
  }
}
