// The instructions that random graphs are made of. Each takes any tensors there are and makes of them, by reshaping, tiling
// or reducing what does not fit, tensors that are well typed: so a list of instructions stays a graph when any of them is
// left out, and what fails shrinks. Always: every tensor carries a bound of its magnitude, which no instruction lets grow for
// long, and functions that are not defined everywhere get what they are defined for. It tests nothing itself.

import type { Draw } from '../check/draw.ts';
import { at } from '../engine/errors.ts';
import type { RandomState, Shape, Tensor } from '../engine/node.ts';
import * as ops from '../engine/node.ts';
import { putAlong } from '../engine/ops/gather.ts';
import { broadcastShapes, sizeOf } from '../engine/tensor.ts';

/** A tensor, and what no element of it exceeds. */
export interface Bounded {
  readonly tensor: Tensor;
  readonly bound: number;
}

/** What an instruction is given: three tensors, a number from 0 to 255 for its options, and sources of numbers. */
export interface Operands {
  readonly a: Bounded;
  readonly b: Bounded;
  readonly c: Bounded;
  readonly n: number;
  readonly draw: Draw;
  readonly random: RandomState;
}

/** Makes tensors; none where it cannot. */
export type Maker = (operands: Operands) => readonly Bounded[];

/** Elements and axes that a tensor may have. */
const MOST_ELEMENTS = 700;
const MOST_AXES = 4;

/** Magnitudes above it are scaled down. */
const MOST = 12;

const one = (tensor: Tensor, bound: number): readonly Bounded[] => [{ tensor, bound }];

/** What may join the others: small enough, and scaled down where it may be large. */
export function admitted({ tensor, bound }: Bounded): readonly Bounded[] {
  if (tensor.size > MOST_ELEMENTS || tensor.shape.length > MOST_AXES) return [];
  if (tensor.dtype === 'u32' || bound <= MOST) return [{ tensor, bound }];
  return [{ tensor: ops.affine(tensor, 4 / bound, 0), bound: 4 }];
}

/** The elements of a tensor under another shape: repeated, or the first of them. */
export function resized(x: Tensor, shape: Shape): Tensor {
  const size = sizeOf(shape);
  if (x.size === size) return ops.reshape(x, shape);
  const flat = ops.reshape(x, [x.size]);
  const copies = Math.ceil(size / x.size);
  const tiled = copies === 1 ? flat : ops.reshape(ops.broadcastTo(flat, [copies, x.size]), [copies * x.size]);
  return ops.reshape(tiled.size === size ? tiled : ops.slice(tiled, 0, 0, size), shape);
}

/** A shape with some of its axes 1, or without leading ones: what broadcasts to it. */
function narrowed(shape: Shape, n: number): Shape {
  const ones = shape.map((size, i) => ((n >> i) & 1 ? 1 : size));
  return n & 16 ? ones.slice(Math.min(ones.length, (n >> 5) & 3)) : ones;
}

/** The second of two operands: as it is where it broadcasts with the first, else under a shape that does. */
function beside(a: Tensor, b: Tensor, n: number): Tensor {
  try {
    const shape = broadcastShapes('', a.shape, b.shape);
    if (shape.length <= MOST_AXES && sizeOf(shape) <= MOST_ELEMENTS) return b;
  } catch {
    // They do not broadcast.
  }
  return resized(b, narrowed(a.shape, n));
}

/** Rows: the tensor with at least one axis. */
const rowsOf = (x: Tensor): Tensor => (x.shape.length === 0 ? ops.reshape(x, [1]) : x);
const lastOf = (x: Tensor): number => at(x.shape, x.shape.length - 1);

type Unary = readonly [make: (x: Tensor) => Tensor, bound: (b: number) => number];
const same = (b: number): number => b;
const unit = (): number => 1;

