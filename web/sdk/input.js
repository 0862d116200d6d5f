/**
 * Steps of input that are not durable yet. The room consumes one a tick and says which ones a
 * crash cannot lose any more; the others are kept here. That may be long after the room has
 * applied them: on the same attachment only what the room does not have is sent again, and a room
 * that fell back behind what it had says so when it attaches.
 */

import { MAX_STEPS } from './frame.js';

/** Steps that were sent and that the room does not have are sent again after this many milliseconds. */
export const RESEND_INPUT_AFTER = 1_000;

/** @typedef {{from: number, to: number}} InputRange both ends included */

export class InputWindow {
  #width;
  #limit;
  /** Every step up to here is durable, reported, or given up. */
  #settled = 0;
  /** @type {number[]} steps `#settled + 1` onwards */
  #steps = [];
  /** The room has every step up to here, on the present attachment; `#settled` or later. */
  #received = 0;
  /** The last step that went out on the present attachment; `#received` or later. */
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

  /**
   * The same with their values. A prediction replays those after the `processed` of the snapshot
   * that it starts from.
   * @returns {{seq: number, step: number}[]}
   */
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
   * The room attached, and goes on with the history that the steps are counted in.
   * @param {number | null} processed up to where it has them, less than before if it fell back;
   *   null if it does not say so: then everything that is not durable goes out again
   */
  handleAttached(processed) {
    this.#received = Math.max(this.#settled, Math.min(processed ?? 0, this.last));
    this.#sent = this.#received;
    this.#resendAt = null;
  }

  /**
   * The room says which steps it has applied or reported, and which of those are durable. What it
   * says of steps that there are not is ignored.
   * @param {number} now
   * @param {number} processed
   * @param {number} durable
   */
  handleSnapshot(now, processed, durable) {
    const before = this.#received;
    if (durable > this.#settled && durable <= this.last) this.#settle(durable);
    if (processed > this.#received && processed <= this.last) {
      this.#received = processed;
      this.#sent = Math.max(this.#sent, processed);
    }
    if (this.#received > before) {
      this.#resendAt = this.#sent > this.#received ? now + RESEND_INPUT_AFTER : null;
    }
  }

  /**
   * Sends again what the room did not get in time.
   * @param {number} now
   */
  handleTimeout(now) {
    if (this.#resendAt === null || this.#resendAt > now) return;
    this.#sent = this.#received;
    this.#resendAt = null;
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
    this.#received = Math.max(this.#received, upTo);
    this.#sent = Math.max(this.#sent, upTo);
  }
}
