// Sums, means and extremes over axes. Long reductions to few results run a workgroup a result and in two passes; the
// order of every sum is a function of the shape alone, so the same inputs give the same bits.

import { reduce as reduceKernel } from '../../kernels/catalogue.ts';
import { at, ShapeError } from '../errors.ts';
import { applyOne, type Emitter, gridOf, type Op, type View } from '../op.ts';
import { normaliseAxis, type Shape, sizeOf, stridesOf, type Tensor } from '../tensor.ts';
import { affine, equal, mul, reciprocal } from './elementwise.ts';
import { broadcastTo, reshape } from './shape.ts';

/** Which axes to reduce (default: all), and whether they stay as axes of size 1. */
export interface ReduceOptions {
  /** Axes, which may count from the end; all where left out. */
  readonly axes?: readonly number[];
  /** True: they stay, of size 1. */
  readonly keepAxes?: boolean;
}

interface ReduceAttrs {
  readonly axes: readonly number[];
}

/** Numbers of the functions in kernels/reduce.wgsl. */
const SUM = 0;
const SUM_OF_SQUARES = 1;
const MAX = 2;
const MIN = 3;

/** Lanes of a workgroup; elements that one workgroup reduces before a second pass takes over. */
const LANES = 64;
const CHUNK = 8192;

function reduceOp(
  name: string,
  code: number,
  backward: NonNullable<Op<ReduceAttrs>['backward']>,
  linear: boolean,
): Op<ReduceAttrs> {
  const op: { -readonly [K in keyof Op<ReduceAttrs>]: Op<ReduceAttrs>[K] } = {
    name,
    infer: ([x], { axes }) => {
      if (x === undefined || x.dtype !== 'f32') throw new ShapeError(`${name}: takes an f32 tensor`);
      return [{ shape: x.shape.filter((_, i) => !axes.includes(i)), dtype: 'f32' }];
    },
    plan: (emit, { inputs, attrs }) => emitReduce(emit, code, at(inputs, 0).shape, attrs.axes),
    backward,
    overTime: ({ sequence, attrs }) => [applyOne(op, [sequence(0)], { axes: attrs.axes.map((axis) => axis + 1) })],
  };
  if (linear) {
    op.sumOverTime = ({ sequence, attrs }) =>
      applyOne(op, [sequence(0)], { axes: [0, ...attrs.axes.map((axis) => axis + 1)] });
  }
  return op;
}

/** Kernel calls of a reduction of emit's input 0 to its output 0. */
function emitReduce(emit: Emitter, code: number, shape: Shape, axes: readonly number[]): void {
  const strides = stridesOf(shape);
  const kept = mergeDims(shape, strides, (i) => !axes.includes(i));
  const reduced = mergeDims(shape, strides, (i) => axes.includes(i));
  const outputs = sizeOf(kept.map(([size]) => size));
  const count = sizeOf(reduced.map(([size]) => size));
  // Neighbouring results are neighbours in memory: a lane each, so that lanes read side by side, and parts to have enough
  // of them. Else many short reductions take a lane each, few or long ones a workgroup each.
  const columns = outputs >= 16 && at(kept, kept.length - 1)[1] === 1 && at(reduced, reduced.length - 1)[1] !== 1;
  const call = (
    code: number,
    x: View,
    y: View,
    keptDims: readonly Dim[],
    reducedDims: readonly Dim[],
    [results, length, parts]: readonly [number, number, number],
  ): void => {
    const lanes = !columns && length >= 32 && (length >= 512 || results < 2048);
    emit.call(reduceKernel, {
      buffers: { x, y },
      uniforms: {
        results,
        count: length,
        parts,
        keptRank: keptDims.length,
        reducedRank: reducedDims.length,
        kept: keptDims.flatMap(([size, stride]) => [size, stride, 0, 0]),
        reduced: reducedDims.flatMap(([size, stride]) => [size, stride, 0, 0]),
      },
      constants: { OP: code, COOPERATE: lanes },
      workgroups: lanes ? gridOf(results * parts, 1) : gridOf(results * parts, LANES),
      operations: results * length,
    });
  };
  const parts = columns ? Math.min(Math.ceil(count / 32), Math.ceil(CHUNK / outputs)) : Math.ceil(count / CHUNK);
  const x = at(emit.inputs, 0);
  const y = at(emit.outputs, 0);
  if (parts === 1) {
    call(code, x, y, kept, reduced, [outputs, count, 1]);
    return;
  }
  const partial = emit.scratch(outputs * parts);
  call(code, x, partial, kept, reduced, [outputs, count, parts]);
  call(code === SUM_OF_SQUARES ? SUM : code, partial, y, [[outputs, 1]], [[parts, outputs]], [outputs, parts, 1]);
}

