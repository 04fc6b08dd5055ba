// What a model with an external memory checks before it builds anything: its sizes, the sequence that it is called with, and the
// state that it goes on from.
//
// Always: what comes back fits, name by name and size by size. Not here: what a model's own beginning is.

import type { Tensor } from '../../engine/core.ts';
import { checkOptions, formatShape, OptionError, ShapeError } from '../../engine/errors.ts';
import type { ModelState } from './sequence-model.ts';

/** @throws OptionError for an option that there is not, or a size that is no whole number of at least 1 */
export function checkSizes(
  system: string,
  options: object,
  known: readonly string[],
  sizes: Readonly<Record<string, number>>,
): void {
  checkOptions(system, options, known);
  for (const [name, size] of Object.entries(sizes)) {
    if (!Number.isSafeInteger(size) || size < 1)
      throw new OptionError(`${system}: ${name} must be a whole number of at least 1, not ${size}`);
  }
}

/** T and B of a sequence. @throws ShapeError for an x that is not f32 [T,B,size] */
export function checkSequence(system: string, x: Tensor, size: number): { steps: number; batch: number } {
  const [steps, batch, width] = x.shape;
  if (steps === undefined || batch === undefined || width !== size || x.shape.length !== 3 || x.dtype !== 'f32')
    throw new ShapeError(`${system}: x must be f32 [T,B,${size}], not ${x.dtype} ${formatShape(x.shape)}`);
  return { steps, batch };
}

/**
 * The state that a call begins with: what was given, or the model's own beginning.
 * @throws ShapeError for a state with other names than the model's own, or other shapes
 */
export function startingState<S extends ModelState>(
  system: string,
  own: S,
  given: ModelState | undefined,
): { readonly [K in keyof S]: Tensor } {
  if (given === undefined) return own;
  const names = Object.keys(own);
  const odd = [...names, ...Object.keys(given)].find((name) => own[name] === undefined || given[name] === undefined);
  if (odd !== undefined)
    throw new ShapeError(
      `${system}: its state has ${names.join(', ')}: '${odd}' is missing or unknown in what was given`,
    );
  for (const name of names) {
    const [wanted, found] = [formatShape(own[name]?.shape ?? []), formatShape(given[name]?.shape ?? [])];
    if (wanted !== found || given[name]?.dtype !== 'f32')
      throw new ShapeError(`${system}: the state '${name}' must be f32 ${wanted}, not ${given[name]?.dtype} ${found}`);
  }
  return given as { readonly [K in keyof S]: Tensor };
}

/** Bytes that a sequence within a loop may take: three quarters of what every device binds at once. */
const CHUNK_BYTES = 96 * 2 ** 20;

/** Steps of one loop at most (`chunk` of a scan), so that every device binds its widest sequence, of `elements` a step. */
export function stepsAtOnce(steps: number, elements: number): number {
  return Math.max(1, Math.min(steps, Math.floor(CHUNK_BYTES / (4 * elements))));
}
