/** One session: listen to it, read what was heard beside the note, correct, take away, delete. */

import { call } from "../client.js";
import { ask } from "../dialog.js";
import { h, replace, svg, useStyle } from "../dom.js";
import { duration, when, whenInFull } from "../format.js";
import { may } from "../me.js";
import { failed, message, toast } from "../notice.js";
import { engineWords } from "../record/words.js";
import { createEditing } from "../session/editing.js";
import { showExport } from "../session/export.js";
import { createPanes } from "../session/panes.js";
import { createPlayer } from "../session/player.js";
import { listenForKeys, showKeys } from "../session/shortcuts.js";
import { Timeline } from "../session/timeline.js";
import { createTranscript } from "../session/transcript.js";
import { languageName, paragraphsOf, tagsOf } from "../session/words.js";

/** Show the session that the address names. */
export async function show(root, { id }, { signal, setTitle, guard, navigate }) {
  const path = `/api/v1/audioscribe/sessions/${id}/`;
  const [session, timed] = await Promise.all([
    call(path, { signal }),
    call(`${path}segments`, { signal }),
    useStyle("session"),
  ]);
  if (signal.aborted) return;
  const timeline = new Timeline(timed);
  const mayWrite = may("sessions:write");
  const title = h("h1", { tabindex: "-1" });
  const tags = h("ul", { class: "session-tags", "aria-label": "Tags" });
  const note = h("div", { class: "note-text" });
  const trouble = h("div", { class: "session-trouble" });
  let current = session;

  function tell(changed) {
    current = changed;
    const name = changed.title || `Session ${changed.id}`;
    setTitle(name);
    replace(title, name);
    replace(
      tags,
      tagsOf(changed.tags).map((tag) => h("li", { class: "chip" }, tag)),
    );
    tags.hidden = !tags.childElementCount;
    const paragraphs = paragraphsOf(changed.note);
    const empty = h("p", { class: "muted" }, "The note is empty.");
    replace(note, paragraphs.length ? paragraphs.map((text) => h("p", {}, text)) : empty);
  }

  async function remove() {
    const sure = await ask({
      title: `Delete “${current.title || `Session ${id}`}”?`,
      text: "Its note, its transcript and its audio go for good. This can't be undone.",
      confirm: "Delete for good",
      cancel: "Keep it",
      danger: true,
    });
    if (!sure || signal.aborted) return;
    try {
      await call(path, { method: "DELETE", signal });
    } catch (error) {
      if (!signal.aborted) failed(error, trouble);
      return;
    }
    guard(null);
    toast("The session is deleted.", { kind: "ok" });
    navigate("#/sessions");
  }

  const player = createPlayer({ path, seconds: timed.durationSeconds, signal });
  const heard = createTranscript({
    timeline,
    original: session.originalTranscript,
    onJump: (seconds) => {
      player.seek(seconds);
      player.play();
    },
    signal,
  });
  player.onPosition(heard.setPosition);

  const editing = createEditing({
    path,
    session,
    onSession: tell,
    onMode: (active) => {
      view.classList.toggle("editing", active);
      edit.hidden = active;
      note.hidden = active;
      editing.note.hidden = !active;
      if (active) panes.choose("note");
      else edit.focus();
    },
    signal,
  });
  const edit = action("Edit", "edit", () => editing.start());
  const panes = createPanes(
    { name: "note", title: "Note", body: [note, editing.note] },
    { name: "heard", title: "What was heard", body: heard.node, tools: heard.tools },
  );
  const view = h(
    "article",
    { class: "session" },
    h("a", { class: "session-back", href: "#/sessions" }, svg("chevron-left"), "Sessions"),
    h(
      "header",
      { class: "session-head" },
      h("div", { class: "session-name" }, title, facts(session, timed, timeline), tags),
      h(
        "div",
        { class: "toolbar session-tools" },
        mayWrite && edit,
        action("Export", "download", () =>
          showExport({ path, title: current.title, id, hasAudio: player.hasAudio() }),
        ),
        mayWrite && action("Delete", "trash", remove, "quiet"),
      ),
    ),
    timed.warning && message("warning", timed.warning),
    editing.told,
    trouble,
    editing.form,
    player.node,
    panes.node,
    editing.bar,
  );
  editing.note.hidden = true;
  replace(
    player.more,
    action("Keys", "keyboard", () => showKeys(mayWrite), "quiet small"),
  );
  tell(session);
  replace(root, view);
  listenForKeys({ player, regions: [player.node, heard.region], signal });
  guard(editing.mayLeave);
  editing.resume();
  player.open();
}

function action(label, icon, onclick, kind = "") {
  return h(
    "button",
    { class: ["button", kind], type: "button", onclick },
    svg(icon),
    h("span", {}, label),
  );
}

/** The line below the title: when, how long, in which language, written by whom. */
function facts(session, timed, timeline) {
  const language = languageName(timed.language);
  const engines = [...timeline.engines].map((engine) => engineWords(engine));
  return h(
    "p",
    { class: "session-facts muted" },
    h(
      "time",
      { datetime: session.createdAt, title: whenInFull(session.createdAt) },
      when(session.createdAt),
    ),
    h("span", {}, duration(timed.durationSeconds)),
    language && h("span", {}, language),
    engines.map(({ label, detail }) => h("span", { class: "engine" }, detail || label)),
  );
}
