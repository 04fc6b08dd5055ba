// Ops that rearrange elements: reshape moves nothing, the others are one strided copy (or one per part).
// Each backward is another rearrangement; that of a broadcast is a sum.

import { stridedCopy, stridedCopyVectors } from '../../kernels/catalogue.ts';
import { at, formatShape, OptionError, ShapeError } from '../errors.ts';
import { applyOne, type Emitter, gridOf, type Op, rowsOverTime, type View } from '../op.ts';
import { normaliseAxis, type Shape, sameShape, sizeOf, stridesOf, type Tensor } from '../tensor.ts';
import { sum } from './reduce.ts';

const WORKGROUP = 64;

/** One strided copy: element [i, j, ...] of the view `sizes` goes from one place to another. Strides in elements. */
export function emitCopy(
  emit: Emitter,
  from: { readonly view: View; readonly strides: readonly number[]; readonly offset?: number },
  to: { readonly view: View; readonly strides: readonly number[]; readonly offset?: number },
  sizes: readonly number[],
): void {
  const dims: [number, number, number][] = [];
  sizes.forEach((size, i) => {
    if (size === 1) return;
    const a = at(from.strides, i);
    const b = at(to.strides, i);
    const last = dims.at(-1);
    // Neighbours that step alike on both sides are one dimension.
    if (last !== undefined && last[1] === a * size && last[2] === b * size)
      dims[dims.length - 1] = [last[0] * size, a, b];
    else dims.push([size, a, b]);
  });
  if (dims.length > 8)
    throw new ShapeError(`copy: ${formatShape(sizes)} has more than 8 dimensions that cannot be merged`);
  const buffers = { input: from.view, output: to.view };
  const call = (unit: number, walks: readonly (readonly [number, number, number])[]) => ({
    buffers,
    uniforms: {
      count: sizeOf(sizes) / unit,
      rank: walks.length,
      inOffset: (from.offset ?? 0) / unit,
      outOffset: (to.offset ?? 0) / unit,
      dims: walks.flatMap(([size, a, b]) => [size, a, b, 0]),
    },
    workgroups: gridOf(sizeOf(sizes) / unit, WORKGROUP),
  });
  // Where all of it is whole vec4s, a vec4 is the element.
  const [inner, ...outer] = dims.toReversed();
  const whole = [from.offset ?? 0, to.offset ?? 0, ...outer.flatMap(([, a, b]) => [a, b]), inner?.[0] ?? 1];
  if (inner?.[1] === 1 && inner[2] === 1 && whole.every((each) => each % 4 === 0)) {
    const quads = outer.toReversed().map(([size, a, b]) => [size, a / 4, b / 4] as const);
    emit.call(stridedCopyVectors, call(4, [...quads, [inner[0] / 4, 1, 1]]));
  } else emit.call(stridedCopy, call(1, dims));
}

const reshapeOp: Op<{ readonly shape: Shape }> = {
  name: 'reshape',
  alias: true,
  infer: ([x], { shape }) => [{ shape, dtype: dtypeOf(x) }],
  backward: ({ inputs }, [d]) => [d && reshape(d, at(inputs, 0).shape)],
  overTime: ({ steps, sequence, attrs }) => [reshape(sequence(0), [steps, ...attrs.shape])],
  sumOverTime: ({ summed, attrs }) => reshape(summed(0), attrs.shape),
};

/**
 * The same elements in the same order under another shape; moves nothing.
 * @param shape one size may be -1: what is left
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const open = shape.indexOf(-1);
  const known = sizeOf(shape.filter((size) => size !== -1));
  const full = open < 0 ? shape : shape.map((size, i) => (i === open ? x.size / known : size));
  if (sizeOf(full) !== x.size || !full.every(Number.isInteger)) {
    throw new ShapeError(
      `reshape: ${formatShape(x.shape)} of ${x.size} elements does not become ${formatShape(shape)}`,
    );
  }
  return sameShape(full, x.shape) ? x : applyOne(reshapeOp, [x], { shape: full });
}

const permuteOp: Op<{ readonly axes: readonly number[] }> = {
  name: 'permute',
  infer: ([x], { axes }) => [{ shape: axes.map((axis) => at(shapeOf(x), axis)), dtype: dtypeOf(x) }],
  plan: (emit, { inputs, outputs, attrs }) => {
    const strides = stridesOf(at(inputs, 0).shape);
    const { shape } = at(outputs, 0);
    const from = { view: at(emit.inputs, 0), strides: attrs.axes.map((axis) => at(strides, axis)) };
    emitCopy(emit, from, { view: at(emit.outputs, 0), strides: stridesOf(shape) }, shape);
  },
  backward: ({ attrs }, [d]) => [
    d &&
      permute(
        d,
        attrs.axes.map((_, i) => attrs.axes.indexOf(i)),
      ),
  ],
  overTime: ({ sequence, attrs }) => [permute(sequence(0), [0, ...attrs.axes.map((axis) => axis + 1)])],
  sumOverTime: ({ summed, attrs }) => permute(summed(0), attrs.axes),
};

/** Dimension i of the result is dimension `axes[i]` of x. @throws ShapeError where axes is no permutation */
export function permute(x: Tensor, axes: readonly number[]): Tensor {
  const normal = axes.map((axis) => normaliseAxis('permute', axis, x.shape.length));
  if (normal.length !== x.shape.length || new Set(normal).size !== normal.length) {
    throw new ShapeError(`permute: [${axes.join(',')}] does not name each axis of ${formatShape(x.shape)} once`);
  }
  return normal.every((axis, i) => axis === i) ? x : applyOne(permuteOp, [x], { axes: normal });
}

