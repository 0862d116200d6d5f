/** The session in a room, on a virtual clock: channels, inputs, snapshots, leaving. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  WELCOME,
  eventFrame,
  events,
  framesOf,
  framesOfKind,
  helloOf,
  inRoom,
  live,
  matchChannel,
  outputs,
  resume,
  roomChannel,
  roomClosed,
  snapshotFrame,
  told,
} from './rig.js';

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

test('a room that answers is not asked for again, one that does not is', () => {
  const session = inRoom();
  session.joinRoom('room ticket');
  assert.deepEqual(textsOf(outputs(session, 4)), []);
  session.handleText(5, JSON.stringify({ t: 'channel.lost', ch: 'room', reason: 'node_silent' }));
  session.joinRoom('room ticket');
  assert.deepEqual(textsOf(outputs(session, 6)).map(({ t }) => t), ['room.join']);
});

test('a history that does not go on is asked for afresh, with nothing', () => {
  const session = live(2);
  const first = session.address;
  session.joinRoom('room ticket');
  session.handleText(3, roomChannel(true));
  assert.deepEqual(told(session), ['lost'], 'the channel is not told');
  session.handleTimeout(3);
  assert.equal(session.address, first, 'the server is as good as any');
  session.handleConnected(4);
  const hello = helloOf(outputs(session, 4));
  assert.deepEqual([hello.have, hello.room], [undefined, 'room ticket']);
});

test('snapshots before a new history are no baselines', () => {
  const session = inRoom();
  session.handleBinary(4, snapshotFrame({ tick: 10 }));
  session.handleText(5, roomChannel(true));
  events(session);
  session.handleBinary(6, snapshotFrame({ tick: 13, distance: 3 }));
  session.handleBinary(6, snapshotFrame({ tick: 9 }));
  assert.deepEqual(toldTicks(session), [9], 'an older tick too, when the room starts over');
});

test('only the last forty snapshots are baselines', () => {
  const session = inRoom();
  for (let tick = 1; tick <= 41; tick += 1) session.handleBinary(4, snapshotFrame({ tick }));
  events(session);
  session.handleBinary(5, snapshotFrame({ tick: 42, distance: 41 }));
  session.handleBinary(5, snapshotFrame({ tick: 42, distance: 40 }));
  assert.deepEqual(toldTicks(session), [42]);
});

test('after a snapshot that could not be used a whole one is asked for', () => {
  const session = inRoom();
  session.handleBinary(4, snapshotFrame({ tick: 10 }));
  session.forgetSnapshots();
  session.pushInput(1);
  session.flushInputs(5);
  assert.equal(framesOfKind(outputs(session, 5), 'input')[0].snapshot, 0);
  events(session);
  session.handleBinary(6, snapshotFrame({ tick: 13, distance: 3 }));
  session.handleBinary(7, snapshotFrame({ tick: 16 }));
  assert.deepEqual(toldTicks(session), [16]);
});

test('a row with a gap is asked for once, and again when it comes with a gap again', () => {
  const session = inRoom();
  const asked = [1, 3, 4, 5, 3, 4, 2, 3, 5].map((offset) => {
    session.handleBinary(10, eventFrame(offset));
    return framesOfKind(outputs(session, 10), 'ack').some(({ acks }) => acks[0].resend);
  });
  assert.deepEqual(asked, [false, true, false, false, true, false, false, false, true]);
});

test('an event that came before is acknowledged once more', () => {
  const session = inRoom();
  session.handleBinary(10, eventFrame(1));
  session.handleTimeout(160);
  outputs(session, 160);
  session.handleBinary(170, eventFrame(1));
  session.handleTimeout(320);
  assert.equal(framesOfKind(outputs(session, 320), 'ack')[0].acks[0].offset, 1);
});

test('a heartbeat repeats positions and takes no ack frame\'s place', () => {
  const session = inRoom();
  session.handleBinary(300, eventFrame(1));
  session.handleTimeout(449);
  const [ping] = framesOfKind(outputs(session, 449), 'ping');
  assert.deepEqual(ping.acks, [{ channel: 'room', epoch: 9, offset: 1, resend: false }]);
  session.handleTimeout(450);
  assert.equal(framesOfKind(outputs(session, 450), 'ack').length, 1);
});

test('an input frame saves the ack frame only if the room\'s alone was due', () => {
  for (const [channels, acks] of [[['room'], 0], [['match', 'room'], 1]]) {
    const session = inRoom();
    session.handleText(5, matchChannel(false));
    for (const channel of channels) session.handleBinary(10, eventFrame(1, channel));
    session.pushInput(1);
    session.flushInputs(20);
    assert.equal(framesOfKind(outputs(session, 20), 'input')[0].offset, 1);
    session.handleTimeout(160);
    assert.equal(framesOfKind(outputs(session, 160), 'ack').length, acks, `${channels}`);
  }
});

test('steps that nobody confirms go out again without a new one', () => {
  const session = inRoom();
  for (const step of [1, 2]) session.pushInput(step);
  session.flushInputs(10);
  outputs(session, 10);
  session.handleBinary(900, snapshotFrame({ tick: 10 }));
  session.flushInputs(1_000);
  assert.deepEqual(framesOfKind(outputs(session, 1_000), 'input'), []);
  session.handleTimeout(1_010);
  session.flushInputs(1_020);
  const [input] = framesOfKind(outputs(session, 1_020), 'input');
  assert.deepEqual([input.first, input.steps], [1, [1, 2]]);
});

test('inputs that the room has are not sent again, however long they are not durable', () => {
  const session = inRoom();
  for (let step = 1; step <= 20; step += 1) session.pushInput(step);
  session.flushInputs(5);
  outputs(session, 5);
  session.handleBinary(10, snapshotFrame({ tick: 10, processed: 18, durableLag: 18 }));
  assert.deepEqual(session.inputs.unsettled, { from: 1, to: 20 });
  const sentAfter = (now, processed) => {
    session.handleText(now, roomChannel(true, 9, { processed }));
    session.flushInputs(now);
    return framesOfKind(outputs(session, now), 'input').map(({ first, steps }) => [first, steps.length]);
  };
  assert.deepEqual(sentAfter(100, 18), [[19, 2]]);
  assert.deepEqual(sentAfter(200, 12), [[13, 8]], 'a room that fell back gets them again');
  assert.deepEqual(sentAfter(300, undefined), [[1, 15], [16, 5]], 'a server that does not say what it has');
});

test('a number of steps that were never made settles nothing', () => {
  const session = inRoom();
  session.pushInput(1);
  session.handleBinary(4, snapshotFrame({ tick: 10, processed: 9 }));
  assert.deepEqual(session.inputs.unsettled, { from: 1, to: 1 });
});

test('a room that does not answer for now keeps its place and its inputs', () => {
  const session = inRoom();
  session.handleBinary(4, eventFrame(1));
  session.pushInput(1);
  session.flushInputs(5);
  session.handleText(10, JSON.stringify({ t: 'channel.lost', ch: 'room', reason: 'node_gone' }));
  session.pushInput(2);
  outputs(session, 10);
  session.flushInputs(11);
  assert.deepEqual(framesOfKind(outputs(session, 11), 'input'), []);
  session.handleText(500, roomChannel(true));
  session.flushInputs(510);
  const [input] = framesOfKind(outputs(session, 510), 'input');
  assert.deepEqual([input.offset, input.first, input.steps], [1, 1, [1, 2]]);
  assert.deepEqual(events(session).find(({ type }) => type === 'restored')?.freeze, 490);
});

test('what comes late from a room that was left is nothing', () => {
  const session = inRoom();
  session.leaveRoom();
  events(session);
  session.handleText(5, roomChannel(false));
  session.handleBinary(5, eventFrame(1));
  session.handleBinary(5, snapshotFrame({ tick: 10 }));
  assert.deepEqual([events(session), session.position('room'), session.isInRoom], [[], null, false]);
});

test('the answer to a leave does not close the next room', () => {
  const session = inRoom();
  session.leaveRoom();
  session.joinRoom('another ticket');
  session.handleText(5, roomClosed('left'));
  assert.ok(session.wantsRoom);
  session.handleText(6, roomChannel(false));
  assert.ok(session.isInRoom);
  session.handleText(7, roomClosed('left'));
  assert.ok(!session.wantsRoom, 'this one is about the room that stands');
});

test('inputs of a room that is left, replaced or over are given up aloud', () => {
  const ways = {
    left: (session) => session.leaveRoom(),
    replaced: (session) => session.joinRoom('another ticket'),
    over: (session) => session.handleText(5, roomClosed('finished')),
  };
  for (const [name, leave] of Object.entries(ways)) {
    const session = inRoom();
    session.pushInput(1);
    session.pushInput(2);
    leave(session);
    const given = events(session).find(({ type }) => type === 'inputsGivenUp');
    assert.deepEqual([given?.from, given?.to], [1, 2], name);
  }
});

test('a room that is over when the client is back ends the freeze', () => {
  const session = inRoom();
  session.handleBinary(3, snapshotFrame({ tick: 10 }));
  session.handleClosed(10, null);
  session.handleTimeout(10);
  session.handleConnected(10);
  session.handleText(40, WELCOME);
  assert.ok(!told(session).includes('restored'), 'the room is still to come');
  session.handleText(53, roomClosed('failed'));
  assert.deepEqual(events(session).find(({ type }) => type === 'restored'), { type: 'restored', freeze: 50 });
  assert.ok(!session.wantsRoom);
});

test('leaving a room that does not answer ends the wait for it', () => {
  const session = inRoom();
  session.handleText(10, JSON.stringify({ t: 'channel.lost', ch: 'room', reason: 'node_gone' }));
  session.leaveRoom();
  session.handleText(59_990, matchChannel(false));
  session.handleClosed(60_000, null);
  session.handleTimeout(60_000);
  session.handleConnected(60_000);
  session.handleText(60_100, WELCOME);
  assert.equal(events(session).find(({ type }) => type === 'restored')?.freeze, 110);
});

function toldTicks(session) {
  return events(session).filter(({ type }) => type === 'snapshot').map(({ snapshot }) => snapshot.tick);
}

function textsOf(all) {
  return all.filter(({ type }) => type === 'text').map(({ text }) => JSON.parse(text));
}

/** The control messages that go out now. */
function said(session, now) {
  const texts = outputs(session, now).filter((output) => output.type === 'text');
  return texts.map(({ text }) => JSON.parse(text)).filter(({ t }) => t !== 'hello');
}

