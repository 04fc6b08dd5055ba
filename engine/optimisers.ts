// Optimisers: makers of updates. Each takes gradients and returns one update of all parameters, which changes parameters and
// moments in place at the end of a run, exactly as PyTorch computes them.
//
// Always true: every gradient is read as it was before the update; all parameters together take a handful of kernel calls
// (fused-update.ts), and one more prepares what they share; the learning rate is a tensor, so that a schedule is a feed and
// never a recompile; clipping is a factor that the kernels apply, not a copy of the gradients. Parameters that no
// program was planned with before share storage from then on; all that one optimiser updates live on one device. State
// Variables are named `adam.m.<parameter>`, and the returned list carries them as `variables`, for checkpoints. Not here: what
// all are given and check (parameter-groups.ts), clipping itself (clip.ts), learning rates over time (schedules.ts).

import { adam as adamKernel, rmsprop as rmspropKernel, sgd as sgdKernel, updateControl } from '../kernels/catalogue.ts';
import { at, checkOptions, need, OptionError } from './errors.ts';
import { type FusedCall, fusedCalls } from './fused-update.ts';
import { type Emitter, gridOf, type View } from './op.ts';
import { constant } from './ops/leaf.ts';
import {
  COMMON,
  checkEpsilon,
  checkShare,
  type OptimiserOptions,
  type ParameterGradients,
  type Prepared,
  prepare,
  zeros,
} from './parameter-groups.ts';
import type { Tensor } from './tensor.ts';
import type { Update, UpdateOp } from './update.ts';
import type { Variable } from './variable.ts';

export type { OptimiserOptions, ParameterGradients, ParameterGroup } from './parameter-groups.ts';

/** Options of stochastic gradient descent. */
export interface SgdOptions extends OptimiserOptions {
  /** Share of the last step's direction that is kept, from 0 to below 1. Default 0. */
  readonly momentum?: number;
  /** Look ahead along the momentum (Nesterov). Default false. */
  readonly nesterov?: boolean;
}

/** Options of RMSprop. */
export interface RmspropOptions extends OptimiserOptions {
  /** Share of the mean square that is kept, from 0 to below 1. Default 0.99. */
  readonly alpha?: number;
  /** Added to the root of the mean square. Default 1e-8. */
  readonly epsilon?: number;
  /** Share of the last step that is kept, from 0 to below 1. Default 0. */
  readonly momentum?: number;
  /** Divide by the standard deviation, not by the root of the mean square. Default false. */
  readonly centered?: boolean;
}

/** Options of Adam and AdamW. */
export interface AdamOptions extends OptimiserOptions {
  /** Shares of the means of gradient and squared gradient that are kept, from 0 to below 1. Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Added to the root of the mean square. Default 1e-8. */
  readonly epsilon?: number;
}

/** Updates for `compile`, in their order, and what belongs to them. */
export type Optimiser = readonly Update[] & {
  /** All state: moments and corrections. To be saved and restored with the parameters. */
  readonly variables: readonly Variable[];
  /** The norm that was clipped by, [], before clipping; undefined without `clipNorm`. */
  readonly norm: Tensor | undefined;
};

/**
 * Stochastic gradient descent: g = gradient + weightDecay p; with momentum, m = momentum m + g takes the place of g (with
 * nesterov, g + momentum m); p = p - learningRate g. As torch.optim.SGD with dampening 0.
 * @throws OptionError for options or parameters that do not fit; ShapeError for a gradient of another shape
 */
export function sgd(gradients: ParameterGradients, options: SgdOptions): Optimiser {
  checkOptions('sgd', options, [...COMMON, 'momentum', 'nesterov']);
  const { momentum = 0, nesterov = false } = options;
  checkShare('sgd', 'momentum', momentum);
  if (nesterov && momentum === 0) throw new OptionError('sgd: nesterov needs a momentum above 0, such as 0.9');
  const prepared = prepare('sgd', gradients, options, 0);
  return optimiser(sgdOp, prepared, momentum > 0 ? ['momentum'] : [], undefined, { momentum, nesterov });
}

/**
 * RMSprop (Tieleman and Hinton 2012): v = alpha v + (1 - alpha) g^2, p = p - learningRate g / (sqrt(v) + epsilon), as
 * torch.optim.RMSprop. `centered` takes v - mean(g)^2, held at 0 or above, in place of v.
 * @throws OptionError for options or parameters that do not fit; ShapeError for a gradient of another shape
 */
