// Generators of the rows of the op table that are more than elementwise, rearranging or reducing: products, gates,
// convolutions, rows of the last axis, picking by index, losses, random masks. What a generator is, is in op-draw.ts.

import fc from 'fast-check';
import type { Draw } from '../check/draw.ts';
import { at } from '../engine/errors.ts';
import { crossEntropy, layerNorm, RandomState, type Shape, softmax, type Tensor } from '../engine/node.ts';
import { apply, applyOne } from '../engine/op.ts';
import { few, type Generator, generator, longer, matrices, shapes, size } from './op-draw.ts';

// ---- products

/** A label of a product: which of a, b and the result have it, its size, and where it stands in each. */
const label = fc.record({
  of: fc.constantFrom('ab', 'ay', 'by', 'aby'),
  size: fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 1, max: 5 }) },
    { weight: 1, arbitrary: fc.constantFrom(8, 17) },
  ),
  order: fc.array(fc.nat(9), { minLength: 3, maxLength: 3 }),
  /** Whether what is added has it, and the mask. */
  added: fc.boolean(),
  masked: fc.boolean(),
});
const product = fc.record({
  labels: fc.array(label, { maxLength: 5 }),
  scale: fc.constantFrom(1, -0.5),
  added: fc.boolean(),
  masked: fc.constantFrom(false, false, true),
});

const einsum = generator(
  () => product,
  (draw, { labels, scale, added, masked }, row) => {
    // A mask has at most three walks of its own: more are refused.
    const named = labels.slice(0, masked ? 3 : 5).map((each, i) => ({ ...each, name: 'abcde'.charAt(i) }));
    type Named = (typeof named)[number];
    const inOrder = (of: string, k: number): Named[] =>
      named.filter((each) => each.of.includes(of)).sort((one, other) => at(one.order, k) - at(other.order, k));
    const [a, b, y] = [inOrder('a', 0), inOrder('b', 1), inOrder('y', 2)];
    const c = y.filter((each) => each.added);
    const rows = named.filter((each) => each.masked && each.of.startsWith('ab'));
    const text = (each: readonly Named[]): string => each.map(({ name }) => name).join('');
    const shapeOf = (each: readonly Named[]): Shape => each.map((one) => one.size);
    const inputs = [draw.normal(shapeOf(a)), draw.normal(shapeOf(b))];
    if (added) inputs.push(draw.normal(shapeOf(c)));
    if (masked) inputs.push(draw.mask(shapeOf(rows)));
    // Over some rows only, a product has no gradient.
    if (masked) draw.wrt.length = 0;
    const attrs = { a: text(a), b: text(b), y: text(y), scale };
    return [applyOne(row, inputs, { ...attrs, ...(added && { c: text(c) }), ...(masked && { rows: text(rows) }) })];
  },
);

// ---- convolutions

const window = fc
  .record({
    lead: fc.constantFrom<readonly number[]>([], [1], [2], [2, 2]),
    from: fc.integer({ min: 1, max: 3 }),
    to: fc.integer({ min: 1, max: 3 }),
    rows: fc.integer({ min: 1, max: 7 }),
    columns: fc.integer({ min: 1, max: 7 }),
    kernel: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
    stride: fc.integer({ min: 1, max: 3 }),
    padding: fc.integer({ min: 0, max: 2 }),
  })
  .filter(({ rows, columns, kernel, padding }) => rows + 2 * padding >= kernel[0] && columns + 2 * padding >= kernel[1])
  .map(({ lead, from, to, rows, columns, kernel, stride, padding }) => {
    const out = [rows, columns].map((each, i) => Math.floor((each + 2 * padding - at(kernel, i)) / stride) + 1);
    return {
      ...{ x: [...lead, from, rows, columns], y: [...lead, to, ...out], w: [to, from, ...kernel], kernel },
      ...{ moves: { stride, padding }, size: [rows, columns] },
    };
  });

