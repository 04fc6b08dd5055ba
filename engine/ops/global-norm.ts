// The 2-norm over all elements of many tensors: two kernel calls where the tensors share memory, as the gradients of an
// optimiser do, and one more for every six buffers otherwise. The order of the sums depends on the sizes of the tensors
// only, never on where they lie.

import { normParts, normTotal } from '../../kernels/catalogue.ts';
import { at, OptionError, ShapeError } from '../errors.ts';
import { applyOne, type Emitter, gridOf, type Op, type View } from '../op.ts';
import type { Tensor } from '../tensor.ts';
import { div, mul } from './elementwise.ts';

/** Elements that one workgroup of kernels/norm-parts.wgsl sums up; buffers and tensors that a call takes. */
const PIECE: number = normParts.constants.WORKGROUP.value * normParts.constants.ELEMENTS.value;
const BUFFERS = 6;
const ROWS = 64;

const globalNormOp: Op = {
  name: 'globalNorm',
  infer: (inputs) => {
    if (inputs.some(({ dtype }) => dtype !== 'f32')) throw new ShapeError('globalNorm: takes f32 tensors');
    return [{ shape: [], dtype: 'f32' }];
  },
  plan: (emit, { inputs }) => {
    const { parts, count } = emitSquares(emit, inputs, emit.inputs);
    emit.call(normTotal, {
      buffers: { x: parts, y: at(emit.outputs, 0) },
      uniforms: { count },
      workgroups: [1, 1, 1],
      operations: count,
    });
  },
  backward: ({ inputs, outputs }, [d]) => {
    const factor = d && div(d, at(outputs, 0));
    return inputs.map((input) => factor && mul(factor, input));
  },
};

/** The sums of squares of pieces of tensors, in as few calls as the buffers allow. */
export function emitSquares(
  emit: Emitter,
  inputs: readonly Tensor[],
  lying: readonly View[],
): { readonly parts: View; readonly count: number } {
  const pieces = inputs.map(({ size }) => Math.ceil(size / PIECE));
  const count = pieces.reduce((sum, each) => sum + each, 0);
  const y = emit.scratch(count);
  const { views, places } = emit.joined(lying);
  let first = 0;
  for (let begin = 0; begin < inputs.length; ) {
    const buffers: number[] = [];
    const rows: number[] = [];
    let own = 0;
    let elements = 0;
    let next = begin;
    for (; next < inputs.length && next - begin < ROWS; next++) {
      const { view, offset } = at(places, next);
      if (!buffers.includes(view)) {
        if (buffers.length === BUFFERS) break;
        buffers.push(view);
      }
      const { size } = at(inputs, next);
      rows.push(own, size, offset, buffers.indexOf(view));
      own += at(pieces, next);
      elements += size;
    }
    const bound = (i: number): View => at(views, buffers[i] ?? at(buffers, 0));
    emit.call(normParts, {
      buffers: { x0: bound(0), x1: bound(1), x2: bound(2), x3: bound(3), x4: bound(4), x5: bound(5), y },
      uniforms: { tensors: next - begin, pieces: own, first, rows },
      workgroups: gridOf(own, 1),
      operations: 2 * elements,
    });
    first += own;
    begin = next;
  }
  return { parts: y, count };
}

/** The 2-norm over all elements of all tensors, []. @throws OptionError where there are none; ShapeError for integers */
export function globalNorm(tensors: readonly Tensor[]): Tensor {
  if (tensors.length === 0) throw new OptionError('globalNorm: no tensors were given');
  return applyOne(globalNormOp, tensors, {});
}

/** The rows of this file. */
export const globalNormOps: readonly Op[] = [globalNormOp];
