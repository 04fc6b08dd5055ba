// The fast path of a RIM over a sequence: the same cell as cell.ts with a few fused ops a step, under the same scan.
//
// What depends on the input only is done for all steps before the loop: the attended input of module n is a mix of two
// values, a_n = p·v_x + (1-p)·v_0, and the gates are linear in it, so a_n·W_n = U_0 + p·(U_x - U_0) with U = v·W_n: keys, values
// and the whole input half of the gates are a few large products. In the loop stand a product of h with the recurrent
// weights and queries, the choice with the gates, a product with the communication's weights, the attention among modules,
// and the output with the update: five calls. Weight gradients leave the loop by themselves (scan.ts).
// Not every option is here: `plainReason` says which are not.

import {
  add,
  affine,
  concat,
  einsum,
  fill,
  groupedMatmul,
  matmul,
  reshape,
  scan,
  slice,
  type Tensor,
  type TensorRecord,
} from '../engine/core.ts';
import { at, need } from '../engine/errors.ts';
import type { CellState, RIMCell } from './cell.ts';
import { rimGates } from './gates-op.ts';
import type { RIMTrace } from './rim.ts';
import { MOST_TALKING, rimTalk } from './talk-op.ts';
import { rimUpdate } from './update-op.ts';
import { gateCount } from './weights.ts';

/** Why a cell needs the plain path; undefined where the fused one serves. */
export function plainReason(cell: RIMCell): string | undefined {
  const { options } = cell;
  if (options.inputRows !== 1) return `${options.inputRows} input rows`;
  if (options.inputHeads !== 1) return `${options.inputHeads} input heads`;
  if (!options.inputAttention) return 'no input attention';
  if (!options.communication) return 'no communication';
  if (options.selection === 'across-modules') return "selection 'across-modules'";
  if (options.inactiveInput === 'zero' && options.sources === 'candidate') return "inactiveInput 'zero'";
  if (options.modules > MOST_TALKING) return `${options.modules} modules, more than ${MOST_TALKING}`;
  if (cell.drops) return 'dropout';
  return undefined;
}

/**
 * One cell over time.
 * @param x [T,B,D], or [T,B,1,D]
 * @param start h, and c of an LSTM, [B,N,H]
 * @returns the last state, and sequences [T,...]
 */
export function fusedSequence(
  cell: RIMCell,
  x: Tensor,
  start: CellState,
  reverse: boolean,
): { state: CellState; trace: RIMTrace } {
  const { options } = cell;
  cell.check(x.shape.slice(1), start);
  const { modules: N, hiddenSize: H, active, sources, commHeads, commKeySize, commValueSize, commTopK } = options;
  const before = beforeLoop(cell, reshape(x, [...x.shape.slice(0, 2), options.inputSize]));
  const weights = loopWeights(cell);
  const lstm = options.cell === 'lstm';
  const gated = options.commOutput === 'gated';
  const [T, B] = [at(x.shape, 0), at(x.shape, 1)];

  const result = scan(
    ({ dU, keys }, { h, c }: TensorRecord) => {
      const old = need(h, 'h');
      const z = einsum('bnh,nhz->bnz', old, weights.recurrent, { plus: ['nz', before.constant] });
      const gates = { cell: options.cell, active, sources };
      const { source, rest } = rimGates(
        { z, dU, keys, h: old, ...(lstm ? { c: need(c, 'c') } : { u0: before.u0 }) },
        gates,
      );
      const qkv = groupedMatmul(source, weights.talk);
      const talk = { heads: commHeads, keySize: commKeySize, valueSize: commValueSize, topK: commTopK };
      const { context, probabilities } = rimTalk(qkv, talk);
      const next = rimUpdate(
        { context, w: weights.output, ...(weights.bias && { bias: weights.bias }), rest },
        { gated, cell: options.cell, hidden: H },
      );
      const width = at(rest.shape, 2);
      const state: TensorRecord = next.c === undefined ? { h: next.h } : { h: next.h, c: next.c };
      const chosen = slice(rest, 2, width - 2, 2);
      return { state, output: { ...state, chosen, probabilities } as TensorRecord };
    },
    { dU: before.dU, keys: before.keys },
    (lstm ? { h: start.h, c: need(start.c, 'c') } : { h: start.h }) as TensorRecord,
    { reverse },
  );
  const named = (record: TensorRecord, name: string): Tensor => need(record[name], name);
  const chosen = named(result.outputs, 'chosen');
  const p = reshape(slice(chosen, 3, 1, 1), [T, B, N, 1, 1]);
  const memory = lstm ? { c: named(result.state, 'c') } : {};
  return {
    state: { h: named(result.state, 'h'), ...memory },
    trace: {
      hidden: named(result.outputs, 'h'),
      ...(lstm && { cellState: named(result.outputs, 'c') }),
      mask: reshape(slice(chosen, 3, 0, 1), [T, B, N]),
      inputAttention: concat([affine(p, -1, 1), p], 4),
      communicationAttention: named(result.outputs, 'probabilities'),
    },
  };
}

