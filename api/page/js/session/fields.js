/** The fields in which a session is edited, and how they hold what the box has. */

import { h } from "../dom.js";
import { tagsOf } from "./words.js";

const MOST_IN_TITLE = 300;

/**
 * Make the fields; title and tags are in the form, the note goes where the note is read.
 * @param {(event: SubmitEvent) => void} onsubmit
 */
export function createFields(onsubmit) {
  const title = h("input", { id: "edit-title", maxlength: MOST_IN_TITLE, autocomplete: "off" });
  const tags = h("input", {
    id: "edit-tags",
    autocomplete: "off",
    "aria-describedby": "edit-tags-hint",
  });
  const note = h("textarea", { id: "edit-note", "aria-label": "Note", spellcheck: "true" });
  const form = h(
    "form",
    { id: "edit", class: "card edit-form", hidden: true, onsubmit },
    h("div", { class: "field" }, h("label", { for: "edit-title" }, "Title"), title),
    h(
      "div",
      { class: "field" },
      h("label", { for: "edit-tags" }, "Tags"),
      tags,
      h("p", { id: "edit-tags-hint", class: "hint" }, "Separated by commas"),
    ),
  );
  return { fields: { title, tags, note }, form };
}

/** A field's text as an input holds it. */
export function shown(session, name) {
  if (name === "tags") return tagsOf(session.tags).join(", ");
  return name === "note" ? session.note.replace(/\r\n?/g, "\n") : session[name];
}
