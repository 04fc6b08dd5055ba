// Sorting the rows of a tensor. An element's place is counted, not swapped for, so that one dispatch does every row; the
// gradient goes back to where each element came from. Picking elements by index is takeAlong, in gather.ts.

import { sort as sortKernel } from '../../kernels/catalogue.ts';
import { at, checkOptions, formatShape, ShapeError } from '../errors.ts';
import { apply, gridOf, type Op, rowsOf } from '../op.ts';
import type { Tensor } from '../tensor.ts';
import { putAlong } from './gather.ts';
import { rowOperand } from './rows.ts';

const WORKGROUP = 64;

/** Longest row: the work grows with the square of it. */
const MAX_ROW = 8192;

const sortOp: Op<{ readonly descending: boolean }> = {
  name: 'sort',
  infer: ([x]) => {
    const { shape } = rowOperand('sort', x);
    const { columns } = rowsOf(shape);
    if (columns > MAX_ROW) {
      throw new ShapeError(
        `sort: rows of ${columns} elements, ${formatShape(shape)}, are over the ${MAX_ROW} that it takes; sort on the host`,
      );
    }
    return [
      { shape, dtype: 'f32' },
      { shape, dtype: 'u32' },
    ];
  },
  plan: (emit, { outputs, attrs: { descending } }) => {
    const { shape, size } = at(outputs, 0);
    const { columns } = rowsOf(shape);
    emit.call(sortKernel, {
      buffers: { x: at(emit.inputs, 0), values: at(emit.outputs, 0), indices: at(emit.outputs, 1) },
      uniforms: { count: size, columns },
      constants: { DESCENDING: descending },
      workgroups: gridOf(size, WORKGROUP),
      operations: size * columns,
    });
  },
  backward: ({ outputs }, [d]) => {
    const { columns } = rowsOf(at(outputs, 0).shape);
    return [d && putAlong(d, at(outputs, 1), columns)];
  },
  overTime: ({ sequence, attrs }) => apply(sortOp, [sequence(0)], attrs),
};

/**
 * Sorts the last axis, upwards by default: the values, and the columns (u32) that they came from. Equal elements keep their
 * order in both directions; a NaN counts as largest. The gradient of the values goes back to where they came from.
 * @param x [..., N], N at most 8192
 * @throws ShapeError for a scalar or longer rows
 */
export function sort(
  x: Tensor,
  options: { readonly descending?: boolean } = {},
): {
  /** The sorted elements, [..., N]. */
  readonly values: Tensor;
  /** Their columns before, u32 [..., N]. */
  readonly indices: Tensor;
} {
  checkOptions('sort', options, ['descending']);
  const outputs = apply(sortOp, [x], { descending: options.descending ?? false });
  return { values: at(outputs, 0), indices: at(outputs, 1) };
}

/** The row of this file, for tables of all ops. */
export const sortOps: readonly Op[] = [sortOp] as readonly Op[];
