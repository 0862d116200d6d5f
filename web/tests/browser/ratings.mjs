/**
 * A race that counts, in a real browser: the rating changes and is told, the leaderboard and the
 * last races show it, the data can be saved, and everything can be erased.
 *
 * PIXELRUSH_URL, PIXELRUSH_CHROMIUM  as in race.mjs
 */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import { chromium } from 'playwright-core';

import { drive } from './autopilot.mjs';
import { FLAGS, Player } from './player.mjs';

const PATIENCE = 20_000;
const QUEUE_WITHIN = 60_000;
const RACE_WITHIN = 240_000;

const urls = (process.env.PIXELRUSH_URL ?? 'http://127.0.0.1:7000').split(',').map((url) => new URL(url.trim()));

test('a race changes the rating, which is shown, saved, and erased', async (t) => {
  const browser = await chromium.launch({
    executablePath: process.env.PIXELRUSH_CHROMIUM ?? '/usr/bin/chromium',
    args: FLAGS,
  });
  t.after(() => browser.close());
  const cleo = new Player('Cleo');
  t.after(() => cleo.close());
  await cleo.open(browser, { urls, viewport: { width: 1100, height: 900 } });

  await cleo.enterQueue();
  await cleo.until('in a race', ({ phase }) => phase === 'countdown' || phase === 'racing', QUEUE_WITHIN);
  const stop = new AbortController();
  t.after(() => stop.abort());
  const driving = drive(cleo.page, stop.signal);
  driving.catch(() => {});
  const over = cleo.until('shown a result', ({ phase }) => phase === 'result', RACE_WITHIN);
  await Promise.race([driving, over]);
  await over;
  stop.abort();
  const { rating } = await cleo.until('told the rating', (state) => state.rating.change !== null, PATIENCE);
  assert.equal(rating.change.before, 1500);
  await reads(cleo, '#rating-change', new RegExp(`^Rating 1500 → ${rating.change.after} \\(`));

  await cleo.page.reload();
  // After a result, a reload is in the lobby.
  await cleo.page.click('#show-ratings');
  await reads(cleo, part('own'), new RegExp(`^${rating.change.after} ± \\d+$`));
  await reads(cleo, part('games'), /^1 race, \d won$/);
  await reads(cleo, `${part('leaders')} tr.own`, new RegExp(`Cleo${rating.change.after}$`));
  await reads(cleo, `${part('matches')} tr`, new RegExp(`1500 → ${rating.change.after}$`));

  const saved = cleo.page.waitForEvent('download');
  await cleo.page.click(part('export'));
  const data = JSON.parse(await readFile(await (await saved).path(), 'utf8'));
  assert.equal(data.profile.name, 'Cleo');
  assert.equal(data.matches.length, 1);

  await cleo.page.click(part('erase'));
  await cleo.page.click(part('keep'));
  await cleo.page.click(part('erase'));
  await cleo.page.click(part('really'));
  await reads(cleo, part('note'), /^Everything was erased/);
  assert.equal(await cleo.page.inputValue('#name'), '', 'nobody is remembered');
  await cleo.page.fill('#name', 'Dora');
  await cleo.page.click('#show-ratings');
  await reads(cleo, part('own'), /^Not rated yet/);
  await reads(cleo, part('leaders'), /^(?!.*Cleo)/);
  assert.deepEqual(cleo.errors, [], 'the page complained');
});

function part(name) {
  return `#ratings-panel [data-part="${name}"]`;
}

/** Waits until a part of the page reads like this. */
async function reads(player, selector, wanted) {
  const found = player.page.locator(selector).first();
  const until = Date.now() + PATIENCE;
  let text = '';
  for (;;) {
    text = (await found.textContent({ timeout: PATIENCE }))?.trim() ?? '';
    if (wanted.test(text)) return;
    assert.ok(Date.now() < until, `${selector} reads ${JSON.stringify(text)}, not ${wanted}`);
    await player.page.waitForTimeout(50);
  }
}
