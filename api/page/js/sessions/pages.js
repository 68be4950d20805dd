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
    this._counted = 0; // the total when the last page came
    this._looked = null; // the total when newer ones were last looked for
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
    const answer = await this._fetch(this._page);
    const rows = [...answer.rows];
    // something left, so that rows moved up, by pages if much did; a capped total can't tell
    if (answer.total < this._counted || this.isCapped) {
      for (let page = this._page - 1; page >= 0; page -= 1) {
        const earlier = (await this._fetch(page)).rows;
        rows.push(...earlier);
        if (earlier.some((row) => this._ids.has(row.id))) break; // from there on all are known
      }
    }
    this._page += 1;
    this._counted = answer.total;
    this._looked ??= answer.total;
    this.isComplete = answer.rows.length < PER_PAGE;
    return this._keep(rows);
  }

  /** Fetch so many rows again, as on coming back from a session. */
  async again(count) {
    while (!this.isComplete && this.rows.length < Math.min(count, MOST_AGAIN)) await this.next();
    return this.rows;
  }

  /**
   * Look for sessions that have come; return them, newest first. A session has its number from its
   * start and is listed at its end, so that it may belong between those that are there.
   */
  async newer() {
    if (this.total === null || this._underWay !== null) return []; // they come by themselves
    const found = [];
    let total = 0;
    for (let page = 0; ; page += 1) {
      const answer = await this._fetch(page);
      const { rows } = answer;
      total = answer.total;
      found.push(...rows.filter((row) => !this._ids.has(row.id) && row.id > this._oldest));
      if (rows.length < PER_PAGE || rows.at(-1).id <= this._oldest) break;
      const isMore = total > this._looked + found.length; // some that come late stand further down
      if (!isMore && rows.some((row) => this._ids.has(row.id))) break;
    }
    this._looked = total;
    return this._keep(found);
  }

  /** What is older comes with its page. */
  get _oldest() {
    return this.isComplete || this.rows.length === 0 ? 0 : this.rows.at(-1).id;
  }

  async _fetch(page) {
    const { q, tag } = this.wanted;
    const query = { page, perPage: PER_PAGE, ...(q && { q }), ...(tag && { tag }) };
    const { data, headers } = await callFull(SESSIONS, { query, signal: this.signal });
    this.total = Number(headers.get("X-Total-Count"));
    this.isCapped = headers.get("X-Total-Count-Capped") === "true";
    return { rows: data, total: this.total };
  }

  _keep(rows) {
    const fresh = [];
    for (const row of rows) {
      if (this._ids.has(row.id)) continue;
      this._ids.add(row.id);
      fresh.push(row);
    }
    const newestFirst = (one, other) => other.id - one.id;
    this.rows.push(...fresh);
    this.rows.sort(newestFirst);
    return fresh.sort(newestFirst);
  }
}
