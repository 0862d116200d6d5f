/** How a session behaves, and what it asks for and tells. */

/**
 * @typedef {object} SessionConfig
 * @property {number} addresses how many there are; `connect` outputs name one by index
 * @property {string} client name and version of the program, at most 64 characters
 * @property {number} connectTimeout longest that connecting and the answer to `hello` may take at
 *   the first attempt; twice as long at the second in a row, four times from the third on
 * @property {number} activeSilence in a room: nothing heard for so long means a dead gateway
 * @property {number} backoff pause before the second attempt in a row; the first has none
 * @property {number} backoffLimit longest pause between two attempts; a connection that lived for
 *   so long makes the next loss a first one again
 * @property {number} inputWidth bits of one step of input
 * @property {number} inputLimit most steps of input kept until they are durable; few while the
 *   server writes them down as they come, a minute's worth if it cannot
 *
 * @typedef {{type: "connect", address: number} | {type: "text", text: string}
 *   | {type: "binary", bytes: Uint8Array<ArrayBuffer>}
 *   | {type: "close", code: number, reason: string} | {type: "drop"}} Output
 *   `connect` replaces any connection there is; `drop` abandons it without waiting for the peer
 *
 * @typedef {{type: string} & Record<string, any>} SessionEvent see the table in README.md
 */

/** @type {Readonly<SessionConfig>} */
export const DEFAULTS = Object.freeze({
  addresses: 1,
  client: '',
  connectTimeout: 1_500,
  activeSilence: 1_000,
  backoff: 100,
  backoffLimit: 5_000,
  inputWidth: 8,
  inputLimit: 3_600,
});

/**
 * Paces until the server's `welcome` says otherwise.
 * @param {SessionConfig} config
 */
export function firstPaces({ activeSilence }) {
  return {
    idle: { interval: 5_000, silence: 15_000 },
    active: { interval: 400, silence: activeSilence },
  };
}

/**
 * Paces as the server wants them.
 * @param {SessionConfig} config
 * @param {import("./control.js").Welcome} welcome
 */
export function paces({ activeSilence }, { heartbeat_ms: idle, active_heartbeat_ms: active }) {
  return {
    // A heartbeat that is late by a quarter, and its answer, are no silence yet.
    idle: { interval: idle, silence: idle * 1.25 + 5_000 },
    active: { interval: active, silence: activeSilence },
  };
}
