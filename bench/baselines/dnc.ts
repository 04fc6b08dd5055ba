// The Differentiable Neural Computer (Graves et al., Nature 538:471-476, 2016; the equations are in its Methods): an LSTM with a
// memory of slots. One head writes, where a key looks or where memory is free; several read, where a key looks or along the order in
// which slots were written.
//
// Always: everything begins at zero, as in the paper; a cosine with zeros is 0 (addressing.ts). `hidden` is [h; reads], of which the
// paper's output, W_y h + W_r reads, is a linear readout. Gradients are those of the equations but for the order of the slots by
// their usage, which is taken as it is, as in the paper; the gradient of the sorted usages themselves is there. (The authors'
// code, deepmind/dnc, also blocks the gradient of usage through the write weightings of the step before. This does not.) The links
// are a matrix of slots by slots for every row of the batch, dense, as in the paper without its sparse approximation.

import {
  add,
  concat,
  constant,
  cumulativeProduct,
  einsum,
  fill,
  mul,
  reshape,
  scan,
  sigmoid,
  softmax,
  softplus,
  sort,
  sub,
  sum,
  type Tensor,
  type Variable,
} from '../../engine/core.ts';
import { at } from '../../engine/errors.ts';
import { putAlong } from '../../engine/ops/gather.ts';
import { contentWeighting, productOver, times, written } from './addressing.ts';
import { type Controller, makeController } from './controller.ts';
import type { ModelState, SequenceModel, SequenceResult } from './sequence-model.ts';
import { checkSequence, checkSizes, startingState, stepsAtOnce } from './state.ts';

/** Sizes of a Differentiable Neural Computer. */
export interface DNCOptions {
  /** D: size of the input. */
  readonly inputSize: number;
  /** H: hidden size of the LSTM that controls it. */
  readonly hiddenSize: number;
  /** Slots of the memory; 16 where left out, as the authors' example of copying has it. */
  readonly slots?: number;
  /** Size of a slot; 16 where left out. */
  readonly slotSize?: number;
  /** Heads that read; 4 where left out. */
  readonly readHeads?: number;
}

/** The state of a Differentiable Neural Computer. */
export type DNCState = {
  /** What its LSTM puts out, [B,H]. */
  readonly h: Tensor;
  /** The memory of its LSTM, [B,H]. */
  readonly c: Tensor;
  /** [B,slots,slotSize] */
  readonly memory: Tensor;
  /** How much each slot is in use, [B,slots]. */
  readonly usage: Tensor;
  /** How much each slot was the last that was written, [B,slots]. */
  readonly precedence: Tensor;
  /** How much slot i was written right after slot j, [B,slots,slots]. */
  readonly links: Tensor;
  /** Where was written, [B,1,slots]. */
  readonly writeWeights: Tensor;
  /** Where was read, [B,readHeads,slots]. */
  readonly readWeights: Tensor;
  /** What was read, [B,readHeads,slotSize]. */
  readonly reads: Tensor;
};

/**
 * What a Differentiable Neural Computer returns: `hidden` is [h; reads]. Trace: `readWeights` [T,B,readHeads,slots], `writeWeights`
 * [T,B,1,slots], `usage` [T,B,slots], `allocationGate` (1: where memory is free, 0: by content) and `writeGate` [T,B,1], `freeGates`
 * [T,B,readHeads], and the shares of `readModes` (back along the links, by content, on along them) [T,B,readHeads,3].
 */
export type DNCResult = SequenceResult<DNCState>;

/** A Differentiable Neural Computer over sequences; call it with x [T,B,D]. */
export interface DNC extends SequenceModel<DNCState> {
  /** Its weights, by the names that files have behind `dnc.`. */
  readonly weights: Readonly<Record<string, Variable>>;
}

const KNOWN = ['inputSize', 'hiddenSize', 'slots', 'slotSize', 'readHeads'] as const;

type Sizes = Readonly<Record<(typeof KNOWN)[number], number>>;
type Said =
  | `read${'Keys' | 'Strengths' | 'Modes'}`
  | `write${'Key' | 'Strength' | 'Gate'}`
  | 'erase'
  | 'add'
  | 'freeGates'
  | 'allocationGate';

