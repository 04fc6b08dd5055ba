// What the ops over the last axis share: they see a tensor as rows, give short rows to one lane each and long rows to a
// workgroup each. Which it is depends on the shape only, so that sums keep their order. No op of its own.

import { ShapeError } from '../errors.ts';
import { gridOf, rowsOf } from '../op.ts';
import type { Shape, Tensor } from '../tensor.ts';

/** Lanes of a workgroup of the row kernels, and the longest row that one lane does alone. */
const LANES = 64;

/** Bits of a quiet NaN, as a uniform: WGSL has no way to write one. */
export const NAN_BITS = 0x7fc00000;

/** How a row kernel is called for a shape. */
export interface RowGrid {
  readonly rows: number;
  readonly columns: number;
  /** True where a workgroup shares each row. */
  readonly cooperate: boolean;
  readonly workgroups: [number, number, number];
}

/** Rows, columns and workgroups of a row kernel. */
export function rowGrid(shape: Shape): RowGrid {
  const { rows, columns } = rowsOf(shape);
  const cooperate = columns > LANES;
  return { rows, columns, cooperate, workgroups: gridOf(rows, cooperate ? 1 : LANES) };
}

/** The f32 input of an op over the last axis. @throws ShapeError for a scalar, a missing operand or integers */
export function rowOperand(name: string, x: Tensor | undefined): { readonly shape: Shape; readonly dtype: 'f32' } {
  if (x === undefined) throw new ShapeError(`${name}: an operand is missing`);
  if (x.dtype !== 'f32')
    throw new ShapeError(`${name}: takes an f32 tensor, not ${x.dtype}; integers are for indices and labels`);
  if (x.shape.length === 0) throw new ShapeError(`${name}: a scalar has no last axis; reshape it to [1]`);
  return { shape: x.shape, dtype: 'f32' };
}
