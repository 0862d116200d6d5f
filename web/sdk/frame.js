/**
 * Binary frames: a kind byte, then a bit-packed body. `docs/PROTOCOL.md` specifies them; the
 * numbers here are unsigned 32-bit unless a width is given.
 */

import { BitReader, BitWriter, BitsError } from './bits.js';

/** Channels in wire order. */
export const CHANNELS = Object.freeze(/** @type {const} */ (['match', 'room']));

/** Most steps in one input frame. */
export const MAX_STEPS = 15;

const PING = 1;
const PONG = 2;
const ACK = 3;
const INPUT = 4;
const SNAPSHOT = 5;
const EVENT = 6;

/**
 * @typedef {"match" | "room"} Channel
 *
 * @typedef {object} Beat clock readings that let both sides measure the round trip
 * @property {number} time the sender's clock in milliseconds
 * @property {number} echo the `time` of the last beat that the sender got; 0 if none
 * @property {number} hold how long ago that was, in milliseconds, 16 bits; 65535 if longer
 *
 * @typedef {object} Ack "I have everything up to here" for one channel
 * @property {Channel} channel
 * @property {number} epoch
 * @property {number} offset
 * @property {boolean} resend an event is missing behind it: send again from there
 *
 * @typedef {object} InputFrame
 * @property {"input"} kind
 * @property {number} epoch history of the room channel
 * @property {number} offset the last event of the room channel that took effect
 * @property {number} snapshot tick of the newest snapshot that was decoded; 0 for none
 * @property {number} first number of the first step, from 1
 * @property {number} width bits of one step, 1 to 32
 * @property {number[]} steps 1 to 15 of them
 *
 * @typedef {object} SnapshotFrame
 * @property {"snapshot"} kind
 * @property {number} tick the step after which this is the state
 * @property {number} distance how many ticks back the baseline lies; 0: the body is whole
 * @property {number} processed the last of this client's inputs that the state contains
 * @property {number} durableLag how many of those are not yet safe from a crash of the node
 * @property {number} queued inputs of this client that wait at the room, at most 15 are told
 * @property {Uint8Array} body
 *
 * @typedef {object} EventFrame
 * @property {"event"} kind
 * @property {Channel} channel
 * @property {number} epoch
 * @property {number} offset
 * @property {Uint8Array} payload a JSON object in UTF-8
 *
 * @typedef {{kind: "ping", beat: Beat, acks: Ack[]} | {kind: "pong", beat: Beat}
 *   | {kind: "ack", acks: Ack[]} | InputFrame | SnapshotFrame | EventFrame} Frame
 */

/** A binary frame that cannot be read. */
export class FrameError extends Error {
  /**
   * @param {string} message
   * @param {string} [field] the field at fault
   * @param {unknown} [cause]
   */
  constructor(message, field, cause) {
    super(message, { cause });
    this.name = 'FrameError';
    this.field = field;
  }
}

