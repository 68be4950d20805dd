// The form that makes a key: its name, what it may do, when it ends, whose it is.
import { h, replace } from "../dom.js";
import { me } from "../me.js";
import { failed } from "../notice.js";
import { choice, field, place } from "./field.js";
import { create } from "./creating.js";
import { GROUPS, includedIn } from "./scopes.js";

const PATH = "/api/v1/keys";
const ENDS = [
  ["30d", "In 30 days"],
  ["90d", "In 90 days"],
  ["1y", "In a year"],
  ["day", "At the end of a day…"],
  ["never", "Never"],
];

/**
 * Return the form; `onMade` gets the new key with its secret, `onCancel` nothing.
 * @param {{accounts: Array<{name: string}>, signal: AbortSignal,
 *   onMade: (key: object) => void, onCancel: () => void}} options
 */
export function newKeyForm({ accounts, signal, onMade, onCancel }) {
  const name = field(
    "Name",
    h("input", { type: "text", maxlength: "100", autocomplete: "off", required: true }),
    { hint: "Who or what will use it, such as “Reception’s tablet”." },
  );
  const scopes = scopeBoxes();
  const until = choice(ENDS, { value: "90d" });
  const day = field("Last day", h("input", { type: "date", min: isoDay(new Date()) }));
  day.element.hidden = true;
  until.addEventListener("change", () => {
    day.element.hidden = until.value !== "day";
    if (until.value === "day") day.input.focus();
  });
  const own = me()?.account.name;
  const account = choice(accounts.map((one) => [one.name, one.name]), { value: own });
  const trouble = h("div", {});
  const make = h("button", { class: "button primary", type: "submit" }, "Make the key");
  const submit = async (event) => {
    event.preventDefault();
    replace(trouble);
    const wanted = { name: name.input.value.trim(), scopes: scopes.chosen() };
    if (wanted.name === "") {
      name.complain("Give the key a name, so that you know later which one to revoke.");
      name.input.focus();
      return;
    }
    if (wanted.scopes.length === 0) {
      scopes.complain("Choose at least one thing that the key may do.");
      return;
    }
    if (until.value === "day") {
      if (!day.input.value) {
        day.complain("Choose the day after which the key no longer works.");
        day.input.focus();
        return;
      }
      wanted.expiresAt = new Date(`${day.input.value}T23:59:59`).toISOString();
    } else if (until.value !== "never") {
      wanted.expires = until.value;
    }
    if (accounts.length > 1) wanted.account = account.value;
    make.disabled = true;
    try {
      const unseen = "The key was made, but nobody saw it: revoke it, and make another.";
      const key = await create(PATH, { json: wanted, signal, unseen });
      if (key) onMade(key);
    } catch (error) {
      if (!place(error, { name, expiresAt: day })) failed(error, trouble);
    } finally {
      make.disabled = false;
    }
  };
  const form = h(
    "form",
    { class: "card stack box-form", onsubmit: submit, novalidate: true, "aria-label": "New key" },
    h("h2", {}, "New key"),
    name.element,
    scopes.element,
    h(
      "div",
      { class: "box-columns" },
      field("It ends", until).element,
      day.element,
      accounts.length > 1 ? field("Account", account).element : null,
    ),
    trouble,
    h(
      "div",
      { class: "row" },
      make,
      h("button", { class: "button", type: "button", onclick: onCancel }, "Cancel"),
    ),
  );
  return { element: form, focus: () => name.input.focus() };
}

function scopeBoxes() {
  const boxes = new Map();
  const error = h("p", { class: "error", id: "box-scopes-error", hidden: true });
  const settle = () => {
    error.hidden = true;
    const included = new Set(
      [...boxes].filter(([, box]) => box.checked).flatMap(([scope]) => includedIn(scope)),
    );
    for (const [scope, box] of boxes) {
      box.disabled = included.has(scope);
      box.closest("label").classList.toggle("is-included", included.has(scope));
    }
  };
  const groups = GROUPS.map(({ title, scopes }) =>
    h(
      "div",
      { class: "box-scope-group", role: "group", "aria-label": title },
      h("h3", {}, title),
      ...scopes.map(([scope, words]) => {
        const box = h("input", { type: "checkbox", value: scope, onchange: settle });
        boxes.set(scope, box);
        const text = h("span", {}, words, " ", h("code", {}, scope));
        return h("label", { class: "box-scope" }, box, text);
      }),
    ),
  );
  return {
    element: h(
      "fieldset",
      { class: "box-scopes", "aria-describedby": "box-scopes-error" },
      h("legend", {}, "It may"),
      h("div", { class: "box-scope-groups" }, ...groups),
      error,
    ),
    chosen: () =>
      [...boxes].filter(([, box]) => box.checked && !box.disabled).map(([scope]) => scope),
    complain: (sentence) => {
      replace(error, sentence);
      error.hidden = false;
      boxes.values().next().value.focus();
    },
  };
}

function isoDay(date) {
  const two = (n) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