/** Functions of one number. The first is what others shrink to. */
const unary: Readonly<Record<string, Unary>> = {
  tanh: [ops.tanh, unit],
  affine: [(x) => ops.affine(x, -1.5, 0.25), (b) => 1.5 * b + 0.25],
  neg: [ops.neg, same],
  sigmoid: [ops.sigmoid, unit],
  relu: [ops.relu, same],
  square: [ops.square, (b) => b * b],
  sin: [ops.sin, unit],
  cos: [ops.cos, unit],
  softplus: [ops.softplus, (b) => b + 0.7],
  gelu: [ops.gelu, same],
  abs: [ops.abs, same],
  sign: [ops.sign, unit],
  elu: [(x) => ops.elu(x, 0.7), same],
  leakyRelu: [(x) => ops.leakyRelu(x, 0.2), same],
  // Bounds that f32 holds: a number at a bound is at it in float64 too.
  clamp: [(x) => ops.clamp(x, -0.75, 0.375), unit],
  cube: [(x) => ops.power(x, 3), (b) => b ** 3],
  exp: [(x) => ops.exp(ops.tanh(x)), () => Math.E],
  log: [(x) => ops.log(ops.add(ops.square(x), 0.5)), (b) => Math.log(b * b + 2)],
  sqrt: [(x) => ops.sqrt(ops.add(ops.square(x), 0.25)), (b) => b + 0.5],
  reciprocal: [(x) => ops.reciprocal(ops.add(ops.square(x), 0.5)), () => 2],
  root: [(x) => ops.power(ops.add(ops.sigmoid(x), 0.5), -0.7), () => 2],
  identity: [ops.identity, same],
  blockGradient: [ops.blockGradient, same],
};

type Binary = readonly [make: (a: Tensor, b: Tensor) => Tensor, bound: (a: number, b: number) => number];
const more = (a: number, b: number): number => Math.max(a, b);

/** Functions of two numbers, which broadcast. */
const binary: Readonly<Record<string, Binary>> = {
  add: [ops.add, (a, b) => a + b],
  mul: [ops.mul, (a, b) => a * b],
  sub: [ops.sub, (a, b) => a + b],
  div: [(a, b) => ops.div(a, ops.affine(ops.tanh(b), 0.5, 1.5)), same],
  maximum: [ops.maximum, more],
  minimum: [ops.minimum, more],
  pow: [(a, b) => ops.pow(ops.add(ops.sigmoid(a), 0.5), ops.tanh(b)), () => 2],
  greater: [ops.greater, unit],
  greaterEqual: [ops.greaterEqual, unit],
  less: [ops.less, unit],
  lessEqual: [ops.lessEqual, unit],
  equal: [ops.equal, unit],
  gated: [(a, b) => ops.mul(ops.sigmoid(a), b), (_, b) => b],
  mixed: [(a, b) => ops.add(ops.mul(a, ops.sigmoid(b)), ops.mul(b, ops.sigmoid(a))), (a, b) => a + b],
};

const choices: Readonly<Record<string, Maker>> = {
  where: ({ a, b, c, n }) => {
    const other = beside(a.tensor, b.tensor, n);
    const sum = ops.add(a.tensor, other);
    const mask = ops.greater(beside(sum, c.tensor, n >> 1), ops.fill(0.1, []));
    return one(ops.where(mask, a.tensor, other), more(a.bound, b.bound));
  },
  maskGradient: ({ a, b, n }) => {
    const mask = ops.less(resized(b.tensor, narrowed(a.tensor.shape, n)), ops.fill(0.2, []));
    return one(ops.maskGradient(a.tensor, mask), a.bound);
  },
};

