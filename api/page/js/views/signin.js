/** Sign in with a key: for this tab, or by a cookie for a day. */

import { call, keepCredential } from "../client.js";
import { h, replace, svg } from "../dom.js";
import { mark } from "../frame.js";
import { setMe } from "../me.js";
import { message } from "../notice.js";

const KEY = /^sb_live_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{43}$/;
const COPY_AGAIN = "Copy it again, whole: it begins with sb_live_ and has 60 characters.";

/**
 * Show the form.
 * @param {HTMLElement} root
 * @param {{sentence: string, isTrouble: boolean}} params why the reader is here, if there is a reason
 * @param {{onSignedIn: () => void}} context
 */
export function show(root, { sentence, isTrouble }, { onSignedIn }) {
  const input = h("input", {
    id: "key",
    name: "key",
    type: "password",
    autocomplete: "current-password",
    autocapitalize: "none",
    spellcheck: "false",
    required: true,
    placeholder: "sb_live_…",
    "aria-describedby": "key-hint key-error",
  });
  const reveal = h("button", {
    class: "button quiet icon-only", type: "button", "aria-pressed": false, "aria-label": "Show the key",
    onclick: () => {
      const hidden = input.type === "password";
      input.type = hidden ? "text" : "password";
      reveal.setAttribute("aria-pressed", String(hidden));
      replace(reveal, svg(hidden ? "eye-off" : "eye"));
      input.focus();
    },
  }, svg("eye"));
  const day = h("input", { type: "checkbox", name: "day" });
  const wrong = h("div", { id: "key-error", role: "alert" });
  const button = h("button", { class: "button primary wide", type: "submit" }, "Sign in");

  async function submit(event) {
    event.preventDefault();
    const plain = input.value.trim();
    const complain = (title, step) => {
      replace(wrong, message("error", title, step));
      input.setAttribute("aria-invalid", "true");
      input.focus();
    };
    if (!KEY.test(plain)) return complain("This isn't a whole key.", COPY_AGAIN);
    button.setAttribute("aria-busy", "true");
    button.disabled = true;
    try {
      setMe(await signedIn(plain, day.checked));
      keepCredential(day.checked ? null : plain);
      return onSignedIn();
    } catch (error) {
      if (error.status === 401) return complain("The box doesn't know this key.", `It may have been revoked, or has expired. ${COPY_AGAIN}`);
      return complain(error.sentence ?? "Signing in went wrong.", error.step ?? "Reload the page.");
    } finally {
      button.removeAttribute("aria-busy");
      button.disabled = false;
    }
  }

  const form = h(
    "form",
    { class: "card sign-in", onsubmit: submit, novalidate: true },
    h("div", { class: "sign-in-head" }, mark(), h("h1", null, "Sign in to Scribebox")),
    sentence && message(isTrouble ? "warning" : "info", sentence, isTrouble ? "Sign in again to go on where you were." : ""),
    h(
      "div",
      { class: "field" },
      h("label", { for: "key" }, "Key"),
      h("div", { class: "with-button" }, input, reveal),
      h("p", { id: "key-hint", class: "hint" }, "The key that you were given for this box."),
      wrong,
    ),
    h(
      "label",
      { class: "check" },
      day,
      h("span", null, "Keep me signed in on this device for a day",
        h("span", { class: "hint" }, "Otherwise until this tab is closed.")),
    ),
    button,
    h(
      "details",
      { class: "help" },
      h("summary", null, "Where do I get a key?"),
      h("p", null, "Whoever runs the box makes one on the page Box, Keys, or in a terminal of the box:"),
      h("pre", null, h("code", null, "scribebox keys create NAME --scope sessions:read --scope recordings")),
    ),
  );
  replace(root, form);
  input.focus();
}

/** Return who the key stands for; for a day, the box also sets its cookie. Raise Failure. */
async function signedIn(plain, forADay) {
  if (forADay) return call("/api/v1/sign-in", { json: { key: plain } });
  return call("/api/v1/me", { headers: { Authorization: `Bearer ${plain}` } });
}
