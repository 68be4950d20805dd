/* The recordings that run, and the latest that have ended, with the way to each. */

import { h, replace, svg } from "../dom.js";
import { duration, when } from "../format.js";
import { may } from "../me.js";
import { recordings } from "./recordings.js";
import { gapsSentence, stateWord } from "./words.js";

const SHOWN = 6;
const LOOK_MS = 5000;

/** Make the list; it looks again every few seconds until `signal` aborts. */
export function latest({ signal }) {
  const running = h("div", { class: "stack" });
  const list = h("ul", { class: "rec-list" });
  const ended = h(
    "section",
    { class: "stack", hidden: true },
    h("h2", {}, "Latest recordings"),
    list,
  );
  let shown = "";
  let timer = 0;

  async function look() {
    try {
      const found = await recordings(signal);
      const open = found.filter(isOpen);
      const rest = found.filter((each) => !isOpen(each)).slice(0, SHOWN);
      if (!signal.aborted) show(open, rest);
    } catch {
      // the rest of the page tells when the box can't be reached
    }
    if (!signal.aborted) timer = setTimeout(look, LOOK_MS);
  }

  function show(open, rest) {
    const key = JSON.stringify([open.map(({ id, state, title }) => [id, state, title]), rest]);
    if (key === shown) return;
    shown = key;
    replace(running, ...open.map(card));
    replace(list, ...rest.map(row));
    ended.hidden = !rest.length;
  }

  look();
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  return { running, ended };
}

const isOpen = ({ state }) => state === "recording" || state === "finishing";

function card({ id, state, title, device, startedAt }) {
  return h(
    "section",
    { class: "card row rec-running" },
    h("span", { class: "chip rec-state", dataset: { state } }, stateWord(state)),
    h(
      "span",
      { class: "rec-running-what" },
      `${title || `Recording ${id}`} · ${when(startedAt)} · ${deviceName(device)}`,
    ),
    h("a", { class: "button primary", href: `#/record/${id}` }, svg("eye"), "Watch"),
    h("a", { class: "button", href: `#/captions/${id}` }, svg("captions"), "Captions"),
  );
}

function row({ id, state, title, device, startedAt, capturedSeconds, gaps, sessionId }) {
  const name = title || `Recording ${id}`;
  const opens = sessionId && may("sessions:read");
  const more = [
    when(startedAt),
    duration(Math.round(capturedSeconds)),
    deviceName(device),
    gapsSentence(gaps),
  ];
  return h(
    "li",
    { class: "rec-row" },
    h(
      "div",
      { class: "rec-row-what" },
      opens
        ? h("a", { class: "rec-row-name", href: `#/sessions/${sessionId}` }, name)
        : h("span", { class: "rec-row-name" }, name),
      h("span", { class: "muted" }, more.filter(Boolean).join(" · ")),
    ),
    h("span", { class: "chip rec-state", dataset: { state } }, stateWord(state)),
  );
}

function deviceName(device) {
  return device === "default" ? "default microphone" : device;
}
