// Training models on a task: what a trainer is given, what it tells while it runs, and what it leaves.
//
// Always: the trainer opens and closes the device, holds the models and the data, and knows nothing of run folders, terminals
// or pages. It trains one model after the other with the same protocol; where the device is lost it goes on
// from its last checkpoint on a new one. However often it is stopped, killed or lost, it ends with the same bytes.
// Not here: the command line and the run folder (main-job.ts), the graphs of the programs (programs.ts), what a checkpoint holds
// (training-state.ts).

import { at, type DeviceLostError, NonFiniteError, OptionError } from '../engine/errors.ts';
import {
  type Checkpoint,
  compile,
  type Device,
  type DeviceOptions,
  openDevice,
  type Program,
  readCheckpoint,
  type Saved,
  type Tuning,
  Variable,
  withRecovery,
} from '../engine/node.ts';
import type { SafetensorsTensor } from '../engine/safetensors.ts';
import { type EvaluationRun, makeEvaluation } from './evaluation.ts';
import { checkBatch, jobTask } from './job-tasks.ts';
import { adapterName } from './messages.ts';
import type { Activation, Evaluation, EvaluationSplit, Figures, TrainStep } from './metrics.ts';
import type { MainOptions } from './options.ts';
import { sampleModules } from './samples.ts';
import { factsOf, type JobTask, type TaskFacts } from './task-facts.ts';
import { copyValues, readProgress, type Trainee, TrainingState } from './training-state.ts';

/** What is known once the device is open and the models are built. */
export interface TrainingStart {
  /** The adapter, in words. */
  readonly adapter: string;
  /** The runtime and its version, such as `Node 20.20.2`. */
  readonly runtime: string;
  /** Trained numbers of each model, by its name, in the order of training. */
  readonly parameters: Readonly<Record<string, number>>;
  readonly task: TaskFacts;
}

/** What a trainer is given to report to. An error thrown by one of these ends the training. */
export interface TrainEvents {
  /** Once, before the first step; an error before it leaves no trace on the disk. */
  onStart(start: TrainingStart): void;
  /** After a step whose figures were read; not every step has to be. The last one of a model should be. */
  onStep(step: TrainStep): void;
  /** After an evaluation on one split at one setting. At a step all tests come first, then the validations. */
  onEvaluation(evaluation: Evaluation): void;
  /** A checkpoint, to be kept in the place of the one before. What is told after it is told again by a training that goes on from it. */
  onCheckpoint?(bytes: Uint8Array): void;
  /** The device was lost: all that was told behind the first `told` steps and evaluations will be told again. */
  onLoss?(loss: DeviceLostError, told: number): void;
  /** The training goes on, on a device that took the place of a lost one. */
  onNewDevice?(adapter: string): void;
  /** Aborted by Ctrl-C: return soon, with what there is. */
  readonly signal: AbortSignal;
}

/** What a training leaves, finished or stopped. */
export interface TrainResult {
  /** True when the signal ended it early. */
  readonly stopped: boolean;
  /** Why it could not have gone on: where it was stopped, and a step before that was not finite. What is left is of the step before. */
  readonly failure?: NonFiniteError;
  /** Samples of RIMs at the training setting and the largest tested one; none where it was stopped before a step. */
  readonly activations: readonly Activation[];
  /** All weights, under names such as `rim.cell.0.weight`; a model that did not do a step is left out. */
  readonly weights: ReadonlyMap<string, SafetensorsTensor>;
  /** The updates that these weights have seen, for each model: those of its best validation with `--select validation`, else all. */
  readonly weightSteps: Readonly<Record<string, number>>;
}

/**
 * Trains the models that the options describe, from the beginning or from a checkpoint.
 * @throws RimgradError; NonFiniteError for a step that is not finite, unless the signal was aborted before that was known: then the
 *   result tells it
 */
export type TrainJob = (options: MainOptions, events: TrainEvents, from?: Checkpoint) => Promise<TrainResult>;

/** Steps between two reads of the loss: a read waits for the device. */
const READ_EVERY = 10;

/** A trainer on devices that are opened in some way. */
export function trainerOn(open: (options: DeviceOptions) => Promise<Device>): TrainJob {
  return async (options, events, from) => {
    const job = await jobTask(options);
    checkBatch(job, options);
    let told = from === undefined ? 0 : readProgress(from).told;
    let started = false;
    const work = async (device: Device, saved: Saved<Checkpoint>): Promise<TrainResult> => {
      const state = new TrainingState(options, job);
      if (saved.last !== undefined) state.load(saved.last);
      if (started) events.onNewDevice?.(adapterName(device));
      else events.onStart(startOf(device, state));
      started = true;
      const keep = (bytes: Uint8Array): void => {
        saved.keep(readCheckpoint(bytes));
        told = state.told;
        events.onCheckpoint?.(bytes);
      };
      return new Training(device, state, events, keep).run();
    };
    return withRecovery(() => openTuned(open, from), work, {
      ...(from !== undefined && { from }),
      onLoss: (loss) => events.onLoss?.(loss, told),
    });
  };
}

