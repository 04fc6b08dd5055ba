// One job from its command line to its run folder, in this process: options in, a training, a folder with config, metrics, weights and
// report out. Whoever runs it is told what happens: the terminal (main-job.ts), or a runner of many jobs.
//
// Always: a stopped or failed training keeps its config, metrics and report (a stopped one its weights too); an error before the
// training began leaves no folder. What cannot be written while a training runs is told and tried again, and the training goes on;
// a folder that was removed is made anew. Only what is missing at the end is an error, and hides no result. Nothing is printed here. Not here: the training (train.ts), the process and its signals.

import { hostname } from 'node:os';
import { FileError, type NonFiniteError, OptionError, RimgradError } from '../engine/errors.ts';
import { NotFlushedError } from './disk.ts';
import { describe } from './messages.ts';
import { type Evaluation, type Metric, sortMetrics, type TrainStep } from './metrics.ts';
import { lastingOptions, type MainOptions, parseMainOptions, usedOptions } from './options.ts';
import { renderReport } from './report.ts';
import { describeProgress, openResumed, type Resumed } from './resume.ts';
import type { RunConfig } from './run-config.ts';
import { checkRunPlan, defaultRunName, RunFolder, type RunPlan } from './runs.ts';
import { selected } from './selection.ts';
import { type TrainEvents, type TrainingStart, type TrainJob, type TrainResult, trainJob } from './train.ts';
import { readProgress } from './training-state.ts';

/** What a job tells while it runs; whatever is left out is not told. An error thrown by one of these ends the training. */
export interface JobWatcher {
  /** Abort it to stop early and keep what there is. */
  readonly signal: AbortSignal;
  /** Once, when the device is open, the models are built and the folder is there. */
  onBegin?(begun: JobBegun): void;
  /** After a step whose figures were read: about every tenth, and the last of each model. */
  onStep?(step: TrainStep): void;
  /** After an evaluation; also on one that a lost device makes it tell again. */
  onEvaluation?(evaluation: Evaluation): void;
  /** Something that whoever reads the results should know, a sentence: another device took over. */
  onNote?(line: string): void;
  /** Trouble that the training goes on in spite of, a sentence: a disk that is full, a device that was lost. */
  onWarning?(line: string): void;
}

/** A job that has begun. */
export interface JobBegun {
  /** The run folder. */
  readonly path: string;
  readonly config: RunConfig;
  /** Where it goes on from, in words; missing where it is new. */
  readonly from?: string;
}

/** How a job ended that had begun. */
export interface JobEnd extends JobBegun {
  /** The same as in the config: `stopped` by the signal, `failed` with an error. */
  readonly status: 'finished' | 'stopped' | 'failed';
  /** Why it stopped or failed. */
  readonly note?: string;
  /** What it failed with. */
  readonly error?: unknown;
  /** Whether the training came to its end, or to its stop: then its results are whole, even where they could not be written. */
  readonly trained: boolean;
  /** Where it stopped. */
  readonly failure?: NonFiniteError;
  /** The model in training and its step, where it stopped. */
  readonly at: string;
  /** All that was measured, of the steps before a resumption too. */
  readonly metrics: readonly Metric[];
  /** The test evaluations that count by the run's `--select`. */
  readonly results: readonly Evaluation[];
}

/**
 * Runs one job in this process, without printing anything.
 *
 * Arguments are those of `rimgrad train`: `['--task', 'copying', '--models', 'rim', '--seed', '1', '--out', 'runs', '--name', 'a']`,
 * or `['--resume', 'a', '--out', 'runs']` for a run that was stopped, killed or failed. Jobs of one process run one after the other.
 *
 * @returns how it ended, also where it failed after it had begun, or its end could not be written; its folder holds the same, as far
 *   as it could be written
 * @throws OptionError for wrong arguments, a run that is finished or other data than a run was begun with; FileError for a folder that is taken or cannot be written; what
 *   opening a device or building a model throws. Then nothing was made
 */
export async function runJob(
  args: readonly string[],
  watcher: JobWatcher,
  train: TrainJob = trainJob,
): Promise<JobEnd> {
  return new Job(args).run(watcher, train);
}

/** A job whose arguments are checked and that has not begun: nothing was made yet. */
export class Job {
  readonly options: MainOptions;
  readonly #plan: RunPlan;
  readonly #resumed: Resumed | undefined;
  readonly #began: Date = new Date();
  #watcher: JobWatcher = { signal: new AbortController().signal };
  #metrics: Metric[] = [];
  #model = '';
  #step = 0;
  #folder: RunFolder | undefined;
  #begun: JobBegun | undefined;
  /** What could not be written and was told, until all is written again. */
  #trouble = '';

