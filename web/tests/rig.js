/** A session for tests on a virtual clock, and what a server would say to it. */

import assert from 'node:assert/strict';

import { BitWriter, decodeFrame, encodeFrame, Session } from '../sdk/index.js';

export const WELCOME = JSON.stringify({
  t: 'welcome', v: 1, session: 'se_0000000000000001', player: 'pl_0000000000000002', name: 'Ada',
  resume: 'resume', resumed: false, node: 'g1', heartbeat_ms: 25_000, active_heartbeat_ms: 400,
  deadline_ms: 60_000, server_time_ms: 0,
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

export function fresh(addresses) {
  return new Session({ addresses }, 'token', seeded(1));
}

export function live(addresses) {
  const session = fresh(addresses);
  session.handleTimeout(0);
  session.handleConnected(1);
  assert.equal(helloOf(outputs(session, 1)).token, 'token');
  session.handleText(2, WELCOME);
  events(session);
  return session;
}

export function inRoom() {
  const session = live(2);
  session.joinRoom('room ticket');
  session.handleText(3, roomChannel(false));
  outputs(session, 3);
  events(session);
  return session;
}

export function resume(session, now, recovered) {
  session.handleTimeout(now);
  session.handleConnected(now);
  session.handleText(now, WELCOME);
  session.handleText(now, roomChannel(recovered));
  outputs(session, now);
}

export function roomChannel(recovered, epoch = 9, state = null) {
  return JSON.stringify({ t: 'channel', ch: 'room', epoch, offset: 0, recovered, state });
}

export function matchChannel(recovered) {
  return JSON.stringify({ t: 'channel', ch: 'match', epoch: 7, offset: 0, recovered, state: null });
}

export function roomClosed(reason) {
  return JSON.stringify({ t: 'channel.closed', ch: 'room', reason });
}

/** @param {number} offset @param {"match" | "room"} [channel] */
export function eventFrame(offset, channel = 'room') {
  const payload = new TextEncoder().encode('{"e":"race.start"}');
  return encodeFrame({ kind: 'event', channel, epoch: channel === 'room' ? 9 : 7, offset, payload });
}

export function snapshotFrame({ tick, distance = 0, processed = 0, durableLag = 0 }) {
  return encodeFrame({ kind: 'snapshot', tick, distance, processed, durableLag, queued: 0, body: new BitWriter().finish() });
}

export function outputs(session, now) {
  const all = [];
  for (let output = session.pollOutput(now); output; output = session.pollOutput(now)) all.push(output);
  return all;
}

export function events(session) {
  const all = [];
  for (let event = session.pollEvent(); event; event = session.pollEvent()) all.push(event);
  return all;
}

export function helloOf(all) {
  const texts = all.filter((output) => output.type === 'text').map((output) => JSON.parse(output.text));
  const hello = texts.find(({ t }) => t === 'hello');
  assert.ok(hello, 'a hello was sent');
  return hello;
}

export function framesOf(all) {
  return all.filter((output) => output.type === 'binary').map((output) => decodeFrame(output.bytes));
}

export function framesOfKind(all, kind) {
  return framesOf(all).filter((frame) => frame.kind === kind);
}

/** The types of what a session told. */
export function told(session) {
  return events(session).map(({ type }) => type);
}

/** Runs the session's own deadlines until it gives the connection up, and once more. */
export function runUntilLost(session, start) {
  let now = start;
  while (session.isLive) {
    now = Math.max(now, session.pollTimeout());
    session.handleTimeout(now);
    if (session.isLive) outputs(session, now);
  }
  session.handleTimeout(now);
  return now;
}
