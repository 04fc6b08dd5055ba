// The GRU (Cho et al., arXiv 1406.1078) in PyTorch's form: gates r, z, n, two biases, the reset gate on the product of the state and
// its bias. Every weight and bias is uniform within 1/sqrt(H), as torch.nn.GRU begins. One layer over a sequence.
//
// Always: the input's part of the gates is one product over all steps; a step is a product and the gates. Not here: stacks of
// layers, and the form of the first papers, which resets the state before the product.

import {
  add,
  fill,
  gruGates,
  initialisers,
  matmul,
  scan,
  sigmoid,
  slice,
  type Tensor,
  type Variable,
} from '../../engine/core.ts';
import type { ModelState, SequenceModel, SequenceResult } from './sequence-model.ts';
import { checkSequence, checkSizes, startingState, stepsAtOnce } from './state.ts';
import { weightMaker } from './weights.ts';

/** Sizes of a GRU. */
export interface GRUOptions {
  /** D: size of the input. */
  readonly inputSize: number;
  /** H: hidden size. */
  readonly hiddenSize: number;
}

/** The state of a GRU. */
export type GRUState = {
  /** What it puts out and remembers, [B,H]. */
  readonly h: Tensor;
};

/** What a GRU returns: `hidden` is h of every step. Trace: the reset gate `r` and the update gate `z`, [T,B,H]; z = 1 keeps. */
export type GRUResult = SequenceResult<GRUState>;

/** A GRU over sequences; call it with x [T,B,D]. Its beginning is zeros. */
export interface GRU extends SequenceModel<GRUState> {
  /** Its weights: [D,3H], [H,3H], [3H] and [3H], gates r, z, n. */
  readonly weights: Readonly<Record<'inputGates' | 'stateGates' | 'inputBias' | 'stateBias', Variable>>;
}

/**
 * Makes a GRU.
 * `a = x·inputGates + inputBias, b = h·stateGates + stateBias; r = σ(a_r + b_r), z = σ(a_z + b_z), n = tanh(a_n + r b_n);
 * h' = (1 - z)n + z h`
 * @throws OptionError for sizes that are none; ShapeError at a call whose x or state does not fit
 */
export function gru(options: GRUOptions, random: { readonly seed: number }): GRU {
  const { inputSize: D, hiddenSize: H } = options;
  checkSizes('GRU', options, ['inputSize', 'hiddenSize'], { inputSize: D, hiddenSize: H });
  const initial = initialisers.uniform(1 / Math.sqrt(H));
  const make = weightMaker('GRU', random.seed);
  const weights = {
    inputGates: make('inputGates', [D, 3 * H], initial),
    stateGates: make('stateGates', [H, 3 * H], initial),
    inputBias: make('inputBias', [3 * H], initial),
    stateBias: make('stateBias', [3 * H], initial),
  };
  const run = (x: Tensor, start?: ModelState): GRUResult => {
    const { steps, batch } = checkSequence('GRU', x, D);
    const { outputs, state } = scan(
      (input, { h }) => {
        const ofInput = matmul(input.x, weights.inputGates, weights.inputBias);
        const ofState = matmul(h, weights.stateGates, weights.stateBias);
        const next = gruGates(ofInput, ofState, h);
        const gate = (chunk: number): Tensor =>
          sigmoid(add(slice(ofInput, 1, chunk * H, H), slice(ofState, 1, chunk * H, H)));
        return { state: { h: next }, output: { h: next, r: gate(0), z: gate(1) } };
      },
      { x },
      startingState('GRU', { h: fill(0, [batch, H]) }, start),
      { chunk: stepsAtOnce(steps, batch * 3 * H) },
    );
    const { h: hidden, ...trace } = outputs;
    return { hidden, state, trace };
  };
  return Object.assign(run, { system: 'GRU', outputSize: H, weights, variables: make.variables });
}