interface SliceAttrs {
  readonly axis: number;
  readonly start: number;
  readonly length: number;
}

const sliceOp: Op<SliceAttrs> = {
  name: 'slice',
  infer: ([x], { axis, length }) => [{ shape: withSize(shapeOf(x), axis, length), dtype: dtypeOf(x) }],
  viewAt: ({ inputs, attrs }) => {
    const { shape } = at(inputs, 0);
    return sizeOf(shape.slice(0, attrs.axis)) === 1 ? attrs.start * at(stridesOf(shape), attrs.axis) : undefined;
  },
  plan: (emit, { inputs, outputs, attrs }) => {
    const strides = stridesOf(at(inputs, 0).shape);
    const { shape } = at(outputs, 0);
    const from = { view: at(emit.inputs, 0), strides, offset: attrs.start * at(strides, attrs.axis) };
    emitCopy(emit, from, { view: at(emit.outputs, 0), strides: stridesOf(shape) }, shape);
  },
  backward: ({ inputs, attrs }, [d]) => {
    const size = at(at(inputs, 0).shape, attrs.axis);
    return [d && padAxis(d, attrs.axis, attrs.start, size)];
  },
  overTime: ({ sequence, attrs }) => [slice(sequence(0), attrs.axis + 1, attrs.start, attrs.length)],
  sumOverTime: ({ summed, attrs }) => slice(summed(0), attrs.axis, attrs.start, attrs.length),
};

/** `length` elements of one axis from `start` on. @throws ShapeError where they are not all there */
export function slice(x: Tensor, axis: number, start: number, length: number): Tensor {
  const normal = normaliseAxis('slice', axis, x.shape.length);
  const size = at(x.shape, normal);
  if (!Number.isInteger(start) || !Number.isInteger(length) || start < 0 || length < 1 || start + length > size) {
    throw new ShapeError(`slice: ${start} to ${start + length} of axis ${axis} is not inside ${formatShape(x.shape)}`);
  }
  return length === size ? x : applyOne(sliceOp, [x], { axis: normal, start, length });
}

/** Zeros around x in one axis: x begins at `start` of an axis of `size`. */
function padAxis(x: Tensor, axis: number, start: number, size: number): Tensor {
  return applyOne(padOp, [x], { axis, start, size });
}

interface PadAttrs {
  readonly axis: number;
  readonly start: number;
  readonly size: number;
}

/**
 * The sum of two parts of one tensor with zeros around them, where they are neighbours along an axis: one after the other,
 * as they are the gradients of neighbouring slices. Undefined for any other two.
 */
export function addPadded(a: Tensor, b: Tensor): Tensor | undefined {
  if (a.node.op !== padOp || b.node.op !== padOp) return undefined;
  const [left, right] = [a.node.attrs as PadAttrs, b.node.attrs as PadAttrs];
  if (left.axis !== right.axis || left.size !== right.size) return undefined;
  if (left.start > right.start) return addPadded(b, a);
  const { axis, start, size } = left;
  const parts = [a, b].map((each) => at(each.node.inputs, 0));
  if (start + at(at(parts, 0).shape, axis) !== right.start) return undefined;
  // Of many neighbours one after the other, all are parts of the last: no chain of longer and longer ones.
  const flat = parts.flatMap((part) =>
    part.node.op === concatOp && (part.node.attrs as { readonly axis: number }).axis === axis
      ? part.node.inputs
      : [part],
  );
  const whole = concat(flat, axis);
  return at(whole.shape, axis) === size ? whole : padAxis(whole, axis, start, size);
}

