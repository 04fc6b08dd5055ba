// One step of an LSTM, as every system takes it that has one in it: the LSTM by itself, and the controllers of memories.
//
// Always: one product and the gates. What does not depend on the state comes in as a sum made before, so that a scan makes it for
// all steps at once. Not here: weights and their beginnings.

import { lstmGates, matmul, type Tensor } from '../../engine/core.ts';

/** What a step of an LSTM computes. */
export interface LSTMStep {
  /** h' and c' [B,H]. */
  readonly state: { readonly h: Tensor; readonly c: Tensor };
  /** The gates before their functions, [B,4H], chunks i, f, g, o. */
  readonly gates: Tensor;
}

/**
 * `[i f g o] = others + h·stateGates; c' = σ(f)c + σ(i)tanh(g); h' = σ(o)tanh(c')`
 * @param others [B,4H]: what the gates are beside the product with the state
 * @param state h and c [B,H]
 * @param stateGates [H,4H]
 */
export function lstmStep(
  others: Tensor,
  state: { readonly h: Tensor; readonly c: Tensor },
  stateGates: Tensor,
): LSTMStep {
  const gates = matmul(state.h, stateGates, others);
  return { state: lstmGates(gates, state.c), gates };
}
