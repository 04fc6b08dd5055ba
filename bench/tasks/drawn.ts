// Drawn digits: images that stand in for MNIST where its files are not at hand, so that everything runs and can be tried with nothing
// downloaded. A style of a digit is chosen, its points are moved, it is stretched, slanted and turned, set in the image as MNIST's
// digits are (20 pixels at its longest, its middle in the middle) and drawn with a round pen.
//
// Always: an image is a pure function of (seed, split, number) and of the side it is drawn at; splits come from disjoint random streams;
// classes come in turn, so that they are balanced. Not: MNIST, though as hard for a linear classifier; no number compares with the paper's.

import { at } from '../../engine/errors.ts';
import { normalArray, uniformArray } from '../../engine/random.ts';
import { type Digit, type DigitSource, digitClasses, digitSide } from './digits.ts';
import { checkWhole, numbersOf } from './request.ts';
import { readStyles, type StrokePoint, type Style } from './strokes.ts';
import type { Split } from './task.ts';

const STREAMS = 0x0d16_0000;
const UNIFORMS = 8;
const NUMBERS = 64;
/** Pixels of MNIST's digits at their longest. */
const BODY = 20;
/** Straight pieces of a curve from one of its points to the next. */
const PIECES = 5;

/** Standard deviations of what differs from one writing to the next. */
const SPREAD = { point: 5.5, width: 0.14, slant: 0.22, turn: 0.13, shift: 0.5, size: 0.04 };
/** A writing's width in its height, its slant, and the least that its width and size shrink to. */
const [WIDTH, SLANT, LEAST] = [0.85, 0.08, 0.4];
/** Thinnest and thickest radius of the pen, in pixels of 28. */
const PEN = [0.95, 1.75] as const;

/** Which drawn digit. */
export interface DrawnRequest {
  /** Of the three disjoint sets. */
  readonly split: Split;
  /** Its number in the split; its label is the last digit of it. */
  readonly number: number;
  /** A whole number from 0 to 2^53 - 1. */
  readonly seed: number;
  /** Pixels on a side; 28 when left out. */
  readonly side?: number;
}

/** A place in the image, in pixels of 28. */
interface Point {
  readonly x: number;
  readonly y: number;
}

/** Drawn digits as a source of images, without end: each training seed has its own. */
export function drawnDigits(): DigitSource {
  const draw = drawer();
  return {
    source: 'drawn digits (made from strokes by this program; not MNIST, no number compares with the paper)',
    sequences: () => undefined,
    digit: (split, number, seed) => draw({ split, number, seed }),
    shares: () => Array.from({ length: digitClasses }, () => 1 / digitClasses),
  };
}

/**
 * One drawn digit, at any resolution.
 *
 * @returns its label and its grey levels `[side,side]`, smooth at the edges
 * @throws OptionError for a number, seed or side out of its range
 */
export function drawnDigit(request: DrawnRequest): Digit {
  return drawer()(request);
}

function drawer(): (request: DrawnRequest) => Digit {
  const styles = readStyles();
  return ({ split, number, seed, side = digitSide }) => {
    checkWhole('drawn digits', 'side', side, 1, 1000);
    checkWhole('drawn digits', 'number', number, 0, Number.MAX_SAFE_INTEGER);
    const label = number % digitClasses;
    const from = numbersOf('drawn digits', STREAMS, { split, seed, index: number }, NUMBERS);
    const [choice = 0, pen = 0] = uniformArray(UNIFORMS, from);
    const normals = normalArray(NUMBERS - UNIFORMS, { ...from, start: from.start + UNIFORMS });
    const ofLabel = at(styles, label);
    const style = at(ofLabel, Math.floor(choice * ofLabel.length));
    const radius = PEN[0] + pen * (PEN[1] - PEN[0]);
    return { label, pixels: ink(written(style, normals, radius), radius, side) };
  };
}

/** The lines of one writing of a style, set in an image of 28 for a pen of that radius. @param normals standard normal numbers, each used once */
function written(style: Style, normals: Float32Array, radius: number): readonly (readonly Point[])[] {
  let next = 0;
  const normal = (spread: number): number => spread * at(normals, next++);
  const width = Math.max(LEAST, WIDTH + normal(SPREAD.width));
  const slant = SLANT + normal(SPREAD.slant);
  // A turn by the tangent of half its angle needs no sine, which engines round differently.
  const half = normal(SPREAD.turn) / 2;
  const [cos, sin] = [(1 - half * half) / (1 + half * half), (2 * half) / (1 + half * half)];
  const size = BODY * Math.max(LEAST, 1 + normal(SPREAD.size)) - 2 * radius;
  const shift = { x: normal(SPREAD.shift), y: normal(SPREAD.shift) };
  const moved = ({ x, y, corner }: StrokePoint): StrokePoint => {
    const down = y - 50 + normal(SPREAD.point);
    const right = (x - 50 + normal(SPREAD.point)) * width - slant * down;
    return { x: cos * right - sin * down, y: sin * right + cos * down, corner };
  };
  return setIn(
    style.map((stroke) => curve(stroke.map(moved))),
    size,
    shift,
  );
}