const padOp: Op<PadAttrs> = {
  name: 'pad',
  infer: ([x], { axis, size }) => [{ shape: withSize(shapeOf(x), axis, size), dtype: dtypeOf(x) }],
  plan: (emit, { inputs, outputs, attrs }) => {
    const x = at(inputs, 0).shape;
    const y = at(outputs, 0).shape;
    const view = at(emit.outputs, 0);
    const strides = stridesOf(y);
    const stride = at(strides, attrs.axis);
    const zero = emit.zero();
    const none = y.map(() => 0);
    const length = at(x, attrs.axis);
    const after = attrs.start + length;
    const zeros = (start: number, count: number): void => {
      if (count === 0) return;
      emitCopy(
        emit,
        { view: zero, strides: none },
        { view, strides, offset: start * stride },
        withSize(y, attrs.axis, count),
      );
    };
    zeros(0, attrs.start);
    emitCopy(
      emit,
      { view: at(emit.inputs, 0), strides: stridesOf(x) },
      { view, strides, offset: attrs.start * stride },
      x,
    );
    zeros(after, attrs.size - after);
  },
  backward: ({ inputs, attrs }, [d]) => [d && slice(d, attrs.axis, attrs.start, at(at(inputs, 0).shape, attrs.axis))],
  overTime: ({ sequence, attrs }) => [padAxis(sequence(0), attrs.axis + 1, attrs.start, attrs.size)],
  sumOverTime: ({ summed, attrs }) => padAxis(summed(0), attrs.axis, attrs.start, attrs.size),
};

const concatOp: Op<{ readonly axis: number }> = {
  name: 'concat',
  infer: (inputs, { axis }) => {
    const [first] = inputs;
    const rest = inputs
      .slice(1)
      .find(
        (t) => !sameShape(withSize(t.shape, axis, 1), withSize(shapeOf(first), axis, 1)) || t.dtype !== first?.dtype,
      );
    if (rest !== undefined) {
      throw new ShapeError(
        `concat: ${formatShape(rest.shape)} does not fit ${formatShape(shapeOf(first))} along axis ${axis}; all other sizes and the dtype must be equal`,
      );
    }
    const size = inputs.reduce((total, t) => total + at(t.shape, axis), 0);
    return [{ shape: withSize(shapeOf(first), axis, size), dtype: dtypeOf(first) }];
  },
  plan: (emit, { inputs, outputs, attrs }) => {
    const strides = stridesOf(at(outputs, 0).shape);
    let start = 0;
    inputs.forEach(({ shape }, i) => {
      const to = { view: at(emit.outputs, 0), strides, offset: start * at(strides, attrs.axis) };
      emitCopy(emit, { view: at(emit.inputs, i), strides: stridesOf(shape) }, to, shape);
      start += at(shape, attrs.axis);
    });
  },
  backward: ({ inputs, attrs }, [d]) => {
    let start = 0;
    return inputs.map(({ shape }) => {
      const length = at(shape, attrs.axis);
      start += length;
      return d && slice(d, attrs.axis, start - length, length);
    });
  },
  overTime: rowsOverTime((inputs, { attrs }) => [concat(inputs, attrs.axis + 1)]),
  sumOverTime: ({ node, summed, attrs }) =>
    concat(
      node.inputs.map((_, i) => summed(i)),
      attrs.axis,
    ),
};

/** Tensors one after the other along an axis. @throws ShapeError where other sizes differ */
export function concat(tensors: readonly Tensor[], axis: number): Tensor {
  const [first] = tensors;
  if (first === undefined) throw new OptionError('concat: no tensors were given');
  const normal = normaliseAxis('concat', axis, first.shape.length);
  const bad = tensors.find((t) => t.shape.length !== first.shape.length);
  if (bad !== undefined) {
    throw new ShapeError(
      `concat: ${formatShape(bad.shape)} and ${formatShape(first.shape)} have different numbers of dimensions`,
    );
  }
  return tensors.length === 1 ? first : applyOne(concatOp, tensors, { axis: normal });
}

