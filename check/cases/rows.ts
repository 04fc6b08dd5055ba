// Cases of the ops over rows of the last axis, of gathers and of losses: short rows (a lane each), long rows (a workgroup
// each), masks, choices, large scores, one column, indices that repeat.

import { cumulativeProduct, cumulativeSum } from '../../engine/ops/cumulative.ts';
import { greater, mul, sigmoid, tanh } from '../../engine/ops/elementwise.ts';
import { gather, takeAlong } from '../../engine/ops/gather.ts';
import { constant } from '../../engine/ops/leaf.ts';
import { binaryCrossEntropy, crossEntropy, meanSquare } from '../../engine/ops/loss.ts';
import { layerNorm } from '../../engine/ops/norm.ts';
import { softmax, topKMask } from '../../engine/ops/softmax.ts';
import { sort } from '../../engine/ops/sort.ts';
import type { Case } from '../draw.ts';

/** Cases of softmax and of choosing the largest. */
export const softmaxCases: readonly Case[] = [
  { name: 'softmax: short rows', graph: (draw) => [softmax(draw.normal([3, 2, 7]))] },
  { name: 'softmax: long rows', graph: (draw) => [softmax(draw.normal([2, 70]))] },
  { name: 'softmax: one column', graph: (draw) => [softmax(draw.normal([4, 1]))] },
  {
    name: 'softmax: large scores',
    graph: (draw) => [softmax(draw.given([2, 4], [1000, 999, 998.5, 0, -500, -501, -499.5, -2000]))],
  },
  {
    name: 'softmax: masked',
    graph: (draw) => [softmax(draw.normal([3, 2, 5]), { mask: constant([1, 0, 1, 1, 0, 1, 1, 1, 1, 1], [2, 5]) })],
  },
  {
    name: 'softmax: masked, a mask of rows',
    graph: (draw) => [softmax(draw.normal([4, 3]), { mask: constant([1, 0, 1, 1], [4, 1]) })],
  },
  {
    name: 'softmax: masked, nothing left',
    graph: (draw) => [softmax(draw.normal([2, 3]), { mask: constant([0, 0, 0, 0, 1, 0], [2, 3]) })],
  },
  { name: 'softmax: masked, long rows', graph: (draw) => [softmax(draw.normal([2, 66]), { mask: draw.mask([66]) })] },
  { name: 'softmax: top-K', graph: (draw) => [softmax(draw.distinct([4, 6]), { topK: 2 })] },
  {
    name: 'softmax: top-K, ties',
    graph: (draw) => {
      const scores = draw.given([2, 5], [1, 3, 3, 3, 0, 2, 2, 2, 2, 2]);
      // At a tie a difference would move the choice: only the forward is asked.
      draw.wrt.length = 0;
      return [softmax(scores, { topK: 2 }), topKMask(scores, 3)];
    },
  },
  {
    name: 'softmax: top-K, masked',
    graph: (draw) => [softmax(draw.distinct([3, 6]), { topK: 3, mask: draw.mask([3, 6]) })],
  },
  { name: 'softmax: top-K, long rows', graph: (draw) => [softmax(draw.distinct([2, 70], 0.05), { topK: 5 })] },
  {
    name: 'softmax: top-K, masked, long rows',
    graph: (draw) => [softmax(draw.distinct([2, 70], 0.05), { topK: 9, mask: draw.mask([2, 70]) })],
  },
  {
    name: 'topKMask',
    graph: (draw) => {
      const scores = draw.distinct([3, 7]);
      return [mul(topKMask(scores, 3), scores), topKMask(scores, 7), topKMask(scores, 1)];
    },
  },
  {
    name: 'topKMask: of a computed score',
    graph: (draw) => {
      const scores = tanh(draw.distinct([2, 5]));
      return [mul(topKMask(scores, 2), scores)];
    },
  },
];

/** Cases of sorting and of running totals. */
export const orderCases: readonly Case[] = [
  {
    name: 'sort: upwards',
    graph: (draw) => {
      const { values, indices } = sort(draw.distinct([3, 6]));
      return [values, indices];
    },
  },
  {
    name: 'sort: downwards',
    graph: (draw) => {
      const x = draw.distinct([2, 9]);
      const { values, indices } = sort(x, { descending: true });
      return [tanh(values), indices, takeAlong(x, indices)];
    },
  },
  {
    name: 'sort: equal elements keep their order',
    graph: (draw) => {
      const x = draw.given([2, 4], [2, 1, 2, 1, 0, 0, 0, 0]);
      draw.wrt.length = 0;
      return [sort(x).indices, sort(x, { descending: true }).indices];
    },
  },
  { name: 'sort: two workgroups', graph: (draw) => [sort(draw.distinct([1, 70])).values] },
  { name: 'cumulativeSum', graph: (draw) => [tanh(cumulativeSum(draw.normal([2, 3, 5])))] },
  { name: 'cumulativeSum: long rows', graph: (draw) => [tanh(cumulativeSum(draw.normal([2, 130], { std: 0.1 })))] },
  { name: 'cumulativeProduct', graph: (draw) => [cumulativeProduct(draw.normal([3, 5]))] },
  {
    name: 'cumulativeProduct: zeros',
    graph: (draw) => [cumulativeProduct(draw.given([3, 4], [1, 0, 2, 3, 0, 2, 0, 1, -1, 2, 3, 0]))],
  },
  { name: 'cumulativeProduct: long rows', graph: (draw) => [cumulativeProduct(draw.between(0.9, 1.1, [2, 70]))] },
];

