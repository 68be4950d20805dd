/* Captions for the room: `#/captions/3` shows what is said, large, and nothing else.
   `#/captions` shows the recording that runs, waits for the next one, and goes on with it. */

import { h, replace, svg, useStyle } from "../dom.js";
import { recordings } from "../record/recordings.js";
import { SIZES, hideWhenIdle, remember, remembered } from "../record/screen.js";
import { stayAwake, toggleFullScreen } from "../record/screen.js";
import { watch } from "../record/watching.js";

const KEPT_LINES = 30; // more than any screen shows
const LOOK_MS = 3000;
const WAITING = "Waiting for the first words…";
const ENDED = "The recording has ended.";
const LOST = "The microphone is gone. Plug it in again.";
const INTERRUPTED = "The line to the box is interrupted; the text goes on when it is back.";

/** Show the view in `root`; `params.id` is the recording, the one that runs if there is none. */
export async function show(root, params, { signal, setTitle }) {
  await useStyle("live");
  if (signal.aborted) return;
  setTitle("Captions");
  const id = Number(params.id ?? 0);
  const screen = captions(signal, id > 0 ? `#/record/${id}` : "#/record");
  const leave = () => document.fullscreenElement && document.exitFullscreen().catch(() => {});
  signal.addEventListener("abort", leave, { once: true });
  replace(root, screen.element);
  stayAwake(signal);
  hideWhenIdle(screen.element, signal);
  if (id > 0) watch(id, screen.handlers(), signal);
  else whicheverRuns(screen, signal);
}

/** Follow the recording that runs; when it is over, the next one. */
async function whicheverRuns(screen, signal) {
  while (!signal.aborted) {
    const found = await recordings(signal).catch(() => []);
    const running = found.find(({ state }) => state === "recording");
    if (running) {
      await new Promise((resolve) => {
        watch(running.id, screen.handlers(resolve), signal);
        signal.addEventListener("abort", resolve, { once: true });
      });
    } else {
      screen.wait();
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/** Make the screen: its lines, and the handlers that a watched recording calls. */
function captions(signal, back) {
  const look = remembered();
  const lines = h("div", { class: "cap-lines", role: "log", "aria-label": "What is said" });
  const stable = h("span", { class: "line-stable" });
  const tentative = h("span", { class: "line-tentative" });
  const now = h("p", { class: "cap-now", "aria-hidden": "true" }, stable, " ", tentative);
  const status = h("p", { class: "cap-status", role: "status" }, WAITING);
  const smaller = sizeButton("A−", "smaller text", -1);
  const larger = sizeButton("A+", "larger text", 1);
  const tone = button("Switch between light and dark", "", switchTone);
  const full = button("Full screen", svg("expand"), () => toggleFullScreen(element));
  const leave = h("a", { class: "button", href: back }, "Leave");
  const controls = h("div", { class: "cap-controls" }, smaller, larger, tone, full, leave);
  const element = h(
    "section",
    { class: "captions", "aria-label": "Captions" },
    h("h1", { class: "visually-hidden", tabindex: "-1" }, "Captions"),
    h("div", { class: "cap-text" }, lines, now),
    status,
    controls,
  );
  let sentence = WAITING; // what there is to say beside the text
  let linked = true;
  let lost = false;
  let ended = false;

  function dress() {
    element.dataset.size = look.size;
    element.dataset.tone = look.tone;
    smaller.disabled = look.size === SIZES[0];
    larger.disabled = look.size === SIZES.at(-1);
    replace(tone, svg(look.tone === "dark" ? "sun" : "moon"));
    remember(look);
  }

  function resize(step) {
    const at = SIZES.indexOf(look.size) + step;
    look.size = SIZES[Math.min(Math.max(at, 0), SIZES.length - 1)];
    dress();
  }

  function sizeButton(sign, meaning, step) {
    const name = h("span", { class: "visually-hidden" }, meaning);
    return h(
      "button",
      { type: "button", class: "button", onclick: () => resize(step) },
      sign,
      name,
    );
  }

  function switchTone() {
    look.tone = look.tone === "dark" ? "light" : "dark";
    dress();
  }

  function add(node) {
    lines.append(node);
    while (lines.childElementCount > KEPT_LINES) lines.firstElementChild.remove();
    say("");
  }

  function say(told) {
    sentence = told;
    tell();
  }

  function tell() {
    const told = !linked ? INTERRUPTED : lost ? LOST : sentence;
    if (status.textContent !== told) status.textContent = told;
  }

  function segment(told) {
    partial({}); // its words are in the segment
    if (told.reason || !told.text.trim()) return;
    add(h("p", { class: "cap-line" }, told.text));
  }

  function partial(told) {
    stable.textContent = told.stable ?? "";
    tentative.textContent = told.tentative ?? "";
    if (told.stable || told.tentative) say("");
  }

  function whenOver(state, onOver) {
    [ended, linked, lost] = [true, true, false];
    partial({});
    if (state === "discarded") replace(lines);
    say(state === "missing" ? "There is no such recording." : ENDED);
    onOver?.();
  }

  const handlers = (onOver) => {
    [ended, linked, lost] = [false, true, false];
    replace(lines);
    say(WAITING);
    return {
      segment,
      partial,
      status: ({ alarms }) => {
        lost = alarms.includes("deviceLost");
        tell();
      },
      link: (state) => {
        linked = state === "open" || ended;
        tell();
      },
      broken: (error) => say(`${error.sentence} ${error.step}`),
      over: (state) => whenOver(state, onOver),
    };
  };

  /** Say that no recording runs; the last words stay. */
  const wait = () => say(ended ? ENDED : "Waiting for a recording to begin…");

  const keys = { "+": () => resize(1), "-": () => resize(-1), f: () => toggleFullScreen(element) };
  const press = (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey) keys[event.key]?.();
  };
  addEventListener("keydown", press, { signal });
  dress();
  return { element, handlers, wait };
}

function button(name, content, onclick) {
  return h(
    "button",
    { type: "button", class: "button", title: name, "aria-label": name, onclick },
    content,
  );
}
