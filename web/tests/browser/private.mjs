/**
 * A private room in real browsers: opened, entered by its link, started when the guest is ready.
 *
 * PIXELRUSH_URL, PIXELRUSH_CHROMIUM  as in race.mjs
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chromium } from 'playwright-core';

import { FLAGS } from './player.mjs';

const PATIENCE = 20_000;

const url = (process.env.PIXELRUSH_URL ?? 'http://127.0.0.1:7000').split(',')[0];

test('friends meet by a link, and the leader begins when the guest is ready', async (t) => {
  const browser = await chromium.launch({
    executablePath: process.env.PIXELRUSH_CHROMIUM ?? '/usr/bin/chromium',
    args: FLAGS,
  });
  t.after(() => browser.close());
  const ada = await open(browser, url);
  await ada.fill('#name', 'Ada');
  await ada.click('#gather');
  await ada.waitForSelector('#private li');
  const link = await ada.inputValue('[data-part="link"]');
  assert.match(link, /#join=[A-Z0-9]{8}$/);

  const ben = await open(browser, link);
  await ben.fill('#name', 'Ben');
  await ben.click('#enter');
  await until(ben, () => document.querySelectorAll('#private li').length === 2);
  await until(ada, () => document.querySelectorAll('#private li').length === 2);
  assert.equal(new URL(ben.url()).hash, '', 'a reload does not ask again');
  assert.ok(await ada.isDisabled('#private-start'), 'the guest is not ready');
  assert.ok(await ben.isHidden('#private-start'), 'the guest does not lead');

  await ben.check('#private-ready');
  await until(ada, () => !(/** @type {HTMLButtonElement} */ (document.querySelector('#private-start')).disabled));
  await ada.click('#private-start');
  for (const page of [ada, ben]) {
    await until(page, () => ['countdown', 'racing'].includes(document.body.dataset.phase ?? ''));
  }
  const rooms = await Promise.all([ada, ben].map((page) => page.evaluate(() => globalThis.pixelrush.state().room)));
  assert.ok(rooms[0]);
  assert.equal(rooms[0], rooms[1], 'they race each other');
});

async function open(browser, address) {
  // A context of its own: another device.
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(PATIENCE);
  await page.goto(address);
  return page;
}

function until(page, holds) {
  return page.waitForFunction(holds, undefined, { timeout: PATIENCE });
}
