// The meaning of rims/talk-op.ts: every head's scores, the sources that a reader keeps, their softmax, and what is read;
// and the gradient of that by hand.

import { at } from '../../engine/errors.ts';
import type { Shape } from '../../engine/tensor.ts';
import { build, read, type Value } from '../value.ts';
import { type Meanings, meansAll } from './meaning.ts';

interface Attention {
  readonly heads: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly topK: number;
}

/** The sum of f over 0 to count - 1. */
function total(count: number, f: (i: number) => number): number {
  let all = 0;
  for (let i = 0; i < count; i++) all += f(i);
  return all;
}

/** Readers of queries, keys and values of head c of module n of batch row b, from a row of all heads. */
function partsOf(qkv: Value, { heads: C, keySize: F, valueSize: W }: Attention) {
  type Part = (b: number, n: number, c: number, i: number) => number;
  const query: Part = (b, n, c, i) => read(qkv, [b, n, c * F + i]);
  const key: Part = (b, n, c, i) => read(qkv, [b, n, C * F + c * F + i]);
  const value: Part = (b, n, c, i) => read(qkv, [b, n, 2 * C * F + c * W + i]);
  return { query, key, value };
}

/** Softmax of the `topK` greatest of some scores, of equal ones the first; the others are 0. */
function probabilitiesOf(scores: readonly number[], topK: number): number[] {
  const order = scores.map((_, m) => m).sort((a, b) => at(scores, b) - at(scores, a) || a - b);
  const kept = new Set(order.slice(0, topK));
  const weights = scores.map((score, m) => (kept.has(m) ? Math.exp(score - Math.max(...scores)) : 0));
  const all = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / all);
}

/** Meanings of the attention among modules. */
export const rimTalkMeanings: Meanings = {
  rimTalk: meansAll<Attention>((inputs, attention, specs) => {
    const qkv = at(inputs, 0);
    const { keySize: F, valueSize: W, topK } = attention;
    const N = at(qkv.shape, 1);
    const { query, key, value } = partsOf(qkv, attention);
    const probabilities = build(at(specs, 1).shape, ([b = 0, c = 0, n = 0, m = 0]) => {
      const score = (source: number): number =>
        total(F, (f) => query(b, n, c, f) * key(b, source, c, f)) / Math.sqrt(F);
      return at(
        probabilitiesOf(
          Array.from({ length: N }, (_, source) => score(source)),
          topK,
        ),
        m,
      );
    });
    const context = build(at(specs, 0).shape, ([b = 0, n = 0, column = 0]) => {
      const c = Math.floor(column / W);
      return total(N, (m) => read(probabilities, [b, c, n, m]) * value(b, m, c, column % W));
    });
    return [context, probabilities];
  }),

  rimTalkBackward: meansAll<Attention>((inputs, attention, specs) => {
    const [qkv, p, dcontext, dp] = [at(inputs, 0), at(inputs, 1), at(inputs, 2), inputs[3]];
    const { heads: C, keySize: F, valueSize: W } = attention;
    const N = at(qkv.shape, 1);
    const { query, key, value } = partsOf(qkv, attention);
    const shape: Shape = p.shape;
    const arriving = build(
      shape,
      ([b = 0, c = 0, n = 0, m = 0]) =>
        total(W, (w) => read(dcontext, [b, n, c * W + w]) * value(b, m, c, w)) +
        (dp === undefined ? 0 : read(dp, [b, c, n, m])),
    );
    // Of the scores: p (dp - sum of p dp), and with that of the scaled products.
    const slope = build(shape, ([b = 0, c = 0, n = 0, m = 0]) => {
      const inner = total(N, (j) => read(p, [b, c, n, j]) * read(arriving, [b, c, n, j]));
      return (read(p, [b, c, n, m]) * (read(arriving, [b, c, n, m]) - inner)) / Math.sqrt(F);
    });
    const dqkv = build(at(specs, 0).shape, ([b = 0, n = 0, column = 0]) => {
      if (column < C * F) {
        const c = Math.floor(column / F);
        return total(N, (m) => read(slope, [b, c, n, m]) * key(b, m, c, column % F));
      }
      if (column < 2 * C * F) {
        const c = Math.floor(column / F) - C;
        return total(N, (reader) => read(slope, [b, c, reader, n]) * query(b, reader, c, column % F));
      }
      const place = column - 2 * C * F;
      const c = Math.floor(place / W);
      return total(N, (reader) => read(p, [b, c, reader, n]) * read(dcontext, [b, reader, place]));
    });
    return [dqkv];
  }),
};
