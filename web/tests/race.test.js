/** The race as the page knows it: interpolation and phases. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Race, shortestTurn } from '../game/race.js';
import { between, DELAY, Timeline } from '../game/timeline.js';

const TICK = 1_000 / 60;

test('the picture runs a fixed time behind the arrival that was delayed least', () => {
  const timeline = new Timeline(60);
  assert.equal(timeline.shown(0), null);
  const delays = [40, 12, 90, 33];
  delays.forEach((delay, index) => timeline.handleArrival(1_000 + index * 50 + delay, index * 3));
  const shown = timeline.shown(2_000);
  assert.ok(Math.abs(shown - (2_000 - 1_012 - DELAY) / TICK) < 1e-6, `${shown}`);
});

test('the clock is slewed, not thrown, by a better arrival', () => {
  const timeline = new Timeline(60);
  timeline.handleArrival(1_000, 0);
  const before = timeline.shown(1_000);
  timeline.handleArrival(1_010, 3);
  const after = timeline.shown(1_016);
  assert.ok(after > before && after - before < 16 / TICK + 0.1, `${after - before}`);
});

test('states between two snapshots are blended and those outside stand still', () => {
  const states = [{ tick: 10, cars: [1, null] }, { tick: 20, cars: [101, 7] }];
  const blend = (from, to, part) => from + (to - from) * part;
  assert.deepEqual(between(states, 15, blend), [51, 7]);
  assert.deepEqual(between(states, 5, blend), [1, null]);
  assert.deepEqual(between(states, 25, blend), [101, 7]);
  assert.deepEqual(between([], 25, blend), []);
});

test('headings are blended the short way round', () => {
  assert.ok(Math.abs(shortestTurn(0.1, 2 * Math.PI - 0.1) + 0.2) < 1e-9);
  assert.ok(Math.abs(shortestTurn(6, 0.2) - (2 * Math.PI - 5.8)) < 1e-9);
});

test('a race goes from countdown to result', () => {
  const race = new Race(attached());
  assert.equal(race.phase, 'countdown');
  race.handleSnapshot(0, state(100, 0));
  assert.deepEqual([race.phase, race.startsIn], ['countdown', 200 / 60]);
  race.handleSnapshot(50, state(303, 1));
  assert.deepEqual([race.phase, race.clock, race.own.x], ['racing', 3 / 60, 10]);
  race.handleEvent({ e: 'race.finish', seat: 0, place: 1, ticks: 900 });
  assert.equal(race.phase, 'racing', 'another one came to the finish');
  race.handleEvent({ e: 'race.finish', seat: 1, place: 2, ticks: 950 });
  assert.equal(race.phase, 'finished');
  race.handleEvent({ e: 'room.ended', result: { standings: [] } });
  assert.equal(race.phase, 'result');
});

test('a resume keeps the race and takes the seats as they are now', () => {
  const race = new Race(attached());
  race.handleSnapshot(0, state(100, 0));
  const again = attached();
  again.seats[0].name = 'Bot';
  race.handleAttached(again, true);
  assert.deepEqual([race.nameOf(0), race.nameOf(5), race.cars.length], ['Bot', 'Car 6', 2]);
});

test('a race that ended meanwhile shows its result at once', () => {
  const result = { standings: [] };
  assert.equal(new Race({ ...attached(), result }).phase, 'result');
});

function attached() {
  return {
    room: 'rm_0000000000000001', game: 'race', seat: 1, tick: 0, tick_hz: 60,
    setup: { laps: 2, track: { name: 'Test', size: [100, 100], width: 20, points: [[0, 0], [90, 0], [50, 90]] } },
    seats: [{ seat: 0, player: 'pl_1', name: 'Ada', bot: false }, { seat: 1, player: 'pl_2', name: 'Ben', bot: false }],
  };
}

function state(tick, phase) {
  const car = { x: 160, y: 320, heading: 256, speed: 16, lap: 0, place: 1, finished: 0, away: 0 };
  return { tick, globals: { phase, start_tick: 300, laps: 2 }, entities: [car, { ...car, place: 2 }, null] };
}
