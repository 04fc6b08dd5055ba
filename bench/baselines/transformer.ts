// The Transformer that RIMs are compared with: the encoder of Vaswani et al. 2017 (arXiv 1706.03762) where every step sees itself
// and all before it. Whole sequences at once, no recurrence: what it carries from call to call are the keys and values so far.
//
// Always: `hidden` at a step depends on no later one; a sequence cut anywhere gives what the whole gives; a long sequence is
// computed in pieces, so that no tensor passes what every device binds. Not here: dropout and label smoothing of the
// paper, and the rate that warms up which its norms behind the residuals want: where a rate is constant, `norm: 'pre'` learns more surely.

import { overPieces, type Piece, pieceOf, piecesOf } from '../../engine/chunks.ts';
import {
  add,
  concat,
  constant,
  einsum,
  fill,
  initialisers,
  layerNorm,
  permute,
  type Shape,
  slice,
  type Tensor,
  type Variable,
} from '../../engine/core.ts';
import { at, need, OptionError, ShapeError } from '../../engine/errors.ts';
import { alibiDistances, alibiSlopes, causalMask, sinusoids } from './positions.ts';
import type { ModelState, SequenceModel, SequenceResult } from './sequence-model.ts';
import { checkChoice, checkSequence, checkSizes, startingState, stepsAtOnce } from './state.ts';
import { type Cache, type LayerWeights, transformerLayer, type View } from './transformer-layer.ts';
import { type WeightMaker, weightMaker } from './weights.ts';

/**
 * How steps know their order. `sinusoidal`: the paper's, added to the input, defined at any length. `learned`: a row for each of
 * `longest` positions, added to the input. `alibi`: scores fall with distance, each head at its own rate, made for sequences longer
 * than those learned from (Press et al., arXiv 2108.12409). `none`: only through what a step sees.
 */
export type Positions = 'sinusoidal' | 'learned' | 'alibi' | 'none';

/** Sizes and choices of a Transformer. */
export interface TransformerOptions {
  /** D: size of the input. */
  readonly inputSize: number;
  /** Width of every layer and of `hidden`. */
  readonly width: number;
  /** Layers, 2 where left out. */
  readonly layers?: number;
  /** Heads of every layer, which divide the width; 4 where left out. */
  readonly heads?: number;
  /** Width between the two maps of a layer; 4 times the width where left out, as in the paper. */
  readonly feedForward?: number;
  /** `relu` as in the paper, where left out, or the exact `gelu`. */
  readonly activation?: 'relu' | 'gelu';
  /** Layer norm behind each residual, `post` as in the paper, where left out; or `pre`, before each sublayer and at the end. */
  readonly norm?: 'post' | 'pre';
  /** `sinusoidal` where left out. */
  readonly positions?: Positions;
  /** Positions that are learned, where they are: no sequence may be longer. */
  readonly longest?: number;
}

/** The weights of a Transformer. */
export interface TransformerWeights {
  /** [D,width] */
  readonly input: Variable;
  /** [width] */
  readonly inputBias: Variable;
  /** [longest,width] where positions are learned. */
  readonly positions: Variable | undefined;
  /** Layer norm of the result where norms come before, [width]. */
  readonly norm: Variable | undefined;
  /** [width] */
  readonly normBias: Variable | undefined;
  /** By layer. */
  readonly layers: readonly LayerWeights<Variable>[];
}

/**
 * What a Transformer returns. Its state are the keys and values of all steps so far, `keys1`, `values1` for the first layer and
 * so on, [B,steps,width] each: it grows with the sequence. Trace: `attention1` and so on, [T,B,heads,steps], where each step looks.
 */
export type TransformerResult = SequenceResult;

/** A Transformer over sequences; call it with x [T,B,D]. A state tells at which position the call goes on. */
export interface Transformer extends SequenceModel {
  /** Its weights by what they are for. */
  readonly weights: TransformerWeights;
}

const KNOWN = ['inputSize', 'width', 'layers', 'heads', 'feedForward', 'activation', 'norm', 'positions', 'longest'];

