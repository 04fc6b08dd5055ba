// The LSTM that RIMs are compared with (Hochreiter and Schmidhuber 1997), in PyTorch's form: gates i, f, g, o, two biases,
// every weight and bias uniform within 1/sqrt(H). One layer over a sequence.

import { add, fill, initialisers, matmul, scan, type Tensor, Variable } from '../../engine/core.ts';
import { checkOptions, formatShape, OptionError, ShapeError } from '../../engine/errors.ts';
import { lstmStep } from './lstm-cell.ts';

/** Sizes of an LSTM. */
export interface LSTMOptions {
  /** D: size of the input. */
  readonly inputSize: number;
  /** H: hidden size. */
  readonly hiddenSize: number;
}

/** The state of an LSTM, h and c [B,H]. */
export type LSTMState = {
  /** What it puts out, [B,H]. */
  readonly h: Tensor;
  /** Its memory, [B,H]. */
  readonly c: Tensor;
};

/** What an LSTM returns. */
export interface LSTMResult {
  /** h of every step, [T,B,H]. */
  readonly hidden: Tensor;
  /** The state after the last step. */
  readonly state: LSTMState;
}

/** An LSTM over sequences; call it with x [T,B,D]. */
export interface LSTM {
  /**
   * @param x [T,B,D]
   * @param state before the first step; zeros where left out
   * @throws ShapeError for an x of other sizes
   */
  (x: Tensor, state?: LSTMState): LSTMResult;
  /** Its weights: [D,4H], [H,4H], [4H] and [4H], gates i, f, g, o. */
  readonly weights: Readonly<Record<'inputGates' | 'stateGates' | 'inputBias' | 'stateBias', Variable>>;
  /** The same, for `grad` and for files. */
  readonly variables: readonly Variable[];
}

/**
 * Makes an LSTM.
 * `[i f g o] = x·inputGates + inputBias + h·stateGates + stateBias; c' = σ(f)c + σ(i)tanh(g); h' = σ(o)tanh(c')`
 * @throws OptionError for sizes that are none; ShapeError at a call whose x does not fit
 */
export function lstm(options: LSTMOptions, random: { readonly seed: number }): LSTM {
  checkOptions('LSTM', options, ['inputSize', 'hiddenSize']);
  const { inputSize: D, hiddenSize: H } = options;
  for (const [name, size] of Object.entries(options)) {
    if (!Number.isSafeInteger(size) || size < 1)
      throw new OptionError(`LSTM: ${name} must be a whole number of at least 1, not ${size}`);
  }
  const initial = initialisers.uniform(1 / Math.sqrt(H));
  const weight = (name: string, shape: readonly number[], stream: number): Variable =>
    new Variable(`lstm.${name}`, shape, initial(shape, { seed: random.seed, stream }));
  const weights = {
    inputGates: weight('inputGates', [D, 4 * H], 0),
    stateGates: weight('stateGates', [H, 4 * H], 1),
    inputBias: weight('inputBias', [4 * H], 2),
    stateBias: weight('stateBias', [4 * H], 3),
  };
  const run = (x: Tensor, start?: LSTMState): ReturnType<LSTM> => {
    const [, B, size] = x.shape;
    if (B === undefined || size !== D || x.shape.length !== 3) {
      throw new ShapeError(`LSTM: x must be [T,B,${D}], not ${formatShape(x.shape)}`);
    }
    const zeros = fill(0, [B, H]);
    const result = scan(
      (input, before) => {
        const ofInput = matmul(input.x, weights.inputGates, add(weights.inputBias, weights.stateBias));
        const { state: next } = lstmStep(ofInput, before, weights.stateGates);
        return { state: next, output: { h: next.h } };
      },
      { x },
      start ?? { h: zeros, c: zeros },
    );
    return { hidden: result.outputs.h, state: result.state };
  };
  return Object.assign(run, { weights, variables: Object.values(weights) });
}
