// Sequential MNIST at several resolutions: an image of a digit pixel by pixel, and which digit it was is asked at the end (Goyal et al.,
// table 1 right and appendix D.3: trained at 14×14, tested at 16×16, 19×19 and 24×24; the protocol is that of the authors' script).
//
// An image [28,28] becomes [n,n] by nearest neighbour, binary by a threshold, and a sequence of T = n² symbols row by row:
//   x_(i·n+j) = [ pixel (floor(28·i/n), floor(28·j/n)) >= 128 ]        y = the digit, wanted at the last step
// Always: a batch is a pure function of what is asked for; what a function remembers only saves time. Not here: the images (digits.ts, drawn.ts).

import { crossEntropy, mean, reshape, takeAlong, topKMask } from '../../engine/core.ts';
import { at, checkOptions, OptionError } from '../../engine/errors.ts';
import { permutation } from '../../engine/random.ts';
import { type DigitSource, digitClasses, digitSide } from './digits.ts';
import { checkRequest, checkWhole } from './request.ts';
import { checkScores } from './scores.ts';
import type { BatchRequest, Task, TaskBatch } from './task.ts';

const INK = 128;
const LARGEST = 1000;
const STREAMS = 0x5eed_0000;
const PASSES = 2 ** 16;

/** What `smnistTask` takes. */
export interface SmnistOptions {
  /** The images: `mnistDigits` of MNIST's files, or `drawnDigits()`. */
  readonly digits: DigitSource;
}

/**
 * Sequential MNIST. Its setting is the resolution n, from 1 on: x u32 `[T,B]` of 0 and 1 with T = n², y u32 `[B]`, ten scores at the last step.
 *
 * The loss is the cross-entropy. Figures: `accuracy`, which decides, and `crossEntropy`. Who knows only how often each class occurs in
 * the test set has the share of the commonest and the entropy of the shares: 0.1 and ln 10 where they are balanced.
 *
 * Of a source that ends, training goes through all images in an order drawn anew for each pass from the training's seed, validation
 * and test through theirs once, in order. What does not fill a batch at the end of a pass is left out, as by the authors' script:
 * batches of 64 test 9,984 of 10,000 images.
 *
 * @throws OptionError for an unknown option; its batches, for one past the end of validation or test, or larger than its split
 */
export function smnistTask(options: SmnistOptions): Task {
  checkOptions('smnist', options, ['digits']);
  const { digits } = options;
  const numbers = numbersIn(digits);
  return {
    name: 'smnist',
    setting: 'resolution',
    source: digits.source,
    input: { kind: 'symbols', tokens: 2 },
    scores: digitClasses,
    scored: 'last step',
    figures: [
      { name: 'accuracy', label: 'accuracy', unit: 'share', better: 'higher' },
      { name: 'crossEntropy', label: 'cross-entropy', unit: 'nats', better: 'lower' },
    ],
    steps: (resolution) => checkedResolution(resolution) ** 2,
    target: (resolution, batch) => {
      checkedResolution(resolution);
      return { shape: [batch], dtype: 'u32' };
    },
    batch: (request) => batchOf(digits, request, numbers(request)),
    measures: (scores, y) => {
      checkScores('smnist', 'last step', scores, [at(y.shape, 0), digitClasses]);
      const loss = crossEntropy(scores, y);
      const right = takeAlong(topKMask(scores, 1), reshape(y, [at(y.shape, 0), 1]));
      return { loss, figures: { accuracy: mean(right), crossEntropy: loss } };
    },
    trivial: (resolution) => {
      checkedResolution(resolution);
      const shares = digits.shares('test');
      const entropy = shares.reduce((sum, share) => sum - (share === 0 ? 0 : share * Math.log(share)), 0);
      return { accuracy: Math.max(...shares), crossEntropy: entropy };
    },
    sequences: (split) => digits.sequences(split),
  };
}

/**
 * Which rows, and columns, of an image [28,28] are those of [n,n]: floor(28·i/n), as nearest neighbour takes them in PyTorch and OpenCV.
 *
 * @returns n numbers from 0 to 27
 * @throws OptionError for a resolution that is no whole number from 1 to 1000
 */
export function nearestPixels(resolution: number): readonly number[] {
  const n = checkedResolution(resolution);
  return Array.from({ length: n }, (_, i) => Math.floor((i * digitSide) / n));
}

function checkedResolution(resolution: number): number {
  checkWhole('smnist', 'resolution', resolution, 1, LARGEST);
  return resolution;
}

/** The numbers in their split of a batch's images. */
function numbersIn(digits: DigitSource): (request: BatchRequest) => ArrayLike<number> {
  const order = lastPermutation();
  return ({ split, setting, batch, seed, index }) => {
    checkRequest('smnist', { split, setting, batch, seed, index }, checkedResolution(setting) ** 2);
    const count = digits.sequences(split);
    const inOrder = Array.from({ length: batch }, (_, b) => index * batch + b);
    if (count === undefined) return inOrder;
    const batches = Math.floor(count / batch);
    if (batches === 0) {
      throw new OptionError(
        `smnist: the ${split} split has ${count} images, fewer than a batch of ${batch}; take a smaller batch`,
      );
    }
    if (split === 'train') {
      const pass = Math.floor(index / batches);
      const begin = (index % batches) * batch;
      return order(count, seed, pass).subarray(begin, begin + batch);
    }
    if (index >= batches) {
      throw new OptionError(
        `smnist: there is no batch ${index} in the ${split} split: its ${count} images are ${batches} batches of ${batch}; ask for 0 to ${batches - 1}`,
      );
    }
    return inOrder;
  };
}

/** Permutations, one for each pass; the last is kept, for the next batch will most likely want it. */
function lastPermutation(): (count: number, seed: number, pass: number) => Uint32Array {
  let last: { readonly seed: number; readonly pass: number; readonly order: Uint32Array } | undefined;
  return (count, seed, pass) => {
    checkWhole('smnist', 'pass over the training images', pass, 0, PASSES - 1);
    if (last?.seed !== seed || last.pass !== pass) {
      last = { seed, pass, order: permutation(count, { seed, stream: STREAMS + pass }) };
    }
    return last.order;
  };
}

function batchOf(digits: DigitSource, request: BatchRequest, numbers: ArrayLike<number>): TaskBatch {
  const { split, setting, batch, seed } = request;
  const taken = nearestPixels(setting);
  const pixelsTaken = taken.flatMap((row) => taken.map((column) => row * digitSide + column));
  const x = new Uint32Array(pixelsTaken.length * batch);
  const y = new Uint32Array(batch);
  for (let b = 0; b < batch; b++) {
    const { label, pixels } = digits.digit(split, at(numbers, b), seed);
    y[b] = label;
    pixelsTaken.forEach((pixel, t) => {
      x[t * batch + b] = at(pixels, pixel) >= INK ? 1 : 0;
    });
  }
  return { x, y };
}
