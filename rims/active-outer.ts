// The gradient of weights that each module has of its own, over the rows in which it was active: for module n the sum over
// batch rows b, and over time, of x[b,n]ᵀ d[b,n], where mask[n,b] is not 0. What stands in other rows is never read.
// Columns of wider rows are named, not copied. It is a row of the op table so that a scan takes it out of its loop, as one
// product over all steps; in a loop it never stands.

import { at, OptionError, ShapeError } from '../engine/errors.ts';
import { applyOne, type Op } from '../engine/op.ts';
import { emitProduct } from '../engine/product.ts';
import type { Tensor } from '../engine/tensor.ts';

/** Columns of the last axis of an operand. */
export interface Columns {
  readonly from: number;
  readonly size: number;
}

interface ActiveOuterAttrs {
  /** T, or undefined for one step: then no operand has a time axis. */
  readonly steps: number | undefined;
  /** True where all modules read one x [B,X]. */
  readonly shared: boolean;
  /** True where the modules have one matrix: the sum is over them too. */
  readonly together: boolean;
  readonly x: Columns;
  readonly d: Columns;
}

/**
 * Inputs x [(T,)B,N,X] or shared [(T,)B,X], d [(T,)B,N,D], and mask [(T,)N,B] where not all rows count; output [N,x,d], or
 * together [1,x,d]. */
const activeOuterOp: Op<ActiveOuterAttrs> = {
  name: 'activeOuter',
  infer: ([x, d], attrs) => {
    const { modules } = sizesOf(x, d, attrs);
    return [{ shape: [attrs.together ? 1 : modules, attrs.x.size, attrs.d.size], dtype: 'f32' }];
  },
  plan: (emit, { inputs, attrs }) => {
    const { rows, modules, xWidth, dWidth } = sizesOf(inputs[0], inputs[1], attrs);
    const { steps = 1, shared, together, x, d } = attrs;
    const mask = emit.inputs[2];
    emitProduct(emit, {
      a: at(emit.inputs, 0),
      b: at(emit.inputs, 1),
      y: at(emit.outputs, 0),
      m: { size: x.size, a: 1, y: d.size },
      n: { size: d.size, b: 1, y: 1 },
      k: together
        ? { size: steps * rows * modules, a: xWidth, b: dWidth }
        : { size: steps * rows, a: shared ? xWidth : modules * xWidth, b: modules * dWidth },
      batch: together ? [] : [{ size: modules, a: shared ? 0 : xWidth, b: dWidth, y: x.size * d.size }],
      offsets: { a: x.from, b: d.from },
      ...(mask && {
        terms: {
          mask,
          strides: together ? [] : [rows],
          walks: [
            { size: steps, stride: modules * rows },
            { size: rows, stride: 1 },
            ...(together ? [{ size: modules, stride: rows }] : []),
          ],
        },
      }),
    });
  },
  backward: () => {
    throw new OptionError('activeOuter: the gradient of its gradient is not written; use path: "plain" for it');
  },
  overTime: () => {
    throw new OptionError('activeOuter: its value of every step is not offered, only their sum');
  },
  sumOverTime: (over) =>
    applyOne(
      activeOuterOp,
      over.node.inputs.map((_, i) => over.sequence(i)),
      { ...over.attrs, steps: over.steps },
    ),
};

/**
 * The sum over batch rows of the outer products of x and d, for each module, where it is active.
 * @param x [B,N,X], or [B,X] for all modules; d [B,N,D]; `mask` [N,B], without one all rows count
 * @param together the modules have one matrix: their sum; x is then [B,N,X]
 * @returns [N, columns of x, columns of d], or [1, ...] together
 */
export function activeOuter(
  x: { readonly tensor: Tensor; readonly columns?: Columns },
  d: { readonly tensor: Tensor; readonly columns?: Columns },
  mask: Tensor | undefined,
  together: boolean = false,
): Tensor {
  const all = (tensor: Tensor): Columns => ({ from: 0, size: at(tensor.shape, tensor.shape.length - 1) });
  return applyOne(activeOuterOp, [x.tensor, d.tensor, ...(mask === undefined ? [] : [mask])], {
    steps: undefined,
    shared: x.tensor.shape.length === 2,
    together,
    x: x.columns ?? all(x.tensor),
    d: d.columns ?? all(d.tensor),
  });
}

/** The row of this file, for tables of all ops. */
export const activeOuterOps: readonly Op[] = [activeOuterOp] as readonly Op[];

/** @throws ShapeError */
function sizesOf(
  x: Tensor | undefined,
  d: Tensor | undefined,
  { steps, shared, together, x: xColumns, d: dColumns }: ActiveOuterAttrs,
): { rows: number; modules: number; xWidth: number; dWidth: number } {
  const timed = steps === undefined ? 0 : 1;
  const [rows = 0, modules = 0, dWidth = 0] = d?.shape.slice(timed) ?? [];
  const xWidth = x?.shape.at(-1) ?? 0;
  const fits = x?.shape.length === timed + (shared ? 2 : 3) && d?.shape.length === timed + 3;
  if (
    !fits ||
    (shared && together) ||
    xColumns.from + xColumns.size > xWidth ||
    dColumns.from + dColumns.size > dWidth
  ) {
    throw new ShapeError('activeOuter: takes x [B,N,X] or [B,X] and d [B,N,D], and columns that they have');
  }
  return { rows, modules, xWidth, dWidth };
}
