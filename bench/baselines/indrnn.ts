// The independently recurrent network (Li et al., "Independently Recurrent Neural Network (IndRNN): Building A Longer and Deeper RNN",
// CVPR 2018, arXiv 1803.04831): each unit remembers itself alone, by one factor u. Layers stand on one another, each over all steps.
//
// Always: the input's part of a layer is one product over all steps, and what is left in the loop is elementwise; the factors in use
// stay within the bound. The authors set factors back after each update; here the model does so as it reads them, so that any optimiser
// keeps the bound, and a factor beyond it takes only gradients that lead inwards. An optimiser with momentum may carry a factor on for
// a while, which then takes as many steps to come back; the authors' does not leave the bound.
// Between layers they always put batch normalisation. Here there is layer normalisation, where it is asked for (`normalise`): it needs
// no statistics to be kept for evaluation and takes batches and lengths other than those trained on. The last layer's h is not normalised.

import {
  abs,
  add,
  applyOne,
  blockGradient,
  clamp,
  concat,
  fill,
  greater,
  layerNorm,
  lessEqual,
  matmul,
  maximum,
  mul,
  type Op,
  OptionError,
  relu,
  reshape,
  type Shape,
  scan,
  slice,
  sub,
  type Tensor,
  type Variable,
} from '../../engine/core.ts';
import { at, checkSwitch } from '../../engine/errors.ts';
import { type Initialiser, kaimingUniform, ones, zeros } from '../../engine/initialisers.ts';
import { uniformArray } from '../../engine/random.ts';
import type { ModelState, SequenceModel, SequenceResult } from './sequence-model.ts';
import { checkSequence, checkSizes, startingState, stepsAtOnce } from './state.ts';
import { weightMaker } from './weights.ts';

/** Sizes of an IndRNN, and how far it remembers. */
export interface IndRNNOptions {
  /** D: size of the input. */
  readonly inputSize: number;
  /** H: units of each layer. */
  readonly hiddenSize: number;
  /** Layers; 2 where left out. */
  readonly layers?: number;
  /**
   * The largest |u|; 1 where left out, with which no gradient and no memory grows over any number of steps. The authors' is 5^(1/T).
   */
  readonly bound?: number;
  /**
   * Over how many steps the last layer remembers at first: its u begin between 5^(-1/memory) and the bound. 100 where left out; the
   * authors' is T of the training.
   */
  readonly memory?: number;
  /** True: layer normalisation of what one layer hands to the next. False where left out. */
  readonly normalise?: boolean;
}

/** The state of an IndRNN. */
export type IndRNNState = {
  /** The units of all layers, [B,layers,H]. */
  readonly h: Tensor;
};

/** What an IndRNN returns: `hidden` is the last layer's h of every step, [T,B,H]. Trace: `h` of all layers, [T,B,layers,H]. */
export type IndRNNResult = SequenceResult<IndRNNState>;

/** The weights of one layer of an IndRNN. */
export interface IndRNNLayer {
  /** [D,H], or [H,H] above the first layer. */
  readonly input: Variable;
  /** [H] */
  readonly bias: Variable;
  /** u, [H]; in use within the bound, whatever it is. */
  readonly factors: Variable;
  /** Layer norm of what comes from the layer below, [H], where there is one. */
  readonly norm: Variable | undefined;
  /** [H] */
  readonly normBias: Variable | undefined;
}

/** An IndRNN over sequences; call it with x [T,B,D]. Its beginning is zeros. */
export interface IndRNN extends SequenceModel<IndRNNState> {
  /** Its weights, from the first layer on. */
  readonly layers: readonly IndRNNLayer[];
}

/** The authors' bound of how far a unit's state grows or fades over the steps that it should remember. */
const MAGNITUDE = 5;

/**
 * Makes an IndRNN.
 * `h' = relu(x·input + u ∘ h + bias)`, layer upon layer (equation 4 and section 4).
 * As in the authors' code u begins as U(0, bound), the last layer's as U(5^(-1/memory), bound), input weights as He's uniform with
 * the slope 8, biases as 0.
 * @throws OptionError for sizes that are none; ShapeError at a call whose x or state does not fit
 */