/** The trainer on the devices of this process. */
export const trainJob: TrainJob = trainerOn(openDevice);

/** Opens a device with the tuning of a checkpoint, where it is one for this adapter: results do not depend on it. */
async function openTuned(open: (options: DeviceOptions) => Promise<Device>, from?: Checkpoint): Promise<Device> {
  if (from === undefined) return open({});
  try {
    return await open({ tuning: readProgress(from).tuning as Tuning });
  } catch (error) {
    if (error instanceof OptionError) return open({});
    throw error;
  }
}

function startOf(device: Device, { trainees, job }: TrainingState): TrainingStart {
  const sizes = trainees.map(
    ({ model: { name, variables } }) => [name, variables.reduce((sum, v) => sum + v.size, 0)] as const,
  );
  return {
    adapter: adapterName(device),
    runtime: `Node ${process.versions.node}`,
    parameters: Object.fromEntries(sizes),
    task: factsOf(job),
  };
}

// One training on one device, to its end or to the loss of the device.
class Training {
  readonly #device: Device;
  readonly #state: TrainingState;
  readonly #options: MainOptions;
  readonly #job: JobTask;
  readonly #events: TrainEvents;
  readonly #keep: (bytes: Uint8Array) => void;
  #failure: NonFiniteError | undefined;
  /** The model whose last weights did best, as far as it was measured when it was stopped. */
  #bestAtStop: Trainee | undefined;

  constructor(device: Device, state: TrainingState, events: TrainEvents, keep: (bytes: Uint8Array) => void) {
    this.#device = device;
    this.#state = state;
    this.#options = state.options;
    this.#job = state.job;
    this.#events = events;
    this.#keep = keep;
  }

