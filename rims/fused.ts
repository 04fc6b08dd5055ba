// The fast path of a RIM over a sequence: the same cell as cell.ts as one op a step (step-op.ts), under the same scan.
//
// What depends on the input only is done for all steps before the loop: the attended input of module n is a mix of two
// values, a_n = p·v_x + (1-p)·v_0, and the gates are linear in it, so a_n·W_n = U_0 + p·(U_x - U_0) with U = v·W_n: keys, values
// and the whole input half of the gates are one product, of the input with weights that were multiplied first. Weight
// gradients leave the loop by themselves (scan.ts). Sizes are padded here to multiples of 4, with zeros, which stay zero.
// Not every option is here: `plainReason` says which are not.

import type { Part } from '../engine/chunks.ts';
import {
  add,
  affine,
  blockGradient,
  broadcastTo,
  concat,
  dropoutMask,
  einsum,
  fill,
  matmul,
  mul,
  permute,
  reshape,
  scan,
  slice,
  type Tensor,
  type TensorRecord,
} from '../engine/core.ts';
import { at, need } from '../engine/errors.ts';
import { BINDING_BYTES } from '../engine/recorder.ts';
import type { CellState, RIMCell } from './cell.ts';
import type { CellOptions } from './options.ts';
import type { RIMTrace } from './rim.ts';
import { inputLayoutOf, layoutOf, MOST_MODULES, type StepOptions } from './step-layout.ts';
import { rimStep, type StepInputs } from './step-op.ts';
import { gateCount, type Weights } from './weights.ts';

/** Why a cell needs the plain path for B batch rows; undefined where the fused one serves. */
export function plainReason(cell: RIMCell, B: number): string | undefined {
  const { options } = cell;
  if (options.inputRows !== 1) return `${options.inputRows} input rows`;
  if (options.inputHeads !== 1) return `${options.inputHeads} input heads`;
  if (!options.inputAttention) return 'no input attention';
  if (!options.communication) return 'no communication';
  if (options.selection === 'across-modules') return "selection 'across-modules'";
  if (options.modules > MOST_MODULES) return `${options.modules} modules, more than ${MOST_MODULES}`;
  const bytes = 4 * B * widestRow(cell);
  return bytes > BINDING_BYTES ? `a step of ${bytes} bytes, more than a device binds` : undefined;
}

/** Elements of the largest sequence of a fused cell, forward and backward, for one batch row at one step. */
export function widestRow(cell: RIMCell): number {
  const { options, weights, random } = cell;
  const { modules: N, inputSize: D, valueSize: V, commHeads: C } = options;
  const step = stepOptions(cell, 1);
  const layout = layoutOf(step);
  const { scored, gates, memory, saved, talk } = layout;
  const drops = inputDrops(cell);
  const onValues = drops === 'values';
  const own = onValues && weights.valueBias !== undefined;
  const uk = scored + (drops === 'probabilities' ? 4 : own ? gates * step.hidden : 0);
  const names = [
    ...(onValues || weights.valueBias === undefined ? [] : ['nullGates']),
    ...(options.cell === 'gru' && weights.inputGatesBias !== undefined ? ['nBias'] : []),
  ];
  const { gradient } = inputLayoutOf(step, layout, uk, names);
  const factors = random !== undefined && options.commDropout > 0 && options.dropoutOn === 'probabilities';
  // Without dropout on them, values are folded away, or narrower than the gates that are made of them.
  const values = onValues ? [N * V, V + step.keySize] : [];
  return Math.max(D, N * Math.max(memory, saved, talk, uk, gradient), (factors ? 2 : 1) * C * N * N, ...values);
}

/** What dropout at the input multiplies, where there is some. */
function inputDrops({ options, random }: RIMCell): CellOptions['dropoutOn'] | undefined {
  return random !== undefined && options.inputDropout > 0 ? options.dropoutOn : undefined;
}

/**
 * A cell on the fast path: its weights are put in order here, once for all sequences that it runs over.
 * @param B batch rows
 * @returns one cell over time: x [T,B,D] or [T,B,1,D], and the state before, h and c of an LSTM [B,N,H], to the last state
 *   and sequences [T,...]
 */
export function fusedCell(
  cell: RIMCell,
  B: number,
): (x: Tensor, start: CellState, reverse: boolean, part: Part) => { state: CellState; trace: RIMTrace } {
  const step = stepOptions(cell, B);
  const prepared: Prepared = { step, input: inputWeights(cell, step), loop: loopWeights(cell.weights, step) };
  return (x, start, reverse, part) => fusedSequence(cell, prepared, x, start, reverse, part);
}

