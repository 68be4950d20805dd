/* The panel of a recording under way: its time, its level, what is wrong, its text, its end. */

import { call } from "../client.js";
import { ask } from "../dialog.js";
import { h, replace, svg } from "../dom.js";
import { may } from "../me.js";
import { announce, failed, message } from "../notice.js";
import { meter } from "./meter.js";
import { path } from "./recordings.js";
import { times } from "./times.js";
import { transcript } from "./transcript.js";
import { watch } from "./watching.js";
import { OVER, gapsSentence, stateWord, warningsOf } from "./words.js";

const BLIP_MS = 1500; // a line that is back so soon was not worth a word
const INTERRUPTED = {
  kind: "warning",
  sentence: "The line to the box is interrupted.",
  step: "The recording goes on there; the text follows as soon as the line is back.",
};
const OUTCOME = {
  finishing: "The microphone is off. The last words are being written.",
  done: "The recording is saved as a session.",
  recovered: "The recording was interrupted; all that was captured is saved as a session.",
  failed: "No sound came, so there is no session. Check the microphone and record again.",
  discarded: "The recording was discarded. Nothing of it is kept.",
  missing: "There is no such recording; it may have been discarded.",
};

/** Make the panel of a recording; it lives until `signal` aborts. */
export function livePanel(id, { signal }) {
  let status = null;
  let isLinked = true;
  let isOver = false;
  let blip = 0;
  let warned = "";

  const level = meter();
  const time = times({ signal });
  const text = transcript();
  const state = h("span", { class: "chip rec-state", hidden: true });
  const heading = h("h1", { class: "rec-title", tabindex: "-1" }, `Recording ${id}`);
  const device = h("p", { class: "rec-device muted" });
  const warnings = h("div", { class: "rec-warnings stack" });
  const gaps = h("p", { class: "rec-gaps", hidden: true });
  const outcome = h("p", { class: "rec-outcome", hidden: true });
  const trouble = h("div", { class: "rec-trouble" });
  const stop = button("button rec-stop", "stop", "Stop", end);
  const discard = button("button quiet", "trash", "Discard", giveUp);
  const captions = link(`#/captions/${id}`, "captions", "Captions");
  const actions = h("div", { class: "row rec-actions" }, stop, captions, discard);
  const element = h(
    "div",
    { class: "stack rec-live", dataset: { recording: id } },
    h(
      "section",
      { class: "card rec-head", "aria-label": "Recording" },
      h("div", { class: "rec-name" }, heading, state, device),
      time.element,
      level.element,
      outcome,
      actions,
      trouble,
    ),
    warnings,
    gaps,
    text.element,
  );

  function showState(name) {
    state.textContent = stateWord(name);
    state.dataset.state = name;
    state.hidden = false;
    stop.hidden = name !== "recording";
    if (OUTCOME[name]) replace(outcome, OUTCOME[name]).hidden = false;
  }

  function showWarnings() {
    const told = isOver || !status ? [] : warningsOf(status);
    if (!isLinked) told.unshift(INTERRUPTED);
    const said = told.map(({ sentence, step }) => `${sentence} ${step}`).join(" ");
    if (said === warned) return;
    warned = said;
    replace(warnings, ...told.map((each) => message(each.kind, each.sentence, each.step || null)));
    if (said) announce(said);
  }

  function update(told) {
    status = told;
    time.take(told);
    if (told.title) heading.textContent = told.title;
    if (!OVER.has(told.state)) showState(told.state); // its end is told by the stream, after its text
    device.textContent = told.device === "default" ? "Default microphone" : told.device;
    gaps.textContent = gapsSentence(told.gaps);
    gaps.hidden = !gaps.textContent;
    if (!hears()) level.show(null);
    showWarnings();
  }

  /** Tell whether a level says anything: not when the microphone is away. */
  function hears() {
    return status?.state === "recording" && !status.alarms.includes("deviceLost");
  }

  function setLinked(is) {
    isLinked = is;
    element.classList.toggle("is-waiting", !is);
    time.run(is);
    showWarnings();
  }

  function tellLink(heard) {
    clearTimeout(blip);
    if (heard === "open") setLinked(true);
    else blip = setTimeout(() => isOver || signal.aborted || setLinked(false), BLIP_MS);
  }

  async function end() {
    stop.disabled = true;
    replace(trouble);
    try {
      update(await call(`${path(id)}/stop`, { method: "POST", signal }));
      heading.focus({ preventScroll: true }); // the button that had it is gone
      announce(OUTCOME.finishing);
    } catch (error) {
      stop.disabled = false;
      failed(error, trouble);
    }
  }

  async function giveUp() {
    const sure = await ask({
      title: "Discard this recording?",
      text: "Its sound and its text are deleted from the box at once. Nobody can bring them back.",
      confirm: "Discard",
      danger: true,
    });
    if (!sure || isOver || signal.aborted) return;
    discard.disabled = true;
    replace(trouble);
    try {
      await call(`${path(id)}/discard`, { method: "POST" });
      if (!signal.aborted) over("discarded", null);
    } catch (error) {
      discard.disabled = false;
      failed(error, trouble);
    }
  }

  function over(name, sessionId) {
    if (isOver) return;
    isOver = true;
    clearTimeout(blip);
    setLinked(true);
    text.settle();
    level.element.remove();
    showState(name);
    element.classList.add("is-over");
    if (name === "discarded" || name === "missing") {
      text.element.remove();
      time.element.remove();
      gaps.remove();
    }
    replace(trouble);
    showWays(sessionId && may("sessions:read") ? sessionId : null);
    announce(OUTCOME[name]);
  }

  function showWays(sessionId) {
    const again = link("#/record", "microphone", "New recording");
    const open = sessionId && link(`#/sessions/${sessionId}`, "file", "Open session");
    (open || again).classList.add("primary");
    const hadFocus = actions.contains(document.activeElement);
    replace(actions, open || null, again);
    if (hadFocus) (open || again).focus();
  }

  const { segment, gap, partial } = text;
  const handlers = {
    ...{ segment, gap, partial, over },
    level: (dbfs) => hears() && level.show(dbfs),
    status: update,
    link: tellLink,
    broken: (error) => failed(error, trouble),
  };
  watch(id, handlers, signal);
  return element;
}

function button(kind, icon, name, onclick) {
  return h("button", { type: "button", class: kind, onclick }, svg(icon), name);
}

function link(href, icon, name) {
  return h("a", { class: "button", href }, svg(icon), name);
}
