// The leaves of a graph: what a program is fed (`input`), what never changes (`constant`, `fill`), and the placeholders
// of a scan's body. Variables, the leaves that last, are in ../variable.ts. A leaf has no kernel calls: the planner
// gives it a place, the program fills it.

import { OptionError, ShapeError } from '../errors.ts';
import { applyOne, type Op } from '../op.ts';
import { type Dtype, type Shape, type Spec, sizeOf, type Tensor } from '../tensor.ts';

/** What is known of an input beside its shape. */
export interface InputAttrs extends Spec {
  readonly name: string;
  /** For u32: every value must be smaller; checked on the host at each run, as WebGPU would clamp silently. */
  readonly below: number | undefined;
}

const inputOp: Op<InputAttrs> = { name: 'input', infer: (_, { shape, dtype }) => [{ shape, dtype }] };

/**
 * A tensor that each run of a program is given by name.
 * @param name the key in the feeds of `program.run`
 * @param options `below`: the values of a u32 input must be smaller than this; indices into a table get such a bound by
 *   themselves where they are used directly
 */
export function input(
  name: string,
  shape: Shape,
  dtype: Dtype = 'f32',
  options: { readonly below?: number } = {},
): Tensor {
  if (name === '') throw new OptionError('input: the name is empty; programs are fed by name');
  return applyOne(inputOp, [], { name, shape, dtype, below: options.below });
}

/** The attributes of an input, where the tensor is one. */
export function inputOf(tensor: Tensor): InputAttrs | undefined {
  return tensor.node.op === inputOp ? (tensor.node.attrs as InputAttrs) : undefined;
}

/** Values that are part of a program: copied to the device once, when it is compiled. */
export interface ConstantAttrs extends Spec {
  /** The elements, or one value for all of them. */
  readonly values: Float32Array | Uint32Array | number;
}

const constantOp: Op<ConstantAttrs> = { name: 'constant', infer: (_, { shape, dtype }) => [{ shape, dtype }] };

/** A constant tensor from numbers, row-major. A Uint32Array gives u32, anything else f32. */
export function constant(values: readonly number[] | Float32Array | Uint32Array, shape: Shape): Tensor {
  const data = values instanceof Uint32Array ? values.slice() : Float32Array.from(values);
  if (data.length !== sizeOf(shape)) {
    throw new ShapeError(
      `constant: ${data.length} values do not fill the shape [${shape.join(',')}] of ${sizeOf(shape)}`,
    );
  }
  return applyOne(constantOp, [], { values: data, shape, dtype: data instanceof Uint32Array ? 'u32' : 'f32' });
}

/** A constant tensor of one repeated f32 value. */
export function fill(value: number, shape: Shape): Tensor {
  return applyOne(constantOp, [], { values: value, shape, dtype: 'f32' });
}

/** The attributes of a constant, where the tensor is one. */
export function constantOf(tensor: Tensor): ConstantAttrs | undefined {
  return tensor.node.op === constantOp ? (tensor.node.attrs as ConstantAttrs) : undefined;
}

const sliceOp: Op<Spec> = { name: 'slice of a sequence', infer: (_, spec) => [spec] };
const stateOp: Op<Spec> = { name: 'state', infer: (_, spec) => [spec] };

/** A leaf of a scan's body: one step of a sequence, or the state as it comes in. */
export function placeholder(kind: 'slice' | 'state', shape: Shape, dtype: Dtype): Tensor {
  return applyOne(kind === 'slice' ? sliceOp : stateOp, [], { shape, dtype });
}