/** What does not depend on the sequence. */
interface Prepared {
  readonly step: StepOptions;
  readonly input: InputWeights;
  readonly loop: LoopWeights;
}

function fusedSequence(
  cell: RIMCell,
  { step, input, loop: weights }: Prepared,
  x: Tensor,
  start: CellState,
  reverse: boolean,
  part: Part,
): { state: CellState; trace: RIMTrace } {
  const { options } = cell;
  cell.check(x.shape.slice(1), start);
  const { modules: N, hiddenSize: H, inputSize } = options;
  const [T, B] = [at(x.shape, 0), at(x.shape, 1)];
  const layout = layoutOf(step);
  const lstm = options.cell === 'lstm';
  const sequences = inputSequences(cell, reshape(x, [T, B, inputSize]), step, input);
  const constants = { ...weights, ...input.constants };
  const drops = talkDropout(cell, T, step);

  const h = padded(start.h, 2, step.hidden);
  const c = lstm ? [padded(need(start.c, 'c'), 2, step.hidden)] : [];
  const plus = weights.constant === undefined ? {} : { plus: ['nz', weights.constant] as const };
  const products = layout.cached
    ? [einsum('bnh,nhz->bnz', h, weights.wState, plus)]
    : lstm
      ? [fill(0, [B, N, layout.products])]
      : [];
  const memory = products.length === 0 ? {} : { memory: joined([...products, ...c], 2) };
  const result = scan(
    (inputs: TensorRecord, { h, memory }: TensorRecord) => {
      const next = rimStep({ ...constants, ...inputs, h: need(h, 'h'), ...(memory && { memory }) } as StepInputs, step);
      const state: TensorRecord = memory === undefined ? { h: next.h } : { h: next.h, memory: next.memory };
      const { saved, mask, probabilities } = next;
      return { state, output: { ...state, saved, mask, probabilities } as TensorRecord };
    },
    { ...sequences, ...drops } as TensorRecord,
    { h, ...memory } as TensorRecord,
    { reverse, part },
  );
  const named = (record: TensorRecord, name: string): Tensor => need(record[name], name);
  const hidden = (tensor: Tensor, from = 0): Tensor => columns(tensor, from, H);
  const output = (name: string): Tensor => named(result.outputs, name);
  const p = reshape(columns(output('saved'), layout.saved - 2, 1), [T, B, N, 1, 1]);
  const read = output('probabilities');
  return {
    state: {
      h: hidden(named(result.state, 'h')),
      ...(lstm && { c: hidden(named(result.state, 'memory'), layout.products) }),
    },
    trace: {
      hidden: hidden(output('h')),
      ...(lstm && { cellState: hidden(output('memory'), layout.products) }),
      mask: permute(output('mask'), [0, 2, 1]),
      inputAttention: concat([affine(p, -1, 1), p], 4),
      communicationAttention:
        drops.talkFactors === undefined ? read : reshape(slice(read, 1, 0, 1), [T, B, step.heads, N, N]),
    },
  };
}

/** The options of a step, sizes padded. */
function stepOptions({ options }: RIMCell, rows: number): StepOptions {
  return {
    cell: options.cell,
    rows,
    modules: options.modules,
    active: options.active,
    hidden: quads(options.hiddenSize),
    keySize: quads(options.keySize),
    sources: options.sources,
    zeroInput: options.inactiveInput === 'zero' && options.sources === 'candidate',
    rawScore: options.selection === 'raw-score' && options.inputBias,
    heads: options.commHeads,
    talkKey: quads(options.commKeySize),
    talkValue: quads(options.commValueSize),
    talkScale: 1 / Math.sqrt(options.commKeySize),
    topK: options.commTopK,
    gated: options.commOutput === 'gated',
  };
}

/** The weights that multiply the input, of all modules. */
interface InputWeights {
  /** Values to gates [N,V,G*H], values [D,V] and keys [D,E]; scaled and padded. */
  readonly inputGates: Tensor;
  readonly value: Tensor;
  readonly key: Tensor;
  /** Of a step: weights and bias that no step changes. */
  readonly constants: Pick<StepInputs, 'wInput' | 'nullGates' | 'nBias' | 'side'>;
}

