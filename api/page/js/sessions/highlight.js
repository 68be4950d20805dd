// What a search found, made visible: the words that the box's index matched, marked by nodes and
// never by HTML. The rules are those of the index: whole words, the last one may be a beginning,
// words in quotes are a phrase, accents and case don't count.

import { h } from "../dom.js";

const TERM = /"([^"]*)"|([^\s"]+)/g;
const NO_WORD = /[^\p{L}\p{N}\p{Co}]+/u; // where the index divides words
const PART_OF_WORD = "[\\p{L}\\p{N}\\p{Co}\\p{M}]";
const MARKS = /\p{M}+/gu;
const LENGTH = 240; // characters of an excerpt
const LEAD = 70; // of them before what was found

/**
 * Return what finds the words of a query in a decomposed (NFD) text; null if it has no word.
 * @param {string} query
 * @returns {RegExp|null}
 */
export function patternOf(query) {
  const terms = [...query.matchAll(TERM)]
    .map(([, phrase, word]) => ({ tokens: tokensOf(phrase ?? word), isWord: word !== undefined }))
    .filter(({ tokens }) => tokens.length > 0);
  if (terms.length === 0) return null;
  const sources = terms.map(({ tokens, isWord }, at) => {
    const body = tokens.map(anyAccents).join(`(?:(?!${PART_OF_WORD}).)+`);
    return isWord && at === terms.length - 1 ? body : `${body}(?!${PART_OF_WORD})`;
  });
  sources.sort((one, other) => other.length - one.length); // the longest that fits is marked
  return new RegExp(`(?<!${PART_OF_WORD})(?:${sources.join("|")})`, "giu");
}

/** Return a text as strings and <mark> elements. */
export function marked(text, pattern) {
  if (pattern === null) return [text];
  const decomposed = text.normalize("NFD");
  const parts = [];
  let from = 0;
  for (const match of decomposed.matchAll(pattern)) {
    parts.push(decomposed.slice(from, match.index).normalize());
    parts.push(h("mark", {}, match[0].normalize()));
    from = match.index + match[0].length;
  }
  parts.push(decomposed.slice(from).normalize());
  return parts.filter((part) => part !== "");
}

/**
 * Return the piece of a text around the first word found; null if no word of the pattern is in it.
 * Without a pattern it is the beginning.
 */
export function excerpt(text, pattern) {
  if (pattern === null) return cut(text.slice(0, 2 * LENGTH));
  const decomposed = text.normalize("NFD");
  const at = decomposed.search(pattern);
  if (at < 0) return null;
  const from = at < LENGTH / 2 ? 0 : wordAfter(decomposed, at - LEAD, at);
  return (from > 0 ? "… " : "") + cut(decomposed.slice(from, from + 2 * LENGTH).normalize());
}

function tokensOf(term) {
  return term.normalize("NFD").replace(MARKS, "").split(NO_WORD).filter(Boolean);
}

function anyAccents(token) {
  return Array.from(token, (letter) => `${letter}\\p{M}*`).join("");
}

function wordAfter(text, from, latest) {
  const space = text.slice(from, latest).search(/\s/u);
  return space < 0 ? latest : from + space + 1;
}

function cut(text) {
  const flat = text.replace(/\s+/gu, " ").trim();
  if (flat.length <= LENGTH) return flat;
  const space = flat.lastIndexOf(" ", LENGTH);
  return `${flat.slice(0, space > LENGTH / 2 ? space : LENGTH)}…`;
}
