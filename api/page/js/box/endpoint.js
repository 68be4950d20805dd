// One webhook: where it goes, how it is, and what can be done with it.
import { call } from "../client.js";
import { ask } from "../dialog.js";
import { h, replace, svg } from "../dom.js";
import { count } from "../format.js";
import { failed, message, toast } from "../notice.js";
import { endpointForm } from "./endpoint_form.js";
import { choice, field } from "./field.js";
import { fact, moment } from "./facts.js";
import { create } from "./creating.js";
import { outcome } from "./outcomes.js";
import { present, secretCard } from "./secret.js";

const WHY = {
  asked: "It was disabled here. Enable it to send again.",
  gone: "The receiver answered 410, gone. Enable it if that was a mistake.",
  failing: "Everything failed for five days. Mend the receiver, then enable it.",
};
const HOUR_MS = 3_600_000;
const SPANS = [
  [HOUR_MS, "the last hour"],
  [24 * HOUR_MS, "the last 24 hours"],
  [7 * 24 * HOUR_MS, "the last 7 days"],
  [30 * 24 * HOUR_MS, "the last 30 days"],
];

/**
 * Return the card of a webhook.
 * @param {object} endpoint
 * @param {{path: string, slots: HTMLElement[], signal: AbortSignal, onSent: () => void,
 *   onChange: (endpoint: object|null, focus: string) => void}} options `slots` outlive the card:
 *   one for a secret, which only its reader puts away, one for whatever was done last; `onChange`
 *   gets null once it is deleted, and what is to have the focus
 */
export function endpointCard(endpoint, { path, slots, signal, onChange, onSent }) {
  const one = `${path}/${endpoint.id}`;
  const [kept, place] = slots;
  const act = async (button, what) => {
    button.disabled = true;
    replace(place);
    try {
      await what();
    } catch (error) {
      if (!signal.aborted) failed(error, place);
    } finally {
      button.disabled = false;
    }
  };
  const button = (icon, label, what, { danger = false } = {}) =>
    h(
      "button",
      {
        class: ["button", "small", danger ? "quiet danger" : "quiet"],
        type: "button",
        dataset: { does: icon },
        onclick: (event) => act(event.currentTarget, () => what(event.currentTarget)),
      },
      svg(icon),
      label,
    );

  const test = async () => {
    replace(place, h("p", { class: "muted" }, "A test is being sent…"));
    const ping = await call(`${one}/test`, { method: "POST", signal });
    replace(place, toldOf(ping));
    onChange(await call(one, { signal }), "webhook"); // a 410 disables it
    onSent();
  };
  const edit = (opener) => {
    const form = endpointForm({
      title: "Change the webhook",
      confirm: "Save",
      endpoint,
      send: async (wanted) => {
        const changed = await call(one, { method: "PATCH", json: wanted, signal });
        replace(place);
        onChange(changed, "edit");
        toast("The webhook is changed.", { kind: "ok" });
      },
      onCancel: () => {
        replace(place);
        opener.focus();
      },
    });
    replace(place, form.element);
    form.focus();
  };
  const rotate = async () => {
    const sure = await ask({
      title: "Make a new secret?",
      text: "Deliveries are signed with both secrets for 24 hours, then with the new one alone. Change the receiver within that time.",
      confirm: "New secret",
    });
    if (!sure) return;
    const unseen = "The new secret counts, but nobody saw it: make another.";
    const answer = await create(`${one}/rotate`, { signal, unseen });
    if (!answer) return;
    const { secret } = answer;
    const card = secretCard({
      title: "The new secret",
      sentence: "Copy it now: it is shown this once. The old one signs too for 24 hours.",
      label: "The secret",
      secret,
      onDone: () => replace(kept),
    });
    replace(kept, card);
    present(card);
  };
  const enable = async () => {
    const enabled = !endpoint.enabled;
    if (!enabled) {
      const sure = await ask({
        title: "Disable the webhook?",
        text: "What still waits for it is cancelled, and new sessions aren't sent to it until it is enabled.",
        confirm: "Disable",
        danger: true,
      });
      if (!sure) return;
    }
    const changed = await call(one, { method: "PATCH", json: { enabled }, signal });
    onChange(changed, enabled ? "pause" : "play");
    onSent();
  };
  const remove = async () => {
    const sure = await ask({
      title: "Delete the webhook?",
      text: `${endpoint.url} is told nothing more, what waits for it is cancelled, and its secret is gone.`,
      confirm: "Delete",
      danger: true,
    });
    if (!sure) return;
    await call(one, { method: "DELETE", signal });
    onChange(null, "");
    onSent();
  };

  return h(
    "li",
    { class: ["card", "box-endpoint", !endpoint.enabled && "is-ended"] },
    h(
      "p",
      { class: "box-row-title" },
      h("code", { class: "box-url" }, endpoint.url),
      state(endpoint),
    ),
    endpoint.description ? h("p", {}, endpoint.description) : null,
    endpoint.enabled ? null : h("p", { class: "muted" }, WHY[endpoint.disabledBecause] ?? WHY.asked),
    h(
      "dl",
      { class: "box-facts" },
      fact("Told of", "new sessions"),
      fact("Made", moment(endpoint.createdAt)),
      endpoint.failures > 0 ? fact("Failed in a row", count(endpoint.failures, "time")) : null,
      endpoint.failingSince ? fact("Failing since", moment(endpoint.failingSince)) : null,
    ),
    h(
      "div",
      { class: "box-actions", role: "group", "aria-label": `Webhook ${endpoint.url}` },
      endpoint.enabled ? button("webhook", "Send a test", test) : null,
      endpoint.enabled ? button("replay", "Send again…", () => again(place, one, signal, onSent)) : null,
      button("edit", "Edit", edit),
      button("key", "New secret", rotate),
      button(endpoint.enabled ? "pause" : "play", endpoint.enabled ? "Disable" : "Enable", enable),
      button("trash", "Delete", remove, { danger: true }),
    ),
    slots,
  );
}

function state({ enabled, failures }) {
  if (!enabled) return h("span", { class: "chip warn" }, "Disabled");
  if (failures > 0) return h("span", { class: "chip warn" }, "Failing");
  return h("span", { class: "chip ok" }, "Enabled");
}

function toldOf(ping) {
  const { well, sentence, step, took } = outcome(ping);
  return message(well ? "ok" : "warning", `The test: ${sentence} (${took})`, step);
}

/** Ask from when on everything is to be sent again, and send it. */
function again(place, one, signal, onSent) {
  const span = field("Send again everything of", choice(SPANS, { value: SPANS[1][0] }), {
    hint: "Received or not; each keeps its webhook-id, by which receivers know repetitions.",
  });
  const trouble = h("div", {});
  const submit = async (event) => {
    event.preventDefault();
    const since = new Date(Date.now() - Number(span.input.value)).toISOString();
    try {
      const { replayed } = await call(`${one}/replay`, { method: "POST", query: { since }, signal });
      const said = replayed ? `${count(replayed, "delivery", "deliveries")} begin again.` : null;
      replace(place, message("info", said ?? "There was nothing to send in that time."));
      onSent();
    } catch (error) {
      failed(error, trouble);
    }
  };
  const form = h(
    "form",
    { class: "box-again stack", onsubmit: submit },
    span.element,
    trouble,
    h(
      "div",
      { class: "row" },
      h("button", { class: "button primary", type: "submit" }, "Send again"),
      h("button", { class: "button", type: "button", onclick: () => replace(place) }, "Cancel"),
    ),
  );
  replace(place, form);
  span.input.focus();
}
