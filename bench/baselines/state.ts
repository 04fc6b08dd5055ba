// What every baseline checks before it builds anything: its sizes, the sequence that it is called with, and the state that it goes
// on from, so that all of them refuse the same things in the same words.
//
// Always: whatever comes back fits, name by name, size by size; a state made for another batch, another size or another system is
// refused by what is wrong with it. Not here: what a model's own beginning is.

import type { Tensor } from '../../engine/core.ts';
import { checkOptions, formatShape, OptionError, ShapeError } from '../../engine/errors.ts';
import type { ModelState } from './sequence-model.ts';

/** A state that is known by the names of another: plain tensors, whatever was given. */
export type StateLike<S extends ModelState> = { readonly [K in keyof S]: Tensor };

/**
 * The state that a call begins with.
 * @param system the model's name, for messages
 * @param own its own beginning, of all the names and shapes that a state of this call has
 * @param given what the caller wants to go on from, if anything
 * @throws ShapeError for a state with a name too few or too many, or a tensor of another shape or type
 */
export function startingState<S extends ModelState>(system: string, own: S, given?: ModelState): StateLike<S> {
  if (given === undefined) return own;
  const names = Object.keys(own);
  const missing = names.filter((name) => given[name] === undefined);
  const unknown = Object.keys(given).filter((name) => !names.includes(name));
  if (missing.length > 0 || unknown.length > 0) {
    const wrong = [
      ...(missing.length > 0 ? [`'${missing.join(`', '`)}' missing`] : []),
      ...(unknown.length > 0 ? [`'${unknown.join(`', '`)}' unknown`] : []),
    ].join(', ');
    throw new ShapeError(`${system}: its state is { ${names.join(', ')} }, but ${wrong}; give the state of its result`);
  }
  const checked = Object.entries(own).map(([name, { shape, dtype }]): [string, Tensor] => {
    const tensor = given[name];
    if (tensor?.dtype !== dtype || formatShape(tensor.shape) !== formatShape(shape)) {
      const found = tensor === undefined ? 'nothing' : `${tensor.dtype} ${formatShape(tensor.shape)}`;
      throw new ShapeError(`${system}: the state '${name}' must be ${dtype} ${formatShape(shape)}, not ${found}`);
    }
    return [name, tensor];
  });
  return Object.fromEntries(checked) as StateLike<S>;
}

/**
 * The steps and the batch of a sequence that fits.
 * @throws ShapeError for an x that is not f32 [T,B,size]
 */
export function checkSequence(
  system: string,
  x: Tensor,
  size: number,
): {
  /** T */
  readonly steps: number;
  /** B */
  readonly batch: number;
} {
  const [steps, batch, width] = x.shape;
  if (steps === undefined || batch === undefined || width !== size || x.shape.length !== 3 || x.dtype !== 'f32') {
    const found = x.dtype === 'f32' ? formatShape(x.shape) : `${x.dtype} ${formatShape(x.shape)}`;
    throw new ShapeError(`${system}: x must be [T,B,${size}], not ${found}`);
  }
  return { steps, batch };
}

/**
 * Options that are sizes, all of them.
 * @param known every option there is
 * @param sizes those that are whole numbers of at least 1, with their values
 * @throws OptionError for an unknown option, or a size that is none
 */
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

/**
 * An option that is one of several words.
 * @throws OptionError for another one
 */
export function checkChoice(system: string, name: string, value: string, choices: readonly string[]): void {
  if (choices.includes(value)) return;
  throw new OptionError(`${system}: ${name} is '${value}'; use ${choices.map((each) => `'${each}'`).join(' or ')}`);
}

/** Bytes that a sequence within a loop may take: three quarters of what every device binds at once. */
const CHUNK_BYTES = 96 * 2 ** 20;

/**
 * How many steps one loop takes (`chunk` of a scan): all of them, unless a sequence within it would not be bound by
 * every device.
 * @param elements of one step of the widest sequence
 */
export function stepsAtOnce(steps: number, elements: number): number {
  return Math.max(1, Math.min(steps, Math.floor(CHUNK_BYTES / (4 * elements))));
}
