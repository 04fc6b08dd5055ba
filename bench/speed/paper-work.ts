// The second training step that the benchmark times: the preset `paper` as it is, with Adam.
//
// The function: an LSTM RIM with all of the paper's choices, at the sizes of the benchmark; the loss is again the mean square
// of the last hidden state against a target. Not here: the step that the peers take too (work.ts).

import { adam, grad, input, mean, mul, RandomState, reshape, sub } from '../../engine/core.ts';
import { at } from '../../engine/errors.ts';
import { makeRIM, presetOptions } from '../../rims/index.ts';
import type { Sizes, Work } from './work.ts';

/** Adam's learning rate. */
const LEARNING_RATE = 1e-3;

/** The preset's training step: feeds x [T,B,D] and target [B,N*H]. */
export function paperWork({ B, T, N, K, H, D, E, V, C, F, W }: Sizes, path: 'auto' | 'plain'): Work {
  const cell = presetOptions('paper', {
    inputSize: D,
    hiddenSize: H,
    modules: N,
    active: K,
    keySize: E,
    valueSize: V,
    commHeads: C,
    commKeySize: F,
    commValueSize: W,
  });
  const rim = makeRIM(cell, { seed: 1, dropout: new RandomState({ seed: 1 }) }, { path });
  const x = input('x', [T, B, D]);
  const target = input('target', [B, N * H]);
  const { state } = rim(x);
  const gap = sub(reshape(at(state, 0).h, [B, N * H]), target);
  const loss = mean(mul(gap, gap));
  return { rim, loss, updates: adam(grad(loss, rim.variables), { learningRate: LEARNING_RATE }) };
}
