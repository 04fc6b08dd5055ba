// Training on the copying task: what a trainer is given, what it tells while it runs, and what it leaves.
//
// Always: the trainer opens and closes the device, holds the models and the data, and knows nothing of files, terminals
// or pages. It trains the RIM, then the LSTM unless `lstm` is false, with the same protocol; where the device is lost it goes on
// from its last checkpoint on a new one. However often it is stopped, killed or lost, it ends with the same bytes.
// Not here: the command line and the run folder (main-job.ts), the graphs of the programs (programs.ts), what a checkpoint holds
// (training-state.ts).

import { at, type DeviceLostError, NonFiniteError, OptionError } from '../engine/errors.ts';
import {
  type Checkpoint,
  compile,
  type Device,
  type DeviceOptions,
  evaluate,
  input,
  openDevice,
  type Program,
  readCheckpoint,
  type Saved,
  type Tuning,
  withRecovery,
} from '../engine/node.ts';
import type { SafetensorsTensor } from '../engine/safetensors.ts';
import { type EvaluationRun, makeEvaluation } from './evaluation.ts';
import { adapterName } from './messages.ts';
import type { Activation, Evaluation, TrainStep } from './metrics.ts';
import type { CopyingModel } from './models.ts';
import type { MainOptions } from './options.ts';
import { copyingBatch, copyingLength } from './tasks/index.ts';
import { readProgress, type Trainee, TrainingState } from './training-state.ts';

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
  /** One sample sequence for each blank length that the report shows, of the RIM; none where it was stopped before a step. */
  readonly activations: readonly Activation[];
  /** All weights, under names such as `rim.cell.0.weight`; a model that did not do a step is left out. */
  readonly weights: ReadonlyMap<string, SafetensorsTensor>;
}

/**
 * Trains the models that the options describe, from the beginning or from a checkpoint.
 * @throws RimgradError; NonFiniteError for a step that is not finite, unless the signal was aborted before that was known: then the
 *   result tells it
 */
export type TrainCopying = (options: MainOptions, events: TrainEvents, from?: Checkpoint) => Promise<TrainResult>;

/** Steps between two reads of the loss: a read waits for the device. */
const READ_EVERY = 10;

