/** Which phase the player is in, by what the client tells. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Lobby } from '../game/lobby.js';

const MATCH = { match: 'mt_1', mode: 'race', room: 'rm_1', ticket: 'ticket' };

test('a race that is gone when the client is back is told so, and another can be entered', () => {
  const { lobby, client } = racing();
  client.tell('refused', { error: { code: 'token_invalid', message: 'the token is not one of ours', re: 'hello' } });
  assert.equal(lobby.error, '', 'the client mends it by itself');
  client.tell('refused', { error: { code: 'room_unknown', message: 'no such room', re: 'room.join' } });
  assert.deepEqual([lobby.phase, lobby.race], ['lobby', null]);
  assert.match(lobby.error, /race is gone/);
  lobby.enter();
  assert.deepEqual([lobby.phase, lobby.error, client.said.at(-1)], ['queue', '', 'joinQueue race']);
});

test('a login elsewhere is told, and the race can be taken back', () => {
  const { lobby, client } = racing();
  client.tell('ended', { why: 'closed', code: 4300 });
  assert.equal(lobby.phase, 'lobby');
  assert.match(lobby.error, /another tab/);
  lobby.enter();
  client.tell('channel', { channel: 'match', recovered: false, state: { queue: null, match: MATCH } });
  assert.deepEqual([lobby.phase, client.said.at(-1)], ['found', 'joinRoom ticket']);
});

test('a race that was left while there was no connection is not entered again', () => {
  const { lobby, client } = racing();
  client.state = 'paused';
  lobby.leave();
  client.state = 'live';
  client.tell('channel', { channel: 'match', recovered: true, state: { queue: null, match: MATCH } });
  assert.deepEqual([lobby.phase, client.said.at(-1)], ['lobby', 'leaveRoom']);
  lobby.enter();
  client.tell('channel', { channel: 'match', recovered: true, state: { queue: null, match: MATCH } });
  assert.deepEqual([lobby.phase, client.said.at(-1)], ['queue', 'joinQueue race'], 'the client asks again');
});

test('a name that is refused is asked for again', () => {
  const { lobby, client } = waiting();
  const error = Object.assign(new Error('a name has 1 to 24 characters'), { field: 'name' });
  client.tell('loginFailed', { error, retrying: false });
  assert.deepEqual([lobby.phase, lobby.nameRefused], ['lobby', true]);
  assert.equal(lobby.error, 'A name has 1 to 24 characters.');
  lobby.enter();
  assert.deepEqual([lobby.nameRefused, lobby.error], [false, '']);
});

test('what the client asks again by itself is not asked twice', () => {
  const { client } = waiting();
  const before = client.said.length;
  const error = { code: 'already_in_match', message: 'a match is being made', re: 'queue.join', retry_after_ms: 500 };
  client.tell('refused', { error });
  assert.equal(client.said.length, before);
});

test('an error of the way there is gone when the race is', () => {
  const { lobby, client } = waiting();
  client.tell('event', { channel: 'match', name: 'match.found', data: { e: 'match.found', ...MATCH } });
  client.tell('refused', { error: { code: 'unavailable', message: 'overloaded', re: 'room.join', retry_after_ms: 500 } });
  assert.equal(lobby.error, 'overloaded');
  client.tell('channel', { channel: 'room', recovered: false, state: roomState() });
  assert.deepEqual([lobby.phase, lobby.error], ['countdown', '']);
});

test('a match that asks is accepted, and one that is off is looked for again', () => {
  const { lobby, client } = waiting();
  const tell = (data) => client.tell('event', { channel: 'match', name: data.e, data });
  tell({ e: 'match.proposed', match: 'mt_2', mode: 'race', within_ms: 10_000 });
  assert.equal(lobby.phase, 'proposed');
  lobby.accept();
  assert.deepEqual([lobby.phase, client.said.at(-1)], ['accepted', 'acceptMatch mt_2']);
  tell({ e: 'match.off', match: 'mt_2' });
  assert.equal(lobby.phase, 'queue');
  const proposed = { match: 'mt_3', left_ms: 5_000, accepted: false };
  client.tell('channel', {
    channel: 'match', recovered: false, state: { queue: { mode: 'race', waiting_ms: 1, proposed }, match: null },
  });
  assert.equal(lobby.phase, 'proposed', 'after a resume too');
  lobby.decline();
  assert.equal(client.said.at(-1), 'declineMatch mt_3');
  tell({ e: 'queue.left', reason: 'declined', message: 'You declined the match and left the queue.' });
  assert.deepEqual([lobby.phase, lobby.proposed], ['lobby', null]);
  assert.match(lobby.error, /declined/);
});

test('a private room is gathered in until its match is found', () => {
  const { lobby, client } = waiting();
  client.wantsPrivate = true;
  lobby.gather('K7WM2QXP');
  assert.deepEqual([lobby.phase, client.said.at(-1)], ['connecting', 'joinPrivate K7WM2QXP']);
  client.tell('welcome', {});
  assert.equal(lobby.phase, 'connecting', 'it is no queue');
  const room = { code: 'K7WM2QXP', mode: 'race', most: 8, members: [] };
  client.tell('privateState', { room });
  assert.deepEqual([lobby.phase, lobby.private], ['private', room]);
  client.tell('event', { channel: 'match', name: 'match.found', data: { e: 'match.found', ...MATCH } });
  assert.deepEqual([lobby.phase, lobby.private], ['found', null]);
});

test('who is sent away from a private room is told, and so is who finds none', () => {
  const { lobby, client } = waiting();
  client.tell('privateState', { room: { code: 'K7WM2QXP', mode: 'race', most: 8, members: [] } });
  const data = { e: 'private.left', reason: 'sent_away' };
  client.tell('event', { channel: 'match', name: data.e, data });
  assert.equal(lobby.phase, 'lobby');
  assert.match(lobby.error, /not in the private room/);
  lobby.gather('NOSUCHROOM');
  client.tell('refused', { error: { code: 'private_unknown', message: 'there is no such room', re: 'private.join' } });
  assert.deepEqual([lobby.phase, lobby.error], ['lobby', 'there is no such room']);
});

function waiting() {
  const client = fakeClient();
  const lobby = new Lobby(/** @type {any} */ (client), 'race');
  lobby.enter();
  return { lobby, client };
}