/**
 * Makes a Differentiable Neural Computer. A step: `h = LSTM([x; reads])`, of which linear maps give keys k, strengths β = 1 + softplus,
 * gates f, a, g and erase e = σ, modes π = softmax and add v. With `C(M, k, β) = softmax(β cos(k, M_i))` and u, p, L, w, r the usage,
 * precedence, links, write and read weightings: `u' = (u + w - uw) Π(1 - f r)`; alloc = what `(1 - u'_φj) Π_{i<j} u'_φi` gives
 * slot φj, slots by rising usage; `w' = g (a alloc + (1 - a) C(M, k, β))`; `M' = M(1 - w'eᵀ) + w'vᵀ`;
 * `L'_ij = (1 - w'_i - w'_j) L_ij + w'_i p_j`, 0 on the diagonal; `p' = (1 - Σw') p + w'`;
 * `r' = π_1 L'ᵀr + π_2 C(M', k, β) + π_3 L'r`, `reads = r'M'`.
 * @throws OptionError for sizes that are none; ShapeError at a call whose x or state does not fit
 */
export function dnc(options: DNCOptions, random: { readonly seed: number }): DNC {
  const { inputSize, hiddenSize, slots = 16, slotSize = 16, readHeads = 4 } = options;
  const sizes: Sizes = { inputSize, hiddenSize, slots, slotSize, readHeads };
  checkSizes('DNC', options, KNOWN, sizes);
  const controller = makeController<Said>(
    'DNC',
    {
      inputSize,
      hiddenSize,
      readSize: readHeads * slotSize,
      says: {
        readKeys: [readHeads, slotSize],
        readStrengths: [readHeads],
        readModes: [readHeads, 3],
        writeKey: [1, slotSize],
        writeStrength: [1],
        writeGate: [1],
        erase: [1, slotSize],
        add: [1, slotSize],
        freeGates: [readHeads],
        allocationGate: [1],
      },
    },
    random,
  );
  const shared = { steps: neighbours(slots), others: offDiagonal(slots) };
  const run = (x: Tensor, start?: ModelState): DNCResult => {
    const { steps, batch } = checkSequence('DNC', x, inputSize);
    const widest = Math.max(4 * hiddenSize, slots * Math.max(slots, slotSize, 3 * readHeads));
    const { outputs, state } = scan(
      (input, before) => step(controller, sizes, shared, input.x, before),
      { x },
      startingState('DNC', beginning(batch, sizes), start),
      { chunk: stepsAtOnce(steps, batch * widest) },
    );
    const { hidden, ...trace } = outputs;
    return { hidden, state, trace };
  };
  const { weights, variables } = controller;
  const outputSize = hiddenSize + readHeads * slotSize;
  return Object.assign(run, { system: 'DNC', outputSize, weights, variables });
}

/** Constants of every step. */
interface Shared {
  readonly steps: Tensor;
  readonly others: Tensor;
}