export function rmsprop(gradients: ParameterGradients, options: RmspropOptions): Optimiser {
  checkOptions('rmsprop', options, [...COMMON, 'alpha', 'epsilon', 'momentum', 'centered']);
  const { alpha = 0.99, epsilon = 1e-8, momentum = 0, centered = false } = options;
  checkShare('rmsprop', 'alpha', alpha);
  checkShare('rmsprop', 'momentum', momentum);
  checkEpsilon('rmsprop', epsilon);
  const prepared = prepare('rmsprop', gradients, options, 0);
  const kinds = ['v', ...(momentum > 0 ? ['momentum'] : []), ...(centered ? ['mean'] : [])];
  return optimiser(rmspropOp, prepared, kinds, undefined, { epsilon, alpha, momentum, centered });
}

/**
 * Adam (Kingma and Ba 2014): m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, both divided by 1 - beta^t, and
 * p = p - learningRate m / (sqrt(v) + epsilon), as torch.optim.Adam; weight decay joins the gradient.
 * @throws OptionError for options or parameters that do not fit; ShapeError for a gradient of another shape
 */
export function adam(gradients: ParameterGradients, options: AdamOptions): Optimiser {
  return adamLike('adam', gradients, options, false);
}

/**
 * AdamW (Loshchilov and Hutter 2017): Adam whose weight decay shrinks the parameter itself, p = p (1 - learningRate
 * weightDecay), and stays out of the moments, as torch.optim.AdamW. Its default weight decay is 0.01.
 * @throws OptionError for options or parameters that do not fit; ShapeError for a gradient of another shape
 */
export function adamw(gradients: ParameterGradients, options: AdamOptions): Optimiser {
  return adamLike('adamw', gradients, options, true);
}

function adamLike(where: string, gradients: ParameterGradients, options: AdamOptions, decoupled: boolean): Optimiser {
  checkOptions(where, options, [...COMMON, 'betas', 'epsilon']);
  const { betas = [0.9, 0.999], epsilon = 1e-8 } = options;
  if (betas.length !== 2) throw new OptionError(`${where}: betas are two numbers, not ${betas.length}`);
  for (const beta of betas) checkShare(where, 'betas', beta);
  checkEpsilon(where, epsilon);
  const prepared = prepare(where, gradients, options, decoupled ? 0.01 : 0);
  const correction = zeros(`${prepared.prefix}.correction`, [2]);
  return optimiser(adamOp, prepared, ['m', 'v'], correction, { epsilon, betas, decoupled });
}

// ---- what the updates have in common

/** What a row knows beside the numbers of its rule. Of `variables`: all parameters, all moments kind by kind, a correction. */
interface Shared {
  /** Of each parameter: which rate is its, and its weight decay. */
  readonly own: readonly { readonly rate: number; readonly decay: number }[];
  /** How many moments a parameter has. */
  readonly kinds: number;
  /** The largest norm of the gradients. */
  readonly most: number | undefined;
}

/**
 * The update of all parameters, and the list with its state. Inputs: the gradients, the rates, and the norm to clip by, or
 * without clipping the control of a step that nothing else shares.
 */
function optimiser<A extends object>(
  op: UpdateOp<A & Shared>,
  { parameters, rates, clip, guard, states }: Prepared,
  kinds: readonly string[],
  correction: Variable | undefined,
  rule: A,
): Optimiser {
  const moments = kinds.map(states);
  const corrections = correction === undefined ? [] : [correction];
  const update: Update<A & Shared> = {
    op,
    ...(guard && { guard }),
    variables: [...parameters.map(({ variable }) => variable), ...moments.flat(), ...corrections],
    inputs: [...parameters.map(({ gradient }) => gradient), rates, clip?.norm ?? constant([1, 0, 0, 0], [4])],
    attrs: {
      ...rule,
      own: parameters.map(({ rate, decay }) => ({ rate, decay })),
      kinds: kinds.length,
      most: clip?.most,
    },
  };
  const variables = [...corrections, ...parameters.flatMap((_, i) => moments.map((kind) => at(kind, i)))];
  return Object.assign([update as Update], { variables, norm: clip?.norm });
}

/** The gradients of an update: what lies together. */
function together({ inputs }: Update): readonly Tensor[] {
  return inputs.slice(0, -2);
}

interface ElementKernel {
  readonly constants: { readonly WORKGROUP: { readonly value: number }; readonly ELEMENTS: { readonly value: number } };
}

/** The calls of an update, and what they share. */
function callsOf(
  emit: Emitter,
  { variables, attrs: { own, kinds } }: Update<Shared>,
  { constants: { WORKGROUP, ELEMENTS } }: ElementKernel,
  buffers: number,
): (FusedCall & { readonly rates: View; readonly workgroups: readonly [number, number, number] })[] {
  const count = own.length;
  const parameters = own.map(({ rate, decay }, i) => ({
    size: at(variables, i).size,
    gradient: at(emit.inputs, i),
    weight: at(emit.outputs, i),
    states: Array.from({ length: kinds }, (_, kind) => at(emit.outputs, count * (1 + kind) + i)),
    rate,
    decay,
  }));
  const rates = at(emit.inputs, count);
  return fusedCalls(emit, parameters, buffers, WORKGROUP.value * ELEMENTS.value).map((call) => ({
    ...call,
    rates,
    workgroups: gridOf(call.blocks, 1),
  }));
}

