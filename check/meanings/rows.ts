// The meanings of the ops over rows of the last axis: engine/ops/softmax.ts, sort.ts, cumulative.ts and norm.ts.

import { at } from '../../engine/errors.ts';
import { build, mapRows, type Numbers, read, rows, type Value } from '../value.ts';
import { type Meanings, means, meansAll } from './meaning.ts';

const sumOf = (row: ArrayLike<number>): number => Array.from(row).reduce((total, x) => total + x, 0);

/** How one element stands to another: below 0 where it is smaller. A NaN is larger than any number. */
function compared(one: number, other: number): number {
  if (Number.isNaN(one) || Number.isNaN(other)) return Number(Number.isNaN(one)) - Number(Number.isNaN(other));
  return one < other ? -1 : Number(one > other);
}

/** Columns by their element, the largest first; of equal ones the lowest column first. */
function ranked(row: Numbers, columns: readonly number[], largestFirst = true): number[] {
  const sign = largestFirst ? -1 : 1;
  return [...columns].sort((a, b) => sign * compared(at(row, a), at(row, b)) || a - b);
}

const columnsOf = (row: Numbers): number[] => Array.from(row, (_, i) => i);

/** Softmax of the columns that take part; the others are 0. With a NaN there is no choice: all that is open is NaN. */
function softmaxRow(row: Numbers, part: readonly number[], open: readonly number[]): number[] {
  const most = Math.max(...part.map((i) => at(row, i)));
  const weights = Array.from(row, (x, i) => (part.includes(i) ? Math.exp(x - most) : 0));
  const total = sumOf(weights);
  const some = Number.isNaN(total) ? open : part;
  return weights.map((weight, i) => (some.includes(i) ? weight / total : 0));
}

/** Mean and variance (biased) of a row. */
function moments(row: Numbers): { mean: number; variance: number } {
  const mean = sumOf(row) / row.length;
  return { mean, variance: sumOf(row.map((x) => (x - mean) ** 2)) / row.length };
}

/** Running totals of a row, from its first element on. */
function running(row: ArrayLike<number>, joined: (total: number, x: number) => number): number[] {
  const totals: number[] = [];
  for (let i = 0; i < row.length; i++) totals.push(i === 0 ? at(row, 0) : joined(at(totals, i - 1), at(row, i)));
  return totals;
}

/** Meanings of the rows over the last axis. */
export const rowMeanings: Meanings = {
  softmax: means<{ readonly topK: number }>((inputs, { topK }) => {
    const x = at(inputs, 0);
    const mask = inputs[1];
    const open = mask === undefined ? undefined : build(x.shape, (index) => read(mask, index));
    return mapRows(x, (row, r) => {
      const part = columnsOf(row).filter((i) => open === undefined || at(rows(open).row(r), i) !== 0);
      return softmaxRow(row, topK === 0 ? part : ranked(row, part).slice(0, topK), part);
    });
  }),

  // p (dp - sum of p dp)
  softmaxBackward: means((inputs) => {
    const dp = rows(at(inputs, 1));
    return mapRows(at(inputs, 0), (p, r) => {
      // What took no part counts nothing, whatever gradient arrives at it.
      const d = (i: number): number => (at(p, i) === 0 ? 0 : at(dp.row(r), i));
      const inner = sumOf(p.map((each, i) => each * d(i)));
      return Array.from(p, (each, i) => (each === 0 ? 0 : each * (d(i) - inner)));
    });
  }),

  topKMask: means<{ readonly k: number }>((inputs, { k }) =>
    mapRows(at(inputs, 0), (row) => {
      const kept = ranked(row, columnsOf(row)).slice(0, k);
      return Array.from(row, (_, i) => (kept.includes(i) ? 1 : 0));
    }),
  ),

  sort: meansAll<{ readonly descending: boolean }>((inputs, { descending }) => {
    const x = at(inputs, 0);
    const order = (row: Numbers): number[] => ranked(row, columnsOf(row), descending);
    return [mapRows(x, (row) => order(row).map((i) => at(row, i))), mapRows(x, order, 'u32')];
  }),

  cumulativeSum: means<{ readonly reverse: boolean }>((inputs, { reverse }) =>
    mapRows(at(inputs, 0), (row) => {
      const totals = running(reverse ? row.toReversed() : row, (total, x) => total + x);
      return reverse ? totals.reverse() : totals;
    }),
  ),

  cumulativeProduct: means((inputs) => mapRows(at(inputs, 0), (row) => running(row, (total, x) => total * x))),

  // Product i holds element j where j <= i: its derivative is the product of the others.
  cumulativeProductBackward: means((inputs) => {
    const dy = rows(at(inputs, 1));
    return mapRows(at(inputs, 0), (row, r) =>
      Array.from(row, (_, j) => {
        let total = 0;
        for (let i = j; i < row.length; i++) {
          let others = 1;
          for (let k = 0; k <= i; k++) if (k !== j) others *= at(row, k);
          total += at(dy.row(r), i) * others;
        }
        return total;
      }),
    );
  }),

  // y, 1 / sqrt(variance + epsilon), and with weight and bias the normalised elements.
  layerNorm: meansAll<{ readonly epsilon: number }>((inputs, { epsilon }, specs) => {
    const x = at(inputs, 0);
    const [, weight, bias] = inputs;
    const scaleOf = (row: Numbers): number => 1 / Math.sqrt(moments(row).variance + epsilon);
    const normal = mapRows(x, (row) => row.map((each) => (each - moments(row).mean) * scaleOf(row)));
    const scale: Value = { shape: at(specs, 1).shape, data: mapRows(x, (row) => [scaleOf(row)]).data };
    if (weight === undefined || bias === undefined) return [normal, scale];
    const y = build(x.shape, (index) => read(normal, index) * read(weight, index) + read(bias, index));
    return [y, scale, normal];
  }),

  // scale (dz - mean(dz) - z mean(z dz)), from the normalised rows z.
  layerNormBackward: means((inputs) => {
    const [scale, dz] = [at(inputs, 1), rows(at(inputs, 2))];
    return mapRows(at(inputs, 0), (z, r) => {
      const d = dz.row(r);
      const mean = sumOf(d) / d.length;
      const along = sumOf(z.map((each, i) => each * at(d, i))) / d.length;
      return z.map((each, i) => at(scale.data, r) * (at(d, i) - mean - each * along));
    });
  }),
};
