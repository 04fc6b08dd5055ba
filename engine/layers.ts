// Layers: a linear map and an embedding, as functions that carry their weights. A layer is called with a tensor and gives a
// tensor; its Variables are what an optimiser trains and a checkpoint holds.
//
// Seeds: every Variable takes its own stream of random numbers, a hash of its name, so a weight and a bias differ though they
// have one seed. Two layers of one seed and one name begin with the same values: give each its own name (which their
// Variables need anyway to stand apart in a file), or its own seed.

import { checkOptions, formatShape, OptionError, ShapeError } from './errors.ts';
import { fanInUniform, type Initialiser, uniform } from './initialisers.ts';
import { matmul } from './ops/einsum.ts';
import { gather } from './ops/gather.ts';
import type { Tensor } from './tensor.ts';
import { Variable } from './variable.ts';

/** Where a layer's first values come from, and what its Variables are called. */
export interface LayerOptions {
  /** An integer from 0 to 2^53 - 1. */
  readonly seed: number;
  /** Stands before the names of its Variables, as in 'readout.weight'; by default the kind of the layer. */
  readonly name?: string;
  /** Other first values of the weight. */
  readonly weight?: Initialiser;
  /** Other first values of the bias; linear layers only. */
  readonly bias?: Initialiser;
}

/** y = x w + b. */
export interface Linear {
  /** [..., from] -> [..., to]. @throws ShapeError for another last size */
  (x: Tensor): Tensor;
  /** The matrix, [from, to]: y = x·weight + bias. */
  readonly weight: Variable;
  /** [to]; undefined where the layer has none. */
  readonly bias: Variable | undefined;
  /** Weight and bias, for `grad` and for files. */
  readonly variables: readonly Variable[];
}

/** A learned row for each token. */
export interface Embedding {
  /** u32 [...], values below `tokens` -> [..., size]. */
  (tokens: Tensor): Tensor;
  /** The table, [tokens, size]. */
  readonly weight: Variable;
  /** The weight, for `grad` and for files. */
  readonly variables: readonly Variable[];
}

/**
 * A linear layer. Weight and bias begin as U(±1 / sqrt(from)), as PyTorch's do, unless the options say otherwise.
 * @param sizes `bias`: true where left out
 * @throws OptionError for sizes that are no whole numbers of at least 1
 */
export function linear(
  sizes: { readonly from: number; readonly to: number; readonly bias?: boolean },
  options: LayerOptions,
): Linear {
  checkOptions('linear', sizes, ['from', 'to', 'bias']);
  checkOptions('linear', options, ['seed', 'name', 'weight', 'bias']);
  const { from, to } = sizes;
  checkSize('linear', 'from', from);
  checkSize('linear', 'to', to);
  const { seed, name = 'linear' } = options;
  const standard = fanInUniform({ fanIn: from });
  const weight = initialised(`${name}.weight`, [from, to], options.weight ?? standard, seed);
  const bias = sizes.bias === false ? undefined : initialised(`${name}.bias`, [to], options.bias ?? standard, seed);
  const call = (x: Tensor): Tensor => {
    if (x.shape.at(-1) !== from) {
      throw new ShapeError(`linear '${name}': takes [..., ${from}], not ${formatShape(x.shape)}`);
    }
    return matmul(x, weight, bias);
  };
  return Object.assign(call, { weight, bias, variables: bias === undefined ? [weight] : [weight, bias] });
}

/**
 * An embedding: a table of learned rows, one a token. It begins as U(±0.1), as in the public RIM code, unless the options say
 * otherwise (`weight: initialisers.normal(1)` is PyTorch's).
 * @throws OptionError for sizes that are no whole numbers of at least 1
 */
export function embedding(
  sizes: { readonly tokens: number; readonly size: number },
  options: Omit<LayerOptions, 'bias'>,
): Embedding {
  checkOptions('embedding', sizes, ['tokens', 'size']);
  checkOptions('embedding', options, ['seed', 'name', 'weight']);
  checkSize('embedding', 'tokens', sizes.tokens);
  checkSize('embedding', 'size', sizes.size);
  const { seed, name = 'embedding' } = options;
  const weight = initialised(`${name}.weight`, [sizes.tokens, sizes.size], options.weight ?? uniform(0.1), seed);
  return Object.assign((tokens: Tensor): Tensor => gather(weight, tokens), { weight, variables: [weight] });
}

/** A Variable with first values from a seed, on the stream of its name. */
export function initialised(name: string, shape: readonly number[], initialiser: Initialiser, seed: number): Variable {
  return new Variable(name, shape, initialiser(shape, { seed, stream: streamOf(name) }));
}

/** The stream of random numbers that belongs to a name: FNV-1a over its UTF-16 units, 32 bits. */
export function streamOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

function checkSize(where: string, what: string, size: number): void {
  if (!Number.isSafeInteger(size) || size < 1) {
    throw new OptionError(`${where}: ${what} is ${size}; use a whole number of at least 1`);
  }
}
