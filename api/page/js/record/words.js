/* What the box's codes mean to people in the room: states, alarms, gaps, engines, and why. */

import { clock, duration } from "../format.js";

/** The states after which nothing of a recording changes any more. */
export const OVER = new Set(["done", "recovered", "failed", "discarded"]);

const STATES = {
  recording: "Recording",
  finishing: "Finishing",
  done: "Saved",
  recovered: "Saved after an interruption",
  failed: "Nothing was captured",
  discarded: "Discarded",
  missing: "Not found",
};

const ALARMS = {
  silent: {
    kind: "warning",
    sentence: "The microphone hears nothing.",
    step: "Check that it is switched on, not muted, and the one you chose.",
  },
  clipping: {
    kind: "warning",
    sentence: "The sound is too loud and is being cut off.",
    step: "Move the microphone away or turn it down.",
  },
  deviceLost: {
    kind: "error",
    sentence: "The microphone is gone.",
    step: "Plug it in again: the recording goes on by itself.",
  },
};

const CAUSES = {
  "device lost": "the microphone was away",
  "capture killed": "the recording broke off and was taken up again",
  outage: "the box was off",
  overflow: "the box was too busy to take the sound",
  disk: "the disk is full, which ended the recording",
  "no server": "the box was away for too long, which ended the recording",
};

const REASONS = {
  "no speech": "it is probably no speech",
  "log-probability": "the box was too unsure of it",
  "token rate": "it is more text than can be said in the time",
  repetition: "it repeats itself as people do not",
  compression: "it repeats itself as people do not",
  "engine error": "the engine failed here; the sound is kept",
};

const WHY_ELSEWHERE = {
  behind: "this box was behind",
  modelMissing: "this box has no model",
  engineFailing: "the engine of this box failed",
};

const WHY_NOT_ELSEWHERE = {
  noCloudKey: "it has no key for the cloud",
  dailyLimit: "the words of today are used up",
  weeklyLimit: "the words of this week are used up",
  cloudRefused: "the cloud refused it",
  cloudUnreachable: "the cloud cannot be reached",
};

const BEHIND_S = 20; // of sound without text, before it is worth a word

/** Return the state in a word or two. */
export function stateWord(state) {
  return STATES[state] ?? state;
}

/** Return what each alarm means and what to do: {kind, sentence, step}. */
export function alarmWords(alarm) {
  return ALARMS[alarm] ?? { kind: "warning", sentence: `The box reports: ${alarm}.`, step: "" };
}

/** Return one sentence about a gap {atSeconds, seconds, cause}, for the place where it is. */
export function gapSentence({ seconds, cause }) {
  const why = CAUSES[cause] ?? cause;
  return seconds < 0.05
    ? `The sound ends here: ${why}.`
    : `${missing(seconds)} missing here: ${why}.`;
}

/** Return one sentence about all gaps, "" if there are none. */
export function gapsSentence(gaps) {
  const lost = gaps.filter(({ seconds }) => seconds >= 0.05);
  if (!lost.length) return "";
  const seconds = lost.reduce((sum, gap) => sum + gap.seconds, 0);
  const where = lost.length === 1 ? `at ${clock(lost[0].atSeconds)}` : `in ${lost.length} places`;
  const why = [...new Set(lost.map(({ cause }) => CAUSES[cause] ?? cause))].join("; ");
  return `${missing(seconds)} missing ${where}: ${why}.`;
}

function missing(seconds) {
  return seconds < 10 ? `${seconds.toFixed(1)} s` : duration(seconds);
}

/** Return why a text was held back. */
export function reasonWords(reason) {
  return REASONS[reason] ?? reason;
}

/** Return who wrote a text, short: {label, detail, cloud}. */
export function engineWords(engine, engineReason = null) {
  const [maker, ...rest] = String(engine).split("-");
  const model = rest.join("-");
  if (maker === "none" || !engine) return { label: "no engine", detail: "", cloud: false };
  if (maker === "whisper") return { label: model, detail: `on this box: ${engine}`, cloud: false };
  const why = WHY_ELSEWHERE[engineReason] ?? engineReason;
  const detail = `in the cloud: ${engine}${why ? `, because ${why}` : ""}`;
  return { label: `cloud · ${model || maker}`, detail, cloud: true };
}

/** Return what is to be told of a recording now, the gravest first: [{kind, sentence, step}]. */
export function warningsOf(status) {
  const told = status.alarms.map(alarmWords);
  const behind = status.capturedSeconds - status.transcribedSeconds;
  const { active = false, reason = null } = status.failover ?? {};
  if (active) {
    const why = WHY_ELSEWHERE[reason] ?? reason;
    const sentence = `The cloud writes the text for now${why ? `: ${why}` : ""}.`;
    told.push({ kind: "info", sentence, step: "Each line says who wrote it." });
  } else if (status.state === "recording" && behind > BEHIND_S) {
    const why = WHY_NOT_ELSEWHERE[reason];
    const sentence = `The text is ${duration(Math.round(behind))} behind the sound.`;
    const step = "No sound is lost; the text comes later.";
    told.push({
      kind: "info",
      sentence,
      step: why ? `${step} The cloud does not help: ${why}.` : step,
    });
  }
  const grave = ["error", "warning", "info"];
  return told.sort((a, b) => grave.indexOf(a.kind) - grave.indexOf(b.kind));
}
