// Cases of engine/ops/shape.ts and engine/ops/reduce.ts: every axis and edge, f32 and u32, short runs and long ones.

import { clipByGlobalNorm } from '../../engine/clip.ts';
import { square, tanh } from '../../engine/ops/elementwise.ts';
import { globalNorm } from '../../engine/ops/global-norm.ts';
import * as reduce from '../../engine/ops/reduce.ts';
import { remark } from '../../engine/ops/remark.ts';
import * as ops from '../../engine/ops/shape.ts';
import type { Case } from '../draw.ts';

/** Cases of the rows that rearrange. */
export const shapeCases: readonly Case[] = [
  { name: 'remark', graph: (draw) => [square(remark(draw.normal([2, 3]), 'a remark'))] },
  { name: 'reshape', graph: (draw) => [square(ops.reshape(draw.normal([2, 3, 4]), [6, -1]))] },
  {
    name: 'permute',
    graph: (draw) => [ops.permute(draw.normal([2, 3, 4]), [2, 0, 1]), ops.permute(draw.normal([2, 3, 4]), [1, 0, 2])],
  },
  { name: 'permute: u32', graph: (draw) => [ops.permute(draw.below(99, [3, 5]), [1, 0])] },
  {
    name: 'slice',
    graph: (draw) => {
      const x = draw.normal([4, 5, 6]);
      return [ops.slice(x, 0, 1, 2), ops.slice(x, 1, 0, 3), ops.slice(x, -1, 5, 1)];
    },
  },
  { name: 'slice: of a slice', graph: (draw) => [square(ops.slice(ops.slice(draw.normal([6, 7]), 0, 2, 3), 1, 1, 4))] },
  {
    name: 'concat',
    graph: (draw) => {
      const [a, b] = [draw.normal([2, 3, 2]), draw.normal([2, 1, 2])];
      return [ops.concat([a, b, a], 1), ops.concat([a, a], 0), ops.concat([b, b], -1)];
    },
  },
  { name: 'concat: u32', graph: (draw) => [ops.concat([draw.below(9, [2, 2]), draw.below(9, [1, 2])], 0)] },
  {
    name: 'broadcastTo',
    graph: (draw) => [ops.broadcastTo(draw.normal([3, 1]), [2, 3, 4]), ops.broadcastTo(draw.normal([]), [5])],
  },
  {
    name: 'flip',
    graph: (draw) => {
      const x = draw.normal([3, 4]);
      return [ops.flip(x, 0), ops.flip(x, 1), ops.flip(draw.below(9, [5]), 0)];
    },
  },
  {
    name: 'roll',
    graph: (draw) => {
      const x = draw.normal([3, 5]);
      return [ops.roll(x, 1, 2), ops.roll(x, 1, -1), ops.roll(x, 0, 4)];
    },
  },
  {
    name: 'sizes of 1',
    graph: (draw) => {
      const x = draw.normal([1, 1, 1]);
      return [
        ops.permute(x, [2, 0, 1]),
        ops.flip(x, 0),
        ops.concat([x, x], 2),
        reduce.sum(x),
        ops.broadcastTo(x, [2, 1, 3]),
      ];
    },
  },
];

/** Cases of the rows that reduce. */
export const reduceCases: readonly Case[] = [
  {
    name: 'sum: each axis',
    graph: (draw) => {
      const x = draw.normal([3, 4, 5]);
      return [0, 1, 2].map((axis) => reduce.sum(x, { axes: [axis] }));
    },
  },
  {
    name: 'sum: two axes apart',
    graph: (draw) => [reduce.sum(draw.normal([3, 4, 5]), { axes: [0, -1], keepAxes: true })],
  },
  { name: 'sum: all', graph: (draw) => [square(reduce.sum(draw.normal([3, 4])))] },
  {
    name: 'sum: a workgroup a run',
    graph: (draw) => [
      reduce.sum(draw.normal([2, 70]), { axes: [1] }),
      reduce.sum(draw.normal([100, 3]), { axes: [0] }),
    ],
  },
  { name: 'sum: two passes', graph: (draw) => [reduce.sum(tanh(ops.broadcastTo(draw.normal([5]), [1700, 5])))] },
  { name: 'mean', graph: (draw) => [reduce.mean(draw.normal([3, 4]), { axes: [1] }), reduce.mean(draw.normal([6]))] },
  {
    name: 'sumOfSquares',
    graph: (draw) => [reduce.sumOfSquares(draw.normal([3, 40]), { axes: [1] }), reduce.sumOfSquares(draw.normal([7]))],
  },
  {
    name: 'globalNorm: one tensor, several, more than have a buffer each, more than one piece',
    graph: (draw) => [
      globalNorm([draw.normal([7])]),
      globalNorm([draw.normal([3, 4]), draw.normal([]), ops.broadcastTo(draw.normal([5]), [300, 5])]),
      globalNorm(Array.from({ length: 8 }, (_, i) => draw.normal([1 + i]))),
    ],
  },
  ...([1.5, 1e4] as const).map(
    (most): Case => ({
      name: `clipByGlobalNorm: a bound that ${most > 100 ? 'is not reached' : 'acts'}`,
      graph: (draw) => {
        const tensors = [draw.normal([7]), draw.normal([3, 4]), draw.normal([])];
        const { clipped, norm, scale } = clipByGlobalNorm(tensors, most);
        return [...clipped, norm, scale];
      },
    }),
  ),
  {
    name: 'clipByGlobalNorm: a norm from elsewhere',
    graph: (draw) => {
      const { clipped, scale } = clipByGlobalNorm([draw.normal([5])], 2, draw.given([1], [3]));
      return [...clipped, scale];
    },
  },
  {
    name: 'max',
    graph: (draw) => {
      const x = draw.distinct([3, 5, 2]);
      return [reduce.max(x), reduce.max(x, { axes: [1] }), reduce.max(x, { axes: [0, 2], keepAxes: true })];
    },
  },
  { name: 'max: long rows', graph: (draw) => [reduce.max(draw.distinct([2, 80]), { axes: [1] })] },
  {
    name: 'min',
    graph: (draw) => {
      const x = draw.distinct([3, 5, 2]);
      return [reduce.min(x), reduce.min(x, { axes: [0] }), reduce.min(x, { axes: [1, 2] })];
    },
  },
];
