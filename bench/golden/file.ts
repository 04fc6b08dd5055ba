// A golden file: a safetensors file of inputs, parameters, outputs and gradients of one case, computed elsewhere.
//
// Its tensors are `input.X`, `param.X` and `blk.X` (what goes in), `out.X` and `grad.Y` (what must come out, in float32)
// and `out64.X` and `grad64.Y` (the same from a float64 run). A *stored value* here is named by its float32 name and holds
// every version that the file has. The file keeps a record of what was used, so that nothing in it is passed over in
// silence. Always: what is missing or of a wrong form is a FileError that names it.
// Not here: what a case means (the families beside this file) and how values are compared (compare.ts).

import { FileError, formatShape, quote } from '../../engine/errors.ts';
import { readSafetensors, type SafetensorsTensor } from '../../engine/safetensors.ts';
import { type Shape, sizeOf } from '../../engine/tensor.ts';

/** One version of a stored value: `out.h` or `out64.h`. */
export interface Stored {
  readonly tensor: string;
  readonly shape: Shape;
  readonly data: Float32Array | Float64Array;
}

const VERSIONS: readonly (readonly [prefix: string, wide: string])[] = [
  ['out.', 'out64.'],
  ['grad.', 'grad64.'],
];

/** One golden file, read and checked for its form. */
export class GoldenFile {
  /** What messages call it: the name without folder and ending. */
  readonly name: string;
  /** The text that says of what kind the case is. */
  readonly case: string;
  readonly #metadata: Readonly<Record<string, string>>;
  readonly #tensors: ReadonlyMap<string, SafetensorsTensor>;
  readonly #used = new Set<string>();

  /** @throws FileError where the bytes are no safetensors file, or it does not say of what kind it is */
  constructor(name: string, bytes: Uint8Array) {
    this.name = name;
    const { metadata, tensors } = readSafetensors(bytes, name);
    this.#metadata = metadata;
    this.#tensors = tensors;
    this.case = this.text('case');
  }

  /** A text of the metadata. @throws FileError where there is none */
  text(key: string): string {
    const text = this.#metadata[key];
    if (text === undefined)
      throw new FileError(`${this.name}: its metadata has no '${key}'; write the case again with it`);
    return text;
  }

  /** A text of the metadata, where there is one. */
  maybeText(key: string): string | undefined {
    return this.#metadata[key];
  }

  /** A number of the metadata. @throws FileError where it is none */
  number(key: string): number {
    return this.#parse(key, this.text(key));
  }

  /** Several numbers of the metadata, such as `0.9 0.999`. @throws FileError where they are none */
  numbers(key: string, count: number): number[] {
    const parts = this.text(key).split(/[\s,]+/);
    if (parts.length !== count) {
      throw new FileError(`${this.name}: metadata '${key}' is ${quote(this.text(key))}, not ${count} numbers`);
    }
    return parts.map((part) => this.#parse(key, part));
  }

  /** A size of the metadata. @throws FileError where it is no whole number of at least 1 */
  whole(key: string): number {
    const value = this.number(key);
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new FileError(
        `${this.name}: metadata '${key}' is ${quote(this.text(key))}, not a whole number of at least 1`,
      );
    }
    return value;
  }

  /** True or false of the metadata. @throws FileError where it is neither */
  flag(key: string): boolean {
    const text = this.text(key);
    if (text !== 'true' && text !== 'false') {
      throw new FileError(`${this.name}: metadata '${key}' is ${quote(text)}, not true or false`);
    }
    return text === 'true';
  }

  /** One of several texts of the metadata. @throws FileError where it is none of them */
  oneOf<T extends string>(key: string, ...texts: readonly T[]): T {
    const text = this.text(key);
    const found = texts.find((each) => each === text);
    if (found === undefined) {
      throw new FileError(`${this.name}: metadata '${key}' is ${quote(text)}; this checker knows ${texts.join(', ')}`);
    }
    return found;
  }

  has(tensor: string): boolean {
    return this.#tensors.has(tensor);
  }

