// Where files come in: chosen by a button, or dropped anywhere on the view; and what is to be done
// with them.

import { h, svg } from "../dom.js";
import { toast } from "../notice.js";
import { uploads } from "./uploads.js";

const ACCEPTED = "audio/*,video/*,.opus,.oga,.mka,.amr,.caf,.flac,.m4b,.wma,.aiff";
const LANGUAGES = (
  "en de fr es it pt nl pl cs sk hu ro bg hr sr sl el tr uk ru fi sv no da et lv lt he ar fa hi ur "
  + "bn ta th vi id ms zh ja ko ca eu gl"
).split(" ");

export class Drop {
  /** @param {{signal: AbortSignal}} options */
  constructor({ signal }) {
    this.input = h("input", { type: "file", id: "upload-files", class: "visually-hidden",
      multiple: true, accept: ACCEPTED, tabindex: -1, "aria-hidden": "true",
      onchange: () => this._chosen() });
    this.button = h("button", { type: "button", class: "button primary",
      onclick: () => this.input.click() }, svg("upload"), "Upload files");
    this.options = this._options();
    this.element = h("div", { class: "drop card" },
      h("div", { class: "drop-line" }, svg("upload"),
        h("p", null, h("strong", null, "Drop sound or video here"),
          h("span", { class: "muted" }, " to have it transcribed, or choose it with Upload files.")),
      ), this.options, this.input);
    this.veil = h("div", { class: "drop-veil", hidden: true, "aria-hidden": "true" },
      h("div", null, svg("upload"), h("strong", null, "Drop to upload")));
    this._depth = 0;
    for (const [name, listener] of Object.entries({
      dragenter: (event) => this._over(event, 1),
      dragleave: (event) => this._over(event, -1),
      dragover: (event) => holdsFiles(event) && event.preventDefault(),
      drop: (event) => this._dropped(event),
    })) addEventListener(name, listener, { signal });
  }

  /** What is to be done with the files. */
  get wishes() {
    return { title: this.title.value, tags: this.tags.value, language: this.language.value };
  }

  _options() {
    const names = new Intl.DisplayNames(["en"], { type: "language" });
    const languages = LANGUAGES.map((code) => ({ code, name: names.of(code) }))
      .sort((one, other) => one.name.localeCompare(other.name));
    this.title = h("select", { id: "upload-title" },
      h("option", { value: "file" }, "The name of the file"),
      h("option", { value: "words" }, "The first words spoken"));
    this.language = h("select", { id: "upload-language" },
      h("option", { value: "" }, "Found by listening"),
      languages.map(({ code, name }) => h("option", { value: code }, name)));
    this.tags = h("input", { id: "upload-tags", type: "text", autocomplete: "off",
      maxlength: 500, placeholder: "meeting, board" });
    return h("details", { class: "drop-options" }, h("summary", null, "Options for the next files"),
      h("div", { class: "drop-fields" },
        field("Title", this.title), field("Language", this.language),
        field("Tags, separated by commas", this.tags)));
  }

  _chosen() {
    const files = [...this.input.files];
    this.input.value = ""; // so that the same file can be chosen again
    this._add(files);
  }

  _over(event, step) {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    this._depth = Math.max(0, this._depth + step); // entering a child comes before leaving its parent
    this.veil.hidden = this._depth === 0;
  }

  _dropped(event) {
    if (!holdsFiles(event)) return;
    event.preventDefault(); // else the browser would open the file in place of the page
    this._depth = 0;
    this.veil.hidden = true;
    const items = [...event.dataTransfer.items].filter((item) => item.kind === "file");
    const folder = items.map((item) => item.webkitGetAsEntry?.()).find((entry) => entry?.isDirectory);
    if (folder) {
      toast(`${folder.name} is a folder. Open it and drop the files that are in it.`,
        { kind: "warning" });
      return;
    }
    this._add([...event.dataTransfer.files]);
  }

  _add(files) {
    if (files.length > 0) uploads.add(files, this.wishes);
  }
}

function holdsFiles(event) {
  return event.dataTransfer?.types.includes("Files") ?? false;
}

function field(label, control) {
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control);
}