/** Keys and the input half of the gates of all steps, and the part of the gates that no step changes. */
function beforeLoop(cell: RIMCell, x: Tensor): { dU: Tensor; keys: Tensor; constant: Tensor; u0: Tensor } {
  const { options, weights } = cell;
  const { modules: N, hiddenSize: H, inputSize: D, keySize: E, valueSize: V } = options;
  const [T, B] = [at(x.shape, 0), at(x.shape, 1)];
  const width = gateCount(options.cell) * H;
  // One matrix for all rows, or that of the input row: the null row's never matters, its input is zero.
  const rowOf = (w: Tensor): Tensor => (options.rowWeights ? reshape(slice(w, 0, 1, 1), w.shape.slice(1)) : w);
  const scale = 1 / Math.sqrt(E);
  // The bias is the null row's key and value: it cancels in the differences.
  const key = matmul(x, rowOf(need(weights.key, 'key')));
  const odds = affine(key, scale, 0);
  const raw = options.selection === 'raw-score' && weights.keyBias !== undefined;
  const rank = raw ? affine(add(key, need(weights.keyBias, 'keyBias')), scale, 0) : odds;
  const keys = concat(
    [odds, rank].map((each) => reshape(each, [T, B, 1, E])),
    2,
  );

  const inputGates = need(weights.inputGates, 'inputGates');
  const value = rowOf(need(weights.value, 'value'));
  // x·(Wv·Wn) is less work than (x·Wv)·Wn where values are wider than inputs.
  const dU =
    D < V
      ? einsum('tbd,ndg->tbng', x, einsum('dv,nvg->ndg', value, inputGates))
      : einsum('tbv,nvg->tbng', matmul(x, value), inputGates);

  const none = fill(0, [N, width]);
  const ofNull = weights.valueBias === undefined ? none : einsum('v,nvg->ng', weights.valueBias, inputGates);
  const u0 = weights.inputGatesBias === undefined ? ofNull : add(ofNull, weights.inputGatesBias);
  const recurrentBias = weights.stateGatesBias ?? none;
  const gates = options.cell === 'lstm' ? add(u0, recurrentBias) : recurrentBias;
  return { dU, keys, constant: concat([gates, fill(0, [N, E])], 1), u0 };
}

/** The weights of the loop, side by side. */
function loopWeights(cell: RIMCell): { recurrent: Tensor; talk: Tensor; output: Tensor; bias?: Tensor } {
  const { weights: w, options } = cell;
  const gated = options.commOutput === 'gated';
  const output = need(w.commOutput, 'commOutput');
  const last = output.shape.length - 1;
  const sides = gated ? [output, need(w.commGate, 'commGate')] : [output];
  const biases = [w.commOutputBias, w.commGateBias].flatMap((bias) => bias ?? []);
  const bias = biases.length === 0 ? {} : { bias: concat(biases, at(biases, 0).shape.length - 1) };
  return {
    recurrent: concat([need(w.stateGates, 'stateGates'), need(w.query, 'query')], 2),
    talk: concat([need(w.commQuery, 'commQuery'), need(w.commKey, 'commKey'), need(w.commValue, 'commValue')], 2),
    output: concat(sides, last),
    ...bias,
  };
}
