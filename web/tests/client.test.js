/** The client over a WebSocket class that the test plays the server of. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { BitWriter, Client, decodeFrame, encodeFrame, LoginError, loginGuest } from '../sdk/index.js';

const ADDRESSES = ['ws://one.test/v1/ws', 'ws://two.test/v1/ws'];
const SCHEMA = { capacity: 1, globals: [], fields: [{ name: 'x', bits: 8, near: 4 }] };

/** Every socket that was opened, the newest last. */
let sockets = [];
let now = 0;

class FakeSocket {
  readyState = 1;
  sent = [];
  closed = null;

  constructor(address, protocol) {
    Object.assign(this, { address, protocol });
    sockets.push(this);
  }

  send(data) {
    this.sent.push(typeof data === 'string' ? JSON.parse(data) : decodeFrame(data));
  }

  close(code) {
    this.closed = code ?? true;
  }

  open() {
    this.onopen?.();
  }

  /** The server says something: an object as text, a frame as bytes. */
  say(message) {
    const data = message.t ? JSON.stringify(message) : encodeFrame(message).buffer;
    this.onmessage?.({ data });
  }

  end(code) {
    this.onclose?.({ code });
  }
}

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout'] });
  sockets = [];
  now = 0;
});

afterEach(() => mock.timers.reset());

test('a lost connection is replaced through the other address', async () => {
  const { client, told } = await welcomed();
  const first = sockets[0].address;
  sockets[0].end(1006);
  pass(0);
  assert.equal(sockets.length, 2);
  assert.notEqual(sockets[1].address, first);
  sockets[1].open();
  assert.deepEqual([sockets[1].sent[0].t, sockets[1].sent[0].resume], ['hello', 'resume']);
  sockets[1].say(welcome());
  assert.deepEqual(told.filter((type) => ['lost', 'restored'].includes(type)), ['lost', 'restored']);
  client.close();
  assert.equal(sockets[1].closed, 1000);
});

test('a queue that was joined while connecting is joined when the server is there', async () => {
  const { client } = await started();
  client.joinQueue('race');
  sockets[0].open();
  sockets[0].say(welcome());
  sockets[0].say(matchChannel({ queue: null, match: null }));
  assert.ok(sockets[0].sent.some(({ t, mode }) => t === 'queue.join' && mode === 'race'));
});

test('a place in the queue is asked for again after a resume', async () => {
  const { client } = await welcomed();
  client.joinQueue('race');
  sockets[0].end(1006);
  pass(0);
  sockets[1].open();
  sockets[1].say(welcome());
  sockets[1].say(matchChannel({ queue: { mode: 'race', waiting_ms: 900 }, match: null }));
  assert.ok(!sockets[1].sent.some(({ t }) => t === 'queue.join'), 'the place is still there');
  sockets[1].end(1006);
  pass(100);
  sockets[2].open();
  sockets[2].say(welcome());
  sockets[2].say(matchChannel({ queue: null, match: null }));
  assert.ok(sockets[2].sent.some(({ t, mode }) => t === 'queue.join' && mode === 'race'));
});

test('snapshots are decoded by the schema of the room', async () => {
  const { client } = await welcomed();
  const states = [];
  client.on('snapshot', (state) => states.push(state));
  client.joinRoom('ticket');
  sockets[0].say(roomChannel());
  sockets[0].say(snapshot(3, 0, (bits) => {
    bits.bit(true);
    bits.bits(100, 8);
  }));
  sockets[0].say(snapshot(6, 3, (bits) => {
    for (const bit of [true, true, true, true]) bits.bit(bit);
    bits.bits(14, 4);
  }));
  assert.deepEqual(states.map(({ tick, entities }) => [tick, entities[0].x]), [[3, 100], [6, 98]]);
  client.pushInput(1);
  client.flushInputs();
  assert.equal(sockets[0].sent.find(({ kind }) => kind === 'input')?.snapshot, 6);
});

test('a snapshot that cannot be decoded makes the room send a whole one', async () => {
  const { client, told } = await welcomed();
  client.joinRoom('ticket');
  sockets[0].say(roomChannel());
  sockets[0].say(snapshot(3, 0, () => {}));
  assert.ok(told.includes('malformed'));
  client.pushInput(1);
  client.flushInputs();
  assert.equal(sockets[0].sent.find(({ kind }) => kind === 'input')?.snapshot, 0);
});

