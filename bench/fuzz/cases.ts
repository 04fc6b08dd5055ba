// Cases by number: which loader, which file, and what came of it.
//
// Always: a case is a pure function of the seed, its number and the loaders, so that any of them can be run again alone.
// A broken rule is shrunk by fast-check to the least file that breaks one.
// Not here: the rules (rules.ts), and processes and time (command.ts, worker.ts).

import fc from 'fast-check';
import { at } from '../../engine/errors.ts';
import type { Loader } from './loaders.ts';
import { judgeCase, type Outcome } from './rules.ts';
import type { Drawn } from './tensor-files.ts';

/** What is told of a case. */
export interface CaseResult {
  readonly index: number;
  readonly loader: string;
  readonly outcome: Outcome | 'BROKEN';
  /** Which rule did not hold, how the file was damaged, and the shrunk file. */
  readonly broken?: { readonly why: string; readonly damage: readonly string[]; readonly bytes: Uint8Array };
}

/** The loader of a case. */
export function loaderOf(loaders: readonly Loader[], index: number): Loader {
  const shares = loaders.flatMap((loader) => Array.from({ length: loader.share }, () => loader));
  return at(shares, index % shares.length);
}

/** The seed of a case: neighbours share nothing. */
function caseSeed(seed: number, index: number): number {
  let mixed = Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b) ^ Math.imul(index + 1, 0xc2b2_ae35);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x27d4_eb2f);
  return mixed ^ (mixed >>> 13);
}

/** The file of a case, as it was drawn. */
export function drawnCase(loader: Loader, seed: number, index: number): Drawn {
  const [drawn] = fc.sample(loader.files, { seed: caseSeed(seed, index), numRuns: 1 });
  if (drawn === undefined) throw new RangeError(`case ${index} has no file`);
  return drawn;
}

/** Runs one case. @param beat called whenever a file is done, while shrinking too */
export async function runCase(
  loaders: readonly Loader[],
  seed: number,
  index: number,
  beat: () => void = () => {},
): Promise<CaseResult> {
  const loader = loaderOf(loaders, index);
  let outcome: Outcome = 'accepted';
  const property = fc.asyncProperty(loader.files, async (drawn) => {
    beat();
    outcome = await judgeCase(loader, drawn);
  });
  const result = await fc.check(property, { seed: caseSeed(seed, index), numRuns: 1 });
  if (!result.failed) return { index, loader: loader.name, outcome };
  const [smallest] = result.counterexample ?? [];
  const drawn = smallest ?? drawnCase(loader, seed, index);
  const why = result.errorInstance instanceof Error ? result.errorInstance.message : String(result.errorInstance);
  return { index, loader: loader.name, outcome: 'BROKEN', broken: { why, damage: drawn.damage, bytes: drawn.bytes } };
}
