// The first half of a fused RIM step as one op: scores of all modules, the choice of the K active ones, their gates, and
// what an inactive module keeps; one kernel forward and one backward for either kind of module.
//
// The products with the weights are not here: z comes from the state, dU and keys from the input, before the loop. With one
// input row and one head, the softmax over null row and input is a sigmoid p of the log-odds, so that what enters the gates
// is U_0 + p (U_x - U_0): dU is the difference. No gradient passes through the choice.

import { concat, einsum, fill, mul, reshape, type Shape, sigmoid, slice, sum, type Tensor } from '../engine/core.ts';
import { at, formatShape, OptionError, ShapeError } from '../engine/errors.ts';
import { apply, gridOf, type Op } from '../engine/op.ts';
import { type Spec, sameShape } from '../engine/tensor.ts';
import { rimGru as gruKernel, rimLstm as lstmKernel, rimGruBackward, rimLstmBackward } from '../kernels/catalogue.ts';
import type { CellOptions } from './options.ts';
import { gateCount } from './weights.ts';

/** Most modules: the kernels rank them in the memory of a workgroup. */
export const MOST_MODULES: number = lstmKernel.constants.MODULES.value;

/** What the op does. */
export interface RimGatesOptions {
  readonly cell: CellOptions['cell'];
  /** K, 1 to N. */
  readonly active: number;
  /** What others read of an inactive module: its h, or its candidate, without gradient. */
  readonly sources: CellOptions['sources'];
}

interface RimGatesAttrs extends RimGatesOptions {
  readonly hidden: number;
  readonly keySize: number;
}

/** The sizes of a call, in the letters of the design. */
interface Sizes {
  readonly B: number;
  readonly N: number;
  readonly H: number;
  readonly E: number;
  readonly G: number;
  /** Columns of `rest`. */
  readonly R: number;
}

/** Inputs z, dU, keys, h, and c (LSTM) or u0 (GRU); outputs source, rest and saved. */
const rimGatesOp: Op<RimGatesAttrs> = {
  name: 'rimGates',
  infer: (inputs, attrs) => {
    const sizes = sizesOf(at(inputs, 1), attrs);
    const { B, N, H, E, G, R } = sizes;
    const { cell, active } = attrs;
    if (N > MOST_MODULES) {
      throw new OptionError(
        `rimGates: ${N} modules; at most ${MOST_MODULES} are ranked, build larger cells of plain ops`,
      );
    }
    if (!Number.isInteger(active) || active < 1 || active > N) {
      throw new OptionError(`rimGates: ${active} active modules; give a whole number from 1 to ${N}`);
    }
    const last: Shape = cell === 'lstm' ? [B, N, H] : [N, G * H];
    checkShapes('rimGates', ['z', 'dU', 'keys', 'h', cell === 'lstm' ? 'c' : 'u0'], inputs, [
      [B, N, G * H + E],
      [B, N, G * H],
      [B, 2, E],
      [B, N, H],
      last,
    ]);
    return [f32([B, N, H]), f32([B, N, R]), f32([B, savedOf(sizes).length])];
  },
  plan: (emit, node) => {
    const { cell, active, sources } = node.attrs;
    const { B, N, H, E, G } = sizesOf(at(node.inputs, 1), node.attrs);
    const groupsOfRow = Math.ceil((N * H) / lstmKernel.constants.LANES.value);
    const [z, dU, keys, h] = four(emit.inputs);
    const last = at(emit.inputs, 4);
    const [source, rest, saved] = [at(emit.outputs, 0), at(emit.outputs, 1), at(emit.outputs, 2)];
    const call = {
      uniforms: { rows: B, modules: N, hidden: H, keySize: E, topK: active, groupsOfRow },
      constants: { KEPT: sources === 'kept' },
      workgroups: gridOf(B * groupsOfRow, 1),
      operations: B * N * (4 * E + 10 * G * H),
    } as const;
    if (cell === 'lstm') emit.call(lstmKernel, { buffers: { z, dU, keys, h, c: last, source, rest, saved }, ...call });
    else emit.call(gruKernel, { buffers: { z, dU, keys, h, u0: last, source, rest, saved }, ...call });
  },
  backward: (node, [dsource, drest]) => {
    if (dsource === undefined && drest === undefined) return [];
    const { inputs, outputs, attrs } = node;
    const sizes = sizesOf(at(inputs, 1), attrs);
    const { B, N, H, E, G, R } = sizes;
    const part = savedOf(sizes);
    const saved = at(outputs, 2);
    const [dz, dh, last, dodds] = four(
      apply(
        rimGatesBackwardOp,
        [saved, at(inputs, 1), dsource ?? fill(0, [B, N, H]), drest ?? fill(0, [B, N, R])],
        attrs,
      ),
    );
    // What follows does not depend on the steps before: a scan computes it once, of all steps.
    const da = attrs.cell === 'lstm' ? slice(dz, 2, 0, G * H) : last;
    const p = sigmoid(reshape(slice(saved, 1, part.odds, N), [B, N, 1]));
    const query = reshape(slice(saved, 1, part.query, N * E), [B, N, E]);
    const dkey = reshape(einsum('bn,bne->be', dodds, query), [B, 1, E]);
    const dkeys = concat([dkey, fill(0, [B, 1, E])], 1);
    return [dz, mul(p, da), dkeys, dh, attrs.cell === 'lstm' ? last : sum(da, { axes: [0] })];
  },
};

