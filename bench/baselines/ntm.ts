// The Neural Turing Machine (Graves, Wayne and Danihelka 2014, arXiv 1410.5401): an LSTM with a memory of slots that it reads and
// writes through heads, which find slots by content and move on from where they were (section 3).
//
// What the paper leaves open, as its implementations have it: heads address and read the memory as the step before left it, then it
// is written. h and c begin at 0, every head at the first slot: from an even weighting over equal slots nothing would ever tell them
// apart. The memory begins at one small constant, which learns twice as fast as the next best beginning that Collier and Beel (arXiv
// 1807.08518) tried; it is the same at any number of slots. `hidden` is [h; reads], so that a readout is linear in both.
//
// Every source of NaN that users report is mended in the equations: the cosine has a guarded norm (addressing.ts); sharpening,
// `w^γ / Σ w^γ`, is softmax(γ log(w + 1e-16)), which divides by no vanishing sum and has a slope at w = 0, of at most γ·slots, for
// the shifted weights sum to 1 because heads begin with a weighting. They are never below 0: w + g(c - w) rounds to no less.
// What remains is that the slope of sharpening is γ at an even weighting: with γ in the thousands gradients over many steps pass f32.
// Strengths are softplus, and softmax takes scores of any size.

import {
  affine,
  concat,
  constant,
  einsum,
  fill,
  log,
  reshape,
  scan,
  sigmoid,
  softmax,
  softplus,
  sub,
  type Tensor,
  type Variable,
} from '../../engine/core.ts';
import { OptionError } from '../../engine/errors.ts';
import { contentWeighting, headsOf, times, written } from './addressing.ts';
import { type Controller, makeController } from './controller.ts';
import type { ModelState, SequenceModel, SequenceResult } from './sequence-model.ts';
import { checkSequence, checkSizes, startingState, stepsAtOnce } from './state.ts';

/** Sizes of a Neural Turing Machine; what is left out is as pytorch-ntm has it. */
export interface NTMOptions {
  /** D: size of the input. */
  readonly inputSize: number;
  /** H: hidden size of the LSTM that controls it. */
  readonly hiddenSize: number;
  /** Slots of the memory; 128 where left out. */
  readonly slots?: number;
  /** Size of a slot; 20 where left out. */
  readonly slotSize?: number;
  /** Heads that read; 1 where left out. */
  readonly readHeads?: number;
  /** Heads that write; 1 where left out. */
  readonly writeHeads?: number;
  /** Distances that a head may move in a step, an odd number; 3 where left out: back, not at all, on. */
  readonly shifts?: number;
}

/** The state of a Neural Turing Machine. Heads: those that read, then those that write. */
export type NTMState = {
  /** What its LSTM puts out, [B,H]. */
  readonly h: Tensor;
  /** The memory of its LSTM, [B,H]. */
  readonly c: Tensor;
  /** [B,slots,slotSize] */
  readonly memory: Tensor;
  /** Where the heads are, [B,heads,slots]. */
  readonly weights: Tensor;
  /** What was read, [B,readHeads,slotSize]. */
  readonly reads: Tensor;
};

/**
 * What a Neural Turing Machine returns: `hidden` is [h; reads]. Trace: `readWeights` [T,B,readHeads,slots] and `writeWeights`
 * [T,B,writeHeads,slots]; of all heads `strength`, `gate` (1: by content alone) and `sharpening` [T,B,heads], `shift`
 * [T,B,heads,shifts], the farthest back first.
 */
export type NTMResult = SequenceResult<NTMState>;

/** A Neural Turing Machine over sequences; call it with x [T,B,D]. */
export interface NTM extends SequenceModel<NTMState> {
  /** Its weights, by the names that files have behind `ntm.`. */
  readonly weights: Readonly<Record<string, Variable>>;
}

const KNOWN = ['inputSize', 'hiddenSize', 'slots', 'slotSize', 'readHeads', 'writeHeads', 'shifts'] as const;

/** What every number of the memory is at the beginning. */
const BLANK = 1e-6;

/** Added to weights before their logarithm. */
const FAINTEST = 1e-16;

type Sizes = Readonly<Record<(typeof KNOWN)[number], number>>;
type Said = 'keys' | 'strengths' | 'gates' | 'shifts' | 'sharpenings' | 'erases' | 'adds';

/**
 * Makes a Neural Turing Machine. A step: `h = LSTM([x; reads])`; each head says a key k, β = softplus, g = σ, s = softmax and
 * γ = 1 + softplus of its own linear maps of h, and (equations 5 to 9) `c = softmax(β cos(k, M_i))`, `v = g c + (1 - g) w`,
 * `ṽ_i = Σ_d s_d v_{i-d}` around the ends, `w' = ṽ^γ / Σ ṽ^γ`; then `reads = w'M` (equation 2) and, with e = σ and a of linear maps of
 * h, `M' = M Π(1 - w'eᵀ) + Σ w'aᵀ` (equations 3 and 4).
 * @throws OptionError for sizes that are none, or shifts that are even or more than slots; ShapeError at a call whose x or
 *   state does not fit
 */