function racing() {
  const { lobby, client } = waiting();
  client.tell('event', { channel: 'match', name: 'match.found', data: { e: 'match.found', ...MATCH } });
  client.tell('channel', { channel: 'room', recovered: false, state: roomState() });
  assert.equal(lobby.phase, 'countdown');
  return { lobby, client };
}

/** A client that tells what the test says, and notes what it is asked. */
function fakeClient() {
  const listeners = new Map();
  const said = [];
  const note = (what) => (...args) => void said.push([what, ...args].join(' '));
  return {
    state: 'live',
    said,
    on: (type, listener) => void listeners.set(type, listener),
    tell: (type, event) => listeners.get(type)?.(event),
    joinQueue: note('joinQueue'),
    leaveQueue: note('leaveQueue'),
    acceptMatch: (match) => {
      note('acceptMatch')(match);
      return true;
    },
    declineMatch: note('declineMatch'),
    wantsPrivate: false,
    openPrivate: note('openPrivate'),
    joinPrivate: note('joinPrivate'),
    inPrivate: note('inPrivate'),
    joinRoom: note('joinRoom'),
    leaveRoom: note('leaveRoom'),
  };
}

function roomState() {
  return {
    room: MATCH.room, game: 'race', seat: 0, tick: 0, tick_hz: 60, seats: [],
    setup: { laps: 2, track: { name: 'Test', size: [100, 100], width: 20, points: [[0, 0], [90, 0], [50, 90]] } },
  };
}
