// The third question of the gradient check: does a program that trains change its Variables as a float64 host does, step after
// step? Parameters, moments, counters and flags alike, each against its own largest magnitude.
// Not here: the rules (meanings/optimisers.ts) and the cases (cases/updates.ts).

import type { Device } from '../engine/device.ts';
import { at } from '../engine/errors.ts';
import type { Feeds } from '../engine/feeds.ts';
import { compile } from '../engine/program.ts';
import type { Update } from '../engine/update.ts';
import type { Variable } from '../engine/variable.ts';
import { errorOf, filled, worse } from './value.ts';

/** A case of updates. */
export interface UpdateCase {
  /** What it checks, beginning with the optimiser: 'adam, clipped'. */
  readonly name: string;
  /** Makes the updates, and a host that does the same. Called once for each check, with equal numbers. */
  readonly updates: () => UpdateRun;
  /** Largest error, relative to the largest magnitude of a Variable; that of kernels by default. */
  readonly limit?: number;
}

/** Updates and a float64 host of them. */
export interface UpdateRun {
  /** What is checked. */
  readonly updates: readonly Update[];
  /** How many steps are taken. */
  readonly steps: number;
  /** What step t is fed, from 0. */
  feeds(t: number): Feeds;
  /** Carries out step t on the host. */
  advance(t: number): void | Promise<void>;
  /** Every Variable that changes, what the host has of it now, and for moments, which are small, what a magnitude counts as at least. */
  compared(): readonly (readonly [Variable, readonly number[], (number | undefined)?])[];
}

/** The worst error of the Variables of a case after each of its steps. */
export async function updateError(device: Device, { updates: make }: UpdateCase): Promise<number> {
  const run = make();
  const program = await compile(device, {}, run.updates);
  let most = 0;
  try {
    for (let t = 0; t < run.steps; t++) {
      await program.run(run.feeds(t));
      await run.advance(t);
      const compared = run.compared();
      const found = await Promise.all(compared.map(([variable]) => variable.read()));
      compared.forEach(([{ shape, dtype }, host, least], i) => {
        most = worse(most, errorOf(at(found, i), filled(shape, host, dtype), least));
      });
    }
    return most;
  } finally {
    program.dispose();
    for (const variable of program.plan.variables) variable.dispose();
  }
}
