// MNIST from a folder: the four standard IDX files, gzipped or not, under the names that they have on the web.
//
// Always: a file is unpacked by what it begins with, not by its name; every failure is a FileError that names the file and the mend.
// Not here: what the bytes mean and how images are split (tasks/idx.ts, tasks/digits.ts).

import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { FileError } from '../engine/errors.ts';
import { onDisk, READING, readBytes } from './disk.ts';
import { type DigitSource, type MnistPair, mnistDigits } from './tasks/index.ts';

/** The most bytes that a file may unpack to; MNIST's largest has 47 million. */
const LARGEST = 2 ** 28;

/**
 * The digits in a folder with `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`, and `train-images-idx3-ubyte` and
 * `train-labels-idx1-ubyte` where there are training images; also spelt `.idx3-ubyte`, and with `.gz`. Its `source` has a digest of
 * what is in them, so that figures of other images of the same number, as Fashion-MNIST's, are never taken for these.
 *
 * @throws FileError where the t10k files or one of a pair are missing, and for what `mnistDigits` refuses
 */
export function readMnistFolder(folder: string): DigitSource {
  const { test, train } = findFiles(folder);
  const files = { test: readPair(test), ...(train && { train: readPair(train) }) };
  const digits = mnistDigits(files);
  const hash = createHash('sha256');
  for (const { images, labels } of Object.values(files)) hash.update(images).update(labels);
  return { ...digits, source: `${digits.source}; SHA-256 of the files ${hash.digest('hex').slice(0, 12)}` };
}

/** Looks whether a folder has the files, and reads none of them. @throws FileError as `readMnistFolder`, but for what is in the files */
export function checkMnistFolder(folder: string): void {
  findFiles(folder);
}

type FilePair = Required<Pick<MnistPair, 'imageFile' | 'labelFile'>>;

function findFiles(folder: string): { readonly test: FilePair; readonly train: FilePair | undefined } {
  const found = onDisk(folder, () => statSync(folder, { throwIfNoEntry: false }), READING);
  if (found === undefined) throw new FileError(`${folder}: there is no such folder; name the one with MNIST's files`);
  if (!found.isDirectory()) throw new FileError(`${folder}: it is a file; name the folder with MNIST's files`);
  const [test, train] = [findPair(folder, 't10k'), findPair(folder, 'train')];
  if (test !== undefined) return { test, train };
  const what = train === undefined ? 'test images are not there' : 'training images are there, its test images are not';
  const names = 't10k-images-idx3-ubyte and t10k-labels-idx1-ubyte';
  throw new FileError(`${folder}: MNIST's ${what}; put ${names} there, each gzipped or not, or name another folder`);
}

/** A pair of files; undefined where neither is there. */
function findPair(folder: string, set: 'train' | 't10k'): FilePair | undefined {
  const [imageFile, labelFile] = [findFile(folder, `${set}-images`, 'idx3'), findFile(folder, `${set}-labels`, 'idx1')];
  if (imageFile === undefined && labelFile === undefined) return undefined;
  if (imageFile === undefined || labelFile === undefined) {
    const missing = imageFile === undefined ? `${set}-images-idx3-ubyte` : `${set}-labels-idx1-ubyte`;
    throw new FileError(`${join(folder, missing)}: it is missing beside ${imageFile ?? labelFile}; put it there`);
  }
  return { imageFile, labelFile };
}

function readPair({ imageFile, labelFile }: FilePair): MnistPair {
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
