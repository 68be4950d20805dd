// @deepgram/sdk 5: a live stream in Node (with a token) or as in a browser (with a key), and files.
"use strict";
const fs = require("fs");
const { plan, Told, tell } = require("./plan.cjs");

if (plan.what === "live in a browser") {
  // what the SDK takes for one: there credentials go as subprotocols
  globalThis.window = { document: {}, navigator: { userAgent: "a browser" } };
  globalThis.WebSocket = require("ws").WebSocket;
}
const { DeepgramClient } = require("@deepgram/sdk");

const LIVE = {
  model: "nova-3",
  language: "en-US",
  encoding: "linear16",
  sample_rate: 16000,
  interim_results: "true",
  endpointing: 300,
  utterance_end_ms: 1000,
  vad_events: "true",
  smart_format: "true",
  keyterm: ["office kitchen", "Tuesday"],
};
const keyed = new DeepgramClient({ baseUrl: plan.url, apiKey: plan.key });

async function granted() {
  const grant = await keyed.auth.v1.tokens.grant({ ttl_seconds: 60 });
  return new DeepgramClient({ baseUrl: plan.url, accessToken: grant.access_token });
}

async function live(client) {
  const told = new Told();
  const socket = await client.listen.v1.connect(LIVE);
  socket.on("open", () => (told.opens += 1));
  socket.on("message", (message) => told.hear(message));
  socket.on("error", (error) => told.fail(error));
  socket.on("close", (event) => told.close(event));
  socket.connect();
  await told.within(socket.waitForOpen(), "open socket");
  told.subprotocol = socket.socket.protocol;
  const [before, after] = plan.halves();
  for (const piece of before) socket.sendMedia(piece);
  socket.sendFinalize({ type: "Finalize" });
  await told.within(told.finalized, "answer to Finalize");
  socket.sendKeepAlive({ type: "KeepAlive" });
  for (const piece of after) socket.sendMedia(piece);
  socket.sendCloseStream({ type: "CloseStream" });
  await told.within(told.closed, "end");
  told.tell();
}

async function file() {
  const client = await granted();
  const options = { model: "nova-3", smart_format: true, paragraphs: true, utterances: true };
  const media = client.listen.v1.media;
  const answer = await media.transcribeFile(plan.bytes, options);
  const chunked = await media.transcribeFile(fs.createReadStream(plan.sound), { punctuate: true });
  tell({ answer, chunked });
}

// One request, with every timeout as the SDK has it.
async function once() {
  tell({ answer: await keyed.listen.v1.media.transcribeFile(plan.bytes, { model: "nova-3" }) });
}

async function main() {
  if (plan.what === "file") await file();
  else if (plan.what === "once") await once();
  else if (plan.what === "live in a browser") await live(keyed);
  else await live(await granted());
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
