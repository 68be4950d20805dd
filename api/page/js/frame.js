/** What is around every view: the bar with the sections, the menu of the account, the banner. */

import { call, events, forgetCredential, key } from "./client.js";
import { h, replace, svg } from "./dom.js";
import { may, me, setMe } from "./me.js";
import { announce, toast } from "./notice.js";

const SECTIONS = [
  { name: "record", label: "Record", icon: "microphone", scope: "recordings" },
  { name: "sessions", label: "Sessions", icon: "list", scope: "sessions:read" },
  { name: "box", label: "Box", icon: "box", scope: null },
];
const THEMES = [
  { value: "system", label: "System", icon: "system" },
  { value: "light", label: "Light", icon: "sun" },
  { value: "dark", label: "Dark", icon: "moon" },
];
const THEME = "scribebox.theme";
const STILL_IN = "You are still signed in: only the box can end that, and it did not. Sign out again in a moment.";
const ASK_AGAIN_MS = [1000, 2000, 3000];

/**
 * Build the frame in `app`.
 * @param {HTMLElement} app
 * @param {() => void} onSignOut
 * @returns {{main: HTMLElement, setRoute: (route: {section?: string, bare?: boolean}) => void}}
 */
export function buildFrame(app, onSignOut) {
  const main = h("main", { id: "main", class: "main", tabindex: -1 });
  const links = SECTIONS.filter(({ scope }) => scope === null || may(scope)).map(link);
  const skip = h("a", { class: "skip", href: "#main", onclick: (event) => {
    event.preventDefault(); // the hash is the view's
    main.focus();
  } }, "Skip to the content");
  replace(
    app,
    skip,
    h(
      "header",
      { class: "bar" },
      h("a", { class: "brand", href: "#/", "aria-label": "Scribebox, to the start" }, mark(), h("span", null, "Scribebox")),
      h("nav", { class: "sections", "aria-label": "Sections" }, links),
      account(onSignOut),
    ),
    main,
  );
  const setRoute = ({ section, bare = false }) => {
    app.classList.toggle("bare", bare);
    for (const each of links) {
      if (each.dataset.section === section) each.setAttribute("aria-current", "page");
      else each.removeAttribute("aria-current");
    }
  };
  return { main, setRoute };
}

/** Make the mark of the box: sound that becomes lines. */
export function mark() {
  return h("img", { class: "mark", src: "/page/favicon.svg", alt: "", width: 28, height: 28 });
}

/** Say while the box can't be reached, and ask for it until it can. */
export function watchConnection() {
  const banner = document.body.appendChild(h("div", { class: "banner", role: "alert", hidden: true }));
  let asking = false;
  events.addEventListener("unreachable", async () => {
    if (asking) return;
    asking = true;
    banner.hidden = false;
    replace(banner, svg("offline"), h("span", null, h("strong", null, "The box can't be reached."),
      " Check that it is on; this page goes on by itself."));
    for (let tries = 0; asking; tries += 1) {
      await new Promise((resolve) => {
        setTimeout(resolve, ASK_AGAIN_MS[Math.min(tries, ASK_AGAIN_MS.length - 1)]);
      });
      // 503 is an answer as well: the box is there, and says what it lacks
      if (asking) await call("/health").catch(() => {});
    }
  });
  events.addEventListener("back", () => {
    asking = false;
    banner.hidden = true;
    toast("The box is back.", { kind: "ok" });
  });
}

function link({ name, label, icon }) {
  return h("a", { class: "section", href: `#/${name}`, dataset: { section: name } }, svg(icon), h("span", null, label));
}

function account(onSignOut) {
  const { account: owner, keyName } = me();
  return h(
    "div",
    { class: "account" },
    h(
      "button",
      { class: "button quiet", type: "button", popovertarget: "account-menu", "aria-label": `Account ${owner.name}` },
      svg("user"),
      h("span", { class: "account-name" }, owner.name),
    ),
    h(
      "div",
      { id: "account-menu", class: "menu", popover: "auto" },
      h("p", { class: "menu-head" }, h("strong", null, owner.name), h("span", { class: "muted" }, `Signed in with the key ${keyName}`)),
      themes(),
      h("button", { class: "button", type: "button", onclick: () => signOut(onSignOut) }, svg("sign-out"), "Sign out"),
    ),
  );
}

function themes() {
  const chosen = localStorage.getItem(THEME) ?? "system";
  const choices = THEMES.map(({ value, label, icon }) => h(
    "label",
    { class: "choice" },
    h("input", { type: "radio", name: "theme", value, checked: value === chosen, onchange: () => setTheme(value) }),
    svg(icon),
    h("span", null, label),
  ));
  return h("fieldset", { class: "choices" }, h("legend", null, "Theme"), choices);
}

/** Choose how the page looks, on this device; views that draw hear of it by `themechange`. */
export function setTheme(theme) {
  const root = document.documentElement;
  if (theme === "system") {
    localStorage.removeItem(THEME);
    delete root.dataset.theme;
  } else {
    localStorage.setItem(THEME, theme);
    root.dataset.theme = theme;
  }
  dispatchEvent(new Event("themechange"));
  announce(`Theme: ${theme}`);
}

async function signOut(onSignOut) {
  try {
    await call("/api/v1/sign-out", { method: "POST" }); // without a cookie this does no harm
  } catch (error) {
    if (key() === null && error.status !== 401) return toast(STILL_IN, { kind: "error" });
  }
  forgetCredential();
  setMe(null);
  onSignOut();
}
