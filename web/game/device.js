/** What this browser remembers of the player: a device id, a name, and whether a game is on. */

const DEVICE = 'pixelrush.device';
const NAME = 'pixelrush.name';
const PLAYING = 'pixelrush.playing';

/**
 * @param {string} [suffix] makes a second player out of the same browser
 * @returns {string} 32 hexadecimal digits and the suffix: the same guest each time
 */
export function deviceId(suffix = '') {
  const known = read(localStore(), DEVICE);
  const device = known ?? randomHex(16);
  if (known === null) write(localStore(), DEVICE, device);
  return suffix === '' ? device : `${device}.${suffix}`;
}

/** The next {@link deviceId} is another one, and nobody has a name any more. */
export function forgetPlayer() {
  for (const key of [DEVICE, NAME]) remove(localStore(), key);
  remove(sessionStore(), PLAYING);
}

/** @returns {string} the last name played under, or '' */
export function rememberedName() {
  return read(localStore(), NAME) ?? '';
}

/** @param {string} name */
export function rememberName(name) {
  write(localStore(), NAME, name);
}

/** Whether this tab was in a queue or a race when it was loaded last: a reload goes on there. */
export function wasPlaying() {
  return read(sessionStore(), PLAYING) === 'yes';
}

/** @param {boolean} playing */
export function rememberPlaying(playing) {
  write(sessionStore(), PLAYING, playing ? 'yes' : 'no');
}

function randomHex(bytes) {
  const values = crypto.getRandomValues(new Uint8Array(bytes));
  return Array.from(values, (value) => value.toString(16).padStart(2, '0')).join('');
}

// Storage may be forbidden: then a reload is a new guest, and nothing else changes.
function localStore() {
  try {
    return globalThis.localStorage;
  } catch {
    return null;
  }
}

function sessionStore() {
  try {
    return globalThis.sessionStorage;
  } catch {
    return null;
  }
}

function read(store, key) {
  try {
    return store?.getItem(key) ?? null;
  } catch {
    return null;
  }
}

function remove(store, key) {
  try {
    store?.removeItem(key);
  } catch {
    // Forbidden: then there was nothing.
  }
}

function write(store, key, value) {
  try {
    store?.setItem(key, value);
  } catch {
    // Full or forbidden.
  }
}
