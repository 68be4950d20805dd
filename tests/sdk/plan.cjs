// What a script here is given on stdin, and what it tells on stdout: both are JSON. See plan.py.
"use strict";
const fs = require("fs");

const PIECE_BYTES = 3200; // 0.1 s of 16 kHz linear16
const WAIT_MS = 90000;

const plan = JSON.parse(fs.readFileSync(0, "utf8"));
plan.bytes = fs.readFileSync(plan.sound);

function pieces(from, to) {
  const cut = [];
  for (let at = from; at < to; at += PIECE_BYTES) {
    cut.push(plan.bytes.subarray(at, Math.min(at + PIECE_BYTES, to)));
  }
  return cut;
}
plan.halves = () => [
  pieces(0, plan.finalizeAt),
  pieces(plan.finalizeAt, plan.bytes.length),
];

// What an SDK hands to its user, and promises for what a stream waits for.
class Told {
  constructor() {
    this.messages = [];
    this.errors = [];
    this.opens = 0;
    this.closes = 0;
    this.closeCode = null;
    this.subprotocol = "";
    this.finalized = new Promise((resolve) => (this.nowFinalized = resolve));
    this.closed = new Promise((resolve) => (this.nowClosed = resolve));
    this.failed = new Promise((_, reject) => (this.nowFailed = reject));
    this.failed.catch(() => {}); // it is looked at while something is waited for
  }
  hear(message) {
    this.messages.push(message);
    if (message.from_finalize) this.nowFinalized();
  }
  fail(error) {
    const said = String((error && error.message) || error);
    this.errors.push(said);
    this.nowFailed(new Error(said));
  }
  close(event) {
    this.closes += 1;
    this.closeCode = event.code;
    this.nowClosed();
  }
  tell() {
    const { messages, errors, opens, closes, closeCode, subprotocol } = this;
    tell({ messages, errors, opens, closes, closeCode, subprotocol });
  }
  // Wait for one of the promises, but not for ever, and not after an error.
  within(promise, what) {
    const late = new Promise((_, reject) => {
      setTimeout(() => reject(new Error(`no ${what} in ${WAIT_MS} ms`)), WAIT_MS);
    });
    return Promise.race([promise, this.failed, late]);
  }
}

function tell(told) {
  fs.writeSync(1, JSON.stringify(told));
}

module.exports = { plan, Told, tell };
