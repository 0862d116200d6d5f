/**
 * How good the player is, and who is better: what the panel in the lobby and the result show.
 * Asking is here; drawing is in ratings_panel.js.
 */

/** Rows of the leaderboard, and matches, that are shown. */
const ROWS = 10;
const MATCHES = 5;

/** What refusals mean to a player; others speak for themselves. */
const WORDS = {
  not_kept: 'This server keeps no ratings.',
  unreachable: 'The server cannot be reached; try again in a moment.',
  unavailable: 'Ratings cannot be read just now; try again in a moment.',
};

export class Ratings extends EventTarget {
  #players;
  #mode;
  /** Counts questions: only the answer to the last one is shown. */
  #asked = 0;

  /**
   * @param {{on: (type: string, listener: (event: any) => void) => unknown}} client
   * @param {import("../sdk/players.js").Players} players
   * @param {string} mode
   */
  constructor(client, players, mode) {
    super();
    this.#players = players;
    this.#mode = mode;
    this.#reset();
    client.on('event', ({ channel, data }) => {
      if (channel === 'match') this.#handleEvent(data);
    });
  }

  #reset() {
    /** @type {import("../sdk/players.js").RatingRow | null} the player's own, in the mode */
    this.own = null;
    /** @type {{before: number, after: number} | null} what the last match changed */
    this.change = null;
    /** @type {import("../sdk/players.js").RatingRow[]} */
    this.leaders = [];
    /** @type {import("../sdk/players.js").RatingRow[]} the player among neighbours, if not among the leaders */
    this.around = [];
    /** @type {import("../sdk/players.js").PlayedMatch[]} */
    this.matches = [];
    this.player = '';
    this.note = '';
    /** Whether the server has answered. */
    this.isKnown = false;
  }

  /** Asks for everything anew. */
  async refresh() {
    this.#asked += 1;
    const question = this.#asked;
    await this.#attempt(async () => {
      const [me, leaders, around, { matches }] = await Promise.all([
        this.#players.me(),
        this.#players.leaderboard(this.#mode, { limit: ROWS }),
        this.#players.around(this.#mode),
        this.#players.matches({ limit: MATCHES }),
      ]);
      if (question !== this.#asked) return;
      const own = me.ratings.find(({ mode }) => mode === this.#mode) ?? null;
      const isLeader = leaders.some(({ player }) => player === me.player);
      Object.assign(this, { player: me.player, own, leaders, around: isLeader ? [] : around, matches, isKnown: true, note: '' });
    });
  }

  /** @returns {Promise<object | null>} everything that is kept of the player; null if it cannot be had */
  async export() {
    let exported = null;
    await this.#attempt(async () => {
      exported = await this.#players.export();
      this.note = '';
    });
    return exported;
  }

  /** Has the server forget the player. @returns {Promise<boolean>} whether it has */
  async erase() {
    let erased = false;
    await this.#attempt(async () => {
      const { player } = await this.#players.me();
      await this.#players.erase(player);
      this.#asked += 1;
      this.#reset();
      this.note = 'Everything was erased. You are a new player.';
      erased = true;
    });
    return erased;
  }

  async #attempt(work) {
    try {
      await work();
    } catch (error) {
      this.note = WORDS[error.code] ?? error.message;
    }
    this.dispatchEvent(new Event('change'));
  }

  #handleEvent(data) {
    if (data.e === 'match.found') this.change = null;
    if (data.e !== 'rating' || data.mode !== this.#mode) return;
    this.change = { before: data.before, after: data.after };
    if (this.isKnown) void this.refresh();
    this.dispatchEvent(new Event('change'));
  }
}

/**
 * @param {{before: number, after: number} | null} change
 * @returns {string} as the result says it
 */
export function changeText(change) {
  if (change === null) return '';
  const by = change.after - change.before;
  return `Rating ${change.before} → ${change.after} (${by < 0 ? '−' : '+'}${Math.abs(by)})`;
}
