/**
 * Control messages: JSON text frames. Each is an object whose `t` names its type. Unknown fields
 * and types are ignored, so that a later server can say more.
 */

/** The version of the wire that this library speaks. */
export const VERSION = 1;

/** The WebSocket subprotocol of version 1. */
export const SUBPROTOCOL = 'pixelrush.v1';

/**
 * @typedef {import("./frame.js").Channel} Channel
 * @typedef {import("./cursor.js").Position} Position
 *
 * @typedef {object} Hello first message on every connection
 * @property {string} [token] access token of a login; one of `token` and `resume` is needed
 * @property {string} [resume] resume token out of the last `welcome`; wins over `token`
 * @property {string} instance `in_` and 16 hexadecimal digits: the running client
 * @property {number} attempt counts this client's connections, from 1
 * @property {string} client name and version of the program, at most 64 characters
 * @property {{match?: Position, room?: Position}} have what the client has of each channel
 * @property {string} [room] ticket of the room to be in again at once
 *
 * @typedef {object} Welcome
 * @property {number} v
 * @property {string} session
 * @property {string} player
 * @property {string} name
 * @property {string} resume
 * @property {boolean} resumed
 * @property {string} node
 * @property {number} heartbeat_ms
 * @property {number} active_heartbeat_ms
 * @property {number} deadline_ms
 * @property {number} server_time_ms
 *
 * @typedef {object} QueueState
 * @property {string} mode
 * @property {number} waiting_ms
 * @property {number} size players in the queue
 * @property {number} [estimate_ms] how much longer it takes
 * @property {[number, number]} [party] members present and wanted
 * @property {string} [receipt] for a `queue.join`, should the server lose the ticket
 *
 * @typedef {object} PrivateState a private room
 * @property {string} code its invite code
 * @property {string} mode
 * @property {number} most most members
 * @property {{player: string, name: string, ready: boolean}[]} members in the order in which they came; the first leads
 *
 * @typedef {object} EventInfo an event with a limited number of seats
 * @property {string} event its name, for programs
 * @property {string} title
 * @property {number} opens_at_ms milliseconds since 1970
 * @property {number} closes_at_ms
 * @property {number} seats
 * @property {number} [free] how many can be reserved now; absent: it is told in a moment
 * @property {number} [version] of that count: the greater one is newer
 *
 * @typedef {object} EventCounts
 * @property {string} event
 * @property {number} version
 * @property {number} seats
 * @property {number} free
 *
 * @typedef {object} EventSeat how the player stands in an event
 * @property {string} event
 * @property {"none" | "reserved" | "confirming" | "confirmed"} state
 * @property {number} [seat] the seat's number
 * @property {number} [left_ms] how much longer it is reserved
 *
 * @typedef {object} Refusal
 * @property {string} code stable, for programs
 * @property {string} message for people
 * @property {string} [re] the message that is refused, by its `t`
 * @property {string} [field]
 * @property {number} [retry_after_ms]
 */

/** A text message that cannot be read. */
export class ControlError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = 'ControlError';
  }
}

/**
 * @param {Hello} hello
 * @returns {string} the text frame
 */
export function helloMessage(hello) {
  const have = Object.fromEntries(Object.entries(hello.have).filter(([, position]) => position));
  return JSON.stringify({
    t: 'hello',
    v: VERSION,
    token: hello.token,
    resume: hello.resume,
    instance: hello.instance,
    attempt: hello.attempt,
    client: hello.client,
    have: Object.keys(have).length > 0 ? have : undefined,
    room: hello.room,
  });
}

/**
 * What a wish to play may say besides its mode.
 * @typedef {object} JoinOptions
 * @property {Record<string, number>} [regions] round trip to each, in milliseconds
 * @property {{code: string, size: number}} [party] what its members agreed on
 * @property {string} [version] build of the game: modes may keep builds apart
 * @property {Record<string, string>} [attributes] by what else to meet, if the mode has attributes
 * @property {string[]} [roles] what the player takes, the dearest first; none: anything
 * @property {string} [receipt] out of the last `queue.state` of this wait; the client adds it by itself
 */

/**
 * Enters a queue, or stays in it: joining twice keeps the place.
 * @param {string} mode
 * @param {JoinOptions} [options]
 */
export function queueJoinMessage(mode, options = {}) {
  const { regions, party, version, attributes, roles, receipt } = options;
  return JSON.stringify({ t: 'queue.join', mode, regions, party, version, attributes, roles, receipt });
}

/**
 * An instance id: names the running client.
 * @param {() => number} random a number from 0 up to 1
 */
export function newInstance(random) {
  return `in_${hex32(random)}${hex32(random)}`;
}

/**
 * Takes part in a match that was proposed, or does not and leaves the queue.
 * @param {"accept" | "decline"} what
 * @param {string} match out of `match.proposed`
 */
export function matchMessage(what, match) {
  return JSON.stringify({ t: `match.${what}`, match });
}

/**
 * Opens a private room, enters one by its invite code, or does something in it.
 * @param {"open" | "join" | "ready" | "kick" | "start" | "leave"} what
 * @param {{mode?: string, code?: string, ready?: boolean, player?: string}} [fields]
 */
export function privateMessage(what, fields = {}) {
  const { mode, code, ready, player } = fields;
  return JSON.stringify({ t: `private.${what}`, mode, code, ready, player });
}

