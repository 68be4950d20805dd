// The sessions: what is on its way, and what is there, found as one types.

import { events } from "../client.js";
import { h, replace, svg, useStyle } from "../dom.js";
import { count, number } from "../format.js";
import { may } from "../me.js";
import { announce, toast } from "../notice.js";
import { Drop } from "../sessions/drop.js";
import { patternOf } from "../sessions/highlight.js";
import { SessionList } from "../sessions/list.js";
import { Pages } from "../sessions/pages.js";
import { SearchBox, hashOf, wantedOf } from "../sessions/search_box.js";
import { Work } from "../sessions/work.js";

const TOLD_AFTER_MS = 700; // a screen reader hears of the results once the typing rests

/** Where the list was when a session was opened from it: Back leads there. */
let left = null;

/** Show the list that the address names. */
export async function show(root, params, { signal, setTitle }) {
  await useStyle("sessions");
  if (signal.aborted) return;
  setTitle("Sessions");
  const view = new SessionsView(signal);
  replace(root, ...view.elements);
  const back = left?.hash === location.hash ? left : null;
  left = null;
  await view.search(view.box.wanted, back?.rows ?? 1);
  if (signal.aborted || back === null) return;
  view.list.focus(back.session);
  scrollTo(0, back.scroll);
}

class SessionsView {
  constructor(signal) {
    this.signal = signal;
    this.summary = h("p", { class: "muted" });
    this.empty = h("div", { class: "sessions-empty" });
    this.list = new SessionList({
      signal,
      onTag: (tag) => this._narrow(tag),
      onRows: (rows) => this._came(rows),
      onOpen: (id) => {
        left = { hash: location.hash, session: id, scroll: scrollY, rows: this.pages.rows.length };
      },
    });
    this.box = new SearchBox({
      signal,
      wanted: wantedOf(location.hash),
      onSearch: (wanted) => this.search(wanted).catch(() => {}), // the list says what failed
      onDown: () => this.list.focusFirst(),
    });
    const lookForNewer = () => this._newer();
    this.work = new Work({ signal, onSession: lookForNewer, onWhile: lookForNewer });
    this.drop = may("sessions:write") ? new Drop({ signal }) : null;
    addEventListener("hashchange", () => this._addressed(), { signal });
    events.addEventListener("back", () => this.pages.total === null && this.box.search(), { signal });
    signal.addEventListener("abort", () => clearTimeout(this._telling));
  }

  get elements() {
    const head = h("header", { class: "page-head" },
      h("div", null, h("h1", null, "Sessions"), this.summary), this.drop?.button);
    return [head, this.drop?.element, this.work.element, this.box.element, this.empty,
      this.list.element, this.drop?.veil].filter(Boolean);
  }

  /** Look for sessions; what was looked for before is given up. Raise Failure. */
  async search(wanted, atLeast = 1) {
    this._searching?.abort();
    this._searching = new AbortController();
    const pages = new Pages(wanted, AbortSignal.any([this.signal, this._searching.signal]));
    this.pages = pages;
    this.list.element.setAttribute("aria-busy", "true");
    try {
      await this.list.show(pages, patternOf(wanted.q), atLeast);
    } catch (error) {
      if (pages !== this.pages || error.name === "AbortError") return;
      replace(this.empty);
      this.summary.textContent = "";
    }
    this.list.element.setAttribute("aria-busy", "false");
  }

  _came(rows) {
    this.box.learn(rows);
    this._summarise();
  }

  _summarise() {
    const { total, isCapped, wanted } = this.pages;
    const isNarrow = wanted.q !== "" || wanted.tag !== "";
    const sessions = isCapped ? `More than ${number(total)} sessions` : count(total, "session");
    const text = isNarrow ? `${sessions} found` : sessions;
    if (this.summary.textContent !== text) {
      this.summary.textContent = text;
      clearTimeout(this._telling);
      if (isNarrow) this._telling = setTimeout(() => announce(text), TOLD_AFTER_MS);
    }
    replace(this.empty, total === 0 && (isNarrow ? this._nothingFound(wanted) : this._nothingYet()));
  }

  _nothingFound({ q, tag }) {
    const what = [q && `“${q}”`, tag && `the tag “${tag}”`].filter(Boolean).join(" and ");
    return h("div", { class: "empty" }, svg("search"), h("h2", null, "Nothing found"),
      h("p", null, `No session has ${what}. Try fewer words, or the beginning of one.`),
      h("button", { type: "button", class: "button", onclick: () => this.box.clear() },
        "Show all sessions"));
  }

  _nothingYet() {
    return h("div", { class: "empty" }, svg("list"), h("h2", null, "No sessions yet"),
      h("p", null, "Record what is said in the room, or upload a file: its text will be here."),
      may("recordings") && h("a", { class: "button", href: "#/record" }, svg("microphone"), "Record"));
  }

  _narrow(tag) {
    this.box.setTag(tag);
    scrollTo({ top: 0 });
    toast(`Only sessions with the tag ${tag}.`, {
      action: { label: "Show all", run: () => this.box.setTag("") } });
  }

  async _newer() {
    const { pages } = this;
    if (pages === undefined) return;
    try {
      const rows = await pages.newer();
      if (pages === this.pages && rows.length > 0) this.list.insert(rows);
    } catch {
      // the next look may work; what is shown stays right
    }
  }

  _addressed() {
    const wanted = wantedOf(location.hash);
    if (hashOf(wanted) !== hashOf(this.box.wanted)) this.box.setWanted(wanted);
  }
}
