// Safetensors files: named tensors with a JSON header, as PyTorch, JAX and the rest of the field exchange them.
// The format: 8 bytes, the little-endian length of the header; the header, JSON; then the data of all tensors, little-endian.
// Always: a file is checked whole before anything is allocated for its tensors, whatever bytes it holds, and a bad one is
// refused with a FileError that names the tensor and the mend. Names live in a Map, so `__proto__` is a name like another.
// Writing is deterministic: equal tensors and metadata give equal bytes, whatever order they come in.
// Not: reading or writing disks (the caller has bytes), and not what the names of a checkpoint mean.

import { FileError, formatShape, OptionError, quote, ShapeError } from './errors.ts';
import { bfloat16ToFloat32, float16ToFloat32 } from './half.ts';
import { isWellFormed, jsonDefect } from './json-text.ts';

/** How each dtype stands in memory. F16 and BF16 are raw bits: `toFloat32` converts them. BOOL is a byte an element. */
export interface SafetensorsArrays {
  /** 64-bit floating point. */
  readonly F64: Float64Array;
  /** 32-bit floating point. */
  readonly F32: Float32Array;
  /** The bits of IEEE half precision. */
  readonly F16: Uint16Array;
  /** The bits of bfloat16. */
  readonly BF16: Uint16Array;
  /** 64-bit whole numbers. */
  readonly I64: BigInt64Array;
  /** 64-bit whole numbers of at least 0. */
  readonly U64: BigUint64Array;
  /** 32-bit whole numbers. */
  readonly I32: Int32Array;
  /** 32-bit whole numbers of at least 0. */
  readonly U32: Uint32Array;
  /** 16-bit whole numbers. */
  readonly I16: Int16Array;
  /** 16-bit whole numbers of at least 0. */
  readonly U16: Uint16Array;
  /** 8-bit whole numbers. */
  readonly I8: Int8Array;
  /** 8-bit whole numbers of at least 0. */
  readonly U8: Uint8Array;
  /** 0 or 1. */
  readonly BOOL: Uint8Array;
}

/** The element types of the format that are read and written. */
export type SafetensorsDtype = keyof SafetensorsArrays;

/** One tensor of a file, row-major; a shape of `[]` is a scalar. Narrowing on `dtype` narrows `data`. */
export type SafetensorsTensor = {
  readonly [D in SafetensorsDtype]: {
    /** Its element type. */
    readonly dtype: D;
    /** Its sizes, outermost first. */
    readonly shape: readonly number[];
    /** Its elements, row-major. */
    readonly data: SafetensorsArrays[D];
  };
}[SafetensorsDtype];

/** What a file holds. The metadata object has no prototype, so every key that it answers to stood in the file. */
export interface SafetensorsFile {
  /** Strings by name. */
  readonly metadata: Record<string, string>;
  /** Tensors by name. */
  readonly tensors: ReadonlyMap<string, SafetensorsTensor>;
}

const HEADER_LIMIT = 100_000_000;
const METADATA = '__metadata__';

const ITEM_BYTES: Readonly<Record<SafetensorsDtype, number>> = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};
const DTYPES = Object.keys(ITEM_BYTES).join(', ');

function isDtype(name: unknown): name is SafetensorsDtype {
  return typeof name === 'string' && Object.hasOwn(ITEM_BYTES, name);
}

/** The bytes that a reader was given. @throws OptionError where it was given none, such as a path */
function bytesOf(source: unknown, file: string): Uint8Array {
  if (source instanceof Uint8Array) return source;
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  throw new OptionError(`${file}: not bytes but ${quote(source)}; give its bytes, a Uint8Array or an ArrayBuffer`);
}

/**
 * Reads a safetensors file.
 *
 * The data of the tensors are views into `bytes` where their alignment allows it, and copies elsewhere: leave `bytes`
 * unchanged for as long as the tensors are in use. Empty tensors and scalars are allowed, as the format has them.
 *
 * @param source its bytes
 * @param file what error messages call the file.
 * @throws OptionError where it is given no bytes; FileError when the bytes are anything else than one well-formed file: cut short, a header that is too long, not
 *   UTF-8 or not JSON, a repeated name, an unknown field or dtype, a shape that is none or does not fit its bytes, tensors
 *   that overlap or leave holes, bytes left over.
 */