/**
 * @param {Frame} frame
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function encodeFrame(frame) {
  const bits = new BitWriter();
  switch (frame.kind) {
    case 'ping':
      bits.bits(PING, 8);
      putBeat(bits, frame.beat);
      putAcks(bits, frame.acks);
      break;
    case 'pong':
      bits.bits(PONG, 8);
      putBeat(bits, frame.beat);
      break;
    case 'ack':
      bits.bits(ACK, 8);
      putAcks(bits, frame.acks);
      break;
    case 'input':
      putInput(bits, frame);
      break;
    case 'snapshot':
      putSnapshot(bits, frame);
      break;
    case 'event':
      putEvent(bits, frame);
      break;
    default:
      throw new TypeError(`no frame kind ${/** @type {any} */ (frame).kind}`);
  }
  return bits.finish();
}

/**
 * @param {Uint8Array} bytes
 * @returns {Frame} `body` and `payload` are views of `bytes`
 * @throws {FrameError}
 */
export function decodeFrame(bytes) {
  if (bytes.length === 0) throw new FrameError('a binary frame is empty; it starts with a kind byte');
  const kind = bytes[0];
  const fields = new Fields(kind, bytes.subarray(1));
  switch (kind) {
    case PING:
      return { kind: 'ping', beat: fields.beat(), acks: fields.acks() };
    case PONG:
      return { kind: 'pong', beat: fields.beat() };
    case ACK:
      return { kind: 'ack', acks: fields.acks() };
    case INPUT:
      return fields.input();
    case SNAPSHOT:
      return fields.snapshot();
    case EVENT:
      return fields.event();
    default:
      throw new FrameError(`binary frame kind ${kind} is unknown; kinds are 1 to 6`);
  }
}

function putBeat(bits, beat) {
  bits.bits(beat.time, 32);
  bits.bits(beat.echo, 32);
  bits.bits(beat.hold, 16);
}

function putAcks(bits, acks) {
  bits.bits(acks.length, 2);
  for (const ack of acks) {
    bits.bits(CHANNELS.indexOf(ack.channel), 1);
    bits.bit(ack.resend);
    bits.bits(ack.epoch, 32);
    bits.var(ack.offset);
  }
}

function putInput(bits, frame) {
  bits.bits(INPUT, 8);
  bits.bits(frame.epoch, 32);
  bits.var(frame.offset);
  bits.var(frame.snapshot);
  bits.var(frame.first);
  bits.bits(frame.steps.length, 4);
  bits.bits(frame.width, 6);
  for (const step of frame.steps) bits.bits(step, frame.width);
}

function putSnapshot(bits, frame) {
  bits.bits(SNAPSHOT, 8);
  bits.var(frame.tick);
  bits.var(frame.distance);
  bits.var(frame.processed);
  bits.var(frame.durableLag);
  bits.bits(Math.min(frame.queued, 15), 4);
  bits.bytes(frame.body);
}

function putEvent(bits, frame) {
  bits.bits(EVENT, 8);
  bits.bits(CHANNELS.indexOf(frame.channel), 1);
  bits.align();
  bits.bits(frame.epoch, 32);
  bits.var(frame.offset);
  bits.bytes(frame.payload);
}

/** Reads fields and says which one is at fault. */
class Fields {
  #kind;
  #bits;

  constructor(kind, bytes) {
    this.#kind = kind;
    this.#bits = new BitReader(bytes);
  }

  beat() {
    return { time: this.#take('time', 32), echo: this.#take('echo', 32), hold: this.#take('hold', 16) };
  }

  acks() {
    const count = this.#take('count', 2);
    if (count > CHANNELS.length) throw this.#range('count');
    /** @type {Ack[]} */
    const acks = [];
    for (let index = 0; index < count; index += 1) {
      const ack = {
        channel: this.#channel(),
        resend: this.#take('resend', 1) === 1,
        epoch: this.#take('epoch', 32),
        offset: this.#var('offset'),
      };
      // At most one for each channel, in channel order: a later one replaces an earlier one.
      const at = acks.findIndex((known) => known.channel === ack.channel);
      if (at >= 0) acks[at] = ack;
      else acks.push(ack);
    }
    return acks.sort((a, b) => CHANNELS.indexOf(a.channel) - CHANNELS.indexOf(b.channel));
  }

  /** @returns {InputFrame} */
  input() {
    const epoch = this.#take('epoch', 32);
    const offset = this.#var('offset');
    const snapshot = this.#var('snapshot');
    const first = this.#var('first');
    const count = this.#take('count', 4);
    const width = this.#take('width', 6);
    if (first === 0 || first + count > 0xffff_ffff) throw this.#range('first');
    if (count === 0) throw this.#range('count');
    if (width < 1 || width > 32) throw this.#range('width');
    const steps = Array.from({ length: count }, () => this.#take('steps', width));
    return { kind: 'input', epoch, offset, snapshot, first, width, steps };
  }

  /** @returns {SnapshotFrame} */
  snapshot() {
    return {
      kind: 'snapshot',
      tick: this.#var('tick'),
      distance: this.#var('distance'),
      processed: this.#var('processed'),
      durableLag: this.#var('durable_lag'),
      queued: this.#take('queued', 4),
      body: this.#bits.rest(),
    };
  }

  /** @returns {EventFrame} */
  event() {
    const channel = this.#channel();
    this.#take('padding', 7);
    return {
      kind: 'event',
      channel,
      epoch: this.#take('epoch', 32),
      offset: this.#var('offset'),
      payload: this.#bits.rest(),
    };
  }

  #channel() {
    return CHANNELS[this.#take('channel', 1)];
  }

  #take(field, width) {
    return this.#read(field, () => this.#bits.bits(width));
  }

  #var(field) {
    return this.#read(field, () => this.#bits.var());
  }

  #read(field, read) {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof BitsError)) throw error;
      throw new FrameError(`binary frame of kind ${this.#kind}: field ${field} ${error.message}`, field, error);
    }
  }

  #range(field) {
    return new FrameError(`binary frame of kind ${this.#kind}: field ${field} is out of range`, field);
  }
}
