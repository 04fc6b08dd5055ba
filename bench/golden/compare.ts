// The comparison of one computed tensor with what a file stores of it, and the tally of a whole file.
//
// Allowed: 1e-4 of the tensor's largest magnitude plus 1e-6; masks are equal to the bit. Every stored version is compared,
// the float64 one first; the worst counts. A number that is not finite, on either side, is a failure.
// Always: a tally ends only when every tensor of the file was compared, used as an input, or left out for a stated reason.

import { at, FileError, formatShape, quote } from '../../engine/errors.ts';
import { sizeOf } from '../../engine/tensor.ts';
import type { GoldenFile, Stored } from './file.ts';

/** How far a value may be from what is stored: `relative` of the tensor's largest magnitude, plus `absolute`. */
export interface Allowance {
  readonly relative: number;
  readonly absolute: number;
}

export const ALLOWANCE: Allowance = { relative: 1e-4, absolute: 1e-6 };
export const EXACT: Allowance = { relative: 0, absolute: 0 };

/** Where the compared values stand in the stored tensor, and how far they may be off. */
export interface CompareOptions {
  readonly allowance?: Allowance;
  /** Element i is element `places[i]` of the stored tensor; without it they are in the same order. */
  readonly places?: Uint32Array;
  /** The elements of the stored tensor that no place names must be 0; else they are not looked at. */
  readonly restZero?: boolean;
}

/** What was found for one tensor. */
export interface Comparison {
  /** Its full name in the file. */
  readonly tensor: string;
  readonly elements: number;
  /** Largest difference; infinite where something is not finite. */
  readonly error: number;
  /** The largest magnitude of what is stored. */
  readonly magnitude: number;
  readonly allowed: number;
  readonly ok: boolean;
}

/** Compares values with one stored version. @throws FileError where the sizes differ */
export function compare(
  file: string,
  actual: ArrayLike<number>,
  stored: Stored,
  options: CompareOptions = {},
): Comparison {
  const { tensor, data, shape } = stored;
  const { allowance = ALLOWANCE, places, restZero = false } = options;
  if (places === undefined && sizeOf(shape) !== actual.length) {
    throw new FileError(
      `${file}: tensor '${tensor}' is ${formatShape(shape)}; this case gives ${actual.length} elements`,
    );
  }
  let error = 0;
  let magnitude = 0;
  const look = (value: number, truth: number): void => {
    const difference = Math.abs(value - truth);
    error = Number.isFinite(difference) ? Math.max(error, difference) : Number.POSITIVE_INFINITY;
    magnitude = Math.max(magnitude, Math.abs(truth));
  };
  const seen = restZero ? new Uint8Array(data.length) : undefined;
  for (let i = 0; i < actual.length; i++) {
    const place = places === undefined ? i : at(places, i);
    if (place >= data.length) {
      throw new FileError(`${file}: tensor '${tensor}' ${formatShape(shape)} is too small for this case`);
    }
    look(at(actual, i), at(data, place));
    if (seen !== undefined) seen[place] = 1;
  }
  seen?.forEach((known, i) => {
    if (known === 0) look(0, at(data, i));
  });
  const allowed = allowance.relative * magnitude + allowance.absolute;
  return { tensor, elements: actual.length, error, magnitude, allowed, ok: error <= allowed };
}

/** How bad a comparison is: above 1 is a failure. */
export function severity({ error, allowed }: Comparison): number {
  if (error === 0) return 0;
  return allowed === 0 ? Number.POSITIVE_INFINITY : error / allowed;
}

/** The comparisons of one file. */
export class Tally {
  readonly file: GoldenFile;
  readonly comparisons: Comparison[] = [];
  /** What was imposed or left out, and why: a line each. */
  readonly notes: string[] = [];

  constructor(file: GoldenFile) {
    this.file = file;
  }

  /** Compares values with every stored version of `out.X` or `grad.Y`. @throws FileError where the file has none */
  add(name: string, actual: ArrayLike<number>, options: CompareOptions = {}): void {
    const stored = this.file.stored(name);
    if (stored.length === 0) {
      throw new FileError(`${this.file.name}: there is no tensor '${name}', which this kind of case must have`);
    }
    for (const version of stored) this.comparisons.push(compare(this.file.name, actual, version, options));
  }

  /** Says that stored tensors are not compared, and why. */
  leaveOut(tensors: string | RegExp, why: string): void {
    this.file.leaveOut(tensors);
    this.notes.push(why);
  }

  /** Ends the tally. @throws FileError where tensors of the file were neither used nor compared nor left out */
  finish(): this {
    const unused = this.file.unused();
    if (unused.length > 0) {
      const more = unused.length > 4 ? ` and ${unused.length - 4} more` : '';
      throw new FileError(
        `${this.file.name}: this kind of case (${quote(this.file.case)}) is not known to have the tensors ${unused.slice(0, 4).map(quote).join(', ')}${more}; they were not compared`,
      );
    }
    if (this.comparisons.length === 0) throw new FileError(`${this.file.name}: it stores nothing to compare`);
    return this;
  }
}
