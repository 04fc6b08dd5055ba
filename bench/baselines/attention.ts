// Attention of several heads over rows: every row asks, all rows answer (Vaswani et al. 2017, arXiv 1706.03762, section 3.2).
//
// Always: rows first, [rows,B, ...], so that more rows are appended without moving those there are; heads are neighbours in the
// last axis, as PyTorch's are; three products and a softmax, nothing is transposed. Not here: the maps that make queries, keys and
// values, and where the rows come from (transformer-layer.ts, rmc.ts).

import { einsum, reshape, softmax, type Tensor } from '../../engine/core.ts';
import { at } from '../../engine/errors.ts';

/** What is attended to, and by whom. */
export interface Attention {
  /** [rows,B,heads*headSize] */
  readonly queries: Tensor;
  /** [sources,B,heads*headSize] */
  readonly keys: Tensor;
  /** [sources,B,heads*headSize] */
  readonly values: Tensor;
  readonly heads: number;
  /** [rows,sources]: 0 where a row does not see a source. */
  readonly mask?: Tensor | undefined;
  /** [heads,rows,sources], added to the scores. */
  readonly bias?: Tensor | undefined;
  /** [rows,B,heads*headSize], added to the context in the same product. */
  readonly plus?: Tensor | undefined;
}

/** What every row is told. */
export interface Attended {
  /** The attended values, heads one after the other, [rows,B,heads*headSize]. */
  readonly context: Tensor;
  /** Where each row looks, [B,heads,rows,sources]; every row sums to 1. */
  readonly attention: Tensor;
}

/** `softmax(Q·Kᵀ / sqrt(headSize) + bias)·V` in every head (equation 1). */
export function attend({ queries, keys, values, heads, mask, bias, plus }: Attention): Attended {
  const split = (x: Tensor): Tensor => reshape(x, [at(x.shape, 0), at(x.shape, 1), heads, at(x.shape, 2) / heads]);
  const scores = einsum('ibhd,jbhd->bhij', split(queries), split(keys), {
    scale: Math.sqrt(heads / at(keys.shape, 2)),
    ...(bias === undefined ? {} : { plus: ['hij', bias] }),
  });
  const attention = softmax(scores, mask === undefined ? {} : { mask });
  const context = einsum('bhij,jbhd->ibhd', attention, split(values), plus && { plus: ['ibhd', split(plus)] });
  return { context: reshape(context, queries.shape), attention };
}
