// The copying task: remember digits over a blank, then give them back when the marker is seen. Data layout of the
// authors' script; the standard test of whether a recurrent network generalises to longer spans (Goyal et al., Table 1).
//
// One sequence of T = blank + 2·digits steps, d_i uniform in 1..8:
//   x = d_1 … d_n, 0 × (blank - 1), 9, 0 × n        y = 0 × (n + blank), d_1 … d_n
// Always: a batch is a pure function of (seed, split, index), so a run may stop and go on at any batch; the batches of the splits
// come from disjoint random streams; the digits do not depend on the blank, so that lengths compare like for like.
// Not here: the task as a trainer knows it, with its loss and figures (copying-task.ts).

import { checkOptions, OptionError } from '../../engine/errors.ts';
import { integers } from '../../engine/random.ts';
import { checkRequest, checkWhole } from './request.ts';
import type { Split } from './task.ts';

/** Symbols that occur: 0 blank, 1 to 8 digits, 9 marker. The authors' script embeds 20, of which it uses these 10. */
export const copyingTokens = 10;

/** Classes of the readout: as many as symbols, though only 0 to 8 are ever wanted. The authors' script has 20. */
export const copyingClasses = 10;

const MARKER = 9;
const LEAST_DIGIT = 1;
const MOST_DIGIT = 8;
const LONGEST = 1_000_000;
// Streams of the random numbers, one for each split.
const STREAMS: Readonly<Record<CopyingSplit, number>> = { train: 0xc09_0001, test: 0xc09_0002, validation: 0xc09_0003 };

/** Which of the disjoint sets of sequences. */
export type CopyingSplit = Split;

/** The size of the task. */
export interface CopyingSize {
  /** Digits to remember; 10 when left out. */
  readonly digits?: number;
  /** Steps from the last digit to the marker, the marker included: the paper trains at 50 and tests at 200. */
  readonly blank: number;
}

/** What `copying` takes. */
export interface CopyingOptions extends CopyingSize {
  /** B: sequences in a batch. */
  readonly batch: number;
  /** A whole number from 0 to 2^53 - 1. */
  readonly seed: number;
  /** `train` when left out. */
  readonly split?: CopyingSplit;
  /** Index of the first batch; 0 when left out. */
  readonly from?: number;
  /** Number of batches; without end when left out. */
  readonly steps?: number;
}

/** One batch, time-major: element (t, b) is at t·B + b. A type, not an interface, so that it may be fed to a program as it is. */
export type CopyingBatch = {
  /** Input symbols `[T,B]`, 0 to 9. */
  readonly x: Uint32Array;
  /** Wanted symbols `[T,B]`, 0 to 8. */
  readonly y: Uint32Array;
};

/** The three parts of a sequence, each from its first step up to but not including its last. */
export interface CopyingPhases {
  /** The digits are shown. */
  readonly input: readonly [number, number];
  /** Nothing is shown; the marker is its last step. */
  readonly blank: readonly [number, number];
  /** The digits are wanted. */
  readonly recall: readonly [number, number];
}

/**
 * Batches of the copying task, made as they are asked for. It can be iterated again and gives the same batches.
 *
 * @throws OptionError for an unknown option or a value out of its range.
 */
export function copying(options: CopyingOptions): Iterable<CopyingBatch> {
  checkOptions('copying', options, ['digits', 'blank', 'batch', 'seed', 'split', 'from', 'steps']);
  const { from = 0, steps = Number.POSITIVE_INFINITY } = options;
  checkWhole('copying', 'from', from, 0, Number.MAX_SAFE_INTEGER);
  if (steps !== Number.POSITIVE_INFINITY) checkWhole('copying', 'steps', steps, 0, Number.MAX_SAFE_INTEGER);
  const { from: _from, steps: _steps, ...rest } = options;
  copyingBatch(rest, from);
  return {
    *[Symbol.iterator]() {
      for (let index = from; index < from + steps; index++) yield copyingBatch(rest, index);
    },
  };
}

/**
 * Batch number `index`.
 *
 * @throws OptionError for an unknown option, a value out of its range, or an index past the random stream (2^32 digits).
 */
export function copyingBatch(options: Omit<CopyingOptions, 'from' | 'steps'>, index: number): CopyingBatch {
  const where = 'copying';
  checkOptions(where, options, ['digits', 'blank', 'batch', 'seed', 'split']);
  const { batch, seed, split = 'train' } = options;
  const { digits, blank } = checkSize(where, options);
  checkRequest(where, { split, setting: blank, batch, seed, index }, blank + 2 * digits);
  const length = blank + 2 * digits;
  const count = digits * batch;
  const start = index * count;
  if (start + count > 2 ** 32) {
    throw new OptionError(`${where}: batch ${index} is past the end of the data of seed ${seed}; take another seed`);
  }
  const values = integers(count, { seed, stream: STREAMS[split], start, low: LEAST_DIGIT, high: MOST_DIGIT + 1 });
  const x = new Uint32Array(length * batch);
  const y = new Uint32Array(length * batch);
  x.set(values, 0);
  x.fill(MARKER, (blank + digits - 1) * batch, (blank + digits) * batch);
  y.set(values, (blank + digits) * batch);
  return { x, y };
}

/** T: steps of a sequence, blank + 2·digits. */
export function copyingLength(size: CopyingSize): number {
  const { digits, blank } = checkSize('copyingLength', size);
  return blank + 2 * digits;
}

/** Where the digits are shown, where the blank is, where the digits are asked for. */
export function copyingPhases(size: CopyingSize): CopyingPhases {
  const { digits, blank } = checkSize('copyingPhases', size);
  const recall = digits + blank;
  return { input: [0, digits], blank: [digits, recall], recall: [recall, recall + digits] };
}

/**
 * Cross-entropy in nats of a model that knows the layout and remembers nothing: it predicts 0 where 0 is wanted and the
 * eight digits with equal chances where a digit is wanted. A model is doing the task only below these levels.
 */
export function memoryless(size: CopyingSize): {
  /** Over the steps where a digit is wanted: ln 8. */
  readonly recall: number;
  /** Over all steps. */
  readonly all: number;
  /** Share of right digits: 1/8. */
  readonly accuracy: number;
} {
  const { digits, blank } = checkSize('memoryless', size);
  const recall = Math.log(MOST_DIGIT - LEAST_DIGIT + 1);
  return { recall, all: (digits * recall) / (blank + 2 * digits), accuracy: 1 / (MOST_DIGIT - LEAST_DIGIT + 1) };
}

function checkSize(where: string, size: CopyingSize): { digits: number; blank: number } {
  const { digits = 10, blank } = size;
  checkWhole(where, 'digits', digits, 1, LONGEST);
  checkWhole(where, 'blank', blank, 1, LONGEST);
  return { digits, blank };
}
