// The recurrent entity network (Henaff et al., "Tracking the World State with Recurrent Entity Networks", arXiv 1612.03969, equations
// 2 to 5): slots with a key each, which all read the input and change by a gate of their own, with weights that all slots share.
//
// Always: a slot has length 1 after every step, or less where it was shorter than 1e-6: nothing is divided by 0. Other than the
// paper: no question is asked, so the slots are put out side by side, for a readout; and an input of another size than a slot's
// goes through a learned matrix first. Not here: the bias of U that the
// authors' code has; V·w_j, which does not depend on the input either, takes its place.

import {
  add,
  broadcastTo,
  div,
  einsum,
  fill,
  greater,
  initialisers,
  matmul,
  maximum,
  mul,
  reshape,
  scan,
  sigmoid,
  sqrt,
  type Tensor,
  type Variable,
  where,
} from '../../engine/core.ts';
import { checkSwitch } from '../../engine/errors.ts';
import type { ModelState, SequenceModel, SequenceResult } from './sequence-model.ts';
import { checkSequence, checkSizes, startingState, stepsAtOnce } from './state.ts';
import { weightMaker } from './weights.ts';

/** Sizes of an entity network. */
export interface EntNetOptions {
  /** D: size of the input; where it is not `slotSize`, the input is multiplied by a learned [D,slotSize] first. */
  readonly inputSize: number;
  /** Slots of the memory. */
  readonly slots: number;
  /** Size of a slot and of its key. */
  readonly slotSize: number;
  /** True: each gate has a learned bias, as in the authors' code; false, as in the paper, where left out. */
  readonly gateBias?: boolean;
}

/** The state of an entity network. */
export type EntNetState = {
  /** The slots, [B,slots,slotSize]. */
  readonly h: Tensor;
};

/** What an entity network returns: `hidden` is the slots side by side, [T,B,slots*slotSize]. Trace: `gates` [T,B,slots], how far each opened. */
export type EntNetResult = SequenceResult<EntNetState>;

/** An entity network over sequences; call it with x [T,B,D]. Its beginning is the keys. */
export interface EntNet extends SequenceModel<EntNetState> {
  /** Its weights by what they are for; matrices stand behind a row. */
  readonly weights: {
    /** w, [slots,slotSize] */
    readonly keys: Variable;
    /** U, [slotSize,slotSize] */
    readonly stateWeight: Variable;
    /** V, [slotSize,slotSize] */
    readonly keyWeight: Variable;
    /** W, [slotSize,slotSize] */
    readonly inputWeight: Variable;
    /** What the PReLU multiplies negative numbers by, [1]: one number for all units, where the authors' code has one for each. */
    readonly slope: Variable;
    /** [slots] where the options have it. */
    readonly gateBias: Variable | undefined;
    /** [D,slotSize] where the input has another size than a slot. */
    readonly projection: Variable | undefined;
  };
}

/** The least square of a length that a slot is divided by. */
const LEAST_SQUARE = 1e-12;

/**
 * Makes an entity network.
 * `g_j = σ(s·h_j + s·w_j); c_j = φ(U h_j + V w_j + W s); h_j = h_j + g_j c_j, divided by its length`, with φ a PReLU.
 * Weights begin as N(0, 0.1²) and the slope as 1, as in the authors' code; the projection, which is ours, within 1/sqrt(D).
 * @throws OptionError for sizes that are none; ShapeError at a call whose x or state does not fit
 */
export function entnet(options: EntNetOptions, random: { readonly seed: number }): EntNet {
  const { inputSize: D, slots, slotSize, gateBias = false } = options;
  const sizes = { inputSize: D, slots, slotSize };
  checkSizes('EntNet', options, [...Object.keys(sizes), 'gateBias'], sizes);
  checkSwitch('EntNet', 'gateBias', gateBias);
  const make = weightMaker('EntNet', random.seed);
  const small = initialisers.normal(0.1);
  const weights = {
    keys: make('keys', [slots, slotSize], small),
    stateWeight: make('stateWeight', [slotSize, slotSize], small),
    keyWeight: make('keyWeight', [slotSize, slotSize], small),
    inputWeight: make('inputWeight', [slotSize, slotSize], small),
    slope: make('slope', [1], initialisers.ones()),
    gateBias: gateBias ? make('gateBias', [slots], small) : undefined,
    projection: D === slotSize ? undefined : make('projection', [D, slotSize], initialisers.fanInUniform()),
  };
  const { keys } = weights;
  const run = (x: Tensor, start?: ModelState): EntNetResult => {
    const { steps, batch: B } = checkSequence('EntNet', x, D);
    const { outputs, state } = scan(
      (input, { h }) => {
        const s = weights.projection === undefined ? input.x : matmul(input.x, weights.projection);
        const bias = weights.gateBias === undefined ? {} : { plus: ['j', weights.gateBias] as const };
        const likeKeys = einsum('bm,jm->bj', s, keys, bias);
        const gates = sigmoid(einsum('bm,bjm->bj', s, h, { plus: ['bj', likeKeys] }));
        const given = add(reshape(matmul(s, weights.inputWeight), [B, 1, slotSize]), matmul(keys, weights.keyWeight));
        const wanted = einsum('bjm,mn->bjn', h, weights.stateWeight, { plus: ['bjn', given] });
        const moved = add(h, mul(reshape(gates, [B, slots, 1]), prelu(wanted, weights.slope)));
        const next = normalised(moved);
        return { state: { h: next }, output: { h: next, gates } };
      },
      { x },
      startingState('EntNet', { h: broadcastTo(reshape(keys, [1, slots, slotSize]), [B, slots, slotSize]) }, start),
      { chunk: stepsAtOnce(steps, B * slots * slotSize) },
    );
    return { hidden: reshape(outputs.h, [steps, B, slots * slotSize]), state, trace: { gates: outputs.gates } };
  };
  const outputSize = slots * slotSize;
  return Object.assign(run, { system: 'EntNet', outputSize, weights, variables: make.variables });
}

/** x where positive, else slope x (He et al., arXiv 1502.01852). */
function prelu(x: Tensor, slope: Tensor): Tensor {
  return where(greater(x, fill(0, [])), x, mul(slope, x));
}

/** Slots [B,slots,slotSize], each divided by its length. */
function normalised(h: Tensor): Tensor {
  const [B = 0, slots = 0] = h.shape;
  const squares = einsum('bjm,bjm->bj', h, h);
  return div(h, reshape(sqrt(maximum(squares, fill(LEAST_SQUARE, []))), [B, slots, 1]));
}
