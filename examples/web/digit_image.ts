/**
 * From pen strokes to an image like those of the digits data. Those were written on paper, normalised to 32x32 black and white
 * pixels (the digit fills the height, stands in the middle, and has about the same amount of ink whoever wrote it) and counted in blocks of 4x4.
 */

export interface Point {
  readonly x: number;
  readonly y: number;
}
/** The way of the pen from touching down to lifting. */
export type Stroke = readonly Point[];

const SIDE = 32;
/** Widths of the digits in the data hardly ever exceed this. */
const WIDEST = 27;
/** Black pixels of an image: the mean over the data, for every digit about the same. */
const INK = 312;
const THINNEST = 1.6;
const THICKEST = 4;

interface Segment {
  readonly a: Point;
  readonly b: Point;
}

function squaredDistance(x: number, y: number, { a, b }: Segment): number {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length = dx * dx + dy * dy;
  const t = length === 0 ? 0 : Math.max(0, Math.min(1, ((x - a.x) * dx + (y - a.y) * dy) / length));
  return (x - a.x - t * dx) ** 2 + (y - a.y - t * dy) ** 2;
}

/** Strokes scaled so that a pen of this radius fills the square's height (or its greatest width), and put in its middle. */
function fitted(strokes: readonly Stroke[], radius: number): Segment[] {
  const points = strokes.flat();
  const xs = points.map((p) => p.x);
  const ys = points.map((p) => p.y);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = Math.min((SIDE - 2 * radius) / (bottom - top), (WIDEST - 2 * radius) / (right - left));
  const by = Number.isFinite(scale) ? scale : 0; // a mere dot
  const place = ({ x, y }: Point): Point => ({
    x: SIDE / 2 + (x - (left + right) / 2) * by,
    y: SIDE / 2 + (y - (top + bottom) / 2) * by,
  });
  return strokes.flatMap((stroke) => {
    const placed = stroke.map(place);
    return placed.length === 1 ? [{ a: placed[0]!, b: placed[0]! }] : placed.slice(1).map((b, i) => ({ a: placed[i]!, b }));
  });
}

/** How far each of the 32x32 pixels is from the nearest stroke, for strokes placed for a pen of this radius. */
function distances(strokes: readonly Stroke[], radius: number): Float64Array {
  const segments = fitted(strokes, radius);
  return Float64Array.from({ length: SIDE * SIDE }, (_, i) => {
    const [x, y] = [(i % SIDE) + 0.5, Math.floor(i / SIDE) + 0.5];
    let least = Infinity;
    for (const segment of segments) least = Math.min(least, squaredDistance(x, y, segment));
    return Math.sqrt(least);
  });
}

/** The image [8, 8], 0..1, row by row, or null where nothing is drawn. The scale of the points does not matter. */
export function digitImage(strokes: readonly Stroke[]): Float32Array | null {
  const drawn = strokes.filter((stroke) => stroke.length > 0);
  if (drawn.length === 0) return null;
  // The pen that gives the usual amount of ink: as wide as the distance within which that many pixels lie.
  let radius = (THINNEST + THICKEST) / 2;
  for (let i = 0; i < 2; i++) {
    radius = Math.max(THINNEST, Math.min(THICKEST, distances(drawn, radius).sort()[INK - 1]!));
  }
  const image = new Float32Array(64);
  distances(drawn, radius).forEach((distance, i) => {
    if (distance <= radius) image[Math.floor(i / SIDE / 4) * 8 + Math.floor((i % SIDE) / 4)]! += 1 / 16;
  });
  return image;
}
