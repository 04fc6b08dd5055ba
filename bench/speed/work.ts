// The work that the benchmark times: one training step of a RIM, as every peer does it too.
//
// The function: a GRU RIM with raw-score selection, one input row, keys and values of the input with shared biases, kept
// sources, a residual projection a module, a random initial state; the loss is the mean square of the last hidden state
// against a target; the update is SGD. Not here: who is timed, and how (bench.ts).

import { grad, input, mean, mul, RandomState, reshape, sgd, sub, type Tensor, type Update } from '../../engine/core.ts';
import { at } from '../../engine/errors.ts';
import { type CellOptions, makeRIM, presetOptions, type RIM } from '../../rims/index.ts';

/** The sizes of a benchmark, in the letters of ARCHITECTURE.md. */
export interface Sizes {
  readonly B: number;
  readonly T: number;
  readonly N: number;
  readonly K: number;
  readonly H: number;
  readonly D: number;
  readonly E: number;
  readonly V: number;
  readonly C: number;
  readonly F: number;
  readonly W: number;
}

/** Sizes with names: small, medium, and those of the paper's copying model. */
export const SIZES: Readonly<Record<'S' | 'M' | 'P', Sizes>> = {
  S: { B: 64, T: 20, N: 6, K: 4, H: 32, D: 32, E: 32, V: 64, C: 2, F: 16, W: 16 },
  M: { B: 64, T: 20, N: 6, K: 4, H: 100, D: 100, E: 64, V: 400, C: 4, F: 16, W: 16 },
  P: { B: 64, T: 70, N: 6, K: 4, H: 100, D: 600, E: 64, V: 400, C: 4, F: 32, W: 32 },
};

/** The learning rate of the benchmark's SGD. */
export const LEARNING_RATE = 0.01;

/** The options of the benchmark's cell. */
export function benchmarkCell({ N, K, H, D, E, V, C, F, W }: Sizes): CellOptions {
  return presetOptions('paper', {
    inputSize: D,
    hiddenSize: H,
    modules: N,
    active: K,
    cell: 'gru',
    keySize: E,
    valueSize: V,
    inputBias: true,
    selection: 'raw-score',
    cellBias: false,
    commHeads: C,
    commKeySize: F,
    commValueSize: W,
    inputDropout: 0,
    commDropout: 0,
  });
}

/** A training step, ready to be compiled. */
export interface Work {
  readonly rim: RIM;
  readonly loss: Tensor;
  readonly updates: readonly Update[];
}

/** The benchmark's function: feeds x [T,B,D] and target [B,N*H]. */
export function benchmarkWork(sizes: Sizes, path: 'auto' | 'plain'): Work {
  const { B, T, D, N, H } = sizes;
  const rim = makeRIM(
    benchmarkCell(sizes),
    { seed: 1, dropout: new RandomState({ seed: 1 }) },
    { initialState: 'noise', path },
  );
  const x = input('x', [T, B, D]);
  const target = input('target', [B, N * H]);
  const { state } = rim(x);
  const gap = sub(reshape(at(state, 0).h, [B, N * H]), target);
  const loss = mean(mul(gap, gap));
  return { rim, loss, updates: sgd(grad(loss, rim.variables), { learningRate: LEARNING_RATE }) };
}
