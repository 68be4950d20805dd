/** Have the box make something with a secret: that is carried out though its reader turns away. */

import { call } from "../client.js";
import { toast } from "../notice.js";

/**
 * Return the box's answer, which holds a secret that is told this once; null if nobody is there to
 * see it any more, who is told what to do instead. Raise Failure.
 * @param {string} path
 * @param {{json?: object, signal: AbortSignal, unseen: string}} options `signal` ends the view, not
 *   the request
 */
export async function create(path, { json, signal, unseen }) {
  const answer = await call(path, { method: "POST", json });
  if (!signal.aborted) return answer;
  toast(unseen, { kind: "warning", seconds: 30 });
  return null;
}
