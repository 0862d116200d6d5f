/**
 * The client as a whole: connect, log in, stay alive, resume, fail over. A session does no I/O
 * and reads no clock: whoever owns the socket tells it what happens (`handle…`) with the time in
 * milliseconds, and takes what to do ({@link Session.pollOutput}) and what to know
 * ({@link Session.pollEvent}) after each call, which keeps both queues short.
 */

import { Backoff } from './backoff.js';
import { CloseCode, Retry } from './close.js';
import { DEFAULTS, firstPaces, paces } from './config.js';
import {
  eventListMessage, eventMessage, helloMessage, matchMessage, newInstance, parseServerMessage, privateMessage, queueJoinMessage, queueLeaveMessage, roomJoinMessage,
  roomLeaveMessage, roomSayMessage, roomUnwatchMessage, roomWatchMessage,
} from './control.js';
import { Counts } from './counts.js';
import { Cursor } from './cursor.js';
import { decodeFrame, encodeFrame } from './frame.js';
import { Leaving } from './leaving.js';
import { Link } from './link.js';
import { RoomPart } from './room.js';
import { Timers } from './timers.js';

/**
 * @typedef {import("./frame.js").Channel} Channel
 * @typedef {import("./config.js").Output} Output
 * @typedef {import("./config.js").SessionEvent} SessionEvent
 */

export class Session {
  #config;
  #random;
  /** @type {"paused" | "connecting" | "greeting" | "live" | "ended"} */
  #state = 'paused';
  #timers = new Timers();
  #instance;
  #attempt = 0;
  #backoff;
  #address;
  #token;
  /** @type {string | null} */
  #resume = null;
  #room;
  #counts = new Counts();
  #leaving = new Leaving();
  /** @type {Link | null} */
  #link = null;
  #cursors = { match: new Cursor('match'), room: new Cursor('room') };
  /** When the server's welcome came, on the present connection. */
  #welcomedAt = 0;
  /** @type {number | null} when the connection or the room was lost, until it is back */
  #lostAt = null;
  /** @type {Output[]} */
  #outputs = [];
  /** @type {SessionEvent[]} */
  #events = [];

  /**
   * A session that connects at the first {@link handleTimeout}.
   * @param {Partial<import("./config.js").SessionConfig>} config
   * @param {string} token access token of a login
   * @param {() => number} random a number from 0 up to 1, for the instance id and all jitter
   */
  constructor(config, token, random) {
    this.#config = { ...DEFAULTS, ...config };
    this.#token = token;
    this.#random = random;
    this.#instance = newInstance(random);
    this.#address = Math.floor(random() * this.#config.addresses);
    this.#backoff = new Backoff(this.#config.backoff, this.#config.backoffLimit, random);
    this.#room = new RoomPart(this.#config.inputWidth, this.#config.inputLimit);
    this.#timers.set('pause', 0);
  }

  /** Whether control messages can be sent now. */
  get isLive() {
    return this.#state === 'live';
  }

  /** Whether the room answers now. */
  get isInRoom() {
    return this.#room.attached;
  }

  /** The state by name: paused, connecting, greeting, live, ended. */
  get state() {
    return this.#state;
  }

  /** This client's instance id. */
  get instance() {
    return this.#instance;
  }

  /** Index of the address that is in use or tried next. */
  get address() {
    return this.#address;
  }

  /** The connection's link while there is one: round trip, clock offset. */
  get link() {
    return this.#link;
  }

  /** Whether a room is wanted: one was asked for and is neither left, refused nor over. */
  get wantsRoom() {
    return this.#room.wanted;
  }

  /** Whether the player has left this `match` of a state, and the server may not know yet. */
  hasLeft(match) {
    return this.#leaving.hasLeft(match);
  }

  /** Inputs that are not settled. */
  get inputs() {
    return this.#room.inputs;
  }

  /**
   * What this client has of a channel.
   * @param {Channel} channel
   */
  position(channel) {
    return this.#cursors[channel].position;
  }