/** Cases of layer normalisation. */
export const normCases: readonly Case[] = [
  { name: 'layerNorm: short rows', graph: (draw) => [layerNorm(draw.normal([3, 2, 6]))] },
  {
    name: 'layerNorm: weight and bias',
    graph: (draw) => [layerNorm(draw.normal([3, 6]), { weight: draw.normal([6]), bias: draw.normal([6]) })],
  },
  {
    name: 'layerNorm: weight alone',
    graph: (draw) => [layerNorm(draw.normal([3, 6]), { weight: draw.normal([6]), epsilon: 0.01 })],
  },
  {
    name: 'layerNorm: a weight for every module',
    graph: (draw) => [layerNorm(draw.normal([2, 3, 5]), { weight: draw.normal([3, 5]), bias: draw.normal([3, 1]) })],
  },
  {
    name: 'layerNorm: long rows',
    graph: (draw) => [
      layerNorm(draw.normal([2, 70], { mean: 3 }), { weight: draw.normal([70]), bias: draw.normal([70]) }),
    ],
  },
  { name: 'layerNorm: long rows, plain', graph: (draw) => [layerNorm(draw.normal([2, 65]))] },
  { name: 'layerNorm: one column', graph: (draw) => [layerNorm(draw.normal([3, 1]), { bias: draw.normal([1]) })] },
];

/** Cases of picking by index. */
export const gatherCases: readonly Case[] = [
  { name: 'gather: rows', graph: (draw) => [tanh(gather(draw.normal([5, 3]), draw.below(5, [4, 2])))] },
  {
    name: 'gather: an entry more than once',
    graph: (draw) => [tanh(gather(draw.normal([4, 2]), draw.indices([6], [1, 1, 3, 1, 3, 1])))],
  },
  { name: 'gather: numbers', graph: (draw) => [gather(draw.normal([6]), draw.below(6, [3]))] },
  { name: 'gather: matrices', graph: (draw) => [gather(draw.normal([3, 2, 2]), draw.indices([], [2]))] },
  { name: 'gather: parts', graph: (draw) => [gather(draw.normal([2, 2]), draw.below(2, [1100]))] },
  // Enough rows and positions for chains, which are followed row by row (engine/ops/gather.ts).
  {
    name: 'gather: a large table',
    graph: (draw) => {
      const positions = Array.from({ length: 1024 }, (_, i) => ((7 * i) % 50) * 83);
      return [tanh(gather(draw.normal([4100]), draw.indices([1024], positions)))];
    },
  },
  { name: 'takeAlong', graph: (draw) => [tanh(takeAlong(draw.normal([3, 5]), draw.below(5, [3, 4])))] },
  { name: 'takeAlong: one row', graph: (draw) => [takeAlong(draw.normal([5]), draw.indices([3], [4, 0, 4]))] },
];

/** Cases of the losses. */
export const lossCases: readonly Case[] = [
  { name: 'crossEntropy: mean', graph: (draw) => [crossEntropy(draw.normal([3, 2, 5]), draw.below(5, [3, 2]))] },
  {
    name: 'crossEntropy: sum',
    graph: (draw) => [crossEntropy(draw.normal([4, 3]), draw.below(3, [4]), { reduction: 'sum' })],
  },
  {
    name: 'crossEntropy: of each row',
    graph: (draw) => [crossEntropy(draw.normal([4, 3]), draw.below(3, [4]), { reduction: 'none' })],
  },
  { name: 'crossEntropy: long rows', graph: (draw) => [crossEntropy(draw.normal([2, 75]), draw.below(75, [2]))] },
  {
    name: 'crossEntropy: large logits',
    graph: (draw) => [
      crossEntropy(
        draw.given([3, 3], [500, 100, -300, 0, 0.5, 80, -1000, -1001, -1002]),
        draw.indices([3], [0, 1, 2]),
        { reduction: 'none' },
      ),
    ],
  },
  {
    name: 'crossEntropy: one class',
    graph: (draw) => [crossEntropy(draw.normal([3, 1]), draw.indices([3], [0, 0, 0]))],
  },
  {
    name: 'binaryCrossEntropy',
    graph: (draw) => [binaryCrossEntropy(draw.normal([3, 5]), draw.between(0, 1, [3, 5]))],
  },
  {
    name: 'binaryCrossEntropy: large logits',
    graph: (draw) => [
      binaryCrossEntropy(
        draw.given([6], [100, -100, 40, -40, 5, -5]),
        greater(draw.given([6], [1, 1, -1, -1, 1, -1]), constant([0], [])),
        { reduction: 'none' },
      ),
    ],
  },
  {
    name: 'binaryCrossEntropy: sum',
    graph: (draw) => [binaryCrossEntropy(draw.normal([4]), sigmoid(draw.normal([4])), { reduction: 'sum' })],
  },
  { name: 'meanSquare', graph: (draw) => [meanSquare(draw.normal([3, 4]), draw.normal([3, 4]))] },
];
