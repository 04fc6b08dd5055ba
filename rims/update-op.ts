// The update that ends a RIM's step as one op: the projection of what the modules read, and its addition to the states of
// the active ones (eq. 6 of the paper; the gated form is the official code's). It reads neither the old h nor the old c:
// `rest` holds what the gates decided (gates-op.ts), and an inactive module's state passes through bit for bit.

import { at, formatShape, OptionError, ShapeError } from '../engine/errors.ts';
import { apply, gridOf, MAX_WORKGROUPS, type Op } from '../engine/op.ts';
import { einsum } from '../engine/ops/einsum.ts';
import { add } from '../engine/ops/elementwise.ts';
import { fill } from '../engine/ops/leaf.ts';
import { sum } from '../engine/ops/reduce.ts';
import { type Shape, sameShape, type Tensor } from '../engine/tensor.ts';
import { rimUpdateBackward as backwardKernel, rimUpdate as forwardKernel } from '../kernels/catalogue.ts';

/** What the update adds, and to what. */
export interface RimUpdateOptions {
  /** out is the product, or sigmoid(its second half) tanh(its first half). */
  readonly gated: boolean;
  readonly cell: 'lstm' | 'gru';
  /** H */
  readonly hidden: number;
}

/** What the update reads. O is H, gated 2H: columns of the output, then of the gate. */
export interface RimUpdateOperands {
  /** [B,N,C*W] */
  readonly context: Tensor;
  /** [N,C*W,O], or [C*W,O] for all modules. */
  readonly w: Tensor;
  /** [N,O], or [O] where w is shared. */
  readonly bias?: Tensor;
  /** [B,N,2H+2] = [base | c' | mask | p] of an LSTM, [B,N,H+2] = [base | mask | p] of a GRU. */
  readonly rest: Tensor;
}

/** Inputs context, w, rest, and bias where there is one; outputs h', of an LSTM c', and pre. */
const updateOp: Op<RimUpdateOptions> = {
  name: 'rimUpdate',
  infer: (inputs, attrs) => {
    const { rows, modules, outputs } = sizesOf(inputs, attrs);
    const state = { shape: [rows, modules, attrs.hidden], dtype: 'f32' } as const;
    const pre = { shape: [rows, modules, outputs], dtype: 'f32' } as const;
    return attrs.cell === 'lstm' ? [state, state, pre] : [state, pre];
  },
  plan: (emit, { inputs, attrs }) => {
    const { rows, modules, inner, outputs, shared } = sizesOf(inputs, attrs);
    const { gated, hidden } = attrs;
    const lstm = attrs.cell === 'lstm';
    const biased = inputs.length > 3;
    // Small results: smaller tiles, and a workgroup's lanes spread over the modules instead of past the edges.
    const tile = rows >= 16 ? 8 : rows >= 4 ? 4 : 1;
    const tileN = !gated && hidden >= 32 ? 8 : 4;
    const [across, down] = [Math.ceil(hidden / tileN), Math.ceil(rows / tile)];
    const lanesX = Math.min(8, powerOfTwo(across));
    const lanesY = Math.min(64 / lanesX, powerOfTwo(down));
    const layers = Math.ceil(modules / (64 / (lanesX * lanesY)));
    emit.call(forwardKernel, {
      buffers: {
        context: at(emit.inputs, 0),
        w: at(emit.inputs, 1),
        rest: at(emit.inputs, 2),
        bias: biased ? at(emit.inputs, 3) : emit.zero(),
        h: at(emit.outputs, 0),
        c: lstm ? at(emit.outputs, 1) : emit.scratch(1),
        pre: at(emit.outputs, lstm ? 2 : 1),
      },
      uniforms: {
        rows,
        modules,
        inner,
        hidden,
        wModule: shared ? 0 : inner * outputs,
        biasModule: shared ? 0 : outputs,
        lanes: [lanesX, lanesY],
      },
      constants: { TILE_M: tile, TILE_N: tileN, GATED: gated, BIASED: biased, LSTM: lstm },
      workgroups: [Math.ceil(across / lanesX), Math.ceil(down / lanesY), Math.min(layers, MAX_WORKGROUPS)],
      operations: 2 * rows * modules * inner * outputs,
    });
  },
  backward: ({ inputs, outputs, attrs }, d) => {
    const { modules, shared } = sizesOf(inputs, attrs);
    const [context, w, rest, bias] = [at(inputs, 0), at(inputs, 1), at(inputs, 2), inputs[3]];
    const lstm = attrs.cell === 'lstm';
    const own = lstm ? d[2] : d[1];
    let drest: Tensor | undefined;
    let dpre = own;
    if (d[0] !== undefined || (lstm && d[1] !== undefined)) {
      const none = fill(0, [at(context.shape, 0), modules, attrs.hidden]);
      const states = lstm ? [d[0] ?? none, d[1] ?? none] : [d[0] ?? none];
      const pre = attrs.gated ? [at(outputs, lstm ? 2 : 1)] : [];
      const results = apply(updateBackwardOp, [rest, ...states, ...pre], attrs);
      dpre = own === undefined ? at(results, 0) : add(at(results, 0), own);
      drest = at(results, 1);
    }
    if (dpre === undefined) return [];
    const dcontext = einsum(shared ? 'bno,io->bni' : 'bno,nio->bni', dpre, w);
    const dw = einsum(shared ? 'bni,bno->io' : 'bni,bno->nio', context, dpre);
    return [dcontext, dw, drest, bias && sum(dpre, { axes: shared ? [0, 1] : [0] })];
  },
};

