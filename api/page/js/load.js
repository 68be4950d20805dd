/** The parts of the page that come once they are needed. */

import { Failure, call } from "./client.js";

const failures = new Map();

/**
 * Load a module of the page, also if it could not be loaded before; no other module may import it,
 * and what it imports itself is not asked for again.
 * @param {string} path such as "box/keys.js"
 * @returns {Promise<any>} what it exports; raise Failure
 */
export async function load(path) {
  try {
    return await attempt(path);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // it came, and is wrong
    await reach();
  }
  try {
    return await attempt(path);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    await reach();
    const sentence = "This part of the page could not be loaded.";
    throw new Failure(404, sentence, { step: "Reload the page." });
  }
}

/** Ask the box for a file of the page: is it the box that can't be reached? Raise Failure if so. */
async function reach() {
  await call("/page/js/main.js", { method: "HEAD" });
}

/**
 * Import a module by an address that has not failed yet: Chromium, and others until 2026, keep one
 * that has as failed until the page is loaded anew (HTML, "module map").
 */
async function attempt(path) {
  const failed = failures.get(path) ?? 0;
  try {
    return await import(`/page/js/${path}${failed ? `?again=${failed}` : ""}`);
  } catch (error) {
    failures.set(path, failed + 1);
    throw error;
  }
}
