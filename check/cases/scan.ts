// Cases of engine/scan.ts: loops with what is hoisted, deferred and kept; states that swap, repeat or pass through;
// backward scans, taps, integers, and gradients of gradients through time.

import { grad } from '../../engine/grad.ts';
import { groupedMatmul, matmul } from '../../engine/ops/einsum.ts';
import {
  add,
  affine,
  blockGradient,
  exp,
  maskGradient,
  mul,
  sigmoid,
  sub,
  tanh,
} from '../../engine/ops/elementwise.ts';
import { gather } from '../../engine/ops/gather.ts';
import { constant, fill } from '../../engine/ops/leaf.ts';
import { sum } from '../../engine/ops/reduce.ts';
import { concat, reshape, slice } from '../../engine/ops/shape.ts';
import { scan } from '../../engine/scan.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { Case, Draw } from '../draw.ts';

const weights = (draw: Draw, from: number, to: number): Tensor => draw.normal([from, to], { std: 0.5 });

/** A plain recurrent network: h' = tanh(x·W + h·U + b), with a readout of every step. */
function recurrent(draw: Draw, reverse: boolean): readonly Tensor[] {
  const [w, u, b, v] = [weights(draw, 3, 4), weights(draw, 4, 4), draw.normal([4]), weights(draw, 4, 2)];
  const { outputs, state } = scan(
    ({ x }: { x: Tensor }, { h }: { h: Tensor }) => {
      const next = tanh(add(add(matmul(x, w), matmul(h, u)), b));
      return { state: { h: next }, output: { h: next, y: matmul(next, v) } };
    },
    { x: draw.normal([5, 2, 3]) },
    { h: draw.normal([2, 4]) },
    { reverse },
  );
  return [outputs.h, outputs.y, state.h];
}

