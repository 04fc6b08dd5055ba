// What every op means: the float64 definitions of all rows of the op table, by name. Leaves (inputs, constants,
// Variables) and scans are not here: the interpreter gives them their values.

import { einsumMeanings } from './einsum.ts';
import { elementwiseMeanings } from './elementwise.ts';
import type { Meanings } from './meaning.ts';
import { reduceMeanings } from './reduce.ts';
import { shapeMeanings } from './shape.ts';

/** The meaning of every op, by its name. */
export const meanings: Meanings = {
  ...elementwiseMeanings,
  ...shapeMeanings,
  ...reduceMeanings,
  ...einsumMeanings,
};
