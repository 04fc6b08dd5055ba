// The rules of the optimisers in float64 on the host, one element at a time, beside the same rules of the library; and
// parameters with random gradients to try both on. Written from PyTorch's documentation, not from the kernels.

import * as assert from 'uvu/assert';
import { at } from '../engine/errors.ts';
import { input, type Tensor, Variable } from '../engine/node.ts';
import { adam, adamw, type Optimiser, type ParameterGradients, rmsprop, sgd } from '../engine/optimisers.ts';
import { normalArray } from '../engine/random.ts';

/** Options that every rule takes. */
export interface TrialOptions {
  readonly learningRate: number | Tensor;
  readonly clipNorm?: number;
  readonly guard?: boolean;
}

/** One rule, as an optimiser of the library and as float64 arithmetic on one element; `s` is its state, zeros at first. */
export interface Rule {
  readonly name: string;
  readonly make: (gradients: ParameterGradients, options: TrialOptions) => Optimiser;
  readonly step: (p: number, g: number, s: number[], rate: number, t: number) => number;
  /** Kinds of state, in the order of `s`. */
  readonly state: readonly string[];
}

/** Stochastic gradient descent. */
export function sgdRule(momentum: number, nesterov: boolean, decay: number): Rule {
  return {
    name: `sgd, momentum ${momentum}${nesterov ? ' of Nesterov' : ''}, decay ${decay}`,
    make: (gradients, options) => sgd(gradients, { ...options, momentum, nesterov, weightDecay: decay }),
    step: (p, gradient, s, rate) => {
      const g = gradient + decay * p;
      if (momentum === 0) return p - rate * g;
      s[0] = momentum * at(s, 0) + g;
      return p - rate * (nesterov ? g + momentum * at(s, 0) : at(s, 0));
    },
    state: momentum > 0 ? ['sgd.momentum'] : [],
  };
}

/** RMSprop. */
export function rmspropRule(alpha: number, momentum: number, centered: boolean, decay: number): Rule {
  const kinds = ['v', ...(momentum > 0 ? ['momentum'] : []), ...(centered ? ['mean'] : [])];
  const epsilon = 1e-6;
  return {
    name: `rmsprop, alpha ${alpha}, momentum ${momentum}${centered ? ', centered' : ''}, decay ${decay}`,
    make: (gradients, options) =>
      rmsprop(gradients, { ...options, alpha, momentum, centered, epsilon, weightDecay: decay }),
    step: (p, gradient, s, rate) => {
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
export function adamRule(decoupled: boolean, betas: readonly [number, number], epsilon: number, decay: number): Rule {
  const name = decoupled ? 'adamw' : 'adam';
  return {
    name: `${name}, betas ${betas}, epsilon ${epsilon}, decay ${decay}`,
    make: (gradients, options) =>
      (decoupled ? adamw : adam)(gradients, { ...options, betas, epsilon, weightDecay: decay }),
    step: (before, gradient, s, rate, t) => {
      const p = decoupled ? before * (1 - rate * decay) : before;
      const g = decoupled ? gradient : gradient + decay * p;
      s[0] = betas[0] * at(s, 0) + (1 - betas[0]) * g;
      s[1] = betas[1] * at(s, 1) + (1 - betas[1]) * g * g;
      const [m, v] = [at(s, 0) / (1 - betas[0] ** (t + 1)), at(s, 1) / (1 - betas[1] ** (t + 1))];
      return p - (rate * m) / (Math.sqrt(v) + epsilon);
    },
    state: [`${name}.m`, `${name}.v`],
  };
}

// Over one workgroup, a last group in part, and a scalar.
const shapes = [[300], [5, 13], []] as const;
const sizes = [300, 65, 1];

/** Parameters and gradients of a test, the first element of every gradient 0. */
export class Trial {
  readonly variables: readonly Variable[];
  readonly inputs: readonly Tensor[];
  /** What a float64 host makes of the parameters, and its state, element by element. */
  readonly host: readonly number[][];
  readonly state: readonly number[][][];

  /** @param apart true: as where a program was planned with the parameters before, so that they share no storage */
  constructor(seed: number, states: number, apart = false) {
    const start = sizes.map((size, i) => normalArray(size, { seed, stream: i }));
    this.variables = start.map((values, i) => new Variable(`p${i}`, at(shapes, i), values));
    if (apart) for (const each of this.variables) each.plan();
    this.inputs = shapes.map((shape, i) => input(`g${i}`, shape));
    this.host = start.map((values) => [...values]);
    this.state = sizes.map((size) => Array.from({ length: size }, () => new Array<number>(states).fill(0)));
  }

  get gradients(): [Tensor, Tensor][] {
    return this.variables.map((each, i) => [each, at(this.inputs, i)]);
  }

  feeds(step: number): Record<string, Float32Array> {
    const feed = (size: number, i: number): Float32Array => {
      const values = normalArray(size, { seed: 100 + step, stream: i, std: 0.3 + 0.5 * i });
      if (size > 1) values[0] = 0;
      return values;
    };
    return Object.fromEntries(sizes.map((size, i) => [`g${i}`, feed(size, i)]));
  }

  /** A step of the host; `scaleOf` gives the factor of all gradients. */
  advance({ step }: Rule, feeds: Readonly<Record<string, Float32Array>>, rate: number, t: number, scale = 1): void {
    this.host.forEach((values, i) => {
      const gradient = at(Object.values(feeds), i);
      values.forEach((p, k) => {
        values[k] = step(p, scale * at(gradient, k), at(at(this.state, i), k), rate, t);
      });
    });
  }

  async compare(when: string): Promise<void> {
    close(await readAll(this.variables), this.host.flat(), when);
  }
}

/** The elements of Variables one after the other. */
export async function readAll(variables: readonly Variable[]): Promise<number[]> {
  const values = await Promise.all(variables.map((each) => each.read()));
  return values.flatMap((each) => [...each]);
}

/** Equal up to float32 rounding of the largest element. */
export function close(got: ArrayLike<number>, wanted: readonly number[], what: string, bound = 2e-6): void {
  assert.is(got.length, wanted.length, `${what}: length`);
  const scale = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  wanted.forEach((value, i) => {
    const error = Math.abs(at(got, i) - value);
    assert.ok(error <= bound * scale, `${what}: element ${i} is ${at(got, i)}, in float64 ${value}`);
  });
}