test('who watches asks again on each connection, from nothing, and sends no input', () => {
  const session = live(2);
  session.watchRoom('rm_0000000000000007', 9_000);
  const ask = { t: 'room.watch', room: 'rm_0000000000000007', delay_ms: 9_000 };
  assert.deepEqual(said(session, 3), [ask]);
  session.handleText(4, roomChannel(false));
  session.handleBinary(5, snapshotFrame({ tick: 30 }));
  session.pushInput(1);
  session.flushInputs(6);
  assert.deepEqual(framesOfKind(outputs(session, 6), 'input'), []);
  assert.ok(session.isInRoom && told(session).includes('snapshot'));

  session.handleClosed(10, null);
  session.handleTimeout(11);
  session.handleConnected(12);
  const hello = helloOf(outputs(session, 12));
  assert.deepEqual([hello.room, hello.have?.room], [undefined, undefined]);
  session.handleText(13, WELCOME);
  assert.deepEqual(said(session, 13), [ask]);
  session.handleText(14, roomChannel(false, 10));
  session.leaveRoom();
  assert.deepEqual(said(session, 15), [{ t: 'room.unwatch' }]);
  assert.equal(session.wantsRoom, false);
});

test('a watch that is refused is not asked for again, and a room of one\'s own stays', () => {
  const refusal = (re) => JSON.stringify({ t: 'error', code: 'watch_forbidden', message: 'not to be watched', re });
  const session = inRoom();
  session.handleText(4, refusal('room.watch'));
  assert.ok(session.wantsRoom);
  session.watchRoom('rm_0000000000000007');
  session.handleText(5, refusal('room.watch'));
  assert.equal(session.wantsRoom, false);
});
