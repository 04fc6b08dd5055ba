// Every row of the engine's op table by itself: a generator each, of shapes, options and numbers, which applies the row as a
// node of a graph does. Two kinds of draws: smooth ones, away from kinks and ties, small, by which derivatives can be judged;
// and others, with ties, zeros, edges of domains, sizes about those of vectors, workgroups and passes. Here are elementwise
// rows, rearrangements and reductions; the others are in op-draw-rows.ts. It tests nothing itself.

import fc from 'fast-check';
import type { Draw } from '../check/draw.ts';
import { at, need } from '../engine/errors.ts';
import { mul, type Shape, type Tensor } from '../engine/node.ts';
import { applyOne, type Op } from '../engine/op.ts';
import { sizeOf } from '../engine/tensor.ts';

/** One draw of a row: what was drawn, for people, and the graph of it. */
export interface DrawnOp {
  readonly options: unknown;
  readonly graph: (draw: Draw, row: Op) => readonly Tensor[];
}

/** How a row is drawn. */
export interface Generator {
  readonly draws: (smooth: boolean) => fc.Arbitrary<DrawnOp>;
  /** True for a row without a derivative of its own: a backward whose gradient is not offered, or a draw. */
  readonly forward?: boolean;
  readonly training?: boolean;
}

/** A generator from what is drawn and how a graph is made of it. */
export function generator<P>(
  draws: (smooth: boolean) => fc.Arbitrary<P>,
  graph: (draw: Draw, options: P, row: Op, smooth: boolean) => readonly Tensor[],
  more: Omit<Generator, 'draws'> = {},
): Generator {
  return {
    ...more,
    draws: (smooth) =>
      draws(smooth).map((options) => ({ options, graph: (draw, row) => graph(draw, options, row, smooth) })),
  };
}

const edges = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33];
/** A size about those of vectors and tiles. */
export const size: fc.Arbitrary<number> = fc.oneof(
  fc.constant(1),
  fc.constantFrom(...edges),
  fc.integer({ min: 1, max: 20 }),
);
/** A size up to several workgroups. */
export const longer: fc.Arbitrary<number> = fc.oneof(size, fc.constantFrom(63, 64, 65, 127, 128, 129, 257, 300));

/** A shape of 0 to 5 axes. */
export function shapes(smooth: boolean, least = 0): fc.Arbitrary<number[]> {
  const few = fc.integer({ min: 1, max: 4 });
  if (smooth) return fc.array(few, { minLength: least, maxLength: 4 });
  return fc
    .tuple(fc.array(few, { minLength: Math.max(0, least - 1), maxLength: 4 }), fc.option(longer))
    .map(([shape, last]) => (last === null && shape.length >= least ? shape : [...shape, last ?? 3]));
}

/** Rows and columns, short or long. */
export function matrices(smooth: boolean): fc.Arbitrary<[number, number]> {
  if (smooth) return fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 9 }));
  return fc.tuple(fc.oneof(fc.constantFrom(1, 63, 64, 65), fc.integer({ min: 1, max: 9 })), longer);
}

/** The elements of a tensor that is full of a few numbers: ties, zeros, edges. */
export function few(draw: Draw, shape: Shape, numbers: readonly number[]): Tensor {
  const elements = Array.from({ length: sizeOf(shape) }, (_, i) => at(numbers, (i * i + draw.seed) % numbers.length));
  return draw.given(shape, elements);
}

// ---- elementwise

type Domain = 'real' | 'positive' | 'kinked';
const odd = [0, -0, 1, -1, 1e-6, -1e-6, 1e-30, 12, -12, 0.5, -3, 0.4, -0.7];
const oddPositive = [1e-6, 1, 0.5, 12, 3, 1e-3, 40];

interface UnaryDraw {
  readonly shape: readonly number[];
  readonly p: readonly [number, number];
  readonly odd: boolean;
}

