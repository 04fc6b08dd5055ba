// The meanings of engine/ops/reduce.ts and global-norm.ts: many elements become one, along named axes or all together.

import { at } from '../../engine/errors.ts';
import { type Shape, sizeOf } from '../../engine/tensor.ts';
import { forEachIndex } from '../value.ts';
import { type Meaning, type Meanings, means } from './meaning.ts';

function reduction(start: number, joined: (total: number, x: number) => number): Meaning {
  return means<{ readonly axes: readonly number[] }>((inputs, { axes }, { shape }) => {
    const value = at(inputs, 0);
    const data = new Float64Array(sizeOf(shape)).fill(start);
    let i = 0;
    forEachIndex(value.shape, (index) => {
      const place = placeOf(
        shape,
        index.filter((_, axis) => !axes.includes(axis)),
      );
      data[place] = joined(at(data, place), at(value.data, i));
      i += 1;
    });
    return { shape, data };
  });
}

function placeOf(shape: Shape, index: readonly number[]): number {
  return index.reduce((place, coordinate, axis) => place * at(shape, axis) + coordinate, 0);
}

/** Meanings of the rows that reduce. */
export const reduceMeanings: Meanings = {
  sum: reduction(0, (total, x) => total + x),
  sumOfSquares: reduction(0, (total, x) => total + x * x),
  max: reduction(Number.NEGATIVE_INFINITY, Math.max),
  min: reduction(Number.POSITIVE_INFINITY, Math.min),
  globalNorm: means((inputs) => {
    let total = 0;
    for (const { data } of inputs) for (const x of data) total += x * x;
    return { shape: [], data: Float64Array.of(Math.sqrt(total)) };
  }),
};
