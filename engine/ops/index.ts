// The op table: every row of the engine, and the functions that build them.

import type { Op } from '../op.ts';
import { convOps } from './conv.ts';
import { cumulativeOps } from './cumulative.ts';
import { einsumOps } from './einsum.ts';
import { elementwiseOps } from './elementwise.ts';
import { gatesOps } from './gates.ts';
import { gatherOps } from './gather.ts';
import { globalNormOps } from './global-norm.ts';
import { lossOps } from './loss.ts';
import { normOps } from './norm.ts';
import { randomOps } from './random.ts';
import { reduceOps } from './reduce.ts';
import { remarkOps } from './remark.ts';
import { shapeOps } from './shape.ts';
import { softmaxOps } from './softmax.ts';
import { sortOps } from './sort.ts';

export * from './conv.ts';
export { cumulativeProduct, cumulativeSum } from './cumulative.ts';
export * from './einsum.ts';
export * from './elementwise.ts';
export * from './gates.ts';
export { gather, takeAlong } from './gather.ts';
export { globalNorm } from './global-norm.ts';
export { constant, fill, input } from './leaf.ts';
export { binaryCrossEntropy, crossEntropy, type LossOptions, meanSquare, type Reduction } from './loss.ts';
export { type LayerNormOptions, layerNorm } from './norm.ts';
export { advance, counterOf, dropout, dropoutMask, RandomState } from './random.ts';
export * from './reduce.ts';
export { remark } from './remark.ts';
export { broadcastTo, concat, flip, permute, reshape, roll, slice } from './shape.ts';
export { type SoftmaxOptions, softmax, topKMask } from './softmax.ts';
export { sort } from './sort.ts';

/** Every row: check/ demands a meaning and a case for each. @internal */
export const opTable: readonly Op[] = [
  ...elementwiseOps,
  ...shapeOps,
  ...reduceOps,
  ...einsumOps,
  ...gatesOps,
  ...convOps,
  ...cumulativeOps,
  ...gatherOps,
  ...globalNormOps,
  ...lossOps,
  ...normOps,
  ...randomOps,
  ...remarkOps,
  ...softmaxOps,
  ...sortOps,
];
