// The programs of a training on the copying task: what a step computes and updates, and what an evaluation measures.
//
// Always: they are graphs only, so that they can be planned without a device. Not here: running them (train.ts).

import {
  adam,
  crossEntropy,
  grad,
  input,
  mean,
  reshape,
  slice,
  type Tensor,
  takeAlong,
  topKMask,
  type Update,
  type Variable,
} from '../engine/core.ts';
import { at, LimitError } from '../engine/errors.ts';
import type { CopyingModel } from './models.ts';
import type { MainOptions } from './options.ts';
import { copyingLength } from './tasks/index.ts';

/** What a program computes, and what it changes. */
export interface ProgramParts<Names extends string> {
  readonly outputs: Readonly<Record<Names, Tensor>>;
  readonly updates: readonly Update[];
}

/** A training step of a model: the loss over all positions, as the official script has it, and Adam's updates and state. */
export function trainingProgram(
  model: CopyingModel,
  options: MainOptions,
): ProgramParts<'loss' | 'accuracy'> & { readonly state: readonly Variable[] } {
  const { loss, accuracy } = measures(model, options.digits, options.blank, options.batch);
  const clip = options.clip === 0 ? {} : { clipNorm: options.clip };
  const name = `${model.name.toLowerCase()}.adam`;
  const updates = adam(grad(loss, model.variables), { name, learningRate: options.learningRate, ...clip });
  return { outputs: { loss, accuracy }, updates, state: updates.variables };
}

/** The paper's figures over the recalled digits of test sequences of one blank, for one of equal parts of a batch. */
export function evaluationProgram(
  model: CopyingModel,
  options: MainOptions,
  blank: number,
  parts: number,
): ProgramParts<'crossEntropy' | 'accuracy'> {
  const { crossEntropy, accuracy } = measures(model, options.digits, blank, options.batch / parts);
  return { outputs: { crossEntropy, accuracy }, updates: [] };
}

/**
 * What `make` makes for a part of a batch: all of it, or half, a quarter, ... where a device cannot hold more at once.
 * @throws LimitError where a batch that cannot be halved is still too large; what else `make` throws
 */
export async function inParts<T>(
  batch: number,
  make: (parts: number) => Promise<T>,
): Promise<{ readonly made: T; readonly parts: number }> {
  for (let parts = 1; ; parts *= 2) {
    try {
      return { made: await make(parts), parts };
    } catch (error) {
      if (!(error instanceof LimitError) || batch % (2 * parts) !== 0) throw error;
    }
  }
}

function measures(
  model: CopyingModel,
  digits: number,
  blank: number,
  batch: number,
): Record<'loss' | 'crossEntropy' | 'accuracy', Tensor> {
  const length = copyingLength({ digits, blank });
  const x = input('x', [length, batch], 'u32');
  const y = input('y', [length, batch], 'u32');
  const { scores } = model.forward(x);
  const classes = at(scores.shape, 2);
  const recalled = slice(scores, 0, length - digits, digits);
  const wanted = slice(y, 0, length - digits, digits);
  const best = topKMask(recalled, 1);
  const right = takeAlong(reshape(best, [digits * batch, classes]), reshape(wanted, [digits * batch, 1]));
  return { loss: crossEntropy(scores, y), crossEntropy: crossEntropy(recalled, wanted), accuracy: mean(right) };
}
