/**
 * The client's end of one connection: heartbeat, liveness, round-trip time, clock offset,
 * acknowledgement. Time is an argument, in milliseconds on any monotonic clock.
 */

import { CHANNELS } from './frame.js';
import { Timers } from './timers.js';

/** Longest that an acknowledgement waits for a heartbeat or an input to ride on. */
export const ACK_DELAY = 150;

/** Jitter of the heartbeat as a part of the interval, either way. */
export const HEARTBEAT_JITTER = 0.1;

/** A measured round trip above this is a wrong echo, not a measurement. */
const LONGEST_ROUND = 60_000;

/**
 * @typedef {{interval: number, silence: number}} Pace milliseconds between two heartbeats, and of
 *   silence after which the peer counts as dead
 */
export class Link {
  #paces;
  #random;
  #active = false;
  #timers = new Timers();
  #lastHeard;
  #silent = false;
  /** @type {{time: number, at: number} | null} the last beat that came in */
  #heardBeat = null;
  /** @type {number | null} */
  #rtt = null;
  #clock = new ClockOffset();
  // The first beat measures the clock at once.
  #pingDue = true;
  #answerDue = false;
  #ackDue = false;
  /** Channels for which an ack frame has to go out. */
  #unsaid = new Set();
  /** @type {Map<import("./frame.js").Channel, import("./frame.js").Ack>} */
  #acks = new Map();

  /**
   * @param {{idle: Pace, active: Pace}} paces outside a room, and in one
   * @param {() => number} random a number from 0 up to 1
   * @param {number} now
   */
  constructor(paces, random, now) {
    this.#paces = paces;
    this.#random = random;
    this.#lastHeard = now;
    this.#timers.set('silence', now + paces.idle.silence);
    this.#armHeartbeat(now);
  }

  /** Milliseconds of the last measured round trip, or `null`. */
  get rtt() {
    return this.#rtt;
  }

  /** The server's clock minus ours in milliseconds, or `null`; wrong by half a round trip at most. */
  get clockOffset() {
    return this.#clock.best();
  }

  /** When anything was heard last. */
  get lastHeard() {
    return this.#lastHeard;
  }

  /** Takes note of an inbound message, whatever it is. */
  handleHeard(now) {
    this.#lastHeard = now;
  }

  /**
   * Takes an inbound frame. Frames that are not the link's own only count as life.
   * @param {number} now
   * @param {import("./frame.js").Frame} frame
   */
  handleFrame(now, frame) {
    this.handleHeard(now);
    if (frame.kind !== 'ping' && frame.kind !== 'pong') return;
    this.#handleBeat(now, frame.beat);
    if (frame.kind === 'ping') this.#answerDue = true;
  }

  /** Acts on deadlines that have come. */
  handleTimeout(now) {
    for (let timer = this.#timers.expired(now); timer; timer = this.#timers.expired(now)) {
      if (timer === 'heartbeat') {
        this.#pingDue = true;
        this.#armHeartbeat(now);
      } else if (timer === 'silence') {
        this.#handleSilence(now);
      } else {
        this.#ackDue = true;
      }
    }
  }

