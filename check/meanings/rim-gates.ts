// The meanings of rims/gates-op.ts: a module's log-odds and rank are dot products of its query, the K best modules take the
// step of an LSTM or GRU whose input is mixed by p, the others keep their state; and the gradient of that by hand.

import { at } from '../../engine/errors.ts';
import type { RimGatesOptions } from '../../rims/gates-op.ts';
import { build, type Numbers, read, stepOf, type Value } from '../value.ts';
import { sigmoidOf } from './elementwise.ts';
import { type Meanings, meansAll } from './meaning.ts';

interface Attrs extends RimGatesOptions {
  readonly hidden: number;
  readonly keySize: number;
}

const range = (length: number): number[] => Array.from({ length }, (_, i) => i);
const slope = (x: number): number => sigmoidOf(x) * sigmoidOf(-x);
const tanhSlope = (x: number): number => 1 / Math.cosh(x) ** 2;

/** A row of `saved` by parts: [N,5H] before their functions, log-odds [N], mask [N], queries [N,E], key [E]. */
function savedParts(row: Numbers, modules: number, { hidden: H, keySize: E }: Attrs) {
  const [odds, query] = [5 * modules * H, modules * (5 * H + 2)];
  return {
    gate: (n: number, chunk: number, j: number) => at(row, (5 * n + chunk) * H + j),
    odds: (n: number) => at(row, odds + n),
    active: (n: number) => at(row, odds + modules + n) === 1,
    key: (e: number) => at(row, query + modules * E + e),
  };
}

