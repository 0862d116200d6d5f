/**
 * Leaves that must not be lost. `room.leave` and `queue.leave` have no answer of the matcher that
 * could be waited for, so what was left is remembered until the matcher shows that it is gone: at
 * most one queue and one room.
 *
 * A leave names no room, so an old one must never reach the matcher once a later match may stand:
 * it is said again only if the matcher's last word is that very match, and no `queue.join` that
 * came after it waits for its answer.
 */

import { queueLeaveMessage, roomLeaveMessage } from './control.js';

/** Shortest pause before a refused leave is said again, whatever the server says. */
const SHORTEST_PAUSE = 100;

/**
 * How far a leave has got. `unsaid`: not on the matcher's present attach, whose state decides.
 * `said`: nothing speaks against it so far. A number: to be said again, then.
 *
 * @typedef {"unsaid" | "said" | number} Word
 *
 * @typedef {{room: string, ticket: string}} Match as the match channel tells it
 *
 * @typedef {object} LeftRoom
 * @property {string} ticket
 * @property {string | null} room its id, if the matcher told it
 * @property {Word} word
 * @property {number} joins `queue.join`s said since, that are not refused: one of them may lead
 *   to a later match
 */

export class Leaving {
  /** @type {Match | null} the match that the matcher told of last: it gives a ticket its room */
  #told = null;
  /** @type {Word | null} */
  #queue = null;
  /** @type {LeftRoom | null} */
  #room = null;

  /**
   * The player leaves the queue.
   * @param {boolean} said whether the server is being told
   */
  leaveQueue(said) {
    this.#queue = said ? 'said' : 'unsaid';
  }

  /**
   * The player leaves the room that `ticket` is for.
   * @param {string} ticket
   * @param {boolean} said whether the server is being told
   */
  leaveRoom(ticket, said) {
    const room = this.#told?.ticket === ticket ? this.#told.room : null;
    this.#room = { ticket, room, word: said ? 'said' : 'unsaid', joins: 0 };
  }

  /** The player enters a room: the one before is no more, or wanted again. */
  enterRoom() {
    this.#room = null;
  }

  /**
   * The player wants to queue.
   * @param {boolean} said whether the server is being told
   * @returns {string | null} what has to be said first, or the server would refuse
   */
  joinQueue(said) {
    this.#queue = null;
    const left = this.#room;
    if (!left || !said) return null;
    const first = left.joins === 0 && typeof left.word === 'number';
    if (first) left.word = 'said';
    left.joins += 1;
    return first ? roomLeaveMessage() : null;
  }

  /** The connection is lost, or the gateway lost the matcher: what was said may be lost too. */
  handleLost() {
    if (this.#queue !== null) this.#queue = 'unsaid';
    if (this.#room) Object.assign(this.#room, { word: 'unsaid', joins: 0 });
  }

  /** The match channel is attached. */
  handleState(now, state) {
    if (!state) return;
    this.#queue = this.#queue !== null && state.queue ? now : null;
    this.#keepOnly(state.match ?? null);
    if (this.#room) this.#room.word = now;
    this.#told = state.match ?? null;
  }

  /**
   * An event of the match channel took effect.
   * @param {Uint8Array} payload
   */
  handleEvent(payload) {
    const data = parseEvent(payload);
    if (data?.e === 'match.found') {
      this.#queue = null;
      this.#keepOnly(data);
      this.#told = { room: data.room, ticket: data.ticket };
    } else if (data?.e === 'match.ended') {
      if (this.#room?.room === data.room) this.#room = null;
      if (this.#told?.room === data.room) this.#told = null;
    } else if (data?.e === 'queue.left') {
      this.#queue = null;
    }
  }

  /** The matcher has the player in a queue, so in no match. */
  handleQueued() {
    this.#room = null;
  }

  /** @param {import("./control.js").Refusal} error */
  handleRefused(now, { re, retry_after_ms: retryAfter }) {
    const due = retryAfter == null ? null : now + Math.max(retryAfter, SHORTEST_PAUSE);
    if (re === 'queue.leave' && this.#queue === 'said') this.#queue = due ?? 'said';
    if (!this.#room) return;
    if (re === 'room.leave' && this.#room.word === 'said') this.#room.word = due ?? 'said';
    if (re === 'queue.join') this.#room.joins = Math.max(0, this.#room.joins - 1);
  }

  /**
   * Only for a connection that is live.
   * @returns {string | null} what is to be said again now
   */
  pollTransmit(now) {
    if (isDue(this.#queue, now)) {
      this.#queue = 'said';
      return queueLeaveMessage();
    }
    if (this.#room?.joins !== 0 || !isDue(this.#room.word, now)) return null;
    this.#room.word = 'said';
    return roomLeaveMessage();
  }

  /** @returns {number | null} when to ask {@link pollTransmit} next */
  pollTimeout() {
    const words = [this.#queue, this.#room?.joins === 0 ? this.#room.word : null];
    const due = words.filter((word) => typeof word === 'number');
    return due.length > 0 ? Math.min(...due) : null;
  }

  /**
   * Whether the player has left this match, and the matcher may not know.
   * @param {Match} match
   */
  hasLeft(match) {
    if (!this.#room) return false;
    // A player has one ticket for a match.
    return this.#room.room === null ? this.#room.ticket === match.ticket : this.#room.room === match.room;
  }

  /**
   * The player is in this match, or none, so no other one is left to leave.
   * @param {Match | null} match
   */
  #keepOnly(match) {
    if (!match || !this.hasLeft(match)) this.#room = null;
    else if (this.#room) this.#room.room = match.room;
  }
}

function isDue(word, now) {
  return typeof word === 'number' && word <= now;
}

/** One that cannot be read is complained about by whoever it is told to. */
function parseEvent(payload) {
  try {
    return JSON.parse(new TextDecoder().decode(payload));
  } catch {
    return null;
  }
}
