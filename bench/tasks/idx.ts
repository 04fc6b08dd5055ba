// The IDX format, in which MNIST's images and labels come (LeCun, Cortes, Burges): a magic number 0, 0, type, dimensions; the sizes as
// big-endian u32; then the data, row-major. Here: unsigned bytes, as images [n,rows,columns] or as labels [n].
//
// Always: bytes that are not exactly such a file are refused, with what they are instead and the mend; what is returned are views of
// the bytes that were given. Not here: files and gzip (the trainer's reader unpacks them), and which image belongs to which split.

import { FileError } from '../../engine/errors.ts';

const UNSIGNED_BYTE = 0x08;
const IMAGES = 3;
const LABELS = 1;

/** Images of an IDX file. */
export interface IdxImages {
  /** How many. */
  readonly count: number;
  /** Height in pixels. */
  readonly rows: number;
  /** Width in pixels. */
  readonly columns: number;
  /** Grey levels `[count,rows,columns]`, 0 background, 255 ink; a view of the file's bytes. */
  readonly pixels: Uint8Array;
}

/**
 * Reads an IDX file of images, such as `train-images-idx3-ubyte`, unpacked.
 *
 * @param file what messages call it
 * @throws FileError for bytes that are no such file: another format, cut off, with bytes behind its end, or still gzipped
 */
export function readIdxImages(bytes: Uint8Array, file = 'the image file'): IdxImages {
  const { sizes, data } = readIdx(bytes, file, IMAGES);
  const [count = 0, rows = 0, columns = 0] = sizes;
  if (count > 0 && rows * columns === 0) {
    throw new FileError(`${file}: its ${count} images are ${rows}×${columns} and have no pixels; get the file again`);
  }
  return { count, rows, columns, pixels: data };
}

/**
 * Reads an IDX file of labels, such as `train-labels-idx1-ubyte`, unpacked.
 *
 * @param file what messages call it
 * @returns the labels `[n]`, 0 to 9; a view of the file's bytes
 * @throws FileError for bytes that are no such file, and for a label above 9
 */
export function readIdxLabels(bytes: Uint8Array, file = 'the label file'): Uint8Array {
  const { data } = readIdx(bytes, file, LABELS);
  const wrong = data.findIndex((label) => label > 9);
  if (wrong >= 0) {
    throw new FileError(`${file}: label ${wrong} is ${data[wrong]}, and digits end at 9; get the file again`);
  }
  return data;
}

function readIdx(bytes: Uint8Array, file: string, dimensions: number): { sizes: readonly number[]; data: Uint8Array } {
  checkMagic(bytes, file, dimensions);
  const begin = 4 + 4 * dimensions;
  if (bytes.length < begin) {
    throw new FileError(`${file}: it ends after ${bytes.length} bytes, within its header; get the file again`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const sizes = Array.from({ length: dimensions }, (_, i) => view.getUint32(4 + 4 * i));
  // The product of three u32 may be rounded, but never down to the length of an array.
  const needed = begin + sizes.reduce((product, size) => product * size, 1);
  if (bytes.length !== needed) {
    const shape = sizes.join('×');
    throw new FileError(
      bytes.length < needed
        ? `${file}: it is cut off: ${shape} bytes of data need ${needed} bytes in all, and it has ${bytes.length}; get the file again`
        : `${file}: ${bytes.length - needed} bytes lie behind its ${shape} bytes of data; get the file again`,
    );
  }
  return { sizes, data: bytes.subarray(begin) };
}

function checkMagic(bytes: Uint8Array, file: string, dimensions: number): void {
  const [zero, zeroToo, type, found] = bytes;
  if (zero === 0x1f && zeroToo === 0x8b) throw new FileError(`${file}: it is gzipped; unpack it first (gunzip)`);
  if (zero !== 0 || zeroToo !== 0 || type === undefined || found === undefined) {
    const begins = [...bytes.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const what = bytes.length === 0 ? 'it is empty' : `it begins with the bytes ${begins}, not those of an IDX file`;
    throw new FileError(`${file}: ${what}; give the IDX file of ${named(dimensions)}`);
  }
  if (type !== UNSIGNED_BYTE) {
    throw new FileError(`${file}: its elements are of IDX type ${type}, not unsigned bytes (8); get the file again`);
  }
  if (found !== dimensions) {
    const is = found === IMAGES || found === LABELS ? `a file of ${named(found)}` : `of ${found} dimensions`;
    throw new FileError(
      `${file}: it is ${is}; give the IDX file of ${named(dimensions)}, whose magic number is 0000080${dimensions}`,
    );
  }
}

function named(dimensions: number): string {
  return dimensions === IMAGES ? 'images' : 'labels';
}