/**
 * Inputs saved, dU, dsource and drest. Outputs dz [B,N,G*H+E], dh [B,N,H] without what reaches h by way of z, for an LSTM dc
 * [B,N,H], for a GRU the gradient of the input's gates [B,N,3H], and that of the log-odds [B,N].
 */
const rimGatesBackwardOp: Op<RimGatesAttrs> = {
  name: 'rimGatesBackward',
  infer: (inputs, attrs) => {
    const sizes = sizesOf(at(inputs, 1), attrs);
    const { B, N, H, E, G, R } = sizes;
    checkShapes('rimGatesBackward', ['saved', 'dU', 'dsource', 'drest'], inputs, [
      [B, savedOf(sizes).length],
      [B, N, G * H],
      [B, N, H],
      [B, N, R],
    ]);
    const last: Shape = attrs.cell === 'lstm' ? [B, N, H] : [B, N, G * H];
    return [f32([B, N, G * H + E]), f32([B, N, H]), f32(last), f32([B, N])];
  },
  plan: (emit, node) => {
    const { cell, sources } = node.attrs;
    const { B, N, H, E, G } = sizesOf(at(node.inputs, 1), node.attrs);
    const [saved, dU, dsource, drest] = four(emit.inputs);
    const [dz, dh, last, dodds] = four(emit.outputs);
    const call = {
      uniforms: { rows: B, modules: N, hidden: H, keySize: E },
      constants: { KEPT: sources === 'kept' },
      workgroups: gridOf(B * N, 1),
      operations: B * N * (E + 20 * G * H),
    } as const;
    if (cell === 'lstm') {
      emit.call(rimLstmBackward, { buffers: { saved, dU, dsource, drest, dz, dh, dc: last, dodds }, ...call });
    } else {
      emit.call(rimGruBackward, { buffers: { saved, dU, dsource, drest, dz, dh, da: last, dodds }, ...call });
    }
  },
  backward: () => {
    throw new OptionError('rimGates: the gradient of its gradient is not written; build the cell of plain ops for it');
  },
};

/** What the op is given; all f32. */
export interface RimGatesInputs {
  /** [B,N,G*H+E]: the state's gates, in the order i f g o or r z n, then the query. For an LSTM with all biases and U_0. */
  readonly z: Tensor;
  /** [B,N,G*H]: the gates of the input row less those of the null row, U_x - U_0. */
  readonly dU: Tensor;
  /** [B,2,E]: the key of the log-odds, (k_x - k_0) / sqrt(E), and the key of the score that ranks. */
  readonly keys: Tensor;
  /** [B,N,H] */
  readonly h: Tensor;
  /** LSTM: [B,N,H]. */
  readonly c?: Tensor;
  /** GRU: [N,3H], the gates of the null row, U_0, with the input's bias. */
  readonly u0?: Tensor;
}