/**
 * Makes a Transformer. `h_0 = sqrt(width) (x·input) + inputBias + positions`, then layer upon layer (transformer-layer.ts). Matrices
 * begin as Glorot and Bengio's uniform numbers, those of queries, keys and values each by itself, biases as zeros, the scales of layer norms as ones, learned
 * positions as N(0, 1/width).
 * @throws OptionError for sizes that are none, heads that do not divide the width, or choices that do not exist; at a call
 *   ShapeError for an x or a state that does not fit, or a sequence longer than its learned positions
 */
export function transformer(options: TransformerOptions, random: { readonly seed: number }): Transformer {
  const { inputSize: D, width, layers = 2, heads = 4, feedForward = 4 * options.width } = options;
  const { activation = 'relu', norm = 'post', positions = 'sinusoidal', longest } = options;
  const limited = longest === undefined ? {} : { longest };
  checkSizes('Transformer', options, KNOWN, { inputSize: D, width, layers, heads, feedForward, ...limited });
  checkChoice('Transformer', 'activation', activation, ['relu', 'gelu']);
  checkChoice('Transformer', 'norm', norm, ['post', 'pre']);
  checkChoice('Transformer', 'positions', positions, ['sinusoidal', 'learned', 'alibi', 'none']);
  if (width % heads !== 0) {
    throw new OptionError(`Transformer: ${heads} heads do not divide the width ${width}; choose numbers that do`);
  }
  if ((positions === 'learned') !== (longest !== undefined)) {
    throw new OptionError(
      `Transformer: longest is ${longest} with ${positions} positions; give it for learned ones, and for no others`,
    );
  }
  const make = weightMaker('Transformer', random.seed);
  const weights = weightsOf({ D, width, layers, feedForward, norm, longest }, make);

  /** Steps of a piece: its input with positions, and what it sees. */
  const entrance = (x: Tensor, before: number): { readonly h: Tensor; readonly view: View } => {
    const T = at(x.shape, 0);
    const scale = Math.sqrt(width);
    const added =
      positions === 'sinusoidal'
        ? constant(sinusoids(before, T, width), [T, width])
        : weights.positions && slice(weights.positions, 0, before, T);
    const plus =
      added === undefined ? (['e', weights.inputBias] as const) : (['te', add(added, weights.inputBias)] as const);
    const h = einsum('tbd,de->tbe', x, weights.input, { scale, plus });
    const mask = constant(causalMask(before, T), [T, before + T]);
    if (positions !== 'alibi') return { h, view: { mask } };
    const distances = constant(alibiDistances(before, T), [T, before + T]);
    return { h, view: { mask, bias: einsum('h,ts->hts', constant(alibiSlopes(heads), [heads]), distances) } };
  };

  const piece = (x: Tensor, caches: readonly Cache[]): PieceResult => {
    const { h, view } = entrance(x, caches[0]?.keys.shape[0] ?? 0);
    let hidden = h;
    const state: Cache[] = [];
    const attention: Tensor[] = [];
    weights.layers.forEach((layer, i) => {
      const result = transformerLayer(hidden, layer, { heads, activation, norm }, view, caches[i]);
      hidden = result.y;
      state.push(result.cache);
      attention.push(result.attention);
    });
    const { norm: weight, normBias: bias } = weights;
    return { hidden: weight && bias ? layerNorm(hidden, { weight, bias }) : hidden, state, attention };
  };

  const run = (x: Tensor, start?: ModelState): TransformerResult => {
    const { steps, batch } = checkSequence('Transformer', x, D);
    const caches = cachesOf(start, layers, batch, width);
    const all = steps + (caches[0]?.keys.shape[0] ?? 0);
    if (longest !== undefined && all > longest) {
      throw new ShapeError(
        `Transformer: ${all} steps are more than the ${longest} positions it learns; make longest at least ${all}, or choose positions that any length has`,
      );
    }
    const chunk = stepsAtOnce(steps, batch * Math.max(3 * width, feedForward, heads * all));
    const over = (each: Piece, before: readonly Cache[]): PieceResult => piece(pieceOf(x, each), before);
    const { results, state } = overPieces(piecesOf(steps, chunk), caches, over, { reverse: false, recompute: false });
    const hidden = concat(
      results.map((result) => result.hidden),
      0,
    );
    return { hidden, state: stateOf(state), trace: traceOf(results, layers, all) };
  };
  return Object.assign(run, { system: 'Transformer', outputSize: width, weights, variables: make.variables });
}

