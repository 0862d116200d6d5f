/** Keys and touch buttons, and the pump that turns them into steps of input for the room. */

/** Bits of a step. */
const BITS = { accelerate: 1, brake: 2, left: 4, right: 8 };

const KEYS = {
  ArrowUp: BITS.accelerate,
  KeyW: BITS.accelerate,
  ArrowDown: BITS.brake,
  KeyS: BITS.brake,
  ArrowLeft: BITS.left,
  KeyA: BITS.left,
  ArrowRight: BITS.right,
  KeyD: BITS.right,
};

/** Steps go out this often, in milliseconds. */
const FLUSH = 50;

/** After a pause (a hidden tab) at most this many steps are made up for: keys were up anyway. */
const MOST_AT_ONCE = 15;

/** Steps that may wait at the room without need: more are delay, and are left out here. */
const SPARE = 3;

/** Snapshots in a second, over which the shortest queue at the room counts. */
const WATCHED = 20;

/** What the player holds down. */
export class Controls {
  #held = new Map();
  /** Pressed since the last look, so that a tap shorter than a step still counts. */
  #tapped = 0;
  /** Called before what is held changes. */
  onChange = () => {};

  /**
   * @param {Window} page whose keys count
   * @param {Iterable<HTMLElement>} buttons each with a `data-drive` that names a bit
   */
  constructor(page, buttons) {
    page.addEventListener('keydown', (event) => this.#handleKey(event, true));
    page.addEventListener('keyup', (event) => this.#handleKey(event, false));
    page.addEventListener('blur', () => this.#release());
    for (const button of buttons) this.#watch(button);
  }

  /** Whether keys drive now; if not they do what they do on any page. */
  enabled = false;

  /** @returns {number} the bits of a step made now */
  take() {
    let step = this.#tapped;
    for (const bit of this.#held.values()) step |= bit;
    this.#tapped = 0;
    return step;
  }

  #handleKey(event, down) {
    const bit = KEYS[event.code];
    const elsewhere = event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLInputElement;
    if (!bit || (down && (!this.enabled || elsewhere))) return;
    if (this.enabled) event.preventDefault();
    this.#set(event.code, down ? bit : 0);
  }

  #watch(button) {
    const bit = BITS[button.dataset.drive ?? ''];
    const set = (down) => (event) => {
      event.preventDefault();
      this.#set(button, down ? bit : 0);
    };
    button.addEventListener('pointerdown', (event) => {
      button.setPointerCapture(event.pointerId);
      set(true)(event);
    });
    for (const type of ['pointerup', 'pointercancel', 'lostpointercapture']) {
      button.addEventListener(type, set(false));
    }
    button.addEventListener('contextmenu', (event) => event.preventDefault());
  }

  #set(what, bit) {
    this.onChange();
    if (bit === 0) {
      this.#held.delete(what);
    } else {
      this.#held.set(what, bit);
      this.#tapped |= bit;
    }
  }

  #release() {
    this.onChange();
    this.#held.clear();
  }
}

/** Makes one step for each tick that passes and sends them in batches. */
export class Pump {
  #client;
  #controls;
  #stepMillis = 1_000 / 60;
  /** @type {number | null} when the next step is due; `null` while not in a room */
  #due = null;
  #queued = [];
  #timer = 0;

  /**
   * @param {import("../sdk/client.js").Client} client
   * @param {Controls} controls
   */
  constructor(client, controls) {
    this.#client = client;
    this.#controls = controls;
    controls.onChange = () => this.#advance(performance.now());
  }

  /** @param {number} tickHz steps a second */
  start(tickHz) {
    this.stop();
    this.#stepMillis = 1_000 / tickHz;
    this.#due = performance.now();
    this.#timer = window.setInterval(() => this.#flush(), FLUSH);
  }

  stop() {
    window.clearInterval(this.#timer);
    this.#due = null;
    this.#queued = [];
  }

  /**
   * The room says how many steps wait there: what always waits is delay, so it is worked off.
   * @param {number} queued
   */
  handleQueued(queued) {
    this.#queued.push(queued);
    if (this.#queued.length < WATCHED) return;
    const surplus = Math.min(...this.#queued) - SPARE;
    this.#queued = [];
    if (surplus > 0 && this.#due !== null) this.#due += surplus * this.#stepMillis;
  }

  #flush() {
    this.#advance(performance.now());
    this.#client.flushInputs();
  }

  #advance(now) {
    if (this.#due === null) return;
    this.#due = Math.max(this.#due, now - MOST_AT_ONCE * this.#stepMillis);
    for (; this.#due <= now; this.#due += this.#stepMillis) this.#client.pushInput(this.#controls.take());
  }
}
