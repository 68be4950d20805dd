/* The times of a recording: how long it has run, how much of that was captured, how much is text.
   Between two looks at the box the clock goes on by itself. */

import { h } from "../dom.js";
import { clock } from "../format.js";

const TICK_MS = 250;
const WHOLE_S = 1; // what is on its way from the microphone is not missing

/** Make the times: {element, take(status), run(whether)}; they tick until `signal` aborts. */
export function times({ signal }) {
  let status = null;
  let takenAt = 0;
  let runs = true;

  const elapsed = h(
    "span",
    { class: "rec-clock", role: "timer", "aria-label": "Elapsed" },
    clock(0),
  );
  const captured = figure("Captured");
  const written = figure("As text");
  const figures = h("dl", { class: "rec-figures" }, captured.element, written.element);
  const element = h("div", { class: "rec-time" }, elapsed, figures);

  function show() {
    if (!status) return;
    const since = runs && status.state === "recording" ? (performance.now() - takenAt) / 1000 : 0;
    const isLost = status.alarms.includes("deviceLost");
    const isWhole = !isLost && status.elapsedSeconds - status.capturedSeconds < WHOLE_S;
    const now = status.elapsedSeconds + since;
    const sound = isWhole ? now : status.capturedSeconds;
    put(elapsed, clock(now));
    captured.show(isWhole ? clock(sound) : `${clock(sound)} of ${clock(now)}`);
    captured.element.classList.toggle("is-short", !isWhole);
    written.show(clock(Math.min(status.transcribedSeconds, sound)));
  }

  function take(told) {
    [status, takenAt] = [told, performance.now()];
    show();
  }

  /** Let the clock go on, or hold it where the box has last been seen. */
  function run(whether) {
    runs = whether;
    show();
  }

  const ticking = setInterval(show, TICK_MS);
  signal.addEventListener("abort", () => clearInterval(ticking), { once: true });
  return { element, take, run };
}

function figure(name) {
  const value = h("dd", null, "–");
  return {
    element: h("div", { class: "rec-figure" }, h("dt", null, name), value),
    show: (shown) => put(value, shown),
  };
}

/** Change a text only where it differs: four times a second nothing should be done for nothing. */
function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
