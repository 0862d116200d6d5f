/**
 * From a name to a race and back: which phase the player is in. Everything that the server tells
 * passes here; what is drawn is in screens.js and render.js.
 */

import { Race } from './race.js';

/** How long after a race the player may still count as being in it, and how often to ask. */
const ASK_AGAIN = 500;
const MOST_ASKS = 20;

/** What the refusals and ends mean to a player. Others speak for themselves. */
const WORDS = {
  gone: 'The race is gone with the server that ran it. Press Race for another one.',
  replaced: 'You are playing in another tab or on another device. Press Race to play here.',
  upgrade_required: 'This page is out of date: reload it.',
  rate_limit_abuse: 'The server closed the connection: too many messages.',
};

/** Why a player is in a private room no more; to have left needs no words. */
const LEFT = {
  sent_away: 'You are not in the private room any more.',
  away: 'You were away for too long and lost your place in the private room.',
};

export class Lobby extends EventTarget {
  #client;
  #mode;
  #asks = 0;
  #wanted = false;
  /** The room that the player left last: the matcher may not know yet. */
  #left = '';

  /**
   * @param {import("../sdk/client.js").Client} client
   * @param {string} mode
   */
  constructor(client, mode) {
    super();
    this.#client = client;
    this.#mode = mode;
    /** @type {import("../sdk/control.js").PrivateState | null} the private room that the player is in */
    this.private = null;
    /** @type {"lobby" | "connecting" | "queue" | "private" | "found" | "race"} */
    this.stage = 'lobby';
    /** @type {Race | null} */
    this.race = null;
    /** @type {import("../sdk/control.js").QueueState | null} */
    this.queue = null;
    /** @type {{match: string, until: number, accepted: boolean} | null} a match that asks, and until when by performance.now() */
    this.proposed = null;
    this.error = '';
    /** Whether the server wants another name. */
    this.nameRefused = false;
    /** @type {Record<string, number>} how often each thing was told */
    this.counts = {};
    this.#listen();
  }

  /** @returns {string} what the player sees: the stage, or the race's own phase */
  get phase() {
    if (this.stage === 'queue' && this.proposed) return this.proposed.accepted ? 'accepted' : 'proposed';
    return this.stage === 'race' && this.race ? this.race.phase : this.stage;
  }

  /** Enters the queue, connecting first if need be. */
  enter() {
    this.#asks = 0;
    this.error = '';
    this.nameRefused = false;
    this.#wanted = true;
    this.#leaveRace();
    this.#stage(this.#client.state === 'live' ? 'queue' : 'connecting');
    this.#client.joinQueue(this.#mode);
  }

  /** Watches a room without a seat in it, connecting first if need be. */
  watch(room) {
    this.#stage('connecting');
    this.#client.watchRoom(room);
  }

  /** Looks whether there is a queue or a race to go on with, as after a reload. */
  resume() {
    this.#stage('connecting');
  }

  /** Leaves the queue. */
  leaveQueue() {
    this.#wanted = false;
    this.#client.leaveQueue();
    this.#stage('lobby');
  }

  /**
   * Opens a private room, or enters the one of this invite code; connecting first if need be.
   * @param {string} [code]
   */
  gather(code) {
    this.error = '';
    this.nameRefused = false;
    this.#wanted = true;
    this.#leaveRace();
    this.#stage('connecting');
    if (code) this.#client.joinPrivate(code);
    else this.#client.openPrivate(this.#mode);
  }

  /** Leaves the private room. */
  leavePrivate() {
    this.#wanted = false;
    this.#client.inPrivate('leave');
    this.#stage('lobby');
  }

