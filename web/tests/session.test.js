/** The session's connection on a virtual clock: no socket, no timer, every time is an argument. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CloseCode } from '../sdk/index.js';
import {
  WELCOME,
  eventFrame,
  events,
  framesOf,
  fresh,
  helloOf,
  inRoom,
  live,
  matchChannel,
  outputs,
  roomChannel,
  roomClosed,
  runUntilLost,
  snapshotFrame,
  told,
} from './rig.js';

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
  assert.equal(session.joinQueue('race'), false);
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

test('nothing is heard while there is no connection', () => {
  const session = inRoom();
  session.handleClosed(5, null);
  events(session);
  session.handleText(5, roomChannel(false));
  session.handleBinary(5, snapshotFrame({ tick: 10 }));
  session.handleTimeout(5);
  session.handleText(5, WELCOME);
  assert.deepEqual([session.state, session.isInRoom, events(session)], ['connecting', false, []]);
});

test('before the welcome nothing but a welcome or an error is heard', () => {
  const session = fresh(1);
  session.handleTimeout(0);
  session.handleConnected(1);
  session.joinRoom('room ticket');
  session.handleText(2, matchChannel(false));
  session.handleText(2, roomChannel(false));
  session.handleText(2, roomClosed('finished'));
  session.handleBinary(2, eventFrame(1, 'match'));
  assert.deepEqual([events(session), session.position('match'), session.isInRoom], [[], null, false]);
  session.handleText(3, JSON.stringify({ t: 'error', code: 'token_expired', message: 'old', re: 'hello' }));
  session.handleText(4, WELCOME);
  session.handleText(5, WELCOME);
  assert.deepEqual(told(session), ['refused', 'welcome'], 'and the welcome once');
});

test('a server that welcomes and hangs up is not stormed', () => {
  const session = live(1);
  let now = 10;
  for (let round = 0; round < 10; round += 1) {
    session.handleClosed(now, null);
    now = Math.max(now, session.pollTimeout());
    session.handleTimeout(now);
    session.handleConnected(now);
    session.handleText(now, WELCOME);
  }
  assert.ok(now > 10_000, `${now}`);
  session.handleClosed(now + 4_999, null);
  assert.ok(session.pollTimeout() > now + 4_999, 'it had not held for long enough');
});

test('a connection that lived for 5 s makes the next loss a first one', () => {
  const session = live(1);
  session.handleClosed(10, null);
  session.handleTimeout(10);
  session.handleConnected(10);
  session.handleText(10, WELCOME);
  session.handleClosed(5_010, null);
  assert.equal(session.pollTimeout(), 5_010);
});

test('each attempt in a row has more time, and the first after a loss as much as the very first', () => {
  const session = live(1);
  session.handleClosed(10, null);
  let now = session.pollTimeout();
  const patience = [];
  for (let attempt = 0; attempt < 5; attempt += 1) {
    session.handleTimeout(now);
    const deadline = session.pollTimeout();
    patience.push(Math.round(deadline - now));
    session.handleTimeout(deadline);
    now = session.pollTimeout();
  }
  assert.deepEqual(patience, [1_500, 3_000, 6_000, 6_000, 6_000]);
});

test('a new pace does not count the silence of the old one', () => {
  const session = live(1);
  session.joinRoom('room ticket');
  session.handleText(20_000, roomChannel(false));
  session.leaveRoom();
  outputs(session, 20_000);
  session.handleTimeout(22_000);
  assert.ok(session.isLive, 'outside a room two seconds are nothing');
});