  async run(): Promise<TrainResult> {
    const { trainees } = this.#state;
    let unfinished: readonly Activation[] = [];
    for (const trainee of trainees) {
      if (this.#state.isDone(trainee)) continue;
      if (this.#stopping) break;
      unfinished = await this.#train(trainee);
    }
    const weights = new Map<string, SafetensorsTensor>();
    const weightSteps: Record<string, number> = {};
    for (const trainee of trainees) {
      const { model, best, progress } = trainee;
      if (progress.step === 0) continue;
      const earlier = this.#isEarlier(trainee);
      weightSteps[model.name] = earlier ? progress.best : progress.step;
      for (const [i, { name, shape }] of model.variables.entries()) {
        const data = await at(earlier ? best : model.variables, i).read();
        if (data instanceof Float32Array) weights.set(name, { dtype: 'F32', shape: [...shape], data });
      }
    }
    const stopped = trainees.some((trainee) => !this.#state.isDone(trainee));
    // A model that goes on from where its training was done has a sample of then; the one of now takes its place.
    const done = this.#state.activations.filter(({ model }) => !unfinished.some((each) => each.model === model));
    const failure = this.#failure;
    return { stopped, ...(failure && { failure }), activations: [...done, ...unfinished], weights, weightSteps };
  }

  get #stopping(): boolean {
    return this.#events.signal.aborted;
  }

  /** Trains one model, evaluating on the way and at the end. @returns samples of it where it was stopped after a step */
  async #train(trainee: Trainee): Promise<readonly Activation[]> {
    const { model, program, progress } = trainee;
    const { steps, evaluateEvery, checkpointEvery } = this.#options;
    const step = await compile(this.#device, program.outputs, program.updates);
    const first = progress.step;
    const evaluations: AtSetting[] = [];
    const measure = async (): Promise<number> => {
      // Weights that stand still since a step was not finite are not those of this step, and its cause is not in their figures.
      await step.checkGuard();
      return this.#measure(trainee, evaluations);
    };
    try {
      for (const setting of this.#job.tested) {
        if (this.#stopping) return [];
        const { batch, seed } = this.#options;
        const each = { task: this.#job.task, setting, batch, seed };
        evaluations.push({ setting, run: await makeEvaluation(this.#device, model, each) });
      }
      const due = (): boolean =>
        progress.step > 0 &&
        progress.measured !== progress.step &&
        (progress.step === steps || (evaluateEvery > 0 && progress.step % evaluateEvery === 0));
      let measured = due() && progress.step < steps ? await measure() : -1;
      while (progress.step < steps && !this.#stopping) {
        await this.#step(trainee, step);
        if (progress.step < steps && due()) measured = await measure();
        if (checkpointEvery > 0 && progress.step % checkpointEvery === 0 && !this.#stopping) await this.#save(step);
      }
      if (due() && !this.#stopping) measured = await measure();
      if (this.#state.isDone(trainee)) {
        const others = this.#state.activations.filter((each) => each.model !== model.name);
        this.#state.activations = [...others, ...(await this.#sampleBest(trainee))];
        await this.#save();
        return [];
      }
      if (progress.step === 0) return [];
      await step.checkGuard();
      if (progress.step > first) await this.#save(step);
      if (measured !== progress.step) await measure();
      return await this.#sampleBest(trainee);
    } catch (error) {
      if (!(error instanceof NonFiniteError)) throw error;
      const failure = inTraining(error, first, trainee);
      if (!this.#stopping) throw failure;
      await this.#keepBefore(step, failure, first, trainee);
      return [];
    } finally {
      step.dispose();
      for (const { run } of evaluations) run.dispose();
    }
  }

  /** One update, and its figures where they are due. */
  async #step({ model, progress }: Trainee, program: Program): Promise<void> {
    const { batch, seed, steps } = this.#options;
    const { task, trained } = this.#job;
    const began = performance.now();
    await program.run(task.batch({ split: 'train', setting: trained, batch, seed, index: progress.step }));
    const step = ++progress.step;
    const telling = step % READ_EVERY === 0 || step === 1 || step === steps;
    const names = ['loss', ...task.figures.map(({ name }) => name)];
    const values = telling ? await Promise.all(names.map((name) => program.read(name))) : undefined;
    progress.seconds += (performance.now() - began) / 1000;
    if (values === undefined) return;
    const [[, loss] = ['loss', Number.NaN], ...others] = names.map((name, i) => [name, at(at(values, i), 0)] as const);
    const figures = Object.fromEntries(others);
    this.#state.told++;
    this.#events.onStep({ model: model.name, step, loss, figures, seconds: progress.seconds });
  }

  /** Tells an evaluation at every setting. One that the signal cut short does not count. @returns the step that it was made at */
  async #measure(trainee: Trainee, evaluations: readonly AtSetting[]): Promise<number> {
    const { model, progress } = trainee;
    const { testBatches, validationBatches, validate } = this.#options;
    const { trained } = this.#job;
    const { step } = progress;
    let told = 0;
    const tell = async ({ setting, run }: AtSetting, split: EvaluationSplit, batches: number): Promise<Figures> => {
      const figures = await run.run({ split, batches }, this.#events.signal);
      this.#events.onEvaluation({ model: model.name, step, split, setting, figures });
      told++;
      return figures;
    };
    for (const each of evaluations) await tell(each, 'test', testBatches);
    for (const each of evaluations) {
      if (validate !== 'all' && each.setting !== trained) continue;
      const figures = await tell(each, 'validation', validationBatches);
      if (each.setting === trained) await this.#keepBest(trainee, figures);
    }
    if (!this.#stopping) {
      this.#state.told += told;
      progress.measured = step;
    }
    return step;
  }

  /** Keeps the weights where they did best in validation. */
  async #keepBest(trainee: Trainee, validation: Figures): Promise<void> {
    if (!this.#state.isBest(trainee, validation)) return;
    // What was measured in a hurry is in no checkpoint, nor is what follows from it. Nothing changes the weights any more.
    if (this.#stopping) this.#bestAtStop = trainee;
    else await this.#state.keepBest(trainee, validation);
  }

  /** Whether the weights that a run is told of are the best ones, of an earlier step than the last. */
  #isEarlier(trainee: Trainee): boolean {
    const { best, step } = trainee.progress;
    return best > 0 && best < step && trainee !== this.#bestAtStop;
  }

  /**
   * Ends a training that was stopped, and whose last steps were not carried out: the weights are those before them, and so is the
   * count of steps. It is not measured any more: figures of a training that went wrong may not be finite either.
   */
  async #keepBefore(step: Program, failure: NonFiniteError, first: number, { progress }: Trainee): Promise<void> {
    this.#failure = failure;
    progress.step = failure.step - 1;
    if (progress.step === first) return;
    // Now that the count is that of the weights, they may be saved.
    await step.clearGuard();
    await this.#save();
  }

  /** Keeps a checkpoint; none after a step whose loss is not finite, which is no state to go on from. */
  async #save(step?: Program): Promise<void> {
    if (this.#options.checkpointEvery === 0) return;
    if (step !== undefined && !Number.isFinite(at(await step.read('loss'), 0))) return;
    this.#keep(await this.#state.save(this.#device));
  }

  /** Samples of a model with the weights that the run is told of. */
  async #sampleBest(trainee: Trainee): Promise<Activation[]> {
    const { model, best } = trainee;
    if (model.name !== 'RIM' || !this.#isEarlier(trainee)) return this.#sample(trainee);
    const last = model.variables.map((each) => new Variable(each.name, each.shape, new Float32Array(each.size)));
    await copyValues(model.variables, last);
    await copyValues(best, model.variables);
    try {
      return await this.#sample(trainee);
    } finally {
      await copyValues(last, model.variables);
    }
  }

  /** Which modules were active; nothing of other systems than RIMs. */
  async #sample({ model }: Trainee): Promise<Activation[]> {
    return model.name === 'RIM' ? sampleModules(this.#device, model, this.#job, this.#options.seed) : [];
  }
}

/** A model's evaluations at one setting. */
interface AtSetting {
  readonly setting: number;
  readonly run: EvaluationRun;
}

/** What a training says of a step that is not finite: the guard counts from where this training began, people from the first step. */
function inTraining({ step, what, found }: NonFiniteError, first: number, { model }: Trainee): NonFiniteError {
  const mend = 'train with a smaller --learning-rate or --clip';
  return new NonFiniteError(first + step, what, mend, found, { of: `the ${model.name}` });
}