export function readSafetensors(source: Uint8Array | ArrayBuffer, file = 'safetensors'): SafetensorsFile {
  const bytes = bytesOf(source, file);
  const { header, data } = splitFile(bytes, file);
  const metadata = readMetadata(header.get(METADATA), file);
  header.delete(METADATA);
  const entries = Array.from(header, ([name, fields]) => readEntry(name, fields, file));
  checkLayout(entries, data.length, file);
  const tensors = new Map<string, SafetensorsTensor>();
  for (const { name, dtype, shape, begin, end } of entries) {
    tensors.set(name, viewTensor(dtype, shape, data.subarray(begin, end)));
  }
  return { metadata, tensors };
}

/** A tensor's entry in the header, checked by itself. */
interface Entry {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

// The header as a map, and the bytes behind it.
function splitFile(bytes: Uint8Array, file: string): { header: Map<string, unknown>; data: Uint8Array } {
  if (bytes.length < 8) {
    throw new FileError(`${file}: ${bytes.length} bytes, too few for a safetensors file; copy or write it again`);
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(HEADER_LIMIT)) {
    throw new FileError(`${file}: a header of ${length} bytes, over ${HEADER_LIMIT}; is it a safetensors file?`);
  }
  const dataStart = 8 + Number(length);
  if (dataStart > bytes.length) {
    throw new FileError(
      `${file}: a header of ${length} bytes in a file of ${bytes.length}; it was cut short: copy or write it again`,
    );
  }
  return { header: parseHeader(bytes.subarray(8, dataStart), file), data: bytes.subarray(dataStart) };
}

function parseHeader(bytes: Uint8Array, file: string): Map<string, unknown> {
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    header = JSON.parse(text);
  } catch (cause) {
    throw new FileError(`${file}: the header is not JSON in UTF-8; check that it is a safetensors file`, { cause });
  }
  if (!isObject(header) || bytes[0] !== 0x7b) {
    throw new FileError(`${file}: no JSON object starts at byte 8; check that it is a safetensors file`);
  }
  // The object of all tensors, that of one tensor, and its lists.
  const defect = jsonDefect(text, { levels: 3, plainNumbers: true });
  if (defect !== undefined) throw new FileError(`${file}: in the header, ${defect}; write it again without`);
  return new Map(Object.entries(header));
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readMetadata(value: unknown, file: string): Record<string, string> {
  const metadata: Record<string, string> = Object.create(null);
  if (value === undefined) return metadata;
  if (!isObject(value)) throw new FileError(`${file}: ${METADATA} is no object; write it as strings by name`);
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') {
      throw new FileError(`${file}: ${METADATA} ${quote(key)} is no string; write metadata as strings`);
    }
    metadata[key] = text;
  }
  return metadata;
}

function readEntry(name: string, value: unknown, file: string): Entry {
  const where = `${file}: tensor ${quote(name)}`;
  if (!isObject(value)) throw new FileError(`${where} is no object; write its dtype, shape and data_offsets`);
  const fields = new Map<string, unknown>(Object.entries(value));
  for (const key of fields.keys()) {
    if (key !== 'dtype' && key !== 'shape' && key !== 'data_offsets') {
      throw new FileError(`${where} has the unknown field ${quote(key)}; write dtype, shape and data_offsets only`);
    }
  }
  const dtype = fields.get('dtype');
  if (!isDtype(dtype)) {
    throw new FileError(`${where}: there is no dtype ${quote(dtype)} here; convert it to one of ${DTYPES}`);
  }
  const shape = readSizes(fields.get('shape'));
  if (shape === undefined) {
    throw new FileError(`${where}: shape ${quote(fields.get('shape'))} is none; write a list of whole numbers`);
  }
  const offsets = readSizes(fields.get('data_offsets'));
  const [begin, end] = offsets ?? [];
  if (begin === undefined || end === undefined || offsets?.length !== 2 || begin > end) {
    throw new FileError(
      `${where}: data_offsets ${quote(fields.get('data_offsets'))} are none; write [begin, end] with begin <= end`,
    );
  }
  const needed = byteLength(dtype, shape);
  if (needed !== end - begin) {
    const needs = needed === undefined ? 'more bytes than can be counted' : `${needed} bytes`;
    throw new FileError(
      `${where}: ${dtype} ${formatShape(shape)} needs ${needs}, data_offsets give it ${end - begin}; write the file again`,
    );
  }
  return { name, dtype, shape, begin, end };
}

