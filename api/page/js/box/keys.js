// Keys: who holds one, what it may do, until when; make one, revoke one.
import { call } from "../client.js";
import { ask } from "../dialog.js";
import { h, replace, svg } from "../dom.js";
import { count } from "../format.js";
import { me } from "../me.js";
import { failed, toast } from "../notice.js";
import { fact, moment } from "./facts.js";
import { newKeyForm } from "./new_key.js";
import { inWords } from "./scopes.js";
import { present, secretCard } from "./secret.js";

const PATH = "/api/v1/keys";
const STATES = { valid: ["ok", "Valid"], expired: ["", "Expired"], revoked: ["", "Revoked"] };

/** Show the keys of all accounts; only administrators get here. */
export async function show(root, { signal }) {
  let [keys, accounts] = await Promise.all([
    call(PATH, { signal }),
    call("/api/v1/accounts", { signal }),
  ]);
  let endedToo = false;
  const place = h("div", {});
  const trouble = h("div", {});
  const list = h("div", {});
  const add = h(
    "button",
    { class: "button primary box-new", type: "button", onclick: () => openForm() },
    svg("plus"),
    "New key",
  );

  const closeForm = () => {
    replace(place);
    add.hidden = false;
    add.focus();
  };
  const openForm = () => {
    const form = newKeyForm({ accounts, signal, onMade: made, onCancel: closeForm });
    replace(place, form.element);
    add.hidden = true;
    form.focus();
  };
  const made = (key) => {
    const { key: secret, ...row } = key;
    keys = [row, ...keys];
    draw();
    const card = secretCard({
      title: `Key “${key.name}” is made`,
      sentence: "Copy it now: it is shown this once, and nobody can look it up later.",
      label: "The key",
      secret,
      onDone: closeForm,
    });
    replace(place, card);
    present(card);
  };
  const revoke = async (key) => {
    const sure = await ask({
      title: `Revoke “${key.name}”?`,
      text: revokeText(key, keys),
      confirm: "Revoke",
      danger: true,
    });
    if (!sure || signal.aborted) return;
    replace(trouble);
    try {
      await call(`${PATH}/${key.id}`, { method: "DELETE", signal });
      keys = await call(PATH, { signal }); // with the own key it was, this ends the stay
      draw();
      toast(`“${key.name}” is revoked.`, { kind: "ok" });
      add.focus();
    } catch (error) {
      failed(error, trouble);
    }
  };
  const draw = () => {
    const valid = keys.filter((key) => key.state === "valid");
    const ended = keys.filter((key) => key.state !== "valid");
    const several = accounts.length > 1;
    const rows = (endedToo ? [...valid, ...ended] : valid).map((key) => row(key, several, revoke));
    replace(
      list,
      h("ul", { class: "box-list", "aria-label": "Keys" }, ...rows),
      ended.length === 0
        ? null
        : h(
            "button",
            {
              class: "button quiet",
              type: "button",
              "aria-expanded": String(endedToo),
              onclick: () => {
                endedToo = !endedToo;
                draw();
                list.querySelector(":scope > button").focus();
              },
            },
            svg(endedToo ? "chevron-up" : "chevron-down"),
            endedToo ? "Hide those that ended" : `Show ${count(ended.length, "key")} that ended`,
          ),
    );
  };
  draw();
  replace(root, h("div", { class: "stack" }, add, place, trouble, list));
}

function row(key, several, revoke) {
  const own = key.id === me()?.keyId;
  const [kind, state] = STATES[key.state] ?? ["", key.state];
  return h(
    "li",
    { class: ["card", "box-row", key.state !== "valid" && "is-ended"] },
    h(
      "div",
      { class: "box-row-main" },
      h(
        "p",
        { class: "box-row-title" },
        h("strong", {}, key.name),
        h("span", { class: ["chip", kind] }, state),
        own ? h("span", { class: "chip accent" }, "You use it now") : null,
        several ? h("span", { class: "chip" }, key.account) : null,
      ),
      h(
        "ul",
        { class: "box-chips", "aria-label": "It may" },
        ...key.scopes.map((scope) => h("li", { title: inWords(scope) }, h("code", {}, scope))),
      ),
      h(
        "dl",
        { class: "box-facts" },
        fact("Begins with", h("code", {}, `sb_live_${key.id}_`)),
        fact("Made", moment(key.createdAt)),
        fact("Last used", own ? "Now" : key.lastUsedAt ? moment(key.lastUsedAt) : "Not yet"),
        fact(key.state === "expired" ? "Ended" : "Ends", key.expiresAt ? moment(key.expiresAt) : "Never"),
      ),
    ),
    key.state === "valid"
      ? h(
          "button",
          {
            class: "button quiet danger small",
            type: "button",
            "aria-label": `Revoke ${key.name}`,
            onclick: () => revoke(key),
          },
          "Revoke",
        )
      : null,
  );
}

function revokeText(key, keys) {
  const rules = (one) => one.state === "valid" && one.scopes.includes("admin");
  if (rules(key) && keys.filter(rules).length === 1) {
    return "It is the last key that may do everything: without it, keys can only be made on the box itself, with scribebox keys create. Make another one first, unless you mean that.";
  }
  if (key.id === me()?.keyId) {
    return "You are signed in with this key: you will be signed out, and whatever else uses it stops at once. It can't be undone.";
  }
  return "Whatever uses it stops at once, open streams too. It can't be undone; a new key can be made.";
}