  /** Takes part in the match that asks. */
  accept() {
    if (!this.proposed || !this.#client.acceptMatch(this.proposed.match)) return;
    this.proposed.accepted = true;
    this.dispatchEvent(new Event('change'));
  }

  /** Does not. */
  decline() {
    if (this.proposed) this.#client.declineMatch(this.proposed.match);
  }

  /** Leaves the race, or its result. */
  leave() {
    this.#wanted = false;
    this.#left = this.race?.room ?? '';
    this.#leaveRace();
    this.#stage('lobby');
  }

  #listen() {
    const handlers = {
      welcome: () => this.#handleWelcome(),
      channel: (event) => (event.channel === 'match' ? this.#handleMatchState(event) : this.#handleRoomState(event)),
      channelClosed: (event) => this.#handleClosed(event),
      queueState: (event) => this.#handleQueue(event.state),
      privateState: (event) => this.#handlePrivate(event.room),
      event: (event) => this.#handleEvent(event),
      snapshot: (state) => this.#handleSnapshot(state),
      refused: (event) => this.#handleRefused(event.error),
      loginFailed: (event) => this.#handleLoginFailed(event),
      ended: (event) => this.#handleEnded(event),
    };
    for (const [type, handle] of Object.entries(handlers)) {
      this.#client.on(type, (event) => {
        const name = type === 'event' ? event.name : type;
        this.counts[name] = (this.counts[name] ?? 0) + 1;
        const before = this.phase;
        handle(event);
        // Snapshots come too often to look at the whole page each time.
        if (type !== 'snapshot' || this.phase !== before) this.dispatchEvent(new Event('change'));
      });
    }
  }

  #handleWelcome() {
    this.error = '';
    if (this.stage === 'connecting' && this.#wanted && !this.#client.wantsPrivate) this.#stage('queue');
  }

  #handleMatchState({ state, recovered }) {
    if (state?.match && state.match.room === this.#left) {
      // The client says the leave again, and then what is wanted since.
    } else if (state?.match) {
      this.#joinRoom(state.match);
    } else if (state?.queue) {
      const { proposed } = state.queue;
      this.proposed = proposed
        ? { match: proposed.match, until: performance.now() + proposed.left_ms, accepted: proposed.accepted }
        : null;
      this.#handleQueue({ mode: state.queue.mode, waiting_ms: state.queue.waiting_ms, size: 0 });
    } else if (state?.private) {
      this.#handlePrivate(state.private);
    } else if (!recovered && !this.#wanted && this.stage === 'connecting' && !this.#client.isWatching) {
      this.#stage('lobby');
    }
  }

  #handlePrivate(room) {
    this.private = room;
    this.error = '';
    this.#stage('private');
  }

  #handleQueue(queue) {
    this.queue = queue;
    this.error = '';
    if (this.stage === 'connecting' || this.stage === 'private') this.#stage('queue');
  }

  #handleRoomState({ state, recovered }) {
    if (!state) return;
    const { race } = this;
    if (race?.room === state.room) race?.handleAttached(state, recovered);
    else this.race = new Race(state);
    this.error = '';
    this.#wanted = false;
    this.#stage('race');
  }

  #handleEvent({ channel, data }) {
    if (channel === 'room') {
      this.race?.handleEvent(data);
      return;
    }
    if (data.e === 'match.found') this.#joinRoom(data);
    if (data.e === 'match.proposed') {
      this.proposed = { match: data.match, until: performance.now() + data.within_ms, accepted: false };
    }
    if (data.e === 'match.off') this.proposed = null;
    if (data.e === 'private.left' && this.stage === 'private') this.#fail(LEFT[data.reason] ?? '');
    if (data.e === 'queue.left') this.#handleLeftQueue(data);
    if (data.e === 'match.ended' && data.reason === 'lost' && this.stage !== 'lobby') {
      this.#fail(WORDS.gone);
    }
  }

  #handleLeftQueue({ reason, message }) {
    if (reason === 'left' || this.stage !== 'queue') return;
    this.#wanted = false;
    this.#fail(message);
  }

  #handleSnapshot(state) {
    this.race?.handleSnapshot(performance.now(), state);
  }

  #handleClosed({ channel, reason }) {
    const over = this.race?.result != null || reason === 'left';
    if (channel === 'room' && this.stage !== 'lobby' && !over && !this.#wanted) {
      this.#fail('That race is over.');
    }
  }

  #handleRefused(error) {
    const wait = error.retry_after_ms;
    // What comes with a time is asked again by the client then.
    if (error.re === 'queue.join' && error.field === 'receipt') {
      // The player is in the queue all the same.
    } else if (error.re === 'queue.join' && error.code === 'already_in_match' && wait == null) {
      this.#askAgain(error.message);
    } else if (error.re === 'queue.join' && wait == null) {
      this.#fail(error.message);
    } else if (error.re === 'room.join' && wait == null) {
      if (!this.race?.result) this.#fail(this.race ? WORDS.gone : `The race cannot be joined: ${error.message}`);
    } else if (error.re === 'room.watch' && wait == null) {
      this.#fail(`The race cannot be watched: ${error.message}`);
    } else if (error.re === 'private.open' || error.re === 'private.join') {
      this.#fail(error.message);
    } else if (error.re !== 'hello' && !error.re?.startsWith('event.')) {
      // What is wrong with a hello the client mends, or the close that follows says it; what is
      // refused of events their panel says.
      this.error = error.message;
    }
  }

  /** The last race may not have been settled yet, or this tab's match is on its way. */
  #askAgain(message) {
    this.#asks += 1;
    if (!this.#wanted || this.stage !== 'queue') return;
    if (this.#asks > MOST_ASKS) this.#fail(message);
    else setTimeout(() => this.#wanted && this.stage === 'queue' && this.#client.joinQueue(this.#mode), ASK_AGAIN);
  }

  #handleLoginFailed({ error, retrying }) {
    if (retrying) this.error = `${sentence(error.message)} Trying again…`;
    else this.#fail(sentence(error.message));
    this.nameRefused = error.field === 'name';
  }

  #handleEnded({ why, code }) {
    if (why === 'by_us') return;
    const reason = { 4300: 'replaced', 4301: 'replaced', 4303: 'upgrade_required', 4304: 'rate_limit_abuse' }[code];
    this.#leaveRace();
    this.#fail(WORDS[reason ?? ''] ?? `The server closed the connection (code ${code}).`);
  }

  #joinRoom({ ticket, room }) {
    // A resume brings its room back by itself.
    if (this.race?.room === room) return;
    this.#stage('found');
    this.#client.joinRoom(ticket);
  }

  #leaveRace() {
    if (this.race) this.#client.leaveRoom();
    this.race = null;
    this.queue = null;
  }

  #fail(text) {
    this.error = text;
    this.#wanted = false;
    this.#leaveRace();
    this.#stage('lobby');
  }

  #stage(stage) {
    this.stage = stage;
    if (stage !== 'queue' && stage !== 'connecting') this.proposed = null;
    if (stage !== 'private') this.private = null;
    this.dispatchEvent(new Event('change'));
  }
}

function sentence(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;
}
