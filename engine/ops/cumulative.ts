// Running sums and products along the last axis. The gradient of a running sum is a running sum from the other end; that of
// a running product is made of products only, never of a division, and so it is right where a row holds zeros.

import {
  cumulative as cumulativeKernel,
  cumulativeProductBackward as productBackwardKernel,
} from '../../kernels/catalogue.ts';
import { at, formatShape, ShapeError } from '../errors.ts';
import { applyOne, type Emitter, gridOf, type Op, rowsOf, rowsOverTime } from '../op.ts';
import { type Shape, sameShape, type Tensor } from '../tensor.ts';
import { rowGrid, rowOperand } from './rows.ts';

const WORKGROUP = 64;

function emitCumulative(
  emit: Emitter,
  shape: Shape,
  constants: { readonly PRODUCT: boolean; readonly REVERSE: boolean },
): void {
  const { rows, columns, cooperate, workgroups } = rowGrid(shape);
  emit.call(cumulativeKernel, {
    buffers: { x: at(emit.inputs, 0), y: at(emit.outputs, 0) },
    uniforms: { rows, columns },
    constants: { COOPERATE: cooperate, ...constants },
    workgroups,
  });
}

const cumulativeSumOp: Op<{ readonly reverse: boolean }> = {
  name: 'cumulativeSum',
  infer: ([x]) => [rowOperand('cumulativeSum', x)],
  plan: (emit, { outputs, attrs }) => {
    emitCumulative(emit, at(outputs, 0).shape, { PRODUCT: false, REVERSE: attrs.reverse });
  },
  backward: ({ attrs }, [d]) => [d && applyOne(cumulativeSumOp, [d], { reverse: !attrs.reverse })],
  overTime: ({ sequence, attrs }) => [applyOne(cumulativeSumOp, [sequence(0)], attrs)],
  sumOverTime: ({ summed, attrs }) => applyOne(cumulativeSumOp, [summed(0)], attrs),
};

const cumulativeProductOp: Op = {
  name: 'cumulativeProduct',
  infer: ([x]) => [rowOperand('cumulativeProduct', x)],
  plan: (emit, { outputs }) => {
    emitCumulative(emit, at(outputs, 0).shape, { PRODUCT: true, REVERSE: false });
  },
  backward: ({ inputs }, [d]) => [d && applyOne(cumulativeProductBackwardOp, [at(inputs, 0), d], {})],
  overTime: rowsOverTime((inputs) => [applyOne(cumulativeProductOp, inputs, {})]),
};

/**
 * From x and the gradient dy of its running products: dx[j] = (x[0] ... x[j-1]) r[j], r[j] = dy[j] + x[j+1] r[j+1]. Work in
 * proportion to the row, one lane a row.
 */
const cumulativeProductBackwardOp: Op = {
  name: 'cumulativeProductBackward',
  infer: ([x, d]) => {
    const spec = rowOperand('cumulativeProductBackward', x);
    const { shape } = rowOperand('cumulativeProductBackward', d);
    if (!sameShape(shape, spec.shape)) {
      throw new ShapeError(
        `cumulativeProductBackward: ${formatShape(shape)} is no gradient of ${formatShape(spec.shape)}`,
      );
    }
    return [spec];
  },
  plan: (emit, { outputs }) => {
    const { rows, columns } = rowsOf(at(outputs, 0).shape);
    emit.call(productBackwardKernel, {
      buffers: { x: at(emit.inputs, 0), dy: at(emit.inputs, 1), dx: at(emit.outputs, 0) },
      uniforms: { rows, columns },
      workgroups: gridOf(rows, WORKGROUP),
      operations: 5 * rows * columns,
    });
  },
  overTime: rowsOverTime((inputs) => [applyOne(cumulativeProductBackwardOp, inputs, {})]),
};

/** Running sums of the last axis: element i is the sum of elements 0 to i. @throws ShapeError for a scalar */
export function cumulativeSum(x: Tensor): Tensor {
  return applyOne(cumulativeSumOp, [x], { reverse: false });
}

/**
 * Running products of the last axis: element i is the product of elements 0 to i. Its gradient is right where elements are 0.
 * @throws ShapeError for a scalar
 */
export function cumulativeProduct(x: Tensor): Tensor {
  return applyOne(cumulativeProductOp, [x], {});
}

/** The rows of this file, for tables of all ops. */
export const cumulativeOps: readonly Op[] = [
  cumulativeSumOp,
  cumulativeProductOp,
  cumulativeProductBackwardOp,
] as readonly Op[];
