/** The session on a virtual clock: no socket, no timer, every time is an argument. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { BitWriter, CloseCode, decodeFrame, encodeFrame, queueJoinMessage, Session } from '../sdk/index.js';

const WELCOME = JSON.stringify({
  t: 'welcome', v: 1, session: 'se_0000000000000001', player: 'pl_0000000000000002', name: 'Ada',
  resume: 'resume', resumed: false, node: 'g1', heartbeat_ms: 25_000, active_heartbeat_ms: 400,
  deadline_ms: 60_000, server_time_ms: 0,
});

test('silence in a room leads to the other address in about a second', () => {
  const session = inRoom();
  const first = session.address;
  const silentAt = runUntilLost(session, 3);
  assert.ok(silentAt <= 1_100, `${silentAt}`);
  session.pushInput(5);
  assert.deepEqual(outputs(session, silentAt), [{ type: 'drop' }, { type: 'connect', address: 1 - first }]);
  session.handleConnected(silentAt);
  const hello = helloOf(outputs(session, silentAt));
  assert.deepEqual(
    [hello.resume, hello.room, hello.token, hello.attempt, hello.have.room],
    ['resume', 'room ticket', undefined, 2, { epoch: 9, offset: 0 }],
  );
  session.handleText(silentAt, WELCOME);
  session.handleText(silentAt, roomChannel(true));
  const restored = events(session).find((event) => event.type === 'restored');
  assert.ok(restored && restored.freeze < 1_200);
  session.flushInputs(silentAt);
  const input = framesOf(outputs(session, silentAt)).find((frame) => frame.kind === 'input');
  assert.deepEqual([input?.first, input?.steps], [1, [5]]);
});

test('inputs that were not durable go out again after a resume', () => {
  const session = inRoom();
  session.handleBinary(3, snapshotFrame({ tick: 30, processed: 0 }));
  for (const step of [1, 2, 3]) session.pushInput(step);
  session.flushInputs(4);
  session.handleBinary(5, snapshotFrame({ tick: 33, processed: 2, durableLag: 1 }));
  session.handleClosed(6, null);
  resume(session, 7, true);
  session.flushInputs(8);
  const input = framesOf(outputs(session, 8)).find((frame) => frame.kind === 'input');
  assert.deepEqual([input?.first, input?.steps], [2, [2, 3]]);
  assert.equal(input?.snapshot, 0, 'the new connection starts with a whole snapshot');
});

test('a room with a new history counts inputs from 1 again', () => {
  const session = inRoom();
  session.pushInput(1);
  session.pushInput(2);
  session.handleClosed(6, null);
  resume(session, 7, false);
  assert.deepEqual(
    events(session).find((event) => event.type === 'inputsGivenUp'),
    { type: 'inputsGivenUp', from: 1, to: 2 },
  );
  session.pushInput(7);
  session.flushInputs(8);
  const input = framesOf(outputs(session, 8)).find((frame) => frame.kind === 'input');
  assert.deepEqual([input?.first, input?.steps], [1, [7]]);
});

test('an event takes effect once and in order', () => {
  const session = inRoom();
  for (const offset of [1, 1, 3, 2, 3]) session.handleBinary(10, eventFrame(offset));
  const told = events(session).filter((event) => event.type === 'event');
  assert.deepEqual(told.map(({ event }) => event.offset), [1, 2, 3]);
});

test('a gap is asked for at once', () => {
  const session = inRoom();
  for (const offset of [1, 3]) session.handleBinary(10, eventFrame(offset));
  const [ack] = framesOf(outputs(session, 10)).filter((frame) => frame.kind === 'ack');
  assert.deepEqual(ack.acks, [{ channel: 'room', epoch: 9, offset: 1, resend: true }]);
});

test('an acknowledgement leaves within its delay', () => {
  const session = inRoom();
  session.handleBinary(10, eventFrame(1));
  assert.deepEqual(framesOf(outputs(session, 10)).filter((frame) => frame.kind === 'ack'), []);
  const due = session.pollTimeout();
  assert.equal(due, 160);
  session.handleTimeout(due);
  const [ack] = framesOf(outputs(session, due)).filter((frame) => frame.kind === 'ack');
  assert.deepEqual(ack.acks, [{ channel: 'room', epoch: 9, offset: 1, resend: false }]);
});

test('a snapshot without its baseline is not told', () => {
  const session = inRoom();
  session.handleBinary(4, snapshotFrame({ tick: 33, distance: 3 }));
  session.handleBinary(5, snapshotFrame({ tick: 36 }));
  session.handleBinary(6, snapshotFrame({ tick: 39, distance: 3 }));
  session.handleBinary(7, snapshotFrame({ tick: 39, distance: 3 }));
  const told = events(session).filter((event) => event.type === 'snapshot');
  assert.deepEqual(told.map(({ snapshot }) => snapshot.tick), [36, 39]);
});

test('the range of a close code decides', () => {
  const after = (code) => {
    const session = live(2);
    const first = session.address;
    session.handleClosed(10, code);
    session.handleTimeout(10);
    return session.state === 'ended' ? 'ended' : session.address === first ? 'same' : 'elsewhere';
  };
  assert.equal(after(CloseCode.slow_consumer), 'same');
  assert.equal(after(CloseCode.draining), 'elsewhere');
  assert.equal(after(null), 'elsewhere');
  assert.equal(after(CloseCode.token_expired), 'same', 'the login may still be good');
  assert.equal(after(CloseCode.replaced), 'ended');
});

test('a stale resume token falls back to the login, then asks for another', () => {
  const session = live(1);
  session.handleClosed(10, null);
  session.handleTimeout(10);
  session.handleConnected(11);
  assert.equal(helloOf(outputs(session, 11)).resume, 'resume');
  session.handleClosed(12, CloseCode.token_expired);
  session.handleTimeout(2_000);
  session.handleConnected(2_000);
  assert.equal(helloOf(outputs(session, 2_000)).token, 'token');
  session.handleClosed(2_001, CloseCode.token_expired);
  assert.deepEqual(events(session).at(-1), { type: 'ended', why: 'login_needed', code: CloseCode.token_expired });
  session.logIn(2_002, 'another');
  session.handleTimeout(2_002);
  session.handleConnected(2_003);
  assert.equal(helloOf(outputs(session, 2_003)).token, 'another');
});

test('attempts back off to the limit, and the first is made at once', () => {
  const session = fresh(1);
  const pauses = [];
  for (let now = 0, attempt = 0; attempt < 12; attempt += 1) {
    session.handleTimeout(now);
    session.handleClosed(now, null);
    const next = session.pollTimeout();
    pauses.push(next - now);
    now = next;
  }
  assert.equal(pauses[0], 0);
  assert.ok(pauses[1] <= 100);
  assert.ok(pauses[11] >= 2_500 && pauses[11] <= 5_000);
});

test('a network that is back ends the pause', () => {
  const session = fresh(1);
  for (let attempt = 0, now = 0; attempt < 8; attempt += 1, now = session.pollTimeout()) {
    session.handleTimeout(now);
    session.handleClosed(now, null);
  }
  const far = session.pollTimeout();
  session.retryNow(far - 1_000);
  assert.equal(session.pollTimeout(), far - 1_000);
});

test('a gateway that does not answer hello in time is given up', () => {
  const session = fresh(2);
  session.handleTimeout(0);
  const first = session.address;
  session.handleConnected(100);
  assert.equal(session.pollTimeout(), 1_500);
  session.handleTimeout(1_500);
  assert.deepEqual([session.state, session.address], ['connecting', 1 - first]);
});

test('what is said while not connected is refused', () => {
  const session = fresh(1);
  assert.equal(session.send(queueJoinMessage('race')), false);
});

test('a room that is refused is left, and there is nothing to come back to', () => {
  const session = inRoom();
  session.handleClosed(10, null);
  session.handleTimeout(10);
  session.handleConnected(10);
  session.handleText(11, WELCOME);
  session.handleText(12, JSON.stringify({ t: 'error', code: 'room_unknown', message: 'gone', re: 'room.join' }));
  const told = events(session).map((event) => event.type);
  assert.ok(told.includes('refused') && told.includes('restored'));
  session.handleClosed(20, null);
  session.handleTimeout(200);
  session.handleConnected(200);
  assert.equal(helloOf(outputs(session, 200)).room, undefined);
});

test('what cannot be read is told and changes nothing', () => {
  const session = live(1);
  session.handleText(5, '{"t":"welcome"}');
  session.handleText(5, 'no json');
  session.handleBinary(5, new Uint8Array([99]));
  session.handleBinary(5, new Uint8Array());
  assert.deepEqual(events(session).map((event) => event.type), Array(4).fill('malformed'));
  assert.ok(session.isLive);
});

test('closing says bye and is final', () => {
  const session = live(1);
  session.close();
  assert.deepEqual(outputs(session, 5), [{ type: 'close', code: 1000, reason: 'bye' }]);
  assert.equal(session.pollTimeout(), null);
});

/** A generator with a fixed sequence (mulberry32), so that a failure repeats. */
function seeded(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function fresh(addresses) {
  return new Session({ addresses }, 'token', seeded(1));
}

function live(addresses) {
  const session = fresh(addresses);
  session.handleTimeout(0);
  session.handleConnected(1);
  assert.equal(helloOf(outputs(session, 1)).token, 'token');
  session.handleText(2, WELCOME);
  events(session);
  return session;
}

function inRoom() {
  const session = live(2);
  session.joinRoom('room ticket');
  session.handleText(3, roomChannel(false));
  outputs(session, 3);
  events(session);
  return session;
}

function resume(session, now, recovered) {
  session.handleTimeout(now);
  session.handleConnected(now);
  session.handleText(now, WELCOME);
  session.handleText(now, roomChannel(recovered));
  outputs(session, now);
}

function roomChannel(recovered) {
  return JSON.stringify({ t: 'channel', ch: 'room', epoch: 9, offset: 0, recovered, state: null });
}

function eventFrame(offset) {
  const payload = new TextEncoder().encode('{"e":"race.start"}');
  return encodeFrame({ kind: 'event', channel: 'room', epoch: 9, offset, payload });
}

function snapshotFrame({ tick, distance = 0, processed = 0, durableLag = 0 }) {
  return encodeFrame({ kind: 'snapshot', tick, distance, processed, durableLag, queued: 0, body: new BitWriter().finish() });
}

function outputs(session, now) {
  const all = [];
  for (let output = session.pollOutput(now); output; output = session.pollOutput(now)) all.push(output);
  return all;
}

function events(session) {
  const all = [];
  for (let event = session.pollEvent(); event; event = session.pollEvent()) all.push(event);
  return all;
}

function helloOf(all) {
  const texts = all.filter((output) => output.type === 'text').map((output) => JSON.parse(output.text));
  const hello = texts.find(({ t }) => t === 'hello');
  assert.ok(hello, 'a hello was sent');
  return hello;
}

function framesOf(all) {
  return all.filter((output) => output.type === 'binary').map((output) => decodeFrame(output.bytes));
}

/** Runs the session's own deadlines until it gives the connection up, and once more. */
function runUntilLost(session, start) {
  let now = start;
  while (session.isLive) {
    now = Math.max(now, session.pollTimeout());
    session.handleTimeout(now);
    if (session.isLive) outputs(session, now);
  }
  session.handleTimeout(now);
  return now;
}
