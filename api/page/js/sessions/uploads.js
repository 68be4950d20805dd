// Files on their way to the box, one after the other. They go on while one looks at other views; a
// file whose connection broke stays at hand, to be sent again.

import { Failure, upload } from "../client.js";
import { me } from "../me.js";
import { SESSIONS } from "./pages.js";

const NO_SOUND = /^(text|image|font)\/|^application\/(pdf|zip|json|msword|vnd\.)/;
const LONGEST_TITLE = 300; // characters, as the box has it

/**
 * @typedef {object} Upload
 * @property {string} key
 * @property {string} name of the file
 * @property {File} file
 * @property {number} owner the account of whoever chose it
 * @property {{title: "file"|"words", tags: string, language: string}} wishes
 * @property {"waiting"|"uploading"|"checking"|"failed"|"accepted"} state
 * @property {number} fraction of it that has gone
 * @property {Failure|null} failure
 * @property {number|null} job once it is accepted
 */

/** Tells of `change` (detail: the upload) and of `accepted`. */
class Uploads extends EventTarget {
  /** @type {Upload[]} */
  items = [];
  #sending = null;
  #numbered = 0;
  #stop = new AbortController();

  /** The uploads of whoever is signed in. */
  get own() {
    return this.items.filter(isOwn);
  }

  /** Send files, after those that wait already. */
  add(files, wishes) {
    for (const file of files) {
      const item = {
        key: `upload-${(this.#numbered += 1)}`, name: file.name, file, wishes,
        owner: me()?.account.id, state: "waiting", fraction: 0, failure: refusalOf(file), job: null,
      };
      if (item.failure) item.state = "failed";
      this.items.push(item);
      this.#tell(item);
    }
    this.#next();
  }

  /** Send a file again that has failed. */
  retry(item) {
    Object.assign(item, { state: "waiting", fraction: 0, failure: null });
    this.#tell(item);
    this.#next();
  }

  /** Give a file up, also in the middle. */
  remove(item) {
    this.items = this.items.filter((one) => one !== item);
    if (this.#sending === item) this.#stop.abort();
    this.#tell(item);
  }

  async #next() {
    if (this.#sending !== null) return;
    const item = this.items.find((one) => one.state === "waiting");
    if (item === undefined) return;
    if (!isOwn(item)) { // it never goes to another account
      this.#fail(item, endedBySigningOut("It was not sent: you were signed out before."));
      return this.#next();
    }
    this.#sending = item;
    this.#stop = new AbortController();
    addEventListener("beforeunload", warn);
    try {
      await this.#send(item);
      this.items = this.items.filter((one) => one !== item);
      item.state = "accepted";
      if (isOwn(item)) this.dispatchEvent(new CustomEvent("accepted", { detail: item }));
    } catch (error) {
      const hasSaid = error instanceof Failure && error.status !== 401;
      const ended = () => endedBySigningOut("The upload ended when you were signed out.");
      this.#fail(item, hasSaid ? error : ended());
    }
    removeEventListener("beforeunload", warn);
    this.#sending = null;
    this.#next();
  }

  async #send(item) {
    const { title, tags, language } = item.wishes;
    item.state = "uploading";
    this.#tell(item);
    const answer = await upload(SESSIONS, item.file, {
      query: { title: title === "file" ? titleOf(item.name) : "", tags, language },
      headers: item.file.type ? {} : { "Content-Type": "application/octet-stream" },
      signal: this.#stop.signal,
      onProgress: (fraction) => {
        if (!isOwn(item)) return this.#stop.abort(); // signed out; the row is there on coming back
        item.fraction = fraction;
        item.state = fraction < 1 ? "uploading" : "checking";
        return this.#tell(item);
      },
    });
    item.job = answer.job;
  }

  #fail(item, failure) {
    Object.assign(item, { state: "failed", failure });
    this.#tell(item);
  }

  #tell(item) {
    this.dispatchEvent(new CustomEvent("change", { detail: item }));
  }
}

/** The uploads of this page. */
export const uploads = new Uploads();

/** Return the title that a file's name gives: without its ending, with spaces. */
export function titleOf(name) {
  const stem = name.replace(/\.[^.]{1,5}$/, "").replaceAll("_", " ").trim();
  return Array.from(stem || name).slice(0, LONGEST_TITLE).join("");
}

function isOwn(item) {
  return me()?.account.id === item.owner;
}

function endedBySigningOut(sentence) {
  return new Failure(401, sentence, { step: "Try again." });
}

function refusalOf(file) {
  const step = "Choose a sound or video file, such as WAV, MP3, M4A, OGG or FLAC.";
  if (NO_SOUND.test(file.type)) {
    return new Failure(415, "This is neither sound nor video.", { step });
  }
  return file.size === 0 ? new Failure(400, "This file is empty.", { step }) : null;
}

function warn(event) {
  event.preventDefault(); // the browser asks whether to leave: what is on its way would be lost
}
