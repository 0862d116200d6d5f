/** One race as this client knows it: seats, the newest states, what happened. No drawing here. */

import { between, Timeline } from './timeline.js';

/** Values of the snapshot's global `phase`. */
const COUNTDOWN = 0;
const RACING = 1;

/** States that the picture may need: about two seconds of them; the oldest makes room. */
const STATES_KEPT = 40;

/** Positions and speeds are in sixteenths of a pixel, headings in 1024ths of a turn. */
const SUBPIXELS = 16;
const TURN = 1_024;

/**
 * @typedef {object} Seat
 * @property {number} seat
 * @property {string} player
 * @property {string} name
 * @property {boolean} bot
 *
 * @typedef {object} Car
 * @property {number} seat
 * @property {number} x pixels
 * @property {number} y pixels, down
 * @property {number} heading radians, clockwise, 0 to the right
 * @property {number} speed pixels a second
 * @property {number} lap laps completed, or being driven, as the server counts
 * @property {number} place from 1
 * @property {boolean} finished
 * @property {boolean} away its player is not connected
 * @property {boolean} bot a bot drives it while its player is away
 *
 * @typedef {{name: string, size: [number, number], width: number, points: [number, number][]}} Track
 */
export class Race {
  #timeline;
  /** @type {{tick: number, cars: (Car | null)[]}[]} */
  #states = [];
  #finished = new Map();

  /** @param {any} attached the room channel's state */
  constructor(attached) {
    this.room = /** @type {string} */ (attached.room);
    this.tickHz = /** @type {number} */ (attached.tick_hz);
    this.laps = /** @type {number} */ (attached.setup.laps);
    this.track = /** @type {Track} */ (attached.setup.track);
    this.#timeline = new Timeline(this.tickHz);
    /** @type {{phase: number, start_tick: number, laps: number} | null} */
    this.globals = null;
    this.tick = 0;
    /** @type {any} */
    this.result = null;
    this.seat = -1;
    /** @type {Map<number, Seat>} */
    this.seats = new Map();
    this.handleAttached(attached, true);
  }

  /**
   * The room says where it stands, after a resume for example.
   * @param {any} attached
   * @param {boolean} recovered whether the same history goes on
   */
  handleAttached(attached, recovered) {
    // Who watches has none.
    this.seat = attached.seat ?? -1;
    this.seats = new Map(attached.seats.map((seat) => [seat.seat, seat]));
    // The event that told the end may be of a history that is gone.
    this.result ??= attached.result ?? null;
    if (!recovered) {
      this.#states = [];
      this.#timeline.reset();
    }
  }

  /**
   * @param {number} now
   * @param {import("../sdk/snapshot.js").GameState} state
   */
  handleSnapshot(now, state) {
    this.tick = state.tick;
    this.globals = /** @type {any} */ (state.globals);
    this.#timeline.handleArrival(now, state.tick);
    const hz = this.tickHz;
    const cars = state.entities.map((entity, seat) => entity && carOf(entity, seat, hz));
    this.#states.push({ tick: state.tick, cars });
    if (this.#states.length > STATES_KEPT) this.#states.shift();
  }

  /** @param {any} event a reliable event of the room channel */
  handleEvent(event) {
    switch (event.e) {
      case 'seat.joined':
        this.seats.set(event.seat, event);
        break;
      case 'race.finish':
        this.#finished.set(event.seat, event);
        break;
      case 'room.ended':
        this.result = event.result;
        break;
      default:
    }
  }

  /** @returns {"countdown" | "racing" | "finished" | "result"} what the player sees */
  get phase() {
    if (this.result) return 'result';
    if (this.#finished.has(this.seat) || this.own?.finished) return 'finished';
    if (!this.globals || this.globals.phase === COUNTDOWN) return 'countdown';
    return this.globals.phase === RACING ? 'racing' : 'finished';
  }

  /** @returns {Car[]} as the newest snapshot has them */
  get cars() {
    return present(this.#states.at(-1)?.cars ?? []);
  }

  /** @returns {Car | undefined} the player's own car, newest */
  get own() {
    return this.cars.find((car) => car.seat === this.seat);
  }

  /** Seconds until the start, or `null` before the first snapshot. */
  get startsIn() {
    return this.globals && (this.globals.start_tick - this.tick) / this.tickHz;
  }

  /** Seconds since the start. */
  get clock() {
    return Math.max(0, -(this.startsIn ?? 0));
  }

  /**
   * @param {number} now
   * @returns {Car[]} as the picture shows them at this moment
   */
  shown(now) {
    const tick = this.#timeline.shown(now);
    return tick === null ? [] : present(between(this.#states, tick, blend));
  }

  /** @param {number} seat */
  nameOf(seat) {
    return this.seats.get(seat)?.name ?? `Car ${seat + 1}`;
  }
}

/**
 * @param {(Car | null)[]} cars
 * @returns {Car[]}
 */
function present(cars) {
  return cars.filter((car) => car !== null);
}

function carOf(entity, seat, hz) {
  return {
    seat,
    x: entity.x / SUBPIXELS,
    y: entity.y / SUBPIXELS,
    heading: (entity.heading / TURN) * 2 * Math.PI,
    speed: (entity.speed / SUBPIXELS) * hz,
    lap: entity.lap,
    place: entity.place,
    finished: entity.finished === 1,
    away: entity.away === 1,
    bot: entity.bot === 1,
  };
}

function blend(from, to, part) {
  return {
    ...to,
    x: from.x + (to.x - from.x) * part,
    y: from.y + (to.y - from.y) * part,
    heading: from.heading + shortestTurn(from.heading, to.heading) * part,
    speed: from.speed + (to.speed - from.speed) * part,
  };
}

/** From one heading to another the short way round, in radians. */
export function shortestTurn(from, to) {
  const turn = (to - from) % (2 * Math.PI);
  if (turn > Math.PI) return turn - 2 * Math.PI;
  return turn < -Math.PI ? turn + 2 * Math.PI : turn;
}
