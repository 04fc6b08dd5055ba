// What every op means: the float64 definitions of all rows of the op table, by name. Leaves (inputs, constants,
// Variables) and scans are not here: the interpreter gives them their values.

import { convMeanings } from './conv.ts';
import { einsumMeanings } from './einsum.ts';
import { elementwiseMeanings } from './elementwise.ts';
import { gateMeanings } from './gates.ts';
import { gatherMeanings } from './gather.ts';
import { lossMeanings } from './loss.ts';
import type { Meanings } from './meaning.ts';
import { randomMeanings } from './random.ts';
import { reduceMeanings } from './reduce.ts';
import { rimStepMeanings } from './rim-step.ts';
import { rimStepBackwardMeanings } from './rim-step-backward.ts';
import { rowMeanings } from './rows.ts';
import { shapeMeanings } from './shape.ts';

/** The meaning of every op, by its name. */
export const meanings: Meanings = {
  ...elementwiseMeanings,
  ...shapeMeanings,
  ...reduceMeanings,
  ...einsumMeanings,
  ...rowMeanings,
  ...gatherMeanings,
  ...lossMeanings,
  ...gateMeanings,
  ...convMeanings,
  ...randomMeanings,
  ...rimStepMeanings,
  ...rimStepBackwardMeanings,
};
