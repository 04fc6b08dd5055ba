// What the fused step of a RIM lays side by side in its rows: the columns of its operands, in elements, all multiples of 4,
// so that kernels read whole vec4s. One place for forward and backward (step-op.ts, step-backward.ts).

import { OptionError, ShapeError } from '../engine/errors.ts';

/** What a fused step does, and its sizes; sizes are padded to multiples of 4 by the caller. */
export interface StepOptions {
  readonly cell: 'lstm' | 'gru';
  /** B and N. */
  readonly rows: number;
  readonly modules: number;
  /** K, 1 to N. */
  readonly active: number;
  /** H and E. */
  readonly hidden: number;
  readonly keySize: number;
  /** What others read of an inactive module: its h, or its candidate, without gradient. */
  readonly sources: 'kept' | 'candidate';
  /** An inactive module's candidate reads no input. */
  readonly zeroInput: boolean;
  /** Ranks by the score of the input, to which the key's bias belongs, not by the log-odds. */
  readonly rawScore: boolean;
  /** C, F and W of the communication, what its scores are multiplied by, and the sources that a reader keeps. */
  readonly heads: number;
  readonly talkKey: number;
  readonly talkValue: number;
  readonly talkScale: number;
  readonly topK: number;
  /** sigmoid(gate) tanh(product) instead of the product. */
  readonly gated: boolean;
}

/** Most modules: they are ranked in the memory of a workgroup. */
export const MOST_MODULES = 64;

/** Columns of the rows of a step. */
export interface StepLayout {
  /** G: gates of a module. */
  readonly gates: 3 | 4;
  /** Whether products of the state are kept from the step in which a module was last active: [gates | query | keys, values]. */
  readonly cached: boolean;
  /** Whether some modules are inactive. */
  readonly sparse: boolean;
  /** Columns of gates and query, and of all products of the state that the memory holds. */
  readonly scored: number;
  readonly products: number;
  /** A row of the memory: the products, and the c of an LSTM. */
  readonly memory: number;
  /** [candidate | 4 of gates | h or c before | query | log-odds, mask, p, 0] */
  readonly saved: number;
  /** [queries | keys | values] of the communication, its values, and the projected columns. */
  readonly talk: number;
  readonly context: number;
  readonly projected: number;
}

/** The columns of a step with these options. @throws OptionError, ShapeError for what the kernels cannot take */
export function layoutOf(options: StepOptions): StepLayout {
  const { cell, modules, active, hidden, keySize, sources, heads, talkKey, talkValue, topK, gated } = options;
  for (const [name, size] of Object.entries({ hidden, keySize, talkKey, talkValue })) {
    if (size % 4 !== 0 || size < 4) throw new ShapeError(`rimStep: ${name} is ${size}; pad it to a multiple of 4`);
  }
  if (modules > MOST_MODULES) {
    throw new OptionError(`rimStep: ${modules} modules; at most ${MOST_MODULES} are ranked, use path: 'plain'`);
  }
  for (const [name, value] of [
    ['active', active],
    ['topK', topK],
  ] as const) {
    if (!Number.isInteger(value) || value < 1 || value > modules) {
      throw new OptionError(`rimStep: ${name} is ${value}; give a whole number from 1 to ${modules}`);
    }
  }
  const gates = cell === 'gru' ? 3 : 4;
  const sparse = active < modules;
  const cached = sparse && sources === 'kept';
  const scored = gates * hidden + keySize;
  const products = scored + (cached ? heads * (talkKey + talkValue) : 0);
  return {
    gates,
    cached,
    sparse,
    scored,
    products,
    memory: products + (cell === 'lstm' ? hidden : 0),
    saved: 6 * hidden + keySize + 4,
    talk: heads * (2 * talkKey + talkValue),
    context: heads * talkValue,
    projected: gated ? 2 * hidden : hidden,
  };
}

/** What stands behind U and key in a row of uk, and behind dU and key in a row of its gradient. */
export interface InputLayout {
  /** Of uk: 4 factors of dropout, which weighs input and null row apart. */
  readonly dropped: boolean;
  /** Of uk: the null gates of its own, G*H. */
  readonly own: boolean;
  /** Of the gradient: that of the null row's gates, G*H; that of a GRU's bias of n, H. */
  readonly nulls: boolean;
  readonly nBias: boolean;
  /** Columns of a row of the gradient. */
  readonly gradient: number;
}

/**
 * What a row of uk of some width holds, and its gradient in a step with inputs of these names. Where dropout weighs the null
 * row apart, or every row has null gates of its own, the gradient of these is there; else that is the gradient of the
 * state's gates, but for a GRU's n, whose own comes last, as that of the bias of n.
 */
export function inputLayoutOf(
  { cell, hidden }: StepOptions,
  { scored, gates }: StepLayout,
  width: number,
  names: readonly string[],
): InputLayout {
  const dropped = width === scored + 4;
  const own = width === scored + gates * hidden;
  const ofNulls = names.includes('nullGates');
  const nulls = own || (ofNulls && dropped);
  const nBias = names.includes('nBias') || (ofNulls && !dropped && cell === 'gru');
  return { dropped, own, nulls, nBias, gradient: scored + (nulls ? gates * hidden : 0) + (nBias ? hidden : 0) };
}