/** Cases of recurrence. */
export const scanCases: readonly Case[] = [
  { name: 'scan: recurrent network', graph: (draw) => recurrent(draw, false) },
  { name: 'scan: from the last step', graph: (draw) => recurrent(draw, true) },
  {
    name: 'scan: one step',
    graph: (draw) => {
      const u = weights(draw, 3, 3);
      const { state } = scan(
        (_, { h }: { h: Tensor }) => ({ state: { h: tanh(matmul(h, u)) }, output: {} }),
        {},
        { h: draw.normal([2, 3]) },
        { steps: 1 },
      );
      return [state.h];
    },
  },
  {
    name: 'scan: only the final state',
    graph: (draw) => {
      const u = weights(draw, 3, 3);
      const { state } = scan(
        ({ x }: { x: Tensor }, { h }: { h: Tensor }) => ({ state: { h: tanh(add(matmul(h, u), x)) }, output: {} }),
        { x: draw.normal([6, 3]) },
        { h: fill(0, [1, 3]) },
      );
      return [state.h];
    },
  },
  {
    name: 'scan: two states, one per module',
    graph: (draw) => {
      const u = draw.normal([2, 3, 6], { std: 0.5 });
      const { outputs, state } = scan(
        ({ x }: { x: Tensor }, { h, c }: { h: Tensor; c: Tensor }) => {
          const gates = add(groupedMatmul(h, u), x);
          const next = add(mul(c, sigmoid(slice(gates, -1, 0, 3))), tanh(slice(gates, -1, 3, 3)));
          return { state: { h: tanh(next), c: next }, output: { c: next, before: h } };
        },
        { x: draw.normal([4, 2, 2, 6]) },
        { h: draw.normal([2, 2, 3]), c: draw.normal([2, 2, 3]) },
      );
      return [outputs.c, outputs.before, state.h, state.c];
    },
  },
  {
    name: 'scan: states that swap',
    graph: (draw) => {
      const { outputs, state } = scan(
        ({ x }: { x: Tensor }, { a, b }: { a: Tensor; b: Tensor }) => ({
          state: { a: b, b: a },
          output: { y: mul(mul(a, b), x) },
        }),
        { x: draw.normal([3, 5]) },
        { a: draw.normal([5]), b: draw.normal([5]) },
      );
      return [outputs.y, state.a, state.b];
    },
  },
  {
    name: 'scan: a state that only passes through',
    graph: (draw) => {
      const { outputs, state } = scan(
        ({ x }: { x: Tensor }, { h, k }: { h: Tensor; k: Tensor }) => ({
          state: { h: tanh(add(mul(h, k), x)), k },
          output: { y: mul(h, k) },
        }),
        { x: draw.normal([4, 3]) },
        { h: draw.normal([3]), k: draw.normal([3]) },
      );
      return [outputs.y, state.h, state.k];
    },
  },
  {
    name: 'scan: the state before, blocked',
    graph: (draw) => {
      const { outputs, state } = scan(
        ({ x }: { x: Tensor }, { h, last }: { h: Tensor; last: Tensor }) => ({
          state: { h: tanh(add(mul(h, last), x)), last: blockGradient(h) },
          output: { y: mul(h, last) },
        }),
        { x: draw.normal([4, 3]) },
        { h: draw.normal([3]), last: draw.normal([3]) },
      );
      return [outputs.y, state.h, state.last];
    },
  },
  {
    name: 'scan: the state before, reshaped',
    graph: (draw) => {
      const { state } = scan(
        ({ x }: { x: Tensor }, { h, last }: { h: Tensor; last: Tensor }) => ({
          state: { h: tanh(add(mul(h, reshape(last, [3])), x)), last: reshape(h, [3, 1]) },
          output: {},
        }),
        { x: draw.normal([4, 3]) },
        { h: draw.normal([3]), last: draw.normal([3, 1]) },
      );
      return [state.h, state.last];
    },
  },
  {
    name: 'scan: the input becomes the state',
    graph: (draw) => {
      const { outputs, state } = scan(
        ({ x }: { x: Tensor }, { last }: { last: Tensor }) => ({
          state: { last: x },
          output: { change: sub(x, last), last },
        }),
        { x: draw.normal([4, 3]) },
        { last: draw.normal([3]) },
      );
      return [outputs.change, outputs.last, state.last];
    },
  },
  {
    name: 'scan: without a state',
    graph: (draw) => {
      const w = weights(draw, 3, 4);
      const { outputs } = scan(
        ({ x }: { x: Tensor }) => ({ state: {}, output: { y: tanh(matmul(x, w)), k: exp(w) } }),
        { x: draw.normal([4, 2, 3]) },
        {},
      );
      return [outputs.y, outputs.k];
    },
  },
  {
    name: 'scan: hoisted, and constant in time',
    graph: (draw) => {
      const [w, b] = [weights(draw, 3, 3), draw.normal([3])];
      const { outputs, state } = scan(
        ({ x }: { x: Tensor }, { h }: { h: Tensor }) => {
          const gate = sigmoid(add(matmul(x, w), tanh(b)));
          const next = add(mul(gate, h), affine(gate, -1, 1));
          return {
            state: { h: next },
            output: { gate, both: concat([gate, next], -1), total: sum(next, { axes: [0] }) },
          };
        },
        { x: draw.normal([4, 2, 3]) },
        { h: draw.normal([2, 3]) },
      );
      return [outputs.gate, outputs.both, outputs.total, state.h];
    },
  },
  {
    name: 'scan: a scan after a scan',
    graph: (draw) => {
      const u = weights(draw, 3, 3);
      const layer = (x: Tensor, reverse: boolean): Tensor =>
        scan(
          ({ x: step }: { x: Tensor }, { h }: { h: Tensor }) => {
            const next = tanh(add(matmul(h, u), step));
            return { state: { h: next }, output: { h: next } };
          },
          { x },
          { h: fill(0, [2, 3]) },
          { reverse },
        ).outputs.h;
      return [layer(layer(draw.normal([4, 2, 3]), false), true)];
    },
  },
  {
    name: 'scan: rows that need padding',
    graph: (draw) => {
      // 64 elements are one alignment, 65 are not.
      const k = draw.normal([65], { std: 0.3 });
      const { outputs } = scan(
        ({ x }: { x: Tensor }, { h, g }: { h: Tensor; g: Tensor }) => {
          const next = tanh(add(mul(h, k), x));
          return { state: { h: next, g: mul(g, slice(next, 0, 0, 64)) }, output: { next, g } };
        },
        { x: draw.normal([3, 65]) },
        { h: draw.normal([65]), g: draw.normal([64]) },
      );
      return [outputs.next, outputs.g];
    },
  },
  {
    name: 'scan: gradient of a gradient',
    graph: (draw) => {
      const u = weights(draw, 2, 2);
      const { state } = scan(
        ({ x }: { x: Tensor }, { h }: { h: Tensor }) => ({
          state: { h: exp(affine(add(matmul(h, u), x), 0.3, 0)) },
          output: {},
        }),
        { x: draw.normal([3, 1, 2]) },
        { h: draw.normal([1, 2]) },
      );
      return [grad(sum(state.h), [u]).of(u)];
    },
  },
  {
    // What is masked stays, the mask comes in step by step; and it leaves the loop.
    name: 'scan: a gradient masked step by step',
    graph: (draw) => {
      const w = weights(draw, 3, 3);
      const { outputs, state } = scan(
        ({ x, m }: { x: Tensor; m: Tensor }, { h }: { h: Tensor }) => ({
          state: { h: tanh(add(mul(h, x), sum(maskGradient(w, m), { axes: [0] }))) },
          output: { y: exp(maskGradient(w, m)) },
        }),
        { x: draw.normal([3, 3]), m: draw.mask([3, 3, 3]) },
        { h: draw.normal([3]) },
      );
      return [outputs.y, state.h];
    },
  },
  {
    name: 'scan: a state of whole numbers',
    graph: (draw) => {
      const table = draw.normal([5, 3]);
      const { outputs, state } = scan(
        ({ token }: { token: Tensor }, { last, h }: { last: Tensor; h: Tensor }) => {
          const next = tanh(add(h, gather(table, last)));
          return { state: { last: token, h: next }, output: { last, next } };
        },
        { token: draw.below(5, [4, 2]) },
        { last: draw.indices([2], [3, 1]), h: draw.normal([2, 3]) },
      );
      return [outputs.last, outputs.next, state.last, state.h];
    },
  },
  {
    name: 'scan: a constant of the cell',
    graph: (draw) => {
      const { outputs, state } = scan(
        (_, { h }: { h: Tensor }) => {
          const next = mul(h, constant([0.5, -1.5], [2]));
          return { state: { h: next }, output: { next } };
        },
        {},
        { h: draw.normal([2]) },
        { steps: 4 },
      );
      return [outputs.next, state.h];
    },
  },
];