/** A function of one number, with its parameters. */
function unary(domain: Domain, p: fc.Arbitrary<readonly [number, number]> = none, forward = false): Generator {
  return generator<UnaryDraw>(
    (smooth) => fc.record({ shape: shapes(smooth), p, odd: smooth ? fc.constant(false) : fc.boolean() }),
    (draw, { shape, p: parameters, odd: strange }, row) => {
      const positive = domain === 'positive' || !Number.isInteger(parameters[0]);
      const x = strange
        ? few(draw, shape, positive ? oddPositive : odd)
        : positive
          ? draw.between(0.3, 4, shape)
          : domain === 'kinked'
            ? draw.away([0, -0.7, 0.4], shape)
            : draw.normal(shape, { std: 1.5 });
      return [applyOne(row, [x], { p: parameters })];
    },
    { forward },
  );
}

const none = fc.constant<readonly [number, number]>([0, 0]);
const bounds = fc.constant<readonly [number, number]>([-0.7, 0.4]);
const factor = fc.constantFrom<readonly [number, number]>([1, 0], [0, 0], [2, 0], [3, 0]);
const lines = fc.constantFrom<readonly [number, number]>([1, 0], [-2, 0.25], [0, 3], [5, -1]);
const powers = fc.constantFrom<readonly [number, number]>(
  [0, 0],
  [1, 0],
  [2, 0],
  [3, 0],
  [-0.7, 0],
  [0.5, 0],
  [2.5, 0],
);

/** Two shapes that broadcast: some sizes of either are 1, anywhere, and leading ones may be missing. */
const pairs = fc
  .array(
    fc.record({
      size: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constantFrom(8, 12)),
      ones: fc.constantFrom(0, 0, 0, 1, 2),
    }),
    { maxLength: 5 },
  )
  .chain((dims) => fc.record({ dims: fc.constant(dims), cut: fc.nat(dims.length), swap: fc.boolean() }))
  .map(({ dims, cut, swap }) => {
    const one = dims.map((each) => (each.ones === 1 ? 1 : each.size));
    const other = dims.map((each) => (each.ones === 2 ? 1 : each.size)).slice(cut);
    return swap ? { a: other, b: one } : { a: one, b: other };
  })
  .filter(({ a, b }) => sizeOf(a) <= 400 && sizeOf(b) <= 400);

/** Two operands, of which no element of one is near one of the other; or with many ties. */
function apart(draw: Draw, a: Shape, b: Shape, smooth: boolean): [Tensor, Tensor] {
  const ties = [0, 1, -1, 0.5];
  if (!smooth) return [few(draw, a, ties), few(draw, b, ties)];
  const [x, y] = [draw.distinct(a), draw.distinct(b)];
  return [x, applyOne(need(affine, 'affine'), [y], { p: [1, 0.02] })];
}

let affine: Op | undefined;

/** Tells which row is affine: the operands of others are moved by it. */
export function useRows(rows: readonly Op[]): void {
  affine = rows.find(({ name }) => name === 'affine');
}

type Two = (draw: Draw, a: Shape, b: Shape, smooth: boolean) => readonly [Tensor, Tensor];

function binary(operands: Two, forward = false): Generator {
  return generator(
    (smooth) => fc.record({ pair: smooth ? pairs.filter(({ a, b }) => sizeOf(a) * sizeOf(b) <= 200) : pairs }),
    (draw, { pair: { a, b } }, row, smooth) => [applyOne(row, [...operands(draw, a, b, smooth)], {})],
    { forward },
  );
}

const normals: Two = (draw, a, b) => [draw.normal(a), draw.normal(b)];

