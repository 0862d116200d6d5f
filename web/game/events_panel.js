/** The panel of events in the lobby. */

/** What each state of the player's own seat reads as. */
const OWN = {
  reserved: ({ seat, leftMs }) => `Seat ${seat} is yours for ${Math.ceil(leftMs / 1_000)} s: confirm it`,
  confirming: ({ seat }) => `Seat ${seat} is being confirmed…`,
  confirmed: ({ seat }) => `Seat ${seat} is yours`,
};

export class EventsPanel {
  /** @type {Map<string, HTMLElement>} */
  #rows = new Map();
  #list;
  #ask;

  /**
   * @param {HTMLElement} list
   * @param {(what: "reserve" | "confirm" | "release", event: string) => void} ask
   */
  constructor(list, ask) {
    this.#list = list;
    this.#ask = ask;
  }

  /**
   * @param {import("./events.js").Shown[]} events
   * @param {boolean} isKnown
   */
  show(events, isKnown) {
    for (const [name, row] of this.#rows) {
      if (!events.some(({ event }) => event === name)) {
        row.remove();
        this.#rows.delete(name);
      }
    }
    for (const event of events) this.#fill(this.#row(event.event), event);
    this.#list.dataset.known = String(isKnown);
    setText(part(this.#list, 'none'), isKnown && events.length === 0 ? 'There are no events now.' : '');
  }

  #row(name) {
    const known = this.#rows.get(name);
    if (known) return known;
    const template = /** @type {HTMLTemplateElement} */ (document.getElementById('event-row'));
    const row = /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
    row.dataset.event = name;
    for (const button of row.querySelectorAll('button')) {
      const what = /** @type {"reserve" | "confirm" | "release"} */ (button.dataset.ask);
      button.addEventListener('click', () => this.#ask(what, name));
    }
    this.#rows.set(name, row);
    this.#list.append(row);
    return row;
  }

  #fill(row, event) {
    row.dataset.state = event.state;
    row.dataset.phase = event.phase;
    setText(part(row, 'title'), event.title);
    setText(part(row, 'free'), event.free === null ? '…' : `${event.free} of ${event.seats} seats left`);
    setText(part(row, 'when'), whenText(event));
    setText(part(row, 'own'), OWN[event.state]?.(event) ?? '');
    setText(part(row, 'note'), event.note);
    const asks = { reserve: event.phase === 'open' && event.state === 'none', confirm: event.state === 'reserved', release: event.state === 'reserved' };
    for (const button of row.querySelectorAll('button')) button.hidden = !asks[button.dataset.ask];
  }
}

function whenText({ phase, opensInMs }) {
  if (phase === 'closed') return 'closed';
  return phase === 'open' ? 'open' : `opens in ${durationText(Math.ceil(opensInMs / 1_000))}`;
}

/** @param {number} seconds */
export function durationText(seconds) {
  const days = Math.floor(seconds / 86_400);
  const clock = [Math.floor(seconds / 3_600) % 24, Math.floor(seconds / 60) % 60, seconds % 60];
  const text = clock.map((part) => String(part).padStart(2, '0')).join(':');
  return days > 0 ? `${days} d ${text}` : text;
}

function part(row, name) {
  return row.querySelector(`[data-part="${name}"]`);
}

/** Leaves the text alone if it is the same, so that a screen reader is not told again. */
function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}
