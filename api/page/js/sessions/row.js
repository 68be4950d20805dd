// One session in the list: its title leads there, its tags narrow the search.

import { h } from "../dom.js";
import { count, when, whenInFull } from "../format.js";
import { excerpt, marked } from "./highlight.js";

const MOST_TAGS = 4;
const MOST_COUNTED = 200_000; // characters; a longer note would hold the list up

const time = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

/**
 * @param {{id: number, title: string, note: string, originalTranscript: string, tags: string,
 *   createdAt: string}} session
 * @param {{pattern: RegExp|null, onTag: (tag: string) => void}} options
 * @returns {HTMLLIElement}
 */
export function sessionRow(session, { pattern, onTag }) {
  const title = session.title || "Untitled session";
  const tags = tagsOf(session);
  return h(
    "li",
    { class: "session", dataset: { id: session.id } },
    h("h3", { class: "session-title" },
      h("a", { href: `#/sessions/${session.id}`, class: "session-link" }, marked(title, pattern))),
    text(session, pattern),
    h(
      "div",
      { class: "session-facts muted" },
      h("time", { datetime: session.createdAt, title: whenInFull(session.createdAt) },
        timeOf(session.createdAt)),
      words(session.note),
      tags.length > 0 && h("ul", { class: "session-tags", "aria-label": "Tags" },
        tags.slice(0, MOST_TAGS).map((tag) => h("li", null, tagButton(tag, onTag))),
        tags.length > MOST_TAGS && h("li", null, `+${tags.length - MOST_TAGS}`)),
    ),
  );
}

/** Return the tags of a session. */
export function tagsOf(session) {
  return session.tags.split(",").filter(Boolean);
}

/** Return the time of day, with the date if the heading above doesn't say it. */
function timeOf(iso) {
  const at = new Date(iso);
  return at.getFullYear() === new Date().getFullYear() ? time.format(at) : when(iso);
}

function tagButton(tag, onTag) {
  const label = `Show only sessions with the tag ${tag}`;
  return h("button", { type: "button", class: "chip", "aria-label": label,
    onclick: () => onTag(tag) }, h("span", null, tag));
}

function text({ note, originalTranscript }, pattern) {
  const found = pattern && excerpt(note, pattern);
  const unedited = pattern && found === null ? excerpt(originalTranscript, pattern) : null;
  const shown = found ?? unedited ?? excerpt(note, null);
  if (shown === "") return h("p", { class: "session-text muted" }, "No speech was found.");
  return h("p", { class: "session-text" },
    unedited !== null && h("span", { class: "muted" }, "In the original: "),
    marked(shown, pattern));
}

function words(note) {
  if (note === "" || note.length > MOST_COUNTED) return null;
  return h("span", null, count(note.match(/\S+/g)?.length ?? 0, "word"));
}
