// The gates of recurrent cells as fused ops: all that stands behind the products with the weights, in one kernel forward
// and one backward. The backward computes the gates again from the op's inputs, so that nothing is kept between the two.
// All leading dimensions are rows (batch, modules, time). Not here: the products, which are einsum's, and the cells.

import {
  gruGatesBackward,
  gruGates as gruKernel,
  lstmGatesBackward,
  lstmGates as lstmKernel,
} from '../../kernels/catalogue.ts';
import { at, formatShape, OptionError, ShapeError } from '../errors.ts';
import { apply, applyOne, gridOf, type Op, rowsOverTime } from '../op.ts';
import { type Shape, type Spec, sameShape, type Tensor } from '../tensor.ts';
import { fill } from './leaf.ts';

const GRU_GATES = 3;
const LSTM_GATES = 4;

/** Inputs gx, gh [..., 3H] and h [..., H]; output h' [..., H]. */
const gruOp: Op = {
  name: 'gruGates',
  infer: ([gx, gh, h]) => {
    checkGates('gruGates', [gx, gh], GRU_GATES, [h]);
    return [f32(h)];
  },
  plan: (emit, { outputs }) => {
    const [gx, gh, h] = [at(emit.inputs, 0), at(emit.inputs, 1), at(emit.inputs, 2)];
    const { uniforms, workgroups } = unitsOf(at(outputs, 0), gruKernel.constants.WORKGROUP.value);
    emit.call(gruKernel, { buffers: { gx, gh, h, y: at(emit.outputs, 0) }, uniforms, workgroups });
  },
  backward: ({ inputs }, [d]) => (d === undefined ? [] : apply(gruBackwardOp, [...inputs, d], {})),
  overTime: rowsOverTime((inputs) => apply(gruOp, inputs, {})),
};

/** Inputs gx, gh, h and dh'; outputs dgx, dgh and dh. */
const gruBackwardOp: Op = {
  name: 'gruGatesBackward',
  infer: ([gx, gh, h, dy]) => {
    checkGates('gruGatesBackward', [gx, gh], GRU_GATES, [h, dy]);
    return [f32(gx), f32(gh), f32(h)];
  },
  plan: (emit, { outputs }) => {
    const [gx, gh, h, dy] = [at(emit.inputs, 0), at(emit.inputs, 1), at(emit.inputs, 2), at(emit.inputs, 3)];
    const [dgx, dgh, dh] = [at(emit.outputs, 0), at(emit.outputs, 1), at(emit.outputs, 2)];
    const { uniforms, workgroups } = unitsOf(at(outputs, 2), gruGatesBackward.constants.WORKGROUP.value);
    emit.call(gruGatesBackward, { buffers: { gx, gh, h, dy, dgx, dgh, dh }, uniforms, workgroups });
  },
  backward: () => noSecondDerivative('gruGates'),
  overTime: rowsOverTime((inputs) => apply(gruBackwardOp, inputs, {})),
};

/** Inputs gates [..., 4H] and c [..., H]; outputs h' and c' [..., H]. */
const lstmOp: Op = {
  name: 'lstmGates',
  infer: ([gates, c]) => {
    checkGates('lstmGates', [gates], LSTM_GATES, [c]);
    return [f32(c), f32(c)];
  },
  plan: (emit, { outputs }) => {
    const [gates, c] = [at(emit.inputs, 0), at(emit.inputs, 1)];
    const { uniforms, workgroups } = unitsOf(at(outputs, 0), lstmKernel.constants.WORKGROUP.value);
    emit.call(lstmKernel, {
      buffers: { gates, c, yh: at(emit.outputs, 0), yc: at(emit.outputs, 1) },
      uniforms,
      workgroups,
    });
  },
  backward: ({ inputs }, [dh, dc]) => {
    const none = fill(0, at(inputs, 1).shape);
    return dh === undefined && dc === undefined ? [] : apply(lstmBackwardOp, [...inputs, dh ?? none, dc ?? none], {});
  },
  overTime: rowsOverTime((inputs) => apply(lstmOp, inputs, {})),
};

