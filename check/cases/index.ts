// The cases by which ops are checked: on the user's device (gradcheck.ts), against central differences, and for races.

import type { Case } from '../draw.ts';
import { convCases, dropoutCases, gateCases } from './cells.ts';
import { einsumCases } from './einsum.ts';
import { elementwiseCases } from './elementwise.ts';
import { productCases } from './products.ts';
import { rimStepCases } from './rim-step.ts';
import { rimCases } from './rims.ts';
import { gatherCases, lossCases, normCases, orderCases, softmaxCases } from './rows.ts';
import { scanCases } from './scan.ts';
import { reduceCases, shapeCases } from './shape.ts';

/** Cases of every op of the op table. */
export const opCases: readonly Case[] = [
  ...elementwiseCases,
  ...shapeCases,
  ...reduceCases,
  ...einsumCases,
  ...softmaxCases,
  ...orderCases,
  ...normCases,
  ...gatherCases,
  ...lossCases,
  ...gateCases,
  ...convCases,
  ...dropoutCases,
  ...scanCases,
  ...rimStepCases,
];

/** Every graph that `gradientCheck` runs by itself; beside them, `updateCases`. */
export const allCases: readonly Case[] = [...opCases, ...productCases, ...rimCases];

export { updateCases } from './updates.ts';
