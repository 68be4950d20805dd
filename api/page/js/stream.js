/**
 * Server-Sent Events by fetch, because an EventSource can't send a key.
 *
 * Guarantee: an event with an id reaches `onEvent` once, in order, also when the connection breaks
 * or the box is restarted: the stream goes on from the last one by Last-Event-ID.
 */

import { Failure, authHeaders, failureOf, reached, unreached } from "./client.js";

const BACK_OFF_MS = [500, 1000, 2000, 5000];
const SILENCE_MS = 40_000; // the box says something every 15 s
const LINE_END = /\r\n|\n|\r/;

/**
 * Follow a stream until the signal aborts, it has ended (204), or there is none (404).
 * @param {string} path
 * @param {{onEvent: (name: string, data: any, id: string|null) => void,
 *   onState?: (state: "open"|"waiting") => void, signal?: AbortSignal, lastId?: string}} options
 * @returns {Promise<string|null>} the last id; raise Failure if the box refuses for good
 */
export async function follow(path, { onEvent, onState = () => {}, signal, lastId = null }) {
  const place = { id: lastId };
  let tries = 0;
  while (!signal?.aborted) {
    try {
      const response = await opened(path, place, signal);
      if (response === null) return place.id;
      tries = 0;
      onState("open");
      await read(response.body, place, onEvent, signal);
    } catch (error) {
      if (signal?.aborted) break;
      if (error instanceof Failure && !isPassing(error.status)) throw error;
    }
    if (signal?.aborted) break;
    onState("waiting");
    await pause(BACK_OFF_MS[Math.min(tries, BACK_OFF_MS.length - 1)], signal);
    tries += 1;
  }
  return place.id;
}

async function opened(path, place, signal) {
  const resumed = place.id === null ? {} : { "Last-Event-ID": place.id };
  const headers = { Accept: "text/event-stream", ...authHeaders(), ...resumed };
  let response;
  try {
    response = await fetch(path, { headers, signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreached();
  }
  reached();
  if (response.status === 204 || response.status === 404) return null;
  if (!response.ok) {
    const problem = await response.json().catch(() => null);
    throw failureOf(response.status, problem, response.headers);
  }
  return response;
}

/** Read events until the body ends, or is silent for too long to be alive. */
async function read(body, place, onEvent, signal) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new Parser((name, data, id) => {
    if (id !== null && !isNew(id, place.id)) return;
    if (id !== null) place.id = id;
    if (!signal?.aborted) onEvent(name, data, id);
  });
  try {
    for (;;) {
      const { done, value } = await inTime(reader.read(), SILENCE_MS);
      if (done) return;
      parser.take(decoder.decode(value, { stream: true }));
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Puts pieces together to events, as the standard has it. */
export class Parser {
  /** @param {(name: string, data: any, id: string|null) => void} onEvent */
  constructor(onEvent) {
    this.onEvent = onEvent;
    this.rest = "";
    this.#begin();
  }

  /** Take the next piece of text, which may end anywhere. */
  take(text) {
    let whole = this.rest + text;
    const held = whole.endsWith("\r") ? "\r" : ""; // its \n may come with the next piece
    if (held) whole = whole.slice(0, -1);
    const lines = whole.split(LINE_END);
    this.rest = lines.pop() + held;
    lines.forEach((line) => this.#line(line));
  }

  #begin() {
    this.name = "message";
    this.data = [];
    this.id = null;
  }

  #line(line) {
    if (line === "") return this.#end();
    if (line.startsWith(":")) return undefined;
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.name = value;
    else if (field === "data") this.data.push(value);
    else if (field === "id") this.id = value;
    return undefined;
  }

  #end() {
    const { name, data, id } = this;
    this.#begin();
    if (data.length === 0) return;
    const text = data.join("\n");
    let content = text;
    try {
      content = JSON.parse(text);
    } catch {
      // plain text is as good
    }
    this.onEvent(name, content, id);
  }
}

function isNew(id, last) {
  return last === null || Number(id) > Number(last);
}

function isPassing(status) {
  return status === 0 || status === 429 || status >= 500;
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

function inTime(promise, ms) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("The stream fell silent.")), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
