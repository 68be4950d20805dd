// The list of sessions under the days they are of. It grows while one scrolls; by keyboard, the
// arrow keys go from one session to the next.

import { h, replace } from "../dom.js";
import { failed } from "../notice.js";
import { sessionRow } from "./row.js";

const AHEAD = "900px"; // fetched before the end comes into view
const DAY_MS = 86_400_000;
const SKELETONS = 6;
const GROUP = 40; // rows that the browser lays out together; a long day is several groups

const weekday = new Intl.DateTimeFormat("en", { weekday: "long" });
const date = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long" });
const month = new Intl.DateTimeFormat("en", { month: "long", year: "numeric" });

export class SessionList {
  /**
   * @param {{onTag: (tag: string) => void, onRows: (rows: object[]) => void, onOpen: (id: string) => void,
   *   signal: AbortSignal}} options
   */
  constructor({ onTag, onRows, onOpen, signal }) {
    this.onTag = onTag;
    this.onRows = onRows;
    this.groups = h("div", { class: "session-groups", onkeydown: (event) => this._onKey(event),
      onclick: (event) => {
        const link = event.target.closest(".session-link");
        if (link) onOpen(link.closest(".session").dataset.id);
      } });
    this.end = h("div", { class: "session-end" });
    this.element = h("div", { class: "session-list" }, this.groups, this.end);
    this._observer = new IntersectionObserver(
      (entries) => entries.some((entry) => entry.isIntersecting) && this.more(),
      { rootMargin: AHEAD },
    );
    signal.addEventListener("abort", () => this._observer.disconnect());
  }

  /** Show other pages; what is there stays until their first rows have come. */
  async show(pages, pattern, atLeast = 1) {
    this._observer.unobserve(this.end);
    this.pages = pages;
    this.pattern = pattern;
    if (this.groups.childElementCount === 0) replace(this.end, skeletons());
    try {
      const rows = await pages.again(atLeast);
      replace(this.groups);
      replace(this.end);
      this._append(rows);
    } catch (error) {
      if (pages === this.pages && !pages.signal.aborted) this._fail(error);
      throw error;
    }
  }

  /** Fetch the next page, if there is one. */
  async more() {
    const { pages } = this;
    if (pages === undefined || pages.isComplete) return;
    this._observer.unobserve(this.end);
    replace(this.end, h("p", { class: "muted" }, "Loading more…"));
    try {
      const rows = await pages.next();
      if (pages === this.pages) this._append(rows);
    } catch (error) {
      if (pages === this.pages && !pages.signal.aborted) this._fail(error);
    }
  }

  /** Put newer sessions on top. */
  prepend(rows) {
    for (const row of [...rows].reverse()) {
      const group = this._group(row, this.groups.firstElementChild, "prepend");
      const item = sessionRow(row, this);
      item.classList.add("is-new");
      group.querySelector("ul").prepend(item);
    }
    this.onRows(rows);
  }

  /** Focus the link to a session; tell whether it is there. */
  focus(id) {
    const link = this.groups.querySelector(`[data-id="${Number(id)}"] .session-link`);
    link?.focus({ preventScroll: true });
    return link !== null;
  }

  /** Focus the first session. */
  focusFirst() {
    this.groups.querySelector(".session-link")?.focus();
  }

  _append(rows) {
    for (const row of rows) {
      const group = this._group(row, this.groups.lastElementChild, "append");
      group.querySelector("ul").append(sessionRow(row, this));
    }
    this.onRows(rows);
    if (this.pages.isComplete) return replace(this.end);
    replace(this.end, h("button", { type: "button", class: "button", onclick: () => this.more() },
      "Show more"));
    this._observer.observe(this.end); // tells at once if the end is in view still
    return undefined;
  }

  _group(row, beside, place) {
    const name = dayOf(row.createdAt);
    const isSame = beside?.dataset.day === name;
    const isFull = beside?.querySelector("ul").childElementCount >= GROUP;
    if (isSame && (place === "prepend" || !isFull)) return beside;
    const group = h("section", { class: ["session-day", isSame && "continued"], dataset: { day: name } },
      !isSame && h("h2", { class: "session-day-name" }, name), h("ul", { class: "sessions" }));
    this.groups[place](group);
    return group;
  }

  _fail(error) {
    if (this.pages.rows.length === 0) replace(this.groups); // what is there fits another search
    failed(error, this.end, { retry: () => this.more() });
  }

  _onKey(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined || !event.target.matches(".session-link")) return;
    const links = [...this.groups.querySelectorAll(".session-link")];
    const next = links[links.indexOf(event.target) + step];
    if (next === undefined) return;
    event.preventDefault();
    next.focus();
  }
}

/** Return the name of the stretch of days that a time belongs to. */
export function dayOf(iso, today = new Date()) {
  const at = new Date(iso);
  const midnight = new Date(today).setHours(0, 0, 0, 0);
  const days = Math.round((midnight - new Date(at).setHours(0, 0, 0, 0)) / DAY_MS);
  if (days <= 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days < 7) return weekday.format(at);
  return at.getFullYear() === today.getFullYear() ? date.format(at) : month.format(at);
}

function skeletons() {
  return [
    h("p", { class: "visually-hidden" }, "Loading the sessions…"),
    h("div", { class: "skeletons", "aria-hidden": "true" }, Array.from({ length: SKELETONS }, () =>
      h("div", { class: "skeleton" }, h("i"), h("i"), h("i")))),
  ];
}