  /** The shape of a tensor. @throws FileError where there is none, or it has not that many dimensions, or no elements */
  shape(tensor: string, rank?: number): Shape {
    const { shape } = this.#get(tensor);
    if ((rank !== undefined && shape.length !== rank) || sizeOf(shape) === 0) {
      const form = rank === undefined ? 'elements' : `${rank} dimensions of at least 1`;
      throw new FileError(
        `${this.name}: tensor '${tensor}' is ${formatShape(shape)}; this kind of case has it with ${form}`,
      );
    }
    return shape;
  }

  /** What goes in: an f32 tensor, marked as used. @throws FileError where there is none or it holds other numbers */
  floats(tensor: string): Float32Array {
    const found = this.#get(tensor);
    this.#used.add(tensor);
    if (found.dtype !== 'F32')
      throw new FileError(`${this.name}: tensor '${tensor}' is ${found.dtype}; it must be F32`);
    return found.data;
  }

  /** What goes in: indices, marked as used. @throws FileError where there are none, or one is below 0 */
  indices(tensor: string): Uint32Array {
    const found = this.#get(tensor);
    this.#used.add(tensor);
    if (found.dtype !== 'I32' && found.dtype !== 'I64') {
      throw new FileError(`${this.name}: tensor '${tensor}' is ${found.dtype}; it must be I32`);
    }
    return Uint32Array.from(found.data, (value: number | bigint) => {
      const index = Number(value);
      if (index < 0 || index > 0xffff_ffff) {
        throw new FileError(`${this.name}: tensor '${tensor}' holds ${index}, which is no index`);
      }
      return index;
    });
  }

  /** True where a tensor holds indices. */
  isIndices(tensor: string): boolean {
    const { dtype } = this.#get(tensor);
    return dtype === 'I32' || dtype === 'I64';
  }

  /** Every version of what must come out, `out.X` or `grad.Y`, marked as used; empty where the file has none. */
  stored(name: string): Stored[] {
    const found: Stored[] = [];
    for (const tensor of versions(name)) {
      const each = this.#tensors.get(tensor);
      if (each === undefined) continue;
      this.#used.add(tensor);
      if (each.dtype !== 'F32' && each.dtype !== 'F64') {
        throw new FileError(`${this.name}: tensor '${tensor}' is ${each.dtype}; it must be F32 or F64`);
      }
      found.push({ tensor, shape: each.shape, data: each.data });
    }
    return found;
  }

  /** True where the file has a version of what must come out. */
  stores(name: string): boolean {
    return versions(name).some((tensor) => this.#tensors.has(tensor));
  }

  /** Marks tensors as seen to without a comparison: by full name, or by pattern. */
  leaveOut(tensors: string | RegExp): void {
    if (typeof tensors === 'string') for (const tensor of versions(tensors)) this.#used.add(tensor);
    else for (const tensor of this.#tensors.keys()) if (tensors.test(tensor)) this.#used.add(tensor);
  }

  /** Elements of all tensors together. */
  get elements(): number {
    let sum = 0;
    for (const { data } of this.#tensors.values()) sum += data.length;
    return sum;
  }

  /** Names of all tensors. */
  names(): string[] {
    return [...this.#tensors.keys()];
  }

  /** Tensors that nobody has used. */
  unused(): string[] {
    return this.names().filter((name) => !this.#used.has(name));
  }

  #get(tensor: string): SafetensorsTensor {
    const found = this.#tensors.get(tensor);
    if (found === undefined) {
      throw new FileError(
        `${this.name}: there is no tensor '${tensor}', which this kind of case (${quote(this.case)}) must have`,
      );
    }
    return found;
  }

  #parse(key: string, text: string): number {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value)) {
      throw new FileError(`${this.name}: metadata '${key}' is ${quote(text)}, not a number`);
    }
    return value;
  }
}

/** The names under which a stored value may stand: in float32, and in float64. */
function versions(name: string): string[] {
  const pair = VERSIONS.find(([prefix]) => name.startsWith(prefix));
  return pair === undefined ? [name] : [name, pair[1] + name.slice(pair[0].length)];
}
