/** A player's network: a TCP proxy in front of a gateway that can go dark and come back. */

import { connect, createServer } from 'node:net';

/** Chunks are held back while dark, as retransmission would; a player sends too little to matter. */
export class Network {
  #target;
  #server;
  #dark = false;
  /** Pairs of sockets: the player's, and the gateway's once it is connected. */
  #pairs = new Set();

  /** @param {URL} target */
  constructor(target) {
    this.#target = { host: target.hostname, port: Number(target.port || 80) };
    this.#server = createServer({ pauseOnConnect: true }, (player) => this.#accept(player));
  }

  /** @returns {Promise<string>} host and port to use in place of the target's */
  async open() {
    await new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', () => resolve(undefined));
    });
    return `127.0.0.1:${this.#server.address().port}`;
  }

  /** Nothing passes from here on, and nobody is told. */
  goDark() {
    this.#dark = true;
    for (const { player, gateway } of this.#pairs) {
      player.pause();
      gateway?.pause();
    }
  }

  /** What was held back passes, and new connections are let through. */
  comeBack() {
    this.#dark = false;
    for (const pair of this.#pairs) this.#pass(pair);
  }

  close() {
    for (const { player, gateway } of this.#pairs) {
      player.destroy();
      gateway?.destroy();
    }
    this.#server.close();
  }

  #accept(player) {
    const pair = { player, gateway: null };
    this.#pairs.add(pair);
    const end = () => {
      player.destroy();
      pair.gateway?.destroy();
      this.#pairs.delete(pair);
    };
    player.on('error', end).on('close', end);
    if (!this.#dark) this.#pass(pair);
  }

  #pass(pair) {
    if (pair.gateway) {
      pair.player.resume();
      pair.gateway.resume();
      return;
    }
    const gateway = connect(this.#target);
    pair.gateway = gateway;
    gateway.on('error', () => pair.player.destroy()).on('close', () => pair.player.destroy());
    gateway.setNoDelay(true);
    pair.player.setNoDelay(true);
    pair.player.on('data', (chunk) => gateway.write(chunk));
    gateway.on('data', (chunk) => pair.player.write(chunk));
    if (this.#dark) gateway.pause();
    else pair.player.resume();
  }
}