type Dim = readonly [size: number, stride: number];

/** The chosen dimensions, neighbours merged where they are one walk; at least one. */
function mergeDims(shape: Shape, strides: readonly number[], chosen: (i: number) => boolean): Dim[] {
  const dims: Dim[] = [];
  shape.forEach((size, i) => {
    if (!chosen(i) || size === 1) return;
    const stride = at(strides, i);
    const last = dims.at(-1);
    if (last !== undefined && last[1] === stride * size) dims[dims.length - 1] = [last[0] * size, stride];
    else dims.push([size, stride]);
  });
  if (dims.length > 4) throw new ShapeError('reduce: more than 4 separate runs of axes; permute the tensor first');
  return dims.length === 0 ? [[1, 0]] : dims;
}

/** A reduced tensor with its axes back, as size 1. */
function restore(y: Tensor, shape: Shape, axes: readonly number[]): Tensor {
  return reshape(
    y,
    shape.map((size, i) => (axes.includes(i) ? 1 : size)),
  );
}

const sumOp = reduceOp(
  'sum',
  SUM,
  ({ inputs, attrs }, [d]) => {
    const { shape } = at(inputs, 0);
    return [d && broadcastTo(restore(d, shape, attrs.axes), shape)];
  },
  true,
);

const sumOfSquaresOp = reduceOp(
  'sumOfSquares',
  SUM_OF_SQUARES,
  ({ inputs, attrs }, [d]) => {
    const x = at(inputs, 0);
    return [d && mul(affine(x, 2, 0), restore(d, x.shape, attrs.axes))];
  },
  true,
);

/** The gradient of an extreme goes to every element that reaches it, in equal parts. */
const extremeBackward: NonNullable<Op<ReduceAttrs>['backward']> = ({ inputs, outputs, attrs }, [d]) => {
  if (d === undefined) return [];
  const x = at(inputs, 0);
  const hit = equal(x, restore(at(outputs, 0), x.shape, attrs.axes));
  const share = mul(restore(d, x.shape, attrs.axes), reciprocal(sum(hit, { axes: attrs.axes, keepAxes: true })));
  return [mul(hit, share)];
};

const maxOp = reduceOp('max', MAX, extremeBackward, false);
const minOp = reduceOp('min', MIN, extremeBackward, false);

function reduction(op: Op<ReduceAttrs>): (x: Tensor, options?: ReduceOptions) => Tensor {
  return (x, options = {}) => {
    const axes = axesOf(op.name, x, options);
    const y = applyOne(op, [x], { axes });
    return options.keepAxes === true ? restore(y, x.shape, axes) : y;
  };
}

function axesOf(where: string, x: Tensor, options: ReduceOptions): number[] {
  const given = options.axes ?? x.shape.map((_, i) => i);
  const axes = given.map((axis) => normaliseAxis(where, axis, x.shape.length)).sort((a, b) => a - b);
  if (new Set(axes).size !== axes.length)
    throw new ShapeError(`${where}: an axis is named twice in [${given.join(',')}]`);
  return axes;
}

/** Sum over axes; of all elements by default, giving shape []. */
export const sum: (x: Tensor, options?: ReduceOptions) => Tensor = reduction(sumOp);
/** Sum of the squares over axes: the square of a 2-norm. */
export const sumOfSquares: (x: Tensor, options?: ReduceOptions) => Tensor = reduction(sumOfSquaresOp);
/** Greatest element over axes, NaN where one is; at a tie the gradient is shared. */
export const max: (x: Tensor, options?: ReduceOptions) => Tensor = reduction(maxOp);
/** Smallest element over axes, NaN where one is; at a tie the gradient is shared. */
export const min: (x: Tensor, options?: ReduceOptions) => Tensor = reduction(minOp);
/** Mean over axes. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  const y = sum(x, options);
  return affine(y, y.size / x.size, 0);
}

/** The rows of this file, for tables of all ops. @internal */
export const reduceOps: readonly Op[] = [sumOp, sumOfSquaresOp, maxOp, minOp] as readonly Op[];
