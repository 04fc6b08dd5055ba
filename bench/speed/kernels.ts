// The kernels of a training step against the adapter's ceilings.
//
// Always: a group of equal calls is held against the one ceiling that asks for the most time: its operations at the rate of
// multiply-adds in registers, the bytes it binds at the bandwidth of a copy of about that size, or its mere number of calls.
// Bytes are those bound, each once a call, so that a kernel which reads a part, or from a cache, may pass 100 %.
// Not here: the measurement of the ceilings (ceilings.ts).

import type { Profile, ProfileEntry } from '../../engine/core.ts';
import { at } from '../../engine/errors.ts';
import { type Ceilings, copyCeilingFor } from './ceilings.ts';
import type { OwnContestant } from './contestants.ts';
import type { KernelRow, KernelsResult } from './result.ts';

/** Kernels below this share of the step are not main ones. */
const LEAST_SHARE = 0.01;
const PROFILES = 3;

/** Profiles a step some times and holds the profile in the middle against the ceilings. */
export async function kernelsOf(own: OwnContestant, size: string, ceilings: Ceilings): Promise<KernelsResult> {
  const profiles: Profile[] = [];
  for (let i = 0; i < PROFILES; i++) profiles.push(await own.program.profile(own.feeds));
  profiles.sort((a, b) => a.milliseconds - b.milliseconds);
  const profile = at(profiles, Math.floor(PROFILES / 2));
  const rows = profile.entries
    .filter(({ milliseconds }) => milliseconds >= LEAST_SHARE * profile.milliseconds)
    .map((entry) => kernelRow(entry, profile.milliseconds, ceilings));
  return { size, timestamps: profile.timestamps, ceilings, rows };
}

/** One group of calls against the ceilings. */
export function kernelRow(entry: ProfileEntry, stepMilliseconds: number, ceilings: Ceilings): KernelRow {
  const { op, kernel, constants, calls, milliseconds, bytes, operations } = entry;
  const asks = {
    arithmetic: (1000 * operations) / ceilings.arithmetic.operationsPerSecond,
    memory: (1000 * bytes) / copyCeilingFor(ceilings, bytes / calls),
    dispatch: calls * ceilings.dispatch.one,
  };
  const bound = (['arithmetic', 'memory', 'dispatch'] as const).reduce((a, b) => (asks[b] > asks[a] ? b : a));
  return {
    op,
    kernel,
    constants,
    calls,
    milliseconds,
    share: milliseconds / stepMilliseconds,
    operationsPerSecond: (1000 * operations) / milliseconds,
    bytesPerSecond: (1000 * bytes) / milliseconds,
    bound,
    reached: asks[bound] / milliseconds,
  };
}
