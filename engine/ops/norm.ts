// Layer normalisation over the last axis (Ba, Kiros, Hinton, arXiv 1607.06450). One kernel forward, with a weight and a bias
// of one row where they are given, and one backward; the gradients of weight and bias are sums of the engine's.

import { layerNormBackward as layerNormBackwardKernel, layerNorm as layerNormKernel } from '../../kernels/catalogue.ts';
import { at, checkOptions, formatShape, OptionError, ShapeError } from '../errors.ts';
import { apply, applyOne, type Op, rowsOverTime } from '../op.ts';
import { type Shape, sameShape, type Tensor } from '../tensor.ts';
import { add, mul } from './elementwise.ts';
import { fill } from './leaf.ts';
import { rowGrid, rowOperand } from './rows.ts';
import { reshape, unbroadcast } from './shape.ts';

/** What follows the normalisation, and what keeps it finite. */
export interface LayerNormOptions {
  /** Multiplies the normalised elements; [N], or what broadcasts to x. */
  readonly weight?: Tensor;
  /** Added after; [N], or what broadcasts to x. */
  readonly bias?: Tensor;
  /** Added to the variance; 1e-5 where left out. */
  readonly epsilon?: number;
}

interface LayerNormAttrs {
  readonly epsilon: number;
}

/**
 * Inputs: x, or x, weight [N] and bias [N]. Outputs: y, and for the backward 1 / sqrt(variance + epsilon) of each row; with
 * weight and bias the normalised elements too, which are y without.
 */
const layerNormOp: Op<LayerNormAttrs> = {
  name: 'layerNorm',
  infer: ([x, weight, bias]) => {
    const spec = rowOperand('layerNorm', x);
    const scale = { shape: spec.shape.slice(0, -1), dtype: 'f32' } as const;
    if (weight === undefined && bias === undefined) return [spec, scale];
    for (const each of [weight, bias]) {
      const { shape } = rowOperand('layerNorm', each);
      if (!isRow(shape, spec.shape)) {
        throw new ShapeError(
          `layerNorm: ${formatShape(shape)} is no row of ${formatShape(spec.shape)}; weight and bias are [${spec.shape.at(-1)}]`,
        );
      }
    }
    return [spec, scale, spec];
  },
  plan: (emit, { inputs, outputs, attrs: { epsilon } }) => {
    const { rows, columns, cooperate, workgroups } = rowGrid(at(inputs, 0).shape);
    const affine = inputs.length > 1;
    emit.call(layerNormKernel, {
      buffers: {
        x: at(emit.inputs, 0),
        weight: affine ? at(emit.inputs, 1) : emit.zero(),
        bias: affine ? at(emit.inputs, 2) : emit.zero(),
        y: at(emit.outputs, 0),
        scale: at(emit.outputs, 1),
        z: affine ? at(emit.outputs, 2) : emit.scratch(1),
      },
      uniforms: { rows, columns, epsilon },
      constants: { COOPERATE: cooperate, AFFINE: affine },
      workgroups,
      operations: 8 * at(outputs, 0).size,
    });
  },
  backward: ({ inputs, outputs }, [d]) => {
    if (d === undefined) return [];
    const [, weight, bias] = inputs;
    const z = outputs[2] ?? at(outputs, 0);
    const dz = weight === undefined ? d : mul(d, weight);
    const dx = applyOne(layerNormBackwardOp, [z, at(outputs, 1), dz], {});
    return [dx, weight && unbroadcast(mul(d, z), weight.shape), bias && unbroadcast(d, bias.shape)];
  },
  overTime: (over) => {
    const x = over.sequence(0);
    if (over.node.inputs.length === 1) return apply(layerNormOp, [x], over.attrs);
    if (!over.varies(1) && !over.varies(2))
      return apply(layerNormOp, [x, over.constant(1), over.constant(2)], over.attrs);
    // A weight of its own for every step: normalise, then multiply and add with the steps in front.
    const plain = apply(layerNormOp, [x], over.attrs);
    const z = at(plain, 0);
    const rowOf = (i: number): Tensor =>
      reshape(over.sequence(i), [over.steps, ...x.shape.slice(1, -1).map(() => 1), -1]);
    return [add(mul(z, rowOf(1)), rowOf(2)), at(plain, 1), z];
  },
};

/** The gradient of x, from the normalised rows z, their scale and dz: scale (dz - mean(dz) - z mean(z dz)). */
const layerNormBackwardOp: Op = {
  name: 'layerNormBackward',
  infer: ([z, scale, dz]) => {
    const spec = rowOperand('layerNormBackward', z);
    const { shape } = rowOperand('layerNormBackward', dz);
    if (scale === undefined || !sameShape(scale.shape, spec.shape.slice(0, -1)) || !sameShape(shape, spec.shape)) {
      throw new ShapeError(`layerNormBackward: ${formatShape(shape)} is no gradient of ${formatShape(spec.shape)}`);
    }
    return [spec];
  },
  plan: (emit, { outputs }) => {
    const { shape, size } = at(outputs, 0);
    const { rows, columns, cooperate, workgroups } = rowGrid(shape);
    emit.call(layerNormBackwardKernel, {
      buffers: { z: at(emit.inputs, 0), scale: at(emit.inputs, 1), dz: at(emit.inputs, 2), dx: at(emit.outputs, 0) },
      uniforms: { rows, columns },
      constants: { COOPERATE: cooperate },
      workgroups,
      operations: 8 * size,
    });
  },
  overTime: rowsOverTime((inputs) => [applyOne(layerNormBackwardOp, inputs, {})]),
};

/**
 * Layer normalisation of the last axis: (x - mean) / sqrt(variance + epsilon) * weight + bias, with the biased variance.
 * @param x [..., N]
 * @param options `weight`, `bias`: 1 and 0 where left out; one kernel does all where they are [N]. `epsilon`: 1e-5
 * @throws ShapeError where shapes do not fit; OptionError for an epsilon that is not positive
 */
export function layerNorm(x: Tensor, options: LayerNormOptions = {}): Tensor {
  checkOptions('layerNorm', options, ['weight', 'bias', 'epsilon']);
  const { weight, bias, epsilon = 1e-5 } = options;
  if (!Number.isFinite(epsilon) || epsilon <= 0) {
    throw new OptionError(`layerNorm: epsilon is ${epsilon}; use a finite number above 0, such as 1e-5`);
  }
  const { shape } = rowOperand('layerNorm', x);
  const row = shape.slice(-1);
  const rows = [weight, bias].every((each) => each === undefined || isRow(each.shape, shape));
  if ((weight !== undefined || bias !== undefined) && rows) {
    return at(apply(layerNormOp, [x, weight ?? fill(1, row), bias ?? fill(0, row)], { epsilon }), 0);
  }
  const z = at(apply(layerNormOp, [x], { epsilon }), 0);
  const scaled = weight === undefined ? z : mul(z, weight);
  const y = bias === undefined ? scaled : add(scaled, bias);
  if (!sameShape(y.shape, shape)) {
    throw new ShapeError(
      `layerNorm: weight or bias does not broadcast to ${formatShape(shape)}; use [${row.join(',')}]`,
    );
  }
  return y;
}

/** The rows of this file, for tables of all ops. */
export const normOps: readonly Op[] = [layerNormOp, layerNormBackwardOp] as readonly Op[];

function isRow(each: Shape, shape: Shape): boolean {
  return each.length === 1 && each[0] === shape.at(-1);
}
