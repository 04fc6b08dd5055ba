// Communication: active modules read from all modules by attention (section 2.4 of the paper). Readers whose module is not
// active are computed and thrown away by the cell. The LSTM's cell state never takes part.

import {
  dropout,
  einsum,
  groupedMatmul,
  matmul,
  mul,
  type RandomState,
  reshape,
  sigmoid,
  softmax,
  type Tensor,
  tanh,
} from '../engine/core.ts';
import { at, need } from '../engine/errors.ts';
import type { CellOptions } from './options.ts';
import type { Weights } from './weights.ts';

/** Everything that the communication computed. */
export interface Communication {
  /** Queries of the readers, `[B,N,C*F]`. */
  readonly commQuery: Tensor;
  /** Keys of the sources, `[B,N,C*F]`. */
  readonly commKey: Tensor;
  /** Values of the sources, `[B,N,C*W]`. */
  readonly commValue: Tensor;
  /** `[B,C,N,N]`, reader then source; scaled by 1/sqrt(F). */
  readonly commScores: Tensor;
  /** `[B,C,N,N]`, after the top-k and the softmax, before dropout. */
  readonly commProbabilities: Tensor;
  /** `[B,N,C*W]`, heads side by side. */
  readonly commContext: Tensor;
  /** `[B,N,H]`: the projected context, before the non-linearity. */
  readonly commProjected: Tensor;
  /** `[B,N,H]`: the gate before its sigmoid, where there is one. */
  readonly commGatePreactivation?: Tensor;
  /** `[B,N,H]`: what is added to the candidate. */
  readonly commOutput: Tensor;
}

/** One round of communication among the modules' states `sources` [B,N,H]. */
export function communicate(
  sources: Tensor,
  weights: Weights,
  options: CellOptions,
  random: RandomState | undefined,
): Communication {
  const { commHeads: C, commKeySize: F, commValueSize: W, modules: N, commTopK, commDropout: rate } = options;
  const B = at(sources.shape, 0);
  const projected = (name: 'commQuery' | 'commKey' | 'commValue'): Tensor =>
    groupedMatmul(sources, need(weights[name], name));
  const [commQuery, commKey, commValue] = [projected('commQuery'), projected('commKey'), projected('commValue')];
  const heads = (x: Tensor, size: number): Tensor => reshape(x, [B, N, C, size]);
  const commScores = einsum('bncf,bmcf->bcnm', heads(commQuery, F), heads(commKey, F), { scale: 1 / Math.sqrt(F) });
  const commProbabilities = softmax(commScores, commTopK < N ? { topK: commTopK } : {});
  const onProbabilities = options.dropoutOn === 'probabilities';
  const read = onProbabilities ? dropped(commProbabilities, rate, random) : commProbabilities;
  const commContext = reshape(einsum('bcnm,bmcw->bncw', read, heads(commValue, W)), [B, N, C * W]);

  const project = (matrix: 'commOutput' | 'commGate', bias: 'commOutputBias' | 'commGateBias'): Tensor => {
    const w = need(weights[matrix], matrix);
    const b = weights[bias];
    return options.commShared ? matmul(commContext, w, b) : groupedMatmul(commContext, w, b);
  };
  const plain = project('commOutput', 'commOutputBias');
  const commProjected = onProbabilities ? plain : dropped(plain, rate, random);
  const base = { commQuery, commKey, commValue, commScores, commProbabilities, commContext, commProjected };
  if (options.commOutput === 'residual') return { ...base, commOutput: commProjected };
  const commGatePreactivation = project('commGate', 'commGateBias');
  return { ...base, commGatePreactivation, commOutput: mul(sigmoid(commGatePreactivation), tanh(commProjected)) };
}

/** Dropout where there is a random state to draw from. */
export function dropped(x: Tensor, rate: number, random: RandomState | undefined): Tensor {
  return rate === 0 || random === undefined ? x : dropout(x, { rate, random });
}
