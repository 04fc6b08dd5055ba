// Attention of several heads over rows: every row asks, all rows answer (Vaswani et al. 2017, arXiv 1706.03762, section 3.2).
//
// Always: heads are neighbours in the last axis, as PyTorch's are; three products and a softmax, nothing is transposed. Rows come
// first, [rows,B, ...], where more are appended without moving those there are, or second, [B,rows, ...], where they are slots. Not
// here: the maps that make queries, keys and values, and where the rows come from (transformer-layer.ts, rmc.ts).

import { einsum, reshape, softmax, type Tensor } from '../../engine/core.ts';
import { at } from '../../engine/errors.ts';

/** What is attended to, and by whom. */
export interface Attention {
  /** [rows,B,size] or [B,rows,size]; size = heads*headSize */
  readonly queries: Tensor;
  /** [sources,B,size] or [B,sources,size] */
  readonly keys: Tensor;
  /** As the keys. */
  readonly values: Tensor;
  readonly heads: number;
  /** Whether rows or batch come first. */
  readonly first: 'rows' | 'batch';
  /** [rows,sources]: 0 where a row does not see a source. */
  readonly mask?: Tensor | undefined;
  /** [heads,rows,sources], added to the scores. */
  readonly bias?: Tensor | undefined;
  /** As the queries, added to the context in the same product. */
  readonly plus?: Tensor | undefined;
}

/** What every row is told. */
export interface Attended {
  /** The attended values, heads one after the other, as the queries. */
  readonly context: Tensor;
  /** Where each row looks, [B,heads,rows,sources]; every row sums to 1. */
  readonly attention: Tensor;
}

/** `softmax(Q·Kᵀ / sqrt(headSize) + bias)·V` in every head (equation 1). */
export function attend({ queries, keys, values, heads, first, mask, bias, plus }: Attention): Attended {
  const split = (x: Tensor): Tensor => reshape(x, [at(x.shape, 0), at(x.shape, 1), heads, at(x.shape, 2) / heads]);
  const [row, source] = first === 'rows' ? (['ibhd', 'jbhd'] as const) : (['bihd', 'bjhd'] as const);
  const scores = einsum(`${row},${source}->bhij`, split(queries), split(keys), {
    scale: Math.sqrt(heads / at(keys.shape, 2)),
    ...(bias === undefined ? {} : { plus: ['hij', bias] }),
  });
  const attention = softmax(scores, mask === undefined ? {} : { mask });
  const context = einsum(`bhij,${source}->${row}`, attention, split(values), plus && { plus: [row, split(plus)] });
  return { context: reshape(context, queries.shape), attention };
}
