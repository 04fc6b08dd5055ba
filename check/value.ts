// Values of the float64 interpreter: a shape and its elements, row-major. f32 tensors are float64 numbers here, u32 tensors
// stay u32. The helpers read by coordinates, so that a meaning can be written as its definition: naive on purpose.
// A value is never changed after it was made.

import { at, RimgradError } from '../engine/errors.ts';
import { type Dtype, type Shape, sizeOf, stridesOf } from '../engine/tensor.ts';
import type { Data } from '../engine/variable.ts';

/** The elements of a tensor: float64 for f32 tensors, u32 for u32 tensors. */
export type Numbers = Float64Array | Uint32Array;

/** A tensor's value. */
export interface Value {
  /** Its sizes, outermost first. */
  readonly shape: Shape;
  /** Its elements, row-major. */
  readonly data: Numbers;
}

/** A value from its elements. @throws RimgradError where they do not fill the shape */
export function filled(shape: Shape, elements: ArrayLike<number>, dtype: Dtype = 'f32'): Value {
  if (elements.length !== sizeOf(shape)) {
    throw new RimgradError(`check: ${elements.length} elements do not fill [${shape.join(',')}]`);
  }
  return { shape, data: dtype === 'u32' ? Uint32Array.from(elements) : Float64Array.from(elements) };
}

/** The value whose element at each place is f(coordinates). The coordinates are overwritten between calls: do not keep them. */
export function build(shape: Shape, f: (index: readonly number[]) => number, dtype: Dtype = 'f32'): Value {
  const size = sizeOf(shape);
  const data = dtype === 'u32' ? new Uint32Array(size) : new Float64Array(size);
  const index = new Array<number>(shape.length).fill(0);
  for (let i = 0; i < size; i++) {
    data[i] = f(index);
    // The next place: the last axis is the fastest.
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const next = at(index, axis) + 1;
      index[axis] = next < at(shape, axis) ? next : 0;
      if (next < at(shape, axis)) break;
    }
  }
  return { shape, data };
}

/** The element at coordinates of a shape that the value broadcasts to: aligned at the right, a size of 1 repeats. */
export function read(value: Value, index: readonly number[]): number {
  const lead = index.length - value.shape.length;
  let place = 0;
  for (let axis = 0; axis < value.shape.length; axis++) {
    const size = at(value.shape, axis);
    place = place * size + (size === 1 ? 0 : at(index, lead + axis));
  }
  return at(value.data, place);
}

/** A matrix view: rows are all axes but the last. `[]` is one row of one element. */
export function rows(value: Value): { count: number; length: number; row(r: number): Numbers } {
  const length = value.shape.at(-1) ?? 1;
  return {
    count: value.data.length / length,
    length,
    row: (r) => value.data.subarray(r * length, (r + 1) * length),
  };
}

/** The value that applies f to every row of the last axis and puts the resulting rows together. */
export function mapRows(value: Value, f: (row: Numbers, r: number) => ArrayLike<number>, dtype: Dtype = 'f32'): Value {
  const { count, row } = rows(value);
  const results = Array.from({ length: count }, (_, r) => f(row(r), r));
  const length = results[0]?.length ?? 0;
  const data = dtype === 'u32' ? new Uint32Array(count * length) : new Float64Array(count * length);
  results.forEach((result, r) => {
    data.set(result, r * length);
  });
  return { shape: [...value.shape.slice(0, -1), length], data };
}

/** Elements `[t, ...]` of a sequence `[T, ...]`. */
export function stepOf(sequence: Value, t: number): Value {
  const shape = sequence.shape.slice(1);
  const size = sizeOf(shape);
  return { shape, data: sequence.data.subarray(t * size, (t + 1) * size) };
}

/** Values of one shape stacked along a new first axis. */
export function stack(values: readonly Value[]): Value {
  const first = at(values, 0);
  const size = first.data.length;
  const data =
    first.data instanceof Uint32Array ? new Uint32Array(size * values.length) : new Float64Array(size * values.length);
  values.forEach((value, t) => {
    data.set(value.data, t * size);
  });
  return { shape: [values.length, ...first.shape], data };
}

/** The dtype that a value's elements stand for. */
export function dtypeOf(value: Value): Dtype {
  return value.data instanceof Uint32Array ? 'u32' : 'f32';
}

/** Calls f with the coordinates of every place of a shape; they are overwritten between calls. */
export function forEachIndex(shape: Shape, f: (index: readonly number[]) => void): void {
  const strides = stridesOf(shape);
  const index = new Array<number>(shape.length).fill(0);
  for (let i = 0; i < sizeOf(shape); i++) {
    for (let axis = 0; axis < shape.length; axis++) index[axis] = Math.floor(i / at(strides, axis)) % at(shape, axis);
    f(index);
  }
}

/**
 * The largest difference between a tensor of the device and its float64 value, relative to the largest magnitude of the
 * tensor, but at least to `least`: numbers are drawn at size 1, and where a handful of such terms cancel, what is left keeps
 * the f32 rounding of the terms, 6e-8 each, which no kernel can help. u32 tensors must be equal.
 */
export function errorOf(got: Data, expected: Value, least = 0.05): number {
  if (got.length !== expected.data.length) return Number.NaN;
  const exact = expected.data instanceof Uint32Array;
  const scale = Math.max(least, largest(expected.data));
  let most = 0;
  expected.data.forEach((x: number, i: number) => {
    const y = at(got, i);
    const error = x === y ? 0 : Math.abs(y - x) / scale;
    most = worse(most, exact && error > 0 ? Number.POSITIVE_INFINITY : error);
  });
  return most;
}

/** The greater of two errors; what is not a number is the worst of all. */
export function worse(a: number, b: number): number {
  return Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : Math.max(a, b);
}

/** The largest magnitude. */
export function largest(values: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = worse(most, Math.abs(at(values, i)));
  return most;
}
