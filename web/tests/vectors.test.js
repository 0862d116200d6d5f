/** The wire as the protocol crate has it: every vector that concerns a client. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import {
  BitReader,
  BitsError,
  BitWriter,
  CloseCode,
  ControlError,
  Cursor,
  decodeFrame,
  encodeFrame,
  FrameError,
  eventListMessage, eventMessage, helloMessage,
  InputWindow,
  Link,
  parseServerMessage,
  queueJoinMessage,
  matchMessage,
  privateMessage,
  queueLeaveMessage,
  Retry,
  roomJoinMessage,
  roomLeaveMessage,
  roomSayMessage,
  roomUnwatchMessage,
  roomWatchMessage,
  SnapshotDecoder,
  SUBPROTOCOL,
  VERSION,
} from '../sdk/index.js';

const vectors = JSON.parse(readFileSync(new URL('../../shared/protocol/vectors.json', import.meta.url), 'utf8'));

test('the version is the one that the vectors are of', () => {
  assert.deepEqual([SUBPROTOCOL, VERSION], [vectors.subprotocol, vectors.version]);
});

test('bits pack and unpack', () => {
  for (const { values, hex } of vectors.bits) {
    const bits = new BitWriter();
    for (const [value, width] of values) bits.bits(value, width);
    assert.equal(toHex(bits.finish()), hex);
    const reader = new BitReader(fromHex(hex));
    for (const [value, width] of values) assert.equal(reader.bits(width), value);
  }
});

test('numbers of variable length pack and unpack', () => {
  for (const { value, hex } of vectors.var) {
    const bits = new BitWriter();
    bits.var(value);
    assert.equal(toHex(bits.finish()), hex);
    assert.equal(new BitReader(fromHex(hex)).var(), value);
  }
  for (const { hex, error } of vectors.var_errors) {
    assert.throws(() => new BitReader(fromHex(hex)).var(), (thrown) => thrown instanceof BitsError && thrown.kind === error);
  }
});

test('frames encode and decode', () => {
  for (const { name, hex, frame } of vectors.frames) {
    assert.equal(toHex(encodeFrame(fromVector(frame))), hex, name);
    assert.deepEqual(toVector(decodeFrame(fromHex(hex))), frame, name);
  }
  for (const { name, hex, frame } of vectors.frames_tolerated) {
    assert.deepEqual(toVector(decodeFrame(fromHex(hex))), frame, name);
  }
});

test('frames that cannot be read are refused with the field at fault', () => {
  for (const { name, hex, field, message } of vectors.frame_errors) {
    assert.throws(
      () => decodeFrame(fromHex(hex)),
      (thrown) => thrown instanceof FrameError && (thrown.field ?? null) === field && thrown.message === message,
      name,
    );
  }
});

test('control messages that a client writes are those that the server reads', () => {
  const writers = {
    hello: ({ have = {}, client = '', ...hello }) => helloMessage({ ...hello, client, have }),
    'queue.join': ({ mode, ...options }) => queueJoinMessage(mode, options),
    'queue.leave': queueLeaveMessage,
    'private.open': (message) => privateMessage('open', message),
    'private.join': (message) => privateMessage('join', message),
    'private.ready': (message) => privateMessage('ready', message),
    'private.kick': (message) => privateMessage('kick', message),
    'private.start': () => privateMessage('start'),
    'private.leave': () => privateMessage('leave'),
    'match.accept': ({ match }) => matchMessage('accept', match),
    'match.decline': ({ match }) => matchMessage('decline', match),
    'room.join': ({ ticket }) => roomJoinMessage(ticket),
    'room.leave': roomLeaveMessage,
    'room.say': ({ data, to }) => roomSayMessage(data, to),
    'room.watch': ({ room, delay_ms: delayMs }) => roomWatchMessage(room, delayMs),
    'room.unwatch': roomUnwatchMessage,
    'event.list': ({ have }) => eventListMessage(have),
    'event.reserve': ({ event }) => eventMessage('reserve', event),
    'event.confirm': ({ event }) => eventMessage('confirm', event),
    'event.release': ({ event }) => eventMessage('release', event),
  };
  const read = vectors.client_messages.filter(({ message }) => message);
  assert.ok(read.length > 0);
  for (const { name, message } of read) {
    assert.deepEqual(JSON.parse(writers[message.t](message)), message, name);
  }
});

test('control messages of the server are read, ignored or refused', () => {
  for (const { name, text, message, error } of vectors.server_messages) {
    if (error) {
      assert.throws(() => parseServerMessage(text), ControlError, name);
    } else if (message === null) {
      assert.equal(parseServerMessage(text), null, name);
    } else {
      // Fields that this version does not know stay in; those that it knows must be right.
      const parsed = parseServerMessage(text);
      for (const [field, value] of Object.entries(message)) assert.deepEqual(parsed[field], value, `${name}: ${field}`);
    }
  }
});

test('close codes say what to do next', () => {
  for (const { code, retry, reason } of vectors.close) {
    assert.equal(Retry.after(code), retry, `${code}`);
    if (reason !== null) assert.equal(CloseCode[reason], code);
  }
});

test('snapshots decode, whole and against a baseline', () => {
  for (const { name, schema, baseline, new: expected, hex } of vectors.snapshots) {
    const decoder = new SnapshotDecoder(schema);
    if (baseline) decoder.decode(snapshot(1, 0, wholeBody(schema, baseline)));
    const state = decoder.decode(snapshot(2, baseline ? 1 : 0, fromHex(hex)));
    const values = (record, fields) => record && fields.map((field) => record[field.name]);
    assert.deepEqual(values(state.globals, schema.globals), expected.globals, name);
    assert.deepEqual(state.entities.map((entity) => values(entity, schema.fields)), expected.slots, name);
  }
});

test('a cursor lets each event take effect once and in order', () => {
  for (const { name, steps } of vectors.cursor) {
    const cursor = new Cursor('room');
    for (const { attached, goes_on: goesOn, event, arrival, reset, position } of steps) {
      if (attached) {
        assert.equal(cursor.handleAttached(attached.epoch, attached.offset, attached.recovered), goesOn, name);
      }
      if (event) assert.equal(cursor.handleEvent(event), arrival, name);
      if (reset) cursor.reset();
      assert.deepEqual(cursor.position, position, name);
    }
  }
});

test("a link measures the round trip and the server's clock", () => {
  const pace = { interval: 25_000, silence: 60_000 };
  for (const { name, steps } of vectors.clock) {
    const link = new Link({ idle: pace, active: pace }, () => 0.5, 0);
    for (const { now, pong, rtt_ms: rtt, offset_ms: offset } of steps) {
      link.handleFrame(now, { kind: 'pong', beat: pong });
      assert.deepEqual([link.rtt, link.clockOffset], [rtt, offset], name);
    }
  }
});

test('an input window sends each step until it is durable', () => {
  for (const { name, limit, steps } of vectors.input_window) {
    const window = new InputWindow(8, limit);
    let now = 0;
    for (const step of steps) {
      if ('push' in step) {
        assert.deepEqual(window.push(step.push), step.given_up, name);
        assert.equal(window.last, step.seq, name);
      } else if ('transmit' in step) {
        const frame = window.pollTransmit(now, { epoch: 1, offset: 0 }, 0);
        assert.deepEqual(frame && { first: frame.first, steps: frame.steps }, step.transmit, name);
      } else if ('durable' in step) {
        window.handleSnapshot(now, step.processed, step.durable);
      } else if ('attach' in step) {
        window.handleAttached(step.attach);
      } else {
        now += step.wait_ms;
        window.handleTimeout(now);
      }
      assert.equal(window.unsettledSteps().length, step.unsettled, name);
    }
  }
});

function toHex(bytes) {
  return Buffer.from(bytes).toString('hex');
}

function fromHex(hex) {
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

/** A vector's fields as the library holds them. */
function fromVector({ kind, time, echo, hold, durable_lag: durableLag, body, payload, ...rest }) {
  switch (kind) {
    case 'ping':
    case 'pong':
      return { kind, beat: { time, echo, hold }, ...rest };
    case 'snapshot':
      return { kind, durableLag, body: fromHex(body), ...rest };
    case 'event':
      return { kind, payload: new TextEncoder().encode(payload), ...rest };
    default:
      return { kind, ...rest };
  }
}

function toVector({ beat, durableLag, body, payload, ...rest }) {
  const fields = { ...rest, ...beat };
  if (body) Object.assign(fields, { durable_lag: durableLag, body: toHex(body) });
  if (payload) fields.payload = new TextDecoder().decode(payload);
  return fields;
}

function snapshot(tick, distance, body) {
  return { kind: 'snapshot', tick, distance, processed: 0, durableLag: 0, queued: 0, body };
}

/** A state as a whole body, by which a baseline gets into a decoder. */
function wholeBody(schema, { globals, slots }) {
  const bits = new BitWriter();
  const put = (fields, values) => fields.forEach((field, index) => bits.bits(values[index], field.bits));
  put(schema.globals, globals);
  for (const slot of slots) {
    bits.bit(slot !== null);
    if (slot) put(schema.fields, slot);
  }
  return bits.finish();
}
