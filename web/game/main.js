/** The page: wires the client, the lobby, the picture and the controls together. */

import { Client, loginGuest, Players } from '../sdk/index.js';
import { deviceId, forgetPlayer, rememberedName, rememberName, rememberPlaying, wasPlaying } from './device.js';
import { Events } from './events.js';
import { EventsPanel } from './events_panel.js';
import { Controls, Pump } from './input.js';
import { Lobby } from './lobby.js';
import { changeText, Ratings } from './ratings.js';
import { download, RatingsPanel } from './ratings_panel.js';
import { PrivatePanel } from './private_panel.js';
import { Renderer } from './render.js';
import { Screens } from './screens.js';
import { exposeState } from './window.js';

const CLIENT = 'pixelrush-web/0.1';

/** How often the text over the race and the link's state follow, in milliseconds. */
const TEXT_EVERY = 100;

const query = new URLSearchParams(location.search);
/** A room to watch rather than to play. */
const watched = query.get('watch');
const mode = query.get('mode') ?? 'race';
let device = ownDevice();
const screens = new Screens();
const client = new Client({ addresses: addresses(), login, client: CLIENT });
const lobby = new Lobby(client, mode);
const events = new Events(client);
const panel = new EventsPanel(screens.events, (what, event) => events.ask(what, event));
const ratings = new Ratings(client, new Players({ token }), mode);
const ratingsPanel = new RatingsPanel(screens.ratings, { export: saveData, erase: eraseData });
const privatePanel = new PrivatePanel(screens.private, (player) => client.inPrivate('kick', { player }));
const renderer = new Renderer(screens.canvas);
const controls = new Controls(window, screens.touch);
const pump = new Pump(client, controls);
/** How the connection fared, for the curious. */
const connection = { lost: 0, restored: 0, lastFreeze: /** @type {number | null} */ (null) };
let playedAs = '';
/** The last login's access token. */
let accessToken = '';
let self = '';
/** The invite code of a link that was followed. */
let invited = new URLSearchParams(location.hash.slice(1)).get('join') ?? '';
let pumping = '';

wireButtons();
wireConnection();
lobby.addEventListener('change', showLobby);
events.addEventListener('change', showEvents);
ratings.addEventListener('change', showRatings);
client.on('snapshot', ({ queued }) => pump.handleQueued(queued));
window.setInterval(showText, TEXT_EVERY);
requestAnimationFrame(drawFrame);
exposeState({ client, lobby, events, ratings, connection });
start();

function start() {
  screens.name.value = rememberedName();
  if (invited !== '' && rememberedName() !== '') {
    gather();
  } else if (watched !== null) {
    lobby.watch(watched);
    void client.start();
  } else if (wasPlaying() && rememberedName() !== '') {
    lobby.resume();
    void client.start();
  }
  showLobby();
}

/** The page's own origin, unless the query names gateways. */
function addresses() {
  const named = query.get('addresses')?.split(',').map((address) => address.trim()).filter(Boolean) ?? [];
  const own = new URL('/v1/ws', location.href);
  own.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  return named.length > 0 ? named : [own.href];
}

async function login() {
  const guest = { device, name: rememberedName() || 'Watcher' };
  playedAs = guest.name;
  accessToken = (await loginGuest('', guest)).token;
  return accessToken;
}

/** A token for requests beside the session. */
async function token(renew) {
  return accessToken === '' || renew ? login() : accessToken;
}

function ownDevice() {
  return deviceId(query.get('player') ?? '');
}

async function saveData() {
  const data = await ratings.export();
  if (data !== null) download(data, 'pixelrush.json');
}

async function eraseData() {
  // The session would only be sent away.
  client.close();
  if (!(await ratings.erase())) return;
  forgetPlayer();
  accessToken = '';
  device = ownDevice();
  screens.name.value = '';
}

/** Into the private room that the player is invited to, or into a new one. */
function gather() {
  if (playedAs !== rememberedName()) client.close();
  lobby.gather(invited);
  invited = '';
  history.replaceState(null, '', location.pathname + location.search);
  void client.start();
}