  /** The connection that was asked for is open. */
  handleConnected(now) {
    if (this.#state !== 'connecting') return;
    this.#state = 'greeting';
    this.#link = new Link(firstPaces(this.#config), this.#random, now);
    // Who watches begins anew on each connection.
    if (this.#room.ticket === null) this.#cursors.room.reset();
    const text = helloMessage({
      token: this.#resume === null ? this.#token : undefined,
      resume: this.#resume ?? undefined,
      instance: this.#instance,
      attempt: this.#attempt,
      client: this.#config.client,
      have: {
        match: this.#cursors.match.position ?? undefined,
        room: this.#cursors.room.position ?? undefined,
      },
      room: this.#room.ticket ?? undefined,
    });
    this.#outputs.push({ type: 'text', text });
  }

  /**
   * The connection ended, or could not be made.
   * @param {number} now
   * @param {number | null} code the close code if there was one
   */
  handleClosed(now, code) {
    if (this.#state === 'paused' || this.#state === 'ended') return;
    const retry = Retry.after(code);
    const stale = retry === 'login' && this.#resume !== null;
    if (stale) this.#resume = null; // the login may still be good
    if (retry === 'never') this.#end('closed', code);
    else if (retry === 'login' && !stale) this.#end('login_needed', code);
    else this.#retry(now, code, retry === 'elsewhere');
  }

  /** A text message came. */
  handleText(now, text) {
    if (this.#state !== 'greeting' && !this.isLive) return;
    this.#link?.handleHeard(now);
    this.#reading(() => {
      const message = parseServerMessage(text);
      if (message) this.#handleControl(now, message);
    });
  }

  /**
   * A binary message came.
   * @param {number} now
   * @param {Uint8Array} bytes
   */
  handleBinary(now, bytes) {
    if (!this.isLive) return;
    this.#link?.handleHeard(now);
    this.#reading(() => {
      const frame = decodeFrame(bytes);
      if (frame.kind === 'event') this.#handleEvent(now, frame);
      else if (frame.kind === 'snapshot') this.#handleSnapshot(now, frame);
      else this.#link?.handleFrame(now, frame);
    });
  }

