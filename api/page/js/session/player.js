/**
 * The player: one audio element behind a pre-signed link, its waveform and its controls. It renews
 * the link when that has run out, and says in a sentence why there is no sound.
 */

import { Failure, call } from "../client.js";
import { h, replace, svg } from "../dom.js";
import { clock } from "../format.js";
import { failed } from "../notice.js";
import { createWaveform } from "./waveform.js";

const SKIP_SECONDS = 10;
const SPEEDS = [0.75, 1, 1.25, 1.5, 1.75, 2];
const SPEED = "scribebox.speed";
const PEAKS = 1200;
const FRESH_MS = 60_000; // a link that fails so soon has not run out
const CANNOT_PLAY = 4; // MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED

/**
 * @param {object} options
 * @param {string} options.path of the session in the API
 * @param {number} options.seconds length, as the transcript says
 * @param {AbortSignal} options.signal ends it
 */
export function createPlayer({ path, seconds, signal }) {
  const audio = h("audio", { preload: "metadata" });
  const listeners = new Set();
  let length = seconds;
  let isThere = false; // the session has sound that can be played
  let signedAt = 0;
  let tries = 0;
  let frame = 0;

  const waveform = createWaveform({ seconds, onSeek: seek, signal });
  const playing = h("button", { class: "button primary play", type: "button", onclick: toggle });
  const back = skipButton("skip-back", "back", -SKIP_SECONDS);
  const ahead = skipButton("skip-forward", "forward", SKIP_SECONDS);
  const at = h("span", { class: "player-at" }, clock(0));
  const whole = h("span", {}, clock(length));
  const speed = h(
    "select",
    { "aria-label": "Speed", value: kept(), onchange: () => hasten(Number(speed.value)) },
    SPEEDS.map((rate) => h("option", { value: String(rate) }, `${rate}×`)),
  );
  const trouble = h("div", { class: "player-trouble" });
  const more = h("div", { class: "player-more" });
  const node = h(
    "section",
    { class: "card player", "aria-label": "Player", "aria-busy": "true" },
    waveform.node,
    h(
      "div",
      { class: "player-controls" },
      h("p", { class: "player-clock figures" }, at, h("span", { class: "muted" }, " / ", whole)),
      h("div", { class: "player-buttons" }, back, playing, ahead),
      h("div", { class: "player-side" }, speed, more),
    ),
    trouble,
  );

  function skipButton(icon, way, by) {
    const label = `${SKIP_SECONDS} seconds ${way}`;
    const props = {
      class: "button quiet player-skip",
      type: "button",
      "aria-label": label,
      title: label,
    };
    return h("button", { ...props, onclick: () => skip(by) }, svg(icon), String(SKIP_SECONDS));
  }

  function tell() {
    const now = clock(audio.currentTime);
    if (at.textContent !== now) at.textContent = now; // not at every frame
    waveform.setPosition(audio.currentTime);
    for (const listener of listeners) listener(audio.currentTime, !audio.paused);
  }

  function run() {
    cancelAnimationFrame(frame);
    if (signal.aborted) return;
    tell();
    if (!audio.paused) frame = requestAnimationFrame(run);
  }

  function show() {
    const label = audio.paused ? "Play" : "Pause";
    playing.setAttribute("aria-label", label);
    playing.title = `${label} (Alt+K)`;
    replace(playing, svg(audio.paused ? "play" : "pause"));
  }

  function seek(to) {
    if (!isThere) return;
    audio.currentTime = Math.min(Math.max(to, 0), length || to);
    tell();
  }

  function skip(by) {
    seek(audio.currentTime + by);
  }

  async function play() {
    if (!isThere) return;
    try {
      await audio.play();
    } catch (error) {
      if (error.name !== "NotAllowedError") return; // what else is wrong comes as an event
      const step = "Press Play once more, or allow sound for this page.";
      failed(new Failure(0, "The browser didn't let the sound start.", { step }), trouble);
    }
  }

  function toggle() {
    if (audio.paused) play();
    else audio.pause();
  }

  function hasten(rate) {
    audio.defaultPlaybackRate = rate;
    audio.playbackRate = rate;
    localStorage.setItem(SPEED, String(rate));
  }

  async function sign() {
    const { url } = await call(`${path}audio-url`, { signal });
    signedAt = Date.now();
    const { pathname, search } = new URL(url, location.href); // by whatever name the box is called
    audio.src = pathname + search;
  }

  async function open() {
    try {
      await sign();
    } catch (error) {
      if (!signal.aborted) silence(error);
      return;
    }
    isThere = true;
    node.classList.remove("silent");
    node.setAttribute("aria-busy", "false");
    waveform.node.classList.add("drawing"); // some hours of sound take the box half a minute
    try {
      const { points } = await call(`${path}peaks`, { query: { points: PEAKS }, signal });
      waveform.setPeaks(points);
    } catch {
      // the line stays flat; the sound plays all the same, and says what is wrong if it does not
    }
    waveform.node.classList.remove("drawing");
  }

  function silence(error) {
    isThere = false;
    node.classList.add("silent");
    node.setAttribute("aria-busy", "false");
    const gone = "This session has no audio, or none any more. Its text is all here.";
    if (error.status === 404) replace(trouble, h("p", { class: "muted" }, svg("sound"), gone));
    else failed(error, trouble, error.status === 415 ? {} : { retry: again });
  }

  function again() {
    replace(trouble);
    open();
  }

  /** A link lasts an hour, a meeting may last longer: take a new one and go on from here. */
  async function renew() {
    const position = audio.currentTime;
    const goesOn = !audio.paused;
    await sign();
    audio.currentTime = position;
    if (goesOn) play();
  }

  async function broke() {
    tries = Date.now() - signedAt > FRESH_MS ? 0 : tries + 1;
    if (tries < 2) {
      await renew().catch((error) => signal.aborted || silence(error));
      return;
    }
    if (audio.error?.code === CANNOT_PLAY) {
      const step = "Download it with Export, Audio, and play it in another program.";
      silence(new Failure(415, "This browser can't play this kind of audio.", { step }));
    } else {
      const step = "Check that the box is on, then try again.";
      silence(new Failure(0, "The sound stopped coming.", { step }));
    }
  }

  audio.addEventListener("timeupdate", tell);
  audio.addEventListener("seeked", tell);
  for (const change of ["play", "pause", "ended"]) {
    audio.addEventListener(change, () => {
      if (change === "play") replace(trouble);
      show();
      run();
    });
  }
  audio.addEventListener("durationchange", () => {
    if (!Number.isFinite(audio.duration)) return;
    length = audio.duration;
    whole.textContent = clock(length);
    waveform.setSeconds(length);
  });
  audio.addEventListener("error", () => signal.aborted || broke());
  signal.addEventListener("abort", () => {
    cancelAnimationFrame(frame);
    audio.pause();
    audio.removeAttribute("src");
    audio.load(); // lets go of the connection
  });
  hasten(kept());
  show();

  return {
    node,
    more,
    open,
    play,
    toggle,
    seek,
    skip,
    hasAudio: () => signedAt > 0,
    /** Call `listener(seconds, playing)` whenever the position changes. */
    onPosition: (listener) => listeners.add(listener),
  };
}

/** The speed that was chosen last on this device. */
function kept() {
  const rate = Number(localStorage.getItem(SPEED));
  return SPEEDS.includes(rate) ? rate : 1;
}
