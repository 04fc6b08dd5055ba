// The meanings of engine/ops/gates.ts: a GRU in PyTorch's form, an LSTM with a forget gate, and their gradients by hand.

import { at } from '../../engine/errors.ts';
import { mapRows, rows, type Value } from '../value.ts';
import { sigmoidOf } from './elementwise.ts';
import { type Meanings, meansAll } from './meaning.ts';

/** Gate `gate` of unit k in a row of gates [G*H]. */
type Gate = (gate: number, k: number) => number;

function gatesOf(value: Value, hidden: number): (r: number) => Gate {
  return (r) => (gate, k) => at(rows(value).row(r), gate * hidden + k);
}

/** A row from a function of its units, gates in chunks: `f(k)` gives what stands in each chunk. */
function chunks(hidden: number, f: (k: number) => readonly number[]): number[] {
  const units = Array.from({ length: hidden }, (_, k) => f(k));
  return at(units, 0).flatMap((_, gate) => units.map((unit) => at(unit, gate)));
}

/** r, z and n of a GRU's unit. */
function gru(gx: Gate, gh: Gate, k: number): { r: number; z: number; n: number } {
  const r = sigmoidOf(gx(0, k) + gh(0, k));
  const z = sigmoidOf(gx(1, k) + gh(1, k));
  return { r, z, n: Math.tanh(gx(2, k) + r * gh(2, k)) };
}

/** The gates of an LSTM's unit, and its new cell state. */
function lstm(gates: Gate, c: number, k: number): { i: number; f: number; g: number; o: number; next: number } {
  const [i, f, o] = [sigmoidOf(gates(0, k)), sigmoidOf(gates(1, k)), sigmoidOf(gates(3, k))];
  const g = Math.tanh(gates(2, k));
  return { i, f, g, o, next: f * c + i * g };
}

/** Meanings of the gates. */
export const gateMeanings: Meanings = {
  gruGates: meansAll((inputs) => {
    const h = at(inputs, 2);
    const hidden = rows(h).length;
    const [gx, gh] = [gatesOf(at(inputs, 0), hidden), gatesOf(at(inputs, 1), hidden)];
    return [
      mapRows(h, (row, r) =>
        Array.from(row, (before, k) => {
          const { z, n } = gru(gx(r), gh(r), k);
          return (1 - z) * n + z * before;
        }),
      ),
    ];
  }),

  gruGatesBackward: meansAll((inputs) => {
    const [h, dy] = [at(inputs, 2), at(inputs, 3)];
    const hidden = rows(h).length;
    const [gx, gh] = [gatesOf(at(inputs, 0), hidden), gatesOf(at(inputs, 1), hidden)];
    const derivatives = (r: number, k: number): { dr: number; dz: number; dn: number; reset: number; keep: number } => {
      const { r: reset, z, n } = gru(gx(r), gh(r), k);
      const d = at(rows(dy).row(r), k);
      const before = at(rows(h).row(r), k);
      const dn = d * (1 - z) * (1 - n * n);
      return { dr: dn * gh(r)(2, k) * reset * (1 - reset), dz: d * (before - n) * z * (1 - z), dn, reset, keep: d * z };
    };
    return [
      mapRows(h, (_, r) =>
        chunks(hidden, (k) => {
          const d = derivatives(r, k);
          return [d.dr, d.dz, d.dn];
        }),
      ),
      mapRows(h, (_, r) =>
        chunks(hidden, (k) => {
          const d = derivatives(r, k);
          return [d.dr, d.dz, d.dn * d.reset];
        }),
      ),
      mapRows(h, (_, r) => chunks(hidden, (k) => [derivatives(r, k).keep])),
    ];
  }),

  lstmGates: meansAll((inputs) => {
    const c = at(inputs, 1);
    const gates = gatesOf(at(inputs, 0), rows(c).length);
    const h = mapRows(c, (row, r) =>
      Array.from(row, (before, k) => {
        const { o, next } = lstm(gates(r), before, k);
        return o * Math.tanh(next);
      }),
    );
    return [h, mapRows(c, (row, r) => Array.from(row, (before, k) => lstm(gates(r), before, k).next))];
  }),

  lstmGatesBackward: meansAll((inputs) => {
    const [c, dh, dc] = [at(inputs, 1), at(inputs, 2), at(inputs, 3)];
    const hidden = rows(c).length;
    const gates = gatesOf(at(inputs, 0), hidden);
    const derivatives = (r: number, k: number): { d: readonly number[]; before: number } => {
      const before = at(rows(c).row(r), k);
      const { i, f, g, o, next } = lstm(gates(r), before, k);
      const out = Math.tanh(next);
      const dnext = at(rows(dc).row(r), k) + at(rows(dh).row(r), k) * o * (1 - out * out);
      const d = [
        dnext * g * i * (1 - i),
        dnext * before * f * (1 - f),
        dnext * i * (1 - g * g),
        at(rows(dh).row(r), k) * out * o * (1 - o),
      ];
      return { d, before: dnext * f };
    };
    return [
      mapRows(c, (_, r) => chunks(hidden, (k) => derivatives(r, k).d)),
      mapRows(c, (_, r) => chunks(hidden, (k) => [derivatives(r, k).before])),
    ];
  }),
};