function inputWeights(cell: RIMCell, step: StepOptions): InputWeights {
  const { options, weights } = cell;
  const { modules: N, hidden: H, keySize: E } = step;
  const { inputSize: D, valueSize: V } = options;
  const G = gateCount(options.cell);
  // One matrix for all rows, or that of the input row: the null row's never matters, its input is zero.
  const rowOf = (w: Tensor): Tensor => (options.rowWeights ? reshape(slice(w, 0, 1, 1), w.shape.slice(1)) : w);
  const scale = 1 / Math.sqrt(options.keySize);
  // The bias is the null row's key and value: it cancels in the differences.
  const key = padded(affine(rowOf(need(weights.key, 'key')), scale, 0), 1, E);
  const value = rowOf(need(weights.value, 'value'));
  const inputGates = gatesPadded(need(weights.inputGates, 'inputGates'), G, H);

  // x·(Wv·Wn) is about as much work as (x·Wv)·Wn, or less, and its gradient is that of active modules only. Dropout on the
  // values stands between the two.
  const onValues = inputDrops(cell) === 'values';
  const folds = !onValues && D * G * H * N <= 1.5 * (D * V + V * G * H * N);
  const folded = (): Tensor => einsum('dv,nvg->ndg', value, inputGates);
  const keys = (): Tensor => broadcastTo(reshape(key, [1, D, E]), [N, D, E]);

  const { valueBias, inputGatesBias, keyBias } = weights;
  const nullGates = onValues ? undefined : valueBias && einsum('v,nvg->ng', valueBias, inputGates);
  const gru = options.cell === 'gru';
  const nBias = gru && inputGatesBias ? slice(gatesPadded(inputGatesBias, G, H), 1, 2 * H, H) : undefined;
  const flat = (tensor: Tensor | undefined, size: number): Tensor =>
    tensor === undefined ? fill(0, [size]) : blockGradient(reshape(tensor, [size]));
  const side = [
    flat(nullGates, N * G * H),
    ...(gru ? [flat(nBias, N * H)] : []),
    flat(step.rawScore && keyBias ? padded(affine(keyBias, scale, 0), 0, E) : undefined, E),
  ];
  return {
    inputGates,
    value,
    key,
    constants: {
      ...(folds && { wInput: concat([folded(), keys()], 2) }),
      ...(nullGates && { nullGates }),
      ...(nBias && { nBias }),
      side: concat(side, 0),
    },
  };
}

/** The keys and the input half of the gates of all steps. */
function inputSequences(
  cell: RIMCell,
  x: Tensor,
  { modules: N, keySize: E }: StepOptions,
  { inputGates, value, key, constants: { wInput } }: InputWeights,
): Partial<Record<keyof StepInputs, Tensor>> {
  const { random, weights } = cell;
  const { inputDropout: rate, valueSize: V } = cell.options;
  const { valueBias } = weights;
  const [T, B] = [at(x.shape, 0), at(x.shape, 1)];
  const drops = inputDrops(cell);
  if (wInput !== undefined) {
    const uk = blockGradient(einsum('tbd,ndc->tbnc', x, wInput));
    return { uk: drops === undefined ? uk : withFactors(uk), x };
  }
  const values = matmul(x, value);
  const keys = broadcastTo(reshape(matmul(x, key), [T, B, 1, E]), [T, B, N, E]);
  if (random !== undefined && drops === 'values') {
    const factors = dropoutMask([T, B, N, V], { rate, random });
    const gatesOf = (kept: Tensor): Tensor => einsum('tbnv,nvg->tbng', kept, inputGates);
    const gates = gatesOf(mul(reshape(values, [T, B, 1, V]), factors));
    // The null row's values are dropped too: with a bias every row has null gates of its own.
    const nulls = valueBias === undefined ? [] : [gatesOf(mul(reshape(valueBias, [1, 1, 1, V]), factors))];
    const all = concat([gates, keys, ...nulls], 3);
    return { uk: blockGradient(all), input: all };
  }
  const both = concat([einsum('tbv,nvg->tbng', values, inputGates), keys], 3);
  const uk = blockGradient(both);
  return { uk: drops === 'probabilities' ? withFactors(uk) : uk, input: both };

  function withFactors(rows: Tensor): Tensor {
    const factors = dropoutMask([T, B, N, 2], { rate, random: need(random, 'a random state') });
    return concat([rows, slice(factors, 3, 1, 1), slice(factors, 3, 0, 1), fill(0, [T, B, N, 2])], 3);
  }
}

/** The factors of dropout in the communication, of all steps. */
function talkDropout(
  { random, options }: RIMCell,
  T: number,
  { rows: B, modules: N, hidden: H, heads }: StepOptions,
): { talkFactors?: Tensor; outputFactors?: Tensor } {
  const rate = options.commDropout;
  if (random === undefined || rate === 0) return {};
  if (options.dropoutOn === 'probabilities') return { talkFactors: dropoutMask([T, B, heads, N, N], { rate, random }) };
  return { outputFactors: padded(dropoutMask([T, B, N, options.hiddenSize], { rate, random }), 3, H) };
}

