// MNIST's files: what the IDX reader takes and what it refuses, which images a split has, and the reader of folders, on small files
// made here. Damaged files by the thousand are the fuzzer's (bench/fuzz/idx-files.ts).

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { idxDefect, idxFiles, imageFiles, labelFiles, writeIdx } from '../bench/fuzz/idx-files.ts';
import { checkBatch, jobTask } from '../bench/job-tasks.ts';
import { checkMnistFolder, readMnistFolder } from '../bench/mnist-files.ts';
import { parseMainOptions } from '../bench/options.ts';
import { type MnistPair, mnistDigits, readIdxImages, readIdxLabels, type Split } from '../bench/tasks/index.ts';
import { FileError, OptionError } from '../engine/errors.ts';
import { isError } from './on-adapter.ts';

const seed = Number(process.env.RIMGRAD_SEED ?? Date.now() % 1_000_000_007);
console.log(`seed ${seed} (RIMGRAD_SEED=${seed} repeats this run)`);

const SIZE = 28 * 28;
const splits: readonly Split[] = ['train', 'validation', 'test'];

/** Files of `count` images that all differ: image i is filled with i + first, and shows the last digit of it. */
function pairOf(count: number, first = 0): MnistPair {
  const numbers = Array.from({ length: count }, (_, i) => i + first);
  const pixels = Uint8Array.from({ length: count * SIZE }, (_, i) => Math.floor(i / SIZE) + first);
  const labels = Uint8Array.from(numbers, (number) => number % 10);
  return { images: writeIdx([count, 28, 28], pixels), labels: writeIdx([count], labels) };
}

/** Which images a split has, by what they are filled with. */
function imagesOf(digits: ReturnType<typeof mnistDigits>, split: Split): number[] {
  return Array.from({ length: digits.sequences(split) ?? 0 }, (_, i) => {
    const { label, pixels } = digits.digit(split, i, 0);
    const [filled = -1] = pixels;
    assert.is(pixels.length, SIZE);
    assert.ok(
      pixels.every((level) => level === filled),
      'one image',
    );
    assert.is(label, filled % 10, 'its own label');
    return filled;
  });
}

