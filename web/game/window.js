/**
 * `window.pixelrush`: what the page knows, for tests and for the curious. It is read-only; to
 * play by program use the client library.
 *
 * `pixelrush.state()` gives
 * - `phase`: lobby, connecting, queue, proposed, accepted, private, found, countdown, racing, finished, result
 * - `room`: the room's id, or `null`
 * - `seat`: the player's own seat, or -1
 * - `cars`: as race.js describes them (pixels, radians), each with its player's `name`, by the
 *   newest snapshot, not as drawn
 * - `track`: name, size, width and the closed centre line's points, or `null`
 * - `tick`, `laps`, `clock`: seconds since the start
 * - `result`: as the server gave it, or `null`
 * - `connection`: state, address, rtt and clockOffset in ms, how often it was lost and restored,
 *   the last freeze in ms
 * - `events`: how often each event of the client and of the server's channels was told
 * - `seats`: the events with a limited number of seats, as their panel shows them
 * - `rating`: the player's own in the mode, what the last match changed, and the note, as the
 *   panel shows them
 * - `private`: the private room that the player is in, or `null`
 * - `error`: what the player is told, or ''
 */

/** @param {{client: import("../sdk/client.js").Client, lobby: import("./lobby.js").Lobby, events: import("./events.js").Events, ratings: import("./ratings.js").Ratings, connection: object}} page */
export function exposeState({ client, lobby, events, ratings, connection }) {
  const state = () => {
    const { race } = lobby;
    return structuredClone({
      phase: lobby.phase,
      room: race?.room ?? null,
      seat: race?.seat ?? -1,
      cars: (race?.cars ?? []).map((car) => ({ ...car, name: race?.nameOf(car.seat) })),
      track: race?.track ?? null,
      tick: race?.tick ?? 0,
      laps: race?.laps ?? 0,
      clock: race?.clock ?? 0,
      result: race?.result ?? null,
      seats: events.shown,
      rating: { own: ratings.own, change: ratings.change, note: ratings.note },
      private: lobby.private,
      connection: {
        ...connection,
        state: client.state,
        address: client.address,
        rtt: client.rtt,
        clockOffset: client.clockOffset,
      },
      events: lobby.counts,
      error: lobby.error,
    });
  };
  Object.defineProperty(window, 'pixelrush', { value: Object.freeze({ state }) });
}
