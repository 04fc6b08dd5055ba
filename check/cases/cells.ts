// Cases of the gates, of convolutions and of dropout, alone and inside of a scan.

import { conv2d, convTranspose2d } from '../../engine/ops/conv.ts';
import { groupedMatmul, matmul } from '../../engine/ops/einsum.ts';
import { add, mul, tanh } from '../../engine/ops/elementwise.ts';
import { gruGates, lstmGates } from '../../engine/ops/gates.ts';
import { gather } from '../../engine/ops/gather.ts';
import { crossEntropy } from '../../engine/ops/loss.ts';
import { layerNorm } from '../../engine/ops/norm.ts';
import { dropout, RandomState } from '../../engine/ops/random.ts';
import { reshape } from '../../engine/ops/shape.ts';
import { softmax, topKMask } from '../../engine/ops/softmax.ts';
import { scan } from '../../engine/scan.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { Case } from '../draw.ts';

/** Cases of the gates. */
export const gateCases: readonly Case[] = [
  {
    name: 'gruGates',
    graph: (draw) => [gruGates(draw.normal([3, 2, 12]), draw.normal([3, 2, 12]), draw.normal([3, 2, 4]))],
  },
  {
    name: 'gruGates: one unit',
    graph: (draw) => [gruGates(draw.normal([1, 3]), draw.normal([1, 3]), draw.normal([1, 1]))],
  },
  {
    name: 'lstmGates',
    graph: (draw) => {
      const { h, c } = lstmGates(draw.normal([3, 2, 16]), draw.normal([3, 2, 4]));
      return [h, c];
    },
  },
  { name: 'lstmGates: only h', graph: (draw) => [lstmGates(draw.normal([2, 12]), draw.normal([2, 3])).h] },
  { name: 'lstmGates: only c', graph: (draw) => [lstmGates(draw.normal([2, 12]), draw.normal([2, 3])).c] },
  {
    name: 'lstmGates: saturated',
    graph: (draw) => {
      const { h, c } = lstmGates(draw.normal([2, 16], { std: 20 }), draw.normal([2, 4], { std: 5 }));
      return [h, c];
    },
  },
  {
    name: 'scan: GRU',
    graph: (draw) => {
      const [w, u] = [draw.normal([3, 12], { std: 0.5 }), draw.normal([4, 12], { std: 0.5 })];
      const { outputs, state } = scan(
        ({ x }: { x: Tensor }, { h }: { h: Tensor }) => {
          const next = gruGates(matmul(x, w), matmul(h, u), h);
          return { state: { h: next }, output: { h: next } };
        },
        { x: draw.normal([4, 2, 3]) },
        { h: draw.normal([2, 4]) },
      );
      return [outputs.h, state.h];
    },
  },
  {
    name: 'scan: LSTM modules',
    graph: (draw) => {
      const [w, u, b] = [
        draw.normal([2, 3, 8], { std: 0.5 }),
        draw.normal([2, 2, 8], { std: 0.5 }),
        draw.normal([2, 8]),
      ];
      const { outputs, state } = scan(
        ({ x }: { x: Tensor }, { h, c }: { h: Tensor; c: Tensor }) => {
          const next = lstmGates(add(add(groupedMatmul(x, w), groupedMatmul(h, u)), b), c);
          return { state: { h: next.h, c: next.c }, output: { h: next.h } };
        },
        { x: draw.normal([3, 2, 2, 3]) },
        { h: draw.normal([2, 2, 2]), c: draw.normal([2, 2, 2]) },
        { reverse: true },
      );
      return [outputs.h, state.h, state.c];
    },
  },
  {
    name: 'scan: embedding, attention, choice and loss',
    graph: (draw) => {
      const [table, query, out] = [draw.normal([5, 4]), draw.normal([4, 4], { std: 0.7 }), draw.normal([4, 3])];
      const { outputs } = scan(
        ({ token, label }: { token: Tensor; label: Tensor }, { h }: { h: Tensor }) => {
          const x = gather(table, token);
          const scores = mul(matmul(h, query), reshape(x, [2, 1, 4]));
          const p = softmax(scores, { topK: 3 });
          const next = layerNorm(add(h, tanh(mul(p, reshape(x, [2, 1, 4])))));
          const kept = mul(next, topKMask(scores, 2));
          return {
            state: { h: next },
            output: { p, loss: crossEntropy(matmul(kept, out), label, { reduction: 'none' }) },
          };
        },
        { token: draw.below(5, [3, 2]), label: draw.below(3, [3, 2, 2]) },
        { h: draw.normal([2, 2, 4]) },
      );
      return [outputs.p, outputs.loss];
    },
  },
];

