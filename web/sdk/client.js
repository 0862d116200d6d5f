/**
 * Drives a {@link Session} with a real WebSocket and real timers, decodes what it tells, and asks
 * again after a resume for what the player wants: the place in the queue, the room.
 */

import { Backoff } from './backoff.js';
import { SUBPROTOCOL } from './control.js';
import { Session } from './session.js';
import { SnapshotDecoder } from './snapshot.js';

/**
 * @typedef {object} ClientOptions
 * @property {string[]} addresses WebSocket addresses of gateways, at least one
 * @property {() => Promise<string>} login gives an access token; called at the start, and again
 *   when the server wants a new one
 * @property {string} [client] name and version of the program
 * @property {typeof WebSocket} [WebSocket] the class to use; default: the global one
 * @property {() => number} [now] a monotonic clock in milliseconds
 * @property {() => number} [random]
 * @property {Partial<import("./config.js").SessionConfig>} [session] other than the defaults
 *
 * @typedef {(event: any) => void} Listener
 */

/** A socket's `readyState`; higher ones are closing and closed. */
const OPEN = 1;

/** A timer that fires so much later than asked means that the whole program was stopped. */
const STALL = 250;
const LOGIN_BACKOFF = 500;
const LOGIN_BACKOFF_LIMIT = 5_000;

export class Client {
  #options;
  #now;
  #random;
  /** @type {Map<string, Set<Listener>>} */
  #listeners = new Map();
  /** @type {Session | null} */
  #session = null;
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #driving = false;
  #loggingIn = false;
  #closed = false;
  /** Counts starts, so that a login of an earlier one comes to nothing. */
  #run = 0;
  /** @type {{mode: string, options: object} | null} the queue that the player wants to be in */
  #queue = null;
  /** @type {{what: "open" | "join", mode?: string, code?: string} | null} the private room that the player wants to be in */
  #private = null;
  /** Whether the player wants to know of events. */
  #events = false;
  /** @type {string | null} a room asked for before there is a session */
  #room = null;
  /** @type {{room: string, delayMs?: number} | null} what is watched in place of a room of one's own */
  #watched = null;
  /** @type {SnapshotDecoder | null} */
  #decoder = null;
  /** When to ask again, by what was refused: at most one timer each. */
  #retries = new Map();

  /** @param {ClientOptions} options */
  constructor(options) {
    if (options.addresses.length === 0) throw new TypeError('a client needs an address');
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#random = options.random ?? Math.random;
  }

  /** Whether a private room is wanted. */
  get wantsPrivate() {
    return this.#private !== null;
  }

  /** Round trip in milliseconds, or `null`. */
  get rtt() {
    return this.#session?.link?.rtt ?? null;
  }

  /** The server's clock minus ours in milliseconds, or `null`. */
  get clockOffset() {
    return this.#session?.link?.clockOffset ?? null;
  }

  /** `idle`, `logging_in`, then as {@link Session.state}. */
  get state() {
    return this.#loggingIn ? 'logging_in' : (this.#session?.state ?? 'idle');
  }

  /** Whether the room answers now. */
  get isInRoom() {
    return this.#session?.isInRoom ?? false;
  }

  /** Whether a room is watched, or asked for. */
  get isWatching() {
    return this.#watched !== null;
  }

  /** The address in use or tried next. */
  get address() {
    return this.#options.addresses[this.#session?.address ?? 0];
  }

