/** Which tick to show now: a little behind the server, so that there are snapshots around it. */

/** How far behind the server's newest state the picture runs, in milliseconds. */
export const DELAY = 100;

/** Arrivals that the estimate looks back on: about two seconds of them. */
const SAMPLES = 40;

/** The clock is slewed by at most this part of the time that passes. */
const SLEW = 0.05;

/** A clock that is further off than this jumps. */
const JUMP = 500;

export class Timeline {
  #tickMillis;
  /** @type {number[]} arrival minus the tick's own time; the smallest was delayed least */
  #samples = [];
  /** @type {number | null} */
  #offset = null;
  #shownAt = 0;

  /** @param {number} tickHz */
  constructor(tickHz) {
    this.#tickMillis = 1_000 / tickHz;
  }

  /**
   * A snapshot arrived.
   * @param {number} now
   * @param {number} tick
   */
  handleArrival(now, tick) {
    this.#samples.push(now - tick * this.#tickMillis);
    if (this.#samples.length > SAMPLES) this.#samples.shift();
  }

  /** The server's tick counts from somewhere else now. */
  reset() {
    this.#samples = [];
    this.#offset = null;
  }

  /**
   * @param {number} now
   * @returns {number | null} the tick to show, with a fraction; `null` before the first snapshot
   */
  shown(now) {
    if (this.#samples.length === 0) return null;
    const target = Math.min(...this.#samples);
    if (this.#offset === null || Math.abs(target - this.#offset) > JUMP) {
      this.#offset = target;
    } else {
      const most = SLEW * Math.max(0, now - this.#shownAt);
      this.#offset += Math.min(most, Math.max(-most, target - this.#offset));
    }
    this.#shownAt = now;
    return (now - this.#offset - DELAY) / this.#tickMillis;
  }
}

/**
 * The state at a tick between two snapshots. Before the first and after the last it stands still.
 * @template T
 * @param {{tick: number, cars: T[]}[]} states by tick
 * @param {number} tick
 * @param {(from: T, to: T, part: number) => T} blend
 * @returns {T[]}
 */
export function between(states, tick, blend) {
  const next = states.findIndex((state) => state.tick >= tick);
  if (next < 0) return states.at(-1)?.cars ?? [];
  if (next === 0) return states[0].cars;
  const [from, to] = [states[next - 1], states[next]];
  const part = (tick - from.tick) / (to.tick - from.tick);
  return to.cars.map((car, index) => (from.cars[index] && car ? blend(from.cars[index], car, part) : car));
}
