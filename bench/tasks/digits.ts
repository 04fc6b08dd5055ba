// Where images of handwritten digits come from: what the task of sequential MNIST asks of a source, and the source that MNIST's files make.
//
// Always: splits are disjoint; those of images from files depend on no seed of a training, so that all seeds are tested on the same
// images, and what is drawn is drawn anew for each seed; every source says in words what it is, to be shown beside each result. Not here: reading folders, which needs Node, and how images become sequences.

import { at, FileError } from '../../engine/errors.ts';
import { permutation } from '../../engine/random.ts';
import { type IdxImages, readIdxImages, readIdxLabels } from './idx.ts';
import type { Split } from './task.ts';

/** S: pixels on a side of an image as it comes. */
export const digitSide = 28;

/** Classes: the digits 0 to 9. */
export const digitClasses = 10;

const SPLIT_SEED = 0;
const SPLIT_STREAM = 0x5b17_0000;

/** An image and what it shows. */
export interface Digit {
  /** 0 to 9. */
  readonly label: number;
  /** Grey levels `[S,S]`, 0 background, 255 ink. */
  readonly pixels: Uint8Array;
}

/** Images of digits in three disjoint splits. */
export interface DigitSource {
  /** What it is and how it was split, in words for people. */
  readonly source: string;
  /** How many images a split has; undefined where they are made without end. */
  sequences(split: Split): number | undefined;
  /** Image `number` of a split. @param seed of a training, where images are made from one */
  digit(split: Split, number: number, seed: number): Digit;
  /** How often each class occurs in a split: ten shares, 1 in all. */
  shares(split: Split): readonly number[];
}

/** Bytes of an IDX file of images and of the labels that belong to it, with the names that messages give them. */
export interface MnistPair {
  /** The IDX file of images `[n,28,28]`. */
  readonly images: Uint8Array;
  /** The IDX file of labels `[n]`. */
  readonly labels: Uint8Array;
  /** What messages call the first. */
  readonly imageFile?: string;
  /** What messages call the second. */
  readonly labelFile?: string;
}

/** MNIST's files: the pair that its authors call t10k, and the pair to train on, where it is there. */
export interface MnistFiles {
  /** The 60,000 images to train on. */
  readonly train?: MnistPair;
  /** The 10,000 images to test on. */
  readonly test: MnistPair;
}

/**
 * MNIST from the bytes of its files. With both pairs, a fifth of the training images becomes the validation set and the rest is trained
 * on, 48,000 and 12,000 as in the authors' script, and the test images are tested on. The permutation is ours, `permutation` of
 * engine/random.ts with seed 0: numpy's is another. With the t10k pair alone, its images are split into eight, one and one tenths,
 * and `source` says so: such numbers do not compare with the paper's.
 *
 * @throws FileError for files that are damaged, that do not belong together, or that have too few images
 */
export function mnistDigits({ train, test }: MnistFiles): DigitSource {
  const tested = readPair(test);
  const seen = (images: number): string => images.toLocaleString('en-US');
  if (train === undefined) {
    const [training, validation, testing] = split(tested, 10, 2);
    return setOf(
      { train: training, validation, test: testing },
      `MNIST, the ${seen(tested.labels.length)} test images alone, for there are no training images: split by seed ${SPLIT_SEED} into ${seen(training.order.length)} to train, ${seen(validation.order.length)} to validate and ${seen(testing.order.length)} to test; not the paper's data`,
    );
  }
  const [training, validation] = split(readPair(train), 5, 1);
  return setOf(
    { train: training, validation, test: { ...tested, order: Uint32Array.from(tested.labels, (_, i) => i) } },
    `MNIST: of the training images ${seen(training.order.length)} to train and ${seen(validation.order.length)} to validate, split by seed ${SPLIT_SEED} (the sizes of the official code, another permutation); the ${seen(tested.labels.length)} test images to test`,
  );
}

interface Images {
  readonly pixels: Uint8Array;
  readonly labels: Uint8Array;
  readonly file: string;
}

/** Some of the images, in an order. */
interface Part extends Images {
  readonly order: Uint32Array;
}

function readPair({ images, labels, imageFile = 'the image file', labelFile = 'the label file' }: MnistPair): Images {
  const read: IdxImages = readIdxImages(images, imageFile);
  const readLabels = readIdxLabels(labels, labelFile);
  if (read.rows !== digitSide || read.columns !== digitSide) {
    throw new FileError(
      `${imageFile}: its images are ${read.rows}×${read.columns}, and MNIST's are ${digitSide}×${digitSide}; give MNIST's file`,
    );
  }
  if (read.count === 0) throw new FileError(`${imageFile}: it has no images; give MNIST's file`);
  if (read.count !== readLabels.length) {
    throw new FileError(
      `${labelFile}: it has ${readLabels.length} labels, and ${imageFile} has ${read.count} images; give the two that belong together`,
    );
  }
  return { pixels: read.pixels, labels: readLabels, file: imageFile };
}

/** Images in random order cut in pieces: `pieces` times a share of 1/`of`, what is left before them. */
function split(images: Images, of: number, pieces: 2): readonly [Part, Part, Part];
function split(images: Images, of: number, pieces: 1): readonly [Part, Part];
function split(images: Images, of: number, pieces: number): readonly Part[] {
  const count = images.labels.length;
  const piece = Math.floor(count / of);
  if (piece === 0) {
    throw new FileError(`${images.file}: ${count} images are too few to split in ${of}; give MNIST's file`);
  }
  const order = permutation(count, { seed: SPLIT_SEED, stream: SPLIT_STREAM });
  const rest = count - pieces * piece;
  const cuts = [0, ...Array.from({ length: pieces + 1 }, (_, i) => rest + i * piece)];
  return Array.from({ length: pieces + 1 }, (_, i) => ({
    ...images,
    order: order.subarray(at(cuts, i), at(cuts, i + 1)),
  }));
}

function setOf(parts: Readonly<Record<Split, Part>>, source: string): DigitSource {
  return {
    source,
    sequences: (split) => parts[split].order.length,
    digit: (split, number) => {
      const { pixels, labels, order } = parts[split];
      const image = at(order, number);
      const size = digitSide ** 2;
      return { label: at(labels, image), pixels: pixels.subarray(image * size, (image + 1) * size) };
    },
    shares: (split) => {
      const { labels, order } = parts[split];
      const counts = Array.from({ length: digitClasses }, () => 0);
      for (const image of order) counts[at(labels, image)] = at(counts, at(labels, image)) + 1;
      return counts.map((count) => count / order.length);
    },
  };
}
