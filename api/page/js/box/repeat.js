// Look again every so often, only while the page is seen.

/**
 * Run `look` every `seconds` from now on until the signal aborts; it is never run twice at once.
 * @param {number} seconds
 * @param {AbortSignal} signal
 * @param {() => Promise<void>} look
 */
export function repeat(seconds, signal, look) {
  let timer = null;
  let busy = false;
  const wait = () => {
    clearTimeout(timer);
    if (!signal.aborted) timer = setTimeout(go, seconds * 1000);
  };
  const go = async () => {
    if (busy || signal.aborted || document.visibilityState !== "visible") return;
    busy = true;
    try {
      await look();
    } finally {
      busy = false;
      wait();
    }
  };
  document.addEventListener("visibilitychange", go, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  wait();
}
