/** The private room: who is there, who is ready, and the link that invites others. */

export class PrivatePanel {
  #list;
  #link;
  #ready;
  #start;
  #kick;

  /**
   * @param {HTMLElement} section
   * @param {(player: string) => void} kick
   */
  constructor(section, kick) {
    const part = (name) => /** @type {any} */ (section.querySelector(`[data-part="${name}"]`));
    this.#list = part('members');
    this.#link = part('link');
    this.#ready = part('ready');
    this.#start = part('start');
    this.#kick = kick;
    this.#link.addEventListener('focus', () => this.#link.select());
  }

  /**
   * @param {import("../sdk/control.js").PrivateState} room
   * @param {string} self the player's own id
   */
  show(room, self) {
    const leads = room.members[0]?.player === self;
    const link = new URL(`#join=${room.code}`, location.href).href;
    if (this.#link.value !== link) this.#link.value = link;
    this.#ready.checked = room.members.find(({ player }) => player === self)?.ready ?? false;
    this.#ready.parentElement.hidden = leads;
    this.#start.hidden = !leads;
    this.#start.disabled = !room.members.every(({ ready }, place) => place === 0 || ready);
    this.#list.replaceChildren(...room.members.map((member, place) => this.#row(member, place, leads, self)));
  }

  #row({ player, name, ready }, place, leads, self) {
    const row = document.createElement('li');
    row.dataset.player = player;
    row.dataset.ready = String(place === 0 || ready);
    const role = place === 0 ? 'leads' : ready ? 'ready' : 'not ready';
    row.textContent = `${name}${player === self ? ' (you)' : ''}: ${role} `;
    if (leads && player !== self) {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = 'Send away';
      button.addEventListener('click', () => this.#kick(player));
      row.append(button);
    }
    return row;
  }
}
