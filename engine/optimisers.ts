// Optimisers: makers of updates. Each takes gradients and returns one update a parameter (and one for Adam's bias
// correction, first), which change parameter and moments in place at the end of a run, exactly as PyTorch computes them.
//
// Always true: every gradient is read as it was before the first update; no pair of updates changes the same Variable; the
// learning rate is a tensor, so that a schedule is a feed and never a recompile; clipping is a factor that the kernels
// apply, not a copy of the gradients. State Variables are named `adam.m.<parameter>`, and the returned list carries them
// as `variables`, for checkpoints. Not here: what all are given and check (parameter-groups.ts), clipping itself (clip.ts),
// learning rates over time (schedules.ts).

import {
  adamCorrection,
  adam as adamKernel,
  rmsprop as rmspropKernel,
  sgd as sgdKernel,
} from '../kernels/catalogue.ts';
import { at, checkOptions, OptionError } from './errors.ts';
import { gridOf } from './op.ts';
import {
  COMMON,
  checkEpsilon,
  checkShare,
  type OptimiserOptions,
  type ParameterGradients,
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
  const { parameters, scale, norm, state } = prepare('sgd', gradients, options, 0);
  const updates = parameters.map(({ variable, gradient, rate, decay }): Update => {
    const moments = momentum > 0 ? [state('momentum', variable)] : [];
    const attrs: SgdAttrs = { decay, momentum, nesterov };
    return { op: sgdOp, variables: [variable, ...moments], inputs: [gradient, rate, scale], attrs };
  });
  return optimiser(updates, norm);
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
  const { parameters, scale, norm, state } = prepare('rmsprop', gradients, options, 0);
  const updates = parameters.map(({ variable, gradient, rate, decay }): Update => {
    const kinds = ['v', ...(momentum > 0 ? ['momentum'] : []), ...(centered ? ['mean'] : [])];
    const attrs: RmspropAttrs = { decay, epsilon, alpha, momentum, centered };
    const variables = [variable, ...kinds.map((kind) => state(kind, variable))];
    return { op: rmspropOp, variables, inputs: [gradient, rate, scale], attrs };
  });
  return optimiser(updates, norm);
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
  const { parameters, scale, norm, state, prefix } = prepare(where, gradients, options, decoupled ? 0.01 : 0);
  const correction = zeros(`${prefix}.correction`, [2]);
  const advance: Update = { op: correctionOp, variables: [correction], inputs: [], attrs: { betas } };
  const updates = parameters.map(({ variable, gradient, rate, decay }): Update => {
    const variables = [variable, state('m', variable), state('v', variable)];
    const attrs: AdamAttrs = { decay, epsilon, betas, decoupled };
    return { op: adamOp, variables, inputs: [gradient, rate, scale, correction], attrs };
  });
  return optimiser([advance, ...updates], norm);
}

// ---- the rows of the updates: inputs and Variables in the order of the functions above

interface SgdAttrs {
  readonly decay: number;
  readonly momentum: number;
  readonly nesterov: boolean;
}

const sgdOp: UpdateOp<SgdAttrs> = {
  name: 'sgd',
  plan: (emit, { variables, attrs }) => {
    const [gradient, rate, scale] = [at(emit.inputs, 0), at(emit.inputs, 1), at(emit.inputs, 2)];
    const count = at(variables, 0).size;
    emit.call(sgdKernel, {
      buffers: { gradient, rate, scale, p: at(emit.outputs, 0), m: emit.outputs[1] ?? emit.scratch(1) },
      uniforms: { count, decay: attrs.decay, momentum: attrs.momentum },
      constants: { MOMENTUM: variables.length > 1, NESTEROV: attrs.nesterov },
      workgroups: gridOf(count, elementsOf(sgdKernel)),
    });
  },
};

interface RmspropAttrs {
  readonly decay: number;
  readonly epsilon: number;
  readonly alpha: number;
  readonly momentum: number;
  readonly centered: boolean;
}

const rmspropOp: UpdateOp<RmspropAttrs> = {
  name: 'rmsprop',
  plan: (emit, { variables, attrs: { decay, epsilon, alpha, momentum, centered } }) => {
    const [gradient, rate, scale] = [at(emit.inputs, 0), at(emit.inputs, 1), at(emit.inputs, 2)];
    const count = at(variables, 0).size;
    const moving = momentum > 0;
    const m = moving ? at(emit.outputs, 2) : emit.scratch(1);
    const a = centered ? at(emit.outputs, moving ? 3 : 2) : emit.scratch(1);
    emit.call(rmspropKernel, {
      buffers: { gradient, rate, scale, p: at(emit.outputs, 0), v: at(emit.outputs, 1), m, a },
      uniforms: { count, decay, epsilon, momentum, alpha, complement: 1 - alpha },
      constants: { MOMENTUM: moving, CENTERED: centered },
      workgroups: gridOf(count, elementsOf(rmspropKernel)),
    });
  },
};

interface AdamAttrs {
  readonly decay: number;
  readonly epsilon: number;
  readonly betas: readonly [number, number];
  readonly decoupled: boolean;
}

const adamOp: UpdateOp<AdamAttrs> = {
  name: 'adam',
  plan: (emit, { variables, attrs: { decay, epsilon, betas, decoupled } }) => {
    const [gradient, rate, scale, d] = [at(emit.inputs, 0), at(emit.inputs, 1), at(emit.inputs, 2), at(emit.inputs, 3)];
    const [p, m, v] = [at(emit.outputs, 0), at(emit.outputs, 1), at(emit.outputs, 2)];
    const count = at(variables, 0).size;
    emit.call(adamKernel, {
      buffers: { gradient, rate, scale, d, p, m, v },
      uniforms: { count, decay, epsilon, betas, complements: complementsOf(betas) },
      constants: { DECOUPLED: decoupled },
      workgroups: gridOf(count, elementsOf(adamKernel)),
    });
  },
};

const correctionOp: UpdateOp<{ readonly betas: readonly [number, number] }> = {
  name: 'adam correction',
  plan: (emit, { attrs: { betas } }) => {
    emit.call(adamCorrection, {
      buffers: { d: at(emit.outputs, 0) },
      uniforms: { betas, complements: complementsOf(betas) },
      workgroups: [1, 1, 1],
    });
  },
};

/** 1 - beta, rounded once. */
function complementsOf(betas: readonly [number, number]): [number, number] {
  return [1 - betas[0], 1 - betas[1]];
}

interface ElementKernel {
  readonly constants: { readonly WORKGROUP: { readonly value: number }; readonly ELEMENTS: { readonly value: number } };
}

/** Elements that one workgroup of an update's kernel changes. */
function elementsOf({ constants: { WORKGROUP, ELEMENTS } }: ElementKernel): number {
  return WORKGROUP.value * ELEMENTS.value;
}

/** The list with its state: all Variables that the updates change, but the parameters. */
function optimiser(updates: readonly Update[], norm: Tensor | undefined): Optimiser {
  const variables = updates.flatMap((update) =>
    update.op === correctionOp ? update.variables : update.variables.slice(1),
  );
  return Object.assign([...updates], { variables, norm });
}
