/** The page's text: which part is shown, and what it says. Drawing the race is render.js. */

import { CAR_COLOURS } from './cars.js';

/** Parts of the page by the phase that shows them; the others show the race. */
const SECTIONS = {
  lobby: 'lobby', connecting: 'queue', queue: 'queue', proposed: 'queue', accepted: 'queue', found: 'queue', private: 'private',
  result: 'result',
};

/** The client's states in a player's words. */
const LINK = {
  idle: 'not connected',
  logging_in: 'logging in',
  paused: 'reconnecting',
  connecting: 'connecting',
  greeting: 'connecting',
  live: 'connected',
  ended: 'not connected',
};

const HEADLINES = {
  connecting: 'Connecting…',
  queue: 'Looking for players…',
  proposed: 'Race found: are you in?',
  accepted: 'Waiting for the others…',
  found: 'Race found!',
};

/** How long a passing notice stays, in milliseconds. */
const NOTICE = 2_500;

export class Screens {
  #noticeTimer = 0;
  #shown = '';
  #section = '';
  #countdown = '';

  constructor() {
    this.form = /** @type {HTMLFormElement} */ (element('join'));
    this.name = /** @type {HTMLInputElement} */ (element('name'));
    this.canvas = /** @type {HTMLCanvasElement} */ (element('picture'));
    this.enter = element('enter');
    this.leaveQueue = element('leave-queue');
    this.accept = element('accept');
    this.decline = element('decline');
    this.gather = element('gather');
    this.private = element('private');
    this.ready = /** @type {HTMLInputElement} */ (element('private-ready'));
    this.start = element('private-start');
    this.leavePrivate = element('private-leave');
    this.leaveRace = element('leave-race');
    this.again = element('again');
    this.showEvents = element('show-events');
    this.events = element('event-list');
    this.showRatings = element('show-ratings');
    this.ratings = element('ratings-panel');
    this.touch = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('[data-drive]'));
  }

  /** @param {string} phase */
  show(phase) {
    if (phase === this.#shown) return;
    this.#shown = phase;
    document.body.dataset.phase = phase;
    if (HEADLINES[phase]) element('queue-title').textContent = HEADLINES[phase];
    element('proposal').hidden = phase !== 'proposed';
    this.leaveQueue.hidden = phase === 'proposed' || phase === 'accepted';
    const section = SECTIONS[phase] ?? 'race';
    if (section === this.#section) return;
    this.#section = section;
    for (const part of document.querySelectorAll('main > section')) {
      /** @type {HTMLElement} */ (part).hidden = part.id !== section;
    }
    this.#focus(section);
  }

  /** The name was refused, or is not any more. */
  showNameRefused(refused) {
    if ((this.name.getAttribute('aria-invalid') === 'true') === refused) return;
    this.name.setAttribute('aria-invalid', String(refused));
    if (refused) this.name.focus();
  }

  /** @param {import("../sdk/control.js").QueueState | null} queue */
  showQueue(queue) {
    const waiting = queue ? Math.floor(queue.waiting_ms / 1_000) : 0;
    setText('queue-waiting', `${waiting} s`);
    setText('queue-size', queue ? String(queue.size) : '…');
    const estimate = queue?.estimate_ms;
    setText('queue-estimate', estimate == null ? 'not known yet' : `about ${Math.max(1, Math.round(estimate / 1_000))} s`);
  }

  /**
   * How much longer a match asks.
   * @param {{until: number} | null} proposed
   */
  showProposal(proposed) {
    const left = proposed ? Math.max(0, Math.ceil((proposed.until - performance.now()) / 1_000)) : 0;
    setText('accept', `I am in (${left} s)`);
  }

  /** @param {import("./race.js").Race} race */
  showRace(race) {
    const own = race.own;
    const lap = Math.min(Math.max(own?.lap ?? 1, 1), race.laps);
    setText('hud-lap', `Lap ${lap}/${race.laps}`);
    setText('hud-place', own ? `${ordinal(own.place)} of ${race.cars.length}` : '');
    setText('hud-clock', clockText(race.clock));
    setText('hud-speed', `${Math.round((own?.speed ?? 0) * 2)} km/h`);
    this.#showCountdown(race);
  }

  /**
   * @param {any} result
   * @param {number} seat
   * @param {number} tickHz
   */
  showResult(result, seat, tickHz) {
    const standings = [...result.standings].sort((a, b) => a.place - b.place);
    element('standings').replaceChildren(...standings.map((standing) => row(standing, seat, tickHz)));
    const own = standings.find((standing) => standing.seat === seat);
    setText('result-title', own ? `You came ${ordinal(own.place)}` : 'Result');
  }

  /** @param {string} text what the race did to the player's rating, once that is known */
  showRatingChange(text) {
    setText('rating-change', text);
  }

  /**
   * A connection that is lost, until it is back.
   * @param {string} text
   */
  showBanner(text) {
    clearTimeout(this.#noticeTimer);
    this.#banner(text, 'lost');
  }

  /**
   * Something that passes.
   * @param {string} text
   */
  showNotice(text) {
    this.#banner(text, 'notice');
    clearTimeout(this.#noticeTimer);
    this.#noticeTimer = window.setTimeout(() => this.hideBanner(), NOTICE);
  }

  hideBanner() {
    this.#banner('', '');
  }

  /** What was lost is not waited for any more. */
  hideLost() {
    if (element('banner').dataset.kind === 'lost') this.hideBanner();
  }

  /** @param {string} text what went wrong; '' clears it */
  showError(text) {
    setText('error', text);
    element('error').hidden = text === '';
  }

  /**
   * @param {string} state
   * @param {number | null} rtt
   */
  showLink(state, rtt) {
    const words = LINK[state] ?? state;
    setText('link', state === 'live' && rtt !== null ? `${words} · ${Math.round(rtt)} ms` : words);
    element('link').dataset.state = state;
  }

  #banner(text, kind) {
    const banner = element('banner');
    setText('banner', text);
    banner.hidden = text === '';
    banner.dataset.kind = kind;
  }

  /** What had the focus is gone: a key pressed next must find what is there now. */
  #focus(section) {
    if (section === 'lobby') (this.name.value === '' ? this.name : this.enter).focus();
    else if (section === 'result') this.again.focus();
    // No button: whoever still holds the key that brought them here would press it.
    else element(section).focus({ preventScroll: true });
  }

  #showCountdown(race) {
    const text = countdownText(race);
    if (text === this.#countdown) return;
    this.#countdown = text;
    setText('countdown', text);
  }
}

function countdownText(race) {
  if (race.phase === 'finished') return 'Finished!';
  if (race.phase === 'countdown') return race.startsIn > 0 ? String(Math.ceil(race.startsIn)) : 'Get ready';
  return race.startsIn > -1 ? 'Go!' : '';
}

function row(standing, seat, tickHz) {
  const line = document.createElement('tr');
  const time = standing.ticks == null ? 'did not finish' : clockText(standing.ticks / tickHz);
  for (const text of [`${standing.place}.`, standing.name, time]) {
    const cell = document.createElement('td');
    cell.textContent = text;
    line.append(cell);
  }
  const swatch = document.createElement('span');
  swatch.className = 'swatch';
  // By the object model: the page's policy forbids style attributes.
  swatch.style.background = CAR_COLOURS[standing.seat % CAR_COLOURS.length];
  line.children[1].prepend(swatch);
  if (standing.bot) line.classList.add('bot');
  if (standing.seat === seat) {
    line.classList.add('own');
    line.setAttribute('aria-current', 'true');
  }
  return line;
}

/** @param {number} seconds */
export function clockText(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - minutes * 60).toFixed(2).padStart(5, '0')}`;
}

/** @param {number} place */
export function ordinal(place) {
  const suffix = { 1: 'st', 2: 'nd', 3: 'rd' }[place % 10];
  return `${place}${suffix && Math.floor(place / 10) % 10 !== 1 ? suffix : 'th'}`;
}

function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/** Leaves the text alone if it is the same, so that a screen reader is not told again. */
function setText(id, text) {
  const target = element(id);
  if (target.textContent !== text) target.textContent = text;
}