function step(
  controller: Controller<Said>,
  { readHeads, slots, slotSize }: Sizes,
  shared: Shared,
  x: Tensor,
  before: DNCState,
): { state: DNCState; output: Readonly<Record<string, Tensor>> & { readonly hidden: Tensor } } {
  const { h, c } = controller.step(x, before.reads, before);
  const say = (part: Said): Tensor => controller.say(part, h);

  const freeGates = sigmoid(say('freeGates'));
  const usage = used(before, freeGates);
  const free = reshape(allocation(usage, shared), [-1, 1, slots]);
  const found = contentWeighting(before.memory, say('writeKey'), softplus(say('writeStrength')), 1);
  const [allocationGate, writeGate] = [sigmoid(say('allocationGate')), sigmoid(say('writeGate'))];
  const writeWeights = times(times(sub(free, found), allocationGate, found), writeGate);
  const memory = written(before.memory, writeWeights, sigmoid(say('erase')), say('add'));

  const where = reshape(writeWeights, [-1, slots]);
  const links = linked(before, where, shared);
  const precedence = sub(
    add(before.precedence, where),
    einsum('bn,b->bn', before.precedence, sum(where, { axes: [1] })),
  );
  const modes = softmax(say('readModes'));
  const readWeights = einsum(
    'brmn,brm->brn',
    concat(
      [
        einsum('bij,bri->brj', links, before.readWeights),
        contentWeighting(memory, say('readKeys'), softplus(say('readStrengths')), 1),
        einsum('bij,brj->bri', links, before.readWeights),
      ].map((each) => reshape(each, [-1, readHeads, 1, slots])),
      2,
    ),
    modes,
  );
  const reads = einsum('brn,bnw->brw', readWeights, memory);
  return {
    state: { h, c, memory, usage, precedence, links, writeWeights, readWeights, reads },
    output: {
      hidden: concat([h, reshape(reads, [-1, readHeads * slotSize])], 1),
      ...{ readWeights, writeWeights, usage, allocationGate, writeGate, freeGates, readModes: modes },
    },
  };
}

/** How much each slot is in use once what was written counts and what reading heads free does not, [B,slots]. */
function used({ usage, writeWeights, readWeights }: DNCState, freeGates: Tensor): Tensor {
  const kept = productOver(einsum('brn,br->bnr', readWeights, freeGates, { scale: -1, plus: ['', fill(1, [])] }));
  const wrote = reshape(writeWeights, usage.shape);
  return mul(sub(add(usage, wrote), mul(usage, wrote)), kept);
}

/**
 * The weighting of slots by how free they are, [B,slots]. In the order of rising usage the products of all usages up to a slot fall
 * by what the slot gets: `(1 - u_j) Π_{i<j} u_i = Π_{i<j} u_i - Π_{i≤j} u_i`.
 */
function allocation(usage: Tensor, { steps }: Shared): Tensor {
  const slots = at(usage.shape, 1);
  const { values, indices } = sort(usage);
  const first = constant(
    Array.from({ length: slots }, (_, i) => (i === 0 ? 1 : 0)),
    [slots],
  );
  const falls = einsum('bm,mn->bn', cumulativeProduct(values), steps, { plus: ['n', first] });
  return putAlong(falls, indices, slots);
}

/** How much each slot was written right after each other one, [B,slots,slots]. */
function linked({ links, precedence }: DNCState, wrote: Tensor, { others }: Shared): Tensor {
  const once = einsum('bij,bi->bij', links, wrote, { scale: -1, plus: ['bij', links] });
  const twice = einsum('bij,bj->bij', links, wrote, { scale: -1, plus: ['bij', once] });
  return mul(einsum('bi,bj->bij', wrote, precedence, { plus: ['bij', twice] }), others);
}

/** The state before the first step of a sequence. */
function beginning(batch: number, { hiddenSize, slots, slotSize, readHeads }: Sizes): DNCState {
  const zeros = (...shape: number[]): Tensor => fill(0, [batch, ...shape]);
  return {
    h: zeros(hiddenSize),
    c: zeros(hiddenSize),
    memory: zeros(slots, slotSize),
    usage: zeros(slots),
    precedence: zeros(slots),
    links: zeros(slots, slots),
    writeWeights: zeros(1, slots),
    readWeights: zeros(readHeads, slots),
    reads: zeros(readHeads, slotSize),
  };
}

/** As a product: every element but the first less the one before it, with the opposite sign; the first with the opposite sign. */
function neighbours(slots: number): Tensor {
  const valueAt = (from: number, to: number): number => (from === to ? -1 : from === to - 1 ? 1 : 0);
  return matrix(slots, valueAt);
}

/** 0 on the diagonal, else 1. */
function offDiagonal(slots: number): Tensor {
  return matrix(slots, (i, j) => (i === j ? 0 : 1));
}

function matrix(size: number, valueAt: (row: number, column: number) => number): Tensor {
  return constant(
    Array.from({ length: size * size }, (_, i) => valueAt(Math.floor(i / size), i % size)),
    [size, size],
  );
}
