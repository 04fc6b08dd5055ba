// The meanings of engine/ops/shape.ts: elements that change their place, and nothing else.

import { at } from '../../engine/errors.ts';
import type { Shape } from '../../engine/tensor.ts';
import { build, dtypeOf, read, type Value } from '../value.ts';
import { type Meanings, means } from './meaning.ts';

/** Coordinates with one of them replaced. */
const withAxis = (index: readonly number[], axis: number, value: number): number[] =>
  index.map((each, i) => (i === axis ? value : each));

const only = (inputs: readonly Value[]): Value => at(inputs, 0);

/** Meanings of the rows that rearrange. */
export const shapeMeanings: Meanings = {
  remark: means<{ readonly text: string }>((inputs) => only(inputs)),
  reshape: means<{ readonly shape: Shape }>((inputs, { shape }) => ({ shape, data: only(inputs).data })),

  // Dimension i of the result is dimension axes[i] of x.
  permute: means<{ readonly axes: readonly number[] }>((inputs, { axes }, { shape }) => {
    const x = only(inputs);
    return build(
      shape,
      (index) =>
        read(
          x,
          axes.map((_, axis) => at(index, axes.indexOf(axis))),
        ),
      dtypeOf(x),
    );
  }),

  slice: means<{ readonly axis: number; readonly start: number }>((inputs, { axis, start }, { shape }) => {
    const x = only(inputs);
    return build(shape, (index) => elementAt(x, withAxis(index, axis, at(index, axis) + start)), dtypeOf(x));
  }),

  pad: means<{ readonly axis: number; readonly start: number }>((inputs, { axis, start }, { shape }) => {
    const x = only(inputs);
    const length = at(x.shape, axis);
    return build(
      shape,
      (index) => {
        const place = at(index, axis) - start;
        return place >= 0 && place < length ? elementAt(x, withAxis(index, axis, place)) : 0;
      },
      dtypeOf(x),
    );
  }),

  concat: means<{ readonly axis: number }>((inputs, { axis }, { shape }) =>
    build(
      shape,
      (index) => {
        let place = at(index, axis);
        for (const part of inputs) {
          const length = at(part.shape, axis);
          if (place < length) return elementAt(part, withAxis(index, axis, place));
          place -= length;
        }
        throw new RangeError('concat: beyond its parts');
      },
      dtypeOf(only(inputs)),
    ),
  ),

  broadcastTo: means((inputs, _, { shape }) => {
    const x = only(inputs);
    return build(shape, (index) => read(x, index), dtypeOf(x));
  }),

  flip: means<{ readonly axis: number }>((inputs, { axis }, { shape }) => {
    const x = only(inputs);
    return build(shape, (index) => read(x, withAxis(index, axis, at(shape, axis) - 1 - at(index, axis))), dtypeOf(x));
  }),
};

/** The element at coordinates of the value's own shape, refused where they are outside. */
function elementAt(value: Value, index: readonly number[]): number {
  let place = 0;
  value.shape.forEach((size, axis) => {
    const coordinate = at(index, axis);
    if (coordinate < 0 || coordinate >= size)
      throw new RangeError(`[${index.join(',')}] is outside of [${value.shape.join(',')}]`);
    place = place * size + coordinate;
  });
  return at(value.data, place);
}
