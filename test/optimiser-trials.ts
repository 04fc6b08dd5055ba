// Trials of optimisers for tests: those of check/ with a comparison that asserts. The rules themselves, in float64, stand in
// check/meanings/optimisers.ts. It tests nothing itself.

import * as assert from 'uvu/assert';
import { UpdateTrial } from '../check/update-trial.ts';
import { at } from '../engine/errors.ts';
import type { Variable } from '../engine/node.ts';

export { adamRule, type Rule, rmspropRule, sgdRule } from '../check/meanings/optimisers.ts';

/** Parameters and gradients of a test. */
export class Trial extends UpdateTrial {
  /** @param apart true: parameters share no storage */
  constructor(seed: number, states: number, apart = false) {
    super(seed, states, { apart });
  }

  async compare(when: string): Promise<void> {
    close(await readAll(this.variables), this.host.flat(), when);
  }
}

/** The elements of Variables one after the other. */
export async function readAll(variables: readonly Variable[]): Promise<number[]> {
  const values = await Promise.all(variables.map((each) => each.read()));
  return values.flatMap((each) => [...each]);
}

/** Equal up to float32 rounding of the largest element. */
export function close(got: ArrayLike<number>, wanted: readonly number[], what: string, bound = 2e-6): void {
  assert.is(got.length, wanted.length, `${what}: length`);
  const scale = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  wanted.forEach((value, i) => {
    const error = Math.abs(at(got, i) - value);
    assert.ok(error <= bound * scale, `${what}: element ${i} is ${at(got, i)}, in float64 ${value}`);
  });
}
