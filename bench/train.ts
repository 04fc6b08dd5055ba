// Training on the copying task: what a trainer is given, what it tells while it runs, and what it leaves.
//
// Always: the trainer opens and closes the device, holds the models and the data, and knows nothing of files, terminals
// or pages. It trains the RIM, then the LSTM unless `lstm` is false, with the same protocol.
// Not here: the command line and the run folder (main-job.ts).

import { RimgradError } from '../engine/errors.ts';
import type { SafetensorsTensor } from '../engine/safetensors.ts';
import type { Activation, Evaluation, TrainStep } from './metrics.ts';
import type { MainOptions } from './options.ts';

/** What is known once the device is open and the models are built. */
export interface TrainingStart {
  /** The adapter, in words. */
  readonly adapter: string;
  /** The runtime and its version, such as `Node 20.20.2`. */
  readonly runtime: string;
  /** Trained numbers of each model, by its name, in the order of training. */
  readonly parameters: Readonly<Record<string, number>>;
}

/** What a trainer is given to report to. An error thrown by one of these ends the training. */
export interface TrainEvents {
  /** Once, before the first step; an error before it leaves no trace on the disk. */
  onStart(start: TrainingStart): void;
  /** After a step whose figures were read; not every step has to be. The last one of a model should be. */
  onStep(step: TrainStep): void;
  /** After an evaluation at one blank length. The last of each model and length is the one in the table. */
  onEvaluation(evaluation: Evaluation): void;
  /** Aborted by Ctrl-C: return soon, with what there is. */
  readonly signal: AbortSignal;
}

/** What a training leaves, finished or stopped. */
export interface TrainResult {
  /** True when the signal ended it early. */
  readonly stopped: boolean;
  /** One sample sequence for each blank length that the report shows, of the RIM. */
  readonly activations: readonly Activation[];
  /** All weights, under names such as `rim.cell.0.weight`; a model that was not begun is left out. */
  readonly weights: ReadonlyMap<string, SafetensorsTensor>;
}

/** Trains the models that the options describe. @throws RimgradError, never after an abort */
export type TrainCopying = (options: MainOptions, events: TrainEvents) => Promise<TrainResult>;

export const trainCopying: TrainCopying = () =>
  Promise.reject(new RimgradError('train: the training is not there yet; this file holds its interface only'));
