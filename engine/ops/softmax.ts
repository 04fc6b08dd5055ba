// Softmax over the last axis, whole, masked, or of the K largest scores; and the mask of the K largest. One kernel forward,
// one backward. Which columns take part is no part of the gradient: those that do not have probability 0 and gradient 0.

import {
  softmaxBackward as softmaxBackwardKernel,
  softmax as softmaxKernel,
  topKMask as topKMaskKernel,
} from '../../kernels/catalogue.ts';
import { at, checkOptions, formatShape, OptionError, ShapeError } from '../errors.ts';
import { applyOne, gridOf, type Op, rowsOf, rowsOverTime } from '../op.ts';
import { broadcastShapes, type Shape, sameShape, type Tensor } from '../tensor.ts';
import { alignOverTime } from './elementwise.ts';
import { NAN_BITS, rowGrid, rowOperand } from './rows.ts';
import { broadcastStrides } from './shape.ts';

const WORKGROUP = 64;

/** Which columns of a row take part. */
export interface SoftmaxOptions {
  /** Broadcasts to x; a column where it is 0 takes no part. It gets no gradient. */
  readonly mask?: Tensor;
  /** How many of the largest scores take part, of those that the mask lets through; of equal ones the lowest column. */
  readonly topK?: number;
}

interface SoftmaxAttrs {
  /** 0: all. */
  readonly topK: number;
}

/** Inputs: x, and the mask where there is one. */
const softmaxOp: Op<SoftmaxAttrs> = {
  name: 'softmax',
  infer: ([x, mask], { topK }) => {
    const spec = rowOperand('softmax', x);
    if (mask !== undefined) checkMask(mask, spec.shape);
    if (topK !== 0) checkTopK('softmax', topK, spec.shape);
    return [spec];
  },
  plan: (emit, { inputs: [x, mask], attrs: { topK } }) => {
    const { shape } = rowOperand('softmax', x);
    const { rows, columns, cooperate, workgroups } = rowGrid(shape);
    const { walk, column } = mask === undefined ? { walk: [], column: 0 } : maskWalk(mask.shape, shape);
    emit.call(softmaxKernel, {
      buffers: {
        x: at(emit.inputs, 0),
        mask: mask === undefined ? emit.zero() : at(emit.inputs, 1),
        y: at(emit.outputs, 0),
      },
      uniforms: {
        rows,
        columns,
        topK,
        nan: NAN_BITS,
        maskRank: walk.length,
        maskColumn: column,
        maskRows: walk.flatMap(([size, stride]) => [size, stride, 0, 0]),
      },
      constants: { COOPERATE: cooperate, MASKED: mask !== undefined, TOP_K: topK !== 0 },
      workgroups,
      operations: rows * columns * (topK === 0 ? 4 : columns),
    });
  },
  backward: ({ outputs }, [d]) => [d && applyOne(softmaxBackwardOp, [at(outputs, 0), d], {})],
  overTime: (over) => [applyOne(softmaxOp, [over.sequence(0), ...alignOverTime(over).slice(1)], over.attrs)],
};

/** The gradient of the scores, from the probabilities p and their gradient: p (dp - sum of p dp), and 0 where p is 0. */
const softmaxBackwardOp: Op = {
  name: 'softmaxBackward',
  infer: ([p, dp]) => {
    const spec = rowOperand('softmaxBackward', p);
    const { shape } = rowOperand('softmaxBackward', dp);
    if (!sameShape(shape, spec.shape)) {
      throw new ShapeError(`softmaxBackward: ${formatShape(shape)} is no gradient of ${formatShape(spec.shape)}`);
    }
    return [spec];
  },
  plan: (emit, { outputs }) => {
    const { rows, columns, cooperate, workgroups } = rowGrid(at(outputs, 0).shape);
    emit.call(softmaxBackwardKernel, {
      buffers: { p: at(emit.inputs, 0), dp: at(emit.inputs, 1), dx: at(emit.outputs, 0) },
      uniforms: { rows, columns },
      constants: { COOPERATE: cooperate },
      workgroups,
      operations: 4 * rows * columns,
    });
  },
  overTime: rowsOverTime((inputs) => [applyOne(softmaxBackwardOp, inputs, {})]),
};

