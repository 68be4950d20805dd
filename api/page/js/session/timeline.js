/**
 * The transcript on the clock of the recording: rows in the order of time, and which word is spoken
 * when. It knows nothing of the page; 30,000 words are one array that is searched by halves.
 */

const SEARCH_CHARACTERS = 16; // a word further ahead than this is another of the same spelling

/**
 * @typedef {object} Row One segment as it is shown.
 * @property {number} start seconds
 * @property {number} end seconds
 * @property {string} text
 * @property {Array<{word: string, start: number, end: number, probability: number}>} words
 * @property {string} engine
 * @property {string|undefined} engineReason why another engine than the box's own was used
 * @property {string|undefined} reason the gate that held the text back
 * @property {number} first number of its first word among all words that count as said
 */

export class Timeline {
  /** @param {{segments: object[], suppressed: object[]}} timed as the API has it */
  constructor({ segments, suppressed }) {
    /** @type {Row[]} */
    this.rows = [...segments.map(said), ...suppressed.map(heldBack)];
    this.rows.sort((one, other) => one.start - other.start);
    const total = segments.reduce((sum, segment) => sum + (segment.words.length || 1), 0);
    this.starts = new Float64Array(total);
    this.ends = new Float64Array(total);
    this.engines = new Set();
    let at = 0;
    let latest = 0;
    for (const row of this.rows) {
      row.first = at;
      this.engines.add(row.engine);
      if (row.reason !== undefined) continue;
      for (const { start, end } of row.words) {
        latest = Math.max(latest, start); // words may overlap; the search needs order
        this.starts[at] = latest;
        this.ends[at] = Math.max(latest, end);
        at += 1;
      }
    }
  }

  /** Number of words. */
  get length() {
    return this.starts.length;
  }

  /** The word that is spoken at so many seconds, else the last one before; -1 before the first. */
  wordAt(seconds) {
    return lastNotAfter(this.starts.length, (at) => this.starts[at] <= seconds);
  }

  /** The row that holds a word. */
  rowOf(word) {
    let row = lastNotAfter(this.rows.length, (at) => this.rows[at].first <= word);
    while (row > 0 && this.rows[row].reason !== undefined) row -= 1; // it counts no words
    return row;
  }

  /** The first word of the row before that of a word; of its own row where that is the first. */
  lineBefore(word) {
    return this.rows[this.rowOf(Math.max(this.rows[this.rowOf(word)].first - 1, 0))].first;
  }

  /** The first word of the row after that of a word; the last word of all in the last row. */
  lineAfter(word) {
    const row = this.rows[this.rowOf(word)];
    return Math.min(row.first + row.words.length, this.length - 1);
  }

  /** The row that is heard at so many seconds, held back or not; -1 before the first. */
  rowAt(seconds) {
    return lastNotAfter(this.rows.length, (at) => this.rows[at].start <= seconds);
  }
}

/** Greatest number below `length` for which `holds`, which is true up to a point; -1 if none. */
function lastNotAfter(length, holds) {
  let low = -1;
  let high = length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (holds(middle)) low = middle;
    else high = middle;
  }
  return low;
}

function said(segment) {
  const { start, end, text, engine, engineReason } = segment;
  const whole = { word: text, start, end, probability: 1 };
  const words = segment.words.length ? segment.words : [whole]; // an engine may give no times
  return { start, end, text, words, engine, engineReason, first: 0 };
}

function heldBack({ start, end, text, engine, reason }) {
  return { start, end, text, words: [], engine, reason: reason ?? "", first: 0 };
}

/**
 * Cut the text of a row into its words and what stands between them.
 * @param {Row} row
 * @returns {Array<{text: string, word: number|null}>} `word` counts from the row's first
 */
export function pieces({ text, words }) {
  const found = [];
  let at = 0;
  let missed = 0;
  words.forEach(({ word }, number) => {
    const wanted = word.trim();
    const limit = at + missed + SEARCH_CHARACTERS;
    const start = wanted ? text.indexOf(wanted, at) : -1;
    if (start < 0 || start > limit) {
      missed += wanted.length + 1;
      return;
    }
    if (start > at) found.push({ text: text.slice(at, start), word: null });
    found.push({ text: wanted, word: number });
    at = start + wanted.length;
    missed = 0;
  });
  if (at < text.length) found.push({ text: text.slice(at), word: null });
  return found;
}
