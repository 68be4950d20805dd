// One delivery: its state in a line, its tries on request, and the button that sends it again.
import { h, replace, svg } from "../dom.js";
import { count } from "../format.js";
import { failed } from "../notice.js";
import { moment } from "./facts.js";
import { STATES, outcome } from "./outcomes.js";

const EVENTS = { "session.created": "New session", ping: "Test" };

/**
 * Return {element, update}; an update that changes nothing touches nothing.
 * @param {object} delivery
 * @param {{urlOf: (id: number) => string, replay: (id: string) => Promise<void>}} options
 */
export function deliveryRow(delivery, { urlOf, replay }) {
  let last = "";
  const head = h("summary", {});
  const body = h("div", { class: "box-tries" });
  const trouble = h("div", {});
  const again = h(
    "button",
    {
      class: "button quiet small",
      type: "button",
      onclick: async () => {
        again.setAttribute("aria-disabled", "true"); // disabled would lose the focus
        replace(trouble);
        try {
          await replay(delivery.id);
        } catch (error) {
          failed(error, trouble);
        } finally {
          again.removeAttribute("aria-disabled");
        }
      },
    },
    svg("replay"),
    h("span", {}, "Send again"),
  );
  const update = (now) => {
    const told = JSON.stringify([now, urlOf(now.endpoint)]);
    if (told === last) return;
    last = told;
    const { label, kind } = STATES[now.state] ?? { label: now.state, kind: "" };
    const event = EVENTS[now.event] ?? now.event;
    again.setAttribute("aria-label", `Send again: ${event}, ${label}`);
    replace(
      head,
      h("span", { class: ["chip", kind] }, label),
      h("strong", {}, event),
      h("span", { class: "muted box-url" }, urlOf(now.endpoint)),
      h("span", { class: "muted box-when" }, moment(now.createdAt)),
      svg("chevron-down", { class: "box-chevron" }),
    );
    replace(body, ...tries(now));
  };
  update(delivery);
  const element = h(
    "li",
    { class: "card box-delivery" },
    h("div", { class: "box-delivery-row" }, h("details", {}, head, body), again),
    trouble,
  );
  return { element, update };
}

function tries({ id, attempts, nextTryAt }) {
  const rows = attempts.map((one) => {
    const { well, sentence, step, took } = outcome(one);
    return h(
      "li",
      {},
      h("span", { class: ["chip", well ? "ok" : "warn"] }, one.status ?? "no answer"),
      h("span", {}, sentence, step ? ` ${step}` : ""),
      h("span", { class: "muted box-when" }, moment(one.at), ` · ${took}`),
    );
  });
  return [
    rows.length > 0
      ? h("ol", { class: "box-attempts", "aria-label": count(rows.length, "try", "tries") }, ...rows)
      : h("p", { class: "muted" }, "Not tried yet."),
    nextTryAt ? h("p", { class: "muted" }, "The next try: ", moment(nextTryAt), ".") : null,
    h("p", { class: "muted small" }, "webhook-id ", h("code", {}, id)),
  ];
}
