/** What was left is left, whatever becomes of the word; and nothing else is. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { encodeFrame } from '../sdk/index.js';
import { inRoom, live, outputs, roomClosed, told, WELCOME } from './rig.js';

const OLD = { match: 'mt_1', mode: 'race', room: 'rm_1', ticket: 'room ticket' };
const NEXT = { match: 'mt_2', mode: 'race', room: 'rm_2', ticket: 'next ticket' };
const QUEUE = { mode: 'race', waiting_ms: 9 };

test('a leave that is refused for now is said again', () => {
  const session = leftRoom();
  session.leaveQueue();
  assert.deepEqual(said(session, 4), ['queue.leave']);
  session.handleText(10, refused('room.leave', 500));
  session.handleText(20, refused('queue.leave', 500));
  assert.deepEqual([said(session, 509), session.pollTimeout()], [[], 510]);
  assert.deepEqual(said(session, 510), ['room.leave']);
  assert.deepEqual(said(session, 520), ['queue.leave']);
  assert.deepEqual(said(session, 5_000), []);
});

test('a leave that was lost with the connection is said when the match still stands', () => {
  const session = leftRoom();
  reconnect(session, 10);
  assert.deepEqual(said(session, 10), [], 'the matcher may know');
  session.handleText(11, matchState(null, OLD));
  assert.deepEqual(said(session, 11), ['room.leave']);
  reconnect(session, 6_000);
  session.handleText(6_001, matchState(null, null));
  reconnect(session, 12_000);
  session.handleText(12_001, matchState(null, OLD));
  assert.deepEqual(said(session, 12_001), [], 'it was gone once');
});

test('what is left without a connection is left when there is one', () => {
  const session = inRoom();
  session.handleClosed(5, null);
  session.leaveRoom();
  session.leaveQueue();
  comeBack(session, 5);
  session.handleText(6, matchState(QUEUE, OLD));
  assert.deepEqual(said(session, 6), ['queue.leave', 'room.leave']);
});

test('a queue that still stands after a loss is left again, until the matcher says so', () => {
  const session = live(1);
  session.leaveQueue();
  reconnect(session, 10);
  session.handleText(11, matchState(QUEUE, null));
  assert.deepEqual(said(session, 11), ['queue.leave']);
  session.handleBinary(12, event({ e: 'queue.left', reason: 'left', message: '' }));
  reconnect(session, 6_000);
  session.handleText(6_001, matchState(QUEUE, null));
  assert.deepEqual(said(session, 6_001), [], 'that is another stay');
});

test('who queues again stays in the queue', () => {
  const session = live(1);
  session.leaveQueue();
  session.joinQueue('race');
  assert.deepEqual(said(session, 5), ['queue.leave', 'queue.join']);
  session.handleText(6, refused('queue.leave', 500));
  reconnect(session, 1_001);
  session.handleText(1_002, matchState(QUEUE, null));
  assert.deepEqual(said(session, 1_002), []);
});

test('a later match is never left by an old word', () => {
  const ways = {
    state: (session) => {
      reconnect(session, 9);
      session.handleText(11, matchState(null, NEXT));
    },
    found: (session) => session.handleBinary(9, event({ e: 'match.found', ...NEXT })),
    ended: (session) => session.handleBinary(9, event({ e: 'match.ended', ...OLD, reason: 'finished' })),
    joined: (session) => session.joinRoom('next ticket'),
  };
  for (const [name, way] of Object.entries(ways)) {
    const session = leftRoom();
    session.handleText(8, refused('room.leave', 500));
    way(session);
    assert.ok(!said(session, 1_000).includes('room.leave'), name);
  }
});

test('no leave follows a queue join that may have led to a match', () => {
  const session = leftRoom();
  session.joinQueue('race');
  session.handleText(10, refused('room.leave', 500));
  assert.deepEqual(said(session, 1_000), ['queue.join']);
  assert.notEqual(session.pollTimeout(), 510, 'nothing to wake up for');
  session.handleText(1_001, refused('queue.join'));
  assert.deepEqual(said(session, 1_001), ['room.leave'], 'it led to none');
});

test('a leave that is due goes ahead of the next queue join', () => {
  const session = leftRoom();
  session.handleText(10, refused('room.leave', 500));
  session.joinQueue('race');
  assert.deepEqual(said(session, 11), ['room.leave', 'queue.join']);
  session.handleText(12, JSON.stringify({ t: 'queue.state', mode: 'race', waiting_ms: 0, size: 1 }));
  session.handleText(13, refused('room.leave', 500));
  assert.deepEqual(said(session, 5_000), [], 'who queues is in no match');
});

test('a matcher that was out of reach is told when it is back', () => {
  const session = leftRoom();
  session.handleText(10, JSON.stringify({ t: 'channel.lost', ch: 'match', reason: 'node_silent' }));
  session.handleText(900, matchState(null, OLD));
  assert.deepEqual(said(session, 900), ['room.leave']);
});

test('the answer to a leave is no news', () => {
  const session = leftRoom();
  told(session);
  session.handleText(10, roomClosed('left'));
  assert.deepEqual(told(session), []);
});

/** A session that has left the room of the match `OLD`. */
function leftRoom() {
  const session = inRoom();
  session.handleText(3, matchState(null, OLD));
  session.leaveRoom();
  assert.deepEqual(said(session, 3), ['room.leave']);
  return session;
}

/** Loses the connection and gets another one, up to its welcome. */
function reconnect(session, now) {
  session.handleClosed(now, null);
  comeBack(session, now);
}

function comeBack(session, start) {
  const now = Math.max(start, session.pollTimeout());
  session.handleTimeout(now);
  session.handleConnected(now);
  session.handleText(now, WELCOME);
  outputs(session, now);
}

/** The types of the control messages that went out. */
function said(session, now) {
  return outputs(session, now).filter(({ type }) => type === 'text').map(({ text }) => JSON.parse(text).t);
}

function matchState(queue, match) {
  return JSON.stringify({ t: 'channel', ch: 'match', epoch: 7, offset: 0, recovered: false, state: { queue, match } });
}

function refused(re, retryAfter) {
  return JSON.stringify({ t: 'error', code: 'unavailable', message: 'away', re, retry_after_ms: retryAfter });
}

function event(data) {
  const payload = new TextEncoder().encode(JSON.stringify(data));
  return encodeFrame({ kind: 'event', channel: 'match', epoch: 7, offset: 1, payload });
}
