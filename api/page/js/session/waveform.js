/**
 * The waveform: peaks on a canvas, what was played in the accent colour, and a slider for pointer
 * and keyboard. The server makes the peaks; without them the line is flat and still a slider.
 */

import { h } from "../dom.js";
import { clock, duration } from "../format.js";

const BAR = 3; // CSS pixels from one bar to the next
const GAP = 1;
const LEAST = 2; // height of silence, so that the line goes on
const QUIET = 10; // % of full scale that fill the height at the least: noise is not drawn as speech
const STEP_SECONDS = 5;
const PAGE_SECONDS = 30;

/**
 * @param {object} options
 * @param {number} options.seconds length of the sound
 * @param {(seconds: number) => void} options.onSeek
 * @param {AbortSignal} options.signal ends it
 */
export function createWaveform({ seconds, onSeek, signal }) {
  const canvas = h("canvas", { "aria-hidden": "true" });
  const hint = h("span", { class: "waveform-time", "aria-hidden": "true", hidden: true });
  const node = h(
    "div",
    {
      class: "waveform",
      role: "slider",
      tabindex: "0",
      "aria-label": "Position in the recording",
      "aria-valuemin": "0",
    },
    canvas,
    hint,
  );
  let peaks = [];
  let bars = [];
  let loud = QUIET;
  let position = 0;
  let colours = null;
  let waiting = 0;
  let drawnAt = -1;
  let dragging = false;

  function draw() {
    waiting = 0;
    const { clientWidth: width, clientHeight: height } = node;
    if (!width || !height) return;
    const ratio = window.devicePixelRatio || 1;
    if (
      canvas.width !== Math.round(width * ratio) ||
      canvas.height !== Math.round(height * ratio)
    ) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      bars = [];
    }
    if (!bars.length) bars = loudest(peaks, Math.max(1, Math.floor(width / BAR)));
    colours ??= coloursOf(node);
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const played = headAt();
    drawnAt = played;
    const middle = height / 2;
    bars.forEach((peak, at) => {
      const tall = Math.max(LEAST, (peak / loud) * (height - 4));
      pen.fillStyle = at * BAR < played ? colours.played : colours.ahead;
      pen.fillRect(at * BAR, middle - tall / 2, BAR - GAP, tall);
    });
    pen.fillStyle = colours.head;
    pen.fillRect(Math.min(Math.max(played - 1, 0), width - 2), 0, 2, height);
  }

  /** Where the head is, in device pixels' worth of CSS pixels: it moves by whole ones. */
  function headAt() {
    const ratio = window.devicePixelRatio || 1;
    return seconds ? Math.round((position / seconds) * canvas.width) / ratio : 0;
  }

  function redraw() {
    waiting ||= requestAnimationFrame(draw);
  }

  function recolour() {
    colours = null;
    redraw();
  }

  function told() {
    node.setAttribute("aria-valuemax", String(Math.round(seconds)));
    node.setAttribute("aria-valuenow", String(Math.round(position)));
    node.setAttribute("aria-valuetext", `${duration(position)} of ${duration(seconds)}`);
  }

  function secondsUnder(event) {
    const box = node.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    return Math.min(Math.max(share, 0), 1) * seconds;
  }

  function point(event) {
    const under = secondsUnder(event);
    hint.hidden = false;
    hint.textContent = clock(under);
    const half = hint.offsetWidth / 2;
    const left = (under / (seconds || 1)) * node.clientWidth;
    const at = Math.min(Math.max(left, half), node.clientWidth - half);
    hint.style.setProperty("transform", `translateX(${at - half}px)`);
    if (dragging) onSeek(under);
  }

  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    dragging = true;
    node.setPointerCapture(event.pointerId);
    onSeek(secondsUnder(event));
  });
  node.addEventListener("pointermove", point);
  node.addEventListener("pointerleave", () => (hint.hidden = true));
  for (const over of ["pointerup", "pointercancel"]) {
    node.addEventListener(over, () => (dragging = false));
  }
  node.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const target = {
      ArrowLeft: position - STEP_SECONDS,
      ArrowDown: position - STEP_SECONDS,
      ArrowRight: position + STEP_SECONDS,
      ArrowUp: position + STEP_SECONDS,
      PageDown: position - PAGE_SECONDS,
      PageUp: position + PAGE_SECONDS,
      Home: 0,
      End: seconds,
    }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    onSeek(target);
  });

  const size = new ResizeObserver(redraw);
  size.observe(node);
  const theme = new MutationObserver(recolour);
  theme.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
    window.matchMedia(query).addEventListener("change", recolour, { signal });
  }
  signal.addEventListener("abort", () => {
    size.disconnect();
    theme.disconnect();
    cancelAnimationFrame(waiting);
  });
  told();

  return {
    node,
    /** Show other peaks: the largest amplitude of each slice, 0..100. */
    setPeaks(points) {
      peaks = points;
      loud = points.reduce((most, peak) => Math.max(most, peak), QUIET);
      bars = [];
      redraw();
    },
    /** Move the head; the words for screen readers change once a second. */
    setPosition(now) {
      const spoken = Math.round(now) !== Math.round(position);
      position = now;
      if (spoken) told();
      if (headAt() !== drawnAt) redraw();
    },
    /** Correct the length, once it is known better. */
    setSeconds(length) {
      seconds = length;
      told();
      redraw();
    },
  };
}

/** Bring any number of peaks to `count` bars, each the loudest of its slice. */
function loudest(peaks, count) {
  if (!peaks.length) return new Array(count).fill(0);
  return Array.from({ length: count }, (_, at) => {
    const from = Math.floor((at * peaks.length) / count);
    const to = Math.max(from + 1, Math.floor(((at + 1) * peaks.length) / count));
    let most = 0;
    for (let one = from; one < to; one += 1) most = Math.max(most, peaks[one]);
    return most;
  });
}

function coloursOf(node) {
  const style = getComputedStyle(node);
  const named = (name) => style.getPropertyValue(name).trim() || style.color;
  return { played: named("--accent"), ahead: named("--waveform"), head: named("--text") };
}
