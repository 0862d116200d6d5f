/** Pauses between attempts. */
export class Backoff {
  #first;
  #limit;
  #random;
  #failures = 0;

  /**
   * @param {number} first milliseconds before the second attempt in a row
   * @param {number} limit longest pause
   * @param {() => number} random a number from 0 up to 1
   */
  constructor(first, limit, random) {
    this.#first = first;
    this.#limit = limit;
    this.#random = random;
  }

  /** How many there were in a row. */
  get failures() {
    return this.#failures;
  }

  /** It worked: the next failure is a first one. */
  reset() {
    this.#failures = 0;
  }

  /**
   * The pause after one more failure: none before the first attempt, so that one lost gateway
   * costs no time; then doubling, with half of it random, so that a fleet of clients does not
   * come back in step.
   * @returns {number} milliseconds
   */
  next() {
    const failures = this.#failures;
    this.#failures += 1;
    if (failures === 0) return 0;
    const longest = Math.min(this.#first * 2 ** (failures - 1), this.#limit);
    return longest / 2 + (this.#random() * longest) / 2;
  }
}
