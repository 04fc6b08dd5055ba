// One layer of a Transformer's encoder (Vaswani et al. 2017, arXiv 1706.03762, section 3.1): self-attention of several heads, then
// two maps with a bend between them, each with a residual and a layer norm. It takes tensors as weights, whoever owns them.
//
// Always: a piece of a sequence, [T,B,width], over the rows that came before it; what it adds to those comes back beside its
// output. Not here: positions, which steps see which, and the weights of a whole model (transformer.ts).

import { add, concat, einsum, gelu, layerNorm, matmul, relu, reshape, slice, type Tensor } from '../../engine/core.ts';
import { attend } from './attention.ts';

/** Keys and values of a layer, of all steps so far: [seen,B,width] each. */
export interface Cache {
  readonly keys: Tensor;
  readonly values: Tensor;
}

/** The weights of a layer by name. */
export interface LayerWeights<W extends Tensor = Tensor> {
  /** Maps to queries, keys and values, heads one after the other in the last axis, [3,width,width]. */
  readonly attention: W;
  /** [3,width] */
  readonly attentionBias: W;
  /** From the heads back, [width,width]. */
  readonly output: W;
  /** [width] */
  readonly outputBias: W;
  /** [width,feedForward] */
  readonly expand: W;
  /** [feedForward] */
  readonly expandBias: W;
  /** [feedForward,width] */
  readonly contract: W;
  /** [width] */
  readonly contractBias: W;
  /** Layer norm of the attention's sublayer, [width]. */
  readonly norm1: W;
  /** [width] */
  readonly norm1Bias: W;
  /** Layer norm of the other sublayer, [width]. */
  readonly norm2: W;
  /** [width] */
  readonly norm2Bias: W;
}

/** What is the same in all layers of a model. */
export interface LayerOptions {
  readonly heads: number;
  /** The bend: relu as in the paper, or the exact gelu. */
  readonly activation: 'relu' | 'gelu';
  /** Where the layer norm stands: behind the residual as in the paper, or before the sublayer (Xiong et al., arXiv 2002.04745). */
  readonly norm: 'post' | 'pre';
}

/** Who sees whom: of the T steps of a piece, in a sequence of which `seen` are there so far. */
export interface View {
  /** [T,seen]: 0 where a step does not see another; all are seen where it is left out. */
  readonly mask?: Tensor | undefined;
  /** [heads,T,seen], added to the scores. */
  readonly bias?: Tensor | undefined;
}

/** What a layer gives back. */
export interface LayerResult {
  /** [T,B,width] */
  readonly y: Tensor;
  /** Keys and values with those of this piece behind. */
  readonly cache: Cache;
  /** [B,heads,T,seen] */
  readonly attention: Tensor;
}

/**
 * A layer over a piece of a sequence: `x' = norm1(x + attention(x)); y = norm2(x' + contract(bend(expand(x'))))`, or with the norms
 * before: `x' = x + attention(norm1(x)); y = x' + contract(bend(expand(norm2(x'))))`.
 * @param x [T,B,width]
 * @param cache of the steps before the piece; none where left out
 */
export function transformerLayer(
  x: Tensor,
  weights: LayerWeights,
  { heads, activation, norm }: LayerOptions,
  { mask, bias }: View,
  cache?: Cache,
): LayerResult {
  const norm1 = (input: Tensor): Tensor => layerNorm(input, { weight: weights.norm1, bias: weights.norm1Bias });
  const norm2 = (input: Tensor): Tensor => layerNorm(input, { weight: weights.norm2, bias: weights.norm2Bias });
  const pre = norm === 'pre';

  const maps = einsum('tbi,mio->mtbo', pre ? norm1(x) : x, weights.attention, { plus: ['mo', weights.attentionBias] });
  const map = (i: number): Tensor => reshape(slice(maps, 0, i, 1), x.shape);
  const keys = cache === undefined ? map(1) : concat([cache.keys, map(1)], 0);
  const values = cache === undefined ? map(2) : concat([cache.values, map(2)], 0);
  const { context, attention } = attend({ queries: map(0), keys, values, heads, first: 'rows', mask, bias });
  const attended = add(x, matmul(context, weights.output, weights.outputBias));

  const between = pre ? attended : norm1(attended);
  const bend = activation === 'relu' ? relu : gelu;
  const wide = bend(matmul(pre ? norm2(between) : between, weights.expand, weights.expandBias));
  const sum = add(between, matmul(wide, weights.contract, weights.contractBias));
  return { y: pre ? sum : norm2(sum), cache: { keys, values }, attention };
}
