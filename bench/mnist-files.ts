// MNIST from a folder: the four standard IDX files, gzipped or not, under the names that they have on the web.
//
// Always: a file is unpacked by what it begins with, not by its name; every failure is a FileError that names the file and the mend.
// Not here: what the bytes mean and how images are split (tasks/idx.ts, tasks/digits.ts).

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { FileError } from '../engine/errors.ts';
import { readBytes } from './disk.ts';
import { type DigitSource, type MnistPair, mnistDigits } from './tasks/index.ts';

/** The most bytes that a file may unpack to; MNIST's largest has 47 million. */
const LARGEST = 2 ** 28;

/**
 * The digits in a folder with `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`, and `train-images-idx3-ubyte` and
 * `train-labels-idx1-ubyte` where there are training images; also spelt `.idx3-ubyte`, and with `.gz`.
 *
 * @throws FileError where the t10k files or one of a pair are missing, and for what `mnistDigits` refuses
 */
export function readMnistFolder(folder: string): DigitSource {
  const test = readPair(folder, 't10k');
  if (test === undefined) {
    const names = 't10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, gzipped or not';
    throw new FileError(`${folder}: MNIST's test images are not there; put ${names} into the folder, or name another`);
  }
  const train = readPair(folder, 'train');
  return mnistDigits({ test, ...(train && { train }) });
}

/** A pair of files; undefined where neither is there. */
function readPair(folder: string, set: 'train' | 't10k'): MnistPair | undefined {
  const [imageFile, labelFile] = [findFile(folder, `${set}-images`, 'idx3'), findFile(folder, `${set}-labels`, 'idx1')];
  if (imageFile === undefined && labelFile === undefined) return undefined;
  if (imageFile === undefined || labelFile === undefined) {
    const missing = imageFile === undefined ? `${set}-images-idx3-ubyte` : `${set}-labels-idx1-ubyte`;
    throw new FileError(`${join(folder, missing)}: it is missing beside ${imageFile ?? labelFile}; put it there`);
  }
  return { images: readUnpacked(imageFile), labels: readUnpacked(labelFile), imageFile, labelFile };
}

function findFile(folder: string, stem: string, format: string): string | undefined {
  const names = ['-', '.'].flatMap((mark) => ['', '.gz'].map((packed) => `${stem}${mark}${format}-ubyte${packed}`));
  return names.map((name) => join(folder, name)).find((path) => existsSync(path));
}

function readUnpacked(path: string): Uint8Array {
  const bytes = readBytes(path);
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    return gunzipSync(bytes, { maxOutputLength: LARGEST });
  } catch (cause) {
    const large = cause instanceof Error && 'code' in cause && cause.code === 'ERR_BUFFER_TOO_LARGE';
    const what = large ? `it unpacks to more than ${LARGEST} bytes` : 'its gzip data are damaged or cut off';
    throw new FileError(`${path}: ${what}; get the file again`, { cause });
  }
}
