// Time in pieces: a recurrence over many steps as consecutive ones over fewer, which hand their state on. A sequence of a
// piece is shorter, so that no tensor [T, ...] has to fit one binding, and with recomputation only the states between
// pieces last until the backward. A program grows with the number of pieces, not with that of the steps.
// Always: the pieces tile the steps without gap or overlap; the results of pieces come in the order of time.

import { at, formatShape, OptionError, ShapeError } from './errors.ts';
import { concat, slice } from './ops/shape.ts';
import { recompute } from './recompute.ts';
import type { TensorRecord } from './records.ts';
import type { Tensor } from './tensor.ts';

/** Where the steps of a loop stand in a sequence that is cut: from step `start` on, of `total`. */
export interface Part {
  readonly start: number;
  readonly total: number;
}

/** Steps `start` to `start + length` of a sequence; `index` counts the pieces in the order of time. */
export interface Piece extends Part {
  readonly index: number;
  readonly length: number;
}

/** Pieces of `chunk` steps each; the last is shorter where they do not divide the steps. */
export function piecesOf(steps: number, chunk: number): readonly Piece[] {
  return Array.from({ length: Math.ceil(steps / chunk) }, (_, index) => {
    const start = index * chunk;
    return { index, start, total: steps, length: Math.min(chunk, steps - start) };
  });
}

/** @throws OptionError for a number of steps that is none */
export function checkChunk(where: string, chunk: unknown, otherwise = ''): void {
  if (Number.isSafeInteger(chunk) && Number(chunk) >= 1) return;
  throw new OptionError(
    `${where}: chunk must be a whole number of steps of at least 1${otherwise}, not ${String(chunk)}`,
  );
}

/** One piece of a sequence [T, ...]. */
export function pieceOf(sequence: Tensor, { start, length }: Piece): Tensor {
  return slice(sequence, 0, start, length);
}

/** A recurrence over one piece: from the state before it to the one after it, and what else it computes. */
interface PieceResult<S> {
  readonly state: S;
}

/**
 * Runs a recurrence piece by piece.
 * @param run one piece, from the state that the piece before it left
 * @param options `reverse`: from the last piece to the first; `recompute`: the backward computes each piece again
 * @returns the results in the order of time, and the state after the piece that ran last
 */
export function overPieces<S, R extends PieceResult<S>>(
  pieces: readonly Piece[],
  start: S,
  run: (piece: Piece, state: S) => R,
  options: { readonly reverse: boolean; readonly recompute: boolean },
): { readonly results: readonly R[]; readonly state: S } {
  const results: R[] = new Array(pieces.length);
  let state = start;
  for (const piece of options.reverse ? pieces.toReversed() : pieces) {
    const before = state;
    const build = (): R => run(piece, before);
    const result = options.recompute ? recompute(build) : build();
    results[piece.index] = result;
    state = result.state;
  }
  return { results, state };
}

/** Sequences of pieces in the order of time as one, name by name. */
export function joined<O extends object>(outputs: readonly O[]): O {
  const names = Object.keys(at(outputs, 0)) as (keyof O)[];
  const values = names.map((name) => [
    name,
    concat(
      outputs.map((each) => each[name] as Tensor),
      0,
    ),
  ]);
  return Object.fromEntries(values) as O;
}

/** The number of steps that sequences [T, ...] have. @throws ShapeError, OptionError where they do not tell */
export function stepsOf(inputs: TensorRecord, given: number | undefined): number {
  let steps = given;
  for (const [name, { shape }] of Object.entries(inputs)) {
    const length = shape[0];
    if (length === undefined)
      throw new ShapeError(`scan: the input '${name}' has no time axis; give it the shape [T, ...]`);
    if (steps !== undefined && steps !== length) {
      throw new ShapeError(
        `scan: the input '${name}' ${formatShape(shape)} has ${length} steps where ${steps} were expected`,
      );
    }
    steps = length;
  }
  if (steps === undefined)
    throw new OptionError('scan: neither inputs nor the option steps tell how many steps to run');
  return steps;
}
