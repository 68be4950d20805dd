/* The record view: `#/record` begins a recording, `#/record/3` is that recording as it happens. */

import { h, replace, useStyle } from "../dom.js";
import { load } from "../load.js";
import { latest } from "../record/latest.js";
import { startForm } from "../record/start.js";

/** Show the view in `root`; `params.id` is the recording to watch, if there is one. */
export async function show(root, params, { signal, setTitle }) {
  const id = Number(params.id ?? 0);
  if (id > 0) {
    // not needed to begin one: the first view stays light
    const loading = [load("record/live.js"), useStyle("record"), useStyle("live")];
    const [{ livePanel }] = await Promise.all(loading);
    if (signal.aborted) return;
    setTitle(`Recording ${id}`);
    replace(root, livePanel(id, { signal }));
    return;
  }
  await useStyle("record");
  if (signal.aborted) return;
  setTitle("Record");
  const list = latest({ signal });
  const form = startForm({
    signal,
    onStarted: (begun) => {
      if (!signal.aborted) location.hash = `#/record/${begun.id}`;
    },
  });
  replace(
    root,
    h(
      "div",
      { class: "stack rec-view" },
      h(
        "div",
        { class: "rec-intro" },
        h("h1", { tabindex: "-1" }, "Record"),
        h(
          "p",
          { class: "muted" },
          "The microphone of the box listens; the text appears here while people speak.",
        ),
      ),
      list.running,
      form,
      list.ended,
    ),
  );
}
