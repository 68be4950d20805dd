// The form of a webhook: where to tell, and what it is for; to make one and to change one.
import { h, replace } from "../dom.js";
import { failed } from "../notice.js";
import { field, place } from "./field.js";

/**
 * Return {element, focus}; `send` gets {url, description} and may throw what the box says.
 * @param {{title: string, confirm: string, endpoint?: {url: string, description: string},
 *   send: (wanted: object) => Promise<void>, onCancel: () => void}} options
 */
export function endpointForm({ title, confirm, endpoint = null, send, onCancel }) {
  const url = field(
    "Address",
    h("input", {
      type: "url",
      inputmode: "url",
      autocomplete: "off",
      spellcheck: "false",
      placeholder: "https://example.org/hooks/scribebox",
      value: endpoint?.url ?? "",
      required: true,
    }),
    { hint: "http or https. Each new session is sent there as JSON, signed with the secret." },
  );
  const description = field(
    "What it is for",
    h("input", {
      type: "text",
      maxlength: "300",
      autocomplete: "off",
      value: endpoint?.description ?? "",
    }),
    { hint: "If you like; only people on this page read it." },
  );
  const trouble = h("div", {});
  const make = h("button", { class: "button primary", type: "submit" }, confirm);
  const submit = async (event) => {
    event.preventDefault();
    replace(trouble);
    const wanted = { url: url.input.value.trim(), description: description.input.value.trim() };
    if (!/^https?:\/\/./i.test(wanted.url)) {
      url.complain("Write the whole address, from http:// or https:// on.");
      url.input.focus();
      return;
    }
    make.disabled = true;
    try {
      await send(wanted);
    } catch (error) {
      if (!place(error, { url, description })) failed(error, trouble);
    } finally {
      make.disabled = false;
    }
  };
  const element = h(
    "form",
    { class: "card stack box-form", onsubmit: submit, novalidate: true, "aria-label": title },
    h("h2", {}, title),
    url.element,
    description.element,
    trouble,
    h(
      "div",
      { class: "row" },
      make,
      h("button", { class: "button", type: "button", onclick: onCancel }, "Cancel"),
    ),
  );
  return { element, focus: () => url.input.focus() };
}
