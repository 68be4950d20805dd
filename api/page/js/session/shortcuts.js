/**
 * The keys of the player. With Alt they work wherever the cursor is, also while typing; alone only
 * in the player and the transcript, so that no key is taken away from anything else.
 */

import { showDialog } from "../dialog.js";
import { h } from "../dom.js";

const SKIP_SECONDS = 10;
const KEYS = [
  [["Alt + K"], "Play or pause, also while you type"],
  [["Alt + J", "Alt + L"], "10 seconds back, 10 seconds forward"],
  [["Space", "J", "K", "L"], "The same, in the player and the transcript"],
  [["←", "→"], "5 seconds in the waveform, a word in the transcript"],
  [["↑", "↓"], "A line in the transcript"],
  [["Enter"], "Play from the word that is chosen"],
  [["Home", "End"], "To the beginning or the end, in the waveform"],
];
const EDITING = [[["Ctrl + S"], "Save what you have edited"]];

/**
 * @param {{player: {toggle: () => void, skip: (by: number) => void}, regions: Node[],
 *   signal: AbortSignal}} options
 */
export function listenForKeys({ player, regions, signal }) {
  const actions = {
    KeyK: () => player.toggle(),
    KeyJ: () => player.skip(-SKIP_SECONDS),
    KeyL: () => player.skip(SKIP_SECONDS),
  };

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    const within = regions.some((region) => region.contains(event.target));
    const takes = event.target.closest?.("input, textarea, select, button, a");
    let action = actions[event.code];
    if (event.code === "Space" && !event.altKey && !takes) action = actions.KeyK;
    const typing = takes && takes.matches("input, textarea, select");
    if (!action || !(event.altKey || (within && !typing))) return;
    event.preventDefault();
    action();
  }

  document.addEventListener("keydown", pressed, { signal });
}

/** Show the keys there are. */
export function showKeys(mayWrite) {
  const rows = (mayWrite ? [...KEYS, ...EDITING] : KEYS).map(([keys, what]) =>
    h(
      "div",
      {},
      h(
        "dt",
        {},
        keys.map((key) => h("kbd", {}, key)),
      ),
      h("dd", {}, what),
    ),
  );
  showDialog("Keys", h("dl", { class: "keys" }, rows));
}