const topKMaskOp: Op<{ readonly k: number }> = {
  name: 'topKMask',
  infer: ([x], { k }) => {
    const spec = rowOperand('topKMask', x);
    checkTopK('topKMask', k, spec.shape);
    return [spec];
  },
  backward: () => [],
  plan: (emit, { outputs, attrs: { k } }) => {
    const { shape, size } = at(outputs, 0);
    const { columns } = rowsOf(shape);
    emit.call(topKMaskKernel, {
      buffers: { x: at(emit.inputs, 0), y: at(emit.outputs, 0) },
      uniforms: { count: size, columns, topK: k },
      workgroups: gridOf(size, WORKGROUP),
      operations: size * columns,
    });
  },
  overTime: ({ sequence, attrs }) => [applyOne(topKMaskOp, [sequence(0)], attrs)],
};

/**
 * Softmax over the last axis, safe for scores of any size. A column that takes no part has probability 0 and gradient 0;
 * a row with nothing left is all 0. A row where a NaN or +infinity takes part is NaN, and so is one of -infinity alone.
 * @param x scores [..., N]
 * @param options `mask`, which broadcasts to x: 0 takes a column out. `topK`: only the K largest scores of those left take
 *   part, 1 to N; of equal ones the lowest column
 * @throws ShapeError where x is a scalar or the mask does not broadcast to it; OptionError for a K that is none
 */
export function softmax(x: Tensor, options: SoftmaxOptions = {}): Tensor {
  checkOptions('softmax', options, ['mask', 'topK']);
  const { mask, topK } = options;
  const { columns } = rowsOf(rowOperand('softmax', x).shape);
  if (topK !== undefined) checkTopK('softmax', topK, x.shape);
  const limit = topK === undefined || topK === columns ? 0 : topK;
  return applyOne(softmaxOp, mask === undefined ? [x] : [x, mask], { topK: limit });
}

/**
 * 1 for the k largest of the last axis, else 0; of equal ones the lowest column wins, a NaN counts as largest. No gradient.
 * @param scores [..., N]
 * @throws ShapeError for a scalar; OptionError unless 1 <= k <= N
 */
export function topKMask(scores: Tensor, k: number): Tensor {
  return applyOne(topKMaskOp, [scores], { k });
}

/** The rows of this file, for tables of all ops. */
export const softmaxOps: readonly Op[] = [softmaxOp, softmaxBackwardOp, topKMaskOp] as readonly Op[];

function checkTopK(where: string, k: number, shape: Shape): void {
  const { columns } = rowsOf(shape);
  if (!Number.isInteger(k) || k < 1 || k > columns) {
    throw new OptionError(
      `${where}: K is ${k}; choose a whole number from 1 to ${columns}, the last size of ${formatShape(shape)}`,
    );
  }
}

function checkMask(mask: Tensor, shape: Shape): void {
  if (mask.dtype !== 'f32') throw new ShapeError(`softmax: the mask must be f32, not ${mask.dtype}; use 1 and 0`);
  if (!sameShape(broadcastShapes('softmax', mask.shape, shape), shape)) {
    throw new ShapeError(
      `softmax: a mask ${formatShape(mask.shape)} does not broadcast to the scores ${formatShape(shape)}`,
    );
  }
}

/** How the mask is walked from row to row (size and stride, outermost first, neighbours merged), and along a row. */
function maskWalk(mask: Shape, shape: Shape): { walk: (readonly [size: number, stride: number])[]; column: number } {
  const strides = broadcastStrides(mask, shape);
  const walk: (readonly [number, number])[] = [];
  shape.slice(0, -1).forEach((size, i) => {
    if (size === 1) return;
    const stride = at(strides, i);
    const last = walk.at(-1);
    if (last !== undefined && last[1] === stride * size) walk[walk.length - 1] = [last[0] * size, stride];
    else walk.push([size, stride]);
  });
  if (walk.length > 6) {
    throw new ShapeError(
      `softmax: a mask ${formatShape(mask)} repeats along too many axes of ${formatShape(shape)}; use broadcastTo`,
    );
  }
  return { walk, column: at(strides, shape.length - 1) };
}
