/** Guest login over HTTP. */

/**
 * @typedef {object} Login
 * @property {string} player
 * @property {string} name
 * @property {string} token access token, for the session
 * @property {number} expires_in_ms
 */

/** Longest that an answer may take, in milliseconds. */
export const LOGIN_TIMEOUT = 5_000;

/** A login that the server refused, or that did not get through. */
export class LoginError extends Error {
  /**
   * @param {string} message for people
   * @param {{code: string, field?: string, retryAfterMs?: number, retry: boolean, cause?: unknown}} why
   */
  constructor(message, why) {
    super(message, { cause: why.cause });
    this.name = 'LoginError';
    /** Stable: the server's, or `unreachable`. */
    this.code = why.code;
    this.field = why.field;
    this.retryAfterMs = why.retryAfterMs;
    /** Whether the same may succeed later without a change. */
    this.retry = why.retry;
  }
}

/**
 * Logs a guest in. The same device is the same player next time.
 * @param {string} origin `http://…` or `https://…` of a gateway, or '' for the page's own
 * @param {{device: string, name: string}} guest device: 8 to 128 characters; name: 1 to 24
 * @param {typeof fetch} [fetcher]
 * @returns {Promise<Login>}
 * @throws {LoginError}
 */
export async function loginGuest(origin, guest, fetcher = globalThis.fetch) {
  const { response, body } = await post(`${origin}/v1/login/guest`, guest, fetcher);
  if (response.ok && typeof body?.token === 'string') return body;
  const refusal = body?.error ?? {};
  throw new LoginError(refusal.message ?? `the server answered ${response.status} to the login`, {
    code: refusal.code ?? 'internal',
    field: refusal.field,
    retryAfterMs: refusal.retry_after_ms,
    retry: response.status >= 500 || response.status === 429,
  });
}

async function post(url, guest, fetcher) {
  try {
    const response = await fetcher(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(guest),
      signal: AbortSignal.timeout(LOGIN_TIMEOUT),
    });
    const text = await response.text();
    return { response, body: parse(text) };
  } catch (cause) {
    throw new LoginError('the server cannot be reached', { code: 'unreachable', retry: true, cause });
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