export function indrnn(options: IndRNNOptions, random: { readonly seed: number }): IndRNN {
  const { inputSize: D, hiddenSize: H, layers: L = 2, bound = 1, memory = 100, normalise = false } = options;
  const sizes = { inputSize: D, hiddenSize: H, layers: L, memory };
  checkSizes('IndRNN', options, [...Object.keys(sizes), 'bound', 'normalise'], sizes);
  checkSwitch('IndRNN', 'normalise', normalise);
  const lasting = MAGNITUDE ** (-1 / memory);
  if (!(bound > lasting && Number.isFinite(bound)))
    throw new OptionError(`IndRNN: bound must be a number above 5^(-1/memory) = ${lasting.toFixed(4)}, not ${bound}`);
  const make = weightMaker('IndRNN', random.seed);
  const layers = Array.from({ length: L }, (_, layer): IndRNNLayer => {
    const own = (name: string, shape: Shape, initial: Initialiser): Variable =>
      make(`layer${layer + 1}.${name}`, shape, initial);
    const low = layer === L - 1 ? lasting : 0;
    const normed = normalise && layer > 0;
    return {
      input: own('input', [layer === 0 ? D : H, H], kaimingUniform({ slope: 8 })),
      bias: own('bias', [H], zeros()),
      factors: own('factors', [H], (_, place) => uniformArray(H, { ...place, low, high: bound })),
      norm: normed ? own('norm', [H], ones()) : undefined,
      normBias: normed ? own('normBias', [H], zeros()) : undefined,
    };
  });
  const run = (x: Tensor, start?: ModelState): IndRNNResult => {
    const { steps, batch } = checkSequence('IndRNN', x, D);
    const before = startingState('IndRNN', { h: fill(0, [batch, L, H]) }, start);
    const sequences: Tensor[] = [];
    const ends: Tensor[] = [];
    layers.forEach(({ input, bias, factors, norm, normBias }, layer) => {
      const below = sequences.at(-1) ?? x;
      const normed = norm && normBias ? layerNorm(below, { weight: norm, bias: normBias }) : below;
      const given = matmul(normed, input, bias);
      const first = reshape(slice(before.h, 1, layer, 1), [batch, H]);
      const { hidden, last } = recurrence(given, bounded(factors, bound), first);
      sequences.push(hidden);
      ends.push(last);
    });
    const all = (tensors: readonly Tensor[], lead: readonly number[]): Tensor =>
      concat(
        tensors.map((t) => reshape(t, [...lead, 1, H])),
        lead.length,
      );
    return {
      hidden: at(sequences, L - 1),
      state: { h: all(ends, [batch]) },
      trace: { h: all(sequences, [steps, batch]) },
    };
  };
  return Object.assign(run, { system: 'IndRNN', outputSize: H, layers, variables: make.variables });
}

/**
 * `h' = relu(given + u ∘ h)` over time: h of every step, [T,B,H], and the last one. Two steps are one of the loop, because a call
 * never writes into the buffer that it reads: from one step to the next h goes from one of two buffers to the other, and nothing is
 * copied.
 */
function recurrence(given: Tensor, u: Tensor, first: Tensor): { readonly hidden: Tensor; readonly last: Tensor } {
  const [T = 0, B = 0, H = 0] = given.shape;
  const next = (x: Tensor, h: Tensor): Tensor => relu(add(x, mul(u, h)));
  const odd = T % 2;
  const start = odd === 0 ? first : next(reshape(slice(given, 0, 0, 1), [B, H]), first);
  const before = odd === 0 ? [] : [reshape(start, [1, B, H])];
  const pairs = (T - odd) / 2;
  if (pairs === 0) return { hidden: concat(before, 0), last: start };
  const paired = reshape(slice(given, 0, odd, 2 * pairs), [pairs, 2, B, H]);
  const half = (which: number): Tensor => reshape(slice(paired, 1, which, 1), [pairs, B, H]);
  const { outputs, state } = scan(
    ({ early, late }, { h }) => {
      const between = next(early, h);
      const after = next(late, between);
      return { state: { h: after }, output: { between, after } };
    },
    { early: half(0), late: half(1) },
    { h: start },
    { chunk: stepsAtOnce(pairs, B * H) },
  );
  const whole = [outputs.between, outputs.after].map((each) => reshape(each, [pairs, 1, B, H]));
  return { hidden: concat([...before, reshape(concat(whole, 1), [2 * pairs, B, H])], 0), last: state.h };
}

/** u within ±bound; its gradient passes where u is within, or where following it leads back. */
function bounded(u: Tensor, bound: number): Tensor {
  return add(applyOne(inwardOp, [u], { bound }), blockGradient(sub(clamp(u, -bound, bound), u)));
}

/** u itself. Beyond the bound it takes no gradient but one of its own sign, against which an optimiser goes inwards. */
const inwardOp: Op<{ readonly bound: number }> = {
  name: 'inwardGradient',
  alias: true,
  infer: ([u]) => [{ shape: u?.shape ?? [], dtype: 'f32' }],
  backward: ({ inputs, attrs }, [d]) => {
    const u = at(inputs, 0);
    if (d === undefined) return [];
    const within = lessEqual(abs(u), fill(attrs.bound, []));
    return [mul(d, maximum(within, greater(mul(d, u), fill(0, []))))];
  },
};
