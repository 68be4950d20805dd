/**
 * What was heard, row by row: the word spoken is marked, a click on a word jumps there, text that
 * was held back is grey with its reason. Rows come in blocks: only those near the view are laid out
 * and have a node for each word, so that three hours of talk open and scroll like three minutes.
 */

import { h, replace, svg } from "../dom.js";
import { heldBackSwitch, rowNode } from "./rows.js";
import { pieces } from "./timeline.js";

const NEAR = "800px 0px"; // how far outside the view blocks get their words
const BLOCK_ROWS = 24; // each block costs something at every frame, each row of one in view too
const UNSURE = 0.4; // probability below which a word is underlined with dots
const MARGIN_PX = 48; // the word spoken keeps so far from the edges

/**
 * @param {object} options
 * @param {import("./timeline.js").Timeline} options.timeline
 * @param {string} options.original what was heard as plain text, where there are no rows
 * @param {(seconds: number) => void} options.onJump
 * @param {AbortSignal} options.signal ends it
 */
export function createTranscript({ timeline, original, onJump, signal }) {
  const { rows } = timeline;
  const opened = new Set(); // numbers of the blocks whose rows have their words
  let spoken = -1;
  let cursor = -1;
  let heard = -1;
  let follows = true;

  const nodes = rows.map((row, number) => {
    const isNew = row.engine !== rows[number - 1]?.engine;
    return rowNode(row, number, isNew && timeline.engines.size > 1);
  });
  const blocks = [];
  for (let at = 0; at < nodes.length; at += BLOCK_ROWS) {
    const within = nodes.slice(at, at + BLOCK_ROWS);
    const props = { dataset: { block: blocks.length }, style: { "--rows": within.length } };
    blocks.push(h("ol", { class: "heard-block", ...props }, within));
  }
  const list = h("div", { class: "heard" }, blocks);
  const empty = h(
    "p",
    { class: nodes.length || original ? "" : "muted" },
    original || "Nothing was said.",
  );
  const follow = h(
    "button",
    { class: "button small follow", type: "button", hidden: true, onclick: () => setFollows(true) },
    svg("sound"),
    "Follow the sound",
  );
  const view = h(
    "div",
    {
      class: "transcript",
      role: "region",
      tabindex: "0",
      "aria-label": "What was heard, word by word",
      "aria-describedby": "transcript-keys",
    },
    nodes.length ? list : empty,
  );
  const keys = "Arrow keys choose a word, Enter plays from it.";
  const node = h(
    "div",
    { class: "transcript-frame" },
    h("p", { id: "transcript-keys", class: "visually-hidden" }, keys),
    view,
    follow,
  );

  const near = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (isIntersecting) openBlock(Number(target.dataset.block));
      }
    },
    { rootMargin: NEAR },
  );
  for (const block of blocks) near.observe(block);
  signal.addEventListener("abort", () => near.disconnect());

  function openBlock(number) {
    if (opened.has(number)) return;
    opened.add(number);
    near.unobserve(blocks[number]);
    const first = number * BLOCK_ROWS;
    for (let at = first; at < Math.min(first + BLOCK_ROWS, rows.length); at += 1) openRow(at);
  }

  function openRow(number) {
    const row = rows[number];
    if (row.reason !== undefined) return;
    const words = pieces(row).map(({ text, word }) => {
      if (word === null) return text;
      const isUnsure = row.words[word].probability < UNSURE;
      const title = isUnsure ? "The engine was not sure here" : null;
      const props = {
        class: ["word", isUnsure && "unsure"],
        title,
        dataset: { word: row.first + word },
      };
      return h("span", props, text);
    });
    replace(nodes[number].querySelector(".said"), words);
  }

  /** The node of a word; its row gets its words for that. Null if the text lacks the word. */
  function wordNode(word) {
    if (word < 0) return null;
    const row = timeline.rowOf(word);
    openBlock(Math.floor(row / BLOCK_ROWS));
    return nodes[row].querySelector(`[data-word="${word}"]`);
  }

  /** Give the mark `name` to a word instead of the one before. */
  function mark(name, before, word) {
    wordNode(before)?.classList.remove(name);
    const marked = wordNode(word);
    marked?.classList.add(name);
    return marked ?? (word >= 0 ? nodes[timeline.rowOf(word)] : null);
  }

  function reveal(target) {
    const box = target.getBoundingClientRect();
    const { top, bottom } = seen(view);
    if (box.top >= top + MARGIN_PX && box.bottom <= bottom - MARGIN_PX) return;
    const isStill = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const isFar = box.top < top - (bottom - top) || box.top > bottom + (bottom - top);
    target.scrollIntoView({ block: "center", behavior: isStill || isFar ? "instant" : "smooth" });
  }

  function setFollows(wanted) {
    follows = wanted;
    follow.hidden = wanted;
    if (wanted && spoken >= 0) reveal(wordNode(spoken) ?? nodes[timeline.rowOf(spoken)]);
  }

  function moveCursor(to) {
    const next = Math.min(Math.max(to, 0), timeline.length - 1);
    const marked = mark("cursor", cursor, next);
    cursor = next;
    reveal(marked);
  }

  function jumpTo(word) {
    setFollows(true);
    onJump(timeline.starts[word]);
  }

  list.addEventListener("click", (event) => {
    if (!document.getSelection().isCollapsed) return; // somebody copies text
    const row = event.target.closest(".row-time")?.closest("li");
    const word = event.target.closest(".word");
    if (row) {
      setFollows(true);
      onJump(rows[Number(row.dataset.row)].start);
    } else if (word) {
      jumpTo(Number(word.dataset.word));
    }
  });
  view.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || !timeline.length) return;
    if (event.target !== view) return;
    const from = cursor >= 0 ? cursor : Math.max(spoken, 0);
    const step = {
      ArrowLeft: () => moveCursor(cursor < 0 ? from : from - 1),
      ArrowRight: () => moveCursor(cursor < 0 ? from : from + 1),
      ArrowUp: () => moveCursor(timeline.lineBefore(from)),
      ArrowDown: () => moveCursor(timeline.lineAfter(from)),
      Enter: () => jumpTo(from),
    }[event.key];
    if (!step) return;
    event.preventDefault();
    step();
  });
  view.addEventListener("blur", () => {
    mark("cursor", cursor, -1);
    cursor = -1;
  });
  for (const byHand of ["wheel", "touchmove"]) {
    view.addEventListener(byHand, () => spoken >= 0 && setFollows(false), { passive: true });
  }

  return {
    node,
    tools: heldBackSwitch(rows, list),
    region: view,
    /** Mark what is heard at so many seconds; scroll there while the sound runs. */
    setPosition(seconds, isPlaying) {
      const row = timeline.rowAt(seconds);
      if (row !== heard) {
        nodes[heard]?.classList.remove("now");
        nodes[row]?.classList.add("now");
        heard = row;
      }
      const word = timeline.wordAt(seconds);
      if (word === spoken) return;
      const marked = mark("spoken", spoken, word);
      spoken = word;
      if (marked && follows && isPlaying) reveal(marked);
    },
  };
}

/** The part of the window in which the transcript is seen. */
function seen(view) {
  const { top, bottom } = view.getBoundingClientRect();
  const covered = parseFloat(getComputedStyle(view).scrollMarginTop) || 0; // by what is sticky
  return { top: Math.max(top, covered), bottom: Math.min(bottom, window.innerHeight) };
}
