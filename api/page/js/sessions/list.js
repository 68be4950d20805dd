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
    this._items = new Map(); // of the sessions that are shown, by number
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
      this._clear();
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

  /** Put sessions that have come to their places, most of them on top. */
  insert(rows) {
    for (const row of rows) this._place(row).classList.add("is-new");
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
    for (const row of rows) this._place(row);
    this.onRows(rows);
    if (this.pages.isComplete) return replace(this.end);
    replace(this.end, h("button", { type: "button", class: "button", onclick: () => this.more() },
      "Show more"));
    this._observer.observe(this.end); // tells at once if the end is in view still
    return undefined;
  }

  /** Put a session below the next newer one that is shown, under its day; return its element. */
  _place(row) {
    const { rows } = this.pages;
    let at = rows.findLastIndex((one) => one.id > row.id);
    while (at >= 0 && !this._items.has(rows[at].id)) at -= 1; // not placed yet
    const above = at < 0 ? null : this._items.get(rows[at].id);
    const item = sessionRow(row, this);
    this._items.set(row.id, item);
    const day = dayOf(row.createdAt);
    const group = above?.closest(".session-day") ?? null;
    const isLast = above === null || above.nextElementSibling === null;
    const isFull = group !== null && group.querySelector("ul").childElementCount >= GROUP;
    const below = group === null ? this.groups.firstElementChild : group.nextElementSibling;
    if (group?.dataset.day === day && !(isLast && isFull)) above.after(item);
    else if (isLast && below?.dataset.day === day) below.querySelector("ul").prepend(item);
    else {
      if (!isLast) this._split(above);
      const made = this._group(day, group);
      made.append(item);
      nameAgain(made.parentElement.nextElementSibling, day);
    }
    return item;
  }

  /** Return the list of a new group below another; null: on top. */
  _group(day, above) {
    const isSame = above?.dataset.day === day;
    const sessions = h("ul", { class: "sessions" });
    const group = h("section", { class: ["session-day", isSame && "continued"], dataset: { day } },
      !isSame && heading(day), sessions);
    if (above === null) this.groups.prepend(group);
    else above.after(group);
    return sessions;
  }

  /** End a group below a session: the clock of the box was set, so that days alternate. */
  _split(above) {
    const group = above.closest(".session-day");
    const following = [];
    for (let one = above.nextElementSibling; one; one = one.nextElementSibling) following.push(one);
    const focused = document.activeElement;
    const rest = this._group(group.dataset.day, group);
    rest.append(...following);
    if (rest.contains(focused)) focused.focus({ preventScroll: true }); // moving takes it away
  }

  _clear() {
    replace(this.groups);
    this._items.clear();
  }

  _fail(error) {
    if (this.pages.rows.length === 0) this._clear(); // what is there fits another search
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

function heading(day) {
  return h("h2", { class: "session-day-name" }, day);
}

/** Name the day of a group that went on before there was another day above it. */
function nameAgain(group, dayAbove) {
  if (!group?.matches(".continued") || group.dataset.day === dayAbove) return;
  group.classList.remove("continued");
  group.prepend(heading(group.dataset.day));
}

function skeletons() {
  return [
    h("p", { class: "visually-hidden" }, "Loading the sessions…"),
    h("div", { class: "skeletons", "aria-hidden": "true" }, Array.from({ length: SKELETONS }, () =>
      h("div", { class: "skeleton" }, h("i"), h("i"), h("i")))),
  ];
}
