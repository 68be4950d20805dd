// What a key may be allowed, in words, in the order and groups in which it is offered.

/** @type {Array<{title: string, scopes: Array<[string, string]>}>} */
export const GROUPS = [
  {
    title: "Sessions",
    scopes: [
      ["sessions:read", "List, read, search, play and export sessions; see jobs and vocabulary"],
      ["sessions:write", "Upload, change and delete sessions; set the vocabulary"],
    ],
  },
  {
    title: "Live",
    scopes: [
      ["recordings", "The microphone of the box: start, stop and watch"],
      ["listen", "Transcribe files and streams of apps through /v1"],
    ],
  },
  {
    title: "Dictation",
    scopes: [
      ["transcribe:token", "Ask for the tokens that apps dictate with"],
      ["transcribe:history", "The history of dictations and its audio"],
      ["transcribe:usage", "Usage and limits"],
      ["transcribe:*", "All three of dictation"],
    ],
  },
  {
    title: "The box",
    scopes: [
      ["webhooks", "Webhooks and their deliveries"],
      ["metrics", "Figures for monitoring"],
      ["admin", "Everything, and keys and accounts"],
    ],
  },
];

const WORDS = new Map(GROUPS.flatMap(({ scopes }) => scopes));

/** Return what a scope allows, in words. */
export function inWords(scope) {
  return WORDS.get(scope) ?? scope;
}

/** Return the scopes that another one grants beside itself. */
export function includedIn(scope) {
  const all = [...WORDS.keys()];
  if (scope === "admin") return all.filter((one) => one !== "admin");
  if (!scope.endsWith(":*")) return [];
  return all.filter((one) => one !== scope && one.startsWith(scope.slice(0, -1)));
}
