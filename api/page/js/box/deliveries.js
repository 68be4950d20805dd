// Deliveries: each with its state and its tries, the newest first; any of them can be sent again.
import { call } from "../client.js";
import { h, replace } from "../dom.js";
import { count, number } from "../format.js";
import { failed } from "../notice.js";
import { deliveryRow } from "./delivery.js";
import { choice, field } from "./field.js";
import { STATES } from "./outcomes.js";
import { repeat } from "./repeat.js";

const PER_PAGE = 20;
const LOOK_S = 5;

/**
 * Return {element, refresh, offerEndpoints}; it looks again by itself while it is seen.
 * @param {{path: string, signal: AbortSignal, endpoints: () => Array<{id: number, url: string}>}} of
 */
export function deliveries({ path, signal, endpoints }) {
  const rows = new Map(); // by id; ids are in the order of time
  let total = 0;
  let asked = 0; // which question is the latest, so that no late answer overwrites it
  const list = h("ul", { class: "box-list box-deliveries", "aria-label": "Deliveries" });
  const trouble = h("div", {});
  const none = h("div", { class: "empty", hidden: true });
  const counted = h("p", { class: "muted small", role: "status" });
  const states = [["", "All states"], ...Object.entries(STATES).map(([k, v]) => [k, v.label])];
  const restart = () => {
    rows.clear();
    refresh();
  };
  const state = field("State", choice(states, { onchange: restart }));
  const endpoint = field("Webhook", choice([["", "All webhooks"]], { onchange: restart }));
  const more = h(
    "button",
    { class: "button", type: "button", hidden: true, onclick: () => load(rows.size) },
    "Show more",
  );

  const load = async (offset) => {
    const limit = offset === 0 ? Math.min(100, Math.max(PER_PAGE, rows.size)) : PER_PAGE;
    const query = { state: state.input.value, endpoint: endpoint.input.value, limit, offset };
    const question = ++asked;
    try {
      const page = await call(`${path}/deliveries`, { query, signal });
      if (question !== asked) return;
      total = page.total;
      if (offset === 0 && rows.size <= limit) forget(page.items);
      for (const delivery of page.items) keep(delivery);
      replace(trouble);
      draw();
    } catch (error) {
      if (!signal.aborted && question === asked) failed(error, trouble);
    }
  };
  const refresh = () => load(0);
  const forget = (items) => {
    const there = new Set(items.map((one) => one.id));
    for (const id of [...rows.keys()]) if (!there.has(id)) rows.delete(id);
  };
  const keep = (delivery) => {
    if (rows.has(delivery.id)) rows.get(delivery.id).update(delivery);
    else rows.set(delivery.id, deliveryRow(delivery, { urlOf, replay }));
  };
  const urlOf = (id) => endpoints().find((one) => one.id === id)?.url ?? "a webhook that is deleted";
  const replay = async (id) => {
    keep(await call(`${path}/deliveries/${id}/replay`, { method: "POST", signal }));
    await refresh();
  };
  const draw = () => {
    const sorted = [...rows.keys()].sort((a, b) => (a < b ? 1 : -1));
    for (const [index, id] of sorted.entries()) {
      const { element } = rows.get(id);
      // a row that stays where it is keeps the focus
      if (list.children[index] !== element) list.insertBefore(element, list.children[index] ?? null);
    }
    while (list.children.length > sorted.length) list.lastElementChild.remove();
    const filtered = state.input.value !== "" || endpoint.input.value !== "";
    none.hidden = sorted.length > 0;
    replace(
      none,
      h("p", {}, h("strong", {}, filtered ? "None of these." : "Nothing has been sent yet.")),
      h(
        "p",
        { class: "muted" },
        filtered
          ? "Choose another state or webhook to see more."
          : "The next session that is done shows up here, and so does a test.",
      ),
    );
    more.hidden = rows.size >= total;
    const all = count(total, "delivery", "deliveries");
    const said = rows.size < total ? `${number(rows.size)} of ${all}` : all;
    if (said !== counted.textContent) replace(counted, said); // the same again isn't to be heard
  };
  const offerEndpoints = () => {
    const chosen = endpoint.input.value;
    const options = endpoints().map((one) => h("option", { value: String(one.id) }, one.url));
    replace(endpoint.input, h("option", { value: "" }, "All webhooks"), ...options);
    endpoint.input.value = endpoints().some((one) => String(one.id) === chosen) ? chosen : "";
  };
  repeat(LOOK_S, signal, refresh);
  const element = h(
    "section",
    { class: "box-sent", "aria-labelledby": "box-deliveries" },
    h("h2", { id: "box-deliveries" }, "Deliveries"),
    h("div", { class: "box-columns" }, state.element, endpoint.element),
    trouble,
    counted,
    none,
    list,
    h("div", {}, more),
  );
  return { element, refresh, offerEndpoints };
}