/** Meanings of the fused choice and dynamics. */
export const rimGateMeanings: Meanings = {
  rimGates: meansAll<Attrs>((inputs, attrs, specs) => {
    const [z, dU, keys, h, last] = [0, 1, 2, 3, 4].map((i) => at(inputs, i)) as [Value, Value, Value, Value, Value];
    const { cell, active, sources, hidden: H, keySize: E } = attrs;
    const [B, N] = [at(h.shape, 0), at(h.shape, 1)];
    const gates = cell === 'lstm' ? 4 * H : 3 * H;
    const score = (b: number, n: number, key: number): number =>
      range(E).reduce((total, e) => total + read(z, [b, n, gates + e]) * read(keys, [b, key, e]), 0);
    const chosen = range(B).map((b) => {
      const scores = range(N).map((n) => score(b, n, 1));
      return range(N)
        .sort((m, n) => at(scores, n) - at(scores, m) || m - n)
        .slice(0, active);
    });
    const isActive = (b: number, n: number): boolean => at(chosen, b).includes(n);
    const p = (b: number, n: number): number => sigmoidOf(score(b, n, 0));

    /** Five numbers as saved, then h~ and c~. */
    const unit = (b: number, n: number, j: number): readonly number[] => {
      const state = (gate: number): number => read(z, [b, n, gate * H + j]);
      const change = (gate: number): number => p(b, n) * read(dU, [b, n, gate * H + j]);
      if (cell === 'lstm') {
        const [i, f, g, o] = range(4).map((gate) => state(gate) + change(gate)) as [number, number, number, number];
        const c = read(last, [b, n, j]);
        const next = sigmoidOf(f) * c + sigmoidOf(i) * Math.tanh(g);
        return [i, f, g, o, c, sigmoidOf(o) * Math.tanh(next), next];
      }
      const ofInput = (gate: number): number => read(last, [n, gate * H + j]) + change(gate);
      const [r, update] = [ofInput(0) + state(0), ofInput(1) + state(1)];
      const fresh = ofInput(2) + sigmoidOf(r) * state(2);
      const before = read(h, [b, n, j]);
      const next = sigmoidOf(-update) * Math.tanh(fresh) + sigmoidOf(update) * before;
      return [r, update, fresh, state(2), before, next];
    };

    const source = build([B, N, H], ([b = 0, n = 0, j = 0]) =>
      isActive(b, n) || sources === 'candidate' ? at(unit(b, n, j), 5) : read(h, [b, n, j]),
    );
    const rest = build(at(specs, 1).shape, ([b = 0, n = 0, column = 0]) => {
      const states = cell === 'lstm' ? 2 : 1;
      if (column === states * H) return isActive(b, n) ? 1 : 0;
      if (column === states * H + 1) return p(b, n);
      const [which, j] = [Math.floor(column / H), column % H];
      return isActive(b, n) ? at(unit(b, n, j), 5 + which) : read(which === 0 ? h : last, [b, n, j]);
    });
    const saved = range(B).flatMap((b) => {
      const computed = (n: number): boolean => isActive(b, n) || sources === 'candidate';
      return [
        ...range(N).flatMap((n) =>
          range(5).flatMap((chunk) => range(H).map((j) => (computed(n) ? at(unit(b, n, j), chunk) : 0))),
        ),
        ...range(N).map((n) => score(b, n, 0)),
        ...range(N).map((n) => (isActive(b, n) ? 1 : 0)),
        ...range(N).flatMap((n) => range(E).map((e) => read(z, [b, n, gates + e]))),
        ...range(E).map((e) => read(keys, [b, 0, e])),
      ];
    });
    return [source, rest, { shape: at(specs, 2).shape, data: Float64Array.from(saved) }];
  }),

  rimGatesBackward: meansAll<Attrs>((inputs, attrs) => {
    const [saved, dU, dsource, drest] = [0, 1, 2, 3].map((i) => at(inputs, i)) as [Value, Value, Value, Value];
    const { cell, sources, hidden: H, keySize: E } = attrs;
    const [B, N] = [at(dU.shape, 0), at(dU.shape, 1)];
    const [count, states] = cell === 'lstm' ? [4, 2] : [3, 1];
    const parts = range(B).map((b) => savedParts(stepOf(saved, b).data, N, attrs));

    /** The gradients of one unit: of the gates by input and by state, of h past the gates, and of c. */
    const unit = (b: number, n: number, j: number): { a: number[]; z: number[]; h: number; c: number } => {
      const { gate, active } = at(parts, b);
      const dshown = read(dsource, [b, n, j]);
      const dcell = cell === 'lstm' ? read(drest, [b, n, H + j]) : 0;
      const d = read(drest, [b, n, j]) + (sources === 'kept' || active(n) ? dshown : 0);
      const none = range(count).map(() => 0);
      if (!active(n)) return { a: none, z: none, h: d, c: dcell };
      const [x0, x1, x2, x3, x4] = range(5).map((chunk) => gate(n, chunk, j)) as [
        number,
        number,
        number,
        number,
        number,
      ];
      if (cell === 'lstm') {
        const next = sigmoidOf(x1) * x4 + sigmoidOf(x0) * Math.tanh(x2);
        const dnext = dcell + d * sigmoidOf(x3) * tanhSlope(next);
        const a = [
          dnext * Math.tanh(x2) * slope(x0),
          dnext * x4 * slope(x1),
          dnext * sigmoidOf(x0) * tanhSlope(x2),
          d * Math.tanh(next) * slope(x3),
        ];
        return { a, z: a, h: 0, c: dnext * sigmoidOf(x1) };
      }
      const dn = d * sigmoidOf(-x1) * tanhSlope(x2);
      const [dr, dz] = [dn * x3 * slope(x0), d * (x4 - Math.tanh(x2)) * slope(x1)];
      return { a: [dr, dz, dn], z: [dr, dz, dn * sigmoidOf(x0)], h: d * sigmoidOf(x1), c: 0 };
    };

    const dodds = build([B, N], ([b = 0, n = 0]) => {
      const dp = range(H).reduce(
        (total, j) => unit(b, n, j).a.reduce((sum, da, gate) => sum + da * read(dU, [b, n, gate * H + j]), total),
        read(drest, [b, n, states * H + 1]),
      );
      return dp * slope(at(parts, b).odds(n));
    });
    const byUnit = (columns: number, f: (b: number, n: number, chunk: number, j: number) => number): Value =>
      build([B, N, columns], ([b = 0, n = 0, column = 0]) => f(b, n, Math.floor(column / H), column % H));
    const dz = byUnit(count * H + E, (b, n, chunk, j) =>
      chunk < count ? at(unit(b, n, j).z, chunk) : at(parts, b).key((chunk - count) * H + j) * read(dodds, [b, n]),
    );
    const dh = byUnit(H, (b, n, _, j) => unit(b, n, j).h);
    const last =
      cell === 'lstm'
        ? byUnit(H, (b, n, _, j) => unit(b, n, j).c)
        : byUnit(count * H, (b, n, chunk, j) => at(unit(b, n, j).a, chunk));
    return [dz, dh, last, dodds];
  }),
};
