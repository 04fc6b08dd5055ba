// The intermediates of a RIM over a sequence, from its history: every step reads (x_t, h_{t-1}, c_{t-1}), so all T steps
// are one step of the cell with T*B rows. The golden files store some intermediates that a RIM does not return.

import {
  add,
  affine,
  concat,
  groupedMatmul,
  mul,
  reshape,
  scan,
  sigmoid,
  slice,
  square,
  type Tensor,
  tanh,
  where,
} from '../../engine/core.ts';
import { at, need } from '../../engine/errors.ts';
import type { CellState, CellTrace, Imposed, RIMCell, RIMTrace } from '../../rims/index.ts';

/** A sequence [T,B,...] as rows [T*B,...]. */
export function asRows(x: Tensor): Tensor {
  return reshape(x, [at(x.shape, 0) * at(x.shape, 1), ...x.shape.slice(2)]);
}

/** Rows [T*B,...] as a sequence [T,B,...] like another one. */
export function asSequence(rows: Tensor, like: Tensor): Tensor {
  return reshape(rows, [at(like.shape, 0), at(like.shape, 1), ...rows.shape.slice(1)]);
}

/** The state before every step, from the state after every step [T,...] and the one before the first. */
function before(start: Tensor, after: Tensor, reverse: boolean): Tensor {
  const steps = at(after.shape, 0);
  const first = reshape(start, [1, ...after.shape.slice(1)]);
  if (steps === 1) return first;
  return reverse
    ? concat([slice(after, 0, 1, steps - 1), first], 0)
    : concat([first, slice(after, 0, 0, steps - 1)], 0);
}

/**
 * The trace of all steps of a cell, its tensors with T*B rows.
 * @param x [T,B,D] or [T,B,R,D]: what the cell read
 * @param imposed sequences [T,B,...]
 */
export function replay(
  cell: RIMCell,
  x: Tensor,
  start: CellState,
  { hidden, cellState, mask }: RIMTrace,
  options: { readonly reverse?: boolean; readonly imposed?: Omit<Imposed, 'mask'> } = {},
): CellTrace {
  const { reverse = false, imposed = {} } = options;
  const h = asRows(before(start.h, hidden, reverse));
  const c = cellState === undefined ? {} : { c: asRows(before(need(start.c, 'c'), cellState, reverse)) };
  const rows = Object.fromEntries(Object.entries(imposed).map(([name, sequence]) => [name, asRows(sequence)]));
  return cell.step(asRows(x), { h, ...c }, { ...rows, mask: asRows(mask) }).trace;
}

/**
 * The gradient of an LSTM's c~ as the files have it: with what reaches it through h~ = o tanh(c~), where the engine's gates
 * are one op whose outputs h~ and c~ have gradients of their own.
 * @param h [B,N,H]: the state that the step read
 */
export function cellGradient(
  cell: RIMCell,
  trace: CellTrace,
  h: Tensor,
): (ofCell: Tensor, ofCandidate: Tensor) => Tensor {
  const c = need(trace.candidateCell, 'c');
  const { inputGates, stateGates, inputGatesBias, stateGatesBias } = cell.weights;
  const ofInput = groupedMatmul(trace.moduleInput, need(inputGates, 'the gates'));
  const gates = [add(ofInput, groupedMatmul(h, need(stateGates, 'the gates'))), inputGatesBias, stateGatesBias];
  const sum = gates.reduce((all, bias) => (all && bias ? add(all, bias) : all));
  const { hiddenSize: H } = cell.options;
  const open = sigmoid(slice(need(sum, 'the gates'), 2, 3 * H, H));
  const slope = mul(open, affine(square(tanh(c)), -1, 1));
  return (ofCell, ofCandidate) => add(ofCell, mul(ofCandidate, slope));
}

/**
 * What the official code returns as the "cell" of a GRU: its output before communication where the module was active, else
 * what was there. Never read by the GRU.
 * @param candidate [T,B,N,H]
 * @param mask [T,B,N]
 */
export function carriedCandidates(candidate: Tensor, mask: Tensor, start: Tensor): { all: Tensor; last: Tensor } {
  const { outputs, state } = scan(
    (step, { c }) => {
      const next = where(reshape(step.mask, [...step.mask.shape, 1]), step.candidate, c);
      return { state: { c: next }, output: { c: next } };
    },
    { candidate, mask },
    { c: start },
  );
  return { all: outputs.c, last: state.c };
}