test('a message goes to the room that answers, and is not kept for later', async () => {
  const { client } = await welcomed();
  client.joinRoom('ticket');
  assert.equal(client.say('too early'), false);
  sockets[0].say(roomChannel());
  assert.equal(client.say({ hi: [1, null] }), true);
  assert.equal(client.say(null, 0), true);
  const said = (socket) => socket.sent.filter(({ t }) => t === 'room.say');
  assert.deepEqual(said(sockets[0]), [
    { t: 'room.say', data: { hi: [1, null] } },
    { t: 'room.say', data: null, to: 0 },
  ]);
  sockets[0].end(1006);
  assert.equal(client.say('away'), false);
  pass(0);
  sockets[1].open();
  sockets[1].say(welcome());
  assert.deepEqual(said(sockets[1]), []);
});

test('a room that may be entered later is asked for again', async () => {
  const { client } = await welcomed();
  client.joinRoom('ticket');
  sockets[0].say({ t: 'error', code: 'unavailable', message: 'overloaded', re: 'room.join', retry_after_ms: 500 });
  const joins = () => sockets[0].sent.filter(({ t }) => t === 'room.join').length;
  assert.equal(joins(), 1);
  pass(500);
  assert.equal(joins(), 2);
});

test('a room that may be watched later is asked for again', async () => {
  const { client } = await welcomed();
  client.watchRoom('rm_0000000000000007');
  assert.ok(client.isWatching);
  sockets[0].say({ t: 'error', code: 'watch_full', message: 'too many', re: 'room.watch', retry_after_ms: 500 });
  const asked = () => sockets[0].sent.filter(({ t }) => t === 'room.watch').length;
  assert.equal(asked(), 1);
  pass(500);
  assert.equal(asked(), 2);
  sockets[0].say({ t: 'error', code: 'room_unknown', message: 'no such room', re: 'room.watch' });
  assert.equal(client.isWatching, false);
});

test('one refusal is one timer, however many come', async () => {
  const { client } = await welcomed();
  client.joinQueue('race');
  const refusal = { t: 'error', code: 'already_in_match', message: 'later', re: 'queue.join', retry_after_ms: 500 };
  for (let round = 0; round < 3; round += 1) sockets[0].say(refusal);
  const joins = () => sockets[0].sent.filter(({ t }) => t === 'queue.join').length;
  pass(500);
  assert.equal(joins(), 2);
  sockets[0].say({ ...refusal, retry_after_ms: undefined });
  pass(5_000);
  assert.equal(joins(), 2, 'what is refused for good is not asked again');
});

test('the answer to a leave does not take the next room away', async () => {
  const { client } = await welcomed();
  client.joinRoom('one');
  sockets[0].say(roomChannel());
  client.leaveRoom();
  client.joinRoom('two');
  sockets[0].say({ t: 'channel.closed', ch: 'room', reason: 'left' });
  sockets[0].say({ t: 'error', code: 'unavailable', message: 'overloaded', re: 'room.join', retry_after_ms: 500 });
  pass(500);
  const joins = sockets[0].sent.filter(({ t }) => t === 'room.join');
  assert.deepEqual(joins.map(({ ticket }) => ticket), ['one', 'two', 'two']);
});

test('what is left while there is no connection is said when there is one, and what is wanted since after it', async () => {
  const { client } = await welcomed();
  const match = { match: 'mt_1', mode: 'race', room: 'rm_1', ticket: 'ticket' };
  sockets[0].say(matchChannel({ queue: null, match }));
  client.joinRoom('ticket');
  sockets[0].say(roomChannel());
  sockets[0].end(1006);
  client.leaveRoom();
  client.joinQueue('race');
  pass(0);
  sockets[1].open();
  sockets[1].say(welcome());
  sockets[1].say(matchChannel({ queue: null, match }));
  assert.deepEqual(sockets[1].sent.flatMap(({ t }) => t ?? []), ['hello', 'room.leave', 'queue.join']);
  assert.equal(sockets[1].sent[0].room, undefined);
  sockets[1].end(1006);
  pass(100);
  sockets[2].open();
  sockets[2].say(welcome());
  sockets[2].say(matchChannel({ queue: { mode: 'race', waiting_ms: 1 }, match: null }));
  assert.deepEqual(sockets[2].sent.flatMap(({ t }) => t ?? []), ['hello'], 'once');
});

