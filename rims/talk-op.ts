// Communication's attention as one op: from queries, keys and values of all modules in one tensor to what each module reads,
// head by head (eq. 5 and 6 of the paper). All modules read; whose reading counts is decided by the update (update-op.ts).
// Which sources a reader keeps is no part of the gradient: the others have probability 0 and gradient 0.

import { at, formatShape, OptionError, ShapeError } from '../engine/errors.ts';
import { apply, applyOne, gridOf, type Op } from '../engine/op.ts';
import { fill } from '../engine/ops/leaf.ts';
import { NAN_BITS } from '../engine/ops/rows.ts';
import { type Shape, sameShape, sizeOf, type Tensor } from '../engine/tensor.ts';
import { rimTalkBackward as backwardKernel, rimTalk as forwardKernel } from '../kernels/catalogue.ts';

/** Lanes of a workgroup, each of which does one module backward. */
const LANES: number = backwardKernel.constants.LANES.value;

/** Most modules: those of a head are in one workgroup, and the gradients of their scores then fill its memory. */
export const MOST_TALKING: number = LANES;

/** The sizes of the attention. */
export interface RimTalkOptions {
  /** C */
  readonly heads: number;
  /** F */
  readonly keySize: number;
  /** W */
  readonly valueSize: number;
  /** Sources that a reader keeps in each head, the greatest scores, of equal ones the lowest module; N: all. */
  readonly topK: number;
}

/** Input qkv [B,N,2*C*F+C*W]; outputs context [B,N,C*W] and probabilities [B,C,N,N]. */
const talkOp: Op<RimTalkOptions> = {
  name: 'rimTalk',
  infer: ([qkv], attrs) => {
    const { context, probabilities } = shapesOf(qkv, attrs);
    return [
      { shape: context, dtype: 'f32' },
      { shape: probabilities, dtype: 'f32' },
    ];
  },
  plan: (emit, { outputs, attrs }) => {
    const { shape } = at(outputs, 1);
    const [rows = 1, heads = 1, modules = 1] = shape;
    const { keySize, valueSize, topK } = attrs;
    const count = rows * heads * modules;
    emit.call(forwardKernel, {
      buffers: { qkv: at(emit.inputs, 0), context: at(emit.outputs, 0), probabilities: at(emit.outputs, 1) },
      uniforms: { heads, modules, keySize, valueSize, count, topK, nan: NAN_BITS, scale: 1 / Math.sqrt(keySize) },
      constants: { TOP_K: topK < modules },
      workgroups: gridOf(count, forwardKernel.constants.WORKGROUP.value),
      operations: 2 * sizeOf(shape) * (keySize + valueSize),
    });
  },
  backward: ({ inputs, outputs, attrs }, [dcontext, dprobabilities]) => {
    if (dcontext === undefined && dprobabilities === undefined) return [];
    const context = dcontext ?? fill(0, at(outputs, 0).shape);
    const arriving = dprobabilities === undefined ? [] : [dprobabilities];
    return [applyOne(talkBackwardOp, [at(inputs, 0), at(outputs, 1), context, ...arriving], attrs)];
  },
};

