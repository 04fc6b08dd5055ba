// The meanings of engine/ops/gather.ts: rows of a table by index, and the sum of rows by index. Table and index may share
// leading axes. Shapes: table [...shared, V, ...rest], index [...shared, ...positions].

import { at } from '../../engine/errors.ts';
import { sizeOf } from '../../engine/tensor.ts';
import { build, forEachIndex, read, type Value } from '../value.ts';
import { type Meanings, means } from './meaning.ts';

/** Meanings of the rows that pick and that sum by index. */
export const gatherMeanings: Meanings = {
  gather: means<{ readonly shared: number }>((inputs, { shared }, { shape }) => {
    const [table, index] = [at(inputs, 0), at(inputs, 1)];
    const places = index.shape.length;
    return build(shape, (place) => {
      const picked = read(index, place.slice(0, places));
      if (picked >= (table.shape[shared] ?? 0)) return Number.NaN;
      return pick(table, [...place.slice(0, shared), picked, ...place.slice(places)]);
    });
  }),

  segmentSum: means<{ readonly shared: number }>((inputs, { shared }, { shape }) => {
    const [d, index] = [at(inputs, 0), at(inputs, 1)];
    const places = index.shape.length;
    const sums = new Float64Array(sizeOf(shape));
    forEachIndex(d.shape, (from) => {
      const picked = read(index, from.slice(0, places));
      if (picked >= at(shape, shared)) return;
      const to = [...from.slice(0, shared), picked, ...from.slice(places)];
      const place = to.reduce((total, coordinate, axis) => total * at(shape, axis) + coordinate, 0);
      sums[place] = at(sums, place) + pick(d, from);
    });
    return { shape, data: sums };
  }),
};

/** The element at coordinates of the value's own shape; axes of size 1 do not repeat. */
function pick(value: Value, index: readonly number[]): number {
  return at(
    value.data,
    index.reduce((place, coordinate, axis) => place * at(value.shape, axis) + coordinate, 0),
  );
}