const elementwise: Readonly<Record<string, Generator>> = {
  ...Object.fromEntries(
    ['identity', 'exp', 'sigmoid', 'tanh', 'softplus', 'square', 'gelu', 'sin', 'cos'].map((name) => [
      name,
      unary('real'),
    ]),
  ),
  ...Object.fromEntries(['log', 'sqrt', 'reciprocal'].map((name) => [name, unary('positive')])),
  ...Object.fromEntries(['abs', 'sign', 'relu'].map((name) => [name, unary('kinked')])),
  affine: unary('real', lines),
  power: unary('real', powers),
  clamp: unary('kinked', bounds),
  inside: unary('kinked', bounds),
  elu: unary('kinked', factor),
  leakyRelu: unary('kinked', factor),
  leakyReluSlope: unary('kinked', factor, true),
  eluSlope: unary('kinked', factor, true),
  geluSlope: unary('real', none, true),
  ...Object.fromEntries(
    ['add', 'sub', 'mul', 'sigmoidBackward', 'tanhBackward'].map((name) => [name, binary(normals)]),
  ),
  ...Object.fromEntries(
    ['maximum', 'minimum', 'greater', 'greaterEqual', 'less', 'lessEqual', 'equal'].map((name) => [
      name,
      binary(apart),
    ]),
  ),
  div: binary((draw, a, b) => [draw.normal(a), draw.between(0.5, 2, b)]),
  pow: binary((draw, a, b) => [draw.between(0.4, 3, a), draw.between(-2, 2, b)]),
  reluBackward: binary((draw, a, b, smooth) => [draw.normal(a), smooth ? draw.away([0], b) : few(draw, b, odd)]),
  xlogy: binary((draw, a, b) => [few(draw, a, [0, 1, -0.5]), draw.between(0.2, 3, b)], true),
  where: generator(
    () => fc.record({ pair: pairs, masked: fc.constantFrom('a', 'b', 'one'), swap: fc.boolean() }),
    (draw, { pair: { a, b }, masked, swap }, row) => {
      const [x, y, mask] = [draw.normal(a), draw.normal(b), draw.mask(masked === 'a' ? a : masked === 'b' ? b : [])];
      return [applyOne(row, swap ? [mask, y, x] : [mask, x, y], {})];
    },
  ),
  blockGradient: generator(
    (smooth) => fc.record({ shape: shapes(smooth) }),
    (draw, { shape }, row) => {
      const x = draw.normal(shape);
      return [mul(applyOne(row, [x], {}), x)];
    },
  ),
  maskGradient: generator(
    (smooth) => fc.record({ shape: shapes(smooth), ones: fc.nat(31), cut: fc.nat(4) }),
    (draw, { shape, ones, cut }, row) => {
      const mask = draw.mask(shape.map((each, i) => ((ones >> i) & 1 ? 1 : each)).slice(Math.min(cut, shape.length)));
      return [applyOne(row, [draw.normal(shape), mask], {})];
    },
  ),
  copy: generator(
    (smooth) => fc.record({ shape: shapes(smooth), whole: fc.boolean() }),
    (draw, { shape, whole }, row) => [applyOne(row, [whole ? draw.below(1000, shape) : draw.normal(shape)], {})],
    { forward: true },
  ),
};

// ---- rearrangements

/** A tensor of at least one axis, one of its axes, and a part of it. */
const parts = (smooth: boolean): fc.Arbitrary<{ shape: number[]; axis: number; start: number; length: number }> =>
  fc
    .record({ shape: shapes(smooth, 1), axis: fc.nat(), start: fc.nat(), length: fc.nat() })
    .map(({ shape, axis, start, length }) => {
      const place = axis % shape.length;
      const whole = at(shape, place);
      const first = start % whole;
      return { shape, axis: place, start: first, length: 1 + (length % (whole - first)) };
    });

const withSize = (shape: Shape, axis: number, length: number): Shape =>
  shape.map((each, i) => (i === axis ? length : each));

