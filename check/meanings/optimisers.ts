// What the optimisers mean: each rule in float64, one element at a time, beside the function of the library that is to do the
// same. Written from PyTorch's documentation, not from the kernels. Bias corrections are powers here, as the papers have
// them; the kernels carry them along. Not here: what a rule is tried on (../update-trial.ts).

import { at } from '../../engine/errors.ts';
import {
  adam,
  adamw,
  type Optimiser,
  type OptimiserOptions,
  type ParameterGradients,
  rmsprop,
  sgd,
} from '../../engine/optimisers.ts';

/** What an element is updated with at one step. */
export interface StepOf {
  readonly rate: number;
  /** The step, from 0. */
  readonly t: number;
  /** Weight decay, where it is not that of the rule. */
  readonly decay?: number;
}

/** One rule, as an optimiser of the library and as float64 arithmetic on one element; `s` is its state, zeros at first. */
export interface Rule {
  readonly name: string;
  readonly make: (gradients: ParameterGradients, options: OptimiserOptions) => Optimiser;
  readonly step: (p: number, g: number, s: number[], of: StepOf) => number;
  /** Kinds of state, in the order of `s`. */
  readonly state: readonly string[];
  /** What the bias corrections are after so many steps. */
  readonly corrections?: (steps: number) => readonly number[];
}

/** Stochastic gradient descent. */
export function sgdRule(momentum: number, nesterov: boolean, weightDecay: number): Rule {
  return {
    name: `sgd, momentum ${momentum}${nesterov ? ' of Nesterov' : ''}, decay ${weightDecay}`,
    make: (gradients, options) => sgd(gradients, { ...options, momentum, nesterov, weightDecay }),
    step: (p, gradient, s, { rate, decay = weightDecay }) => {
      const g = gradient + decay * p;
      if (momentum === 0) return p - rate * g;
      s[0] = momentum * at(s, 0) + g;
      return p - rate * (nesterov ? g + momentum * at(s, 0) : at(s, 0));
    },
    state: momentum > 0 ? ['sgd.momentum'] : [],
  };
}

/** RMSprop. */
export function rmspropRule(alpha: number, momentum: number, centered: boolean, weightDecay: number): Rule {
  const kinds = ['v', ...(momentum > 0 ? ['momentum'] : []), ...(centered ? ['mean'] : [])];
  const epsilon = 1e-6;
  return {
    name: `rmsprop, alpha ${alpha}, momentum ${momentum}${centered ? ', centered' : ''}, decay ${weightDecay}`,
    make: (gradients, options) => rmsprop(gradients, { ...options, alpha, momentum, centered, epsilon, weightDecay }),
    step: (p, gradient, s, { rate, decay = weightDecay }) => {
      const g = gradient + decay * p;
      s[0] = alpha * at(s, 0) + (1 - alpha) * g * g;
      let variance = at(s, 0);
      if (centered) {
        const mean = kinds.length - 1;
        s[mean] = alpha * at(s, mean) + (1 - alpha) * g;
        variance -= at(s, mean) ** 2;
      }
      const step = g / (Math.sqrt(variance) + epsilon);
      if (momentum === 0) return p - rate * step;
      s[1] = momentum * at(s, 1) + step;
      return p - rate * at(s, 1);
    },
    state: kinds.map((kind) => `rmsprop.${kind}`),
  };
}

/** Adam, and decoupled AdamW. */
export function adamRule(
  decoupled: boolean,
  betas: readonly [number, number],
  epsilon: number,
  weightDecay: number,
): Rule {
  const name = decoupled ? 'adamw' : 'adam';
  return {
    name: `${name}, betas ${betas}, epsilon ${epsilon}, decay ${weightDecay}`,
    make: (gradients, options) => (decoupled ? adamw : adam)(gradients, { ...options, betas, epsilon, weightDecay }),
    step: (before, gradient, s, { rate, t, decay = weightDecay }) => {
      const p = decoupled ? before * (1 - rate * decay) : before;
      const g = decoupled ? gradient : gradient + decay * p;
      s[0] = betas[0] * at(s, 0) + (1 - betas[0]) * g;
      s[1] = betas[1] * at(s, 1) + (1 - betas[1]) * g * g;
      const [m, v] = [at(s, 0) / (1 - betas[0] ** (t + 1)), at(s, 1) / (1 - betas[1] ** (t + 1))];
      return p - (rate * m) / (Math.sqrt(v) + epsilon);
    },
    state: [`${name}.m`, `${name}.v`],
    corrections: (steps) => betas.map((beta) => 1 - beta ** steps),
  };
}

/** The factor of gradients whose global norm may be `most`, as PyTorch's clip_grad_norm_ has it. */
export function clipFactor(norm: number, most: number): number {
  return Math.min(1, most / (norm + 1e-6));
}