/** A trainer on devices that are opened in some way. */
export function trainerOn(open: (options: DeviceOptions) => Promise<Device>): TrainCopying {
  return (options, events, from) => {
    let told = from === undefined ? 0 : readProgress(from).told;
    let started = false;
    const work = async (device: Device, saved: Saved<Checkpoint>): Promise<TrainResult> => {
      const state = new TrainingState(options);
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

export const trainCopying: TrainCopying = trainerOn(openDevice);

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

function startOf(device: Device, { trainees }: TrainingState): TrainingStart {
  const sizes = trainees.map(
    ({ model: { name, variables } }) => [name, variables.reduce((sum, v) => sum + v.size, 0)] as const,
  );
  return {
    adapter: adapterName(device),
    runtime: `Node ${process.versions.node}`,
    parameters: Object.fromEntries(sizes),
  };
}

// One training on one device, to its end or to the loss of the device.
class Training {
  readonly #device: Device;
  readonly #state: TrainingState;
  readonly #options: MainOptions;
  readonly #events: TrainEvents;
  readonly #keep: (bytes: Uint8Array) => void;
  #failure: NonFiniteError | undefined;

  constructor(device: Device, state: TrainingState, events: TrainEvents, keep: (bytes: Uint8Array) => void) {
    this.#device = device;
    this.#state = state;
    this.#options = state.options;
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
    for (const { model, progress } of trainees) {
      if (progress.step === 0) continue;
      for (const variable of model.variables) {
        const data = await variable.read();
        if (data instanceof Float32Array)
          weights.set(variable.name, { dtype: 'F32', shape: [...variable.shape], data });
      }
    }
    const stopped = trainees.some((trainee) => !this.#state.isDone(trainee));
    // A model that goes on from where its training was done has a sample of then; the one of now takes its place.
    const done = this.#state.activations.filter(({ model }) => !unfinished.some((each) => each.model === model));
    const failure = this.#failure;
    return { stopped, ...(failure && { failure }), activations: [...done, ...unfinished], weights };
  }

  get #stopping(): boolean {
    return this.#events.signal.aborted;
  }

  /** Trains one model, evaluating on the way and at the end. @returns samples of it where it was stopped after a step */
  async #train(trainee: Trainee): Promise<readonly Activation[]> {
    const { model, program, progress } = trainee;
    const { steps, testBlanks, evaluateEvery, checkpointEvery } = this.#options;
    const step = await compile(this.#device, program.outputs, program.updates);
    const first = progress.step;
    const evaluations: EvaluationRun[] = [];
    const measure = async (): Promise<number> => {
      // Weights that stand still since a step was not finite are not those of this step, and its cause is not in their figures.
      await step.checkGuard();
      return this.#measure(trainee, evaluations);
    };
    try {
      for (const each of testBlanks) {
        if (this.#stopping) return [];
        evaluations.push(await makeEvaluation(this.#device, model, this.#options, each));
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
        this.#state.activations = [...others, ...(await this.#sample(model))];
        await this.#save();
        return [];
      }
      if (progress.step === 0) return [];
      await step.checkGuard();
      if (progress.step > first) await this.#save(step);
      if (measured !== progress.step) await measure();
      return await this.#sample(model);
    } catch (error) {
      if (!(error instanceof NonFiniteError)) throw error;
      const failure = inTraining(error, first, trainee);
      if (!this.#stopping) throw failure;
      await this.#keepBefore(step, failure, first, trainee);
      return [];
    } finally {
      step.dispose();
      for (const each of evaluations) each.dispose();
    }
  }

  /** One update, and its figures where they are due. */
  async #step({ model, progress }: Trainee, program: Program): Promise<void> {
    const { digits, blank, batch, seed, steps } = this.#options;
    const began = performance.now();
    await program.run(copyingBatch({ digits, blank, batch, seed }, progress.step));
    const step = ++progress.step;
    const telling = step % READ_EVERY === 0 || step === 1 || step === steps;
    const figures = telling ? await Promise.all([program.read('loss'), program.read('accuracy')]) : undefined;
    progress.seconds += (performance.now() - began) / 1000;
    if (figures === undefined) return;
    const [loss, accuracy] = [at(figures[0], 0), at(figures[1], 0)];
    this.#state.told++;
    this.#events.onStep({ model: model.name, step, loss, accuracy, seconds: progress.seconds });
  }

  /** Tells an evaluation at every blank. One that the signal cut short does not count. @returns the step that it was made at */
  async #measure({ model, progress }: Trainee, evaluations: readonly EvaluationRun[]): Promise<number> {
    let told = 0;
    for (const each of evaluations) {
      this.#events.onEvaluation({ model: model.name, step: progress.step, ...(await each.run(this.#events.signal)) });
      told++;
    }
    if (!this.#stopping) {
      this.#state.told += told;
      progress.measured = progress.step;
    }
    return progress.step;
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

  /** Which modules were active in one test sequence, at the shortest and the longest blank; nothing of an LSTM. */
  async #sample(model: CopyingModel): Promise<Activation[]> {
    return model.name === 'RIM' ? sampleActivations(this.#device, model, this.#options) : [];
  }
}

/** What a training says of a step that is not finite: the guard counts from where this training began, people from the first step. */
function inTraining({ step, what, found }: NonFiniteError, first: number, { model }: Trainee): NonFiniteError {
  const mend = 'train with a smaller --learning-rate or --clip';
  return new NonFiniteError(first + step, what, mend, found, { of: `the ${model.name}` });
}

/** Which modules were active in one test sequence, at the shortest and the longest blank. */
async function sampleActivations(device: Device, model: CopyingModel, options: MainOptions): Promise<Activation[]> {
  const { digits, seed } = options;
  const blanks = [...new Set([options.blank, at(options.testBlanks, options.testBlanks.length - 1)])];
  const activations: Activation[] = [];
  for (const blank of blanks) {
    const length = copyingLength({ digits, blank });
    const x = input('x', [length, 1], 'u32');
    const { trace } = model.forward(x);
    if (trace === undefined) continue;
    const { x: symbols } = copyingBatch({ digits, blank, batch: 1, seed, split: 'test' }, 0);
    const { mask } = await evaluate(device, { mask: trace.mask }, { x: symbols });
    const modules = at(trace.mask.shape, 2);
    const rows = Array.from({ length }, (_, t) => [...mask.slice(t * modules, (t + 1) * modules)]);
    activations.push({ model: model.name, digits, blank, symbols: [...symbols], mask: rows });
  }
  return activations;
}