/** Inputs gates, c, dh' and dc'; outputs dgates and dc. */
const lstmBackwardOp: Op = {
  name: 'lstmGatesBackward',
  infer: ([gates, c, dh, dc]) => {
    checkGates('lstmGatesBackward', [gates], LSTM_GATES, [c, dh, dc]);
    return [f32(gates), f32(c)];
  },
  plan: (emit, { outputs }) => {
    const [gates, c, dyh, dyc] = [at(emit.inputs, 0), at(emit.inputs, 1), at(emit.inputs, 2), at(emit.inputs, 3)];
    const [dgates, dc] = [at(emit.outputs, 0), at(emit.outputs, 1)];
    const { uniforms, workgroups } = unitsOf(at(outputs, 1), lstmGatesBackward.constants.WORKGROUP.value);
    emit.call(lstmGatesBackward, { buffers: { gates, c, dyh, dyc, dgates, dc }, uniforms, workgroups });
  },
  backward: () => noSecondDerivative('lstmGates'),
  overTime: rowsOverTime((inputs) => apply(lstmBackwardOp, inputs, {})),
};

/**
 * The gates of a GRU in PyTorch's order and form: r = sigmoid(gx_r + gh_r), z = sigmoid(gx_z + gh_z),
 * n = tanh(gx_n + r gh_n), h' = (1 - z) n + z h (Cho et al. 2014).
 * @param gx [..., 3H] input times weights, plus bias, chunks r, z, n
 * @param gh [..., 3H] state times weights, plus bias, chunks r, z, n
 * @param h [..., H] the state
 * @returns h' [..., H]
 * @throws ShapeError where the leading sizes differ or the last ones are not 3H, 3H and H
 */
export function gruGates(gx: Tensor, gh: Tensor, h: Tensor): Tensor {
  return applyOne(gruOp, [gx, gh, h], {});
}

/**
 * The gates of an LSTM in PyTorch's order: c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(c')
 * (Hochreiter and Schmidhuber 1997, with forget gates).
 * @param gates [..., 4H] input and state times weights, plus biases, chunks i, f, g, o
 * @param c [..., H] the cell state
 * @returns h' and c' [..., H]
 * @throws ShapeError where the leading sizes differ or the last ones are not 4H and H
 */
export function lstmGates(
  gates: Tensor,
  c: Tensor,
): {
  /** What it puts out, [..., H]. */
  readonly h: Tensor;
  /** The new cell state, [..., H]. */
  readonly c: Tensor;
} {
  const outputs = apply(lstmOp, [gates, c], {});
  return { h: at(outputs, 0), c: at(outputs, 1) };
}

/** The rows of this file, for tables of all ops. @internal */
export const gatesOps: readonly Op[] = [gruOp, gruBackwardOp, lstmOp, lstmBackwardOp];

/** Uniforms and grid of a kernel with one invocation a hidden unit, from the shape of the state. */
function unitsOf(
  state: Tensor,
  workgroup: number,
): { uniforms: { count: number; hidden: number }; workgroups: [number, number, number] } {
  const hidden = at(state.shape, state.shape.length - 1);
  return { uniforms: { count: state.size, hidden }, workgroups: gridOf(state.size, workgroup) };
}

/** Refuses operands other than gates [..., factor*H] and states [..., H] with the same leading sizes. */
function checkGates(
  where: string,
  gates: readonly (Tensor | undefined)[],
  factor: number,
  states: readonly (Tensor | undefined)[],
): void {
  const shape = states[0]?.shape ?? [];
  const hidden = shape.at(-1);
  const wide: Shape = [...shape.slice(0, -1), factor * (hidden ?? 0)];
  const fits = (t: Tensor | undefined, wanted: Shape): boolean => t?.dtype === 'f32' && sameShape(t.shape, wanted);
  if (hidden === undefined || !gates.every((t) => fits(t, wide)) || !states.every((t) => fits(t, shape))) {
    const given = [...gates, ...states].map((t) =>
      t === undefined ? 'nothing' : `${t.dtype} ${formatShape(t.shape)}`,
    );
    throw new ShapeError(
      `${where}: takes ${gates.length} f32 tensors of gates [..., ${factor}H] and states [..., H] with equal leading sizes, not ${given.join(', ')}`,
    );
  }
}

function f32(like: Tensor | undefined): Spec {
  return { shape: like?.shape ?? [], dtype: 'f32' };
}

function noSecondDerivative(name: string): never {
  throw new OptionError(
    `${name}: the gradient of its gradient is not written; build the gates from sigmoid, tanh and mul where you need one`,
  );
}
