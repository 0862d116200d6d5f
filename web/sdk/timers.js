/** One table of deadlines, in place of timeouts scattered through the code. */
export class Timers {
  /** @type {Map<string, number>} */
  #deadlines = new Map();

  /**
   * Arms `timer` for `deadline`, in place of what it was armed for.
   * @param {string} timer
   * @param {number} deadline milliseconds on the caller's clock
   */
  set(timer, deadline) {
    this.#deadlines.set(timer, deadline);
  }

  /**
   * Arms `timer` only if it is not armed yet.
   * @param {string} timer
   * @param {number} deadline
   */
  setIfUnarmed(timer, deadline) {
    if (!this.#deadlines.has(timer)) this.set(timer, deadline);
  }

  /** @param {string} timer */
  stop(timer) {
    this.#deadlines.delete(timer);
  }

  /** @param {string} timer */
  has(timer) {
    return this.#deadlines.has(timer);
  }

  /** Disarms all. */
  clear() {
    this.#deadlines.clear();
  }

  /** @returns {number | null} the nearest deadline */
  next() {
    return this.#earliest()?.[1] ?? null;
  }

  /**
   * Disarms and gives one timer whose deadline has come, the earliest first.
   * @param {number} now
   * @returns {string | null}
   */
  expired(now) {
    const earliest = this.#earliest();
    if (!earliest || earliest[1] > now) return null;
    this.#deadlines.delete(earliest[0]);
    return earliest[0];
  }

  #earliest() {
    /** @type {[string, number] | null} */
    let earliest = null;
    for (const entry of this.#deadlines) {
      if (!earliest || entry[1] < earliest[1]) earliest = entry;
    }
    return earliest;
  }
}
