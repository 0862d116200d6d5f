/** Paints a track once, at the picture's own small resolution, so that its edges are pixels. */

/** Pixels that the painting may have at most; a phone's canvas does not go further. */
const MOST_PIXELS = 8_000_000;

/** What lies around the road, also beyond the track's edge. */
export const GRASS = '#3d7a3a';

const COLOURS = {
  tufts: ['#37702f', '#458541', '#33692f'],
  kerbLight: '#e8e4d8',
  kerbDark: '#c3423f',
  road: '#4c4f57',
  line: '#6a6e78',
  start: '#f1efe7',
};

/**
 * @param {import("./race.js").Track} track
 * @param {number} zoom picture pixels for one of the track's
 * @returns {{image: HTMLCanvasElement, zoom: number}} the zoom is smaller if the track is huge
 */
export function paintTrack(track, zoom) {
  const [width, height] = track.size;
  const fitting = Math.min(zoom, Math.sqrt(MOST_PIXELS / (width * height)));
  const image = document.createElement('canvas');
  image.width = Math.ceil(width * fitting);
  image.height = Math.ceil(height * fitting);
  const pen = pen2d(image);
  paintGrass(pen, image.width, image.height);
  pen.scale(fitting, fitting);
  paintRoad(pen, track);
  paintStart(pen, track);
  return { image, zoom: fitting };
}

/**
 * The closed centre line as a path.
 * @param {CanvasRenderingContext2D} pen
 * @param {[number, number][]} points
 */
export function centreLine(pen, points) {
  pen.beginPath();
  for (const [x, y] of points) pen.lineTo(x, y);
  pen.closePath();
}

/**
 * @param {HTMLCanvasElement} canvas
 * @returns {CanvasRenderingContext2D}
 */
export function pen2d(canvas) {
  const pen = canvas.getContext('2d');
  if (!pen) throw new Error('this browser cannot draw on a canvas');
  return pen;
}

function paintGrass(pen, width, height) {
  pen.fillStyle = GRASS;
  pen.fillRect(0, 0, width, height);
  // A fixed pattern, so that the same track looks the same to everybody.
  let seed = 7;
  const next = (bound) => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((seed / 2 ** 32) * bound);
  };
  for (let tuft = 0; tuft < (width * height) / 60; tuft += 1) {
    pen.fillStyle = COLOURS.tufts[next(COLOURS.tufts.length)];
    pen.fillRect(next(width), next(height), 1 + next(2), 1);
  }
}

function paintRoad(pen, { points, width }) {
  pen.lineJoin = 'round';
  const stroke = (colour, wide, dash) => {
    centreLine(pen, points);
    pen.strokeStyle = colour;
    pen.lineWidth = wide;
    pen.setLineDash(dash);
    pen.stroke();
  };
  const kerb = width * 1.08;
  stroke(COLOURS.kerbLight, kerb, []);
  stroke(COLOURS.kerbDark, kerb, [width / 6, width / 6]);
  stroke(COLOURS.road, width, []);
  stroke(COLOURS.line, width / 40, [width / 4, width / 4]);
  pen.setLineDash([]);
}

function paintStart(pen, { points, width }) {
  const [[x, y], [nextX, nextY]] = points;
  const squares = 8;
  const side = width / squares;
  pen.save();
  pen.translate(x, y);
  pen.rotate(Math.atan2(nextY - y, nextX - x));
  for (let row = 0; row < 2; row += 1) {
    for (let column = 0; column < squares; column += 1) {
      pen.fillStyle = (row + column) % 2 === 0 ? COLOURS.start : '#22242a';
      pen.fillRect((row - 1) * side, column * side - width / 2, side, side);
    }
  }
  pen.restore();
}