/** Inputs qkv, probabilities, dcontext, and dprobabilities where there is one; output dqkv. */
const talkBackwardOp: Op<RimTalkOptions> = {
  name: 'rimTalkBackward',
  infer: ([qkv, p, dcontext, dp], attrs) => {
    const { context, probabilities } = shapesOf(qkv, attrs);
    const fits = (tensor: Tensor | undefined, shape: Shape): boolean =>
      tensor?.dtype === 'f32' && sameShape(tensor.shape, shape);
    if (!fits(p, probabilities) || !fits(dcontext, context) || (dp !== undefined && !fits(dp, probabilities))) {
      throw new ShapeError(
        `rimTalkBackward: takes probabilities ${formatShape(probabilities)} and gradients of ${formatShape(context)} and of those`,
      );
    }
    return [{ shape: qkv?.shape ?? [], dtype: 'f32' }];
  },
  plan: (emit, { inputs, attrs }) => {
    const { shape } = at(inputs, 1);
    const [rows = 1, heads = 1, modules = 1] = shape;
    const { keySize, valueSize } = attrs;
    const perGroup = Math.floor(LANES / modules);
    const arrives = inputs.length > 3;
    emit.call(backwardKernel, {
      buffers: {
        qkv: at(emit.inputs, 0),
        p: at(emit.inputs, 1),
        dcontext: at(emit.inputs, 2),
        dp: arrives ? at(emit.inputs, 3) : emit.zero(),
        dqkv: at(emit.outputs, 0),
      },
      uniforms: { heads, modules, keySize, valueSize, pairs: rows * heads, perGroup, scale: 1 / Math.sqrt(keySize) },
      constants: { SCORES: perGroup * modules * modules, PROBABILITIES: arrives },
      workgroups: gridOf(rows * heads, perGroup),
      operations: 4 * sizeOf(shape) * (keySize + valueSize),
    });
  },
  backward: () => {
    throw new OptionError(
      'rimTalk: the gradient of its gradient is not written; build the attention from einsum and softmax where you need one',
    );
  },
};

/**
 * One round of attention among modules, without the projections. Each head c has its chunk of queries, keys and values:
 * scores q·k / sqrt(F), softmax over the sources kept, and context[b,n,c*W+w] = sum over m of p[b,c,n,m] v[b,m,c*W+w].
 * A row in which a score is NaN or +infinity is NaN.
 * @param qkv [B,N,C*F + C*F + C*W]: queries, keys and values, heads side by side in each
 * @returns context [B,N,C*W] and probabilities [B,C,N,N], reader then source
 * @throws ShapeError where the last size is not 2*C*F + C*W or there are more than 64 modules; OptionError for a K that is none
 */
export function rimTalk(
  qkv: Tensor,
  options: RimTalkOptions,
): { readonly context: Tensor; readonly probabilities: Tensor } {
  const { heads, keySize, valueSize, topK } = options;
  const outputs = apply(talkOp, [qkv], { heads, keySize, valueSize, topK });
  return { context: at(outputs, 0), probabilities: at(outputs, 1) };
}

/** The rows of this file, for tables of all ops. */
export const talkOps: readonly Op[] = [talkOp, talkBackwardOp] as readonly Op[];

/** Shapes of what qkv gives. @throws ShapeError, OptionError */
function shapesOf(qkv: Tensor | undefined, attrs: RimTalkOptions): { context: Shape; probabilities: Shape } {
  const { heads, keySize, valueSize, topK } = attrs;
  const [rows, modules, width] = qkv?.shape ?? [];
  const wanted = heads * (2 * keySize + valueSize);
  if (
    rows === undefined ||
    modules === undefined ||
    qkv?.shape.length !== 3 ||
    qkv.dtype !== 'f32' ||
    width !== wanted
  ) {
    const given = qkv === undefined ? 'nothing' : `${qkv.dtype} ${formatShape(qkv.shape)}`;
    throw new ShapeError(
      `rimTalk: takes an f32 tensor [B,N,${wanted}], for ${heads} heads of two keys of ${keySize} and a value of ${valueSize}, not ${given}`,
    );
  }
  if (modules > MOST_TALKING) {
    throw new ShapeError(
      `rimTalk: ${modules} modules are more than the ${MOST_TALKING} that a workgroup holds; use einsum and softmax`,
    );
  }
  if (!Number.isInteger(topK) || topK < 1 || topK > modules) {
    throw new OptionError(
      `rimTalk: topK is ${topK}; choose a whole number from 1 to ${modules}, the modules there are`,
    );
  }
  return { context: [rows, modules, heads * valueSize], probabilities: [rows, heads, modules, modules] };
}
