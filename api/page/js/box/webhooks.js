// Webhooks: the addresses that are told, and below them what became of each delivery.
import { call } from "../client.js";
import { h, replace, svg } from "../dom.js";
import { deliveries } from "./deliveries.js";
import { endpointCard } from "./endpoint.js";
import { endpointForm } from "./endpoint_form.js";
import { create } from "./creating.js";
import { present, secretCard } from "./secret.js";

const PATH = "/api/v1/webhooks";

/** Show the account's webhooks and their deliveries. */
export async function show(root, { signal }) {
  let endpoints = await call(PATH, { signal });
  const place = h("div", {});
  const list = h("div", {});
  const slots = new Map(); // by webhook: what its card shows for a while outlives the card
  const sent = deliveries({ path: PATH, signal, endpoints: () => endpoints });
  const add = h(
    "button",
    { class: "button primary box-new", type: "button", onclick: () => openForm() },
    svg("plus"),
    "New webhook",
  );

  const closeForm = () => {
    replace(place);
    add.hidden = false;
    add.focus();
  };
  const openForm = () => {
    const form = endpointForm({
      title: "New webhook",
      confirm: "Make the webhook",
      send: async (wanted) => {
        const unseen = "The webhook was made, but nobody saw its secret: make a new secret for it.";
        const answer = await create(PATH, { json: wanted, signal, unseen });
        if (answer) made(answer);
      },
      onCancel: closeForm,
    });
    replace(place, form.element);
    add.hidden = true;
    form.focus();
  };
  const made = ({ secret, ...endpoint }) => {
    endpoints = [endpoint, ...endpoints];
    draw();
    const card = secretCard({
      title: "The webhook is made",
      sentence: "This is the secret its deliveries are signed with (Standard Webhooks). Copy it now: it is shown this once.",
      label: "The secret",
      secret,
      onDone: closeForm,
    });
    replace(place, card);
    present(card);
  };
  const changed = (id) => (endpoint, focus) => {
    endpoints = endpoints.flatMap((one) => {
      if (one.id !== id) return [one];
      return endpoint === null ? [] : [endpoint];
    });
    draw();
    if (endpoint === null) add.focus();
    else list.querySelector(`[data-id="${id}"] [data-does="${focus}"]`)?.focus();
  };
  const draw = () => {
    const cards = endpoints.map((endpoint) => {
      const { id } = endpoint;
      if (!slots.has(id)) slots.set(id, [h("div", {}), h("div", { "aria-live": "polite" })]);
      const card = endpointCard(endpoint, {
        path: PATH,
        slots: slots.get(id),
        signal,
        onChange: changed(id),
        onSent: sent.refresh,
      });
      card.dataset.id = id;
      return card;
    });
    replace(
      list,
      cards.length > 0
        ? h("ul", { class: "box-list", "aria-label": "Webhooks" }, ...cards)
        : h(
            "div",
            { class: "empty" },
            h("p", {}, h("strong", {}, "No webhook yet.")),
            h(
              "p",
              { class: "muted" },
              "Make one, and another program hears of each new session: Zapier, a chat, your own.",
            ),
          ),
    );
    sent.offerEndpoints();
  };
  draw();
  replace(root, h("div", { class: "stack" }, add, place, list, sent.element));
  await sent.refresh();
}
