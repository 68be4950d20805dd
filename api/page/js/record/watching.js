/* One recording as it happens: its stream of events, and now and then its state, in one place.
   The record view and the captions both look through this; each viewer has one of its own. */

import { call } from "../client.js";
import { follow } from "../stream.js";
import { path } from "./recordings.js";
import { OVER } from "./words.js";

const LOOK_MS = 2000;
const SOON_MS = 150; // several events at once are one reason to look

/**
 * Watch a recording until it is over or `signal` aborts.
 * `on` may have: segment(segment), gap(gap), partial(line), level(dbfs), status(recording),
 * link('open'|'waiting'), over(state, sessionId) with the state `missing` for one that never was,
 * broken(error) if the box refuses for good. Stored events come once each, in their order.
 */
export function watch(id, on, signal) {
  const own = new AbortController();
  const ended = () => own.abort();
  signal.addEventListener("abort", ended, { once: true });
  let isKnown = false;
  let timer = 0;
  let looking = false;
  let isOver = false;
  let isEnding = false; // its last event is there

  function end(state, sessionId = null) {
    if (isOver || signal.aborted) return;
    isOver = true;
    clearTimeout(timer);
    own.abort();
    signal.removeEventListener("abort", ended);
    on.over?.(state, sessionId);
  }

  async function look() {
    clearTimeout(timer);
    if (looking || own.signal.aborted) return;
    looking = true;
    try {
      const status = await call(path(id), { signal: own.signal });
      if (own.signal.aborted) return;
      isKnown = true;
      on.status?.(status);
    } catch (error) {
      if (error.status === 404) return end(isKnown ? "discarded" : "missing");
      // without a line to the box the stream tells so, and both go on by themselves
    } finally {
      looking = false;
    }
    lookIn(LOOK_MS);
  }

  function lookIn(milliseconds) {
    clearTimeout(timer);
    if (!own.signal.aborted) timer = setTimeout(look, milliseconds);
  }

  async function state(told) {
    if (!OVER.has(told.state)) return lookIn(SOON_MS);
    isEnding = true;
    if (told.state !== "discarded") {
      const status = await call(path(id), { signal: own.signal }).catch(() => null);
      if (status && !own.signal.aborted) on.status?.(status);
    }
    end(told.state, told.sessionId);
  }

  function heard(name, told) {
    if (name === "segment") on.segment?.(told);
    else if (name === "gap") on.gap?.(told);
    else if (name === "partial") on.partial?.(told);
    else if (name === "level") on.level?.(told.dbfs);
    else if (name === "state") state(told);
    if (name === "gap" || name === "alarm") lookIn(SOON_MS);
  }

  follow(`${path(id)}/events`, {
    onEvent: heard,
    onState: (link) => isEnding || on.link?.(link),
    signal: own.signal,
  }).then(look, (error) => own.signal.aborted || on.broken?.(error));
  look();
}
