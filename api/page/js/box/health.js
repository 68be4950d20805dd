// Health in words: what is well, what isn't, and what to do about it; looked at again by itself.
import { Failure, events, unreached } from "../client.js";
import { h, replace, svg } from "../dom.js";
import { duration } from "../format.js";
import { failed, message } from "../notice.js";
import { moment } from "./facts.js";
import { OVERALL, STATES, duty, part, saysStep, sentence } from "./health_words.js";
import { repeat } from "./repeat.js";

const LOOK_S = 10;
const ORDER = ["failed", "degraded", "ok"];

/** Show how the box is; everybody may know, also without a key. */
export async function show(root, { signal }) {
  const trouble = h("div", {});
  const overall = h("div", { role: "status" });
  const checked = h("p", { class: "muted small" });
  const list = h("ul", { class: "card box-parts", "aria-label": "Each part" });
  const opened = new Set(); // which details are open, so that a new look doesn't close them
  let last = "";
  const look = async () => {
    try {
      const health = await ask(signal);
      replace(trouble);
      replace(checked, "Looked at ", moment(new Date().toISOString()), `, and again every ${LOOK_S} s.`);
      overall.hidden = list.hidden = false;
      if (JSON.stringify(health) === last) return;
      last = JSON.stringify(health);
      draw(health, overall, list, opened);
    } catch (error) {
      if (signal.aborted) return;
      overall.hidden = list.hidden = true; // what was true before may not be true now
      failed(error, trouble, { retry: look });
    }
  };
  replace(root, h("div", { class: "stack" }, trouble, overall, list, checked));
  await look();
  events.addEventListener("back", look, { signal });
  repeat(LOOK_S, signal, look);
}

/** Return the health; 503 is an answer too, with the same content. */
async function ask(signal) {
  let response;
  try {
    response = await fetch("/health", { signal, credentials: "omit" });
  } catch (error) {
    throw error instanceof TypeError ? unreached() : error;
  }
  const health = await response.json().catch(() => null);
  if (health?.checks) return health;
  throw new Failure(response.status, `The box doesn't say how it is; it answered ${response.status}.`);
}

function draw({ status, checks }, overall, list, opened) {
  const [kind, said, more] = OVERALL[status] ?? OVERALL.degraded;
  replace(overall, message(kind, said, more));
  const names = Object.keys(checks);
  const rank = (name) => ORDER.indexOf(checks[name].status);
  const sorted = names.toSorted((a, b) => rank(a) - rank(b) || names.indexOf(a) - names.indexOf(b));
  const focused = document.activeElement?.closest?.("[data-part]")?.dataset.part;
  replace(list, ...sorted.map((name) => row(name, checks[name], opened)));
  if (focused) list.querySelector(`[data-part="${focused}"]`)?.focus();
}

function row(name, check, opened) {
  const { title, well, step } = part(name);
  const { label, kind, icon } = STATES[check.status] ?? STATES.degraded;
  const isWell = check.status === "ok";
  return h(
    "li",
    { class: "box-part" },
    svg(icon, { class: `box-mark ${kind}` }),
    h(
      "div",
      { class: "grow" },
      h("p", { class: "box-row-title" }, h("strong", {}, title), h("span", { class: ["chip", kind] }, label)),
      h("p", {}, check.detail ? sentence(check.detail) : well),
      isWell || saysStep(check.detail) ? null : h("p", { class: "muted" }, step),
      name === "webhooks" && !isWell ? h("p", {}, h("a", { href: "#/box/webhooks" }, "To the webhooks")) : null,
      check.duties ? duties(name, check.duties, opened) : null,
    ),
  );
}

function duties(name, runs, opened) {
  const rows = Object.entries(runs).map(([one, { outcome, at, seconds }]) =>
    h(
      "li",
      {},
      h("span", { class: "grow" }, duty(one)),
      outcome === "failed" ? h("span", { class: "chip danger" }, "Failed") : null,
      h("span", { class: "muted box-when" }, at ? [moment(at), ` · ${took(seconds)}`] : "not yet"),
    ),
  );
  return h(
    "details",
    {
      class: "box-details",
      open: opened.has(name),
      ontoggle: (event) => (event.target.open ? opened.add(name) : opened.delete(name)),
    },
    h("summary", { dataset: { part: name } }, "When each ran last"),
    h("ul", { class: "box-duties", "aria-label": "Duties" }, rows),
  );
}

const took = (seconds) => (seconds < 1 ? `${Math.round(seconds * 1000)} ms` : duration(seconds));