type LoopWeights = Pick<StepInputs, 'wState' | 'wTalk' | 'wOutput' | 'constant' | 'bias'>;

/** The weights of the loop, side by side and padded. */
function loopWeights(w: Weights, step: StepOptions): LoopWeights {
  const { modules: N, hidden: H, keySize, heads: C, talkKey: F, talkValue: W, gated, cell } = step;
  const { cached, gates: G, products } = layoutOf(step);
  const perHead = (weight: Tensor | undefined, to: number): Tensor => {
    const [, rows = 0, width = 0] = need(weight, 'a weight').shape;
    const heads = padded(reshape(need(weight, 'a weight'), [N, rows, C, width / C]), 3, to);
    return padded(reshape(heads, [N, rows, C * to]), 1, H);
  };
  const [query, key, value] = [perHead(w.commQuery, F), perHead(w.commKey, F), perHead(w.commValue, W)];
  const stateGates = padded(gatesPadded(need(w.stateGates, 'stateGates'), G, H), 1, H);
  const scores = padded(padded(need(w.query, 'query'), 2, keySize), 1, H);

  const project = (weight: Tensor | undefined): Tensor => {
    const { shape } = need(weight, 'a weight');
    const [width, from] = [at(shape, shape.length - 1), at(shape, shape.length - 2)];
    const own = shape.slice(0, -2);
    const heads = padded(reshape(need(weight, 'a weight'), [...own, C, from / C, width]), own.length + 1, W);
    return padded(reshape(heads, [...own, C * W, width]), own.length + 1, H);
  };
  const sides = gated ? [w.commOutput, w.commGate] : [w.commOutput];
  const biases = gated ? [w.commOutputBias, w.commGateBias] : [w.commOutputBias];
  const bias = biases.flatMap((each) => (each === undefined ? [] : [padded(each, each.shape.length - 1, H)]));
  const output = sides.map(project);

  const { inputGatesBias, stateGatesBias } = w;
  const constant = (): Tensor => {
    const ofState = gatesPadded(need(stateGatesBias, 'stateGatesBias'), G, H);
    const ofInput = gatesPadded(need(inputGatesBias, 'inputGatesBias'), G, H);
    // The input's bias of a GRU's n is not multiplied by r, as the state's is: it is not among the products of the state.
    const both = cell === 'gru' ? concat([slice(ofInput, 1, 0, 2 * H), fill(0, [N, H])], 1) : ofInput;
    return concat([add(ofState, both), fill(0, [N, products - G * H])], 1);
  };
  return {
    wState: concat([stateGates, scores, ...(cached ? [key, value] : [])], 2),
    wTalk: concat([query, key, value], 2),
    wOutput: joined(output, at(output, 0).shape.length - 1),
    ...(bias.length > 0 && { bias: joined(bias, at(bias, 0).shape.length - 1) }),
    ...(stateGatesBias && { constant: constant() }),
  };
}

/** The least multiple of 4 that is not below a size: sizes of the fast path. */
export function quads(size: number): number {
  return 4 * Math.ceil(size / 4);
}

/** A tensor with zeros behind its elements along an axis. */
function padded(tensor: Tensor, axis: number, size: number): Tensor {
  const own = at(tensor.shape, axis);
  if (own === size) return tensor;
  return concat(
    [
      tensor,
      fill(
        0,
        tensor.shape.map((each, i) => (i === axis ? size - own : each)),
      ),
    ],
    axis,
  );
}

/** The last axis of gates side by side, each padded to H. */
function gatesPadded(tensor: Tensor, gates: number, hidden: number): Tensor {
  const own = tensor.shape.slice(0, -1);
  const width = at(tensor.shape, own.length) / gates;
  const each = padded(reshape(tensor, [...own, gates, width]), own.length + 1, hidden);
  return reshape(each, [...own, gates * hidden]);
}

/** Columns of the last axis; the tensor itself where these are all. */
function columns(tensor: Tensor, from: number, size: number): Tensor {
  const axis = tensor.shape.length - 1;
  return from === 0 && at(tensor.shape, axis) === size ? tensor : slice(tensor, axis, from, size);
}

/** Tensors one after the other along an axis; a single one as it is. */
function joined(tensors: readonly Tensor[], axis: number): Tensor {
  return tensors.length === 1 ? at(tensors, 0) : concat(tensors, axis);
}