function inFolder(files: Readonly<Record<string, Uint8Array>>, act: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'rimgrad-mnist-'));
  try {
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
    act(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('a file by hand is read as it is', () => {
  const images = Uint8Array.of(0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 10, 11, 12, 20, 21, 22);
  const { pixels, ...sizes } = readIdxImages(images);
  assert.equal(sizes, { count: 2, rows: 1, columns: 3 });
  assert.equal([...pixels], [10, 11, 12, 20, 21, 22]);
  assert.equal([...readIdxLabels(Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 3, 7, 0, 9))], [7, 0, 9]);
  assert.is(readIdxImages(writeIdx([0, 28, 28], new Uint8Array())).count, 0);
});

test('what is no such file is refused: what it is, and the mend', () => {
  const images = writeIdx([2, 2, 2], Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  const labels = writeIdx([3], Uint8Array.of(1, 2, 3));
  const set = (bytes: Uint8Array, place: number, value: number): Uint8Array => bytes.with(place, value);
  const wrong: readonly (readonly [Uint8Array, RegExp])[] = [
    [new Uint8Array(), /^F: it is empty; give the IDX file of images$/],
    [new TextEncoder().encode('<html>'), /^F: it begins with the bytes 3c 68 74 6d, not those of an IDX file; give/],
    [Uint8Array.of(0, 0), /begins with the bytes 00 00, /],
    [gzipSync(images), /^F: it is gzipped; unpack it first/],
    [labels, /^F: it is a file of labels; give the IDX file of images, whose magic number is 00000803$/],
    [set(images, 3, 2), /^F: it is of 2 dimensions; give/],
    [set(images, 2, 0x0d), /elements are of IDX type 13, not unsigned bytes/],
    [images.subarray(0, 9), /^F: it ends after 9 bytes, within its header; get the file again$/],
    [images.subarray(0, 20), /^F: it is cut off: 2×2×2 bytes of data need 24 bytes in all, and it has 20; get/],
    [Uint8Array.of(...images, 0, 0), /^F: 2 bytes lie behind its 2×2×2 bytes of data; get/],
    [set(images, 4, 255), /cut off: 4278190082×2×2/],
    [writeIdx([4_294_967_295, 4_294_967_295, 4_294_967_295], new Uint8Array(9)), /cut off/],
    [writeIdx([3, 0, 28], new Uint8Array()), /3 images are 0×28 and have no pixels/],
  ];
  for (const [bytes, message] of wrong) assert.throws(() => readIdxImages(bytes, 'F'), isError(FileError, message));
  assert.throws(
    () => readIdxLabels(images, 'F'),
    isError(FileError, /is a file of images; give the IDX file of labels/),
  );
  assert.throws(() => readIdxLabels(set(labels, 9, 10), 'F'), isError(FileError, /label 1 is 10, and digits end at 9/));
});

test('damaged files are refused exactly where the format forbids them', () => {
  const kinds = [
    { files: idxFiles(imageFiles, labelFiles), dimensions: 3, read: readIdxImages },
    { files: idxFiles(labelFiles, imageFiles), dimensions: 1, read: readIdxLabels },
  ] as const;
  for (const { files, dimensions, read } of kinds) {
    let accepted = 0;
    fc.assert(
      fc.property(files, ({ bytes }) => {
        const defect = idxDefect(bytes, dimensions);
        if (defect === undefined) {
          read(bytes);
          accepted++;
        } else {
          assert.throws(() => read(bytes), isError(FileError, /; /), defect);
        }
      }),
      { seed, numRuns: 300 },
    );
    assert.ok(accepted > 10 && accepted < 290, `${accepted} of 300 accepted`);
  }
});

test('the test images alone are split in 8, 1 and 1 tenths, and it is said', () => {
  const digits = mnistDigits({ test: pairOf(105) });
  const [train = [], validation = [], testing = []] = splits.map((split) => imagesOf(digits, split));
  assert.equal([train.length, validation.length, testing.length], [85, 10, 10]);
  assert.is(new Set([...train, ...validation, ...testing]).size, 105, 'no image twice');
  assert.not.equal(
    train,
    train.toSorted((a, b) => a - b),
    'in random order',
  );
  assert.match(
    digits.source,
    /105 test images alone.* 85 to train, 10 to validate and 10 to test; not the paper's data/,
  );
  assert.equal(imagesOf(mnistDigits({ test: pairOf(105) }), 'test'), testing, 'the same for all trainings');
});

test('with the training images, a fifth of them validates and the test images test', () => {
  const digits = mnistDigits({ train: pairOf(101), test: pairOf(30, 150) });
  const [train = [], validation = []] = splits.map((split) => imagesOf(digits, split));
  assert.equal([train.length, validation.length], [81, 20]);
  assert.equal(
    [...train, ...validation].sort((a, b) => a - b),
    Array.from({ length: 101 }, (_, i) => i),
  );
  assert.equal(
    imagesOf(digits, 'test'),
    Array.from({ length: 30 }, (_, i) => 150 + i),
  );
  assert.match(digits.source, /^MNIST: .* 81 to train and 20 to validate, .*; the 30 test images to test$/);
  assert.equal(
    digits.shares('test'),
    Array.from({ length: 10 }, () => 0.1),
  );
});

test('files that do not belong together, or are not MNIST, are refused', () => {
  const [small, large] = [pairOf(20), pairOf(30)];
  const refused = (pair: MnistPair, message: RegExp): void => {
    assert.throws(() => mnistDigits({ test: pair }), isError(FileError, message));
  };
  refused(
    { ...small, labels: large.labels, labelFile: 'L', imageFile: 'I' },
    /^L: it has 30 labels, and I has 20 images; give/,
  );
  refused({ ...small, images: small.labels }, /^the image file: it is a file of labels/);
  refused(
    { ...small, images: writeIdx([20, 14, 56], new Uint8Array(20 * SIZE)) },
    /images are 14×56, and MNIST's are 28×28/,
  );
  refused(pairOf(0), /the image file: it has no images; give MNIST's file/);
  refused(pairOf(9), /9 images are too few to split in 10/);
});

test('a folder is read, gzipped or not, under each spelling', () => {
  const [train, testing] = [pairOf(50), pairOf(20, 100)];
  const digests = new Set<string>();
  const same = (digits: ReturnType<typeof mnistDigits>): void => {
    const expected = mnistDigits({ train, test: testing });
    assert.ok(digits.source.startsWith(`${expected.source}; SHA-256 of the files `), digits.source);
    digests.add(digits.source);
    for (const split of splits) assert.equal(imagesOf(digits, split), imagesOf(expected, split));
  };
  const named = (
    mark: string,
    ending: string,
    pack: (bytes: Uint8Array) => Uint8Array,
  ): Record<string, Uint8Array> => ({
    [`train-images${mark}idx3-ubyte${ending}`]: pack(train.images),
    [`train-labels${mark}idx1-ubyte${ending}`]: pack(train.labels),
    [`t10k-images${mark}idx3-ubyte${ending}`]: pack(testing.images),
    [`t10k-labels${mark}idx1-ubyte${ending}`]: pack(testing.labels),
  });
  for (const mark of ['-', '.']) {
    inFolder(
      named(mark, '', (bytes) => bytes),
      (folder) => same(readMnistFolder(folder)),
    );
    inFolder(named(mark, '.gz', gzipSync), (folder) => same(readMnistFolder(folder)));
    inFolder(
      named(mark, '.gz', (bytes) => bytes),
      (folder) => same(readMnistFolder(folder)),
    );
  }
  assert.is(digests.size, 1, 'one name for the same images');
  const other = testing.images.slice();
  other[other.length - 1] = (other[other.length - 1] ?? 0) ^ 1;
  const files = { ...named('-', '', (bytes) => bytes), 't10k-images-idx3-ubyte': other };
  inFolder(files, (folder) => assert.not(digests.has(readMnistFolder(folder).source), 'one pixel makes other data'));
});

test('a split that has no whole batch is refused before anything is trained', async () => {
  const { images, labels } = pairOf(40);
  const files = { 't10k-images-idx3-ubyte': images, 't10k-labels-idx1-ubyte': labels };
  const folder = mkdtempSync(join(tmpdir(), 'rimgrad-few-'));
  try {
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
    const refusal = async (batch: string): Promise<unknown> => {
      const request = parseMainOptions(['--task', 'smnist', '--mnist', folder, '--batch', batch]);
      if (request.kind !== 'run') throw new Error(request.kind);
      const job = await jobTask(request.options);
      return checkBatch(job, request.options);
    };
    const few = /--batch 5: the validation split has only 4 sequences; train with a smaller batch, or name a folder/;
    await refusal('5').then(
      () => assert.unreachable(),
      (error: unknown) => assert.ok(isError(OptionError, few)(error)),
    );
    await refusal('4');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a folder with the test images alone says so; one with files missing or damaged is refused', () => {
  const { images, labels } = pairOf(20);
  const t10k = { 't10k-images-idx3-ubyte': images, 't10k-labels-idx1-ubyte': labels };
  const refused = (files: Readonly<Record<string, Uint8Array>>, message: RegExp): void =>
    inFolder(files, (folder) => assert.throws(() => readMnistFolder(folder), isError(FileError, message)));
  const refusedUnread = (files: Readonly<Record<string, Uint8Array>>, message: RegExp): void => {
    refused(files, message);
    inFolder(files, (folder) => assert.throws(() => checkMnistFolder(folder), isError(FileError, message)));
  };
  inFolder(t10k, (folder) => assert.match(readMnistFolder(folder).source, /test images alone/));
  refusedUnread({}, /MNIST's test images are not there; put t10k-images-idx3-ubyte and /);
  refusedUnread(
    { 'train-images-idx3-ubyte': images, 'train-labels-idx1-ubyte': labels },
    /MNIST's training images are there, its test images are not; put t10k-images-idx3-ubyte and /,
  );
  refusedUnread({ 't10k-images-idx3-ubyte': images }, /t10k-labels-idx1-ubyte: it is missing beside .*; put it there/);
  refused({ ...t10k, 'train-labels-idx1-ubyte': labels }, /train-images-idx3-ubyte: it is missing beside/);
  refused(
    { ...t10k, 't10k-images-idx3-ubyte': gzipSync(images).subarray(0, 40) },
    /t10k-images.*damaged or cut off; get/,
  );
  refused({ ...t10k, 't10k-images-idx3-ubyte': gzipSync(labels) }, /t10k-images-idx3-ubyte: it is a file of labels/);
  inFolder({ 't10k-labels-idx1-ubyte': labels }, (folder) => {
    mkdirSync(join(folder, 't10k-images-idx3-ubyte'));
    assert.throws(() => readMnistFolder(folder), isError(FileError, /t10k-images-idx3-ubyte: .*; /));
  });
  assert.throws(
    () => readMnistFolder('/nowhere/at/all'),
    isError(FileError, /nowhere.*: there is no such folder; name/),
  );
  inFolder(t10k, (folder) => {
    checkMnistFolder(folder);
    const file = join(folder, 't10k-images-idx3-ubyte');
    assert.throws(() => checkMnistFolder(file), isError(FileError, /ubyte: it is a file; name the folder with/));
  });
});

test.run();
