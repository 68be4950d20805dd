/** Figures and times as people read them. The page speaks English; dates follow the reader. */

const ENGLISH = (navigator.languages ?? []).find((tag) => tag.startsWith("en")) ?? "en-GB";
const DAY_MS = 86_400_000;
const UNITS = ["bytes", "kB", "MB", "GB", "TB"];

const whole = new Intl.NumberFormat(ENGLISH, { maximumFractionDigits: 0 });
const precise = new Intl.NumberFormat(ENGLISH, { maximumFractionDigits: 1 });
const hour = new Intl.DateTimeFormat(ENGLISH, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(ENGLISH, { weekday: "short", day: "numeric", month: "short" });
const date = new Intl.DateTimeFormat(ENGLISH, { day: "numeric", month: "short", year: "numeric" });
const full = new Intl.DateTimeFormat(ENGLISH, { dateStyle: "full", timeStyle: "short" });

/** Return a number with its separators: 12,000. */
export function number(value, digits = 0) {
  if (digits === 0) return whole.format(value);
  return digits === 1 ? precise.format(value) : value.toLocaleString(ENGLISH, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** Return a number and what is counted: 1 session, 5,000 sessions. */
export function count(n, one, many = `${one}s`) {
  return `${whole.format(n)} ${n === 1 ? one : many}`;
}

/** Return seconds in words: 42 s, 3 min 12 s, 2 h 5 min. */
export function duration(seconds) {
  const total = Math.max(0, Math.round(seconds ?? 0));
  if (total < 60) return `${total} s`;
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor((total % 3600) / 60);
  if (hours > 0) return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
  return total % 60 ? `${minutes} min ${total % 60} s` : `${minutes} min`;
}

/** Return seconds as a clock shows them: 0:07, 2:03, 1:02:03. */
export function clock(seconds) {
  const total = Math.max(0, Math.floor(seconds ?? 0));
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor((total % 3600) / 60);
  const two = (n) => String(n).padStart(2, "0");
  const rest = two(total % 60);
  return hours > 0 ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}

/** Return when something was, short: "Today, 14:03", "Yesterday, 09:30", "Mon, 3 Feb, 14:03". */
export function when(iso, today = new Date()) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return "";
  const midnight = new Date(today).setHours(0, 0, 0, 0);
  const days = Math.round((midnight - new Date(at).setHours(0, 0, 0, 0)) / DAY_MS);
  if (days === 0) return `Today, ${hour.format(at)}`;
  if (days === 1) return `Yesterday, ${hour.format(at)}`;
  if (days === -1) return `Tomorrow, ${hour.format(at)}`;
  const sameYear = at.getFullYear() === today.getFullYear();
  return sameYear ? `${day.format(at)}, ${hour.format(at)}` : date.format(at);
}

/** Return a moment in full, for the title of a short one. */
export function whenInFull(iso) {
  const at = new Date(iso);
  return Number.isNaN(at.getTime()) ? "" : full.format(at);
}

/** Return a size: 812 bytes, 3.4 MB. */
export function bytes(n) {
  let size = Math.max(0, n ?? 0);
  let unit = 0;
  while (size >= 1000 && unit < UNITS.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 || size >= 100 ? whole.format(size) : precise.format(size)} ${UNITS[unit]}`;
}