/** What all parameters of a step share, [4]: see kernels/update-control.wgsl. @param d the bias corrections, [2] */
function emitControl(
  emit: Emitter,
  { own, most }: Shared,
  betas: readonly [number, number] | undefined,
  d: View | undefined,
): View {
  const norm = at(emit.inputs, own.length + 1);
  // What a guard leaves is the control of a step that is neither clipped nor corrected.
  if (most === undefined && betas === undefined) return emit.verdict ?? norm;
  const control = emit.scratch(4);
  emit.call(updateControl, {
    buffers: { verdict: emit.verdict ?? emit.zero(), norm, d: d ?? emit.scratch(2), control },
    uniforms: {
      maxNorm: most ?? 0,
      betas: betas ?? [0, 0],
      complements: betas === undefined ? [0, 0] : complementsOf(betas),
    },
    constants: { CLIP: most !== undefined, CORRECT: betas !== undefined },
    workgroups: [1, 1, 1],
  });
  return control;
}

/** 1 - beta, rounded once. */
function complementsOf(betas: readonly [number, number]): [number, number] {
  return [1 - betas[0], 1 - betas[1]];
}

// ---- the rows of the updates

interface SgdAttrs extends Shared {
  readonly momentum: number;
  readonly nesterov: boolean;
}

const sgdOp: UpdateOp<SgdAttrs> = {
  name: 'sgd',
  together,
  plan: (emit, update) => {
    const { momentum, nesterov } = update.attrs;
    const control = emitControl(emit, update.attrs, undefined, undefined);
    for (const call of callsOf(emit, update, sgdKernel, 4)) {
      const { gradient, rates, states, weights, parameters, blocks, rows, workgroups, operations } = call;
      const [p0, p1, p2, p3] = [at(weights, 0), at(weights, 1), at(weights, 2), at(weights, 3)];
      emit.call(sgdKernel, {
        buffers: { gradient, rates, control, m: states[0] ?? emit.scratch(1), p0, p1, p2, p3 },
        uniforms: { parameters, blocks, momentum, rows },
        constants: { MOMENTUM: momentum > 0, NESTEROV: nesterov },
        workgroups,
        operations,
      });
    }
  },
};

interface RmspropAttrs extends Shared {
  readonly epsilon: number;
  readonly alpha: number;
  readonly momentum: number;
  readonly centered: boolean;
}

const rmspropOp: UpdateOp<RmspropAttrs> = {
  name: 'rmsprop',
  together,
  plan: (emit, update) => {
    const { epsilon, alpha, momentum, centered } = update.attrs;
    const moving = momentum > 0;
    const control = emitControl(emit, update.attrs, undefined, undefined);
    for (const call of callsOf(emit, update, rmspropKernel, 2)) {
      const { gradient, rates, states, weights, parameters, blocks, rows, workgroups, operations } = call;
      const m = moving ? at(states, 1) : emit.scratch(1);
      const a = centered ? at(states, moving ? 2 : 1) : emit.scratch(1);
      emit.call(rmspropKernel, {
        buffers: { gradient, rates, control, v: at(states, 0), m, a, p0: at(weights, 0), p1: at(weights, 1) },
        uniforms: { parameters, blocks, epsilon, momentum, alpha, complement: 1 - alpha, rows },
        constants: { MOMENTUM: moving, CENTERED: centered },
        workgroups,
        operations,
      });
    }
  },
};

interface AdamAttrs extends Shared {
  readonly epsilon: number;
  readonly betas: readonly [number, number];
  readonly decoupled: boolean;
}

const adamOp: UpdateOp<AdamAttrs> = {
  name: 'adam',
  together,
  plan: (emit, update) => {
    const { epsilon, betas, decoupled } = update.attrs;
    const control = emitControl(emit, update.attrs, betas, need(emit.outputs.at(-1), 'the correction'));
    for (const call of callsOf(emit, update, adamKernel, 3)) {
      const { gradient, rates, states, weights, parameters, blocks, rows, workgroups, operations } = call;
      const [m, v] = [at(states, 0), at(states, 1)];
      const [p0, p1, p2] = [at(weights, 0), at(weights, 1), at(weights, 2)];
      emit.call(adamKernel, {
        buffers: { gradient, rates, control, m, v, p0, p1, p2 },
        uniforms: { parameters, blocks, epsilon, betas, complements: complementsOf(betas), rows },
        constants: { DECOUPLED: decoupled },
        workgroups,
        operations,
      });
    }
  },
};
