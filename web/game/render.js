/** Draws a race: few pixels, scaled up by the style sheet. */

import { CAR_COLOURS, carSprite, SPRITE_LENGTH } from './cars.js';
import { centreLine, GRASS, paintTrack, pen2d } from './track.js';

/** Screen pixels for one pixel of the picture. */
const PIXEL = 2;

/** How many widths of the road the smaller side of the picture shows. */
const VIEW = 5;

/** A car's length as a part of the road's width. */
const CAR = 0.26;

const NAME_HEIGHT = 9;

const MAP = { side: 76, margin: 6 };

export class Renderer {
  #canvas;
  #pen;
  #sprites = CAR_COLOURS.map(carSprite);
  /** @type {import("./race.js").Track | null} */
  #track = null;
  /** @type {{image: HTMLCanvasElement, zoom: number} | null} */
  #painting = null;
  #zoom = 1;
  #camera = { x: 0, y: 0 };

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    this.#pen = pen2d(canvas);
  }

  /**
   * @param {import("./race.js").Race} race
   * @param {number} now
   */
  draw(race, now) {
    this.#fit(race.track);
    const cars = race.shown(now);
    const own = cars.find((car) => car.seat === race.seat) ?? cars.find((car) => car.place === 1) ?? cars[0];
    if (own) this.#camera = { x: own.x, y: own.y };
    this.#drawTrack();
    for (const car of cars) if (car !== own) this.#drawCar(race, car);
    if (own) this.#drawCar(race, own);
    this.#drawNames(race, cars, own);
    this.#drawMap(race, cars);
  }

  /** Follows the size of the element and the track. */
  #fit(track) {
    const width = Math.max(1, Math.round(this.#canvas.clientWidth / PIXEL));
    const height = Math.max(1, Math.round(this.#canvas.clientHeight / PIXEL));
    const same = this.#canvas.width === width && this.#canvas.height === height;
    if (same && this.#track === track) return;
    this.#canvas.width = width;
    this.#canvas.height = height;
    this.#track = track;
    this.#zoom = Math.min(width, height) / (track.width * VIEW);
    this.#painting = paintTrack(track, this.#zoom);
  }

  #drawTrack() {
    const { width, height } = this.#canvas;
    const [left, top] = this.#toPicture(0, 0);
    this.#pen.fillStyle = GRASS;
    this.#pen.fillRect(0, 0, width, height);
    if (!this.#painting || !this.#track) return;
    const [wide, high] = this.#track.size;
    this.#pen.imageSmoothingEnabled = false;
    this.#pen.drawImage(this.#painting.image, left, top, Math.round(wide * this.#zoom), Math.round(high * this.#zoom));
  }

  #drawCar(race, car) {
    const [x, y] = this.#toPicture(car.x, car.y);
    const sprite = this.#sprites[car.seat % this.#sprites.length];
    const length = this.#carLength(race.track);
    const scale = length / SPRITE_LENGTH;
    const own = car.seat === race.seat;
    this.#pen.save();
    this.#pen.translate(x, y);
    this.#pen.globalAlpha = car.away ? 0.5 : 1;
    if (own) this.#ring(length);
    this.#pen.rotate(car.heading);
    this.#pen.scale(scale, scale);
    this.#pen.drawImage(sprite, -sprite.width / 2, -sprite.height / 2);
    this.#pen.restore();
  }

  /** The own name always, then the others as long as they are not on top of one before. */
  #drawNames(race, cars, own) {
    const above = this.#carLength(race.track) * 0.75;
    const taken = [];
    for (const car of [own, ...cars.filter((other) => other !== own)]) {
      if (!car) continue;
      const name = (car === own && car.seat === race.seat ? 'You' : race.nameOf(car.seat)) + stateOf(car);
      const [x, y] = this.#toPicture(car.x, car.y - above / this.#zoom);
      this.#pen.font = `${car === own ? 'bold ' : ''}${NAME_HEIGHT}px ui-monospace, monospace`;
      const half = this.#pen.measureText(name).width / 2;
      const covers = (other) => Math.abs(other.x - x) < other.half + half && Math.abs(other.y - y) < NAME_HEIGHT;
      if (taken.some(covers)) continue;
      taken.push({ x, y, half });
      this.#drawName(name, x, y, car === own);
    }
  }

  #carLength(track) {
    return Math.max(SPRITE_LENGTH, track.width * this.#zoom * CAR);
  }

  #ring(length) {
    this.#pen.strokeStyle = '#fff8';
    this.#pen.lineWidth = 1.5;
    this.#pen.beginPath();
    this.#pen.arc(0, 0, length * 0.72, 0, 2 * Math.PI);
    this.#pen.stroke();
  }

  #drawName(name, x, y, own) {
    this.#pen.textAlign = 'center';
    this.#pen.fillStyle = '#0009';
    this.#pen.fillText(name, x + 1, y + 1);
    this.#pen.fillStyle = own ? '#fff' : '#e6ead8';
    this.#pen.fillText(name, x, y);
  }

  #drawMap(race, cars) {
    const [wide, high] = race.track.size;
    const scale = MAP.side / Math.max(wide, high);
    const pen = this.#pen;
    pen.save();
    pen.translate(this.#canvas.width - wide * scale - MAP.margin, MAP.margin);
    pen.fillStyle = '#10141acc';
    pen.fillRect(-2, -2, wide * scale + 4, high * scale + 4);
    pen.scale(scale, scale);
    centreLine(pen, race.track.points);
    pen.strokeStyle = '#8b92a0';
    pen.lineJoin = 'round';
    pen.lineWidth = 2 / scale;
    pen.stroke();
    for (const car of cars) dot(pen, car, (car.seat === race.seat ? 4 : 3) / scale, car.seat === race.seat);
    pen.restore();
  }

  /** @returns {[number, number]} where a point of the track is in the picture, on whole pixels */
  #toPicture(x, y) {
    return [
      Math.round((x - this.#camera.x) * this.#zoom + this.#canvas.width / 2),
      Math.round((y - this.#camera.y) * this.#zoom + this.#canvas.height / 2),
    ];
  }
}

/** What is said of a car behind its name while its player is away. */
function stateOf({ away, bot, finished }) {
  if (!away || finished) return '';
  return bot ? ' (bot)' : ' (away)';
}

function dot(pen, car, side, own) {
  if (own) {
    pen.fillStyle = '#fff';
    pen.fillRect(car.x - side * 0.85, car.y - side * 0.85, side * 1.7, side * 1.7);
  }
  pen.fillStyle = CAR_COLOURS[car.seat % CAR_COLOURS.length];
  pen.fillRect(car.x - side / 2, car.y - side / 2, side, side);
}
