/**
 * Two people play a race in a real browser, and one loses the network for three seconds.
 *
 * PIXELRUSH_URL     where the server listens, for example http://127.0.0.1:7000; several gateways
 *                   of one deployment with commas between (the first serves the page)
 * PIXELRUSH_SHOTS   a directory for screenshots; none are taken without it
 * PIXELRUSH_CHROMIUM  the browser, /usr/bin/chromium unless given
 */

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { test } from 'node:test';

import { chromium } from 'playwright-core';

import { drive } from './autopilot.mjs';
import { FLAGS, Player } from './player.mjs';

/** How long the network is gone, and how soon after it the race must be back. */
const DARK = 3_000;
const BACK_WITHIN = 4_000;

/** A queue that fills with bots, a countdown, and a slow race. */
const QUEUE_WITHIN = 60_000;
const RACE_WITHIN = 240_000;

const urls = (process.env.PIXELRUSH_URL ?? 'http://127.0.0.1:7000').split(',').map((url) => new URL(url.trim()));
const shots = process.env.PIXELRUSH_SHOTS;

test('two players meet in one race and finish it though one loses the network', async (t) => {
  if (shots) await mkdir(shots, { recursive: true });
  const browser = await chromium.launch({
    executablePath: process.env.PIXELRUSH_CHROMIUM ?? '/usr/bin/chromium',
    args: FLAGS,
  });
  t.after(() => browser.close());
  const ada = new Player('Ada');
  const ben = new Player('Ben');
  t.after(() => Promise.all([ada.close(), ben.close()]));
  await ada.open(browser, { urls, shots, viewport: { width: 1100, height: 720 } });
  await ben.open(browser, { urls, shots, viewport: { width: 390, height: 780 }, touch: true });

  await meet(ada, ben);
  const stop = new AbortController();
  t.after(() => stop.abort());
  const driving = Promise.all([drive(ada.page, stop.signal), drive(ben.page, stop.signal)]);
  // What fails first is told; the other must not go unhandled.
  driving.catch(() => {});
  await loseNetwork(ben, ada);
  await Promise.race([driving, finished(ada, ben)]);
  await finished(ada, ben);
  await driving;
  await compareResults(ada, ben);
  for (const player of [ada, ben]) assert.deepEqual(player.errors, [], `${player.name}'s page complained`);
});

async function meet(ada, ben) {
  await ada.shoot('1-lobby');
  await ben.shoot('1-lobby');
  await ada.enterQueue();
  await ben.enterQueue();
  await ada.until('in the queue', (state) => state.phase !== 'lobby' && state.phase !== 'connecting', 10_000);
  await ada.shoot('2-queue');
  const inRace = (state) => state.phase === 'countdown' || state.phase === 'racing';
  const seen = await Promise.all([ada, ben].map((player) => player.until('in a race', inRace, QUEUE_WITHIN)));
  assert.equal(seen[0].room, seen[1].room, 'both are in the same room');
  assert.notEqual(seen[0].seat, seen[1].seat);
  await ada.until('among eight cars', (state) => state.cars.length === 8, 5_000);
  await ada.shoot('3-countdown');
}

async function loseNetwork(player, other) {
  const underWay = (state) => state.phase === 'racing' && state.clock > 8 && ownCar(state).speed > 40;
  const before = await player.until('driving', underWay, 60_000);
  await other.shoot('4-racing');
  await player.shoot('4-racing');
  player.goDark();
  const dark = other.page.waitForTimeout(DARK);
  await player.until('aware that the connection is lost', (state) => state.connection.lost > 0, DARK);
  await player.shoot('5-lost');
  const meanwhile = ownCar({ ...(await other.state()), seat: before.seat });
  assert.ok(meanwhile, 'the others still see the car');
  await dark;
  player.comeBack();
  await player.until('back in the race', (state) => state.connection.restored > 0, BACK_WITHIN);
  const after = await player.until('seeing it move on', (state) => state.cars.length === 8, 2_000);
  await player.shoot('6-back');
  assert.equal(after.room, before.room, 'back in the same race');
  assert.equal(after.seat, before.seat, 'on the same seat');
  assert.ok(after.tick > before.tick, 'and further on');
  assert.ok(await player.isSameLoad(), 'without a reload');
  assert.ok(after.connection.lastFreeze > DARK * 0.9, `the freeze is reported: ${after.connection.lastFreeze} ms`);
}

function ownCar({ cars, seat }) {
  return cars.find((car) => car.seat === seat);
}

function finished(...players) {
  const over = (state) => state.phase === 'result';
  return Promise.all(players.map((player) => player.until('shown a result', over, RACE_WITHIN)));
}

async function compareResults(ada, ben) {
  const [one, two] = await Promise.all([ada.state(), ben.state()]);
  assert.deepEqual(one.result, two.result, 'both have the same result');
  const own = (state) => state.result.standings.find((standing) => standing.seat === state.seat);
  assert.equal(own(one).name, ada.name);
  assert.equal(own(two).name, ben.name);
  for (const standing of [own(one), own(two)]) {
    assert.ok(Number.isInteger(standing.ticks), `${standing.name} came to the finish by key presses`);
  }
  for (const player of [ada, ben]) {
    for (const name of [ada.name, ben.name]) await player.page.getByRole('cell', { name, exact: true }).waitFor();
    await player.shoot('7-result');
    assert.equal((await player.state()).events['room.ended'], 1, 'the end was told once');
  }
}
