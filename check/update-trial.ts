// What an optimiser is tried on: parameters of several sizes whose gradients are fed, and the same parameters on a float64
// host, which a rule (meanings/optimisers.ts) advances element by element.
// Always: the same seed gives the same parameters and feeds; the first element of every longer gradient is 0.

import { at } from '../engine/errors.ts';
import { input } from '../engine/ops/leaf.ts';
import { normalArray } from '../engine/random.ts';
import { type Shape, sizeOf, type Tensor } from '../engine/tensor.ts';
import { Variable } from '../engine/variable.ts';
import type { Rule } from './meanings/optimisers.ts';

/** Over one workgroup, a last group in part, and a scalar. */
const SHAPES: readonly Shape[] = [[300], [5, 13], []];

/** How parameters lie, and which there are. */
export interface UpdateTrialOptions {
  /** True: as where a program was planned with the parameters before, so that they share no storage. */
  readonly apart?: boolean;
  readonly shapes?: readonly Shape[];
}

/** The rate of each parameter, and its weight decay where it is not that of the rule. */
export type RatesOf = (parameter: number) => { readonly rate: number; readonly decay?: number };

/** Parameters and gradients, the first element of every gradient 0. */
export class UpdateTrial {
  readonly variables: readonly Variable[];
  readonly inputs: readonly Tensor[];
  /** What a float64 host makes of the parameters, and its state, element by element. */
  readonly host: readonly number[][];
  readonly state: readonly number[][][];

  constructor(seed: number, states: number, { apart = false, shapes = SHAPES }: UpdateTrialOptions = {}) {
    const start = shapes.map((shape, i) => normalArray(sizeOf(shape), { seed, stream: i }));
    this.variables = start.map((values, i) => new Variable(`p${i}`, at(shapes, i), values));
    if (apart) for (const each of this.variables) each.plan();
    this.inputs = shapes.map((shape, i) => input(`g${i}`, shape));
    this.host = start.map((values) => [...values]);
    this.state = start.map((values) => Array.from(values, () => new Array<number>(states).fill(0)));
  }

  /** The parameters with their gradients. */
  get gradients(): [Tensor, Tensor][] {
    return this.variables.map((each, i) => [each, at(this.inputs, i)]);
  }

  /** The gradients of a step, by the names of their inputs. */
  feeds(step: number): Record<string, Float32Array> {
    const feed = ({ size }: Variable, i: number): Float32Array => {
      const values = normalArray(size, { seed: 100 + step, stream: i, std: 0.3 + 0.5 * (i % 4) });
      if (size > 1) values[0] = 0;
      return values;
    };
    return Object.fromEntries(this.variables.map((variable, i) => [`g${i}`, feed(variable, i)]));
  }

  /** A step of the host; `scale` is the factor of all gradients. */
  advance(
    { step }: Rule,
    feeds: Readonly<Record<string, Float32Array>>,
    rates: number | RatesOf,
    t: number,
    scale = 1,
  ): void {
    this.host.forEach((values, i) => {
      const gradient = at(Object.values(feeds), i);
      const of = { t, ...(typeof rates === 'number' ? { rate: rates } : rates(i)) };
      values.forEach((p, k) => {
        values[k] = step(p, scale * at(gradient, k), at(at(this.state, i), k), of);
      });
    });
  }
}

/** The 2-norm over all gradients of a step. */
export function normOf(feeds: Readonly<Record<string, Float32Array>>): number {
  return Math.sqrt(Object.values(feeds).reduce((sum, each) => each.reduce((part, x) => part + x * x, sum), 0));
}
