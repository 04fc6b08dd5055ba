// Updates: what a program does to Variables after everything it computes has been computed. An update names the Variables
// that its kernels change in place, and the tensors that they read. Updates run in the order given; a tensor never sees an
// update of its own run. Optimisers (optimisers.ts) are makers of updates.

import { guardedCopy } from '../kernels/catalogue.ts';
import { OptionError, ShapeError } from './errors.ts';
import type { Guarded } from './guard.ts';
import { type Emitter, gridOf } from './op.ts';
import { emitCopy } from './ops/shape.ts';
import { sameShape, stridesOf, type Tensor } from './tensor.ts';
import type { Variable } from './variable.ts';

/** The row of a kind of update. In `plan`, `emit.inputs` are the tensors and `emit.outputs` the Variables. */
export interface UpdateOp<A = unknown> {
  /** As `explain` shows it. */
  readonly name: string;
  /** Inputs that are to lie in shared memory, so that one kernel call can read many (together.ts). */
  together?(update: Update<A>): readonly Tensor[];
  /** Its kernel calls. */
  plan(emit: Emitter, update: Update<A>): void;
}

/** One change of Variables at the end of a run. */
export interface Update<A = unknown> {
  /** What is done. */
  readonly op: UpdateOp<A>;
  /** Changed in place. No two may be the same. */
  readonly variables: readonly Variable[];
  /** Read. Variables among them are read as they are at that moment of the list of updates. */
  readonly inputs: readonly Tensor[];
  /** What the row is told beside Variables and inputs. */
  readonly attrs: A;
  /**
   * What guards this update, and with it all updates of its program: where what it looks at before the first of them is not
   * finite, or was not in an earlier run, none changes anything.
   * @internal
   */
  readonly guard?: Guarded;
}

const assignOp: UpdateOp = {
  name: 'assign',
  plan: (emit, { inputs: [x] }) => {
    const [from, to] = [emit.inputs[0], emit.outputs[0]];
    if (x === undefined || from === undefined || to === undefined)
      throw new OptionError('assign: an operand is missing');
    if (from === to) return;
    if (emit.verdict !== undefined) {
      emit.call(guardedCopy, {
        buffers: { verdict: emit.verdict, input: from, output: to },
        uniforms: { count: x.size },
        workgroups: gridOf(x.size, guardedCopy.constants.WORKGROUP.value),
      });
      return;
    }
    const strides = stridesOf(x.shape);
    emitCopy(emit, { view: from, strides }, { view: to, strides }, x.shape);
  },
};

/** Sets a Variable to a tensor, as for a carried hidden state. @throws ShapeError where shape or dtype differ */
export function assign(variable: Variable, value: Tensor): Update {
  if (!sameShape(variable.shape, value.shape) || variable.dtype !== value.dtype) {
    throw new ShapeError(
      `assign: '${variable.name}' is ${variable.dtype} [${variable.shape.join(',')}], the value ${value.dtype} [${value.shape.join(',')}]`,
    );
  }
  return { op: assignOp, variables: [variable], inputs: [value], attrs: {} };
}
