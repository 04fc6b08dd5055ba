// The meaning of rims/update-op.ts: context times weights, plus bias, gated or not, added to the active modules' states;
// and the gradient of all but the product by hand.

import { at } from '../../engine/errors.ts';
import { build, read, type Value } from '../value.ts';
import { sigmoidOf } from './elementwise.ts';
import { type Meanings, meansAll } from './meaning.ts';

interface Update {
  readonly gated: boolean;
  readonly cell: 'lstm' | 'gru';
  readonly hidden: number;
}

/** Readers of rest: [base | c' | mask | p] of an LSTM, [base | mask | p] of a GRU. */
function restOf(rest: Value, { cell, hidden }: Update) {
  const maskAt = cell === 'lstm' ? 2 * hidden : hidden;
  return {
    maskAt,
    base: (b: number, n: number, k: number): number => read(rest, [b, n, k]),
    cell: (b: number, n: number, k: number): number => read(rest, [b, n, hidden + k]),
    active: (b: number, n: number): boolean => read(rest, [b, n, maskAt]) !== 0,
  };
}

/** Meanings of the update. */
export const rimUpdateMeanings: Meanings = {
  rimUpdate: meansAll<Update>((inputs, update, specs) => {
    const [context, w, own, bias] = [at(inputs, 0), at(inputs, 1), at(inputs, 2), inputs[3]];
    const rest = restOf(own, update);
    const shared = w.shape.length === 2;
    const of = (value: Value, n: number, place: readonly number[]): number =>
      read(value, shared ? place : [n, ...place]);
    const pre = build(at(specs, specs.length - 1).shape, ([b = 0, n = 0, o = 0]) => {
      let x = bias === undefined ? 0 : of(bias, n, [o]);
      for (let i = 0; i < at(context.shape, 2); i++) x += read(context, [b, n, i]) * of(w, n, [i, o]);
      return x;
    });
    const h = build(at(specs, 0).shape, ([b = 0, n = 0, k = 0]) => {
      if (!rest.active(b, n)) return rest.base(b, n, k);
      const x = read(pre, [b, n, k]);
      return rest.base(b, n, k) + (update.gated ? sigmoidOf(read(pre, [b, n, update.hidden + k])) * Math.tanh(x) : x);
    });
    if (update.cell === 'gru') return [h, pre];
    return [h, build(h.shape, ([b = 0, n = 0, k = 0]) => rest.cell(b, n, k)), pre];
  }),

  rimUpdateBackward: meansAll<Update>((inputs, update, specs) => {
    const [own, dh] = [at(inputs, 0), at(inputs, 1)];
    const { gated, hidden } = update;
    const dc = update.cell === 'lstm' ? inputs[2] : undefined;
    const before = (b: number, n: number, o: number): number => read(at(inputs, inputs.length - 1), [b, n, o]);
    const rest = restOf(own, update);
    const dpre = build(at(specs, 0).shape, ([b = 0, n = 0, o = 0]) => {
      if (!rest.active(b, n)) return 0;
      const k = o % hidden;
      const d = read(dh, [b, n, k]);
      if (!gated) return d;
      const [x, gate] = [Math.tanh(before(b, n, k)), sigmoidOf(before(b, n, hidden + k))];
      return o < hidden ? d * gate * (1 - x * x) : d * x * gate * (1 - gate);
    });
    const drest = build(at(specs, 1).shape, ([b = 0, n = 0, column = 0]) => {
      if (column < hidden) return read(dh, [b, n, column]);
      return dc !== undefined && column < rest.maskAt ? read(dc, [b, n, column - hidden]) : 0;
    });
    return [dpre, drest];
  }),
};
