// What every task asks of a request for a batch before it makes one: whole numbers in their ranges, a split that exists, a size that
// fits. And how batches without end take their random numbers, so that no two of them share one.
//
// Always: a request that passes here names one batch. Not here: what a task allows as its setting.

import { OptionError } from '../../engine/errors.ts';
import type { BatchRequest, Split } from './task.ts';

const SPLITS: readonly Split[] = ['train', 'validation', 'test'];
/** The most numbers in the x of a batch. */
const LARGEST = 2 ** 28;
/** The numbers of a stream (engine/random.ts). */
const STREAM_LENGTH = 2 ** 32;
/** The streams of one split. */
const STREAMS = 2 ** 20;

/** Refuses a value that is no whole number from `least` to `most`. @throws OptionError */
export function checkWhole(where: string, what: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new OptionError(`${where}: ${what} is ${value}; use a whole number from ${least} to ${most}`);
}

/** Refuses a request for a batch that is none. @param numbers in the x of one sequence @throws OptionError */
export function checkRequest(where: string, request: BatchRequest, numbers: number): void {
  const { split, batch, seed, index } = request;
  if (!SPLITS.includes(split)) {
    throw new OptionError(`${where}: split is '${split}'; use 'train', 'validation' or 'test'`);
  }
  checkWhole(where, 'batch', batch, 1, 1_000_000);
  checkWhole(where, 'seed', seed, 0, Number.MAX_SAFE_INTEGER);
  checkWhole(where, 'batch index', index, 0, Number.MAX_SAFE_INTEGER);
  if (numbers * batch <= LARGEST) return;
  throw new OptionError(
    `${where}: a batch of ${batch} sequences of ${numbers} numbers is too large; take fewer or shorter ones`,
  );
}

/**
 * Where the `count` random numbers of batch `index` begin. Batches of one split and size never overlap, splits never meet.
 *
 * @param first the first of the 3 · 2^20 streams that belong to the task
 * @throws OptionError for an index past 2^52 numbers or so
 */
export function numbersOf(
  where: string,
  first: number,
  { split, seed, index }: Pick<BatchRequest, 'split' | 'seed' | 'index'>,
  count: number,
): { readonly seed: number; readonly stream: number; readonly start: number } {
  const batches = Math.floor(STREAM_LENGTH / count);
  const stream = Math.floor(index / batches);
  if (stream >= STREAMS) {
    throw new OptionError(`${where}: batch ${index} is past the end of the data of seed ${seed}; take another seed`);
  }
  return { seed, stream: first + SPLITS.indexOf(split) * STREAMS + stream, start: (index % batches) * count };
}