const rearranging: Readonly<Record<string, Generator>> = {
  reshape: generator(
    (smooth) => fc.record({ shape: shapes(smooth), ones: fc.nat(3) }),
    (draw, { shape, ones }, row) => {
      const to = [...new Array<number>(ones).fill(1), sizeOf(shape)];
      return [applyOne(row, [draw.normal(shape)], { shape: to })];
    },
  ),
  permute: generator(
    (smooth) => fc.record({ shape: shapes(smooth), keys: fc.array(fc.nat(99), { minLength: 5, maxLength: 5 }) }),
    (draw, { shape, keys }, row) => {
      const axes = shape.map((_, i) => i).sort((i, k) => at(keys, i) - at(keys, k));
      return [applyOne(row, [draw.normal(shape)], { axes })];
    },
  ),
  slice: generator(parts, (draw, { shape, ...attrs }, row) => [applyOne(row, [draw.normal(shape)], attrs)]),
  pad: generator(parts, (draw, { shape, axis, start, length }, row) => [
    applyOne(row, [draw.normal(withSize(shape, axis, length))], { axis, start, size: at(shape, axis) }),
  ]),
  concat: generator(
    (smooth) => fc.record({ part: parts(smooth), count: fc.integer({ min: 1, max: 4 }), twice: fc.boolean() }),
    (draw, { part: { shape, axis, length }, count, twice }, row) => {
      const each = Array.from({ length: count }, (_, i) =>
        draw.normal(withSize(shape, axis, i % 2 === 0 ? length : at(shape, axis))),
      );
      return [applyOne(row, twice ? [...each, at(each, 0)] : each, { axis })];
    },
  ),
  broadcastTo: generator(
    (smooth) =>
      fc.record({
        shape: shapes(smooth),
        ones: fc.nat(31),
        more: fc.array(fc.constantFrom(1, 2, 3), { maxLength: 2 }),
      }),
    (draw, { shape, ones, more }, row) => {
      const from = shape.map((each, i) => ((ones >> i) & 1 ? 1 : each));
      return [applyOne(row, [draw.normal(from)], { shape: [...more, ...shape] })];
    },
  ),
  flip: generator(parts, (draw, { shape, axis }, row) => [applyOne(row, [draw.normal(shape)], { axis })]),
  remark: generator(
    (smooth) => fc.record({ shape: shapes(smooth) }),
    (draw, { shape }, row) => [applyOne(row, [draw.normal(shape)], { text: 'a remark' })],
  ),
};

// ---- reductions

function reduction(operand: (draw: Draw, shape: Shape, smooth: boolean) => Tensor): Generator {
  const long = fc.integer({ min: 8000, max: 20000 }).map((length) => [length]);
  return generator(
    (smooth) =>
      fc.record({
        shape: smooth
          ? shapes(true)
          : fc.oneof({ weight: 9, arbitrary: shapes(false) }, { weight: 1, arbitrary: long }),
        which: fc.nat(31),
      }),
    (draw, { shape, which }, row, smooth) => {
      const axes = shape.flatMap((_, i) => ((which >> i) & 1 ? [i] : []));
      return [applyOne(row, [operand(draw, shape, smooth)], { axes })];
    },
  );
}

const tied = (draw: Draw, shape: Shape, smooth: boolean): Tensor =>
  smooth ? draw.distinct(shape) : few(draw, shape, [1, 2, 2, -3]);

const reductions: Readonly<Record<string, Generator>> = {
  sum: reduction((draw, shape) => draw.normal(shape)),
  sumOfSquares: reduction((draw, shape) => draw.normal(shape)),
  max: reduction(tied),
  min: reduction(tied),
  globalNorm: generator(
    (smooth) => fc.record({ all: fc.array(shapes(smooth), { minLength: 1, maxLength: 9 }), twice: fc.boolean() }),
    (draw, { all, twice }, row) => {
      const tensors = all.map((shape) => draw.normal(shape));
      return [applyOne(row, twice ? [...tensors, at(tensors, 0)] : tensors, {})];
    },
  ),
};

/** The generators of this file by the name of the row. */
export const plainGenerators: Readonly<Record<string, Generator>> = { ...elementwise, ...rearranging, ...reductions };
