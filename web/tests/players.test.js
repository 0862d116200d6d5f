/** Leaderboards and one's own data over HTTP, and what the panel makes of them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { changeText, Ratings } from '../game/ratings.js';
import { Players, RequestError } from '../sdk/index.js';

const ADA = { player: 'pl_0000000000000001', name: 'Ada', place: 1, rating: 1777, deviation: 472, score: 361, games: 1, wins: 1 };
const BEN = { ...ADA, player: 'pl_0000000000000002', name: 'Ben', place: 12, rating: 1223 };

/** A server that answers by path, and notes what it was asked. */
function server(answers) {
  const asked = [];
  const fetch = async (url, { method = 'GET', headers, body }) => {
    const { pathname, search } = new URL(url);
    asked.push({ method, path: `${pathname}${search}`, token: headers.authorization, body });
    const answer = answers[pathname];
    const given = typeof answer === 'function' ? answer({ search, headers, body }) : answer;
    const { status = 200, ...json } = given ?? { status: 404, error: { code: 'not_found', message: 'no such page' } };
    return new Response(JSON.stringify(json), { status });
  };
  let logins = 0;
  const token = async (renew) => {
    if (renew || logins === 0) logins += 1;
    return `token-${logins}`;
  };
  const players = new Players({ origin: 'http://game.test', token, fetch: /** @type {any} */ (fetch) });
  return { players, asked };
}

test('a leaderboard is public, and one\'s own place is not', async () => {
  const { players, asked } = server({ '/v1/leaderboard/race': { rows: [ADA] }, '/v1/leaderboard/race/me': { rows: [BEN] } });
  assert.deepEqual(await players.leaderboard('race'), [ADA]);
  assert.deepEqual(await players.around('race', { side: 3 }), [BEN]);
  assert.deepEqual(asked.map(({ path, token }) => [path, token]), [
    ['/v1/leaderboard/race?limit=10', undefined],
    ['/v1/leaderboard/race/me?side=3', 'Bearer token-1'],
  ]);
});

test('a token that has expired is renewed once', async () => {
  const refused = { status: 401, error: { code: 'token_expired', message: 'log in again' } };
  const { players, asked } = server({
    '/v1/me': ({ headers }) => (headers.authorization.endsWith('-1') ? refused : { player: ADA.player, ratings: [] }),
    '/v1/me/matches': refused,
  });
  assert.equal((await players.me()).player, ADA.player);
  await assert.rejects(players.matches(), { code: 'token_expired' });
  assert.equal(asked.length, 4);
});

test('an export has all pages', async () => {
  const { players } = server({
    '/v1/me/export': ({ search }) => (search === '?from=a.b' ? { matches: [2], next: null } : { player: 'p', profile: null, ratings: [], matches: [1], next: 'a.b' }),
  });
  assert.deepEqual(await players.export(), { player: 'p', profile: null, ratings: [], matches: [1, 2] });
});

test('erasing names the player', async () => {
  const { players, asked } = server({ '/v1/me/erase': { erased: ADA.player } });
  await players.erase(ADA.player);
  assert.deepEqual([asked[0].method, asked[0].body], ['POST', JSON.stringify({ player: ADA.player })]);
});

test('a refusal says whether to come back, and when', async () => {
  const { players } = server({
    '/v1/me': { status: 503, error: { code: 'unavailable', message: 'the database does not answer', retry_after_ms: 1_000 } },
    '/v1/me/matches': { status: 501, error: { code: 'not_kept', message: 'not kept here' } },
  });
  await assert.rejects(players.me(), (error) => error instanceof RequestError && error.retry && error.retryAfterMs === 1_000);
  await assert.rejects(players.matches(), (error) => error instanceof RequestError && !error.retry);
  const deaf = new Players({ token: async () => '', fetch: async () => { throw new TypeError('offline'); } });
  await assert.rejects(deaf.leaderboard('race'), { code: 'unreachable', retry: true });
});

function panel(answers) {
  const listeners = [];
  const client = { on: (_type, listener) => listeners.push(listener) };
  const { players } = server(answers);
  const ratings = new Ratings(client, players, 'race');
  return { ratings, tell: (data) => listeners.forEach((listener) => listener({ channel: 'match', data })) };
}

const KNOWN = {
  '/v1/me': { player: BEN.player, ratings: [{ mode: 'duel', rating: 1 }, { mode: 'race', rating: 1223, deviation: 472, games: 1, wins: 0 }] },
  '/v1/leaderboard/race': { rows: [ADA] },
  '/v1/leaderboard/race/me': { rows: [BEN] },
  '/v1/me/matches': { matches: [], next: null },
};

test('the panel shows the mode\'s rating, and neighbours of who is no leader', async () => {
  const { ratings } = panel(KNOWN);
  await ratings.refresh();
  assert.equal(ratings.own?.rating, 1223);
  assert.deepEqual(ratings.around, [BEN]);
  const leader = panel({ ...KNOWN, '/v1/me': { player: ADA.player, ratings: [] } });
  await leader.ratings.refresh();
  assert.deepEqual([leader.ratings.own, leader.ratings.around], [null, []]);
});

test('a change is told after a match, and forgotten with the next one', () => {
  const { ratings, tell } = panel(KNOWN);
  tell({ e: 'rating', mode: 'duel', before: 1, after: 2 });
  assert.equal(changeText(ratings.change), '');
  tell({ e: 'rating', mode: 'race', before: 1500, after: 1480 });
  assert.equal(changeText(ratings.change), 'Rating 1500 → 1480 (−20)');
  tell({ e: 'match.found' });
  assert.equal(ratings.change, null);
});

test('a server without ratings is told in words, and nothing breaks', async () => {
  const { ratings } = panel({});
  await ratings.refresh();
  assert.equal(ratings.note, 'no such page');
  const none = panel({ '/v1/me': { status: 501, error: { code: 'not_kept', message: 'x' } } });
  assert.equal(await none.ratings.erase(), false);
  assert.equal(none.ratings.note, 'This server keeps no ratings.');
});

test('erasing forgets what was shown', async () => {
  const { ratings } = panel({ ...KNOWN, '/v1/me/erase': { erased: BEN.player } });
  await ratings.refresh();
  assert.equal(await ratings.erase(), true);
  assert.deepEqual([ratings.own, ratings.leaders, ratings.isKnown], [null, [], false]);
  assert.match(ratings.note, /erased/);
});
