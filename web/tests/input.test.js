/** Keys and the pump on a virtual clock, against a room that is played here. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { Controls, Pump } from '../game/input.js';

const TICK = 1_000 / 60;
const ACCELERATE = 1;
const LEFT = 4;

/** As many as the server lets wait, and as many as it tells of. */
const QUEUE_LIMIT = 30;
const MOST_TOLD = 15;

let now = 0;

beforeEach(() => {
  now = 0;
  mock.timers.enable({ apis: ['setInterval'] });
});

afterEach(() => mock.timers.reset());

test('one step is made for each tick and sent every 50 ms', () => {
  const { pump, room } = started();
  pass(1_000);
  assert.ok(Math.abs(room.pushed.length - 60) <= 1, `${room.pushed.length}`);
  assert.equal(room.flushes, 20);
  pump.stop();
  pass(1_000);
  assert.equal(room.flushes, 20);
});

test('what waits is flushed also when no step is new', () => {
  const { room } = started();
  room.isInRoom = false;
  pass(1_000);
  assert.deepEqual([room.pushed.length, room.flushes], [0, 20]);
});

test('steps that queue at the room after a stall are worked off, and driving goes on meanwhile', () => {
  for (const queued of [6, 12, QUEUE_LIMIT]) {
    const { pump, room } = started();
    room.queued = queued;
    const { waited, fewest } = play(pump, room, 4);
    assert.ok(waited[2] <= 4, `within three seconds: ${waited}`);
    assert.ok(waited.at(-1) >= 1, `what bridges a late batch is left: ${waited}`);
    assert.ok(fewest >= 2, `${queued}: only ${fewest} steps of six were made`);
    pump.stop();
  }
});

test('a queue that is short at times is left alone', () => {
  const { pump, room } = started();
  for (let snapshot = 0; snapshot < 60; snapshot += 1) {
    pump.handleQueued(snapshot % 7 === 0 ? 2 : 9);
    pass(50);
  }
  assert.ok(Math.abs(room.pushed.length - 180) <= 1, `${room.pushed.length}`);
});

test('keys that are pressed while the room does not answer do nothing later', () => {
  const { controls, room } = started();
  pass(100);
  room.isInRoom = false;
  const before = room.pushed.length;
  controls.tap(LEFT);
  pass(3_000);
  room.isInRoom = true;
  pass(100);
  const since = room.pushed.slice(before);
  assert.ok(since.length <= 7, `nothing is made up for: ${since.length}`);
  assert.ok(since.every((step) => step === 0));
});

test('a hidden page makes up for little', () => {
  const { room } = started();
  now += 10_000;
  mock.timers.tick(50);
  assert.ok(room.pushed.length <= 7, `${room.pushed.length}`);
});

test('a tap shorter than a step counts, also if that step is left out', () => {
  const { pump, controls, room } = started();
  for (let snapshot = 0; snapshot < 10; snapshot += 1) pump.handleQueued(MOST_TOLD);
  for (let tap = 0; tap < 20; tap += 1) {
    const before = room.pushed.length;
    controls.tap(LEFT);
    pass(100);
    assert.ok(room.pushed.slice(before).includes(LEFT), `tap ${tap}`);
  }
});

test('keys drive while they are enabled, and are let go when the page loses the focus', () => {
  globalThis.HTMLInputElement ??= /** @type {any} */ (class {});
  const page = new EventTarget();
  const controls = new Controls(/** @type {any} */ (page), []);
  const key = (type, code) => page.dispatchEvent(Object.assign(new Event(type), { code }));
  key('keydown', 'KeyW');
  assert.equal(controls.take(), 0, 'not enabled');
  controls.enabled = true;
  key('keydown', 'KeyW');
  key('keydown', 'ArrowLeft');
  key('keyup', 'ArrowLeft');
  assert.equal(controls.take(), ACCELERATE | LEFT, 'a tap counts once');
  assert.equal(controls.take(), ACCELERATE);
  page.dispatchEvent(new Event('blur'));
  assert.equal(controls.take(), 0);
});

/** A pump that runs, the room that it fills, and controls that nobody touches. */
function started() {
  const room = {
    isInRoom: true,
    queued: 0,
    pushed: [],
    flushes: 0,
    unsent: 0,
    pushInput(step) {
      this.pushed.push(step);
      this.unsent += 1;
    },
    flushInputs() {
      this.flushes += 1;
      this.queued = Math.min(QUEUE_LIMIT, this.queued + this.unsent);
      this.unsent = 0;
    },
  };
  const controls = {
    onChange: () => {},
    tapped: 0,
    tap(bit) {
      this.onChange();
      this.tapped |= bit;
    },
    take() {
      const step = this.tapped;
      this.tapped = 0;
      return step;
    },
  };
  const pump = new Pump(room, controls, () => now);
  pump.start(60);
  return { pump, controls, room };
}

/**
 * The room applies a step a tick and says every third tick how many wait.
 * @returns {{waited: number[], fewest: number}} how many waited at the end of each second, and
 *   the fewest steps that were made in six ticks
 */
function play(pump, room, seconds) {
  const waited = [];
  let fewest = 6;
  let made = room.pushed.length;
  for (let tick = 1; tick <= seconds * 60; tick += 1) {
    pass(TICK);
    room.queued = Math.max(0, room.queued - 1);
    if (tick % 3 === 0) pump.handleQueued(Math.min(room.queued, MOST_TOLD));
    if (tick % 6 === 0) {
      fewest = Math.min(fewest, room.pushed.length - made);
      made = room.pushed.length;
    }
    if (tick % 60 === 0) waited.push(room.queued);
  }
  return { waited, fewest };
}

function pass(millis) {
  for (let left = millis; left > 0; left -= TICK) {
    now += Math.min(TICK, left);
    mock.timers.tick(Math.min(TICK, left));
  }
}
