// What memories of slots share, in the NTM and in the DNC: finding slots by what they hold, and writing to them. All heads at once.
//
// Shapes: memory [B,slots,size], vectors of heads [B,heads,size], weightings [B,heads,slots], numbers of heads [B,heads].
// Always: finite, in value and gradient, for a memory or a key of zeros, and for weightings with zeros and ones. A step makes calls
// of kernels by the number of its ops, whatever the number of heads. Not here: which head writes where, and what remains of a slot.

import {
  affine,
  constant,
  cumulativeProduct,
  div,
  einsum,
  fill,
  mul,
  reshape,
  slice,
  softmax,
  sqrt,
  sumOfSquares,
  type Tensor,
} from '../../engine/core.ts';
import { at } from '../../engine/errors.ts';

/**
 * Added to the product of two squared norms before the root of it is taken. A cosine with a vector of zeros has no value; with this
 * it is 0, its slope is at most 1000 times the other vector's length, and above a product of norms of 0.01 it is off by less than 1 %.
 */
const LEAST = 1e-6;

/**
 * The weighting of slots by how much they hold what a key looks like: `softmax over slots of strength · cos(key, slot)`.
 * @param strengths [B,heads]
 * @param more 1 where a head looks with its strength and 1 more
 */
export function contentWeighting(memory: Tensor, keys: Tensor, strengths: Tensor, more: 0 | 1 = 0): Tensor {
  const norms = einsum('bk,bn->bkn', sumOfSquares(keys, { axes: [2] }), sumOfSquares(memory, { axes: [2] }));
  const likeness = einsum('bkw,bnw->bkn', times(keys, strengths, more === 1 ? keys : undefined), memory);
  return softmax(div(likeness, sqrt(affine(norms, 1, LEAST))));
}

/** x [B,heads, ...] with the rows of each head multiplied by its number, plus another tensor of the same shape where there is one. */
export function times(x: Tensor, numbers: Tensor, plus?: Tensor): Tensor {
  return einsum('bkn,bk->bkn', x, numbers, plus === undefined ? {} : { plus: ['bkn', plus] });
}

/**
 * Some heads of x [B,heads, ...one axis], as a product with zeros and ones: the gradients of several such parts add up in products too,
 * where those of slices would take copies.
 */
export function headsOf(x: Tensor, start: number, count: number): Tensor {
  const heads = at(x.shape, 1);
  if (count === heads) return x;
  const places = Float32Array.from({ length: heads * count }, (_, i) =>
    Math.floor(i / count) === start + (i % count) ? 1 : 0,
  );
  return einsum('bkn,kr->brn', x, constant(places, [heads, count]));
}

/** The products of the last axis of x, which is left out. */
export function productOver(x: Tensor): Tensor {
  const [axis, shape] = [x.shape.length - 1, x.shape.slice(0, -1)];
  const size = at(x.shape, axis);
  return reshape(size === 1 ? x : slice(cumulativeProduct(x), axis, size - 1, 1), shape);
}

/**
 * The memory after all heads have erased and then added: `M Π(1 - w·eraseᵀ) + Σ w·addᵀ`.
 * @param weights [B,heads,slots], in [0,1]
 * @param erase [B,heads,size], in [0,1]
 * @param add [B,heads,size]
 */
export function written(memory: Tensor, weights: Tensor, erase: Tensor, add: Tensor): Tensor {
  const left = einsum('bkn,bkw->bnwk', weights, erase, { scale: -1, plus: ['', fill(1, [])] });
  return einsum('bkn,bkw->bnw', weights, add, { plus: ['bnw', mul(memory, productOver(left))] });
}