/** Cases of convolutions. */
export const convCases: readonly Case[] = [
  { name: 'conv2d', graph: (draw) => [conv2d(draw.normal([2, 2, 4, 5]), draw.normal([3, 2, 3, 3]))] },
  {
    name: 'conv2d: stride, padding, bias',
    graph: (draw) => [
      tanh(
        conv2d(draw.normal([2, 2, 5, 6]), draw.normal([3, 2, 3, 2]), { bias: draw.normal([3]), stride: 2, padding: 1 }),
      ),
    ],
  },
  { name: 'conv2d: one place', graph: (draw) => [conv2d(draw.normal([1, 1, 1, 1]), draw.normal([1, 1, 1, 1]))] },
  {
    name: 'convTranspose2d',
    graph: (draw) => [
      tanh(convTranspose2d(draw.normal([2, 3, 3, 2]), draw.normal([3, 2, 3, 3]), { bias: draw.normal([2]) })),
    ],
  },
  {
    name: 'convTranspose2d: stride, padding, outputPadding',
    graph: (draw) => [
      tanh(
        convTranspose2d(draw.normal([1, 2, 3, 3]), draw.normal([2, 2, 4, 4]), {
          stride: 2,
          padding: 1,
          outputPadding: 1,
        }),
      ),
    ],
  },
  {
    name: 'scan: convolutions of every step',
    graph: (draw) => {
      const w = draw.normal([2, 1, 3, 3], { std: 0.5 });
      const { outputs, state } = scan(
        ({ x }: { x: Tensor }, { h }: { h: Tensor }) => {
          const seen = conv2d(x, w, { padding: 1 });
          const next = tanh(add(seen, h));
          return { state: { h: next }, output: { back: convTranspose2d(next, w, { padding: 1 }) } };
        },
        { x: draw.normal([3, 1, 1, 3, 3]) },
        { h: draw.normal([1, 2, 3, 3]) },
      );
      return [outputs.back, state.h];
    },
  },
];

/** Cases of dropout. */
export const dropoutCases: readonly Case[] = [
  {
    name: 'dropout: in training',
    training: true,
    graph: (draw) => [tanh(dropout(draw.normal([5, 20]), { rate: 0.3, random: new RandomState({ seed: 11 }) }))],
  },
  {
    name: 'dropout: in evaluation',
    graph: (draw) => [dropout(draw.normal([3, 4]), { rate: 0.5, random: new RandomState({ seed: 11 }) })],
  },
  {
    name: 'dropout: two of one state',
    training: true,
    graph: (draw) => {
      const random = new RandomState({ seed: 2 ** 40 + 5 });
      const x = draw.normal([4, 9]);
      return [dropout(x, { rate: 0.5, random }), dropout(x, { rate: 0.9, random })];
    },
  },
  {
    name: 'scan: dropout of every step',
    training: true,
    graph: (draw) => {
      const random = new RandomState({ seed: 3 });
      const u = draw.normal([3, 3], { std: 0.3 });
      const { outputs, state } = scan(
        ({ x }: { x: Tensor }, { h }: { h: Tensor }) => {
          const next = tanh(add(matmul(dropout(h, { rate: 0.4, random }), u), dropout(x, { rate: 0.2, random })));
          return { state: { h: next }, output: { y: dropout(next, { rate: 0.5, random }) } };
        },
        // Small, as the weights are: of a gradient through a saturated tanh only rounding is left.
        { x: draw.normal([5, 2, 3], { std: 0.5 }) },
        { h: draw.normal([2, 3]) },
      );
      return [outputs.y, state.h];
    },
  },
];