/** What comes out. */
export interface RimGatesOutputs {
  /** [B,N,H]: what the modules read of each other. */
  readonly source: Tensor;
  /** LSTM: [B,N,2H+2], h before communication, c', mask and p; GRU: [B,N,H+2], the same without c'. */
  readonly rest: Tensor;
}

/**
 * Scores, choice and dynamics of one RIM step (Goyal et al. 2019, sections 2.2 and 2.3), for one input row and one head.
 *
 * p = sigmoid(<query, keys[0]>); active are the K modules of greatest <query, keys[1]>, of equal ones the lowest. Gates of
 * an LSTM: z + p dU; of a GRU: the input's u0 + p dU, the state's z. h~ and c~ follow as in lstmGates and gruGates. `rest`
 * holds h~ and c~ of active modules and h and c of the others, bit for bit; `source` the same h ('kept'), or h~ of all
 * modules, whose gradient is dropped for inactive ones ('candidate').
 * @throws ShapeError where shapes do not fit together; OptionError for more than 64 modules or K out of range
 */
export function rimGates(inputs: RimGatesInputs, options: RimGatesOptions): RimGatesOutputs {
  const { z, dU, keys, h } = inputs;
  const { cell, active, sources } = options;
  const last = cell === 'lstm' ? inputs.c : inputs.u0;
  if (last === undefined) throw new OptionError(`rimGates: a ${cell} needs ${cell === 'lstm' ? 'c' : 'u0'} beside h`);
  const attrs = { cell, active, sources, hidden: at(h.shape, 2), keySize: at(keys.shape, 2) };
  const outputs = apply(rimGatesOp, [z, dU, keys, h, last], attrs);
  return { source: at(outputs, 0), rest: at(outputs, 1) };
}

/** The rows of this file. */
export const rimGatesOps: readonly Op[] = [rimGatesOp, rimGatesBackwardOp] as readonly Op[];

function sizesOf(dU: Tensor, { cell, hidden: H, keySize: E }: RimGatesAttrs): Sizes {
  const [B = 0, N = 0] = dU.shape;
  return { B, N, H, E, G: gateCount(cell), R: cell === 'lstm' ? 2 * H + 2 : H + 2 };
}

/**
 * Where the parts of a row of `saved` begin, and its length. First [N,5H], before their functions: i f g o and c, or r z n,
 * the state's share of n, and h; zeros where nothing was computed. Then log-odds [N], mask [N], query [N,E], keys[0] [E].
 */
function savedOf({ N, H, E }: Sizes): { odds: number; mask: number; query: number; key: number; length: number } {
  const odds = 5 * N * H;
  const query = odds + 2 * N;
  const key = query + N * E;
  return { odds, mask: odds + N, query, key, length: key + E };
}

function four<T>(values: readonly T[]): [T, T, T, T] {
  return [at(values, 0), at(values, 1), at(values, 2), at(values, 3)];
}

function f32(shape: Shape): Spec {
  return { shape, dtype: 'f32' };
}

/** Refuses inputs that are not f32 tensors of these shapes. */
function checkShapes(
  where: string,
  names: readonly string[],
  inputs: readonly Tensor[],
  wanted: readonly Shape[],
): void {
  names.forEach((name, i) => {
    const { dtype, shape } = at(inputs, i);
    if (dtype !== 'f32' || !sameShape(shape, at(wanted, i))) {
      throw new ShapeError(
        `${where}: ${name} must be f32 ${formatShape(at(wanted, i))}, not ${dtype} ${formatShape(shape)}`,
      );
    }
  });
}