function wireButtons() {
  screens.form.addEventListener('submit', (event) => {
    event.preventDefault();
    rememberName(screens.name.value.trim());
    if (invited !== '') {
      gather();
      return;
    }
    // A name is part of the login.
    if (playedAs !== rememberedName()) client.close();
    lobby.enter();
    void client.start();
  });
  screens.gather.addEventListener('click', () => {
    if (!screens.form.reportValidity()) return;
    rememberName(screens.name.value.trim());
    gather();
  });
  screens.ready.addEventListener('change', () => client.inPrivate('ready', { ready: screens.ready.checked }));
  screens.start.addEventListener('click', () => client.inPrivate('start'));
  screens.leavePrivate.addEventListener('click', () => lobby.leavePrivate());
  screens.leaveQueue.addEventListener('click', () => lobby.leaveQueue());
  screens.accept.addEventListener('click', () => lobby.accept());
  screens.decline.addEventListener('click', () => lobby.decline());
  screens.leaveRace.addEventListener('click', () => lobby.leave());
  screens.showEvents.addEventListener('click', () => {
    if (screens.name.value.trim() !== '') rememberName(screens.name.value.trim());
    screens.events.hidden = false;
    client.watchEvents();
    void client.start();
  });
  screens.showRatings.addEventListener('click', () => {
    if (screens.name.value.trim() !== '') rememberName(screens.name.value.trim());
    screens.ratings.hidden = false;
    void ratings.refresh();
  });
  screens.again.addEventListener('click', () => {
    lobby.enter();
    void client.start();
  });
}

function wireConnection() {
  client.on('welcome', ({ welcome }) => {
    self = welcome.player;
  });
  client.on('lost', () => {
    connection.lost += 1;
    screens.showBanner('Reconnecting…');
  });
  client.on('channelLost', ({ channel }) => {
    if (channel === 'room') screens.showBanner('Reconnecting… (the race does not answer)');
  });
  client.on('restored', ({ freeze }) => {
    connection.restored += 1;
    connection.lastFreeze = freeze;
    screens.showNotice(`Back after ${(freeze / 1_000).toFixed(1)} s`);
  });
  client.on('ended', () => screens.hideBanner());
  client.on('goAway', () => screens.showNotice('The server is being replaced; the race goes on'));
  client.on('malformed', ({ message }) => console.warn(`pixelrush: ${message}`));
  window.addEventListener('online', () => client.wake());
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') client.wake();
    else client.flushInputs();
  });
}

function showLobby() {
  const { phase, race } = lobby;
  screens.show(phase);
  screens.showError(lobby.error);
  screens.showNameRefused(lobby.nameRefused);
  if (phase === 'lobby' && client.state === 'live') screens.hideLost();
  screens.showQueue(lobby.queue);
  if (lobby.private) privatePanel.show(lobby.private, self);
  const plays = race?.seat !== -1;
  if (plays) rememberPlaying(phase !== 'lobby' && phase !== 'result');
  controls.enabled = plays && (phase === 'countdown' || phase === 'racing');
  if (phase === 'result' && race) screens.showResult(race.result, race.seat, race.tickHz);
  // Steps flow until the race is over: acknowledgements of snapshots ride on them.
  const room = race && plays && !race.result ? race.room : '';
  if (room === pumping) return;
  pumping = room;
  if (race && room) pump.start(race.tickHz);
  else pump.stop();
}

function showEvents() {
  if (!screens.events.hidden) panel.show(events.shown, events.isKnown);
}

function showRatings() {
  screens.showRatingChange(changeText(ratings.change));
  if (!screens.ratings.hidden) ratingsPanel.show(ratings);
}

function showText() {
  // Opening and reservations count down.
  if (lobby.stage === 'lobby') showEvents();
  screens.showLink(client.state, client.rtt);
  if (lobby.proposed) screens.showProposal(lobby.proposed);
  if (lobby.stage === 'race' && lobby.race) screens.showRace(lobby.race);
}

function drawFrame(now) {
  if (lobby.stage === 'race' && lobby.race && !lobby.race.result) renderer.draw(lobby.race, now);
  requestAnimationFrame(drawFrame);
}
