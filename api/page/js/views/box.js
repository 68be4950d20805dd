// The box itself: usage, keys, webhooks, vocabulary and health, each a section of its own.
// Only the sections that the key's scopes allow are there; health is there for everybody.
import { events } from "../client.js";
import { h, replace, svg, useStyle } from "../dom.js";
import { load } from "../load.js";
import { may } from "../me.js";
import { failed, message } from "../notice.js";

const SLOW_MS = 200;
const SECTIONS = [
  {
    name: "usage",
    icon: "chart",
    label: "Usage",
    scope: "transcribe:usage",
    lead: "Words, minutes and cost of dictation, and what the plan leaves.",
    load: () => load("box/usage.js"),
  },
  {
    name: "keys",
    icon: "key",
    label: "Keys",
    scope: "admin",
    lead: "Who may do what with this box. Give every person and every app a key of its own.",
    load: () => load("box/keys.js"),
  },
  {
    name: "webhooks",
    icon: "webhook",
    label: "Webhooks",
    scope: "webhooks",
    lead: "Addresses that are told of every new session, signed and tried again until they take it.",
    load: () => load("box/webhooks.js"),
  },
  {
    name: "vocabulary",
    icon: "book",
    label: "Vocabulary",
    scope: "sessions:read",
    lead: "Names and terms the box should know, and what it should write instead of what it hears.",
    load: () => load("box/vocabulary.js"),
  },
  {
    name: "health",
    icon: "health",
    label: "Health",
    scope: null,
    lead: "How every part of the box is, in words.",
    load: () => load("box/health.js"),
  },
];

/** Show the section that the address names, or the first one that the key may see. */
export async function show(root, { tab }, { signal, setTitle }) {
  await useStyle("box");
  if (signal.aborted) return;
  const allowed = SECTIONS.filter(({ scope }) => scope === null || may(scope));
  const section = SECTIONS.find(({ name }) => name === tab) ?? allowed[0];
  const body = h("div", { class: "box-body" });
  setTitle(section.label);
  replace(
    root,
    h(
      "div",
      { class: "box-layout" },
      navigation(allowed, section),
      h(
        "div",
        { class: "box-section" },
        h("header", {}, h("h1", {}, section.label), h("p", { class: "muted" }, section.lead)),
        body,
      ),
    ),
  );
  root.querySelector('.box-nav [aria-current="page"]')?.scrollIntoView({ block: "nearest", inline: "center" });
  if (allowed.includes(section)) await fill(body, section, signal);
  else replace(body, message("warning", ...lacking(section)));
}

async function fill(body, section, signal) {
  const slow = setTimeout(() => body.childElementCount || replace(body, loading()), SLOW_MS);
  try {
    const module = await section.load();
    if (!signal.aborted) await module.show(body, { signal });
  } catch (error) {
    if (signal.aborted) return;
    const waiting = new AbortController();
    const again = () => {
      if (waiting.signal.aborted) return;
      waiting.abort();
      fill(body, section, signal);
    };
    failed(error, body, { retry: again });
    const until = AbortSignal.any([signal, waiting.signal]);
    if (error.status === 0) events.addEventListener("back", again, { signal: until });
  } finally {
    clearTimeout(slow);
  }
}

function navigation(allowed, current) {
  const links = allowed.map((one) => {
    const here = one === current ? "page" : null;
    return h("li", {}, h("a", { href: `#/box/${one.name}`, "aria-current": here }, svg(one.icon), one.label));
  });
  return h("nav", { class: "box-nav", "aria-label": "Parts of the box" }, h("ul", {}, links));
}

function loading() {
  return h("div", { class: "loading", role: "status" }, h("span", { class: "spinner" }), "Loading…");
}

function lacking({ scope }) {
  return [
    `This key lacks the scope ${scope}, which this part needs.`,
    "Sign in with a key that has it, or ask whoever runs the box for one.",
  ];
}
