/**
 * The keys of the player. With Alt they work wherever the cursor is, also while typing; alone only
 * in the player and the transcript, so that no key is taken away from anything else.
 */

import { showDialog } from "../dialog.js";
import { h } from "../dom.js";

const SKIP_SECONDS = 10;
const KEYS = [
  ["Alt + K", "Play or pause, wherever the cursor is"],
  ["Alt + J, Alt + L", "10 seconds back, 10 seconds forward"],
  ["Space, K, J, L", "The same in the player and the transcript"],
  ["← →", "In the waveform: 5 seconds; in the transcript: the next word"],
  ["↑ ↓", "In the transcript: the next line"],
  ["Enter", "In the transcript: play from the word"],
  ["Home, End", "In the waveform: to the beginning, to the end"],
];
const EDITING = [["Ctrl + S", "While editing: save"]];

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
    h("div", {}, h("dt", {}, h("kbd", {}, keys)), h("dd", {}, what)),
  );
  showDialog("Keys", h("dl", { class: "keys" }, rows));
}
