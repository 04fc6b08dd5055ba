// The adding task: two numbers of a long row are marked, and their sum is wanted at the end (Hochreiter and Schmidhuber 1997, in the
// form of the authors' script; Goyal et al., appendix D.2, table 5: trained at 50 and tested at 200, trained at 500 and tested at 1000).
//
// One sequence of T steps and 3 channels, u_t uniform in [0, 1), i1 uniform in the first half of the steps, i2 in the second:
//   x_t = (u_t, [t = i1], [t = i2])        y = u_i1 + u_i2, wanted at the last step
// Always: a batch is a pure function of (seed, split, length, batch, index); splits come from disjoint random streams; there is no
// end. Not here: the 30,000 training sequences that the authors' script repeats: ours are all new.

import { abs, fill, less, mean, meanSquare, sub } from '../../engine/core.ts';
import { at } from '../../engine/errors.ts';
import { integers, uniformArray } from '../../engine/random.ts';
import { checkRequest, checkWhole, numbersOf } from './request.ts';
import { checkScores } from './scores.ts';
import type { BatchRequest, Task, TaskBatch } from './task.ts';

/** An answer this near to the sum counts as right: the criterion of Hochreiter and Schmidhuber (1997), experiment 4. */
export const addingTolerance = 0.04;

const CHANNELS = 3;
const LONGEST = 1_000_000;
const STREAMS = 0x0add_0000;

/**
 * The adding task. Its setting is the length T, from 2 on: x f32 `[T,B,3]`, y f32 `[B,1]`, one score at the last step.
 *
 * The three channels of a step are its number, uniform in [0, 1); 1 at the first marked step and 0 elsewhere; 1 at the second marked
 * step and 0 elsewhere. The first mark lies in the first half of the steps, the second in the second; y is the sum of the two numbers.
 *
 * The loss is the mean squared error, as in the authors' script (the paper's table says cross-entropy). Figures: `meanSquaredError`, and
 * `within`, the share of answers less than `addingTolerance` from the sum. Who always answers 1, the mean, has 1/6 and 0.0784.
 */
export function addingTask(): Task {
  return {
    name: 'adding',
    setting: 'length',
    input: { kind: 'channels', size: CHANNELS },
    scores: 1,
    scored: 'last step',
    figures: [
      { name: 'meanSquaredError', label: 'mean squared error', unit: '', better: 'lower' },
      { name: 'within', label: `within ${addingTolerance}`, unit: 'share', better: 'higher' },
    ],
    steps: checkedLength,
    target: (length, batch) => {
      checkedLength(length);
      return { shape: [batch, 1], dtype: 'f32' };
    },
    batch: addingBatch,
    measures: (scores, y) => {
      checkScores('adding', 'last step', scores, y.shape);
      const meanSquaredError = meanSquare(scores, y);
      const near = less(abs(sub(scores, y)), fill(addingTolerance, scores.shape));
      return { loss: meanSquaredError, figures: { meanSquaredError, within: mean(near) } };
    },
    trivial: (length) => {
      checkedLength(length);
      // The sum of two uniform numbers has variance 2/12 and, at a distance d from its mean 1, density 1 - d.
      return { meanSquaredError: 1 / 6, within: 2 * addingTolerance - addingTolerance ** 2 };
    },
    sequences: () => undefined,
  };
}

function checkedLength(length: number): number {
  checkWhole('adding', 'length', length, 2, LONGEST);
  return length;
}

function addingBatch(request: BatchRequest): TaskBatch {
  const { setting, batch } = request;
  const length = checkedLength(setting);
  checkRequest('adding', request, CHANNELS * length);
  const numbers = numbersOf('adding', STREAMS, request, (length + 2) * batch);
  const values = uniformArray(length * batch, numbers);
  const afterValues = numbers.start + length * batch;
  const half = Math.floor(length / 2);
  const first = integers(batch, { ...numbers, start: afterValues, high: half });
  const second = integers(batch, { ...numbers, start: afterValues + batch, low: half, high: length });
  const x = new Float32Array(length * batch * CHANNELS);
  const y = new Float32Array(batch);
  values.forEach((value, i) => {
    x[CHANNELS * i] = value;
  });
  for (let b = 0; b < batch; b++) {
    const [i, j] = [at(first, b) * batch + b, at(second, b) * batch + b];
    x[CHANNELS * i + 1] = 1;
    x[CHANNELS * j + 2] = 1;
    y[b] = at(values, i) + at(values, j);
  }
  return { x, y };
}
