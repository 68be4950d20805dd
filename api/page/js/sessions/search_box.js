// The search field and the tags: what is typed is looked for after a short rest, and what is looked
// for stands in the address, so that Back and a reload keep it.

import { h, replace, svg } from "../dom.js";

const REST_MS = 180; // between the last key and the search
const MOST_CHARACTERS = 500; // what the box takes
const MOST_TAGS = 12;
const HASH = "#/sessions";

/** Return what an address looks for. */
export function wantedOf(hash) {
  const query = new URLSearchParams(hash.split("?")[1] ?? "");
  return { q: query.get("q") ?? "", tag: query.get("tag") ?? "" };
}

/** Return the address of a search. */
export function hashOf({ q, tag }) {
  const query = new URLSearchParams({ ...(q && { q }), ...(tag && { tag }) }).toString();
  return query ? `${HASH}?${query}` : HASH;
}

export class SearchBox {
  /**
   * @param {{wanted: {q: string, tag: string}, onSearch: (wanted: object) => void,
   *   onDown: () => void, signal: AbortSignal}} options
   */
  constructor({ wanted, onSearch, onDown, signal }) {
    this.tag = wanted.tag;
    this._known = new Map(); // tag in lower case -> as it is spelt, in the order they are shown
    this._onSearch = onSearch;
    this._said = wanted.q.trim();
    this.field = h("input", {
      type: "search", id: "session-search", class: "search-field", value: wanted.q,
      placeholder: "Search titles and text", maxlength: MOST_CHARACTERS,
      autocomplete: "off", spellcheck: "false", enterkeyhint: "search",
      "aria-keyshortcuts": "/", "aria-describedby": "session-search-hint",
      oninput: () => this._rest(),
      onkeydown: (event) => this._onKey(event, onDown),
    });
    this.tags = h("div", { class: "tag-filter", role: "group", "aria-label": "Tags", hidden: true });
    this.element = h(
      "search",
      { class: "session-search" },
      h("div", { class: "search" },
        h("label", { for: "session-search", class: "visually-hidden" }, "Search the sessions"),
        svg("search"), this.field, h("kbd", { "aria-hidden": "true" }, "/"),
        h("button", { type: "button", class: "button quiet icon-only", "aria-label": "Clear the search",
          onclick: () => this.setWanted({ q: "", tag: this.tag }) || this.field.focus() },
        svg("close"))),
      h("p", { id: "session-search-hint", class: "visually-hidden" },
        "Results follow as you type. Words in double quotes are a phrase. Escape clears."),
      this.tags,
    );
    document.addEventListener("keydown", (event) => this._onShortcut(event), { signal });
    signal.addEventListener("abort", () => clearTimeout(this._timer));
    this._showTags();
  }

  /** What is looked for now. */
  get wanted() {
    return { q: this.field.value.trim(), tag: this.tag };
  }

  /** Offer the tags of sessions that have been seen; those that are offered stay in their place. */
  learn(rows) {
    const names = rows.flatMap((row) => row.tags.split(",").filter(Boolean));
    const times = new Map();
    for (const name of names) times.set(name, (times.get(name) ?? 0) + 1);
    const before = this._known.size;
    for (const [name] of [...times].sort((one, other) => other[1] - one[1])) {
      if (this._known.size < MOST_TAGS && !this._known.has(name.toLowerCase())) {
        this._known.set(name.toLowerCase(), name);
      }
    }
    if (this._known.size > before) this._showTags();
  }

  /** Look for a tag only, or for any: "". */
  setTag(tag) {
    this.tag = tag;
    this._showTags();
    this.search();
  }

  /** Look for something else, as an address says it. */
  setWanted({ q, tag }) {
    this.field.value = q;
    this.setTag(tag);
  }

  /** Look for everything. */
  clear() {
    this.setWanted({ q: "", tag: "" });
    this.field.focus();
  }

  _rest() {
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this.field.value.trim() !== this._said && this.search(), REST_MS);
  }

  /** Look for what is in the field, at once. */
  search() {
    clearTimeout(this._timer);
    this._said = this.field.value.trim();
    history.replaceState(history.state, "", hashOf(this.wanted)); // no step of its own for each key
    this._onSearch(this.wanted);
  }

  _onKey(event, onDown) {
    if (event.key === "Escape" && this.field.value !== "") {
      event.preventDefault();
      this.field.value = "";
      this.search();
    } else if (event.key === "Enter") {
      event.preventDefault();
      this.search();
    } else if (event.key === "ArrowDown") {
      event.preventDefault();
      onDown();
    }
  }

  _onShortcut(event) {
    const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (event.key !== "/" || !isPlain || event.target.closest("input, textarea, select, dialog")) {
      return;
    }
    event.preventDefault();
    this.field.focus();
    this.field.select();
  }

  _showTags() {
    const names = [...this._known.values()];
    const isShown = (name) => name.toLowerCase() === this.tag.toLowerCase();
    if (this.tag && !names.some(isShown)) names.unshift(this.tag);
    const had = this.tags.contains(document.activeElement) && document.activeElement.dataset.tag;
    this.tags.hidden = names.length === 0;
    replace(this.tags, names.map((name) => h(
      "button",
      { type: "button", class: "chip", dataset: { tag: name }, "aria-pressed": isShown(name),
        onclick: () => this.setTag(isShown(name) ? "" : name) },
      svg(isShown(name) ? "close" : "tag"), h("span", null, name),
    )));
    if (had) [...this.tags.children].find((one) => one.dataset.tag === had)?.focus();
  }
}
