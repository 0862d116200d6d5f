/** Events with a limited number of seats: what the panel shows, by what the server tells. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Events } from '../game/events.js';
import { durationText } from '../game/events_panel.js';
import { events as told, live, outputs } from './rig.js';

const GALA = { event: 'gala', title: 'Gala', opens_at_ms: 10_000, closes_at_ms: 90_000, seats: 2, free: 2, version: 5 };

class FakeClient {
  said = [];
  #listeners = new Map();

  on(type, listener) {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }

  tell(type, event) {
    for (const listener of this.#listeners.get(type) ?? []) listener(event);
  }

  askOfEvent(what, event) {
    this.said.push(`${what} ${event}`);
    return true;
  }
}

function panel() {
  const clock = { now: 0 };
  const client = new FakeClient();
  const events = new Events(client, () => clock.now);
  // The server's clock is seven seconds ahead.
  client.tell('eventsListed', { events: [GALA], serverTimeMs: 7_000 });
  return { clock, client, events, gala: () => events.shown[0] };
}

test('an event counts down to its opening by the server\'s clock', () => {
  const { clock, gala } = panel();
  assert.deepEqual([gala().phase, gala().opensInMs], ['early', 3_000]);
  clock.now = 3_000;
  assert.deepEqual([gala().phase, gala().free], ['open', 2]);
  clock.now = 83_000;
  assert.equal(gala().phase, 'closed');
});

test('a seat is reserved, counts down, and is confirmed', () => {
  const { clock, client, events, gala } = panel();
  clock.now = 4_000;
  events.ask('reserve', 'gala');
  client.tell('eventSeat', { seat: { event: 'gala', state: 'reserved', seat: 1, left_ms: 5_000 } });
  clock.now = 6_000;
  assert.deepEqual([gala().state, gala().seat, gala().leftMs], ['reserved', 1, 3_000]);
  events.ask('confirm', 'gala');
  client.tell('eventSeat', { seat: { event: 'gala', state: 'confirmed', seat: 1 } });
  clock.now = 60_000;
  assert.deepEqual([gala().state, gala().seat, client.said.at(-1)], ['confirmed', 1, 'confirm gala']);
});

test('a seat that is not confirmed in time is gone, and that is told', () => {
  const { clock, client, gala } = panel();
  client.tell('eventSeat', { seat: { event: 'gala', state: 'reserved', seat: 1, left_ms: 5_000 } });
  clock.now = 5_000;
  assert.deepEqual([gala().state, gala().seat], ['none', null]);
  assert.match(gala().note, /not confirmed in time/);
});

test('a refusal is told at the event that was asked', () => {
  const { client, events, gala } = panel();
  client.tell('refused', { error: { re: 'queue.join', code: 'unavailable', message: 'not of events' } });
  assert.equal(gala().note, '');
  events.ask('reserve', 'gala');
  client.tell('refused', { error: { re: 'event.reserve', code: 'event_closed', message: 'the event has closed' } });
  assert.equal(gala().note, 'the event has closed');
});

test('a client never shows an older count than it saw, and says what it saw', () => {
  const session = live(1);
  const hear = (message) => {
    session.handleText(3, JSON.stringify(message));
    return told(session);
  };
  const [listed] = hear({ t: 'event.list', events: [GALA], server_time_ms: 1 });
  assert.equal(listed.events[0].free, 2);
  assert.equal(hear({ t: 'event.counts', event: 'gala', version: 9, seats: 2, free: 0 }).length, 1);
  assert.deepEqual(hear({ t: 'event.counts', event: 'gala', version: 8, seats: 2, free: 1 }), []);
  assert.equal(hear({ t: 'event.list', events: [GALA], server_time_ms: 1 })[0].events[0].free, undefined);
  session.listEvents();
  const said = outputs(session, 4).find((output) => output.type === 'text');
  assert.deepEqual(JSON.parse(said.text), { t: 'event.list', have: { gala: 9 } });
});

test('durations are read as clocks', () => {
  assert.equal(durationText(61), '00:01:01');
  assert.equal(durationText(90_061), '1 d 01:01:01');
});