const broadcastOp: Op<{ readonly shape: Shape }> = {
  name: 'broadcastTo',
  infer: ([x], { shape }) => [{ shape, dtype: dtypeOf(x) }],
  // The identity: whoever reads it element by element may read what it repeats.
  elementwise: ({ outputs }) => (at(outputs, 0).dtype === 'f32' ? { code: 0, parameters: [0, 0] } : undefined),
  plan: (emit, { inputs, outputs }) => {
    const { shape } = at(outputs, 0);
    const from = { view: at(emit.inputs, 0), strides: broadcastStrides(at(inputs, 0).shape, shape) };
    emitCopy(emit, from, { view: at(emit.outputs, 0), strides: stridesOf(shape) }, shape);
  },
  backward: ({ inputs }, [d]) => [d && unbroadcast(d, at(inputs, 0).shape)],
  overTime: ({ steps, sequence, attrs, node }) => {
    const { shape } = at(node.inputs, 0);
    const ones = new Array<number>(attrs.shape.length - shape.length).fill(1);
    return [broadcastTo(reshape(sequence(0), [steps, ...ones, ...shape]), [steps, ...attrs.shape])];
  },
  sumOverTime: ({ summed, attrs }) => broadcastTo(summed(0), attrs.shape),
};

/** x repeated along its axes of size 1 and along new leading axes. @throws ShapeError where it does not stretch */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const lead = shape.length - x.shape.length;
  if (lead < 0 || x.shape.some((size, i) => size !== 1 && size !== shape[lead + i])) {
    throw new ShapeError(`broadcastTo: ${formatShape(x.shape)} does not stretch to ${formatShape(shape)}`);
  }
  return applyOne(broadcastOp, [x], { shape });
}

/** The sum over all that a broadcast from `shape` repeated: the backward of broadcasting. */
export function unbroadcast(d: Tensor, shape: Shape): Tensor {
  if (sameShape(d.shape, shape)) return d;
  const lead = d.shape.length - shape.length;
  const axes = d.shape.flatMap((size, i) => (i < lead || (shape[i - lead] === 1 && size !== 1) ? [i] : []));
  return reshape(axes.length === 0 ? d : sum(d, { axes }), shape);
}

/** Element strides of `shape` as seen through the wider shape `to`: 0 where it repeats. */
export function broadcastStrides(shape: Shape, to: Shape): number[] {
  const strides = stridesOf(shape);
  const lead = to.length - shape.length;
  return to.map((_, i) => (i < lead || shape[i - lead] === 1 ? 0 : at(strides, i - lead)));
}

const flipOp: Op<{ readonly axis: number }> = {
  name: 'flip',
  infer: ([x]) => [{ shape: shapeOf(x), dtype: dtypeOf(x) }],
  plan: (emit, { outputs, attrs }) => {
    const { shape } = at(outputs, 0);
    const strides = stridesOf(shape);
    const stride = at(strides, attrs.axis);
    const offset = (at(shape, attrs.axis) - 1) * stride;
    const from = { view: at(emit.inputs, 0), strides: strides.map((s, i) => (i === attrs.axis ? -s : s)), offset };
    emitCopy(emit, from, { view: at(emit.outputs, 0), strides }, shape);
  },
  backward: ({ attrs }, [d]) => [d && flip(d, attrs.axis)],
  overTime: ({ sequence, attrs }) => [flip(sequence(0), attrs.axis + 1)],
  sumOverTime: ({ summed, attrs }) => flip(summed(0), attrs.axis),
};

/** The elements of one axis in reverse order. */
export function flip(x: Tensor, axis: number): Tensor {
  return applyOne(flipOp, [x], { axis: normaliseAxis('flip', axis, x.shape.length) });
}

/**
 * Circular shift: element i of the axis moves to i + shift, what passes the end comes in at the start. NTM's shift of an
 * attention, for a fixed distance.
 */
export function roll(x: Tensor, axis: number, shift: number): Tensor {
  const normal = normaliseAxis('roll', axis, x.shape.length);
  const size = at(x.shape, normal);
  if (!Number.isInteger(shift)) throw new OptionError(`roll: the shift must be a whole number, not ${shift}`);
  const by = ((shift % size) + size) % size;
  return by === 0 ? x : concat([slice(x, normal, size - by, by), slice(x, normal, 0, size - by)], normal);
}

/** The op rows of this file, for tables of all ops. */
export const shapeOps: readonly Op[] = [
  reshapeOp,
  permuteOp,
  sliceOp,
  padOp,
  concatOp,
  broadcastOp,
  flipOp,
] as readonly Op[];

function withSize(shape: Shape, axis: number, size: number): number[] {
  return shape.map((each, i) => (i === axis ? size : each));
}

function shapeOf(x: Tensor | undefined): Shape {
  if (x === undefined) throw new ShapeError('an op was given too few inputs');
  return x.shape;
}

function dtypeOf(x: Tensor | undefined): Tensor['dtype'] {
  if (x === undefined) throw new ShapeError('an op was given too few inputs');
  return x.dtype;
}
