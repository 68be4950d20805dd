// The vocabulary: words to expect and replacements, changed as one and saved on request.
// What isn't saved yet outlives a visit to another part of the page.
import { call } from "../client.js";
import { ask } from "../dialog.js";
import { h, replace } from "../dom.js";
import { may, me } from "../me.js";
import { failed, message, toast } from "../notice.js";
import { hotwords } from "./hotwords.js";
import { replacements } from "./replacements.js";

const PATH = "/api/v1/vocabulary";
let kept = null; // {keyId, saved, draft} of a visit that ended without saving

/** Show the vocabulary; with sessions:write it can be changed. */
export async function show(root, { signal }) {
  const editable = may("sessions:write");
  const keyId = me()?.keyId; // by the time the visit ends, nobody may be signed in
  const theirs = await call(PATH, { signal });
  const returning = kept !== null && kept.keyId === keyId;
  let saved = returning ? kept.saved : theirs;
  let draft = returning ? kept.draft : structuredClone(theirs);
  kept = null;

  const trouble = h("div", {});
  const save = h("button", { class: "button primary", type: "button" }, "Save");
  const undo = h("button", { class: "button", type: "button" }, "Undo");
  const bar = h(
    "div",
    { class: "box-save", role: "region", "aria-label": "Changes", hidden: true },
    h("p", {}, "Not saved yet"),
    undo,
    save,
  );
  const isDirty = () => told(draft) !== told(saved);
  const settle = () => {
    bar.hidden = !isDirty();
  };
  const words = hotwords({ words: () => draft.hotwords, onChange: settle, editable });
  const pairs = replacements({ pairs: () => draft.replacements, onChange: settle, editable });
  const redraw = () => {
    words.draw();
    pairs.draw();
    settle();
  };
  const send = async () => {
    replace(trouble);
    if (words.pending() !== "" && !words.flush()) return;
    const wrong = pairs.check();
    if (wrong !== null) {
      replace(trouble, message("error", wrong));
      return;
    }
    save.disabled = true;
    try {
      const now = await call(PATH, { signal });
      if (told(now) !== told(saved) && !(await overwrites())) {
        saved = now;
        draft = structuredClone(now);
      } else {
        saved = await call(PATH, { method: "PUT", json: cleaned(draft), signal });
        draft = structuredClone(saved);
        toast("Saved. Every transcription uses it from the next one on.", { kind: "ok" });
      }
      redraw();
    } catch (error) {
      failed(error, trouble);
    } finally {
      save.disabled = false;
    }
  };
  save.addEventListener("click", send);
  undo.addEventListener("click", () => {
    draft = structuredClone(saved);
    replace(trouble);
    redraw();
    toast("The changes are undone.");
  });
  root.addEventListener(
    "keydown",
    (event) => {
      if (event.key !== "s" || !(event.ctrlKey || event.metaKey) || !editable) return;
      event.preventDefault();
      send();
    },
    { signal },
  );
  addEventListener(
    "beforeunload",
    (event) => {
      if (isDirty()) event.preventDefault();
    },
    { signal },
  );
  signal.addEventListener("abort", () => {
    if (isDirty()) kept = { keyId, saved, draft };
  });

  settle();
  replace(
    root,
    h(
      "div",
      { class: "stack" },
      editable
        ? null
        : message("info", "You can read the vocabulary, not change it.", "A key with the scope sessions:write can."),
      returning && isDirty() ? message("info", "These are your changes from before; they aren't saved yet.") : null,
      words.element,
      pairs.element,
      trouble,
      editable ? bar : null,
    ),
  );
}

/** Ask whether to go over what somebody else has saved meanwhile. */
function overwrites() {
  return ask({
    title: "Somebody else changed it",
    text: "The vocabulary has been saved from somewhere else since you opened it. Save yours over it, or drop your changes and see theirs?",
    confirm: "Save mine",
    cancel: "See theirs",
    danger: true,
  });
}

/** Return the vocabulary without rows that say nothing. */
function cleaned({ hotwords: some, replacements: all }) {
  return { hotwords: some, replacements: all.filter(({ from, to }) => from.trim() + to.trim() !== "") };
}

function told(vocabulary) {
  return JSON.stringify(cleaned(vocabulary));
}
