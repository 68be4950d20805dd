/** Who is signed in: the key, its account, and what it may do. */

import { call } from "./client.js";

/**
 * @typedef {{account: {id: number, name: string, plan: string, timezone: string}, keyId: string,
 *   keyName: string, scopes: string[], expiresAt: string|null}} Me
 */

/** @type {Me|null} */
let known = null;

/** Return who is signed in, null if nobody is. */
export function me() {
  return known;
}

/** Ask the box who the credential stands for, and know it from now on. Raise Failure. */
export async function loadMe(options) {
  known = await call("/api/v1/me", options);
  return known;
}

/** Know who is signed in from an answer that says it; null: nobody. */
export function setMe(answer) {
  known = answer;
}

/** Tell whether the key grants a scope, as the box decides it: `admin` grants all. */
export function may(scope) {
  const scopes = known?.scopes ?? [];
  const family = `${scope.split(":")[0]}:*`;
  return scopes.some((each) => each === scope || each === family || each === "admin");
}
