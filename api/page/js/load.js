/** The parts of the page that come once they are needed. */

import { Failure, call } from "./client.js";

const failures = new Map();

/**
 * Load a module of the page, also one that could not be loaded before.
 * @param {string} path such as "box/keys.js"
 * @returns {Promise<any>} what it exports; raise Failure
 */
export async function load(path) {
  try {
    return await attempt(path);
  } catch {
    await call("/page/js/main.js", { method: "HEAD" }); // is it the box that can't be reached?
  }
  try {
    return await attempt(path);
  } catch {
    const sentence = "This part of the page could not be loaded.";
    throw new Failure(404, sentence, { step: "Reload the page." });
  }
}

/**
 * Import a module by an address that has not failed yet: one that has stays failed until the page
 * is loaded anew (HTML, "module map").
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