  /** Switches between the idle and the active pace. */
  setActive(now, active) {
    if (this.#active === active) return;
    this.#active = active;
    // A deadline of the new pace must not count the old pace's silence.
    this.#lastHeard = now;
    this.#timers.set('silence', now + this.#pace.silence);
    this.#pingDue = true;
    this.#armHeartbeat(now);
  }

  /**
   * Remembers an acknowledgement, to send in an ack frame within {@link ACK_DELAY}, at once if it
   * asks to resend, and with every heartbeat from now on.
   * @param {number} now
   * @param {import("./frame.js").Ack} ack
   */
  acknowledge(now, ack) {
    const before = this.#acks.get(ack.channel);
    // A wish to resend is not covered up by a later acknowledgement of the same place.
    const same = before?.epoch === ack.epoch && before.offset === ack.offset;
    this.#acks.set(ack.channel, same && before.resend ? before : ack);
    this.#unsaid.add(ack.channel);
    if (ack.resend) this.#ackDue = true;
    else this.#timers.setIfUnarmed('ack', now + ACK_DELAY);
  }

  /** An input frame just carried the room's acknowledgement. */
  acknowledgedByInput() {
    this.#unsaid.delete('room');
    if (this.#unsaid.size === 0) this.#timers.stop('ack');
  }

  /**
   * @param {number} now
   * @returns {import("./frame.js").Frame | null} the next frame to send
   */
  pollTransmit(now) {
    if (this.#answerDue) {
      this.#answerDue = false;
      return { kind: 'pong', beat: this.#beat(now) };
    }
    if (this.#pingDue) {
      // An ack frame that is due still goes out: the peer passes on what a heartbeat carries only
      // if it is new, and the origin may not have got what it passed on.
      this.#pingDue = false;
      return { kind: 'ping', beat: this.#beat(now), acks: this.#takeAcks() };
    }
    if (!this.#ackDue) return null;
    this.#ackDue = false;
    this.#timers.stop('ack');
    this.#unsaid.clear();
    return { kind: 'ack', acks: this.#takeAcks() };
  }

  /** @returns {boolean} whether the peer was silent for the deadline; told once */
  takeSilent() {
    const silent = this.#silent;
    this.#silent = false;
    return silent;
  }

  /** @returns {number | null} when to call {@link handleTimeout} next */
  pollTimeout() {
    return this.#timers.next();
  }

  get #pace() {
    return this.#active ? this.#paces.active : this.#paces.idle;
  }

  #handleSilence(now) {
    // Armed lazily: hearing something moves `#lastHeard`, not the timer.
    const deadline = this.#lastHeard + this.#pace.silence;
    if (deadline <= now) this.#silent = true;
    else this.#timers.set('silence', deadline);
  }

  #armHeartbeat(now) {
    const spread = 1 + HEARTBEAT_JITTER * (2 * this.#random() - 1);
    this.#timers.set('heartbeat', now + this.#pace.interval * spread);
  }

  #beat(now) {
    const heard = this.#heardBeat;
    return {
      time: wireMillis(now),
      echo: heard ? heard.time : 0,
      hold: heard ? Math.min(Math.floor(Math.max(now - heard.at, 0)), 0xffff) : 0,
    };
  }

  #handleBeat(now, beat) {
    this.#heardBeat = { time: beat.time, at: now };
    if (beat.echo === 0 || beat.hold === 0xffff) return;
    const round = (wireMillis(now) - beat.echo - beat.hold) >>> 0;
    if (round >= LONGEST_ROUND) return;
    this.#rtt = round;
    this.#clock.add(round, (beat.time + Math.floor(round / 2) - wireMillis(now)) | 0);
  }

  /** What is acknowledged now, in channel order; a wish to resend is said once. */
  #takeAcks() {
    const acks = CHANNELS.flatMap((channel) => this.#acks.get(channel) ?? []);
    for (const ack of acks) this.#acks.set(ack.channel, { ...ack, resend: false });
    return acks;
  }
}

/**
 * The clock offset by the sample with the shortest round trip among the last eight, which is the
 * one that queueing distorted least (NTP's clock filter, RFC 5905 section 10).
 */
class ClockOffset {
  /** @type {{round: number, offset: number}[]} */
  #samples = [];
  #next = 0;

  add(round, offset) {
    this.#samples[this.#next] = { round, offset };
    this.#next = (this.#next + 1) % 8;
  }

  best() {
    if (this.#samples.length === 0) return null;
    return this.#samples.reduce((best, sample) => (sample.round < best.round ? sample : best)).offset;
  }
}

/** Milliseconds cut to 32 bits; every subtraction of two of them allows for the wrap. */
function wireMillis(now) {
  return Math.floor(now) % 2 ** 32;
}
