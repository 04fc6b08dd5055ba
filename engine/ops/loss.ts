// Losses: cross-entropy of logits with labels, binary cross-entropy of logits with targets, mean square. All take logits, never
// probabilities, and keep their digits for logits of any size. Losses of single rows are combined by `reduction`.

import {
  binaryCrossEntropy as binaryCrossEntropyKernel,
  crossEntropyBackward as crossEntropyBackwardKernel,
  crossEntropy as crossEntropyKernel,
} from '../../kernels/catalogue.ts';
import { at, checkOptions, formatShape, OptionError, ShapeError } from '../errors.ts';
import { apply, applyOne, gridOf, type Op, rowsOf, rowsOverTime } from '../op.ts';
import { sameShape, type Tensor } from '../tensor.ts';
import { mul, neg, sigmoid, square, sub } from './elementwise.ts';
import { mean, sum } from './reduce.ts';
import { NAN_BITS, rowGrid, rowOperand } from './rows.ts';

const WORKGROUP = 64;

/** What becomes of the losses of single rows: their mean (the default), their sum, or they themselves. */
export type Reduction = 'mean' | 'sum' | 'none';

/** How the losses of single rows are combined. */
export interface LossOptions {
  /** 'mean' where left out. */
  readonly reduction?: Reduction;
}

/** Inputs: logits [..., C], labels u32 [...]. Outputs: loss [...], and for the backward the greatest logit and the sum [..., 2]. */
const crossEntropyOp: Op = {
  name: 'crossEntropy',
  infer: ([logits, labels]) => {
    const { shape } = rowOperand('crossEntropy', logits);
    const rows = shape.slice(0, -1);
    if (labels === undefined || labels.dtype !== 'u32')
      throw new ShapeError('crossEntropy: the labels must be u32 class numbers');
    if (!sameShape(labels.shape, rows)) {
      throw new ShapeError(
        `crossEntropy: logits ${formatShape(shape)} take labels ${formatShape(rows)}, not ${formatShape(labels.shape)}; one label for each row of classes`,
      );
    }
    return [
      { shape: rows, dtype: 'f32' },
      { shape: [...rows, 2], dtype: 'f32' },
    ];
  },
  bounds: ({ inputs }) => [{ input: 1, below: rowsOf(at(inputs, 0).shape).columns }],
  plan: (emit, { inputs }) => {
    const { rows, columns, cooperate, workgroups } = rowGrid(at(inputs, 0).shape);
    emit.call(crossEntropyKernel, {
      buffers: {
        logits: at(emit.inputs, 0),
        labels: at(emit.inputs, 1),
        loss: at(emit.outputs, 0),
        stats: at(emit.outputs, 1),
      },
      uniforms: { rows, columns, nan: NAN_BITS },
      constants: { COOPERATE: cooperate },
      workgroups,
      operations: 4 * rows * columns,
    });
  },
  backward: ({ inputs, outputs }, [d]) => [
    d && applyOne(crossEntropyBackwardOp, [at(inputs, 0), at(inputs, 1), at(outputs, 1), d], {}),
  ],
  overTime: rowsOverTime((inputs) => apply(crossEntropyOp, inputs, {})),
};

/** The gradient of the logits, from them, the labels, what the forward kept and the gradient of each row's loss. */
const crossEntropyBackwardOp: Op = {
  name: 'crossEntropyBackward',
  infer: ([logits, labels, stats, d]) => {
    const spec = rowOperand('crossEntropyBackward', logits);
    const rows = spec.shape.slice(0, -1);
    const fits = [labels?.shape, stats?.shape.slice(0, -1), d?.shape].every(
      (shape) => shape !== undefined && sameShape(shape, rows),
    );
    if (!fits)
      throw new ShapeError(
        `crossEntropyBackward: the rows of its inputs differ from those of ${formatShape(spec.shape)}`,
      );
    return [spec];
  },
  plan: (emit, { outputs }) => {
    const { shape, size } = at(outputs, 0);
    emit.call(crossEntropyBackwardKernel, {
      buffers: {
        logits: at(emit.inputs, 0),
        labels: at(emit.inputs, 1),
        stats: at(emit.inputs, 2),
        d: at(emit.inputs, 3),
        dlogits: at(emit.outputs, 0),
      },
      uniforms: { count: size, columns: rowsOf(shape).columns },
      workgroups: gridOf(size, WORKGROUP),
      operations: 4 * size,
    });
  },
  overTime: rowsOverTime((inputs) => [applyOne(crossEntropyBackwardOp, inputs, {})]),
};

