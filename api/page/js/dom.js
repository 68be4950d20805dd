/**
 * Elements: the only way in which the page makes them.
 *
 * Text that comes from data always becomes a text node; there is no way to pass HTML.
 */

import { ICONS } from "./icons.js";

const SVG = "http://www.w3.org/2000/svg";
const SAFE_SCHEMES = new Set(["http:", "https:", "blob:", "mailto:"]);
const PROPERTIES = new Set(["value", "checked", "indeterminate", "muted", "volume", "selected"]);
const styles = new Map(); // by name: the link, and what resolves once it is loaded
const wanted = new Set(); // the names of those that the view has asked for

/**
 * Make an element.
 *
 * `class` takes a string or an array (what is falsy is left out), `onclick` and its like a
 * function, `dataset` and `style` an object (of custom properties too, set by script because the
 * policy allows no inline styles), `ref` a function that gets the element. What is null, undefined
 * or false is left out, but aria-* is written as "false".
 * @param {string} tag
 * @param {Object<string, any>|null} [props]
 * @param {...any} children strings and numbers become text; arrays are flattened
 * @returns {HTMLElement}
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  const { value, ref, ...others } = props ?? {};
  for (const [name, each] of Object.entries(others)) set(element, name, each);
  element.append(...nodes(children));
  set(element, "value", value); // a select has its options by now
  ref?.(element);
  return element;
}

/** Put children in the place of those that a node has. */
export function replace(node, ...children) {
  node.replaceChildren(...nodes(children));
  return node;
}

/** Return what can be appended: text nodes for text, nothing for null, undefined and booleans. */
export function nodes(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && typeof child !== "boolean")
    .map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
}

/**
 * Make an icon by its name in icons.js; it is decoration unless it has a label.
 * @param {string} name
 * @param {{label?: string, class?: string}} [options]
 * @returns {SVGElement}
 */
export function svg(name, { label, class: also } = {}) {
  const icon = document.createElementNS(SVG, "svg");
  icon.setAttribute("viewBox", "0 0 24 24");
  icon.setAttribute("class", also ? `icon ${also}` : "icon");
  icon.setAttribute("focusable", "false");
  if (label) {
    icon.setAttribute("role", "img");
    icon.setAttribute("aria-label", label);
  } else {
    icon.setAttribute("aria-hidden", "true");
  }
  for (const [shape, attributes] of ICONS[name] ?? ICONS.info) {
    const part = document.createElementNS(SVG, shape);
    for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
    icon.append(part);
  }
  return icon;
}

/**
 * Have a style sheet of the page until the next view is shown; resolve when it holds, or can't be
 * had. It is loaded once.
 * @param {string} name such as "record", for /page/css/record.css
 * @returns {Promise<void>}
 */
export function useStyle(name) {
  wanted.add(name);
  if (!styles.has(name)) {
    const link = h("link", { rel: "stylesheet", href: `/page/css/${name}.css` });
    const loaded = new Promise((resolve) => {
      link.addEventListener("load", () => (able(name), resolve()));
      link.addEventListener("error", () => (styles.delete(name), link.remove(), resolve()));
    });
    styles.set(name, { link, loaded });
    document.head.append(link);
  }
  able(name);
  return styles.get(name).loaded;
}

/** Put the style sheets of a view aside: names in that of another one may mean something else. */
export function dropStyles() {
  wanted.clear();
  for (const name of styles.keys()) able(name);
}

function able(name) {
  const { sheet } = styles.get(name)?.link ?? {};
  if (sheet) sheet.disabled = !wanted.has(name);
}

function set(element, name, value) {
  if (value === null || value === undefined) return;
  if (name === "class") {
    element.className = Array.isArray(value) ? value.filter(Boolean).join(" ") : value || "";
  } else if (name === "dataset") {
    for (const [key, each] of Object.entries(value)) {
      if (each !== null && each !== undefined) element.dataset[key] = each;
    }
  } else if (name === "style") {
    for (const [key, each] of Object.entries(value)) element.style.setProperty(key, each);
  } else if (name.startsWith("on") && typeof value === "function") {
    element.addEventListener(name.slice(2).toLowerCase(), value);
  } else if (name.startsWith("aria-")) {
    element.setAttribute(name, String(value));
  } else if (PROPERTIES.has(name)) {
    element[name] = value;
  } else if (value !== false && !isUnsafe(name, value)) {
    element.setAttribute(name, value === true ? "" : String(value));
  }
}

/** Tell whether a link would run something: an address from data may say `javascript:`. */
function isUnsafe(name, value) {
  if (name !== "href" && name !== "src") return false;
  try {
    return !SAFE_SCHEMES.has(new URL(String(value), location.href).protocol);
  } catch {
    return true;
  }
}
