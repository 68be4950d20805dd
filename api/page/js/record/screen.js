/* The screen of a room: kept awake, full if asked for, its controls away while nobody needs them. */

const IDLE_MS = 4000;
const SIZE_KEY = "scribebox.captions.size";
const TONE_KEY = "scribebox.captions.tone";
export const SIZES = ["s", "m", "l", "xl"];

/** Add `is-idle` to an element after some seconds in which nobody moved or typed. */
export function hideWhenIdle(element, signal) {
  let timer = 0;
  const stir = () => {
    clearTimeout(timer);
    element.classList.remove("is-idle");
    timer = setTimeout(() => element.classList.add("is-idle"), IDLE_MS);
  };
  for (const name of ["pointermove", "pointerdown", "keydown", "focusin"]) {
    addEventListener(name, stir, { signal, passive: true });
  }
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  stir();
}

/** Keep the display on; where the browser knows no way (it wants https), nothing happens. */
export function stayAwake(signal) {
  let lock = null;
  const hold = async () => {
    if (document.visibilityState !== "visible" || signal.aborted) return;
    lock = await navigator.wakeLock?.request("screen").catch(() => null);
    if (signal.aborted) lock?.release();
  };
  document.addEventListener("visibilitychange", hold, { signal });
  signal.addEventListener("abort", () => lock?.release(), { once: true });
  hold();
}

/** Make an element fill the screen, or the window again. */
export async function toggleFullScreen(element) {
  const change = document.fullscreenElement
    ? document.exitFullscreen()
    : element.requestFullscreen?.({ navigationUI: "hide" });
  await change?.catch(() => {}); // a browser may refuse; the window is filled already
}

/** Return how this browser showed captions the last time: {size, tone}. */
export function remembered() {
  const size = localStorage.getItem(SIZE_KEY);
  return {
    size: SIZES.includes(size) ? size : "m",
    tone: localStorage.getItem(TONE_KEY) === "light" ? "light" : "dark",
  };
}

/** Remember it. */
export function remember({ size, tone }) {
  localStorage.setItem(SIZE_KEY, size);
  localStorage.setItem(TONE_KEY, tone);
}