const shapes: Readonly<Record<string, Maker>> = {
  reshape: ({ a: { tensor, bound }, n }) => {
    const divisors = [1, 2, 3, 4, 5, 6, 8].filter((each) => tensor.size % each === 0);
    const rows = at(divisors, n % divisors.length);
    const flat = [...(n & 8 ? [1] : []), rows, tensor.size / rows];
    return one(ops.reshape(tensor, n & 4 ? flat : [tensor.size]), bound);
  },
  permute: ({ a: { tensor, bound }, n }) => {
    const axes = tensor.shape.map((_, i) => i);
    const turn = axes.length === 0 ? 0 : n % axes.length;
    const turned = [...axes.slice(turn), ...axes.slice(0, turn)];
    return one(ops.permute(tensor, n & 64 ? turned : axes.toReversed()), bound);
  },
  slice: ({ a: { tensor, bound }, n }) => {
    const x = rowsOf(tensor);
    const axis = n % x.shape.length;
    const size = at(x.shape, axis);
    const start = (n >> 3) % size;
    return one(ops.slice(x, axis, start, 1 + ((n >> 4) % (size - start))), bound);
  },
  concat: ({ a, b, n }) => {
    const x = rowsOf(a.tensor);
    const axis = n % x.shape.length;
    const shape = x.shape.map((size, i) => (i === axis ? Math.max(1, size - (n & 3)) : size));
    const parts = [x, resized(b.tensor, shape), ...(n & 32 ? [x] : [])];
    return one(ops.concat(n & 64 ? parts.toReversed() : parts, axis), more(a.bound, b.bound));
  },
  // The parts of one tensor, neighbours: their gradients are put side by side again.
  split: ({ a: { tensor, bound }, n }) => {
    const x = rowsOf(tensor);
    const axis = n % x.shape.length;
    const size = at(x.shape, axis);
    const cut = 1 + ((n >> 2) % Math.max(1, size - 1));
    if (cut >= size) return [];
    return [ops.slice(x, axis, 0, cut), ops.slice(x, axis, cut, size - cut)].map((part) => ({ tensor: part, bound }));
  },
  broadcastTo: ({ a: { tensor, bound }, n }) => {
    const stretched = tensor.shape.map((size) => (size === 1 ? 1 + (n % 4) : size));
    return one(ops.broadcastTo(tensor, n & 4 ? [1 + (n % 3), ...stretched] : stretched), bound);
  },
  flip: ({ a: { tensor, bound }, n }) => {
    const x = rowsOf(tensor);
    return one(ops.flip(x, n % x.shape.length), bound);
  },
  roll: ({ a: { tensor, bound }, n }) => {
    const x = rowsOf(tensor);
    return one(ops.roll(x, n % x.shape.length, (n >> 2) - 20), bound);
  },
};

/** The axes that a number names, and whether they stay. */
function axesOf(x: Tensor, n: number): ops.ReduceOptions {
  const axes = x.shape.flatMap((_, i) => ((n >> i) & 1 ? [i] : []));
  return { ...(n & 16 ? {} : { axes }), keepAxes: (n & 32) !== 0 };
}

const reductions: Readonly<Record<string, Maker>> = {
  sum: ({ a: { tensor, bound }, n }) => one(ops.sum(tensor, axesOf(tensor, n)), bound * tensor.size),
  mean: ({ a: { tensor, bound }, n }) => one(ops.mean(tensor, axesOf(tensor, n)), bound),
  max: ({ a: { tensor, bound }, n }) => one(ops.max(tensor, axesOf(tensor, n)), bound),
  min: ({ a: { tensor, bound }, n }) => one(ops.min(tensor, axesOf(tensor, n)), bound),
  sumOfSquares: ({ a: { tensor, bound }, n }) =>
    one(ops.sumOfSquares(tensor, axesOf(tensor, n)), bound * bound * tensor.size),
  globalNorm: ({ a, b }) => one(ops.globalNorm([a.tensor, ops.add(ops.square(b.tensor), 0.5)]), 40 * a.bound + b.bound),
  meanSquare: ({ a, b }) => one(ops.meanSquare(a.tensor, resized(b.tensor, a.tensor.shape)), (a.bound + b.bound) ** 2),
};

const matrix = (x: Tensor): Tensor => ops.reshape(x, [x.size / lastOf(rowsOf(x)), lastOf(rowsOf(x))]);