test('a leave that is refused for now is said again in its time', async () => {
  const { client } = await welcomed();
  client.joinRoom('ticket');
  client.leaveRoom();
  sockets[0].say({ t: 'error', code: 'unavailable', message: 'overloaded', re: 'room.leave', retry_after_ms: 500 });
  const leaves = () => sockets[0].sent.filter(({ t }) => t === 'room.leave').length;
  pass(499);
  assert.equal(leaves(), 1);
  pass(1);
  assert.equal(leaves(), 2);
});

test('a session that was replaced leaves nothing behind for the next one to say', async () => {
  const { client } = await welcomed();
  client.joinRoom('ticket');
  sockets[0].say(roomChannel());
  sockets[0].end(4300);
  client.leaveRoom();
  await client.start();
  sockets[1].open();
  sockets[1].say(welcome());
  sockets[1].say(matchChannel({ queue: null, match: { match: 'mt_1', mode: 'race', room: 'rm_1', ticket: 'ticket' } }));
  assert.deepEqual(sockets[1].sent.flatMap(({ t }) => t ?? []), ['hello'], 'the other tab may be racing there');
});

test('a snapshot of a room whose schema is not known is not acknowledged', async () => {
  const { client } = await welcomed();
  client.joinRoom('ticket');
  sockets[0].say({ ...roomChannel(), state: null });
  sockets[0].say(snapshot(3, 0, (bits) => bits.bits(0, 9)));
  client.pushInput(1);
  client.flushInputs();
  assert.equal(sockets[0].sent.find(({ kind }) => kind === 'input')?.snapshot, 0);
});

test('nothing is written to a socket that is closing', async () => {
  const { client } = await welcomed();
  sockets[0].readyState = 2;
  const before = sockets[0].sent.length;
  client.joinQueue('race');
  assert.equal(sockets[0].sent.length, before);
});

test('a private room is asked for again by its code after a connection is lost', async () => {
  const { client } = await welcomed();
  client.openPrivate('race');
  const said = () => sockets[0].sent.filter(({ t }) => t?.startsWith('private.'));
  sockets[0].say(matchChannel({ queue: null, match: null }));
  assert.deepEqual(said().at(-1), { t: 'private.open', mode: 'race' });
  sockets[0].say({ t: 'private.state', code: 'K7WM2QXP', mode: 'race', most: 8, members: [] });
  sockets[0].say(matchChannel({ queue: null, match: null }));
  assert.deepEqual(said().at(-1), { t: 'private.join', code: 'K7WM2QXP' });
  client.inPrivate('ready', { ready: true });
  assert.deepEqual(said().at(-1), { t: 'private.ready', ready: true });
  client.inPrivate('leave');
  const before = said().length;
  sockets[0].say(matchChannel({ queue: null, match: null }));
  assert.equal(said().length, before);
});

test('a receipt goes with the next join, until it is refused', async () => {
  const { client } = await welcomed();
  client.joinQueue('race', { regions: { eu: 20 } });
  const joins = () => sockets[0].sent.filter(({ t }) => t === 'queue.join');
  sockets[0].say({ t: 'queue.state', mode: 'duel', waiting_ms: 3_000, size: 1, receipt: 'of another wait' });
  sockets[0].say({ t: 'queue.state', mode: 'race', waiting_ms: 3_000, size: 1, receipt: 'r' });
  sockets[0].say({ t: 'queue.state', mode: 'race', waiting_ms: 4_000, size: 1 });
  sockets[0].say(matchChannel({ queue: null, match: null }));
  assert.deepEqual(joins().at(-1), { t: 'queue.join', mode: 'race', regions: { eu: 20 }, receipt: 'r' });
  const message = 'expired';
  sockets[0].say({ t: 'error', code: 'token_expired', message, re: 'queue.join', field: 'receipt' });
  sockets[0].say(matchChannel({ queue: null, match: null }));
  assert.deepEqual(joins().at(-1), { t: 'queue.join', mode: 'race', regions: { eu: 20 } });
});

test('a listener that throws does not stop the heartbeat', async () => {
  const { client } = await welcomed();
  client.on('queueState', () => {
    throw new Error('a bug of the page');
  });
  const pings = () => sockets[0].sent.filter(({ kind }) => kind === 'ping').length;
  const before = pings();
  const state = { t: 'queue.state', mode: 'race', waiting_ms: 0, size: 1 };
  assert.throws(() => sockets[0].say(state), /a bug of the page/);
  pass(30_000);
  assert.equal(pings(), before + 1);
});

