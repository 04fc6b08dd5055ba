// One kernel call for many parameters: what the kernels of optimisers have in common. Gradients that lie in one arena
// (together.ts), moments that share storage and parameters that share storage (variable.ts) are one buffer each; parameters
// that lie apart take a buffer of their own, as many in a call as its kernel has. A row for each parameter says where it lies.

import { at, need, RimgradError } from './errors.ts';
import type { Emitter, View } from './op.ts';

/** A parameter, what its update reads, and what it changes. */
interface FusedParameter {
  readonly size: number;
  readonly gradient: View;
  readonly weight: View;
  /** Its moments, in the order of the kernel. */
  readonly states: readonly View[];
  /** Which of the learning rates is its. */
  readonly rate: number;
  /** Its weight decay. */
  readonly decay: number;
}

/** What one call binds, and its rows. */
export interface FusedCall {
  readonly gradient: View;
  readonly states: readonly View[];
  /** As many as the kernel has buffers for parameters; those left over are scratch. */
  readonly weights: readonly View[];
  readonly parameters: number;
  readonly blocks: number;
  /** Eight numbers a parameter, as the kernels describe them. */
  readonly rows: readonly number[];
  readonly operations: number;
}

/** Parameters of one call: what the uniforms of the kernels hold. */
const ROWS = 32;

/**
 * The fewest calls that update all parameters, in their order.
 * @param buffers for parameters that the kernel has
 * @param block elements that one workgroup changes
 */
export function fusedCalls(
  emit: Emitter,
  parameters: readonly FusedParameter[],
  buffers: number,
  block: number,
): FusedCall[] {
  const gradients = emit.joined(parameters.map(({ gradient }) => gradient));
  const weights = emit.joined(parameters.map(({ weight }) => weight));
  const states = at(parameters, 0).states.map((_, kind) =>
    emit.joined(parameters.map((each) => at(each.states, kind))),
  );
  const calls: FusedCall[] = [];
  for (let begin = 0; begin < parameters.length; ) {
    const gradient = at(gradients.places, begin).view;
    const moments = states.map(({ places }) => at(places, begin).view);
    const bound: number[] = [];
    const rows: number[] = [];
    let blocks = 0;
    let elements = 0;
    let next = begin;
    for (; next < parameters.length && next - begin < ROWS; next++) {
      const { size, rate, decay } = at(parameters, next);
      const from = at(gradients.places, next);
      const own = states.map(({ places }) => at(places, next));
      if (from.view !== gradient || own.some(({ view }, kind) => view !== moments[kind])) break;
      const to = at(weights.places, next);
      if (!bound.includes(to.view)) {
        if (bound.length === buffers) break;
        bound.push(to.view);
      }
      const offset = own[0]?.offset ?? 0;
      if (own.some((each) => each.offset !== offset)) {
        throw new RimgradError('optimiser: the moments of a parameter do not lie alike in their storage');
      }
      rows.push(blocks, size, from.offset, to.offset, bound.indexOf(to.view), rate, offset, bitsOf(decay));
      blocks += Math.ceil(size / block);
      elements += size;
    }
    calls.push({
      gradient: at(gradients.views, gradient),
      states: moments.map((view, kind) => at(at(states, kind).views, view)),
      weights: Array.from({ length: buffers }, (_, i) => {
        const view = bound[i];
        return view === undefined ? emit.scratch(1) : at(weights.views, view);
      }),
      parameters: next - begin,
      blocks,
      rows,
      operations: 4 * elements * (1 + states.length),
    });
    begin = next;
  }
  return calls;
}

/** The bits of a number as float32. */
function bitsOf(value: number): number {
  return need(new Uint32Array(Float32Array.of(value).buffer)[0], 'bits');
}
