/**
 * Close codes. The range of a code alone tells a client what to do next.
 *
 * | range | what a client does |
 * | --- | --- |
 * | 4000 to 4099 | reconnect and resume, same address first |
 * | 4100 to 4199 | reconnect and resume, another address first |
 * | 4200 to 4299 | log in again, then connect anew |
 * | 4300 to 4399 | give up, and tell the player why |
 *
 * Of RFC 6455's own codes 1000, 1002, 1003 and 1007 to 1010 give up; every other one reconnects
 * elsewhere.
 */

/** Codes by the reason text that goes with them. */
export const CloseCode = Object.freeze({
  bye: 1000,
  protocol_error: 1002,
  invalid_utf8: 1007,
  message_too_big: 1009,
  internal_error: 1011,
  heartbeat_timeout: 4000,
  slow_consumer: 4001,
  hello_timeout: 4002,
  draining: 4100,
  unavailable: 4101,
  token_expired: 4200,
  token_invalid: 4201,
  replaced: 4300,
  superseded: 4301,
  protocol_violation: 4302,
  upgrade_required: 4303,
  rate_limit_abuse: 4304,
});

/** What a client does after a close. */
export const Retry = Object.freeze({
  /** Reconnect and resume; the same address is as good as any. */
  same: 'same',
  /** Reconnect and resume at another address if there is one. */
  elsewhere: 'elsewhere',
  /** Get a new token first. */
  login: 'login',
  /** Do not come back by itself. */
  never: 'never',

  /**
   * @param {number | null} code `null` stands for a connection that ended without a close frame
   * @returns {"same" | "elsewhere" | "login" | "never"}
   */
  after(code) {
    if (code === null) return 'elsewhere';
    if (code >= 4000 && code <= 4099) return 'same';
    if (code >= 4200 && code <= 4299) return 'login';
    const givenUp = [1000, 1002, 1003].includes(code) || (code >= 1007 && code <= 1010);
    return givenUp || (code >= 4300 && code <= 4399) ? 'never' : 'elsewhere';
  },
});