// A list of whole numbers of at least 0, or undefined.
function readSizes(value: unknown): number[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const sizes: number[] = [];
  for (const size of value) {
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) return undefined;
    sizes.push(size);
  }
  return sizes;
}

// Bytes of a tensor, or undefined where a product on the way is not exact in float64.
function byteLength(dtype: SafetensorsDtype, shape: readonly number[]): number | undefined {
  let bytes = ITEM_BYTES[dtype];
  for (const size of shape) {
    bytes *= size;
    if (!Number.isSafeInteger(bytes)) return undefined;
  }
  return bytes;
}

// The tensors must fill the data exactly: in order of their offsets, each begins where the one before it ends.
function checkLayout(entries: readonly Entry[], dataLength: number, file: string): void {
  const inOrder = entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end);
  let position = 0;
  for (const { name, begin, end } of inOrder) {
    const where = `${file}: tensor ${quote(name)} at [${begin},${end}]`;
    if (begin < position)
      throw new FileError(`${where} overlaps the one before it, which ends at ${position}; write it again`);
    if (begin > position) throw new FileError(`${where} leaves a hole behind byte ${position}; write it again without`);
    if (end > dataLength) {
      throw new FileError(
        `${where} passes the ${dataLength} bytes of data; the file was cut short: copy or write it again`,
      );
    }
    position = end;
  }
  if (position !== dataLength) {
    throw new FileError(`${file}: ${dataLength - position} bytes follow the last tensor; copy or write the file again`);
  }
}

// The tensor that `bytes` hold, as a view where the alignment allows it. (`slice` of a Node Buffer would not copy.)
function viewTensor(dtype: SafetensorsDtype, shape: readonly number[], bytes: Uint8Array): SafetensorsTensor {
  const itemBytes = ITEM_BYTES[dtype];
  const { buffer, byteOffset } = bytes.byteOffset % itemBytes === 0 ? bytes : new Uint8Array(bytes);
  const length = bytes.length / itemBytes;
  switch (dtype) {
    case 'F64':
      return { dtype, shape, data: new Float64Array(buffer, byteOffset, length) };
    case 'F32':
      return { dtype, shape, data: new Float32Array(buffer, byteOffset, length) };
    case 'F16':
    case 'BF16':
    case 'U16':
      return { dtype, shape, data: new Uint16Array(buffer, byteOffset, length) };
    case 'I64':
      return { dtype, shape, data: new BigInt64Array(buffer, byteOffset, length) };
    case 'U64':
      return { dtype, shape, data: new BigUint64Array(buffer, byteOffset, length) };
    case 'I32':
      return { dtype, shape, data: new Int32Array(buffer, byteOffset, length) };
    case 'U32':
      return { dtype, shape, data: new Uint32Array(buffer, byteOffset, length) };
    case 'I16':
      return { dtype, shape, data: new Int16Array(buffer, byteOffset, length) };
    case 'I8':
      return { dtype, shape, data: new Int8Array(buffer, byteOffset, length) };
    case 'U8':
    case 'BOOL':
      return { dtype, shape, data: new Uint8Array(buffer, byteOffset, length) };
  }
}

/**
 * The values of a floating-point tensor as f32: F32 as it stands (no copy), F16 and BF16 exactly, F64 rounded.
 *
 * @throws ShapeError for a dtype that holds no floating-point numbers.
 */
