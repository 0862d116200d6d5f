/**
 * The client's side of resume: which event took effect last on a channel. With the origin, which
 * sends again what is not acknowledged, it makes every event take effect once and in order.
 *
 * @typedef {{epoch: number, offset: number}} Position
 */
export class Cursor {
  #channel;
  /** @type {Position | null} */
  #position = null;
  /** @type {number | null} the last event that came too early since one took effect */
  #early = null;

  /** @param {import("./frame.js").Channel} channel */
  constructor(channel) {
    this.#channel = channel;
  }

  /** @returns {Position | null} what this client has */
  get position() {
    return this.#position && { ...this.#position };
  }

  /**
   * The origin says where the channel stands. If it says `recovered` and this client has nothing
   * that could go on from there, then something is lost that neither side knows of: the position
   * is forgotten, and the client has to attach afresh.
   * @param {number} epoch
   * @param {number} offset
   * @param {boolean} recovered
   * @returns {boolean} whether what the client had goes on
   */
  handleAttached(epoch, offset, recovered) {
    this.#early = null;
    const had = this.#position;
    const goesOn = recovered && had?.epoch === epoch && had.offset >= offset;
    if (!goesOn) this.#position = recovered ? null : { epoch, offset };
    return goesOn;
  }

  /**
   * Takes an event. `apply`: it is the next one and counts as having taken effect. `drop`: it
   * took effect before, or belongs to another history. `missing`: one before it is missing; told
   * once for each time that the origin sends the row, or each event behind the gap would make the
   * origin send everything again.
   * @param {{epoch: number, offset: number}} event
   * @returns {"apply" | "drop" | "missing"}
   */
  handleEvent({ epoch, offset }) {
    const position = this.#position;
    if (!position || epoch !== position.epoch || offset <= position.offset) return 'drop';
    if (offset > position.offset + 1) {
      const again = this.#early === null || offset <= this.#early;
      this.#early = offset;
      return again ? 'missing' : 'drop';
    }
    position.offset = offset;
    this.#early = null;
    return 'apply';
  }

  /**
   * The acknowledgement of what took effect.
   * @param {boolean} resend whether to ask for what follows again
   * @returns {import("./frame.js").Ack | null}
   */
  ack(resend) {
    return this.#position && { channel: this.#channel, ...this.#position, resend };
  }

  /** Forgets everything: the channel is closed. */
  reset() {
    this.#position = null;
    this.#early = null;
  }
}
