/** Note and transcript: beside each other where there is room, else one of them by a tab. */

import { h } from "../dom.js";

/**
 * @param {...{name: string, title: string, body: any, tools?: Node}} panes the first one is shown
 */
export function createPanes(...panes) {
  const tabs = panes.map(({ name, title }) =>
    h(
      "button",
      { type: "button", "aria-controls": `pane-${name}`, onclick: () => choose(name) },
      title,
    ),
  );
  const sections = panes.map(({ name, title, body, tools }) =>
    h(
      "section",
      { id: `pane-${name}`, class: "card pane", "aria-label": title },
      h("header", { class: ["pane-head", !tools && "plain"] }, h("h2", {}, title), tools),
      body,
    ),
  );
  const node = h(
    "div",
    { class: "session-panes" },
    h("div", { class: "tabs pane-tabs", role: "group", "aria-label": "Text shown" }, tabs),
    sections,
  );

  function choose(name) {
    panes.forEach((pane, at) => {
      tabs[at].setAttribute("aria-pressed", String(pane.name === name));
      sections[at].classList.toggle("chosen", pane.name === name);
    });
  }

  choose(panes[0].name);
  return { node, choose };
}
