// The sessions that fit a search, fetched page by page, newest first. Sessions may come and go
// between two pages: none is shown twice, and none is left out.

import { callFull } from "../client.js";

export const SESSIONS = "/api/v1/audioscribe/sessions/";
const PER_PAGE = 20;
const MOST_AGAIN = 300; // rows fetched at once on coming back to a list

export class Pages {
  /**
   * @param {{q: string, tag: string}} wanted what to look for
   * @param {AbortSignal} signal ends every request
   */
  constructor(wanted, signal) {
    this.wanted = wanted;
    this.signal = signal;
    this.rows = [];
    this.total = null; // until the first page has come
    this.isCapped = false; // the total is then the least there are
    this.isComplete = false;
    this._ids = new Set();
    this._page = 0;
    this._underWay = null;
  }

  /** Fetch the next page; return the rows that are new. One at a time: asking twice is one page. */
  next() {
    this._underWay ??= this._next().finally(() => {
      this._underWay = null;
    });
    return this._underWay;
  }

  async _next() {
    const before = this.total;
    let answer = await this._fetch(this._page);
    const earlier = [];
    if (this._page > 0 && answer.total < before) { // something left, so that rows moved up a page
      earlier.push(...this._keep((await this._fetch(this._page - 1)).rows));
    }
    this._page += 1;
    this.isComplete = answer.rows.length < PER_PAGE;
    return [...earlier, ...this._keep(answer.rows)];
  }

  /** Fetch so many rows again, as on coming back from a session. */
  async again(count) {
    while (!this.isComplete && this.rows.length < Math.min(count, MOST_AGAIN)) await this.next();
    return this.rows;
  }

  /** Look whether there are newer ones; return them, newest first. */
  async newer() {
    if (this.total === null || this._underWay !== null) return []; // they come by themselves
    const newest = this.rows.length > 0 ? this.rows[0].id : 0;
    const [first] = (await this._fetch(0, 1)).rows;
    if (first === undefined || first.id <= newest) return [];
    const { rows } = await this._fetch(0);
    const fresh = rows.filter((row) => row.id > newest && !this._ids.has(row.id));
    for (const row of fresh) this._ids.add(row.id);
    this.rows.unshift(...fresh);
    return fresh;
  }

  async _fetch(page, perPage = PER_PAGE) {
    const { q, tag } = this.wanted;
    const query = { page, perPage, ...(q && { q }), ...(tag && { tag }) };
    const { data, headers } = await callFull(SESSIONS, { query, signal: this.signal });
    this.total = Number(headers.get("X-Total-Count"));
    this.isCapped = headers.get("X-Total-Count-Capped") === "true";
    return { rows: data, total: this.total };
  }

  _keep(rows) {
    const fresh = rows.filter((row) => !this._ids.has(row.id));
    for (const row of fresh) this._ids.add(row.id);
    this.rows.push(...fresh);
    return fresh;
  }
}
