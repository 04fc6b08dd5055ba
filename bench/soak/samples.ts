// What the long run looks at as it goes, and what it makes of it: a sample of memory and counts every so many steps, and the
// questions that the samples answer.
//
// Always: samples lie in one array that is made before the first step, so that looking does not grow what is looked at.
// Not here: the training (soak.ts), and how it is shown (command.ts).

import { at } from '../../engine/errors.ts';
import { median } from '../speed/statistics.ts';

/** What a sample holds. Bytes, but for `step`, `loss`, `seconds` and the counts. */
export const FIELDS = [
  /** Steps done. */
  'step',
  /** Of the last step whose loss was read. */
  'loss',
  /** Since the first step. */
  'seconds',
  /** The JavaScript heap in use, after a forced collection. */
  'heap',
  /** Memory outside of the heap that JavaScript objects hold, array buffers included. */
  'external',
  'arrayBuffers',
  /** Of the whole process, the adapter's where it is software. */
  'resident',
  /** What `device.memory()` tells: bytes, the most so far, buffers. */
  'gpuBytes',
  'gpuPeak',
  'gpuBuffers',
  /** WebGPU objects made so far: as the engine counts them, and as the device was asked for them. */
  'created',
  'asked',
] as const;

/** A field of a sample. */
export type Field = (typeof FIELDS)[number];

/** One look. */
export type Sample = Readonly<Record<Field, number>>;

/** Samples in the order in which they were taken. */
export class Samples {
  readonly #values: Float64Array;
  #length = 0;

  /** @param most how many there will be at most */
  constructor(most: number) {
    this.#values = new Float64Array(most * FIELDS.length);
  }

  add(sample: Sample): void {
    this.#values.set(
      FIELDS.map((field) => sample[field]),
      this.#length * FIELDS.length,
    );
    this.#length++;
  }

  all(): readonly Sample[] {
    return Array.from({ length: this.#length }, (_, i) => {
      const values = FIELDS.map((field, j) => [field, at(this.#values, i * FIELDS.length + j)] as const);
      return Object.fromEntries(values) as Record<Field, number>;
    });
  }
}

/** One question and its answer. */
export interface Finding {
  readonly what: string;
  readonly ok: boolean;
  /** The figures behind it, in words. */
  readonly found: string;
}

/** How far the heap of the last quarter may be from that of the second, of the latter. */
export const HEAP_LIMIT = 0.02;

/** The least number of samples of which quarters say something. */
export const FEWEST_SAMPLES = 8;

/** Holds the samples of a whole run against what must stay as it is. */
export function judge(samples: readonly Sample[]): readonly Finding[] {
  if (samples.length < FEWEST_SAMPLES) {
    return [{ what: 'enough samples', ok: false, found: `${samples.length}, fewer than ${FEWEST_SAMPLES}` }];
  }
  const quarter = Math.floor(samples.length / 4);
  const second = median(samples.slice(quarter, 2 * quarter).map(({ heap }) => heap));
  const last = median(samples.slice(-quarter).map(({ heap }) => heap));
  const change = last / second - 1;
  const flat = (what: string, field: Field): Finding => {
    const values = new Set(samples.map((sample) => sample[field]));
    const range = `${Math.min(...values).toLocaleString('en')} to ${Math.max(...values).toLocaleString('en')}`;
    return { what, ok: values.size === 1, found: values.size === 1 ? `always ${[...values].join('')}` : range };
  };
  return [
    {
      what: `heap of the last quarter within ${100 * HEAP_LIMIT} % of the second's`,
      ok: Math.abs(change) <= HEAP_LIMIT,
      found: `${mebibytes(second)} and ${mebibytes(last)}, ${change < 0 ? '' : '+'}${(100 * change).toFixed(2)} %`,
    },
    flat('bytes on the GPU stay', 'gpuBytes'),
    flat('their peak stays', 'gpuPeak'),
    flat('buffers on the GPU stay', 'gpuBuffers'),
    flat('objects that the engine made', 'created'),
    flat('objects that the device was asked for', 'asked'),
    {
      what: 'every loss is a number',
      ok: samples.every(({ loss }) => Number.isFinite(loss)),
      found: `${at(samples, 0).loss.toFixed(3)} at first, ${at(samples, samples.length - 1).loss.toFixed(3)} at last`,
    },
  ];
}

/** Bytes as people read them. */
export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(2)} MiB`;
}
