/* The form that begins a recording: which microphone, what it is to be called, and the button. */

import { Failure, call } from "../client.js";
import { h, replace, svg } from "../dom.js";
import { failed } from "../notice.js";
import { recordings } from "./recordings.js";

const DEVICE_KEY = "scribebox.record.device"; // the choice of this browser, not of the box
const LANGUAGES = "en de fr es it pt nl pl sv da no fi cs uk ru tr el ar he hi zh ja ko".split(" ");

/** Make the form; `onStarted(recording)` when the microphone runs. */
export function startForm({ signal, onStarted }) {
  const device = h(
    "select",
    { id: "rec-device", name: "device", disabled: true },
    h("option", { value: "" }, "Looking for microphones…"),
  );
  const again = h(
    "button",
    {
      type: "button",
      class: "button icon-only",
      "aria-label": "Look for microphones again",
      title: "Look for microphones again",
      onclick: list,
    },
    svg("replay"),
  );
  const hint = h("p", { class: "hint", id: "rec-device-hint", role: "status" });
  device.setAttribute("aria-describedby", hint.id);
  const title = h("input", {
    id: "rec-title",
    name: "title",
    type: "text",
    maxlength: "300",
    autocomplete: "off",
    placeholder: "Made from the first sentence",
  });
  const tags = h("input", {
    id: "rec-tags",
    name: "tags",
    type: "text",
    autocomplete: "off",
    placeholder: "standup, sales",
  });
  const language = h(
    "select",
    { id: "rec-language", name: "language" },
    h("option", { value: "" }, "As it is spoken"),
    ...languages(),
  );
  const profile = h(
    "select",
    { id: "rec-profile", name: "profile" },
    h("option", { value: "" }, "As set on the box"),
    h("option", { value: "meeting" }, "Meeting: several people, longer pauses"),
    h("option", { value: "dictation" }, "Dictation: one person, short pauses"),
  );
  const trouble = h("div", { class: "rec-trouble" });
  const start = h(
    "button",
    { type: "submit", class: "button rec-start" },
    h("span", { class: "rec-dot", "aria-hidden": "true" }),
    h("span", { class: "rec-start-word" }, "Start recording"),
  );
  const element = h(
    "form",
    { class: "card stack rec-form", novalidate: true, onsubmit: begin },
    h(
      "div",
      { class: "field" },
      label(device, "Microphone"),
      h("div", { class: "row rec-choice" }, device, again),
      hint,
    ),
    field(title, "Title (optional)"),
    h(
      "details",
      { class: "rec-more" },
      h("summary", {}, "More options"),
      h(
        "div",
        { class: "stack" },
        field(tags, "Tags, separated by commas"),
        field(language, "Language"),
        field(profile, "Kind of talk"),
      ),
    ),
    trouble,
    start,
  );

  async function list() {
    again.disabled = true;
    hint.textContent = "";
    try {
      const found = await call("/api/v1/recordings/devices", { signal });
      offer(found);
    } catch (error) {
      if (signal.aborted) return;
      replace(device, h("option", { value: "" }, "The default of the box"));
      hint.textContent = [error.sentence, error.step].filter(Boolean).join(" ");
    }
    device.disabled = false;
    again.disabled = false;
  }

  function offer(found) {
    const first = found.find((each) => each.default);
    const isNamed = first && first.name !== "default";
    const usual = isNamed ? `Default (${first.name})` : "The default of the box";
    const options = found.map(({ name }) => h("option", { value: name }, name));
    replace(device, h("option", { value: "" }, usual), ...options);
    const chosen = remembered();
    device.value = found.some(({ name }) => name === chosen) ? chosen : "";
    hint.textContent = found.length
      ? ""
      : "The box has no microphone. Plug one in, then look again.";
  }

  async function begin(event) {
    event.preventDefault();
    if (start.disabled) return;
    replace(trouble);
    busy(true);
    remember(device.value);
    const wishes = { title: title.value.trim(), tags: tags.value.trim() };
    if (language.value) wishes.language = language.value;
    if (device.value) wishes.device = device.value;
    if (profile.value) wishes.profile = profile.value;
    try {
      const begun = await call("/api/v1/recordings", { method: "POST", json: wishes });
      onStarted(begun);
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 409) await tellWhoRecords();
      else failed(error, trouble);
    }
    busy(false);
  }

  function busy(is) {
    start.disabled = is;
    start.lastChild.textContent = is ? "Starting the microphone…" : "Start recording";
  }

  /** The microphone is in use: lead to the recording that uses it, if it is our own. */
  async function tellWhoRecords() {
    const known = await recordings(signal).catch(() => []);
    const running = known.find(({ state }) => state === "recording");
    const by = running ? ` by recording ${running.id}` : "";
    const step = running
      ? "Watch it, stop it, or choose another microphone."
      : "Somebody else records with it: wait for the end, or choose another microphone.";
    const sentence = `The microphone is in use${by}.`;
    failed(new Failure(409, sentence, { step }), trouble);
    if (!running) return;
    const href = `#/record/${running.id}`;
    trouble.append(h("a", { class: "button", href }, svg("eye"), "Watch that recording"));
  }

  list();
  return element;
}

function label(control, text) {
  return h("label", { for: control.id }, text);
}

function field(control, text) {
  return h("div", { class: "field" }, label(control, text), control);
}

function languages() {
  const names = new Intl.DisplayNames(undefined, { type: "language" });
  const known = LANGUAGES.map((code) => ({ code, name: names.of(code) }));
  known.sort((a, b) => a.name.localeCompare(b.name));
  return known.map(({ code, name }) => h("option", { value: code }, name));
}

function remembered() {
  try {
    return localStorage.getItem(DEVICE_KEY) ?? "";
  } catch {
    return ""; // a browser may forbid it
  }
}

function remember(name) {
  try {
    localStorage.setItem(DEVICE_KEY, name);
  } catch {
    // then it is chosen again next time
  }
}
