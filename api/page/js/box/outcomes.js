// What came of sending a webhook, in words, and what to do about it.

const ERRORS = {
  "bad url": ["The address can't be used.", "Edit the webhook and correct it."],
  "forbidden destination": [
    "The box may not send there.",
    "Allow the address with webhook_allow in the settings, or choose another one.",
  ],
  dns: ["The name of the receiver stands for no address.", "Check the spelling of the address."],
  refused: ["The receiver refuses connections.", "Check that it runs, and its port."],
  unreachable: ["The receiver can't be reached.", "Check the network between it and the box."],
  tls: ["The certificate of the receiver isn't trusted.", "Renew it, or have the box trust it."],
  timeout: ["The receiver took too long.", "It has 15 seconds: have it answer first, then work."],
  reset: ["The receiver hung up before its answer was complete.", "Look into its log."],
  "bad answer": ["What answered doesn't speak HTTP.", "Check the port of the address."],
  redirect: ["The receiver sends elsewhere.", "Use the address that it redirects to."],
  failed: ["The box failed to send it.", "Look into the log of the box."],
};
const STATUSES = {
  401: "It wants a credential: put one into the address, or let the signature suffice.",
  403: "It doesn't let the box in. Check what it expects.",
  404: "Nothing is there. Check the path of the address.",
  405: "It takes no POST there. Check the path of the address.",
  410: "It says it is gone for good, so the box sends nothing more there.",
  429: "It gets too much; the box waits before it tries again.",
};
export const STATES = {
  pending: { label: "Waiting", kind: "" },
  retrying: { label: "Trying again", kind: "warn" },
  delivered: { label: "Delivered", kind: "ok" },
  dead: { label: "Given up", kind: "danger" },
  cancelled: { label: "Cancelled", kind: "" },
};

/**
 * Return {well, sentence, step} of a try: its status, or the class of what went wrong before.
 * @param {{status: number|null, error: string|null, ms: number}} outcome
 */
export function outcome({ status, error, ms }) {
  const took = ms >= 1000 ? `${(ms / 1000).toFixed(1)} s` : `${ms} ms`;
  if (error !== null) {
    const [sentence, step] = ERRORS[error] ?? [`It failed: ${error}.`, "Look into its log."];
    return { well: false, sentence, step, took };
  }
  if (status >= 200 && status < 300) {
    return { well: true, sentence: `Received, with status ${status}.`, step: null, took };
  }
  const later = status >= 500 ? "The receiver failed: look into its log." : "Look into its log.";
  return {
    well: false,
    sentence: `The receiver answered ${status}.`,
    step: STATUSES[status] ?? later,
    took,
  };
}
