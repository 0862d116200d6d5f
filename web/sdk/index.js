/** PixelRush's client library. README.md says how its parts fit. */

export { Backoff } from './backoff.js';
export { BitReader, BitsError, BitWriter } from './bits.js';
export { Client } from './client.js';
export { CloseCode, Retry } from './close.js';
export { DEFAULTS } from './config.js';
export {
  ControlError,
  eventListMessage,
  eventMessage,
  helloMessage,
  parseServerMessage,
  queueJoinMessage,
  matchMessage,
  privateMessage,
  queueLeaveMessage,
  roomJoinMessage,
  roomLeaveMessage,
  roomSayMessage,
  roomUnwatchMessage,
  roomWatchMessage,
  SUBPROTOCOL,
  VERSION,
} from './control.js';
export { Cursor } from './cursor.js';
export { CHANNELS, decodeFrame, encodeFrame, FrameError, MAX_STEPS } from './frame.js';
export { InputWindow } from './input.js';
export { Link } from './link.js';
export { LoginError, loginGuest } from './login.js';
export { Players, RequestError } from './players.js';
export { Session } from './session.js';
export { SnapshotDecoder, SnapshotError, SNAPSHOTS_KEPT } from './snapshot.js';
export { Timers } from './timers.js';
