/* The recordings of the account, and where each of them is. */

import { call } from "../client.js";

const ALL = "/api/v1/recordings";

/** Return the address of a recording. */
export const path = (id) => `${ALL}/${id}`;

/** Return the recordings of the account, the newest first. */
export function recordings(signal) {
  return call(ALL, { signal });
}
