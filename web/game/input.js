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

/**
 * After a pause at most this many steps are made up for: a late timer, not a page that was stopped.
 * The room went on without the others, and would apply them on top of the delay.
 */
const MOST_AT_ONCE = 6;

/** Steps that may wait at the room: they bridge a late batch. More are delay. */
const SPARE = 3;

/** Snapshots, half a second of them, over which the shortest queue at the room counts. */
const WATCHED = 10;

/** While the queue is too long one step in so many is left out, so that driving goes on. */
const SKIP_ONE_IN = 4;

/** The same while so many are still to be left out: the delay is worse than the gaps. */
const SKIP_FAST_ONE_IN = 2;
const FAST_FROM = 8;

/** A snapshot that tells so many may mean more. */
const MOST_TOLD = 15;

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

/**
 * Makes one step for each tick that passes and sends them in batches. Steps that queue up at the
 * room after a stall would stay there for the rest of the race, for it applies one a tick: they
 * are worked off by making fewer.
 */
export class Pump {
  #client;
  #controls;
  #now;
  #stepMillis = 1_000 / 60;
  /** @type {number | null} when the next step is due; `null` while not in a room */
  #due = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  /** @type {number[]} how many steps waited at the room, by the last snapshots */
  #queued = [];
  /** How many steps are still to be left out, and how many were made since the last that was. */
  #surplus = 0;
  #madeSince = 0;

  /**
   * @param {Pick<import("../sdk/client.js").Client, "isInRoom" | "pushInput" | "flushInputs">} client
   * @param {Pick<Controls, "take" | "onChange">} controls
   * @param {() => number} [now] a monotonic clock in milliseconds
   */
  constructor(client, controls, now = () => performance.now()) {
    this.#client = client;
    this.#controls = controls;
    this.#now = now;
    controls.onChange = () => this.#advance();
  }

  /** @param {number} tickHz steps a second */
  start(tickHz) {
    this.stop();
    this.#stepMillis = 1_000 / tickHz;
    this.#due = this.#now();
    this.#timer = setInterval(() => this.#flush(), FLUSH);
  }

  stop() {
    clearInterval(this.#timer);
    this.#due = null;
    this.#forgetQueue();
  }

  /**
   * A snapshot says how many steps wait at the room.
   * @param {number} queued at most 15 are told
   */
  handleQueued(queued) {
    if (this.#surplus > 0) {
      // What is being worked off is not counted twice, but there may be more than was told.
      if (queued >= MOST_TOLD) this.#surplus = Math.max(this.#surplus, FAST_FROM);
      return;
    }
    this.#queued.push(queued);
    if (this.#queued.length < WATCHED) return;
    this.#surplus = Math.max(0, Math.min(...this.#queued) - SPARE);
    this.#queued = [];
  }

  #flush() {
    this.#advance();
    // Also without a new step: old ones may have to go out again.
    this.#client.flushInputs();
  }

  #advance() {
    if (this.#due === null) return;
    const now = this.#now();
    if (!this.#client.isInRoom) {
      // What is pressed now would take effect long after: no steps are made of it.
      this.#due = now;
      this.#controls.take();
      this.#forgetQueue();
      return;
    }
    this.#due = Math.max(this.#due, now - MOST_AT_ONCE * this.#stepMillis);
    for (; this.#due <= now; this.#due += this.#stepMillis) this.#step();
  }

  #step() {
    const oneIn = this.#surplus >= FAST_FROM ? SKIP_FAST_ONE_IN : SKIP_ONE_IN;
    this.#madeSince += 1;
    if (this.#surplus > 0 && this.#madeSince >= oneIn) {
      this.#surplus -= 1;
      this.#madeSince = 0;
    } else {
      this.#client.pushInput(this.#controls.take());
    }
  }

  #forgetQueue() {
    this.#queued = [];
    this.#surplus = 0;
  }
}
