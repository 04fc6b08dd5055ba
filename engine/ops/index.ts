// The op table: every row of the engine, and the functions that build them.

import type { Op } from '../op.ts';
import { einsumOps } from './einsum.ts';
import { elementwiseOps } from './elementwise.ts';
import { reduceOps } from './reduce.ts';
import { shapeOps } from './shape.ts';

export * from './einsum.ts';
export * from './elementwise.ts';
export { constant, fill, input } from './leaf.ts';
export * from './reduce.ts';
export { broadcastTo, concat, flip, permute, reshape, roll, slice } from './shape.ts';

/** Every row: check/ demands a meaning and a case for each. */
export const opTable: readonly Op[] = [...elementwiseOps, ...shapeOps, ...reduceOps, ...einsumOps];
