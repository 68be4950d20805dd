// A small bar chart by day, drawn as SVG at the width it has, with the same figures as a table.
import { h, replace } from "../dom.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 200;
const TOP = 12;
const FOOT = 26;
const MIN_LABEL_PX = 58;
const BAR_RADIUS = 3;
const dayLong = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeZone: "UTC" });
const dayShort = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  timeZone: "UTC",
});

/**
 * Return the chart: a readout, the bars, and the table for who can't see or point at them.
 * @param {{days: object[], name: string, figure: {label: string, told: (n: number) => string,
 *   short: (n: number) => string}, limit: number|null, timezone: string}} what oldest day first
 */
export function chart({ days, name, figure, limit: given, timezone }) {
  const values = days.map((day) => day[name]);
  // a limit far above all bars would make them invisible
  const limit = given !== null && given <= 1.5 * Math.max(...values) ? given : null;
  const total = values.reduce((sum, value) => sum + value, 0);
  const whole = h(
    "p",
    { class: "box-readout" },
    h("strong", {}, figure.told(tidy(total))),
    h("span", { class: "muted" }, ` in ${days.length} days`),
  );
  const readout = h("div", { class: "box-readouts" }, whole);
  const plot = h("div", {
    class: "box-plot",
    role: "slider",
    tabindex: "0",
    "aria-label": `${figure.label} by day; arrow keys go from day to day`,
    "aria-valuemin": "1",
    "aria-valuemax": String(days.length),
  });
  let picked = null;
  const pick = (index) => {
    picked = index;
    const at = index ?? days.length - 1;
    const said = `${dayLong.format(dateOf(days[at]))}: ${figure.told(values[at])}`;
    plot.setAttribute("aria-valuenow", String(at + 1));
    plot.setAttribute("aria-valuetext", said);
    replace(readout, index === null ? whole : h("p", { class: "box-readout" }, said));
    for (const bar of plot.querySelectorAll("[data-day]")) {
      bar.classList.toggle("is-picked", Number(bar.dataset.day) === index);
    }
  };
  const indexAt = (event) => {
    const box = plot.getBoundingClientRect();
    const share = (event.clientX - box.left - marginOf(plot)) / (box.width - marginOf(plot));
    return Math.min(days.length - 1, Math.max(0, Math.floor(share * days.length)));
  };
  plot.addEventListener("pointermove", (event) => pick(indexAt(event)));
  plot.addEventListener("pointerdown", (event) => pick(indexAt(event)));
  plot.addEventListener("pointerleave", () => pick(null));
  plot.addEventListener("blur", () => pick(null));
  plot.addEventListener("keydown", (event) => {
    const at = picked ?? days.length - 1;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: days.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    pick(picked === null && event.key === "ArrowLeft" ? at : clamp(to, days.length - 1));
  });
  const redraw = () => {
    const width = Math.floor(plot.clientWidth);
    if (width > 0) plot.replaceChildren(drawn(days, values, figure, limit, width, plot));
    pick(picked);
  };
  new ResizeObserver(redraw).observe(plot);
  pick(null);
  return h(
    "div",
    {},
    readout,
    plot,
    h(
      "p",
      { class: "muted small" },
      `Days begin at midnight of ${timezone}.`,
      limit === null ? "" : " The dashed line is the limit of a day.",
    ),
    table(days, timezone),
  );
}

function drawn(days, values, figure, limit, width, plot) {
  const { top, step } = scale(Math.max(...values, limit ?? 0), values.every(Number.isInteger));
  const ticks = [];
  for (let at = 0; at <= top + step / 2; at += step) ticks.push(tidy(at));
  const labels = ticks.map((tick) => figure.short(tick));
  const left = 12 + 7.2 * Math.max(...labels.map((label) => label.length));
  plot.dataset.margin = String(left);
  const room = HEIGHT - TOP - FOOT;
  const y = (value) => TOP + room * (1 - value / top);
  const root = shape("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}` });
  root.setAttribute("aria-hidden", "true");
  for (const [index, tick] of ticks.entries()) {
    root.append(
      shape("line", { class: "box-grid", x1: left, x2: width, y1: y(tick), y2: y(tick) }),
      words(labels[index], { x: left - 8, y: y(tick) + 4, "text-anchor": "end" }),
    );
  }
  const slot = (width - left) / days.length;
  const thick = Math.max(1, Math.min(28, slot * 0.72));
  const every = Math.ceil(MIN_LABEL_PX / slot);
  for (const [index, day] of days.entries()) {
    const middle = left + slot * (index + 0.5);
    const bar = shape("path", {
      class: "box-bar",
      d: outline(middle - thick / 2, y(values[index]), thick, y(0)),
      "data-day": index,
    });
    root.append(bar);
    const fromToday = days.length - 1 - index;
    if (fromToday % every === 0 && middle - left > 16) {
      const last = fromToday === 0;
      const text = last ? "Today" : dayShort.format(dateOf(day));
      const edge = last && width - middle < 24;
      const x = edge ? width : middle;
      root.append(words(text, { x, y: HEIGHT - 6, "text-anchor": edge ? "end" : "middle" }));
    }
  }
  if (limit !== null) {
    root.append(
      shape("line", { class: "box-limit-line", x1: left, x2: width, y1: y(limit), y2: y(limit) }),
    );
  }
  return root;
}

function table(days, timezone) {
  const columns = ["wordCount", "audioMinutes", "dictationCount", "estimatedCost"];
  const heads = ["Words", "Minutes", "Dictations", `Cost (${days[0].currency})`];
  const rows = [...days].reverse().map((day) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, day.date),
      ...columns.map((name) => h("td", {}, String(day[name]))),
    ),
  );
  return h(
    "details",
    { class: "box-details" },
    h("summary", {}, "The same as a table"),
    h(
      "div",
      { class: "box-scroll", tabindex: "0", role: "region", "aria-label": "Usage by day" },
      h(
        "table",
        { class: "table" },
        h("caption", { class: "visually-hidden" }, `Usage by day, in ${timezone}`),
        h("thead", {}, h("tr", {}, ...["Day", ...heads].map((x) => h("th", { scope: "col" }, x)))),
        h("tbody", {}, ...rows),
      ),
    ),
  );
}

/** Return a step of 1, 2 or 5 times a power of ten, and the first multiple that holds the most. */
export function scale(most, whole) {
  const raw = Math.max(most, whole ? 1 : 0.0001) / 3;
  const power = 10 ** Math.floor(Math.log10(raw));
  const factor = [1, 2, 5, 10].find((one) => one * power >= raw * 0.999);
  const step = Math.max(factor * power, whole ? 1 : 0);
  return { step, top: tidy(step * Math.max(1, Math.ceil(most / step - 1e-9))) };
}

function outline(x, y, width, floor) {
  const radius = Math.min(BAR_RADIUS, width / 2, floor - y);
  if (floor - y <= 0) return `M${x} ${floor}h${width}v-1h${-width}z`;
  const side = floor - y - radius;
  return (
    `M${x} ${floor}v${-side}q0 ${-radius} ${radius} ${-radius}h${width - 2 * radius}` +
    `q${radius} 0 ${radius} ${radius}v${side}z`
  );
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

function words(text, attributes) {
  const made = shape("text", { class: "box-axis", ...attributes });
  made.textContent = text;
  return made;
}

const dateOf = (day) => new Date(`${day.date}T00:00:00Z`);
const marginOf = (plot) => Number(plot.dataset.margin ?? 0);
const clamp = (value, most) => Math.min(most, Math.max(0, value));
const tidy = (value) => Math.round(value * 1e6) / 1e6; // 0.1 + 0.2
