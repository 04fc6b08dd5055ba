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
import type { RIMTrace } from '../rims/index.ts';
import type { CopyingModel, ModelOptions } from './models.ts';
import { copyingLength } from './tasks/index.ts';

/** What a program computes, and what it changes. */
export interface ProgramParts<Names extends string> {
  readonly outputs: Readonly<Record<Names, Tensor>>;
  readonly updates: readonly Update[];
}

/** A training step of a model: the loss over all positions, as the official script has it, and Adam's updates and state. */
export function trainingProgram(
  model: CopyingModel,
  options: ModelOptions,
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
  options: ModelOptions,
  blank: number,
  parts: number,
): ProgramParts<'crossEntropy' | 'accuracy'> {
  const { crossEntropy, accuracy } = measures(model, options.digits, blank, options.batch / parts);
  return { outputs: { crossEntropy, accuracy }, updates: [] };
}

/** What a look into a RIM shows: its recall on a batch, and every step of the batch's first sequence. */
export type LookNames = 'accuracy' | 'scores' | 'mask' | 'inputAttention' | 'communicationAttention';

/**
 * A look into a RIM at test sequences of one blank, with a feed `imposed` f32 [T,B,N] that can switch modules off: the
 * accuracy over the batch, and of its first sequence scores [T,1,classes], mask [T,1,N], input attention [T,1,N,I,S] and
 * communication attention [T,1,C,N,N], the last two where the options have them.
 */
export function lookProgram(
  model: CopyingModel,
  options: ModelOptions,
  blank: number,
): ProgramParts<'accuracy'> & { readonly outputs: Readonly<Partial<Record<LookNames, Tensor>>> } {
  const { digits, batch, modules } = options;
  const imposed = input('imposed', [copyingLength({ digits, blank }), batch, modules]);
  const { accuracy, scores, trace } = measures(model, digits, blank, batch, imposed);
  const first = (tensor: Tensor): Tensor => slice(tensor, 1, 0, 1);
  return {
    outputs: {
      accuracy,
      scores: first(scores),
      ...(trace && { mask: first(trace.mask) }),
      ...(trace?.inputAttention && { inputAttention: first(trace.inputAttention) }),
      ...(trace?.communicationAttention && { communicationAttention: first(trace.communicationAttention) }),
    },
    updates: [],
  };
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

interface Measures extends Readonly<Record<'loss' | 'crossEntropy' | 'accuracy' | 'scores', Tensor>> {
  readonly trace?: RIMTrace;
}

function measures(model: CopyingModel, digits: number, blank: number, batch: number, imposed?: Tensor): Measures {
  const length = copyingLength({ digits, blank });
  const x = input('x', [length, batch], 'u32');
  const y = input('y', [length, batch], 'u32');
  const { scores, trace } = model.forward(x, imposed);
  const classes = at(scores.shape, 2);
  const recalled = slice(scores, 0, length - digits, digits);
  const wanted = slice(y, 0, length - digits, digits);
  const best = topKMask(recalled, 1);
  const right = takeAlong(reshape(best, [digits * batch, classes]), reshape(wanted, [digits * batch, 1]));
  return {
    loss: crossEntropy(scores, y),
    crossEntropy: crossEntropy(recalled, wanted),
    accuracy: mean(right),
    scores,
    ...(trace && { trace }),
  };
}
