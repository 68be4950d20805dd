/** What the API gives as codes and strings, as the session's view shows it. */

const languages = new Intl.DisplayNames(["en"], { type: "language", fallback: "code" });

/** Name a language of ISO 639-1 in English: "de" is German. */
export function languageName(code) {
  if (!code) return "";
  try {
    return languages.of(code);
  } catch {
    return code; // nothing that could be a language
  }
}

/** Split tags as they are kept, separated by commas. */
export function tagsOf(tags) {
  return tags
    .split(",")
    .map((tag) => tag.trim())
    .filter(Boolean);
}

/** Split a note into its paragraphs. */
export function paragraphsOf(note) {
  return note.split(/\n\s*\n/).filter((text) => text.trim());
}
