// What several parts of the box tell in the same way.
import { h } from "../dom.js";
import { when, whenInFull } from "../format.js";

/** Return a name with its value, for a list of facts. */
export function fact(name, value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

/** Return a moment, short, with all of it as its title. */
export function moment(iso) {
  return h("time", { datetime: iso, title: whenInFull(iso) }, when(iso));
}