/** Inputs rest, dh', of an LSTM dc', and of gated ones pre; outputs dpre and drest. */
const updateBackwardOp: Op<RimUpdateOptions> = {
  name: 'rimUpdateBackward',
  infer: ([rest, ...others], { gated, cell, hidden }) => {
    const [rows = 0, modules = 0] = rest?.shape ?? [];
    const outputs = gated ? 2 * hidden : hidden;
    const widths = [...(cell === 'lstm' ? [hidden, hidden] : [hidden]), ...(gated ? [outputs] : [])];
    const fits = (tensor: Tensor | undefined, width: number): boolean =>
      tensor?.dtype === 'f32' && sameShape(tensor.shape, [rows, modules, width]);
    const whole = others.length === widths.length && widths.every((width, i) => fits(others[i], width));
    if (!whole || !fits(rest, restWidth(cell, hidden))) {
      throw new ShapeError(
        `rimUpdateBackward: takes rest [B,N,${restWidth(cell, hidden)}], a gradient [B,N,${hidden}] of each state, and of gated ones pre`,
      );
    }
    return [
      { shape: [rows, modules, outputs], dtype: 'f32' },
      { shape: rest?.shape ?? [], dtype: 'f32' },
    ];
  },
  plan: (emit, { inputs, attrs: { gated, cell, hidden } }) => {
    const tiles = Math.ceil(hidden / backwardKernel.constants.UNITS.value);
    const count = (at(inputs, 1).size / hidden) * tiles;
    const lstm = cell === 'lstm';
    emit.call(backwardKernel, {
      buffers: {
        rest: at(emit.inputs, 0),
        pre: gated ? at(emit.inputs, lstm ? 3 : 2) : emit.zero(),
        dh: at(emit.inputs, 1),
        dc: lstm ? at(emit.inputs, 2) : emit.zero(),
        dpre: at(emit.outputs, 0),
        drest: at(emit.outputs, 1),
      },
      uniforms: { count, hidden, tiles },
      constants: { GATED: gated, LSTM: lstm },
      workgroups: gridOf(count, backwardKernel.constants.WORKGROUP.value),
    });
  },
  backward: () => {
    throw new OptionError(
      'rimUpdate: the gradient of its gradient is not written; build the update from einsum, sigmoid, tanh and where',
    );
  },
};

/**
 * Projects what the modules read and adds it to the states of the active ones: pre = context·w + bias, out = pre or
 * sigmoid(pre[H:]) tanh(pre[:H]), h' = base + out where the mask is not 0, else base bit for bit; c' is taken from rest.
 * @param options `hidden` is H; `gated` chooses the form; mask and p of rest get no gradient
 * @returns h' [B,N,H], of an LSTM c' [B,N,H], and pre [B,N,O]
 * @throws ShapeError where the shapes do not fit each other
 */
export function rimUpdate(
  operands: RimUpdateOperands,
  options: RimUpdateOptions,
): { readonly h: Tensor; readonly c?: Tensor; readonly pre: Tensor } {
  const { context, w, bias, rest } = operands;
  const { gated, cell, hidden } = options;
  const outputs = apply(updateOp, [context, w, rest, ...(bias === undefined ? [] : [bias])], { gated, cell, hidden });
  if (cell === 'gru') return { h: at(outputs, 0), pre: at(outputs, 1) };
  return { h: at(outputs, 0), c: at(outputs, 1), pre: at(outputs, 2) };
}

/** The rows of this file, for tables of all ops. */
export const updateOps: readonly Op[] = [updateOp, updateBackwardOp] as readonly Op[];

/** Columns of rest: the states, the mask and p. */
function restWidth(cell: 'lstm' | 'gru', hidden: number): number {
  return (cell === 'lstm' ? 2 * hidden : hidden) + 2;
}

/** The sizes of an update. @throws ShapeError */
function sizesOf(
  [context, w, rest, bias]: readonly Tensor[],
  { gated, cell, hidden }: RimUpdateOptions,
): { rows: number; modules: number; inner: number; outputs: number; shared: boolean } {
  const [rows = 0, modules = 0, inner = 0] = context?.shape ?? [];
  const shared = w?.shape.length === 2;
  const outputs = gated ? 2 * hidden : hidden;
  const own = shared ? [] : [modules];
  const wanted: readonly (readonly [string, Tensor | undefined, Shape])[] = [
    ['context', context, [rows, modules, inner]],
    ['w', w, [...own, inner, outputs]],
    ['rest', rest, [rows, modules, restWidth(cell, hidden)]],
    ...(bias === undefined ? [] : [['bias', bias, [...own, outputs]] as const]),
  ];
  for (const [name, tensor, shape] of wanted) {
    if (tensor?.dtype !== 'f32' || !sameShape(tensor.shape, shape)) {
      const given = tensor === undefined ? 'nothing' : `${tensor.dtype} ${formatShape(tensor.shape)}`;
      throw new ShapeError(
        `rimUpdate: ${name} must be f32 ${formatShape(shape)}, for ${gated ? 'gated' : 'plain'} states of ${hidden}, not ${given}`,
      );
    }
  }
  return { rows, modules, inner, outputs, shared };
}

/** The smallest power of 2 that is at least x. */
function powerOfTwo(x: number): number {
  return 2 ** Math.ceil(Math.log2(x));
}