export function ntm(options: NTMOptions, random: { readonly seed: number }): NTM {
  const { inputSize, hiddenSize, slots = 128, slotSize = 20, readHeads = 1, writeHeads = 1, shifts = 3 } = options;
  const sizes: Sizes = { inputSize, hiddenSize, slots, slotSize, readHeads, writeHeads, shifts };
  checkSizes('NTM', options, KNOWN, sizes);
  if (shifts % 2 === 0 || shifts > slots)
    throw new OptionError(`NTM: shifts must be odd and no more than the ${slots} slots, not ${shifts}; 3 is usual`);
  const heads = readHeads + writeHeads;
  const controller = makeController<Said>(
    'NTM',
    {
      inputSize,
      hiddenSize,
      readSize: readHeads * slotSize,
      says: {
        keys: [heads, slotSize],
        strengths: [heads],
        gates: [heads],
        shifts: [heads, shifts],
        sharpenings: [heads],
        erases: [writeHeads, slotSize],
        adds: [writeHeads, slotSize],
      },
    },
    random,
  );
  const moves = movesOf(slots, shifts);
  const run = (x: Tensor, start?: ModelState): NTMResult => {
    const { steps, batch } = checkSequence('NTM', x, inputSize);
    const { outputs, state } = scan(
      (input, before) => step(controller, sizes, moves, input.x, before),
      { x },
      startingState('NTM', beginning(batch, sizes), start),
      {
        chunk: stepsAtOnce(
          steps,
          batch * Math.max(4 * hiddenSize, slots * Math.max(slotSize * writeHeads, heads * shifts)),
        ),
      },
    );
    const { hidden, ...trace } = outputs;
    return { hidden, state, trace };
  };
  const { weights, variables } = controller;
  const outputSize = hiddenSize + readHeads * slotSize;
  return Object.assign(run, { system: 'NTM', outputSize, weights, variables });
}

function step(
  controller: Controller<Said>,
  { readHeads, writeHeads, slotSize }: Sizes,
  moves: Tensor,
  x: Tensor,
  before: NTMState,
): { state: NTMState; output: Readonly<Record<string, Tensor>> & { readonly hidden: Tensor } } {
  const { memory } = before;
  const { h, c } = controller.step(x, before.reads, before);
  const say = (part: Said): Tensor => controller.say(part, h);

  const strength = softplus(say('strengths'));
  const found = contentWeighting(memory, say('keys'), strength);
  const gate = sigmoid(say('gates'));
  const mixed = times(sub(found, before.weights), gate, before.weights);
  const shift = softmax(say('shifts'));
  const moved = einsum('bkdn,bkd->bkn', einsum('bkm,mdn->bkdn', mixed, moves), shift, {
    plus: ['', fill(FAINTEST, [])],
  });
  const more = softplus(say('sharpenings'));
  const logarithms = log(moved);
  const weights = softmax(times(logarithms, more, logarithms));

  const readWeights = headsOf(weights, 0, readHeads);
  const writeWeights = headsOf(weights, readHeads, writeHeads);
  const reads = einsum('bkn,bnw->bkw', readWeights, memory);
  const next = written(memory, writeWeights, sigmoid(say('erases')), say('adds'));
  const hidden = concat([h, reshape(reads, [-1, readHeads * slotSize])], 1);
  return {
    state: { h, c, memory: next, weights, reads },
    output: { hidden, readWeights, writeWeights, strength, gate, shift, sharpening: affine(more, 1, 1) },
  };
}

/** The state before the first step of a sequence. */
function beginning(batch: number, { hiddenSize, slots, slotSize, readHeads, writeHeads }: Sizes): NTMState {
  const heads = readHeads + writeHeads;
  const zeros = fill(0, [batch, hiddenSize]);
  const weights = constant(
    Float32Array.from({ length: batch * heads * slots }, (_, i) => (i % slots === 0 ? 1 : 0)),
    [batch, heads, slots],
  );
  return {
    h: zeros,
    c: zeros,
    memory: fill(BLANK, [batch, slots, slotSize]),
    weights,
    reads: fill(0, [batch, readHeads, slotSize]),
  };
}

/** All shifts as one product: 1 at [m, d, n] where slot m moves to slot n by the d-th distance, around the ends. [slots,shifts,slots] */
function movesOf(slots: number, shifts: number): Tensor {
  const values = new Float32Array(slots * shifts * slots);
  for (let from = 0; from < slots; from++) {
    for (let d = 0; d < shifts; d++) {
      const to = (from + d - (shifts - 1) / 2 + slots) % slots;
      values[(from * shifts + d) * slots + to] = 1;
    }
  }
  return constant(values, [slots, shifts, slots]);
}
