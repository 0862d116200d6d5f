/** Drives a page's car by real key presses, by what `window.pixelrush` shows. */

/** How often the keys are chosen, in milliseconds. */
const EVERY = 60;

/** Turns smaller than this are left alone, in radians. */
const STRAIGHT = 0.09;

/** Beyond this the corner is too sharp for full speed. */
const SHARP = 0.9;

/** How far ahead to aim: so many widths of the road, and so many seconds of the present speed. */
const AHEAD = { widths: 0.9, seconds: 0.35 };

/**
 * Presses keys until the race is over for this player.
 * @param {import("playwright-core").Page} page
 * @param {AbortSignal} signal
 */
export async function drive(page, signal) {
  const held = new Set();
  while (!signal.aborted) {
    const state = await page.evaluate(() => window.pixelrush.state());
    if (state.phase === 'finished' || state.phase === 'result') break;
    await hold(page, held, wantedKeys(state));
    await page.waitForTimeout(EVERY);
  }
  await hold(page, held, new Set());
}

/** @returns {Set<string>} */
export function wantedKeys({ phase, seat, cars, track }) {
  const own = cars.find((car) => car.seat === seat);
  if (phase !== 'racing' || !own || !track) return new Set();
  const aim = pointAhead(track.points, own, AHEAD.widths * track.width + AHEAD.seconds * own.speed);
  const turn = wrapped(Math.atan2(aim[1] - own.y, aim[0] - own.x) - own.heading);
  const keys = new Set();
  const fast = own.speed > track.width * 1.2;
  if (Math.abs(turn) > SHARP && fast) keys.add('ArrowDown');
  else keys.add('ArrowUp');
  if (turn > STRAIGHT) keys.add('ArrowRight');
  if (turn < -STRAIGHT) keys.add('ArrowLeft');
  return keys;
}

async function hold(page, held, wanted) {
  for (const key of [...held].filter((key) => !wanted.has(key))) {
    await page.keyboard.up(key);
    held.delete(key);
  }
  for (const key of [...wanted].filter((key) => !held.has(key))) {
    await page.keyboard.down(key);
    held.add(key);
  }
}

/** The point of the closed line that lies `distance` beyond the one nearest to the car. */
function pointAhead(points, car, distance) {
  const away = ([x, y]) => Math.hypot(x - car.x, y - car.y);
  let index = points.reduce((best, point, at) => (away(point) < away(points[best]) ? at : best), 0);
  for (let left = distance; left > 0; ) {
    const next = (index + 1) % points.length;
    const length = Math.hypot(points[next][0] - points[index][0], points[next][1] - points[index][1]);
    if (length >= left) {
      const part = left / length;
      return [0, 1].map((axis) => points[index][axis] + (points[next][axis] - points[index][axis]) * part);
    }
    left -= length;
    index = next;
  }
  return points[index];
}

function wrapped(turn) {
  return Math.atan2(Math.sin(turn), Math.cos(turn));
}
