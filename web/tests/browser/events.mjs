/**
 * A seat of an event in a real browser: seen, reserved, confirmed, and still there after a reload.
 * Another player sees it go. The server has the event `browser` with one seat.
 *
 * PIXELRUSH_URL, PIXELRUSH_CHROMIUM  as in race.mjs
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chromium } from 'playwright-core';

import { FLAGS } from './player.mjs';

const PATIENCE = 20_000;

const url = (process.env.PIXELRUSH_URL ?? 'http://127.0.0.1:7000').split(',')[0];

test('a seat is reserved, confirmed, and there after a reload; others see it go', async (t) => {
  const browser = await chromium.launch({
    executablePath: process.env.PIXELRUSH_CHROMIUM ?? '/usr/bin/chromium',
    args: FLAGS,
  });
  t.after(() => browser.close());
  const ada = await open(browser);
  const ben = await open(browser);
  await told(ada, 'free', '1 of 1 seats left');
  await told(ben, 'free', '1 of 1 seats left');

  await press(ada, 'reserve');
  await told(ada, 'own', /^Seat 1 is yours for \d+ s: confirm it$/);
  await told(ben, 'free', '0 of 1 seats left');
  await press(ben, 'reserve');
  await told(ben, 'note', /No seat is free just now/);
  await press(ada, 'confirm');
  await told(ada, 'own', 'Seat 1 is yours');

  await ada.reload();
  await showEvents(ada);
  await told(ada, 'own', 'Seat 1 is yours');
  await told(ada, 'free', '0 of 1 seats left');
});

async function open(browser) {
  // A context of its own: another device.
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(PATIENCE);
  await page.goto(url);
  await page.fill('#name', 'Ada');
  await showEvents(page);
  return page;
}

async function showEvents(page) {
  await page.click('#show-events');
  await page.waitForSelector('[data-event="browser"]');
}

async function press(page, what) {
  await page.click(`[data-event="browser"] button[data-ask="${what}"]`);
}

/** Waits until a part of the event's row reads like this. */
async function told(page, part, wanted) {
  const found = page.locator(`[data-event="browser"] [data-part="${part}"]`);
  const reads = (text) => (typeof wanted === 'string' ? text === wanted : wanted.test(text));
  const until = Date.now() + PATIENCE;
  let text = await found.textContent();
  while (!reads(text ?? '') && Date.now() < until) {
    await page.waitForTimeout(50);
    text = await found.textContent();
  }
  assert.ok(reads(text ?? ''), `${part} reads ${JSON.stringify(text)}, not ${wanted}`);
}
