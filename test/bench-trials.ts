// What the tests of the benchmark share: sizes that take no time, and the look of a refusal. It tests nothing itself.

import * as assert from 'uvu/assert';
import type { Sizes } from '../bench/speed/work.ts';
import { OptionError } from '../engine/errors.ts';

/** The smallest sizes with more than one of most things. */
export const TINY: Sizes = { B: 2, T: 3, N: 3, K: 2, H: 4, D: 4, E: 4, V: 4, C: 1, F: 4, W: 4 };

/** Demands that something is refused with an OptionError of such a message. */
export function throwsOption(act: () => unknown, message: RegExp): void {
  try {
    act();
  } catch (error) {
    assert.instance(error, OptionError);
    if (error instanceof Error) assert.match(error.message, message);
    return;
  }
  assert.unreachable(`it was not refused: ${message}`);
}
