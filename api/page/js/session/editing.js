/**
 * Editing title, tags and note: what is typed is kept until it is saved or given up, a save can be
 * undone, and nobody's change is overwritten or lost without a question.
 */

import { call } from "../client.js";
import { ask } from "../dialog.js";
import { h, replace, svg } from "../dom.js";
import { announce, failed } from "../notice.js";
import { createFields, shown } from "./fields.js";

const FIELDS = ["title", "tags", "note"];
const SAVE = {
  text: "changed since you opened it. Save yours in its place?",
  confirm: "Save mine",
  cancel: "Keep editing",
};
const drafts = new Map(); // by path: what was left without an answer, such as by being signed out

/**
 * @param {object} options
 * @param {string} options.path of the session in the API
 * @param {{title: string, tags: string, note: string, originalTranscript: string}} options.session
 * @param {(session: object) => void} options.onSession shows a session that has changed
 * @param {(editing: boolean) => void} options.onMode shows the fields, or the text
 * @param {AbortSignal} options.signal ends it
 */
export function createEditing({ path, session, onSession, onMode, signal }) {
  let base = session; // as the box has it, as far as is known
  let before = null; // what Undo puts back
  let editing = false;
  let saving = false;

  const { fields, form } = createFields(submit);
  const { note, title } = fields;
  const state = h("p", { class: "edit-state muted", role: "status" });
  const outcome = h("p", { role: "status", tabindex: "-1" });
  const trouble = h("div", { class: "edit-trouble" });
  const undo = button("", "small", putBack);
  undo.hidden = true;
  const told = h("div", { class: "row edit-told", hidden: true }, outcome, undo);

  const save = button("Save", "primary", () => form.requestSubmit(), "check");
  const giveUp = button("Discard", "", discard);
  const original = button(
    "Start again from what was heard",
    "quiet small",
    () => {
      note.value = base.originalTranscript;
      typed();
      note.focus();
    },
    "undo",
  );
  const bar = h(
    "div",
    { class: "card edit-bar", hidden: true },
    trouble,
    h("div", { class: "row" }, state, giveUp, save),
  );
  function button(label, kind, onclick, icon) {
    return h(
      "button",
      { class: ["button", kind], type: "button", onclick },
      icon && svg(icon),
      label,
    );
  }

  function changes() {
    return Object.fromEntries(
      FIELDS.filter((name) => fields[name].value !== shown(base, name)).map((name) => [
        name,
        fields[name].value,
      ]),
    );
  }

  const isUnsaved = () => editing && Object.keys(changes()).length > 0;

  function fill(values) {
    for (const name of FIELDS) fields[name].value = shown(values, name);
  }

  /** Go on from what the box has now; fields as it had them, or as `sent`, show it. */
  function follow(now, sent = {}) {
    const same = FIELDS.filter((name) => fields[name].value === (sent[name] ?? shown(base, name)));
    base = now;
    for (const name of same) fields[name].value = shown(base, name);
    onSession(base);
  }

  function setEditing(wanted) {
    editing = wanted;
    form.hidden = bar.hidden = !wanted;
    replace(trouble);
    onMode(wanted);
  }

  function typed() {
    const unsaved = isUnsaved();
    say(state, unsaved ? "Not saved" : "Nothing changed");
    tell("", "");
    save.disabled = !unsaved;
    if (unsaved) drafts.set(path, { base, changes: changes() });
    else drafts.delete(path);
  }

  /** Show the fields. */
  function start() {
    fill(base);
    setEditing(true);
    typed();
    title.focus();
  }

  async function discard() {
    if (isUnsaved() && !(await mayLose("Discard your changes?", "Discard"))) return;
    if (signal.aborted) return;
    fill(base);
    typed();
    setEditing(false);
  }

  async function mayLose(question, confirm) {
    const text = "What you have changed in this session is not saved yet.";
    const lost = await ask({
      title: question,
      text,
      confirm,
      cancel: "Keep editing",
      danger: true,
    });
    if (lost) drafts.delete(path);
    return lost;
  }

  async function submit(event) {
    event.preventDefault();
    const wanted = changes();
    if (saving || !Object.keys(wanted).length) return;
    saving = save.disabled = true;
    say(state, "Saving…");
    replace(trouble);
    try {
      if (!(await mayOverwrite(wanted, SAVE))) return;
      await send(wanted, wanted);
      if (isUnsaved()) return; // typed meanwhile
      drafts.delete(path);
      setEditing(false);
      tell("Saved.", "Undo");
      undo.focus();
    } catch (error) {
      if (!signal.aborted) failed(error, trouble);
    } finally {
      saving = false;
      if (editing) typed();
    }
  }

  /** Somebody else may have saved meanwhile: then whoever saves now decides. */
  async function mayOverwrite(wanted, { text, confirm, cancel }) {
    const now = await call(path, { signal });
    const others = Object.keys(wanted).filter((name) => now[name] !== base[name]);
    follow(now);
    if (!others.length) return true;
    return ask({
      title: "Somebody else has changed this session",
      text: `The ${others.join(" and the ")} ${text}`,
      confirm,
      cancel,
      danger: true,
    });
  }

  async function send(wanted, sent) {
    const replaced = Object.fromEntries(Object.keys(wanted).map((name) => [name, base[name]]));
    follow(await call(path, { method: "PATCH", json: wanted, signal }), sent);
    before = replaced;
  }

  async function putBack() {
    const action = undo.textContent;
    const again = action === "Redo";
    const text = `changed since you saved it. ${action} all the same?`;
    undo.disabled = true;
    try {
      if (await mayOverwrite(before, { text, confirm: action, cancel: "Leave it" })) {
        await send(before);
        tell(again ? "Saved again." : "It is as it was before.", again ? "Undo" : "Redo");
      } else {
        tell("It is as somebody else saved it.", ""); // another Undo would not ask again
      }
    } catch (error) {
      if (!signal.aborted) failed(error, null);
    } finally {
      undo.disabled = false;
      if (!editing) (undo.hidden ? outcome : undo).focus();
    }
  }

  function tell(sentence, action) {
    say(outcome, sentence);
    replace(undo, action);
    undo.hidden = !action;
    told.hidden = !sentence;
  }

  for (const field of Object.values(fields)) field.addEventListener("input", typed);
  document.addEventListener(
    "keydown",
    (event) => {
      if (!editing || event.key.toLowerCase() !== "s" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      form.requestSubmit();
    },
    { signal },
  );
  window.addEventListener("beforeunload", (event) => isUnsaved() && event.preventDefault(), {
    signal,
  });

  return {
    form,
    note: h("div", { class: "edit-note" }, note, original),
    bar,
    told,
    start,
    /** Ask before the view is left; for the router. */
    mayLeave: async () => !isUnsaved() || mayLose("Leave without saving?", "Leave"),
    /** Take up again what was typed here before the view was left without an answer. */
    resume() {
      const draft = drafts.get(path);
      if (!draft) return;
      ({ base } = draft); // what others have saved since is asked about
      fill({ ...base, ...draft.changes });
      setEditing(true);
      typed();
      announce("What you had typed is still here.");
    },
  };
}

/** Say something in a live region, once: what is said already is not said again at every key. */
function say(region, sentence) {
  if (region.textContent !== sentence) region.textContent = sentence;
}