/** A smooth line through points, straight in pieces: the spline of Catmull and Rom, one-sided at corners. */
function curve(points: readonly StrokePoint[]): readonly Point[] {
  const line: Point[] = [at(points, 0)];
  const slope = (axis: 'x' | 'y', i: number, from: number): number => {
    const { corner } = at(points, i);
    const [low, high] = corner ? [from, from + 1] : [Math.max(i - 1, 0), Math.min(i + 1, points.length - 1)];
    return (at(points, high)[axis] - at(points, low)[axis]) / (high - low);
  };
  for (let i = 0; i + 1 < points.length; i++) {
    const between = (axis: 'x' | 'y', u: number): number => {
      const [a, b] = [at(points, i)[axis], at(points, i + 1)[axis]];
      const [leaving, arriving] = [slope(axis, i, i), slope(axis, i + 1, i)];
      const v = 1 - u;
      return v * v * ((1 + 2 * u) * a + u * leaving) + u * u * ((1 + 2 * v) * b - v * arriving);
    };
    for (let piece = 1; piece <= PIECES; piece++) {
      line.push({ x: between('x', piece / PIECES), y: between('y', piece / PIECES) });
    }
  }
  return line;
}

/** Lines scaled so that the longer side of what they span is `size`, their middle at that of an image of 28, and shifted. */
function setIn(lines: readonly (readonly Point[])[], size: number, shift: Point): readonly (readonly Point[])[] {
  const points = lines.flat();
  const span = (axis: 'x' | 'y'): readonly [low: number, high: number] => {
    const values = points.map((point) => point[axis]);
    return [Math.min(...values), Math.max(...values)];
  };
  const [left, right] = span('x');
  const [top, bottom] = span('y');
  const scale = size / Math.max(right - left, bottom - top);
  const middle = digitSide / 2;
  return lines.map((line) =>
    line.map(({ x, y }) => ({
      x: middle + shift.x + (x - (left + right) / 2) * scale,
      y: middle + shift.y + (y - (top + bottom) / 2) * scale,
    })),
  );
}

/** Grey levels `[side,side]` of lines drawn with a round pen. @param lines in pixels of 28, as is `radius` */
function ink(lines: readonly (readonly Point[])[], radius: number, side: number): Uint8Array {
  const pixel = digitSide / side;
  // Squared distances from the middles of pixels to the nearest line, as far as the pen reaches.
  const reach = radius + pixel / 2;
  const nearest = new Float64Array(side * side).fill(reach * reach);
  for (const line of lines) {
    for (let i = 0; i + 1 < line.length; i++) approach(nearest, side, at(line, i), at(line, i + 1), reach);
  }
  return Uint8Array.from(nearest, (square) => Math.round(255 * Math.min(1, (reach - Math.sqrt(square)) / pixel)));
}

/** Takes a straight piece from a to b into the distances. */
function approach(nearest: Float64Array, side: number, a: Point, b: Point, reach: number): void {
  const pixel = digitSide / side;
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length = Math.max(dx * dx + dy * dy, 1e-12);
  const first = (low: number): number => Math.max(0, Math.floor((low - reach) / pixel));
  const last = (high: number): number => Math.min(side - 1, Math.floor((high + reach) / pixel));
  for (let row = first(Math.min(a.y, b.y)); row <= last(Math.max(a.y, b.y)); row++) {
    for (let column = first(Math.min(a.x, b.x)); column <= last(Math.max(a.x, b.x)); column++) {
      const [x, y] = [(column + 0.5) * pixel - a.x, (row + 0.5) * pixel - a.y];
      const along = Math.min(1, Math.max(0, (x * dx + y * dy) / length));
      const [awayX, awayY] = [x - along * dx, y - along * dy];
      const square = awayX * awayX + awayY * awayY;
      const place = row * side + column;
      if (square < at(nearest, place)) nearest[place] = square;
    }
  }
}
