/**
 * The newest count that this client has seen of each event. Older ones, which another matcher or
 * a slow push may bring, are dropped.
 */

/** Most events that are remembered, and most in one question. */
const EVENTS = 1024;
const ASKED = 24;

export class Counts {
  /** @type {Map<string, number>} */
  #seen = new Map();

  /**
   * Whether a count is not older than what was seen, which it then is.
   * @param {string} event
   * @param {number} version
   */
  isNewer(event, version) {
    if ((this.#seen.get(event) ?? 0) > version) return false;
    if (!this.#seen.has(event) && this.#seen.size >= EVENTS) this.#seen.clear();
    this.#seen.set(event, version);
    return true;
  }

  /**
   * A list of events without counts that are older than what was seen.
   * @param {import("./control.js").EventInfo[]} events
   */
  keepNewer(events) {
    return events.map((event) => {
      const known = event.free != null && event.version != null && this.isNewer(event.event, event.version);
      return known ? event : { ...event, free: undefined, version: undefined };
    });
  }

  /** What was seen, for the question. */
  get have() {
    return Object.fromEntries([...this.#seen].slice(0, ASKED));
  }
}
