// The means of a case: inputs with seeded random elements, and the loss by which its gradients are checked.
// Always: the same seed draws the same case; the elements are f32 numbers, so that kernels and the interpreter read the same.

import { add, mul } from '../engine/ops/elementwise.ts';
import { constant, fill, input } from '../engine/ops/leaf.ts';
import { sum } from '../engine/ops/reduce.ts';
import { integers, normalArray, permutation, uniformArray } from '../engine/random.ts';
import { type Shape, sizeOf, type Tensor } from '../engine/tensor.ts';
import type { Data, Variable } from '../engine/variable.ts';
import type { Meanings } from './meanings/meaning.ts';

/** Inputs of one case: each call makes an input, draws its elements and keeps them as its feed. */
export class Draw {
  /** What its numbers are made from. */
  readonly seed: number;
  /** The elements of every input made so far, by name. */
  readonly feeds: Record<string, Data> = {};
  /** The inputs and Variables whose gradients are checked. */
  readonly wrt: Tensor[] = [];
  /** Tensors that differences hold. */
  readonly held: Tensor[] = [];
  #stream = 0;

  constructor(seed: number) {
    this.seed = seed;
  }

  /** Normal numbers, of standard deviation `std` around `mean`. */
  normal(shape: Shape, { mean = 0, std = 1 }: { readonly mean?: number; readonly std?: number } = {}): Tensor {
    return this.#fed(shape, normalArray(sizeOf(shape), { ...this.#source(), mean, std }), true);
  }

  /** Numbers spread evenly from low to high. */
  between(low: number, high: number, shape: Shape): Tensor {
    return this.#fed(shape, uniformArray(sizeOf(shape), { ...this.#source(), low, high }), true);
  }

  /** Normal numbers that keep at least `margin` away from each of `kinks`. */
  away(kinks: readonly number[], shape: Shape, margin = 0.05): Tensor {
    const data = normalArray(sizeOf(shape), this.#source()).map((x) => {
      for (const kink of kinks) if (Math.abs(x - kink) < margin) return kink + (x < kink ? -2 : 2) * margin;
      return x;
    });
    return this.#fed(shape, data, true);
  }

  /** Numbers of which no two are nearer than `gap`, in random order: for sorting, extremes and choices. */
  distinct(shape: Shape, gap = 0.1): Tensor {
    const size = sizeOf(shape);
    const order = permutation(size, this.#source());
    return this.#fed(
      shape,
      Float32Array.from(order, (place) => (place - (size - 1) / 2) * gap),
      true,
    );
  }

  /** Given numbers. */
  given(shape: Shape, elements: readonly number[]): Tensor {
    return this.#fed(shape, Float32Array.from(elements), true);
  }

  /** Zeros and ones, of which a share is 1; without gradient. */
  mask(shape: Shape, share = 0.6): Tensor {
    const data = uniformArray(sizeOf(shape), this.#source()).map((x) => (x < share ? 1 : 0));
    return this.#fed(shape, data, false);
  }

  /** Whole numbers from 0 below a bound, u32. */
  below(bound: number, shape: Shape): Tensor {
    return this.#fed(shape, integers(sizeOf(shape), { ...this.#source(), high: bound }), false);
  }

  /** Given whole numbers, u32. */
  indices(shape: Shape, elements: readonly number[]): Tensor {
    return this.#fed(shape, Uint32Array.from(elements), false);
  }

  /** Gives Variables new normal numbers of that standard deviation; their gradients are checked. */
  variables(variables: readonly Variable[], std = 0.5): void {
    for (const variable of variables) {
      variable.write(normalArray(variable.size, { ...this.#source(), std }));
      this.wrt.push(variable);
    }
  }

  /** The tensor itself, which differences hold at its value. */
  hold(tensor: Tensor): Tensor {
    this.held.push(tensor);
    return tensor;
  }

  /** A scalar that depends on every element of the f32 outputs: their sum, weighted with normal numbers. */
  loss(outputs: readonly Tensor[]): Tensor {
    let total = fill(0, []);
    for (const output of outputs) {
      if (output.dtype === 'f32') {
        const weights = constant(normalArray(output.size, this.#source()), output.shape);
        total = add(total, sum(mul(output, weights)));
      }
    }
    return total;
  }

  #source(): { readonly seed: number; readonly stream: number } {
    this.#stream += 1;
    return { seed: this.seed, stream: this.#stream };
  }

  #fed(shape: Shape, data: Data, differentiated: boolean): Tensor {
    const name = `x${Object.keys(this.feeds).length}`;
    this.feeds[name] = data;
    const tensor = input(name, shape, data instanceof Uint32Array ? 'u32' : 'f32');
    if (differentiated) this.wrt.push(tensor);
    return tensor;
  }
}

/** A case: some ops applied to drawn inputs. */
export interface Case {
  /** What it checks, beginning with the op: 'softmax: rows of 65, masked'. */
  readonly name: string;
  /** Makes the graph and returns its outputs. Called once for each check, with equal numbers. */
  readonly graph: (draw: Draw) => readonly Tensor[];
  /** The same outputs made another way, from the same draws in the same order: then kernels must compute what this means. */
  readonly expected?: (draw: Draw) => readonly Tensor[];
  /** What those of its ops mean that are not the library's, by name, in plain float64 loops. */
  readonly meanings?: Meanings;
  /** Largest error of kernels, relative to the largest magnitude of a tensor; 1e-5 by default. */
  readonly limit?: number;
  /** Most elements of a tensor that are differenced; 64 by default. */
  readonly probes?: number;
  /** True for a program that trains: dropout is on. */
  readonly training?: boolean;
  /**
   * True where an op drops a gradient on purpose, so that it is no derivative, or another case asks whether it is one: then its
   * kernels alone are checked.
   */
  readonly blocked?: boolean;
  /** The kernel that its products are computed by, a name of engine/product-kernels.ts, where the device has it and it fits. */
  readonly candidate?: string;
}

/** A case made into a graph: what it is fed, its outputs, its loss, and what the loss is differentiated by. */
export interface DrawnCase {
  /** Elements of its inputs, by name. */
  readonly feeds: Readonly<Record<string, Data>>;
  /** What the case returned. */
  readonly outputs: readonly Tensor[];
  /** A scalar that depends on every element of the outputs. */
  readonly loss: Tensor;
  /** The leaves whose gradients are checked. */
  readonly wrt: readonly Tensor[];
  /** Tensors that differences hold. */
  readonly held: readonly Tensor[];
}

/** Makes the graph of a case. */
export function drawCase(each: Case, seed = 1): DrawnCase {
  const draw = new Draw(seed);
  const outputs = each.graph(draw);
  return { feeds: draw.feeds, outputs, loss: draw.loss(outputs), wrt: draw.wrt, held: draw.held };
}