  /** Acts on deadlines that have come. */
  handleTimeout(now) {
    for (let timer = this.#timers.expired(now); timer; timer = this.#timers.expired(now)) {
      if (timer === 'pause') this.#connect(now);
      else this.#retry(now, null, true);
    }
    this.#room.inputs.handleTimeout(now);
    this.#link?.handleTimeout(now);
    if (this.#link?.takeSilent()) this.#retry(now, null, true);
  }

  /** The network may be back: a pause between two attempts ends now. */
  retryNow(now) {
    if (this.#timers.has('pause')) this.#timers.set('pause', now);
  }

  /**
   * Asks for a place in a queue. While not connected it is refused: ask again after a resume.
   * @param {string} mode
   * @param {Parameters<typeof queueJoinMessage>[1]} [options]
   * @returns {boolean} whether it went out
   */
  joinQueue(mode, options) {
    const first = this.#leaving.joinQueue(this.isLive);
    if (first !== null) this.#say(first);
    return this.#say(queueJoinMessage(mode, options));
  }

  /** Leaves the queue; if the word is lost, the server is told once it shows that it does not know. */
  leaveQueue() {
    this.#leaving.leaveQueue(this.#say(queueLeaveMessage()));
  }

  /**
   * Takes part in a match that was proposed, or does not. If the word is lost, say it again while the
   * match channel's state shows the match as proposed and not accepted.
   * @param {"accept" | "decline"} what
   * @param {string} match
   * @returns {boolean} whether it went out
   */
  answerMatch(what, match) {
    return this.#say(matchMessage(what, match));
  }

  /**
   * Opens a private room, enters one, or does something in it.
   * @param {Parameters<typeof privateMessage>[0]} what
   * @param {Parameters<typeof privateMessage>[1]} [fields]
   * @returns {boolean} whether it went out
   */
  sayPrivate(what, fields) {
    return this.#say(privateMessage(what, fields));
  }

  /**
   * Asks which events there are, and to be told how they stand while this connection lasts.
   * @returns {boolean} whether it went out
   */
  listEvents() {
    return this.#say(eventListMessage(this.#counts.have));
  }

  /**
   * Asks for a seat, to keep it, or gives it back. Each may be said again without harm.
   * @param {"reserve" | "confirm" | "release"} what
   * @param {string} event
   * @returns {boolean} whether it went out
   */
  askOfEvent(what, event) {
    return this.#say(eventMessage(what, event));
  }

  /**
   * Enters a room, now and after every reconnect until it is left or over.
   * @param {string} ticket out of `match.found`
   */
  joinRoom(ticket) {
    if (this.#room.ticket !== ticket) this.#closeRoom();
    else if (this.#room.attached) return;
    this.#leaving.enterRoom();
    this.#room.ticket = ticket;
    this.#say(roomJoinMessage(ticket));
  }

  /**
   * Watches a room without a seat in it, now and after every reconnect until it is over, or left.
   * @param {string} room
   * @param {number} [delayMs]
   */
  watchRoom(room, delayMs) {
    const watch = roomWatchMessage(room, delayMs);
    if (this.#room.watch !== watch) this.#closeRoom();
    else if (this.#room.attached) return;
    this.#room.watch = watch;
    this.#say(watch);
  }

  /** Leaves the room for good; the word is not lost, as with {@link leaveQueue}. Or watches no more. */
  leaveRoom() {
    const { ticket, watch } = this.#room;
    if (watch !== null) this.#say(roomUnwatchMessage());
    if (ticket !== null) this.#leaving.leaveRoom(ticket, this.#say(roomLeaveMessage()));
    this.#closeRoom();
    // A room that did not answer is not waited for any more; a connection still is.
    if (this.isLive) this.#lostAt = null;
  }

  /**
   * Says something to the members of the room. While the room does not answer it is refused.
   * @param {unknown} data
   * @param {number} [to]
   * @returns {boolean} whether it went out
   */
  say(data, to) {
    return this.isInRoom && this.#say(roomSayMessage(data, to));
  }

  /**
   * Adds a step of input for the room; it goes out at the next {@link flushInputs}. Over the limit
   * the oldest step is given up.
   * @param {number} step
   */
  pushInput(step) {
    if (this.#room.ticket !== null) this.#tellGivenUp(this.#room.inputs.push(step));
  }

  /**
   * Sends the steps that wait, with what was received as acknowledgement. Call it about every
   * 50 ms while in a room, also when there is no new step: old ones may have to go out again.
   */
  flushInputs(now) {
    if (!this.isLive) return;
    for (const frame of this.#room.takeInputs(now, this.#cursors.room.position)) {
      this.#outputs.push({ type: 'binary', bytes: encodeFrame(frame) });
      this.#link?.acknowledgedByInput();
    }
  }

  /** A snapshot could not be decoded: ask for a whole one. */
  forgetSnapshots() {
    this.#room.forgetSnapshots();
  }

  /** Ends the session with a normal close. */
  close() {
    if (this.#state === 'ended') return;
    this.#end('by_us', null);
    this.#outputs = [{ type: 'close', code: CloseCode.bye, reason: 'bye' }];
  }

  /**
   * A new access token. After `ended` with `login_needed` the session goes on with it at once;
   * otherwise it is kept for when one is asked for.
   */
  logIn(now, token) {
    this.#token = token;
    if (this.#state !== 'ended') return;
    this.#resume = null;
    this.#backoff.reset();
    this.#state = 'paused';
    this.#timers.set('pause', now);
  }

  /** @returns {Output | null} the next thing to do with the socket */
  pollOutput(now) {
    const output = this.#outputs.shift();
    if (output) return output;
    const leave = this.isLive ? this.#leaving.pollTransmit(now) : null;
    if (leave !== null) return { type: 'text', text: leave };
    const frame = this.isLive ? this.#link?.pollTransmit(now) : null;
    return frame ? { type: 'binary', bytes: encodeFrame(frame) } : null;
  }

  /** @returns {SessionEvent | null} the next thing to know */
  pollEvent() {
    return this.#events.shift() ?? null;
  }

  /** @returns {number | null} when to call {@link handleTimeout} next */
  pollTimeout() {
    const parts = [this.#room.pollTimeout(), this.#leaving.pollTimeout(), this.#link?.pollTimeout()];
    const deadlines = [this.#timers.next(), ...parts];
    const next = Math.min(...deadlines.map((deadline) => deadline ?? Infinity));
    return next === Infinity ? null : next;
  }

  #handleControl(now, message) {
    if (this.#state === 'greeting' && message.t !== 'welcome' && message.t !== 'error') return;
    switch (message.t) {
      case 'welcome':
        this.#handleWelcome(now, message);
        break;
      case 'channel':
        this.#handleAttached(now, message);
        break;
      case 'channel.lost':
        this.#handleChannelLost(now, message);
        break;
      case 'channel.closed':
        this.#handleChannelClosed(now, message);
        break;
      case 'queue.state':
        this.#leaving.handleQueued();
        this.#tell('queueState', { state: message });
        break;
      case 'private.state':
        this.#tell('privateState', { room: message });
        break;
      case 'event.list':
        this.#tell('eventsListed', { events: this.#counts.keepNewer(message.events), serverTimeMs: message.server_time_ms });
        break;
      case 'event.counts':
        if (this.#counts.isNewer(message.event, message.version)) this.#tell('eventCounts', { counts: message });
        break;
      case 'event.seat':
        this.#tell('eventSeat', { seat: message });
        break;
      case 'goaway':
        // The close that follows says when; a room is not left before it has to be.
        this.#tell('goAway', { reason: message.reason, withinMs: message.within_ms });
        break;
      default:
        this.#handleRefusal(now, message);
    }
  }

  #handleWelcome(now, welcome) {
    if (this.#state !== 'greeting') return;
    this.#state = 'live';
    this.#welcomedAt = now;
    this.#timers.stop('connect');
    this.#resume = welcome.resume;
    this.#link = new Link(paces(this.#config, welcome), this.#random, now);
    this.#link.setActive(now, this.wantsRoom);
    if (!this.wantsRoom) this.#restored(now);
    if (this.#room.watch !== null) this.#say(this.#room.watch);
    this.#tell('welcome', { welcome });
  }

  #handleAttached(now, { ch, epoch, offset, recovered, state }) {
    // Left while the answer was on its way.
    if (ch === 'room' && !this.wantsRoom) return;
    const goesOn = this.#cursors[ch].handleAttached(epoch, offset, recovered);
    if (recovered && !goesOn) {
      // Nothing that came next would be worth anything: attach afresh.
      this.#retry(now, null, false);
      return;
    }
    if (ch === 'room') {
      this.#tellGivenUp(this.#room.handleAttached(goesOn, state ?? null));
      this.#link?.setActive(now, true);
      this.#restored(now);
    } else {
      this.#leaving.handleState(now, state);
    }
    this.#tell('channel', { channel: ch, epoch, offset, recovered, state: state ?? null });
  }

  #handleChannelLost(now, { ch, reason }) {
    if (ch === 'room') {
      this.#room.attached = false;
      this.#lostAt ??= now;
    } else {
      this.#leaving.handleLost();
    }
    this.#tell('channelLost', { channel: ch, reason });
  }

  #handleChannelClosed(now, { ch, reason }) {
    if (ch === 'room') {
      // The answer to a leave: of a room that is forgotten, maybe on the way into the next.
      if (reason === 'left' && !this.#room.attached) return;
      this.#loseRoom(now);
    }
    this.#tell('channelClosed', { channel: ch, reason });
  }

  #handleRefusal(now, error) {
    const asked = this.#room.watch === null ? 'room.join' : 'room.watch';
    if (error.re === asked && error.retry_after_ms == null) this.#loseRoom(now);
    this.#leaving.handleRefused(now, error);
    this.#tell('refused', { error });
  }

  #handleEvent(now, event) {
    const cursor = this.#cursors[event.channel];
    const arrival = cursor.handleEvent(event);
    const ack = cursor.ack(arrival === 'missing');
    if (ack) this.#link?.acknowledge(now, ack);
    if (arrival !== 'apply') return;
    if (event.channel === 'match') this.#leaving.handleEvent(event.payload);
    this.#tell('event', { event });
  }

  #handleSnapshot(now, snapshot) {
    if (this.#room.handleSnapshot(now, snapshot)) this.#tell('snapshot', { snapshot });
  }

  /** Runs what reads a message of the server; a message that cannot be read is told, no more. */
  #reading(read) {
    try {
      read();
    } catch (error) {
      const { name, message } = /** @type {Error} */ (error);
      if (name !== 'ControlError' && name !== 'FrameError') throw error;
      this.#tell('malformed', { message });
    }
  }

  #connect(now) {
    this.#state = 'connecting';
    this.#attempt += 1;
    // Longer each time, up to four times: on a slow network the first deadline is too short.
    const patience = this.#config.connectTimeout * 2 ** Math.min(Math.max(this.#backoff.failures - 1, 0), 2);
    this.#timers.set('connect', now + patience);
    this.#outputs.push({ type: 'connect', address: this.#address });
  }

  #retry(now, code, elsewhere) {
    if (this.isLive) {
      this.#lostAt ??= this.#link?.lastHeard ?? now;
      this.#tell('lost', { code });
      // A server that welcomes us and then hangs up, again and again, is a failing one.
      if (now - this.#welcomedAt >= this.#config.backoffLimit) this.#backoff.reset();
    }
    this.#outputs = [{ type: 'drop' }];
    this.#link = null;
    this.#room.attached = false;
    this.#leaving.handleLost();
    this.#state = 'paused';
    this.#timers.stop('connect');
    if (elsewhere) this.#address = (this.#address + 1) % this.#config.addresses;
    this.#timers.set('pause', now + this.#backoff.next());
  }

  #restored(now) {
    if (this.#lostAt === null) return;
    this.#tell('restored', { freeze: Math.max(0, now - this.#lostAt) });
    this.#lostAt = null;
  }

  #end(why, code) {
    this.#state = 'ended';
    this.#link = null;
    this.#room.attached = false;
    this.#leaving.handleLost();
    this.#timers.clear();
    this.#outputs = [{ type: 'drop' }];
    this.#tell('ended', { why, code });
  }

  #closeRoom() {
    this.#tellGivenUp(this.#room.close());
    this.#cursors.room.reset();
    if (this.#link) this.#link.setActive(this.#link.lastHeard, false);
  }

  /** The server closes the room: there is nothing left to come back to. */
  #loseRoom(now) {
    this.#closeRoom();
    this.#restored(now);
  }

  /** Says it, if there is a connection; gives whether. */
  #say(text) {
    if (this.isLive) this.#outputs.push({ type: 'text', text });
    return this.isLive;
  }

  /** @param {import("./input.js").InputRange | null} range */
  #tellGivenUp(range) {
    if (range) this.#tell('inputsGivenUp', range);
  }

  #tell(type, body) {
    this.#events.push({ type, ...body });
  }
}
