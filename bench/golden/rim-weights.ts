// How the weights of a RIM cell stand in a golden file: other names, transposed, gates in another order, or the blocks of
// a dense matrix. A *source* names the stored tensor of one weight and, where the order differs, the place of every element
// there; weights are read through it, and gradients and trained values are compared through it.

import { Variable } from '../../engine/core.ts';
import { at, FileError } from '../../engine/errors.ts';
import { sizeOf } from '../../engine/tensor.ts';
import { type CellOptions, type WeightName, type Weights, weightCount } from '../../rims/index.ts';
import type { Case } from './case.ts';
import type { Allowance } from './compare.ts';
import type { GoldenFile } from './file.ts';

/** Where a weight stands in a file. */
export interface Source {
  /** The stored name, behind `param.` and the prefix of the model. */
  readonly stored: string;
  /** Element i of the weight is element `places[i]` of the stored tensor; without it they are in one order. */
  readonly places?: Uint32Array;
  /** The same values once more, as `blk.X`, with its own places. */
  readonly block?: { readonly stored: string; readonly places: Uint32Array };
  /** The stored tensor has elements that are no part of the model, as off the blocks of a dense matrix. */
  readonly part?: boolean;
  /** Its gradient is 0 in exact arithmetic: what is computed is the rounding of terms as large as this one's gradient. */
  readonly cancelsLike?: string;
}

/** The options of the cell that a file describes, and where its weights are. */
export interface Layout {
  readonly options: CellOptions;
  readonly sources: Readonly<Partial<Record<WeightName, Source>>>;
}

/**
 * The same options, once it is known that a file can hold the weights that they ask for: before anything of that size is made.
 * @throws FileError where it cannot
 */
export function heldBy(file: GoldenFile, options: CellOptions): CellOptions {
  const wanted = weightCount(options);
  if (wanted <= file.elements) return options;
  throw new FileError(
    `${file.name}: the sizes in its metadata ask for ${wanted} weights, and all its tensors together have ${file.elements} elements; correct the metadata`,
  );
}

/** The place of every element of a tensor of these sizes, by its indices. */
export function placesOf(sizes: readonly number[], place: (index: readonly number[]) => number): Uint32Array {
  const index = sizes.map(() => 0);
  return Uint32Array.from({ length: sizeOf(sizes) }, () => {
    const found = place(index);
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      index[axis] = at(index, axis) + 1;
      if (at(index, axis) < at(sizes, axis)) break;
      index[axis] = 0;
    }
    return found;
  });
}

/** The source of a matrix [in, out] that is stored as PyTorch keeps linear maps, [out, in]. */
export function transposed(stored: string, rows: number, columns: number): Source {
  return { stored, places: placesOf([rows, columns], ([i = 0, j = 0]) => j * rows + i) };
}

/** The values of a weight in a file. @throws FileError where the stored tensor is of another size */
export function readWeight(file: GoldenFile, prefix: string, source: Source, size: number): Float32Array {
  const name = `param.${prefix}${source.stored}`;
  const data = file.floats(name);
  const { places } = source;
  const fits =
    places === undefined ? data.length === size : places.length === size && places.every((i) => i < data.length);
  if (!fits)
    throw new FileError(
      `${file.name}: tensor '${name}' of ${data.length} elements does not fit the sizes in the metadata`,
    );
  if (places === undefined) return data;
  return Float32Array.from(places, (place) => at(data, place));
}

/**
 * Gives the weights of a cell their values from a file.
 * @throws FileError where the file has no source of a weight, or a size differs
 */
export function loadWeights(file: GoldenFile, prefix: string, weights: Weights, layout: Layout): void {
  for (const [name, weight] of Object.entries(weights)) {
    const source = layout.sources[name as WeightName];
    if (source === undefined)
      throw new FileError(`${file.name}: this kind of case stores no weight '${name}', which its options ask for`);
    weight.write(readWeight(file, prefix, source, weight.size));
  }
}

/** Loads the weights of a cell and claims their gradients, `grad.param.*` and `grad.blk.*`. */
export function claimWeights(graph: Case, prefix: string, weights: Weights, layout: Layout): void {
  loadWeights(graph.file, prefix, weights, layout);
  for (const [name, weight] of Object.entries(weights)) {
    graph.own(weight);
    const source = layout.sources[name as WeightName];
    if (source !== undefined) claimWeight(graph, prefix, weight, source);
  }
}

/** Loads a single weight of a model and claims its gradient. */
export function loadWeight(graph: Case, weight: Variable, source: Source): void {
  weight.write(readWeight(graph.file, '', source, weight.size));
  claimWeight(graph, '', graph.own(weight), source);
}

/** A single weight of a file as a Variable, its gradient claimed. */
export function claimedWeight(graph: Case, shape: readonly number[], source: Source): Variable {
  const weight = new Variable(source.stored, shape, readWeight(graph.file, '', source, sizeOf(shape)));
  claimWeight(graph, '', graph.own(weight), source);
  return weight;
}

function claimWeight(graph: Case, prefix: string, weight: Variable, source: Source): void {
  const { stored, places, block, part } = source;
  const allowance = allowanceOf(graph.file, `grad.param.${prefix}`, source);
  graph.gradient(`param.${prefix}${stored}`, weight, { ...(places && { places }), ...(allowance && { allowance }) });
  if (part) {
    graph.tally.notes.push(
      `grad.param.${prefix}${stored}: compared on the blocks; what the reference has off them is no part of the model`,
    );
  }
  if (block === undefined) return;
  const dense = readWeight(graph.file, prefix, source, weight.size);
  const blocks = graph.file.floats(`blk.${block.stored}`);
  if (blocks.length !== dense.length || block.places.some((place, i) => blocks[place] !== dense[i])) {
    throw new FileError(
      `${graph.file.name}: 'blk.${block.stored}' does not hold the blocks of 'param.${prefix}${stored}'`,
    );
  }
  graph.gradient(`blk.${block.stored}`, weight, { places: block.places });
}

/**
 * The allowance of a gradient that is 0 in exact arithmetic: it is the difference of two equal sums, each as large as the
 * gradient of `cancelsLike`, and keeps their rounding: 1e-5 of that one's magnitude, plus the usual 1e-6.
 */
export function allowanceOf(file: GoldenFile, prefix: string, { cancelsLike }: Source): Allowance | undefined {
  if (cancelsLike === undefined) return undefined;
  const terms = file.stored(prefix + cancelsLike)[0];
  if (terms === undefined) throw new FileError(`${file.name}: there is no tensor '${prefix}${cancelsLike}'`);
  let magnitude = 0;
  for (const value of terms.data) magnitude = Math.max(magnitude, Math.abs(value));
  return { relative: 0, absolute: 1e-6 + 1e-5 * magnitude };
}