test('events come parsed, and a listener may act at once', async () => {
  const { client } = await welcomed();
  client.on('event', ({ name, data }) => {
    if (name === 'match.found') client.joinRoom(data.ticket);
  });
  sockets[0].say(matchChannel({ queue: null, match: null }));
  const payload = new TextEncoder().encode('{"e":"match.found","ticket":"t"}');
  sockets[0].say({ kind: 'event', channel: 'match', epoch: 7, offset: 1, payload });
  assert.ok(sockets[0].sent.some(({ t, ticket }) => t === 'room.join' && ticket === 't'));
});

test('an address that cannot be opened is no more than a failed attempt', async () => {
  const { told } = await started({
    WebSocket: class {
      constructor() {
        throw new SyntaxError('not allowed here');
      }
    },
  });
  assert.ok(told.includes('malformed'));
  assert.ok(!told.includes('ended'));
});

test('a login that fails for now is tried again, one that is refused is not', async () => {
  const answers = [
    new LoginError('away', { code: 'unreachable', retry: true }),
    new LoginError('no such name', { code: 'bad_field', field: 'name', retry: false }),
  ];
  const client = new Client({
    addresses: ADDRESSES,
    WebSocket: FakeSocket,
    now: () => now,
    login: () => Promise.reject(answers.shift()),
  });
  const failures = [];
  client.on('loginFailed', ({ error, retrying }) => failures.push([error.code, retrying]));
  const done = client.start();
  await settled();
  pass(0);
  await done;
  assert.deepEqual(failures, [['unreachable', true], ['bad_field', false]]);
  assert.equal(sockets.length, 0);
});

test('guest login passes the refusal of the server on', async () => {
  const answer = (status, body) => () => Promise.resolve(new Response(body, { status }));
  const guest = { device: 'device-0001', name: 'Ada' };
  const good = await loginGuest('', guest, answer(200, '{"player":"pl_1","name":"Ada","token":"t","expires_in_ms":1}'));
  assert.equal(good.token, 't');
  const refused = answer(400, '{"error":{"code":"bad_field","message":"a name has 1 to 24 characters","field":"name"}}');
  await assert.rejects(loginGuest('', guest, refused), { code: 'bad_field', field: 'name', retry: false });
  await assert.rejects(loginGuest('', guest, answer(502, '<html>')), { code: 'internal', retry: true });
  await assert.rejects(loginGuest('', guest, () => Promise.reject(new TypeError())), { code: 'unreachable', retry: true });
});

async function started(options = {}) {
  const client = new Client({
    addresses: ADDRESSES,
    WebSocket: FakeSocket,
    now: () => now,
    random: () => 0.25,
    login: () => Promise.resolve('token'),
    ...options,
  });
  const told = [];
  for (const type of ['welcome', 'channel', 'lost', 'restored', 'malformed', 'refused', 'ended']) {
    client.on(type, () => told.push(type));
  }
  await client.start();
  return { client, told };
}

async function welcomed() {
  const { client, told } = await started();
  assert.equal(sockets[0].protocol, 'pixelrush.v1');
  sockets[0].open();
  sockets[0].say(welcome());
  return { client, told };
}

function welcome() {
  return {
    t: 'welcome', v: 1, session: 'se_0000000000000001', player: 'pl_0000000000000002', name: 'Ada',
    resume: 'resume', resumed: false, node: 'g1', heartbeat_ms: 25_000, active_heartbeat_ms: 400,
    deadline_ms: 60_000, server_time_ms: 0,
  };
}

function matchChannel(state) {
  return { t: 'channel', ch: 'match', epoch: 7, offset: 0, recovered: false, state };
}

function roomChannel() {
  return { t: 'channel', ch: 'room', epoch: 9, offset: 0, recovered: false, state: { schema: SCHEMA } };
}

function snapshot(tick, distance, put) {
  const bits = new BitWriter();
  put(bits);
  return { kind: 'snapshot', tick, distance, processed: 0, durableLag: 0, queued: 0, body: bits.finish() };
}

/** Time passes for the clock and for the timers. */
function pass(millis) {
  now += millis;
  mock.timers.tick(millis);
}

/** Lets promises that are settled have their effect. */
function settled() {
  return new Promise((resolve) => setImmediate(resolve));
}
