/** The panel of ratings in the lobby: one's own, the leaderboard, the last matches. */

import { changeText } from './ratings.js';
import { ordinal } from './screens.js';

export class RatingsPanel {
  #panel;

  /**
   * @param {HTMLElement} panel
   * @param {{export: () => void, erase: () => void}} asked
   */
  constructor(panel, asked) {
    this.#panel = panel;
    const confirm = this.#part('confirm');
    this.#part('export').addEventListener('click', () => asked.export());
    this.#part('erase').addEventListener('click', () => {
      confirm.hidden = false;
      this.#part('keep').focus();
    });
    this.#part('keep').addEventListener('click', () => {
      confirm.hidden = true;
    });
    this.#part('really').addEventListener('click', () => {
      confirm.hidden = true;
      asked.erase();
    });
  }

  /** @param {import("./ratings.js").Ratings} ratings */
  show(ratings) {
    const { own, player } = ratings;
    this.#panel.dataset.known = String(ratings.isKnown);
    const games = own === null ? '' : `${own.games} ${own.games === 1 ? 'race' : 'races'}, ${own.wins} won`;
    this.#text('own', own === null ? (ratings.isKnown ? 'Not rated yet: race once' : '') : `${own.rating} ± ${2 * own.deviation}`);
    this.#text('games', games);
    this.#text('change', changeText(ratings.change));
    this.#text('note', ratings.note);
    const rows = [...ratings.leaders, ...ratings.around].map((row) => line([`${row.place}.`, row.name, String(row.rating)], row.player === player));
    this.#part('leaders').replaceChildren(...rows);
    this.#part('matches').replaceChildren(...ratings.matches.map(matchLine));
  }

  #part(name) {
    return /** @type {HTMLElement} */ (this.#panel.querySelector(`[data-part="${name}"]`));
  }

  #text(name, text) {
    const target = this.#part(name);
    if (target.textContent !== text) target.textContent = text;
  }
}

function matchLine({ finished_at_ms: at, place, seats, ticks, rating }) {
  const when = new Date(at).toLocaleString();
  const how = ticks === null ? 'did not finish' : `${ordinal(place)} of ${seats}`;
  return line([when, how, rating === null ? '' : `${rating.before} → ${rating.after}`], false);
}

function line(texts, isOwn) {
  const row = document.createElement('tr');
  for (const text of texts) {
    const cell = document.createElement('td');
    cell.textContent = text;
    row.append(cell);
  }
  if (isOwn) {
    row.classList.add('own');
    row.setAttribute('aria-current', 'true');
  }
  return row;
}

/** Hands the browser a file to keep. @param {object} data @param {string} name */
export function download(data, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([JSON.stringify(data, null, 2)], { type: 'application/json' }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
