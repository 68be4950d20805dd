/**
 * The public API: calls with the credential of this tab, and failures that say what to do next.
 *
 * The key lies in the tab's session storage, or there is a cookie that no script can read; then
 * local storage only remembers that there is one, so that a stranger is not asked for nothing.
 */

const KEY = "scribebox.key";
const UNTIL = "scribebox.cookieUntil";
const DAY_MS = 86_400_000;

/** Tells of `signed-out` (detail: a sentence), `unreachable`, and `back` once that is over. */
export const events = new EventTarget();
let isReachable = true;

const STEPS = {
  0: "Check that it is on; this page goes on by itself.",
  400: "Check what was entered, then try again.",
  401: "Sign in again.",
  403: "Sign in with a key that may do this, or ask whoever runs the box.",
  404: "It may have been deleted. Go back and look at the list.",
  409: "Reload to see how it stands now.",
  413: "Choose something smaller.",
  415: "Choose a sound or video file, such as WAV, MP3, M4A, OGG or FLAC.",
  503: "Try again in a moment; Box, Health says how the box is.",
  507: "Delete what isn't needed, or give the box more room.",
};
const LATER = "Try again. If it stays so, run scribebox doctor on the box.";

/** Something that did not work: what in a sentence, and the next step. */
export class Failure extends Error {
  /** @param {number} status 0 if the box wasn't reached
   *  @param {string} sentence
   *  @param {{step?: string, errors?: Array<{field: string, message: string}>}} [more] */
  constructor(status, sentence, { step, errors } = {}) {
    super(sentence);
    this.name = "Failure";
    this.status = status;
    this.sentence = sentence;
    this.step = step ?? STEPS[status] ?? LATER;
    this.errors = errors ?? [];
  }
}

/** Return the key of this tab, null if there is none. */
export function key() {
  return sessionStorage.getItem(KEY);
}

/** Tell whether there is anything to ask the box with. */
export function hasCredential() {
  return key() !== null || Number(localStorage.getItem(UNTIL) ?? 0) > Date.now();
}

/** Keep a key for as long as the tab is there; null: the cookie is used, for a day. */
export function keepCredential(plain) {
  forgetCredential();
  if (plain === null) localStorage.setItem(UNTIL, String(Date.now() + DAY_MS));
  else sessionStorage.setItem(KEY, plain);
}

/** Forget the key, and that there was a cookie. */
export function forgetCredential() {
  sessionStorage.removeItem(KEY);
  localStorage.removeItem(UNTIL);
}

/** Return the headers that a request of one's own needs. */
export function authHeaders() {
  const plain = key();
  return plain === null ? {} : { Authorization: `Bearer ${plain}` };
}

/**
 * Ask the box; return what it answers: parsed JSON, null for an empty answer, text otherwise.
 * @param {string} path
 * @param {{method?: string, json?: any, body?: BodyInit, query?: Object<string, any>,
 *   signal?: AbortSignal, headers?: Object<string, string>}} [options]
 * @returns {Promise<any>}
 */
export async function call(path, options) {
  return (await callFull(path, options)).data;
}

/** Ask the box; return the answer with its status and headers. Raise Failure. */
export async function callFull(path, { method, json, body, query, signal, headers } = {}) {
  const sent = json === undefined ? body : JSON.stringify(json);
  const typed = json === undefined ? {} : { "Content-Type": "application/json" };
  let response;
  try {
    response = await fetch(address(path, query), {
      method: method ?? (sent === undefined ? "GET" : "POST"),
      body: sent,
      headers: { ...typed, ...authHeaders(), ...headers },
      signal,
    });
    const data = await contentOf(response);
    reached();
    if (!response.ok) throw failureOf(response.status, data, response.headers);
    return { data, status: response.status, headers: response.headers };
  } catch (error) {
    throw error instanceof TypeError ? unreached() : error;
  }
}

/**
 * Send a file, telling how much of it has gone. Raise Failure, or AbortError.
 * @param {string} path
 * @param {Blob|FormData} file
 * @param {{method?: string, query?: Object<string, any>, headers?: Object<string, string>,
 *   onProgress?: (fraction: number) => void, signal?: AbortSignal}} [options]
 * @returns {Promise<any>}
 */
export function upload(path, file, { method = "POST", query, headers, onProgress, signal } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    const done = (settle, value) => {
      signal?.removeEventListener("abort", abort);
      settle(value);
    };
    request.open(method, address(path, query));
    for (const [name, value] of Object.entries({ ...authHeaders(), ...headers })) {
      request.setRequestHeader(name, value);
    }
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) onProgress?.(event.loaded / event.total);
    };
    request.onload = () => {
      reached();
      const data = parsed(request.responseText, request.getResponseHeader("Content-Type") ?? "");
      if (request.status < 300) return done(resolve, data);
      const named = { get: (name) => request.getResponseHeader(name) };
      return done(reject, failureOf(request.status, data, named));
    };
    request.onerror = () => done(reject, unreached());
    request.onabort = () => done(reject, new DOMException("The upload was given up.", "AbortError"));
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) done(reject, new DOMException("The upload was given up.", "AbortError"));
    else request.send(file);
  });
}

/** Return an address with its query; what is null, undefined or "" is left out. */
export function address(path, query) {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== null && each !== undefined && each !== "") asked.append(name, each);
    }
  }
  const text = asked.toString();
  return text ? `${path}?${text}` : path;
}

/** Return the failure that an answer is; 401 also ends the stay. */
export function failureOf(status, data, headers) {
  const sentence = data?.detail || data?.err_msg || data?.error?.message || `The box said ${status}.`;
  let step;
  if (status === 429) {
    const seconds = Number(headers.get("Retry-After")) || 5;
    step = `Wait ${seconds} s, then try again.`;
  }
  if (status === 401) signOut("You were signed out: the key was revoked, or has expired.");
  return new Failure(status, sentence, { step, errors: data?.errors });
}

/** Tell that the box wasn't reached; return the failure that says so. */
export function unreached() {
  isReachable = false;
  events.dispatchEvent(new Event("unreachable"));
  return new Failure(0, "The box can't be reached.");
}

/** Tell that the box has answered. */
export function reached() {
  if (isReachable) return;
  isReachable = true;
  events.dispatchEvent(new Event("back"));
}

function signOut(sentence) {
  events.dispatchEvent(new CustomEvent("signed-out", { detail: sentence }));
}

async function contentOf(response) {
  if (response.status === 204) return null;
  return parsed(await response.text(), response.headers.get("Content-Type") ?? "");
}

function parsed(text, type) {
  if (text === "" || !type.includes("json")) return text === "" ? null : text;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
