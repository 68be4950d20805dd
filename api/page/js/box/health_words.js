// The parts of the box in words: what each is, that it is well, and what to do when it isn't.

const LOG = "The log of the box says more: journalctl -u scribebox.";

/** @type {Object<string, {title: string, well: string, step: string}>} */
export const PARTS = {
  database: {
    title: "Database",
    well: "It can be read, and its file is in place.",
    step: "Run scribebox doctor on the box; if the file is gone, restore the last backup.",
  },
  disk: {
    title: "Disk",
    well: "There is room for recordings and uploads.",
    step: "Delete sessions that aren't needed, or give the data folder more room.",
  },
  engine: {
    title: "Speech engine",
    well: "It is ready to transcribe.",
    step: "Restart the box. If it stays so, run scribebox doctor on the box.",
  },
  microphone: {
    title: "Microphone",
    well: "It is there when a recording needs it.",
    step: "See that it is plugged in and not muted; scribebox devices lists what the box sees.",
  },
  scheduler: {
    title: "Regular duties",
    well: "Each was done when it was due.",
    step: LOG,
  },
  webhooks: {
    title: "Webhooks",
    well: "Deliveries go out as they should.",
    step: "Look at Webhooks, mend the receiver, then send again what was given up.",
  },
  backup: {
    title: "Backup",
    well: "The last one was made and is recent.",
    step: LOG,
  },
  audio: {
    title: "Audio files",
    well: "Every recording that should be there is there.",
    step: "Restore them from a backup: scribebox backup restore, with the box stopped.",
  },
};
const DUTIES = {
  delivery: "Send webhooks",
  last_used: "Note when keys were used",
  unattached_audio: "Remove audio that nothing refers to",
  retention: "Delete what is past its time",
  pruning: "Tidy old deliveries and events",
  sweep: "Look that all audio is there",
  backup: "Make the nightly backup",
  checkpoint: "Tidy the database",
};
export const STATES = {
  ok: { label: "Well", kind: "ok", icon: "check" },
  degraded: { label: "Needs a look", kind: "warn", icon: "alert" },
  failed: { label: "Failed", kind: "danger", icon: "alert" },
};
export const OVERALL = {
  ok: ["ok", "All is well.", "Every part of the box does what it should."],
  degraded: ["warning", "The box works, but not all of it.", "What needs a look comes first below."],
  failed: ["error", "Something that the box can't do without has failed.", "What failed comes first below."],
};

/** Return what is known of a part of the box; one of a later version goes by its own name. */
export function part(name) {
  return PARTS[name] ?? { title: name, well: "It is well.", step: LOG };
}

/** Return a duty in words. */
export function duty(name) {
  return DUTIES[name] ?? name.replaceAll("_", " ");
}

/** Return what the box says of a part as a sentence. */
export function sentence(detail) {
  const text = detail.trim();
  const end = /[.?!]$/.test(text) ? "" : ".";
  return text.charAt(0).toUpperCase() + text.slice(1) + end;
}

/** Tell whether the box itself says what to do next. */
export function saysStep(detail) {
  return /\b(run|see|restart) (scribebox|the)\b/.test(detail ?? "");
}
