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

  /** Send files, after those that wait already. */
  add(files, wishes) {
    for (const file of files) {
      const item = {
        key: `upload-${(this.#numbered += 1)}`, name: file.name, file, wishes,
        owner: me()?.keyId, state: "waiting", fraction: 0, failure: refusalOf(file), job: null,
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
    this.#sending = item;
    this.#stop = new AbortController();
    addEventListener("beforeunload", warn);
    try {
      await this.#send(item);
      this.items = this.items.filter((one) => one !== item);
      item.state = "accepted";
      this.dispatchEvent(new CustomEvent("accepted", { detail: item }));
    } catch (error) {
      item.state = "failed";
      item.failure = error;
      this.#tell(item);
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
        if (me()?.keyId !== item.owner) return this.remove(item); // somebody else's page by now
        item.fraction = fraction;
        item.state = fraction < 1 ? "uploading" : "checking";
        return this.#tell(item);
      },
    });
    item.job = answer.job;
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
