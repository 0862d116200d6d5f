/** The cars' colours and sprites. */

import { pen2d } from './track.js';

/** One for each seat; no two are alike also to people who see few colours, by their lightness. */
export const CAR_COLOURS = Object.freeze([
  '#e5484d',
  '#4aa8ff',
  '#ffd23f',
  '#7ae582',
  '#b678ff',
  '#ff9447',
  '#f7f4ec',
  '#2fd6c8',
]);

/** Sprites point to the right. `#` body, `o` glass, `w` tyre, `s` stripe. */
const SPRITE = [
  '..ww......ww..',
  '.####..######.',
  '############s#',
  '##ooo####oo#s#',
  '#ssoossssoosss',
  '##ooo####oo#s#',
  '############s#',
  '.####..######.',
  '..ww......ww..',
];

export const SPRITE_LENGTH = SPRITE[0].length;

/**
 * @param {string} colour
 * @returns {HTMLCanvasElement}
 */
export function carSprite(colour) {
  const image = document.createElement('canvas');
  image.width = SPRITE_LENGTH;
  image.height = SPRITE.length;
  const pen = pen2d(image);
  const colours = { '#': colour, o: '#1d2733', w: '#15161a', s: 'rgb(255 255 255 / 45%)' };
  SPRITE.forEach((row, y) => {
    [...row].forEach((pixel, x) => {
      if (pixel === '.') return;
      pen.fillStyle = pixel === 's' ? colour : colours[pixel];
      pen.fillRect(x, y, 1, 1);
      if (pixel !== 's') return;
      pen.fillStyle = colours.s;
      pen.fillRect(x, y, 1, 1);
    });
  });
  return image;
}