export function toFloat32(tensor: SafetensorsTensor): Float32Array {
  switch (tensor.dtype) {
    case 'F32':
      return tensor.data;
    case 'F64':
      return Float32Array.from(tensor.data);
    case 'F16':
      return float16ToFloat32(tensor.data);
    case 'BF16':
      return bfloat16ToFloat32(tensor.data);
    default:
      throw new ShapeError(
        `toFloat32: ${tensor.dtype} ${formatShape(tensor.shape)} holds no floating-point numbers; use its data as it is`,
      );
  }
}

/**
 * Writes a safetensors file: the metadata, then the tensors with the widest dtypes first and then by name, so that all data
 * are aligned. The header is padded with spaces to 8 bytes. Equal contents give equal bytes.
 *
 * @throws OptionError for a name, dtype or metadata that the format cannot hold; ShapeError when data and shape differ;
 *   FileError when the header passes the format's 100 MB.
 */
export function writeSafetensors(
  tensors: Readonly<Record<string, SafetensorsTensor>> | ReadonlyMap<string, SafetensorsTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const entries: [string, SafetensorsTensor][] = tensors instanceof Map ? [...tensors] : Object.entries(tensors);
  for (const [name, tensor] of entries) checkTensor(name, tensor);
  entries.sort(([a, x], [b, y]) => ITEM_BYTES[y.dtype] - ITEM_BYTES[x.dtype] || compareNames(a, b));
  const fields = writeMetadata(metadata);
  let end = 0;
  for (const [name, { dtype, shape, data }] of entries) {
    const begin = end;
    end += data.byteLength;
    const offsets = JSON.stringify([begin, end]);
    fields.push(
      `${JSON.stringify(name)}:{"dtype":"${dtype}","shape":${JSON.stringify(shape)},"data_offsets":${offsets}}`,
    );
  }
  const header = new TextEncoder().encode(`{${fields.join(',')}}`);
  const padded = Math.ceil(header.length / 8) * 8;
  if (padded > HEADER_LIMIT) {
    throw new FileError(`writeSafetensors: a header of ${padded} bytes, over ${HEADER_LIMIT}; use fewer tensors`);
  }
  const bytes = new Uint8Array(8 + padded + end).fill(0x20, 8, 8 + padded);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(header, 8);
  let position = 8 + padded;
  for (const [, { data }] of entries) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), position);
    position += data.byteLength;
  }
  return bytes;
}

function writeMetadata(metadata: Readonly<Record<string, string>>): string[] {
  const pairs = Object.entries(metadata).toSorted(([a], [b]) => compareNames(a, b));
  const fields: string[] = [];
  for (const [key, text] of pairs) {
    if (typeof text !== 'string' || !isWellFormed(key) || !isWellFormed(text)) {
      throw new OptionError(`writeSafetensors: metadata ${quote(key)} is no well-formed string; convert it to one`);
    }
    fields.push(`${JSON.stringify(key)}:${JSON.stringify(text)}`);
  }
  return fields.length === 0 ? [] : [`"${METADATA}":{${fields.join(',')}}`];
}

function checkTensor(name: string, tensor: SafetensorsTensor): void {
  const where = `writeSafetensors: tensor ${quote(name)}`;
  if (name === METADATA || !isWellFormed(name)) {
    throw new OptionError(`${where} has a name that the format cannot hold; rename it`);
  }
  const { dtype, shape, data } = tensor;
  if (!isDtype(dtype)) throw new OptionError(`${where}: there is no dtype ${quote(dtype)}; use one of ${DTYPES}`);
  const expected = viewTensor(dtype, [], new Uint8Array(ITEM_BYTES[dtype])).data;
  if (Object.prototype.toString.call(data) !== Object.prototype.toString.call(expected)) {
    throw new OptionError(`${where}: ${dtype} data must be a ${expected.constructor.name}; convert them`);
  }
  const bytes = readSizes(shape) === undefined ? undefined : byteLength(dtype, shape);
  if (bytes !== data.byteLength) {
    throw new ShapeError(
      `${where}: shape ${formatShape(shape)} and ${data.length} elements differ; give the data's shape`,
    );
  }
}

// By UTF-16 units: the same order in every locale.
function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
