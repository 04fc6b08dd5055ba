// All that decides how a training of the main job goes on: every model, its optimiser and random numbers, how far it is, and its best
// weights so far where they are what the run is for. It goes into a checkpoint and comes back from one.
//
// Always: the training programs' graphs are built here, first and in one order, so that random streams are the same in a run that
// goes on as in one that was never stopped; each model has random numbers of its own, so that none depends on how long another
// was trained. Not here: the training itself (train.ts), and disks (runs.ts).

import { type Checkpoint, type Device, loadCheckpoint, RandomState, saveCheckpoint, Variable } from '../engine/core.ts';
import { at, FileError, OptionError } from '../engine/errors.ts';
import { adapterName } from './messages.ts';
import { type Activation, type Figures, parseMetric } from './metrics.ts';
import { systems, type TaskModel, taskModel } from './models.ts';
import { decidingOptions, type MainOptions } from './options.ts';
import { trainingProgram } from './programs.ts';
import { isBetter } from './selection.ts';
import type { JobTask } from './task-facts.ts';

/** How far the training of one model is. */
export interface ModelProgress {
  /** The system's name. */
  readonly model: string;
  /** Updates done. */
  step: number;
  /** Seconds of training so far. */
  seconds: number;
  /** The updates after which it was last measured on all sequences; 0 for never. */
  measured: number;
  /** The updates after which it did best in validation at the training setting; 0 for never. Counted where best weights are kept. */
  best: number;
  /** The deciding figure there. */
  bestFigure: number;
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
  readonly model: TaskModel;
  readonly program: ReturnType<typeof trainingProgram>;
  /** Weights, optimiser, random numbers, and copies of the best weights. */
  readonly variables: readonly Variable[];
  /** Copies of the weights that did best in validation, in the order of the model's; none where the last ones count. */
  readonly best: readonly Variable[];
  readonly progress: ModelProgress;
}

/** The state of a training, new or from a checkpoint. */
export class TrainingState {
  readonly options: MainOptions;
  readonly job: JobTask;
  readonly trainees: readonly Trainee[];
  told = 0;
  activations: readonly Activation[] = [];

  constructor(options: MainOptions, job: JobTask) {
    this.options = options;
    this.job = job;
    this.trainees = options.models.map((name) => {
      const random = new RandomState({ seed: options.seed, name: `${name}.random` });
      const model = taskModel(name, job.task, options, random);
      const program = trainingProgram(model, job.task, job.trained, options);
      const best =
        options.select === 'validation'
          ? model.variables.map((each) => new Variable(`best.${each.name}`, each.shape, new Float32Array(each.size)))
          : [];
      const variables = [...model.variables, ...program.state, ...random.variables, ...best];
      const progress = { model: model.name, step: 0, seconds: 0, measured: 0, best: 0, bestFigure: 0 };
      return { model, program, variables, best, progress };
    });
  }

  /** Whether a model did better in validation at the training setting than ever before; never where the last weights count. */
  isBest({ best, progress }: Trainee, validation: Figures): boolean {
    const figure = at(this.job.task.figures, 0);
    const value = validation[figure.name];
    if (best.length === 0 || value === undefined) return false;
    return progress.best === 0 || isBetter(figure, value, progress.bestFigure);
  }

  /** Keeps the weights of a model as its best, and what its validation was. */
  async keepBest({ model, best, progress }: Trainee, validation: Figures): Promise<void> {
    await copyValues(model.variables, best);
    progress.best = progress.step;
    progress.bestFigure = validation[at(this.job.task.figures, 0).name] ?? progress.bestFigure;
  }

  /** Whether a model is trained and measured. */
  isDone({ progress: { step, measured } }: Trainee): boolean {
    return step >= this.options.steps && measured === step;
  }

  /** The bytes of a checkpoint. @throws DeviceError where the device went */
  save(device: Device): Promise<Uint8Array> {
    return saveCheckpoint(this.#variables(), {
      task: this.options.task,
      options: decidingOptions(this.options),
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
      expect: { task: this.options.task, options: decidingOptions(this.options) },
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
    const { model, step, seconds, measured, best, bestFigure } = entries;
    const known = Object.values(systems).find(({ system }) => system === model)?.system;
    if (known === undefined) throw damaged("one of its 'models' has no known name");
    const figures = typeof seconds === 'number' && typeof bestFigure === 'number';
    if (!figures || !isCount(step) || !isCount(measured) || !isCount(best) || measured > step || best > step) {
      throw damaged(`the progress of its ${known} is none`);
    }
    return { model: known, step, seconds, measured, best, bestFigure };
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

/** Writes the values of Variables into others. */
export async function copyValues(from: readonly Variable[], to: readonly Variable[]): Promise<void> {
  const values = await Promise.all(from.map((variable) => variable.read()));
  to.forEach((variable, i) => {
    variable.write(at(values, i));
  });
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
