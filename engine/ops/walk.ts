// How the operands of an elementwise kernel lie beside its result: the walk over its elements as a few dimensions with a
// stride for each operand, 0 where an operand repeats. What it means is in the heads of kernels/binary.wgsl and select.wgsl.

import { at, ShapeError } from '../errors.ts';
import type { Shape } from '../tensor.ts';
import { broadcastStrides } from './shape.ts';

/** The walk as the kernels take it: their uniforms, and the number of their LAYOUT. */
export interface Walk {
  readonly uniforms: {
    readonly vectors: number;
    readonly count: number;
    readonly rank: number;
    readonly dims: readonly number[];
  };
  readonly layout: 0 | 1 | 2;
}

/**
 * The walk of operands, three at most, over a result of `shape`, to which they broadcast.
 * @throws ShapeError where more than 6 dimensions cannot be merged
 */
export function walkOf(operands: readonly Shape[], shape: Shape, count: number): Walk {
  const dims = dimsOf(operands, shape);
  const packed = dims.flatMap(({ size, strides }) => [size, ...strides, 0].slice(0, 4));
  return { uniforms: { vectors: vectorsOf(count), count, rank: dims.length, dims: packed }, layout: layoutOf(dims) };
}

/** Vectors of 4 that hold so many elements. */
export function vectorsOf(count: number): number {
  return Math.ceil(count / 4);
}

/** One dimension of an elementwise walk: its size and the stride of each operand. */
interface Dim {
  readonly size: number;
  readonly strides: readonly number[];
}

/** Dimensions of an elementwise walk, merged where all step alike, outermost first. */
function dimsOf(operands: readonly Shape[], shape: Shape): Dim[] {
  const strides = operands.map((each) => broadcastStrides(each, shape));
  const dims: Dim[] = [];
  shape.forEach((size, i) => {
    if (size === 1) return;
    const own = strides.map((s) => at(s, i));
    const last = dims.at(-1);
    if (last?.strides.every((s, k) => s === at(own, k) * size)) {
      dims[dims.length - 1] = { size: last.size * size, strides: own };
    } else dims.push({ size, strides: own });
  });
  if (dims.length > 6) throw new ShapeError(`elementwise: more than 6 dimensions that cannot be merged; reshape first`);
  return dims.length === 0 ? [{ size: 1, strides: operands.map(() => 1) }] : dims;
}

/** How operands lie, as the kernels number it: 0 as the result, 1 in vectors along the last dimension, 2 anyhow. */
function layoutOf(dims: readonly Dim[]): 0 | 1 | 2 {
  const [first] = dims;
  if (dims.length === 1 && first?.strides.every((s) => s === 1)) return 0;
  const last = at(dims, dims.length - 1);
  const along = last.size % 4 === 0 && last.strides.every((s) => s === 0 || s === 1);
  const whole = dims.slice(0, -1).every((dim) => dim.strides.every((s, i) => last.strides[i] === 0 || s % 4 === 0));
  return along && whole ? 1 : 2;
}
