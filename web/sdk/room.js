/**
 * A session's part in a room: which one it wants to be in, the inputs that are not durable yet,
 * and the snapshots that later ones may build on.
 */

import { InputWindow } from './input.js';
import { SNAPSHOTS_KEPT } from './snapshot.js';

/** @typedef {import("./input.js").InputRange} InputRange */

export class RoomPart {
  #width;
  #limit;
  /** @type {string | null} ticket of the room to be in */
  ticket = null;
  /** @type {string | null} what asks for the room to be watched; never with a ticket */
  watch = null;
  /** Whether the room answers on the present connection. */
  attached = false;
  /** @type {InputWindow} */
  inputs;
  /** @type {number[]} ticks of the last snapshots since the room attached, the newest last */
  #snapshots = [];

  /**
   * @param {number} width bits of one step of input
   * @param {number} limit most steps kept
   */
  constructor(width, limit) {
    this.#width = width;
    this.#limit = limit;
    this.inputs = new InputWindow(width, limit);
  }

  /** Whether there is a room to be in, or to watch. */
  get wanted() {
    return this.ticket !== null || this.watch !== null;
  }

  /** Tick of the newest snapshot since the room attached; 0 if there is none. */
  get newestSnapshot() {
    return this.#snapshots.at(-1) ?? 0;
  }

  /**
   * The room answers.
   * @param {boolean} goesOn whether its channel's history does; if not, inputs are counted anew
   * @param {{processed?: unknown} | null} state with what it has of them, if the server says so
   * @returns {InputRange | null} inputs that are given up
   */
  handleAttached(goesOn, state) {
    this.attached = true;
    this.#snapshots = [];
    if (!goesOn) return this.#dropInputs();
    const processed = state?.processed;
    this.inputs.handleAttached(Number.isSafeInteger(processed) ? /** @type {number} */ (processed) : null);
    return null;
  }

  /**
   * Takes note of a snapshot that came.
   * @param {number} now
   * @param {import("./frame.js").SnapshotFrame} snapshot
   * @returns {boolean} whether it is newer than those before and can be read
   */
  handleSnapshot(now, { tick, distance, processed, durableLag }) {
    const newest = this.attached && tick > this.newestSnapshot;
    // Without its baseline a snapshot means nothing: wait for one that can be read.
    const readable = distance === 0 || this.#snapshots.includes(Math.max(0, tick - distance));
    if (!newest || !readable) return false;
    if (this.#snapshots.length === SNAPSHOTS_KEPT) this.#snapshots.shift();
    this.#snapshots.push(tick);
    this.inputs.handleSnapshot(now, processed, Math.max(0, processed - durableLag));
    return true;
  }

  /**
   * Frames with the steps that wait, while the room answers.
   * @param {number} now
   * @param {import("./cursor.js").Position | null} at what the client has of the room's channel
   */
  *takeInputs(now, at) {
    if (!this.attached || !at) return;
    for (;;) {
      const frame = this.inputs.pollTransmit(now, at, this.newestSnapshot);
      if (!frame) return;
      yield frame;
    }
  }

  /** @returns {number | null} when inputs go out again */
  pollTimeout() {
    return this.attached ? this.inputs.pollTimeout() : null;
  }

  /** No snapshot is there to build on any more: the room has to send a whole one. */
  forgetSnapshots() {
    this.#snapshots = [];
  }

  /**
   * Left, or over.
   * @returns {InputRange | null} inputs that are given up
   */
  close() {
    this.ticket = this.watch = null;
    this.attached = false;
    this.#snapshots = [];
    return this.#dropInputs();
  }

  #dropInputs() {
    const range = this.inputs.unsettled;
    this.inputs = new InputWindow(this.#width, this.#limit);
    return range;
  }
}