  /**
   * @param {string} type one of those in README.md
   * @param {Listener} listener
   * @returns {() => void} stops listening
   */
  on(type, listener) {
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /**
   * Logs in and connects, also anew after the session ended; does nothing while one goes on. What
   * goes wrong on the way is told by events.
   */
  async start() {
    const going = this.#loggingIn || (this.#session && this.#session.state !== 'ended');
    if (going && !this.#closed) return;
    this.#closed = false;
    this.#run += 1;
    const token = await this.#token();
    if (token === null) return;
    const config = {
      ...this.#options.session,
      addresses: this.#options.addresses.length,
      client: this.#options.client ?? '',
    };
    this.#session = new Session(config, token, this.#random);
    if (this.#room !== null) this.#session.joinRoom(this.#room);
    if (this.#watched) this.#session.watchRoom(this.#watched.room, this.#watched.delayMs);
    this.#drive();
  }

  /** Ends the session with a normal close. */
  close() {
    this.#closed = true;
    this.#session?.close();
    this.#drive();
  }

  /** The network or the page is back: try at once, and act on what is overdue. */
  wake() {
    this.#session?.retryNow(this.#now());
    this.#drive();
  }

  /**
   * Enters a queue and stays in it across reconnects until a match is found.
   * @param {string} mode
   * @param {import("./control.js").JoinOptions} [options]
   */
  joinQueue(mode, options = {}) {
    this.#private = null;
    this.#queue = { mode, options };
    this.#session?.joinQueue(mode, options);
    this.#drive();
  }

  /**
   * Takes part in a match that was proposed (`match.proposed`).
   * @param {string} match
   * @returns {boolean} whether it went out
   */
  acceptMatch(match) {
    return this.#answerMatch('accept', match);
  }

  /**
   * Does not take part, and leaves the queue: for a while the server lets the player into none.
   * @param {string} match
   * @returns {boolean} whether it went out
   */
  declineMatch(match) {
    return this.#answerMatch('decline', match);
  }

  #answerMatch(what, match) {
    const said = this.#session?.answerMatch(what, match) ?? false;
    this.#drive();
    return said;
  }

  /**
   * Opens a private room and stays in it across reconnects until its match begins; `privateState`
   * tells its invite code.
   * @param {string} mode
   */
  openPrivate(mode) {
    this.#private = { what: 'open', mode };
    this.#askPrivate();
  }

  /**
   * Enters a private room by its invite code, likewise.
   * @param {string} code
   */
  joinPrivate(code) {
    this.#private = { what: 'join', code };
    this.#askPrivate();
  }

  /**
   * Says that the player is ready, sends a member away, begins the match, or leaves. The first needs
   * a connection; what is lost shows in `privateState`.
   * @param {"ready" | "kick" | "start" | "leave"} what
   * @param {{ready?: boolean, player?: string}} [fields]
   * @returns {boolean} whether it went out
   */
  inPrivate(what, fields = {}) {
    if (what === 'leave') this.#private = null;
    const said = this.#session?.sayPrivate(what, fields) ?? false;
    this.#drive();
    return said;
  }

  #askPrivate() {
    this.#queue = null;
    if (this.#private) this.#session?.sayPrivate(this.#private.what, this.#private);
    this.#drive();
  }

  /** Leaves the queue. */
  leaveQueue() {
    this.#queue = null;
    this.#session?.leaveQueue();
    this.#drive();
  }

  /**
   * Asks which events with a limited number of seats there are, and to be told how they stand, now
   * and after every reconnect.
   */
  watchEvents() {
    this.#events = true;
    this.#session?.listEvents();
    this.#drive();
  }

  /**
   * Asks for a seat of an event, to keep it for good, or gives it back. What was asked and not
   * answered before a connection was lost may be asked again: `eventSeat` follows each reconnect.
   * @param {"reserve" | "confirm" | "release"} what
   * @param {string} event
   * @returns {boolean} whether it went out
   */
  askOfEvent(what, event) {
    const sent = this.#session?.askOfEvent(what, event) ?? false;
    this.#drive();
    return sent;
  }

  /**
   * Enters a room and comes back into it after every reconnect until it is left or over.
   * @param {string} ticket out of `match.found`
   */
  joinRoom(ticket) {
    // A resume brings the room back by itself.
    if (ticket === this.#room) return;
    this.#room = ticket;
    this.#watched = null;
    this.#session?.joinRoom(ticket);
    this.#drive();
  }

  /**
   * Watches a room without a seat in it: some seconds behind while it runs, from its start once it
   * is over. States and events come as for who plays, without a `seat`; it goes on through
   * reconnects until the room is over or {@link leaveRoom}.
   * @param {string} room
   * @param {{delayMs?: number}} [options] how far behind, if that is to be more than it has to be
   */
  watchRoom(room, { delayMs } = {}) {
    this.#room = null;
    this.#watched = { room, delayMs };
    this.#session?.watchRoom(room, delayMs);
    this.#drive();
  }

  /** Leaves the room for good, or watches no more. */
  leaveRoom() {
    this.#room = this.#watched = null;
    this.#decoder = null;
    this.#session?.leaveRoom();
    this.#drive();
  }

  /**
   * Says something to the members of the room, if its game takes messages; they get it as the
   * game's event, `relay.said` in a relay room. Nothing is kept for later: what is said while the
   * room does not answer, or just before a connection is lost, may be said again by the caller.
   * @param {unknown} data any JSON value, at most 1 KiB as text
   * @param {number} [to] the seat that it is for; absent: everyone, this player among them
   * @returns {boolean} whether it went out
   */
  say(data, to) {
    const sent = this.#session?.say(data, to) ?? false;
    this.#drive();
    return sent;
  }

  /**
   * Adds a step of input; {@link flushInputs} sends those that wait.
   * @param {number} step
   */
  pushInput(step) {
    this.#session?.pushInput(step);
  }

  /** Sends the steps that wait, and with them the acknowledgement of snapshots. */
  flushInputs() {
    this.#session?.flushInputs(this.#now());
    this.#drive();
  }

  /** Does what is due, tells what is new, and sleeps until the next deadline. */
  #drive() {
    // A listener that calls back in finds its work done by the loop that called it.
    if (this.#driving || !this.#session) return;
    this.#driving = true;
    try {
      for (let busy = true; busy; ) busy = this.#step(this.#session);
    } finally {
      // Also after a listener that threw: what it did wrong must not stop the heartbeat.
      this.#driving = false;
      this.#sleep();
    }
  }

  #step(session) {
    const now = this.#now();
    const deadline = session.pollTimeout();
    if (deadline !== null && deadline <= now) session.handleTimeout(now);
    const output = session.pollOutput(now);
    if (output) this.#perform(output);
    const event = session.pollEvent();
    if (event) this.#handle(event);
    return output !== null || event !== null;
  }

  #sleep() {
    clearTimeout(this.#timer);
    const deadline = this.#session?.pollTimeout() ?? null;
    if (deadline === null) return;
    this.#timer = setTimeout(() => this.#awake(deadline), Math.max(0, Math.ceil(deadline - this.#now())));
  }

  #awake(deadline) {
    const stalled = this.#now() - deadline > STALL;
    // After a stall messages may wait behind this timer: they count before silence does.
    if (stalled) this.#timer = setTimeout(() => this.#drive(), 0);
    else this.#drive();
  }

  #perform(output) {
    switch (output.type) {
      case 'connect':
        this.#open(this.#options.addresses[output.address]);
        break;
      case 'text':
        this.#write(output.text);
        break;
      case 'binary':
        this.#write(output.bytes);
        break;
      default:
        this.#abandon(output.code, output.reason);
    }
  }

  /** @param {string | Uint8Array<ArrayBuffer>} data */
  #write(data) {
    // The server's close is on its way up to us: what matters is said again after it.
    if (this.#socket && this.#socket.readyState <= OPEN) this.#socket.send(data);
  }

  #open(address) {
    this.#abandon();
    const Socket = this.#options.WebSocket ?? globalThis.WebSocket;
    let socket;
    try {
      socket = new Socket(address, SUBPROTOCOL);
    } catch (error) {
      // A wrong address, or one that the page's policy forbids: the next one may do.
      this.#emit('malformed', { message: `${address}: ${/** @type {Error} */ (error).message}` });
      this.#session?.handleClosed(this.#now(), null);
      return;
    }
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => this.#tell(socket, (session, now) => session.handleConnected(now));
    socket.onclose = ({ code }) => this.#tell(socket, (session, now) => {
      this.#socket = null;
      session.handleClosed(now, code === 1006 ? null : code);
    });
    socket.onmessage = ({ data }) => this.#tell(socket, (session, now) => {
      if (typeof data === 'string') session.handleText(now, data);
      else session.handleBinary(now, new Uint8Array(data));
    });
  }

  /** Passes on what a socket reports, unless it has been replaced. */
  #tell(socket, report) {
    if (socket !== this.#socket || !this.#session) return;
    report(this.#session, this.#now());
    this.#drive();
  }

  #abandon(code, reason) {
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onclose = socket.onmessage = null;
    // Not awaited: the peer may be gone.
    if (code === undefined) socket.close();
    else socket.close(code, reason);
  }

  #handle(event) {
    switch (event.type) {
      case 'queueState':
        this.#keepReceipt(event.state);
        break;
      case 'privateState':
        this.#private = { what: 'join', code: event.room.code };
        break;
      case 'snapshot':
        this.#handleSnapshot(event.snapshot);
        return;
      case 'event':
        this.#handleEvent(event.event);
        return;
      case 'channel':
        this.#handleChannel(event);
        break;
      case 'channelClosed':
        this.#forgetRoom();
        break;
      case 'refused':
        this.#handleRefused(event.error);
        break;
      case 'ended':
        if (event.why === 'login_needed') {
          void this.#logInAgain();
          return;
        }
        break;
      default:
    }
    this.#emit(event.type, event);
  }

  #handleChannel({ channel, recovered, state }) {
    if (channel === 'match') {
      this.#rejoinQueue(state);
      this.#rejoinPrivate(state);
      if (this.#events) this.#session?.listEvents();
    } else if (state?.schema) {
      this.#decoder = new SnapshotDecoder(state.schema);
    } else if (recovered) {
      this.#decoder?.clear();
    } else {
      this.#decoder = null;
    }
  }

  /** The session knows whether a close was of the room that is wanted, or of one before. */
  #forgetRoom() {
    if (!this.#session?.wantsRoom) this.#room = this.#watched = this.#decoder = null;
  }

  /** A `queue.join` may have been lost with a connection; joining twice keeps the place. */
  #rejoinQueue(state) {
    // What is wanted since a match was left comes after the leave, which the session says again.
    if (state?.match && !this.#session?.hasLeft(state.match)) this.#queue = null;
    if (this.#queue && !state?.queue) this.#session?.joinQueue(this.#queue.mode, this.#queue.options);
  }

  /** What was asked may have been lost with a connection. */
  #rejoinPrivate(state) {
    if (state?.match && !this.#session?.hasLeft(state.match)) this.#private = null;
    if (state?.private) this.#private = { what: 'join', code: state.private.code };
    else if (this.#private && !state?.queue) this.#askPrivate();
  }

  /** Should the server lose the ticket, the next `queue.join` brings it back with its age. */
  #keepReceipt({ mode, receipt }) {
    if (receipt && this.#queue?.mode === mode) this.#queue.options = { ...this.#queue.options, receipt };
  }

  /** What may be tried again is, if the player still wants it by then. */
  #handleRefused({ re, field, retry_after_ms: retryAfter }) {
    if (re === 'queue.join' && field === 'receipt') {
      // The player is in the queue all the same.
      if (this.#queue) this.#queue.options = { ...this.#queue.options, receipt: undefined };
      return;
    }
    if ((re === 'private.open' || re === 'private.join') && retryAfter == null) this.#private = null;
    if (!['queue.join', 'room.join', 'room.watch'].includes(re)) return;
    clearTimeout(this.#retries.get(re));
    if (retryAfter != null) this.#retries.set(re, setTimeout(() => this.#askAgain(re), retryAfter));
    else if (re === 'queue.join') this.#queue = null;
    else this.#forgetRoom();
  }

  /** @param {"queue.join" | "room.join" | "room.watch"} what */
  #askAgain(what) {
    if (what === 'room.join') {
      if (this.#room !== null) this.#session?.joinRoom(this.#room);
    } else if (what === 'room.watch') {
      if (this.#watched) this.#session?.watchRoom(this.#watched.room, this.#watched.delayMs);
    } else if (this.#queue) {
      this.#session?.joinQueue(this.#queue.mode, this.#queue.options);
    }
    this.#drive();
  }

  #handleEvent({ channel, epoch, offset, payload }) {
    let data;
    try {
      data = JSON.parse(new TextDecoder().decode(payload));
    } catch (error) {
      this.#emit('malformed', { message: `event ${offset} of ${channel}: ${/** @type {Error} */ (error).message}` });
      return;
    }
    if (data?.e === 'match.found' || data?.e === 'queue.left') this.#queue = null;
    if (data?.e === 'match.found' || data?.e === 'private.left') this.#private = null;
    this.#emit('event', { channel, epoch, offset, name: data?.e, data });
  }

  #handleSnapshot(frame) {
    if (!this.#decoder) {
      this.#session?.forgetSnapshots();
      return;
    }
    try {
      const state = this.#decoder.decode(frame);
      this.#emit('snapshot', { ...state, processed: frame.processed, queued: frame.queued });
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'SnapshotError') throw error;
      this.#session?.forgetSnapshots();
      this.#emit('malformed', { message: error.message });
    }
  }

  /** A token, or `null` if there is none to be had. */
  async #token() {
    const run = this.#run;
    this.#loggingIn = true;
    const token = await this.#tryLogin(() => this.#closed || run !== this.#run);
    if (run !== this.#run) return null;
    this.#loggingIn = false;
    return token;
  }

  /** @param {() => boolean} over whether nobody wants the token any more */
  async #tryLogin(over) {
    const backoff = new Backoff(LOGIN_BACKOFF, LOGIN_BACKOFF_LIMIT, this.#random);
    while (!over()) {
      try {
        const token = await this.#options.login();
        return over() ? null : token;
      } catch (error) {
        const { retry, retryAfterMs } = /** @type {any} */ (error);
        this.#emit('loginFailed', { error, retrying: retry === true });
        if (retry !== true) break;
        const pause = Math.max(backoff.next(), retryAfterMs ?? 0);
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }
    return null;
  }

  async #logInAgain() {
    const token = await this.#token();
    if (token === null) return;
    this.#session?.logIn(this.#now(), token);
    this.#drive();
  }

  #emit(type, event) {
    for (const listener of [...(this.#listeners.get(type) ?? [])]) listener(event);
  }
}