/** Element by element: max(x, 0) - x t + log(1 + e^-|x|). */
const binaryCrossEntropyOp: Op = {
  name: 'binaryCrossEntropy',
  infer: ([logits, targets]) => {
    if (logits === undefined || targets === undefined || logits.dtype !== 'f32' || targets.dtype !== 'f32') {
      throw new ShapeError('binaryCrossEntropy: takes f32 logits and f32 targets from 0 to 1');
    }
    if (!sameShape(logits.shape, targets.shape)) {
      throw new ShapeError(
        `binaryCrossEntropy: logits ${formatShape(logits.shape)} and targets ${formatShape(targets.shape)} must have one shape`,
      );
    }
    return [{ shape: logits.shape, dtype: 'f32' }];
  },
  plan: (emit, { outputs }) => {
    const count = at(outputs, 0).size;
    emit.call(binaryCrossEntropyKernel, {
      buffers: { x: at(emit.inputs, 0), t: at(emit.inputs, 1), y: at(emit.outputs, 0) },
      uniforms: { count },
      workgroups: gridOf(count, WORKGROUP),
    });
  },
  backward: ({ inputs }, [d]) => {
    if (d === undefined) return [];
    const [x, t] = [at(inputs, 0), at(inputs, 1)];
    return [mul(d, sub(sigmoid(x), t)), neg(mul(d, x))];
  },
  overTime: rowsOverTime((inputs) => [applyOne(binaryCrossEntropyOp, inputs, {})]),
};

/**
 * Cross-entropy of logits with class labels, in nats: log(sum of e^logits) - logit of the label, exact for logits of any size.
 * @param logits [..., C]
 * @param labels u32 [...], each below C: checked where they are fed, a loss of NaN where they were computed
 * @returns a scalar, the mean over all rows, unless `reduction` says otherwise: 'sum', or 'none' for [...]
 * @throws ShapeError where shapes or dtypes do not fit; OptionError for another reduction
 */
export function crossEntropy(logits: Tensor, labels: Tensor, options: LossOptions = {}): Tensor {
  const reduction = reductionOf('crossEntropy', options);
  return reduced(at(apply(crossEntropyOp, [logits, labels], {}), 0), reduction);
}

/**
 * Binary cross-entropy of logits x with targets t, in nats: -t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)), element by element.
 * @param logits any shape
 * @param targets the same shape, from 0 to 1; they get a gradient too
 * @returns a scalar, the mean over all elements, unless `reduction` says otherwise
 * @throws ShapeError where shapes or dtypes do not fit; OptionError for another reduction
 */
export function binaryCrossEntropy(logits: Tensor, targets: Tensor, options: LossOptions = {}): Tensor {
  const reduction = reductionOf('binaryCrossEntropy', options);
  return reduced(applyOne(binaryCrossEntropyOp, [logits, targets], {}), reduction);
}

/** Mean of the squared differences of two tensors of one shape. @throws ShapeError where the shapes differ */
export function meanSquare(prediction: Tensor, target: Tensor): Tensor {
  if (!sameShape(prediction.shape, target.shape)) {
    throw new ShapeError(
      `meanSquare: the prediction ${formatShape(prediction.shape)} and the target ${formatShape(target.shape)} must have one shape`,
    );
  }
  return mean(square(sub(prediction, target)));
}

/** The rows of this file, for tables of all ops. */
export const lossOps: readonly Op[] = [crossEntropyOp, crossEntropyBackwardOp, binaryCrossEntropyOp] as readonly Op[];

function reductionOf(where: string, options: LossOptions): Reduction {
  checkOptions(where, options, ['reduction']);
  const { reduction = 'mean' } = options;
  if (!['mean', 'sum', 'none'].includes(reduction)) {
    throw new OptionError(`${where}: there is no reduction '${String(reduction)}'; choose 'mean', 'sum' or 'none'`);
  }
  return reduction;
}

function reduced(losses: Tensor, reduction: Reduction): Tensor {
  if (reduction === 'none') return losses;
  return reduction === 'sum' ? sum(losses) : mean(losses);
}