const convolutions: Readonly<Record<string, Generator>> = {
  convolve: generator(
    () => window,
    (draw, { x, w, moves }, row) => [applyOne(row, [draw.normal(x), draw.normal(w)], moves)],
  ),
  convolveInput: generator(
    () => window,
    (draw, { y, w, moves, size: whole }, row) => [
      applyOne(row, [draw.normal(y), draw.normal(w)], { ...moves, size: whole }),
    ],
  ),
  convolveWeight: generator(
    () => fc.tuple(window, fc.boolean()),
    (draw, [{ x, y, kernel, moves }, apart], row) => {
      const grouped = apart && x.length > 3;
      return [applyOne(row, [draw.normal(x), draw.normal(y)], { ...moves, kernel, grouped })];
    },
  ),
};

// ---- gates

const units = (smooth: boolean): fc.Arbitrary<{ lead: number[]; h: number }> =>
  fc.record({ lead: shapes(true), h: smooth ? fc.integer({ min: 1, max: 4 }) : size });

/** Operands of so many times the units each. */
const gates = (widths: readonly number[], forward = false): Generator =>
  generator(
    units,
    (draw, { lead, h }, row) => [
      ...apply(
        row,
        widths.map((width) => draw.normal([...lead, width * h])),
        {},
      ),
    ],
    { forward },
  );

// ---- rows of the last axis

/** Scores of which no two are near; or with ties, and large. */
function scores(draw: Draw, shape: Shape, smooth: boolean, kind: number): Tensor {
  if (smooth) return draw.distinct(shape);
  return kind === 0 ? few(draw, shape, [0, 1, 2, 1]) : draw.normal(shape, { std: kind === 1 ? 1 : 30 });
}

const kinds = fc.nat(2);

const lastAxis: Readonly<Record<string, Generator>> = {
  softmax: generator(
    (smooth) =>
      fc.record({
        matrix: matrices(smooth),
        top: fc.option(fc.nat()),
        mask: fc.constantFrom('', 'all', 'row', 'column'),
        kinds,
      }),
    (draw, { matrix, top, mask, kinds: kind }, row, smooth) => {
      const [count, columns] = matrix;
      const inputs = [scores(draw, smooth ? [1, ...matrix] : matrix, smooth, kind)];
      if (mask !== '') inputs.push(draw.mask(mask === 'all' ? matrix : mask === 'row' ? [columns] : [count, 1]));
      return [applyOne(row, inputs, { topK: top === null ? 0 : 1 + (top % columns) })];
    },
  ),
  softmaxBackward: generator(
    (smooth) => fc.record({ matrix: matrices(smooth) }),
    (draw, { matrix }, row) => [applyOne(row, [softmax(draw.normal(matrix)), draw.normal(matrix)], {})],
    { forward: true },
  ),
  topKMask: generator(
    (smooth) => fc.record({ matrix: matrices(smooth), k: fc.nat(), kinds }),
    (draw, { matrix, k, kinds: kind }, row, smooth) => [
      applyOne(row, [scores(draw, matrix, smooth, kind)], { k: 1 + (k % matrix[1]) }),
    ],
  ),
  sort: generator(
    (smooth) => fc.record({ matrix: matrices(smooth), descending: fc.boolean(), kinds }),
    (draw, { matrix, descending, kinds: kind }, row, smooth) => [
      ...apply(row, [scores(draw, matrix, smooth, kind)], { descending }),
    ],
  ),
  cumulativeSum: generator(
    (smooth) => fc.record({ matrix: matrices(smooth), reverse: fc.boolean() }),
    (draw, { matrix, reverse }, row) => [applyOne(row, [draw.normal(matrix)], { reverse })],
  ),
  cumulativeProduct: generator(
    (smooth) => fc.record({ matrix: matrices(smooth), zeros: fc.boolean() }),
    (draw, { matrix, zeros }, row) => [
      applyOne(row, [zeros ? few(draw, matrix, [1, -1, 0, 1, 1, 0.5]) : draw.between(0.8, 1.2, matrix)], {}),
    ],
  ),
  cumulativeProductBackward: generator(
    (smooth) => fc.record({ matrix: matrices(smooth) }),
    (draw, { matrix }, row) => [applyOne(row, [draw.between(0.8, 1.2, matrix), draw.normal(matrix)], {})],
    { forward: true },
  ),
  layerNorm: generator(
    (smooth) => fc.record({ matrix: matrices(smooth), affine: fc.boolean(), mean: fc.constantFrom(0, 3) }),
    (draw, { matrix, affine, mean }, row) => {
      const weights = affine ? [draw.normal([matrix[1]]), draw.normal([matrix[1]])] : [];
      // What it keeps for the backward is no output.
      return [applyOne(row, [draw.normal(matrix, { mean }), ...weights], { epsilon: 0.01 })];
    },
  ),
  layerNormBackward: generator(
    (smooth) => fc.record({ matrix: matrices(smooth) }),
    (draw, { matrix }, row) => [
      applyOne(
        row,
        [layerNorm(draw.normal(matrix), { epsilon: 0.1 }), draw.between(0.5, 2, [matrix[0]]), draw.normal(matrix)],
        {},
      ),
    ],
    { forward: true },
  ),
};