/** Leaves the queue. */
export function queueLeaveMessage() {
  return JSON.stringify({ t: 'queue.leave' });
}

/**
 * Enters the room that a match was given.
 * @param {string} ticket
 */
export function roomJoinMessage(ticket) {
  return JSON.stringify({ t: 'room.join', ticket });
}

/** Leaves the room for good. */
export function roomLeaveMessage() {
  return JSON.stringify({ t: 'room.leave' });
}

/**
 * Says something to the members of the room.
 * @param {unknown} data any JSON value, at most 1 KiB as text
 * @param {number} [to] the seat that it is for; absent: everyone
 */
export function roomSayMessage(data, to) {
  return JSON.stringify({ t: 'room.say', data, to });
}

/**
 * Watches a room without a seat in it.
 * @param {string} room
 * @param {number} [delayMs] how much later, if that is more than the room's mode asks for
 */
export function roomWatchMessage(room, delayMs) {
  return JSON.stringify({ t: 'room.watch', room, delay_ms: delayMs });
}

/** Watches no more. */
export function roomUnwatchMessage() {
  return JSON.stringify({ t: 'room.unwatch' });
}

/**
 * Asks which events with a limited number of seats there are, and to be told how they stand.
 * @param {Record<string, number>} [have] the newest version that was seen of each event's count
 */
export function eventListMessage(have) {
  return JSON.stringify({ t: 'event.list', have: have && Object.keys(have).length > 0 ? have : undefined });
}

/**
 * Asks for a seat, to keep it, or gives it back.
 * @param {"reserve" | "confirm" | "release"} what
 * @param {string} event
 */
export function eventMessage(what, event) {
  return JSON.stringify({ t: `event.${what}`, event });
}

/** What each type must have, with a test for each field; a name that ends in `?` may be absent. */
const SHAPES = {
  welcome: {
    v: isCount, session: isText, player: isText, name: isText, resume: isText, resumed: isFlag,
    node: isText, heartbeat_ms: isCount, active_heartbeat_ms: isCount, deadline_ms: isCount,
    server_time_ms: isLong,
  },
  channel: { ch: isChannel, epoch: isCount, offset: isCount, recovered: isFlag },
  'channel.lost': { ch: isChannel, reason: isText },
  'channel.closed': { ch: isChannel, reason: isText },
  'queue.state': { mode: isText, waiting_ms: isLong, size: isCount, 'estimate_ms?': isLong, 'party?': isPair, 'receipt?': isText },
  'private.state': { code: isText, mode: isText, most: isCount, members: isMembers },
  'event.list': { events: isEvents, server_time_ms: isLong },
  'event.counts': { event: isText, version: isLong, seats: isCount, free: isCount },
  'event.seat': { event: isText, state: isSeatState, 'seat?': isCount, 'left_ms?': isLong },
  goaway: { reason: isText, within_ms: isCount },
  error: { code: isText, message: isText, 're?': isText, 'field?': isText, 'retry_after_ms?': isLong },
};

/**
 * @param {string} text
 * @returns {any} the message, or `null` for a type that this library does not know
 * @throws {ControlError}
 */
export function parseServerMessage(text) {
  const message = parseObject(text);
  if (typeof message.t !== 'string') throw new ControlError('a message has no string "t"');
  if (!Object.hasOwn(SHAPES, message.t)) return null;
  const wrong = faultOf(message, SHAPES[message.t]);
  if (wrong) throw new ControlError(`${message.t}.${wrong}`);
  return message;
}

/** What is wrong with an object of this shape, or `null`. */
function faultOf(object, shape) {
  for (const [name, fits] of Object.entries(shape)) {
    const optional = name.endsWith('?');
    const field = optional ? name.slice(0, -1) : name;
    const absent = object[field] === undefined || object[field] === null;
    if (absent ? !optional : !fits(object[field])) {
      return `${field} is ${absent ? 'missing' : 'not what it should be'}`;
    }
  }
  return null;
}

function parseObject(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ControlError(`a message is not JSON: ${/** @type {Error} */ (error).message.slice(0, 120)}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ControlError('a message is not a JSON object');
  }
  return value;
}

function isCount(value) {
  return isLong(value) && value < 2 ** 32;
}

/** 64 bits on the wire, of which a number holds 53. */
function isLong(value) {
  return Number.isSafeInteger(value) && value >= 0;
}

function isText(value) {
  return typeof value === 'string';
}

function isFlag(value) {
  return typeof value === 'boolean';
}

function isPair(value) {
  return Array.isArray(value) && value.length === 2 && value.every(isCount);
}

function isMembers(value) {
  const shape = { player: isText, name: isText, ready: isFlag };
  return Array.isArray(value) && value.every((one) => one !== null && typeof one === 'object' && faultOf(one, shape) === null);
}

function isEvents(value) {
  const shape = {
    event: isText, title: isText, opens_at_ms: isLong, closes_at_ms: isLong, seats: isCount,
    'free?': isCount, 'version?': isLong,
  };
  return Array.isArray(value) && value.every((event) => event !== null && typeof event === 'object' && faultOf(event, shape) === null);
}

function isSeatState(value) {
  return ['none', 'reserved', 'confirming', 'confirmed'].includes(value);
}

function isChannel(value) {
  return value === 'match' || value === 'room';
}

function hex32(random) {
  return Math.floor(random() * 2 ** 32).toString(16).padStart(8, '0');
}
