/** Leaderboards, and what the server keeps of a player: plain HTTP beside the session. */

/** Longest that an answer may take, in milliseconds. */
export const REQUEST_TIMEOUT = 8_000;

/** Most pages of an export that are fetched: a bound for a server that never ends. */
const MOST_PAGES = 1_000;

/**
 * @typedef {object} RatingRow
 * @property {string} [mode] @property {string} [player] @property {string} [name]
 * @property {number} [place] from 1, on a leaderboard
 * @property {number} rating
 * @property {number} deviation how far off it may be
 * @property {number} score what a leaderboard sorts by
 * @property {number} games
 * @property {number} wins
 *
 * @typedef {object} PlayedMatch
 * @property {string} match @property {string} room @property {string} mode
 * @property {number} finished_at_ms milliseconds since 1970
 * @property {number} place @property {number} seats
 * @property {number | null} ticks `null`: did not finish
 * @property {{before: number, after: number, deviation_before: number, deviation_after: number} | null} rating
 */

/** A request that the server refused, or that did not get through. */
export class RequestError extends Error {
  /**
   * @param {string} message for people
   * @param {{code: string, field?: string, retryAfterMs?: number, retry: boolean, cause?: unknown}} why
   */
  constructor(message, why) {
    super(message, { cause: why.cause });
    this.name = 'RequestError';
    /** Stable: the server's, or `unreachable`. */
    this.code = why.code;
    this.field = why.field;
    this.retryAfterMs = why.retryAfterMs;
    /** Whether the same may succeed later without a change. */
    this.retry = why.retry;
  }
}

export class Players {
  #origin;
  #token;
  #fetch;

  /**
   * @param {object} options
   * @param {string} [options.origin] `http://…` or `https://…` of a gateway, or '' for the page's own
   * @param {(renew: boolean) => Promise<string>} options.token gives an access token, as a login
   *   has it; `renew`: the last one is not good any more
   * @param {typeof fetch} [options.fetch]
   */
  constructor({ origin = '', token, fetch = globalThis.fetch.bind(globalThis) }) {
    this.#origin = origin;
    this.#token = token;
    this.#fetch = fetch;
  }

  /**
   * The best of a mode, best first; no login is needed.
   * @param {string} mode
   * @param {{limit?: number}} [options]
   * @returns {Promise<RatingRow[]>}
   */
  async leaderboard(mode, { limit = 10 } = {}) {
    const { rows } = await this.#ask(`/v1/leaderboard/${encodeURIComponent(mode)}?limit=${limit}`, null);
    return rows;
  }

  /**
   * The player among neighbours; empty without a rating in the mode.
   * @param {string} mode
   * @param {{side?: number}} [options] how many on either side
   * @returns {Promise<RatingRow[]>}
   */
  async around(mode, { side = 2 } = {}) {
    const { rows } = await this.#own(`/v1/leaderboard/${encodeURIComponent(mode)}/me?side=${side}`);
    return rows;
  }

  /** @returns {Promise<{player: string, ratings: RatingRow[]}>} */
  me() {
    return this.#own('/v1/me');
  }

  /**
   * A page of what the player has played, newest first.
   * @param {{limit?: number, from?: string}} [options] from: `next` of the page before
   * @returns {Promise<{matches: PlayedMatch[], next: string | null}>}
   */
  matches({ limit = 10, from = '' } = {}) {
    return this.#own(`/v1/me/matches?limit=${limit}&from=${encodeURIComponent(from)}`);
  }

  /**
   * Everything that is kept of the player, all pages of it.
   * @returns {Promise<{player: string, profile: object | null, ratings: RatingRow[], seats: {event: string, seat: number}[], matches: PlayedMatch[]}>}
   */
  async export() {
    const { next: second, ...all } = await this.#own('/v1/me/export');
    let next = second;
    for (let page = 1; next && page < MOST_PAGES; page += 1) {
      const more = await this.#own(`/v1/me/export?from=${encodeURIComponent(next)}`);
      all.matches.push(...more.matches);
      next = more.next;
    }
    return all;
  }

  /**
   * Has the server forget the player, for good. Asking twice is harmless.
   * @param {string} player the player's own id, to confirm
   */
  async erase(player) {
    await this.#own('/v1/me/erase', { method: 'POST', body: JSON.stringify({ player }), headers: { 'content-type': 'application/json' } });
  }

  /** A request that shows who asks; once more with a new token if the last one has expired. */
  async #own(path, options = {}) {
    try {
      return await this.#ask(path, await this.#token(false), options);
    } catch (error) {
      if (!['token_expired', 'token_invalid'].includes(error.code)) throw error;
      return this.#ask(path, await this.#token(true), options);
    }
  }

  async #ask(path, token, { headers = {}, ...options } = {}) {
    const shown = token === null ? {} : { authorization: `Bearer ${token}` };
    const { response, body } = await this.#get(path, { ...options, headers: { ...headers, ...shown } });
    if (response.ok && body !== null) return body;
    const refusal = body?.error ?? {};
    throw new RequestError(refusal.message ?? `the server answered ${response.status}`, {
      code: refusal.code ?? 'internal',
      field: refusal.field,
      retryAfterMs: refusal.retry_after_ms,
      // 501: this server never will.
      retry: response.status === 429 || (response.status >= 500 && response.status !== 501),
    });
  }

  async #get(path, options) {
    try {
      const signal = AbortSignal.timeout(REQUEST_TIMEOUT);
      const response = await this.#fetch(`${this.#origin}${path}`, { ...options, signal });
      return { response, body: parse(await response.text()) };
    } catch (cause) {
      throw new RequestError('the server cannot be reached', { code: 'unreachable', retry: true, cause });
    }
  }
}

/** A proxy in between may answer with HTML: the status then speaks for itself. */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
