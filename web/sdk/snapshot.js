/**
 * Snapshots of any game, read by the schema that the room channel's state gives. A snapshot is
 * whole, or names the tick of an earlier one (its baseline) and says what differs.
 */

import { BitReader } from './bits.js';

/** How many snapshots are kept as baselines, on both ends; the oldest makes room. */
export const SNAPSHOTS_KEPT = 40;

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {number} bits width of a raw value, 1 to 32
 * @property {number} near width of a small signed difference; 0: always raw
 *
 * @typedef {{capacity: number, globals: Field[], fields: Field[]}} Schema
 *
 * @typedef {object} GameState
 * @property {number} tick
 * @property {Record<string, number>} globals
 * @property {(Record<string, number> | null)[]} entities one for each slot, `null` if it is empty
 */

/** A snapshot that cannot be read: its baseline is gone, or its body is cut short. */
export class SnapshotError extends Error {
  /**
   * @param {string} message
   * @param {unknown} [cause]
   */
  constructor(message, cause) {
    super(message, { cause });
    this.name = 'SnapshotError';
  }
}

export class SnapshotDecoder {
  #schema;
  /** @type {Map<number, GameState>} by tick, oldest first */
  #kept = new Map();

  /** @param {Schema} schema */
  constructor(schema) {
    this.#schema = schema;
  }

  /** Forgets every baseline: a new connection starts with a whole snapshot. */
  clear() {
    this.#kept.clear();
  }

  /**
   * @param {import("./frame.js").SnapshotFrame} frame
   * @returns {Readonly<GameState>} kept as a baseline: do not change it
   * @throws {SnapshotError}
   */
  decode(frame) {
    const bits = new BitReader(frame.body);
    let state;
    try {
      state = frame.distance === 0 ? this.#whole(bits, frame.tick) : this.#delta(bits, frame);
    } catch (error) {
      if (error instanceof SnapshotError) throw error;
      throw new SnapshotError(`snapshot of tick ${frame.tick} is cut short`, error);
    }
    if (bits.rest().length > 0) throw new SnapshotError(`snapshot of tick ${frame.tick} is of another schema`);
    this.#kept.set(frame.tick, state);
    if (this.#kept.size > SNAPSHOTS_KEPT) this.#kept.delete(this.#kept.keys().next().value ?? 0);
    return state;
  }

  #whole(bits, tick) {
    const { globals, fields, capacity } = this.#schema;
    return {
      tick,
      globals: rawRecord(bits, globals),
      entities: Array.from({ length: capacity }, () => (bits.bit() ? rawRecord(bits, fields) : null)),
    };
  }

  #delta(bits, { tick, distance }) {
    const baseline = this.#kept.get(tick - distance);
    if (!baseline) {
      throw new SnapshotError(`snapshot of tick ${tick} builds on tick ${tick - distance}, which is gone`);
    }
    return {
      tick,
      globals: deltaRecord(bits, this.#schema.globals, baseline.globals),
      entities: baseline.entities.map((entity) => this.#entityDelta(bits, entity)),
    };
  }

  #entityDelta(bits, base) {
    if (!bits.bit()) return base;
    if (!bits.bit()) return null;
    return base ? deltaRecord(bits, this.#schema.fields, base) : rawRecord(bits, this.#schema.fields);
  }
}

function rawRecord(bits, fields) {
  /** @type {Record<string, number>} */
  const record = {};
  for (const field of fields) record[field.name] = bits.bits(field.bits);
  return record;
}

function deltaRecord(bits, fields, base) {
  const record = { ...base };
  for (const field of fields) {
    if (bits.bit()) record[field.name] = changedValue(bits, field, base[field.name]);
  }
  return record;
}

function changedValue(bits, field, base) {
  if (field.near === 0 || !bits.bit()) return bits.bits(field.bits);
  const packed = bits.bits(field.near);
  const difference = packed >= 2 ** (field.near - 1) ? packed - 2 ** field.near : packed;
  const range = 2 ** field.bits;
  return (base + difference + range) % range;
}