/** What a piece of a sequence gives: see `LayerResult`, by layer. */
interface PieceResult {
  readonly hidden: Tensor;
  readonly state: readonly Cache[];
  readonly attention: readonly Tensor[];
}

interface Sizes {
  readonly D: number;
  readonly width: number;
  readonly layers: number;
  readonly feedForward: number;
  readonly norm: 'post' | 'pre';
  readonly longest: number | undefined;
}

function weightsOf({ D, width, layers, feedForward, norm, longest }: Sizes, make: WeightMaker): TransformerWeights {
  const { xavierUniform, zeros, ones, normal } = initialisers;
  const layerOf = (i: number): LayerWeights<Variable> => {
    const own = (name: string, shape: Shape, initial = xavierUniform()): Variable =>
      make(`layer${i + 1}.${name}`, shape, initial);
    return {
      attention: own('attention', [3, width, width]),
      attentionBias: own('attentionBias', [3, width], zeros()),
      output: own('output', [width, width]),
      outputBias: own('outputBias', [width], zeros()),
      expand: own('expand', [width, feedForward]),
      expandBias: own('expandBias', [feedForward], zeros()),
      contract: own('contract', [feedForward, width]),
      contractBias: own('contractBias', [width], zeros()),
      norm1: own('norm1', [width], ones()),
      norm1Bias: own('norm1Bias', [width], zeros()),
      norm2: own('norm2', [width], ones()),
      norm2Bias: own('norm2Bias', [width], zeros()),
    };
  };
  return {
    input: make('input', [D, width], xavierUniform()),
    inputBias: make('inputBias', [width], zeros()),
    positions: longest === undefined ? undefined : make('positions', [longest, width], normal(1 / Math.sqrt(width))),
    norm: norm === 'pre' ? make('norm', [width], ones()) : undefined,
    normBias: norm === 'pre' ? make('normBias', [width], zeros()) : undefined,
    layers: Array.from({ length: layers }, (_, i) => layerOf(i)),
  };
}

/** Caches by layer, as a state: batch first. */
function stateOf(caches: readonly Cache[]): ModelState {
  const batchFirst = (x: Tensor): Tensor => permute(x, [1, 0, 2]);
  return Object.fromEntries(
    caches.flatMap(({ keys, values }, i) => [
      [`keys${i + 1}`, batchFirst(keys)],
      [`values${i + 1}`, batchFirst(values)],
    ]),
  );
}

/** A state as caches by layer, none where there is none. @throws ShapeError for one that does not fit */
function cachesOf(state: ModelState | undefined, layers: number, batch: number, width: number): readonly Cache[] {
  if (state === undefined) return [];
  const names = Array.from({ length: layers }, (_, i) => [`keys${i + 1}`, `values${i + 1}`] as const);
  const seen = state.keys1?.shape[1] ?? 1;
  const expected = Object.fromEntries(names.flat().map((name) => [name, fill(0, [batch, seen, width])]));
  const given = startingState('Transformer', expected, state);
  const rowsFirst = (name: string): Tensor => permute(need(given[name], name), [1, 0, 2]);
  return names.map(([keys, values]) => ({ keys: rowsFirst(keys), values: rowsFirst(values) }));
}

/** Attention by layer, [T,B,heads,steps]: what a piece cannot see yet is 0. */
function traceOf(pieces: readonly PieceResult[], layers: number, all: number): Readonly<Record<string, Tensor>> {
  const whole = (attention: Tensor): Tensor => {
    const first = permute(attention, [2, 0, 1, 3]);
    const [T = 0, B = 0, heads = 0, seen = 0] = first.shape;
    return seen === all ? first : concat([first, fill(0, [T, B, heads, all - seen])], 3);
  };
  const traced = Array.from({ length: layers }, (_, i): [string, Tensor] => {
    const parts = pieces.map(({ attention }) => whole(at(attention, i)));
    return [`attention${i + 1}`, concat(parts, 0)];
  });
  return Object.fromEntries(traced);
}
