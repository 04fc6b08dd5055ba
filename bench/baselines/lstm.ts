// The LSTM that RIMs are compared with (Hochreiter and Schmidhuber 1997), in PyTorch's form: gates i, f, g, o, two biases,
// every weight and bias uniform within 1/sqrt(H), as torch.nn.LSTM begins. One layer over a sequence.
//
// Always: the input's part of the gates is one product over all steps; a step is a product and the gates. Not here: stacks of
// layers, and peephole connections.

import {
  add,
  fill,
  initialisers,
  matmul,
  scan,
  sigmoid,
  slice,
  type Tensor,
  type Variable,
} from '../../engine/core.ts';
import { lstmStep } from './lstm-cell.ts';
import type { ModelState, SequenceModel, SequenceResult } from './sequence-model.ts';
import { checkSequence, checkSizes, startingState, stepsAtOnce } from './state.ts';
import { weightMaker } from './weights.ts';

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

/** What an LSTM returns: `hidden` is h of every step. Trace: the gates `i`, `f`, `o` and the memory `c`, [T,B,H] each. */
export type LSTMResult = SequenceResult<LSTMState>;

/** An LSTM over sequences; call it with x [T,B,D]. Its beginning is zeros. */
export interface LSTM extends SequenceModel<LSTMState> {
  /** Its weights: [D,4H], [H,4H], [4H] and [4H], gates i, f, g, o. */
  readonly weights: Readonly<Record<'inputGates' | 'stateGates' | 'inputBias' | 'stateBias', Variable>>;
}

/**
 * Makes an LSTM.
 * `[i f g o] = x·inputGates + inputBias + h·stateGates + stateBias; c' = σ(f)c + σ(i)tanh(g); h' = σ(o)tanh(c')`
 * @throws OptionError for sizes that are none; ShapeError at a call whose x or state does not fit
 */
export function lstm(options: LSTMOptions, random: { readonly seed: number }): LSTM {
  const { inputSize: D, hiddenSize: H } = options;
  checkSizes('LSTM', options, ['inputSize', 'hiddenSize'], { inputSize: D, hiddenSize: H });
  const initial = initialisers.uniform(1 / Math.sqrt(H));
  const make = weightMaker('LSTM', random.seed);
  const weights = {
    inputGates: make('inputGates', [D, 4 * H], initial),
    stateGates: make('stateGates', [H, 4 * H], initial),
    inputBias: make('inputBias', [4 * H], initial),
    stateBias: make('stateBias', [4 * H], initial),
  };
  const run = (x: Tensor, start?: ModelState): LSTMResult => {
    const { steps, batch } = checkSequence('LSTM', x, D);
    const zeros = fill(0, [batch, H]);
    const { outputs, state } = scan(
      (input, before) => {
        const ofInput = matmul(input.x, weights.inputGates, add(weights.inputBias, weights.stateBias));
        const { state: next, gates } = lstmStep(ofInput, before, weights.stateGates);
        const gate = (chunk: number): Tensor => sigmoid(slice(gates, 1, chunk * H, H));
        return { state: next, output: { h: next.h, c: next.c, i: gate(0), f: gate(1), o: gate(3) } };
      },
      { x },
      startingState('LSTM', { h: zeros, c: zeros }, start),
      { chunk: stepsAtOnce(steps, batch * 4 * H) },
    );
    const { h: hidden, ...trace } = outputs;
    return { hidden, state, trace };
  };
  return Object.assign(run, { system: 'LSTM', outputSize: H, weights, variables: make.variables });
}