const products: Readonly<Record<string, Maker>> = {
  matmul: ({ a, b, c, n }) => {
    const x = rowsOf(a.tensor);
    const w = resized(b.tensor, [lastOf(x), 1 + (n % 9)]);
    const plus = n & 16 ? resized(c.tensor, [1 + (n % 9)]) : undefined;
    return one(ops.matmul(x, w, plus), a.bound * b.bound * lastOf(x) + c.bound);
  },
  // A product with itself, turned.
  gram: ({ a, n }) => {
    const x = matrix(a.tensor);
    const equation = n & 1 ? 'mk,nk->mn' : 'km,kn->mn';
    return one(ops.einsum(equation, x, x, { scale: 0.5 }), a.bound * a.bound * x.size);
  },
  dot: ({ a, b, c, n }) => {
    const x = matrix(a.tensor);
    const y = resized(b.tensor, x.shape);
    const plus = n & 2 ? { plus: ['b', resized(c.tensor, x.shape.slice(0, 1))] as const } : {};
    return one(ops.einsum('bh,bh->b', x, y, plus), a.bound * b.bound * lastOf(x) + c.bound);
  },
  grouped: ({ a, b, n }) => {
    const x = matrix(a.tensor);
    const [N, I, O] = [at(x.shape, 0), at(x.shape, 1), 1 + (n % 5)];
    if (N * I * O > MOST_ELEMENTS) return [];
    const cube = ops.reshape(x, [1, N, I]);
    return one(ops.groupedMatmul(cube, resized(b.tensor, [N, I, O])), a.bound * b.bound * I);
  },
  conv2d: ({ a, b, n }) => {
    const x = resized(a.tensor, [1, 1 + (n & 1), 3, 4]);
    const w = resized(b.tensor, [2, 1 + (n & 1), 2, 2]);
    const options = { stride: 1 + ((n >> 1) & 1), padding: (n >> 2) & 1 };
    return one(ops.conv2d(x, w, options), 8 * a.bound * b.bound);
  },
  outer: ({ a, b }) => {
    const [x, y] = [resized(a.tensor, [2, 5]), resized(b.tensor, [2, 3])];
    return one(ops.einsum('bi,bj->bij', x, y), a.bound * b.bound);
  },
};

