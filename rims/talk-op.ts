// Communication's attention as one op: from queries, keys and values of all modules in one tensor to what each module reads,
// head by head (eq. 5 and 6 of the paper). All modules read; whose reading counts is decided by the update (update-op.ts).
// Which sources a reader keeps is no part of the gradient: the others have probability 0 and gradient 0.

import { at, formatShape, OptionError, ShapeError } from '../engine/errors.ts';
import { apply, applyOne, gridOf, type Op } from '../engine/op.ts';
import { fill } from '../engine/ops/leaf.ts';
import { NAN_BITS } from '../engine/ops/rows.ts';
import { type Shape, sameShape, type Tensor } from '../engine/tensor.ts';
import {
  rimTalk as forwardKernel,
  rimTalkBackward as readersKernel,
  rimTalkBackwardSources as sourcesKernel,
} from '../kernels/catalogue.ts';

/** Most modules: an invocation compares each source of its reader with each other, which more would make slow. */
export const MOST_TALKING = 64;

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
    const { uniforms, workgroups, operations } = gridOfModules(at(outputs, 1), attrs);
    emit.call(forwardKernel, {
      buffers: { qkv: at(emit.inputs, 0), context: at(emit.outputs, 0), probabilities: at(emit.outputs, 1) },
      uniforms: { ...uniforms, topK: attrs.topK, nan: NAN_BITS, scale: 1 / Math.sqrt(attrs.keySize) },
      constants: { TOP_K: attrs.topK < uniforms.modules },
      workgroups,
      operations,
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
    const [qkv, p, dcontext, dqkv] = [at(emit.inputs, 0), at(emit.inputs, 1), at(emit.inputs, 2), at(emit.outputs, 0)];
    const { uniforms, workgroups, operations } = gridOfModules(at(inputs, 1), attrs);
    const arrives = inputs.length > 3;
    const slopes = emit.scratch(at(inputs, 1).size);
    emit.call(readersKernel, {
      buffers: { qkv, p, dcontext, dp: arrives ? at(emit.inputs, 3) : emit.zero(), slopes, dqkv },
      uniforms: { ...uniforms, scale: 1 / Math.sqrt(attrs.keySize) },
      constants: { PROBABILITIES: arrives },
      workgroups,
      operations,
    });
    emit.call(sourcesKernel, { buffers: { qkv, p, dcontext, slopes, dqkv }, uniforms, workgroups, operations });
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
      `rimTalk: ${modules} modules are more than the ${MOST_TALKING} that it is made for; use einsum and softmax`,
    );
  }
  if (!Number.isInteger(topK) || topK < 1 || topK > modules) {
    throw new OptionError(
      `rimTalk: topK is ${topK}; choose a whole number from 1 to ${modules}, the modules there are`,
    );
  }
  return { context: [rows, modules, heads * valueSize], probabilities: [rows, heads, modules, modules] };
}

/** What the kernels share: an invocation a module, in every head of every batch row. */
function gridOfModules(
  probabilities: Tensor,
  { keySize, valueSize }: RimTalkOptions,
): {
  uniforms: Readonly<Record<'heads' | 'modules' | 'keySize' | 'valueSize' | 'count', number>>;
  workgroups: [number, number, number];
  operations: number;
} {
  const [, heads = 1, modules = 1] = probabilities.shape;
  const count = probabilities.size / modules;
  return {
    uniforms: { heads, modules, keySize, valueSize, count },
    workgroups: gridOf(count, forwardKernel.constants.WORKGROUP.value),
    operations: 2 * count * modules * (keySize + valueSize),
  };
}
