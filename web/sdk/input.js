/**
 * Steps of input that are not durable yet. The room consumes one a tick and says which ones a
 * crash cannot lose any more; the others are kept here and sent again after a resume.
 */

import { MAX_STEPS } from './frame.js';

/** Steps that were sent and that nobody confirmed are sent again after this many milliseconds. */
export const RESEND_INPUT_AFTER = 1_000;

/** @typedef {{from: number, to: number}} InputRange both ends included */

export class InputWindow {
  #width;
  #limit;
  /** Every step up to here is durable, reported, or given up. */
  #settled = 0;
  /** @type {number[]} steps `#settled + 1` onwards */
  #steps = [];
  /** The last step that went out on the present connection. */
  #sent = 0;
  /** @type {number | null} */
  #resendAt = null;

  /**
   * @param {number} width bits of one step
   * @param {number} limit most steps kept, at least 1; one more gives up the oldest
   */
  constructor(width, limit) {
    this.#width = width;
    this.#limit = Math.max(1, limit);
  }

  /** Number of the newest step. */
  get last() {
    return this.#settled + this.#steps.length;
  }

  /** @returns {InputRange | null} the steps that are not settled */
  get unsettled() {
    return this.#steps.length > 0 ? { from: this.#settled + 1, to: this.last } : null;
  }

  /** @returns {{seq: number, step: number}[]} the same with their values: what a prediction replays */
  unsettledSteps() {
    return this.#steps.map((step, index) => ({ seq: this.#settled + 1 + index, step }));
  }

  /**
   * Adds a step.
   * @param {number} step cut to the width
   * @returns {InputRange | null} what had to be given up to make room
   */
  push(step) {
    let lost = null;
    if (this.#steps.length >= this.#limit) {
      const oldest = this.#settled + 1;
      lost = { from: oldest, to: oldest };
      this.#settle(oldest);
    }
    this.#steps.push(this.#width === 32 ? step >>> 0 : step & ((1 << this.#width) - 1));
    return lost;
  }

  /**
   * The room says up to which step inputs are durable.
   * @param {number} now
   * @param {number} durable
   */
  handleDurable(now, durable) {
    if (durable <= this.#settled || durable > this.last) return;
    this.#settle(durable);
    this.#resendAt = this.#sent > this.#settled ? now + RESEND_INPUT_AFTER : null;
  }

  /** Connected anew: everything that is not durable goes out again. */
  rewind() {
    this.#sent = this.#settled;
    this.#resendAt = null;
  }

  /**
   * Sends again what nobody confirmed in time.
   * @param {number} now
   */
  handleTimeout(now) {
    if (this.#resendAt !== null && this.#resendAt <= now) this.rewind();
  }

  /** @returns {number | null} when to call {@link handleTimeout} next */
  pollTimeout() {
    return this.#resendAt;
  }

  /**
   * The next frame of steps that have not been sent.
   * @param {number} now
   * @param {import("./cursor.js").Position} at where the room channel stands
   * @param {number} snapshot tick of the newest snapshot
   * @returns {import("./frame.js").InputFrame | null}
   */
  pollTransmit(now, at, snapshot) {
    if (this.#sent >= this.last) return null;
    const start = this.#sent - this.#settled;
    const steps = this.#steps.slice(start, start + MAX_STEPS);
    const first = this.#sent + 1;
    this.#sent += steps.length;
    this.#resendAt ??= now + RESEND_INPUT_AFTER;
    return { kind: 'input', ...at, snapshot, first, width: this.#width, steps };
  }

  #settle(upTo) {
    this.#steps.splice(0, upTo - this.#settled);
    this.#settled = upTo;
    this.#sent = Math.max(this.#sent, upTo);
  }
}
