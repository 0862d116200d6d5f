/** One player: a browser context of its own, a network of its own, one page. */

import { join } from 'node:path';

import { Network } from './network.mjs';

/** How often a page is asked how it stands, in milliseconds. */
const EVERY = 50;

/** Flags for a browser that runs unseen, on its own, and does not slow down what is not in front. */
export const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-background-timer-throttling',
  '--disable-renderer-backgrounding',
  '--disable-backgrounding-occluded-windows',
];

export class Player {
  /** What the page complained about. */
  errors = [];
  #networks = [];
  #context;
  #shots;

  /** @param {string} name */
  constructor(name) {
    this.name = name;
  }

  /**
   * Opens the game's page through networks of this player's own.
   * @param {import("playwright-core").Browser} browser
   * @param {{urls: URL[], viewport: {width: number, height: number}, touch?: boolean, shots?: string}} options
   */
  async open(browser, { urls, viewport, touch, shots }) {
    this.#shots = shots;
    this.#networks = urls.map((url) => new Network(url));
    const hosts = await Promise.all(this.#networks.map((network) => network.open()));
    this.#context = await browser.newContext({ viewport, hasTouch: touch, isMobile: touch });
    this.page = await this.#context.newPage();
    this.page.on('pageerror', (error) => this.errors.push(error.message));
    this.page.on('console', (message) => {
      if (message.type() === 'error' && /Content Security Policy/i.test(message.text())) this.errors.push(message.text());
    });
    const several = hosts.length > 1 ? `?addresses=${hosts.map((host) => `ws://${host}/v1/ws`).join(',')}` : '';
    await this.page.goto(`http://${hosts[0]}/${several}`);
    // A reload would lose it.
    await this.page.evaluate(() => {
      window.sameLoad = true;
    });
  }

  async enterQueue() {
    await this.page.getByLabel('Your name').fill(this.name);
    await this.page.getByRole('button', { name: 'Race', exact: true }).click();
  }

  /** @returns {Promise<any>} */
  state() {
    return this.page.evaluate(() => window.pixelrush.state());
  }

  /**
   * Waits until the page's state is as wanted.
   * @param {string} what for the error if it never is
   * @param {(state: any) => boolean} wanted
   * @param {number} timeout
   */
  async until(what, wanted, timeout) {
    const deadline = performance.now() + timeout;
    for (;;) {
      // Asked from here: the page's policy forbids the `eval` that waiting in the page needs.
      const state = await this.state();
      if (wanted(state)) return state;
      if (performance.now() > deadline) {
        throw new Error(`${this.name}: not ${what} within ${timeout} ms: ${this.#describe(state)}`);
      }
      await this.page.waitForTimeout(EVERY);
    }
  }

  goDark() {
    for (const network of this.#networks) network.goDark();
  }

  comeBack() {
    for (const network of this.#networks) network.comeBack();
  }

  isSameLoad() {
    return this.page.evaluate(() => window.sameLoad === true);
  }

  #describe({ phase, room, tick, connection, events, error }) {
    return JSON.stringify({ phase, room, tick, connection, events, error, page: this.errors });
  }

  /** @param {string} shot */
  async shoot(shot) {
    if (!this.#shots) return;
    await this.page.screenshot({ path: join(this.#shots, `${shot}-${this.name.toLowerCase()}.png`) });
  }

  async close() {
    await this.#context?.close();
    for (const network of this.#networks) network.close();
  }
}
