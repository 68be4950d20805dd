/** Taking a session away: the dialog with the formats, and the download itself. */

import { address, authHeaders, call, failureOf, reached, unreached } from "../client.js";
import { showDialog } from "../dialog.js";
import { h, replace, svg } from "../dom.js";
import { announce, failed } from "../notice.js";

const AUDIO = "audio";
const FORMATS = [
  { format: "txt", name: "Plain text", what: "The note, for any program" },
  { format: "md", name: "Markdown", what: "The note with its title and times" },
  { format: "docx", name: "Word", what: "The note as a document" },
  { format: "srt", name: "Subtitles (SRT)", what: "What was heard, for video players" },
  { format: "vtt", name: "Subtitles (WebVTT)", what: "What was heard, for the web" },
  { format: "json", name: "JSON", what: "Every word with its times, for programs" },
];
const SOUND = { format: AUDIO, name: "Audio", what: "The recording as it came" };
const MOST_IN_NAME = 80;
const KEPT_MS = 60_000;

/**
 * Show the formats; each is a button that downloads.
 * @param {{path: string, title: string, id: number, hasAudio: boolean}} session
 */
export function showExport({ path, title, id, hasAudio }) {
  const trouble = h("div", {});
  const formats = hasAudio ? [...FORMATS, SOUND] : FORMATS;
  const choices = formats.map((one) => h("li", {}, choice(one, download)));
  showDialog("Export", [h("ul", { class: "export-list" }, choices), trouble]);

  async function download(event) {
    const button = event.currentTarget;
    const { format } = button.dataset;
    button.setAttribute("aria-busy", "true");
    replace(trouble);
    try {
      if (format === AUDIO) {
        const { pathname, search } = new URL((await call(`${path}audio-url`)).url, location.href);
        follow(pathname + search, "");
      } else save(await fetched(`${path}export`, format), fileName(title, id, format));
      announce(`${button.querySelector("strong").textContent} is downloaded.`);
    } catch (error) {
      failed(error, trouble);
    }
    button.removeAttribute("aria-busy");
  }
}

function choice({ format, name, what }, onclick) {
  return h(
    "button",
    { class: "export-choice", type: "button", dataset: { format }, onclick },
    svg(format === AUDIO ? "sound" : "file"),
    h("span", { class: "export-what" }, h("strong", {}, name), h("span", { class: "muted" }, what)),
    format !== AUDIO && h("span", { class: "export-extension" }, `.${format}`),
    svg("download"),
  );
}

/** Name a file after the session, without what some systems allow in no name. */
function fileName(title, id, extension) {
  const plain = title
    .replace(/[\u0000-\u001f\u007f"*/:<>?\\|]+/g, " ")
    .replace(/\s+/g, " ")
    .trim();
  const name = plain.slice(0, MOST_IN_NAME).replace(/^\.+|[. ]+$/g, "");
  return `${name || `session-${id}`}.${extension}`;
}

async function fetched(path, format) {
  let response;
  try {
    response = await fetch(address(path, { format }), { headers: authHeaders() });
  } catch {
    throw unreached();
  }
  reached();
  if (response.ok) return response.blob();
  throw failureOf(response.status, await response.json().catch(() => null), response.headers);
}

function save(content, name) {
  const source = URL.createObjectURL(content);
  follow(source, name);
  setTimeout(() => URL.revokeObjectURL(source), KEPT_MS); // the browser reads it in its own time
}

/** Have the browser download an address; the server names the file where `name` is "". */
function follow(href, name) {
  const link = h("a", { href, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
}
