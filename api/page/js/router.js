/**
 * Which view is shown: the hash says it, the key's scopes allow it.
 *
 * A view is a module with `show(root, params, {signal, setTitle, guard, navigate})`. `signal` aborts
 * when the view is left. `guard(fn)` has `fn` asked before that; false keeps the reader here.
 */

import { Failure, events } from "./client.js";
import { closeDialogs } from "./dialog.js";
import { dropStyles, h, replace, svg } from "./dom.js";
import { load } from "./load.js";
import { may } from "./me.js";
import { failed } from "./notice.js";

/** Every address of the page; `scope` null: anybody who is signed in. */
export const ROUTES = [
  { path: /^#\/record(?:\/(?<id>\d+))?$/, view: "record", scope: "recordings", section: "record" },
  { path: /^#\/captions(?:\/(?<id>\d+))?$/, view: "captions", scope: "recordings", bare: true },
  { path: /^#\/sessions(?:\?.*)?$/, view: "sessions", scope: "sessions:read", section: "sessions" },
  { path: /^#\/sessions\/(?<id>\d+)$/, view: "session", scope: "sessions:read", section: "sessions" },
  {
    path: /^#\/box(?:\/(?<tab>usage|keys|webhooks|vocabulary|health))?$/,
    view: "box",
    scope: null,
    section: "box",
  },
];
const SLOW_MS = 200;

/** Return where to begin: the first section that the key may see. */
export function start() {
  if (may("recordings")) return "#/record";
  return may("sessions:read") ? "#/sessions" : "#/box";
}

/** Shows the view that the hash names, in one element, and nothing of the one before. */
export class Router {
  #main;
  #onRoute;
  #stop = null;
  #guard = null;
  #hash = "";
  #again = false;

  /** @param {HTMLElement} main
   *  @param {(route: {section?: string, bare?: boolean}) => void} onRoute */
  constructor(main, onRoute) {
    this.#main = main;
    this.#onRoute = onRoute;
    this.#stop = new AbortController();
  }

  /** Follow the hash from now on, until `signal` aborts. */
  begin(signal) {
    addEventListener("hashchange", () => this.#changed(), { signal });
    events.addEventListener("back", () => this.#again && this.#show(), { signal });
    signal.addEventListener("abort", () => this.#stop.abort());
    if (location.hash === "" || location.hash === "#/") history.replaceState(null, "", start());
    this.#show({ first: true });
  }

  async #changed() {
    if (location.hash === this.#hash) return;
    if (location.hash === "" || location.hash === "#/") {
      history.replaceState(null, "", start());
    }
    const wanted = location.hash;
    if (this.#guard) {
      history.replaceState(null, "", this.#hash);
      if (!(await this.#guard())) return;
      history.replaceState(null, "", wanted);
    }
    this.#show();
  }

  async #show({ first = false } = {}) {
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#guard = null;
    this.#again = false;
    this.#hash = location.hash;
    closeDialogs();
    const { signal } = this.#stop;
    const route = ROUTES.find(({ path }) => path.test(this.#hash));
    const root = h("div", { class: "view", dataset: { view: route?.view ?? "none" } });
    this.#onRoute(route ?? {});
    setTitle("");
    replace(this.#main, root);
    dropStyles();
    scrollTo(0, 0);
    const slow = setTimeout(() => root.childElementCount || replace(root, loading()), SLOW_MS);
    try {
      await fill(root, route, this.#hash, {
        signal,
        setTitle: (title) => signal.aborted || setTitle(title),
        guard: (asked) => (this.#guard = signal.aborted ? this.#guard : asked),
        navigate: (hash) => (location.hash = hash),
      });
    } catch (error) {
      if (signal.aborted) return;
      this.#again = error instanceof Failure && error.status === 0;
      failed(error, root, { retry: () => this.#show() });
    } finally {
      clearTimeout(slow);
    }
    if (!signal.aborted && !first) focusHeading(root);
  }
}

async function fill(root, route, hash, context) {
  if (!route) return refuse(root, context, "There is no such page", "The address names nothing here.");
  if (route.scope !== null && !may(route.scope)) {
    const lacking = `It lacks the scope ${route.scope}. Sign in with another key, or ask whoever runs the box.`;
    return refuse(root, context, "This key doesn't open this page", lacking);
  }
  const module = await load(`views/${route.view}.js`);
  if (context.signal.aborted) return undefined;
  return module.show(root, { ...hash.match(route.path).groups }, context);
}

function refuse(root, { setTitle }, title, text) {
  setTitle(title);
  replace(
    root,
    h(
      "div",
      { class: "empty" },
      svg("info"),
      h("h1", null, title),
      h("p", null, text),
      h("a", { class: "button primary", href: start() }, "Go to the start"),
    ),
  );
}

function loading() {
  return h("div", { class: "loading", role: "status" }, h("span", { class: "spinner" }), "Loading…");
}

/** Have the browser's title name the view. */
function setTitle(title) {
  document.title = title ? `${title} · Scribebox` : "Scribebox";
}

/** Take the focus to the heading, so that a screen reader begins there. */
function focusHeading(root) {
  if (root.contains(document.activeElement)) return; // the view has chosen by itself
  const heading = root.querySelector("h1") ?? root;
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
}
