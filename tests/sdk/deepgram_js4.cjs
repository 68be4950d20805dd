// @deepgram/sdk 4: a live stream with a WebSocket of the runtime (Node 22, browsers), and files.
"use strict";
const fs = require("fs");
const { plan, Told, tell } = require("./plan.cjs");

globalThis.WebSocket ??= require("ws").WebSocket; // Node before 22 has none
const { createClient, LiveTranscriptionEvents } = require("@deepgram/sdk");

const LIVE = {
  model: "nova-3",
  language: "en-US",
  encoding: "linear16",
  sample_rate: 16000,
  interim_results: true,
  endpointing: 300,
  utterance_end_ms: 1000,
  vad_events: true,
  smart_format: true,
  keyterm: ["office kitchen", "Tuesday"],
};
const there = { global: { url: plan.url } };

async function granted() {
  const { result, error } = await createClient({ key: plan.key, ...there }).auth.grantToken();
  if (error) throw error;
  return createClient({ accessToken: result.access_token, ...there });
}

async function live() {
  const told = new Told();
  const socket = (await granted()).listen.live(LIVE);
  const opened = new Promise((resolve) => socket.on(LiveTranscriptionEvents.Open, resolve));
  const heard = ["Transcript", "Metadata", "SpeechStarted", "UtteranceEnd"];
  for (const name of heard) {
    socket.on(LiveTranscriptionEvents[name], (message) => told.hear(message));
  }
  socket.on(LiveTranscriptionEvents.Unhandled, (message) => told.fail(JSON.stringify(message)));
  socket.on(LiveTranscriptionEvents.Error, (error) => told.fail(error));
  socket.on(LiveTranscriptionEvents.Close, (event) => told.close(event));
  await told.within(opened, "open socket");
  told.opens = 1;
  told.subprotocol = socket.conn.protocol;
  const [before, after] = plan.halves();
  for (const piece of before) socket.send(piece);
  socket.configure({ numerals: true });
  socket.finalize();
  await told.within(told.finalized, "answer to Finalize");
  socket.keepAlive();
  for (const piece of after) socket.send(piece);
  socket.requestClose();
  await told.within(told.closed, "end");
  told.tell();
}

async function file() {
  const keyed = createClient({ key: plan.key, ...there });
  const options = { model: "nova-3", smart_format: true, paragraphs: true, utterances: true };
  const { result, error } = await keyed.listen.prerecorded.transcribeFile(plan.bytes, options);
  if (error) throw error;
  const stream = fs.createReadStream(plan.sound);
  const chunked = await keyed.listen.prerecorded.transcribeFile(stream, { punctuate: true });
  if (chunked.error) throw chunked.error;
  tell({ answer: result, chunked: chunked.result });
}

(plan.what === "file" ? file() : live()).then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
