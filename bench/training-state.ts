// All that decides how a training of the main job goes on: both models, their optimisers and random numbers, and how far each is.
// It goes into a checkpoint and comes back from one.
//
// Always: the training programs' graphs are built here, first and in one order, so that random streams are the same in a run that
// goes on as in one that was never stopped; each model has random numbers of its own, so that the LSTM does not depend on how long
// the RIM was trained. Not here: the training itself (train.ts), and disks (runs.ts).

import {
  type Checkpoint,
  type Device,
  loadCheckpoint,
  RandomState,
  saveCheckpoint,
  type Variable,
} from '../engine/core.ts';
import { FileError, OptionError } from '../engine/errors.ts';
import { adapterName } from './messages.ts';
import { type Activation, parseMetric } from './metrics.ts';
import { type CopyingModel, copyingModel } from './models.ts';
import { lastingOptions, type MainOptions } from './options.ts';
import { trainingProgram } from './programs.ts';

/** How far the training of one model is. */
export interface ModelProgress {
  readonly model: CopyingModel['name'];
  /** Updates done. */
  step: number;
  /** Seconds of training so far. */
  seconds: number;
  /** The updates after which it was last measured on all test sequences; 0 for never. */
  measured: number;
}

/** How far a training is: the part of a checkpoint that is no tensor. */
export interface TrainingProgress {
  readonly models: readonly ModelProgress[];
  /** Figures told so far: lines of the metrics that belong to the checkpoint. */
  readonly told: number;
  /** Samples of the models whose training is done. */
  readonly activations: readonly Activation[];
  /** What was chosen on the device; anything, for it comes from a file. */
  readonly tuning: unknown;
}

/** A model in training. */
export interface Trainee {
  readonly model: CopyingModel;
  readonly program: ReturnType<typeof trainingProgram>;
  /** Weights, optimiser and random numbers. */
  readonly variables: readonly Variable[];
  readonly progress: ModelProgress;
}

/** The state of a training, new or from a checkpoint. */
export class TrainingState {
  readonly options: MainOptions;
  readonly trainees: readonly Trainee[];
  told = 0;
  activations: readonly Activation[] = [];

  constructor(options: MainOptions) {
    this.options = options;
    const names = options.lstm ? (['RIM', 'LSTM'] as const) : (['RIM'] as const);
    this.trainees = names.map((name) => {
      const random = new RandomState({ seed: options.seed, name: `${name.toLowerCase()}.random` });
      const model = copyingModel(name, options, random);
      const program = trainingProgram(model, options);
      const variables = [...model.variables, ...program.state, ...random.variables];
      return { model, program, variables, progress: { model: name, step: 0, seconds: 0, measured: 0 } };
    });
  }

  /** Whether a model is trained and measured. */
  isDone({ progress: { step, measured } }: Trainee): boolean {
    return step >= this.options.steps && measured === step;
  }

  /** The bytes of a checkpoint. @throws DeviceError where the device went */
  save(device: Device): Promise<Uint8Array> {
    return saveCheckpoint(this.#variables(), {
      task: 'copying',
      options: lastingOptions(this.options),
      models: this.trainees.map(({ progress }) => progress),
      told: this.told,
      activations: this.activations,
      adapter: adapterName(device),
      tuning: device.tuning,
    });
  }

  /**
   * Goes on from a checkpoint.
   * @throws FileError where it is damaged or of other options; OptionError where more steps are done than are asked for; then
   *   nothing was changed
   */
  load(checkpoint: Checkpoint): void {
    const { models, told, activations } = readProgress(checkpoint);
    const { steps } = this.options;
    for (const { model, step } of models) {
      if (step <= steps) continue;
      throw new OptionError(`--steps ${steps}: the ${model} was trained for ${step} already; give at least as many`);
    }
    loadCheckpoint(checkpoint, this.#variables(), {
      expect: { task: 'copying', options: lastingOptions(this.options) },
    });
    for (const { progress } of this.trainees) {
      const saved = models.find(({ model }) => model === progress.model);
      if (saved !== undefined) Object.assign(progress, saved);
    }
    this.told = told;
    this.activations = activations;
  }

  #variables(): Variable[] {
    return this.trainees.flatMap(({ variables }) => variables);
  }
}

/** How far the training of a checkpoint is. @throws FileError where that is damaged */
export function readProgress({ record, file }: Checkpoint): TrainingProgress {
  const damaged = (what: string): FileError =>
    new FileError(`${file}: ${what}; it is damaged, or the checkpoint of another program`);
  const listOf = (name: string): readonly unknown[] => {
    const value = record[name];
    if (Array.isArray(value)) return value;
    throw damaged(`its record has no list '${name}'`);
  };
  const models = listOf('models').map((each): ModelProgress => {
    const entries: Readonly<Record<string, unknown>> = { ...(each as object) };
    const { model, step, seconds, measured } = entries;
    if (model !== 'RIM' && model !== 'LSTM') throw damaged("one of its 'models' has no known name");
    if (!isCount(step) || !isCount(measured) || typeof seconds !== 'number' || measured > step) {
      throw damaged(`the progress of its ${model} is none`);
    }
    return { model, step, seconds, measured };
  });
  const activations = listOf('activations').map((each): Activation => {
    const metric = parseMetric(JSON.stringify({ ...(each as object), kind: 'activation' }), `${file}: 'activations'`);
    if (metric.kind !== 'activation') throw damaged("its 'activations' are none");
    const { kind: _kind, ...activation } = metric;
    return activation;
  });
  const { told, tuning } = record;
  if (!isCount(told)) throw damaged("its record has no number 'told'");
  return { models, told, activations, tuning };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
