/**
 * Events with a limited number of seats: what the panel in the lobby shows, by what the server
 * tells. Counting down and asking for a seat are here; drawing is in events_panel.js.
 */

/**
 * @typedef {object} Shown one event, as the panel shows it
 * @property {string} event
 * @property {string} title
 * @property {number} seats
 * @property {number | null} free
 * @property {"early" | "open" | "closed"} phase
 * @property {number} opensInMs
 * @property {string} state the player's own: none, reserved, confirming, confirmed
 * @property {number | null} seat
 * @property {number} leftMs of a reservation
 * @property {string} note what came of the last wish
 */

/** What refusals mean to a player; others speak for themselves. */
const WORDS = {
  seat_lapsed: 'Too late: the seat was not confirmed in time.',
  event_full: 'No seat is free just now; one may come back.',
};

export class Events extends EventTarget {
  #client;
  #now;
  /** The server's clock minus ours. */
  #offset = 0;
  /** @type {Map<string, any>} */
  #events = new Map();
  /** The last event that something was asked of: refusals name none. */
  #asked = '';

  /**
   * @param {import("../sdk/client.js").Client} client
   * @param {() => number} [now] milliseconds since 1970
   */
  constructor(client, now = Date.now) {
    super();
    this.#client = client;
    this.#now = now;
    client.on('eventsListed', (listed) => this.#handleList(listed));
    client.on('eventCounts', ({ counts }) => this.#change(counts.event, { free: counts.free, seats: counts.seats }));
    client.on('eventSeat', ({ seat }) => this.#handleSeat(seat));
    client.on('refused', ({ error }) => this.#handleRefused(error));
  }

  /** Whether the server has told which events there are. */
  get isKnown() {
    return this.#listed;
  }

  #listed = false;

  /** @returns {Shown[]} */
  get shown() {
    const now = this.#now() + this.#offset;
    return [...this.#events.values()].map((event) => {
      const leftMs = Math.max(0, (event.until ?? 0) - this.#now());
      const lapsed = event.state === 'reserved' && leftMs === 0;
      return {
        event: event.event,
        title: event.title,
        seats: event.seats,
        free: event.free ?? null,
        phase: now < event.opens_at_ms ? 'early' : now < event.closes_at_ms ? 'open' : 'closed',
        opensInMs: Math.max(0, event.opens_at_ms - now),
        state: lapsed ? 'none' : event.state,
        seat: lapsed ? null : (event.seat ?? null),
        leftMs,
        note: lapsed ? WORDS.seat_lapsed : event.note,
      };
    });
  }

  /**
   * @param {"reserve" | "confirm" | "release"} what
   * @param {string} event
   */
  ask(what, event) {
    this.#asked = event;
    const sent = this.#client.askOfEvent(what, event);
    this.#change(event, { note: sent ? '' : 'Not connected; try again in a moment.' });
  }

  #handleList({ events, serverTimeMs }) {
    this.#offset = serverTimeMs - this.#now();
    this.#listed = true;
    const before = this.#events;
    this.#events = new Map(events.map((event) => {
      const known = before.get(event.event) ?? { state: 'none', note: '' };
      return [event.event, { ...known, ...event, free: event.free ?? known.free }];
    }));
    this.dispatchEvent(new Event('change'));
  }

  #handleSeat({ event, state, seat, left_ms: left }) {
    this.#change(event, { state, seat, note: '', until: left == null ? undefined : this.#now() + left });
  }

  #handleRefused({ re, code, message }) {
    if (!re?.startsWith('event.') || this.#asked === '') return;
    const gone = code === 'seat_lapsed' ? { state: 'none', seat: undefined } : {};
    this.#change(this.#asked, { ...gone, note: WORDS[code] ?? message });
  }

  #change(name, change) {
    const event = this.#events.get(name);
    if (!event) return;
    Object.assign(event, change);
    this.dispatchEvent(new Event('change'));
  }
}
