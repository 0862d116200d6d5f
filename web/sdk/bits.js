/**
 * Bit packing, least significant bit first: bit `n` of a packed text is bit `n % 8` of byte
 * `n / 8`, and the last byte is padded with zeros.
 */

/** Packed bits that cannot be read. */
export class BitsError extends Error {
  /** @param {"truncated" | "overlong"} kind what is wrong */
  constructor(kind) {
    super(kind === 'truncated' ? 'ends inside a value' : 'a variable-length number exceeds 32 bits');
    this.name = 'BitsError';
    this.kind = kind;
  }
}

/** Appends values of 0 to 32 bits to a buffer that grows as needed. */
export class BitWriter {
  #bytes = new Uint8Array(32);
  #length = 0;

  /**
   * Appends the low `width` bits of `value`.
   * @param {number} value unsigned, below 2^32
   * @param {number} width 0 to 32
   */
  bits(value, width) {
    this.#reserve(width);
    let rest = value >>> 0;
    let left = width;
    while (left > 0) {
      const used = this.#length & 7;
      const take = Math.min(8 - used, left);
      this.#bytes[this.#length >> 3] |= (rest & ((1 << take) - 1)) << used;
      rest >>>= take;
      left -= take;
      this.#length += take;
    }
  }

  /** @param {boolean} value */
  bit(value) {
    this.bits(value ? 1 : 0, 1);
  }

  /**
   * Appends a number in groups of seven bits, low group first, each followed by a bit that says
   * whether another group comes.
   * @param {number} value unsigned, below 2^32
   */
  var(value) {
    let rest = value >>> 0;
    for (;;) {
      const more = rest > 0x7f;
      this.bits(rest & 0x7f, 7);
      this.bit(more);
      if (!more) return;
      rest >>>= 7;
    }
  }

  /** Pads with zeros to the next byte. */
  align() {
    this.#length = (this.#length + 7) & ~7;
  }

  /**
   * Appends whole bytes, after padding to a byte.
   * @param {Uint8Array} bytes
   */
  bytes(bytes) {
    this.align();
    this.#reserve(bytes.length * 8);
    this.#bytes.set(bytes, this.#length >> 3);
    this.#length += bytes.length * 8;
  }

  /**
   * The packed bytes.
   * @returns {Uint8Array<ArrayBuffer>}
   */
  finish() {
    this.align();
    return this.#bytes.slice(0, this.#length >> 3);
  }

  #reserve(bits) {
    const needed = (this.#length + bits + 7) >> 3;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}

/** Reads what {@link BitWriter} wrote. */
export class BitReader {
  #bytes;
  #position = 0;

  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.#bytes = bytes;
  }

  /**
   * @param {number} width 0 to 32
   * @returns {number} unsigned
   */
  bits(width) {
    if (this.#position + width > this.#bytes.length * 8) throw new BitsError('truncated');
    let value = 0;
    let got = 0;
    while (got < width) {
      const used = this.#position & 7;
      const take = Math.min(8 - used, width - got);
      const part = (this.#bytes[this.#position >> 3] >> used) & ((1 << take) - 1);
      // Not a shift: bit 31 would turn the number negative.
      value += part * 2 ** got;
      got += take;
      this.#position += take;
    }
    return value;
  }

  /** @returns {boolean} */
  bit() {
    return this.bits(1) === 1;
  }

  /** @returns {number} a variable-length number of at most five groups */
  var() {
    let value = 0;
    for (let group = 0; group < 5; group += 1) {
      const part = this.bits(7);
      if (group === 4 && part > 0x0f) throw new BitsError('overlong');
      value += part * 2 ** (7 * group);
      if (!this.bit()) return value;
    }
    throw new BitsError('overlong');
  }

  /** @returns {Uint8Array} all that is left from the next byte on; a view, not a copy */
  rest() {
    const start = (this.#position + 7) >> 3;
    this.#position = this.#bytes.length * 8;
    return this.#bytes.subarray(start);
  }
}
