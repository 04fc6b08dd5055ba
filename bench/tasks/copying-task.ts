// The copying task as a trainer knows it: what goes in, what is wanted, the loss and the figures of merit.
//
// Two metrics, because the paper and its code differ: the paper tells the cross-entropy over the recalled digits alone (Goyal et al.,
// table 4), the authors' code prints the mean over all positions, which it also minimises. Both are figures here; the first decides.
// Always: training and test figures are computed by the same ops. Not here: the sequences (copying.ts).

import { crossEntropy, mean, reshape, slice, takeAlong, topKMask } from '../../engine/core.ts';
import { at, checkOptions } from '../../engine/errors.ts';
import { copyingBatch, copyingClasses, copyingLength, copyingTokens, memoryless } from './copying.ts';
import { checkScores } from './scores.ts';
import type { Task } from './task.ts';

/** What `copyingTask` takes. */
export interface CopyingTaskOptions {
  /** Digits to remember; 10 when left out. */
  readonly digits?: number;
}

/**
 * The copying task. Its setting is the blank: x u32 `[T,B]`, y u32 `[T,B]` with T = blank + 2·digits, scores at every step.
 *
 * The loss is the mean cross-entropy over all positions. Figures: `crossEntropy` and `accuracy` over the recalled digits, and
 * `meanCrossEntropy`, the loss again. Who remembers nothing has ln 8 and 1/8 over the digits.
 * @throws OptionError for digits that are no whole number of at least 1
 */
export function copyingTask(options: CopyingTaskOptions = {}): Task {
  checkOptions('copyingTask', options, ['digits']);
  const { digits = 10 } = options;
  copyingLength({ digits, blank: 1 });
  return {
    name: 'copying',
    setting: 'blank',
    input: { kind: 'symbols', tokens: copyingTokens },
    scores: copyingClasses,
    scored: 'every step',
    figures: [
      { name: 'crossEntropy', label: 'cross-entropy', unit: 'nats', better: 'lower' },
      { name: 'accuracy', label: 'accuracy', unit: 'share', better: 'higher' },
      { name: 'meanCrossEntropy', label: 'cross-entropy over all steps', unit: 'nats', better: 'lower' },
    ],
    steps: (blank) => copyingLength({ digits, blank }),
    target: (blank, batch) => ({ shape: [copyingLength({ digits, blank }), batch], dtype: 'u32' }),
    batch: ({ setting, index, ...request }) => copyingBatch({ ...request, digits, blank: setting }, index),
    measures: (scores, y, blank) => {
      const length = copyingLength({ digits, blank });
      checkScores('copying', 'every step', scores, [length, at(y.shape, 1), copyingClasses]);
      const recalled = slice(scores, 0, length - digits, digits);
      const wanted = slice(y, 0, length - digits, digits);
      const count = digits * at(y.shape, 1);
      const best = reshape(topKMask(recalled, 1), [count, at(scores.shape, 2)]);
      const loss = crossEntropy(scores, y);
      const figures = {
        crossEntropy: crossEntropy(recalled, wanted),
        accuracy: mean(takeAlong(best, reshape(wanted, [count, 1]))),
        meanCrossEntropy: loss,
      };
      return { loss, figures };
    },
    trivial: (blank) => {
      const { recall, all, accuracy } = memoryless({ digits, blank });
      return { crossEntropy: recall, accuracy, meanCrossEntropy: all };
    },
    sequences: () => undefined,
  };
}