const rows: Readonly<Record<string, Maker>> = {
  softmax: ({ a, b, n }) => {
    const x = rowsOf(a.tensor);
    const mask = ops.greater(resized(b.tensor, narrowed(x.shape, n >> 2)), ops.fill(-0.3, []));
    return one(
      ops.softmax(x, { ...(n & 1 ? { topK: 1 + ((n >> 3) % lastOf(x)) } : {}), ...(n & 2 ? { mask } : {}) }),
      1,
    );
  },
  layerNorm: ({ a, b, c, n }) => {
    const x = rowsOf(a.tensor);
    const [weight, bias] = [resized(b.tensor, [lastOf(x)]), resized(c.tensor, n & 8 ? [lastOf(x)] : [1])];
    const options = { epsilon: 0.1, ...(n & 1 ? { weight } : {}), ...(n & 2 ? { bias } : {}) };
    return one(ops.layerNorm(x, options), Math.sqrt(lastOf(x)) * more(1, b.bound) + c.bound);
  },
  topKMask: ({ a, n }) => {
    const x = rowsOf(a.tensor);
    return one(ops.mul(ops.topKMask(x, 1 + (n % lastOf(x))), x), a.bound);
  },
  cumulativeSum: ({ a }) => one(ops.cumulativeSum(rowsOf(a.tensor)), a.bound * lastOf(rowsOf(a.tensor))),
  cumulativeProduct: ({ a }) => one(ops.cumulativeProduct(ops.tanh(rowsOf(a.tensor))), 1),
  sort: ({ a, n }) => {
    const { values, indices } = ops.sort(rowsOf(a.tensor), { descending: (n & 1) !== 0 });
    return one(n & 2 ? ops.takeAlong(rowsOf(a.tensor), indices) : values, a.bound);
  },
  gather: ({ a, n, draw }) => {
    const table = matrix(a.tensor);
    return one(ops.gather(table, draw.below(at(table.shape, 0), [1 + (n % 6)])), a.bound);
  },
  segmentSum: ({ a, n, draw }) => {
    const x = matrix(a.tensor);
    const columns = 1 + (n % 7);
    return one(putAlong(x, draw.below(columns, x.shape), columns), a.bound * lastOf(x));
  },
  crossEntropy: ({ a, n, draw }) => {
    const x = matrix(a.tensor);
    const labels = draw.below(lastOf(x), [at(x.shape, 0)]);
    return one(ops.crossEntropy(x, labels, { reduction: n & 1 ? 'none' : 'mean' }), 2 * a.bound + 7);
  },
  binaryCrossEntropy: ({ a, b, n }) => {
    const targets = ops.sigmoid(resized(b.tensor, a.tensor.shape));
    const reduction = n & 1 ? 'none' : 'mean';
    return one(ops.binaryCrossEntropy(a.tensor, targets, { reduction }), 2 * a.bound + 1);
  },
  gruGates: ({ a, b, c }) => {
    const h = matrix(a.tensor);
    const [B, H] = [at(h.shape, 0), at(h.shape, 1)];
    return one(ops.gruGates(resized(b.tensor, [B, 3 * H]), resized(c.tensor, [B, 3 * H]), h), more(1, a.bound));
  },
  lstmGates: ({ a, b, n }) => {
    const cell = matrix(a.tensor);
    const next = ops.lstmGates(resized(b.tensor, [at(cell.shape, 0), 4 * lastOf(cell)]), cell);
    const [h, c] = [...one(next.h, 1), ...one(next.c, a.bound + 1)];
    return [h, c].flatMap((each, i) => (each !== undefined && n % 3 !== i ? [each] : []));
  },
};

const others: Readonly<Record<string, Maker>> = {
  dropout: ({ a, n, random }) => one(ops.dropout(a.tensor, { rate: (n % 8) / 10, random }), 4 * a.bound),
  // A slope as a tensor like any other, so that there are gradients of gradients.
  slope: ({ a, b, n }) => {
    // Nothing that has no second derivative lies between.
    const x = ops.identity(a.tensor);
    const y = ops.tanh(ops.mul(x, beside(x, b.tensor, n)));
    return one(ops.grad(ops.sum(y), [x]).of(x), b.bound * MOST_ELEMENTS);
  },
  constant: ({ a, n }) =>
    one(
      ops.constant(
        Float32Array.from({ length: a.tensor.size }, (_, i) => Math.sin(i + n)),
        a.tensor.shape,
      ),
      1,
    ),
};

const ofUnary =
  ([make, bound]: Unary): Maker =>
  ({ a }) =>
    one(make(a.tensor), bound(a.bound));
const ofBinary =
  ([make, bound]: Binary): Maker =>
  ({ a, b, n }) =>
    one(make(a.tensor, beside(a.tensor, b.tensor, n)), bound(a.bound, b.bound));

const mapped = <T>(table: Readonly<Record<string, T>>, f: (each: T) => Maker): Record<string, Maker> =>
  Object.fromEntries(Object.entries(table).map(([name, each]) => [name, f(each)]));

/** Instructions in groups, and how often each group is drawn. */
export const groups: readonly { readonly weight: number; readonly makers: Readonly<Record<string, Maker>> }[] = [
  { weight: 8, makers: mapped(unary, ofUnary) },
  { weight: 8, makers: mapped(binary, ofBinary) },
  { weight: 2, makers: choices },
  { weight: 3, makers: shapes },
  { weight: 3, makers: reductions },
  { weight: 3, makers: products },
  { weight: 3, makers: rows },
  { weight: 2, makers: others },
];

/** All of them by name. */
export const makers: Readonly<Record<string, Maker>> = Object.assign({}, ...groups.map((group) => group.makers));