// ---- picking, losses, random numbers

const picks = fc.record({
  groups: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
  table: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 90 })),
  positions: fc.oneof(fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 2 }), fc.constantFrom([511], [513], [700])),
  rest: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 2 }),
});

const others: Readonly<Record<string, Generator>> = {
  gather: generator(
    () => picks,
    (draw, { groups, table, positions, rest }, row) => [
      applyOne(row, [draw.normal([...groups, table, ...rest]), draw.below(table, [...groups, ...positions])], {
        shared: groups.length,
      }),
    ],
  ),
  segmentSum: generator(
    () => picks,
    (draw, { groups, table, positions, rest }, row) => [
      applyOne(row, [draw.normal([...groups, ...positions, ...rest]), draw.below(table, [...groups, ...positions])], {
        ...{ shared: groups.length, positions: positions.length, rows: table },
      }),
    ],
  ),
  crossEntropy: generator(
    (smooth) => fc.record({ matrix: matrices(smooth), kinds }),
    (draw, { matrix, kinds: kind }, row, smooth) => [
      // What it keeps for the backward is no output.
      applyOne(row, [scores(draw, matrix, smooth, kind), draw.below(matrix[1], [matrix[0]])], {}),
    ],
  ),
  crossEntropyBackward: generator(
    (smooth) => fc.record({ matrix: matrices(smooth), kinds }),
    (draw, { matrix: [count, columns], kinds: kind }, row, smooth) => {
      const logits = scores(draw, [count, columns], smooth, kind);
      const labels = draw.below(columns, [count]);
      const { node } = crossEntropy(logits, labels, { reduction: 'none' });
      return [applyOne(row, [logits, labels, at(node.outputs, 1), draw.normal([count])], {})];
    },
    { forward: true },
  ),
  binaryCrossEntropy: generator(
    (smooth) => fc.record({ shape: shapes(smooth), std: fc.constantFrom(1, smooth ? 1 : 50) }),
    (draw, { shape, std }, row) => [applyOne(row, [draw.normal(shape, { std }), draw.between(0, 1, shape)], {})],
  ),
  dropoutMask: generator(
    (smooth) =>
      fc.record({
        shape: shapes(smooth),
        rate: fc.oneof(fc.constantFrom(0, 0.5), fc.double({ min: 0, max: 0.99, noNaN: true })),
        seed: fc.maxSafeNat(),
        stream: fc.nat(2 ** 32 - 1),
        count: longer,
      }),
    (_, { count, ...attrs }, row) => {
      const { counter } = new RandomState({ seed: 0 });
      counter.write(Uint32Array.of(count));
      return [applyOne(row, [counter], attrs)];
    },
    { training: true, forward: true },
  ),
};

/** The generators of this file by the name of the row. */
export const rowGenerators: Readonly<Record<string, Generator>> = {
  einsum,
  ...convolutions,
  gruGates: gates([3, 3, 1]),
  gruGatesBackward: gates([3, 3, 1, 1], true),
  lstmGates: gates([4, 1]),
  lstmGatesBackward: gates([4, 1, 1, 1], true),
  ...lastAxis,
  ...others,
};