  /** @throws OptionError, FileError as `runJob` does; HelpWanted where the arguments ask for help */
  constructor(args: readonly string[]) {
    const request = parseMainOptions(args);
    if (request.kind === 'help') throw new HelpWanted(request.text);
    this.#resumed = request.kind === 'resume' ? openResumed(request) : undefined;
    this.options = this.#resumed?.options ?? (request as Extract<typeof request, { kind: 'run' }>).options;
    const { task, out, seed, force, name = defaultRunName(task, out, this.#began, seed) } = this.options;
    this.#plan = { out, name, force };
  }

  /** Runs it: see `runJob`. Once only. */
  async run(watcher: JobWatcher, train: TrainJob): Promise<JobEnd> {
    this.#watcher = watcher;
    if (this.#resumed === undefined) checkRunPlan(this.#plan);
    let result: TrainResult;
    try {
      result = await train(this.options, this.#events(), this.#resumed?.checkpoint);
      for (const activation of result.activations) this.#record({ kind: 'activation', ...activation });
    } catch (error) {
      if (this.#begun === undefined) throw error;
      return await this.#finish({ status: 'failed', note: describe(error), error, trained: false });
    }
    const { failure, stopped } = result;
    if (failure !== undefined) {
      this.#step = failure.step - 1;
      watcher.onWarning?.(describe(failure));
    }
    const note = failure === undefined ? this.#at : `${this.#at}; ${describe(failure)}`;
    const status = stopped ? ({ status: 'stopped', note } as const) : ({ status: 'finished' } as const);
    return await this.#finish({ ...status, trained: true, ...(failure && { failure }) }, result);
  }

  get #at(): string {
    return `stopped at step ${this.#step} of the ${this.#model || 'training'}`;
  }

  #events(): TrainEvents {
    return {
      signal: this.#watcher.signal,
      onStart: (start) => this.#start(start),
      onStep: (step) => {
        this.#model = step.model;
        this.#step = step.step;
        this.#record({ kind: 'train', ...step });
        this.#watcher.onStep?.(step);
      },
      onEvaluation: (evaluation) => {
        // Not every step is told; the evaluation at a stop knows where it was.
        if (evaluation.model === this.#model) this.#step = evaluation.step;
        this.#record({ kind: 'evaluation', ...evaluation });
        this.#watcher.onEvaluation?.(evaluation);
      },
      onCheckpoint: (bytes) => {
        this.#tryToWrite('the last checkpoint stays as it was', (folder) => {
          this.#restore(folder);
          folder.writeCheckpoint(bytes);
        });
      },
      onNewDevice: (adapter) => this.#move(adapter),
      onLoss: (loss, told) => {
        this.#watcher.onWarning?.(`${describe(loss)}. Going on with a new device from the last checkpoint`);
        this.#metrics.length = Math.min(this.#metrics.length, told);
        this.#folder?.cutBack(told);
      },
    };
  }

  #start(start: TrainingStart): void {
    const running = { status: 'running', process: { pid: process.pid, host: hostname() } } as const;
    const now = { ...running, ...start, options: usedOptions(this.options) };
    if (this.#resumed === undefined) {
      const config = { ...now, started: this.#began.toISOString() };
      this.#folder = RunFolder.create(this.#plan, config);
      this.#begin({ path: this.#folder.path, config });
      return;
    }
    const { path, config: before, checkpoint, told } = this.#resumed;
    checkData(path, before, start);
    const config = { ...now, started: before.started, resumed: (before.resumed ?? 0) + 1 };
    ({ folder: this.#folder, metrics: this.#metrics } = RunFolder.reopen(path, told, config));
    const from = describeProgress(checkpoint === undefined ? [] : readProgress(checkpoint).models);
    this.#begin({ path, config, from });
    if (before.adapter === start.adapter && before.runtime === start.runtime) return;
    this.#watcher.onNote?.(
      `The run was begun with ${before.runtime} on ${before.adapter}, and goes on with ${start.runtime} on ${start.adapter}: ${OTHERWISE}`,
    );
  }

  #begin(begun: JobBegun): void {
    this.#begun = begun;
    this.#watcher.onBegin?.(begun);
  }

  // A device that was lost may come back as another adapter.
  #move(adapter: string): void {
    if (this.#begun === undefined || this.#begun.config.adapter === adapter) return;
    const { config: before } = this.#begun;
    this.#watcher.onNote?.(`The run was on ${before.adapter}, and goes on on ${adapter}: ${OTHERWISE}`);
    const config: RunConfig = { ...before, adapter };
    this.#begun = { ...this.#begun, config };
    this.#tryToWrite('the config waits for the end', (folder) => folder.writeConfig(config));
  }

  // A figure that is not finite would be lost in JSON, so it ends the run instead.
  #record(metric: Metric): void {
    const figures = metric.kind === 'activation' ? {} : metric.figures;
    for (const [name, value] of Object.entries({ ...metric, ...figures })) {
      if (typeof value === 'number' && !Number.isFinite(value)) {
        throw new RimgradError(
          `${metric.model} at step ${this.#step}: ${name} is ${value}; train with a smaller --learning-rate or --clip`,
        );
      }
    }
    this.#metrics.push(metric);
    this.#tryToWrite('the figures wait for the next try', (folder) => folder.append(metric));
  }

  // With the options, so that the file alone is enough to use the weights (eval-command.ts), and with the steps that they are of.
  #writeModel(folder: RunFolder, { weights, weightSteps }: TrainResult): void {
    if (weights.size === 0) return;
    const { task } = this.options;
    const options = JSON.stringify(lastingOptions(this.options));
    folder.writeModel(weights, { task, run: this.#plan.name, options, steps: JSON.stringify(weightSteps) });
  }

  // What cannot be written now may be written later, when somebody has made room: hours of training are worth more than a file.
  #tryToWrite(meanwhile: string, write: (folder: RunFolder) => void): void {
    if (this.#folder === undefined) return;
    try {
      write(this.#folder);
      if (this.#folder.waiting === 0) this.#trouble = '';
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      if (error.message === this.#trouble) return;
      this.#trouble = error.message;
      const there = error instanceof NotFlushedError;
      this.#watcher.onWarning?.(`${describe(error)}. The training goes on${there ? '' : `; ${meanwhile}`}`);
    }
  }

  // A folder that somebody removed: the figures are told once, and are worth another.
  #restore(folder: RunFolder): void {
    if (!folder.restore()) return;
    this.#watcher.onWarning?.(
      `${folder.path}: the run folder was removed while it was in use. It is made anew, with all figures`,
    );
  }

  // Writes what ends a run folder, each part whatever became of the others: where one cannot be written the run has failed.
  async #finish(end: Ending, result?: TrainResult): Promise<JobEnd> {
    const [folder, begun] = [this.#folder, this.#begun];
    if (folder === undefined || begun === undefined) {
      throw new RimgradError('the trainer never began: a bug of rimgrad');
    }
    const { evaluations } = sortMetrics(this.#metrics);
    const results = selected(evaluations, this.options.select, begun.config.task);
    const { process: _process, ...known } = begun.config;
    let missing: FileError | undefined;
    const attempt = (write: () => void): void => {
      try {
        write();
      } catch (error) {
        if (!(error instanceof FileError)) throw error;
        missing ??= error;
      }
    };
    const ended = (): JobEnd => {
      const how = missing === undefined || !end.trained ? end : { ...end, ...failedWith(missing) };
      const { status, note } = how;
      const config: RunConfig = { ...known, status, ...(note !== undefined && { note }) };
      return { ...begun, ...how, config, at: this.#at, metrics: this.#metrics, results };
    };
    attempt(() => this.#restore(folder));
    if (missing === undefined) {
      attempt(() => folder.flush());
      if (result !== undefined) attempt(() => this.#writeModel(folder, result));
      const page = await renderReport({ name: this.#plan.name, config: ended().config, metrics: this.#metrics });
      attempt(() => folder.writeReport(page));
      // Last: a run that says that it is finished has everything.
      attempt(() => folder.writeConfig(ended().config));
    }
    attempt(() => folder.close());
    if (missing !== undefined && !end.trained) this.#watcher.onWarning?.(describe(missing));
    return ended();
  }
}

/** How a job ended, before it is written. */
type Ending = Pick<JobEnd, 'status' | 'note' | 'error' | 'failure' | 'trained'>;

/** @throws OptionError where a run would go on with other data than it was begun with */
function checkData(path: string, { task: before }: RunConfig, { task: now }: TrainingStart): void {
  if (now.source === before.source) return;
  const [was, is] = [before, now].map(({ source = 'none' }) => source);
  throw new OptionError(
    `${path}: the run was begun on this data: ${was}; and it cannot go on with this: ${is}; name the folder of the same files with --mnist, or begin another run`,
  );
}

function failedWith(error: FileError): Pick<JobEnd, 'status' | 'note' | 'error'> {
  return { status: 'failed', note: describe(error), error };
}

/** The arguments of a job ask for help. */
export class HelpWanted extends Error {
  override readonly name: string = 'HelpWanted';
}

/** What a run that moves has to be told. */
const OTHERWISE = 'its last digits may differ from those of a run that had stayed there';
