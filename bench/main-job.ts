// The main job around the training: options in, a run folder, a live progress, a table and a report page out.
//
// Always: an error is one clear line on stderr and an exit code, never a stack trace; a stopped or failed training keeps
// its config, metrics and report (a stopped one its weights too); an error before the training began leaves no folder. What cannot
// be written while a training runs is told and tried again, and the training goes on: only what is missing at its end is an error.
// Not here: the training (train.ts) and the process with its signals (train-command.ts).

import { hostname } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { at, FileError, need, RimgradError } from '../engine/errors.ts';
import { EXIT, fail } from './command-line.ts';
import { NotFlushedError } from './disk.ts';
import { describe } from './messages.ts';
import { type Evaluation, lastEvaluations, type Metric, sortMetrics } from './metrics.ts';
import { lastingOptions, type MainOptions, parseMainOptions } from './options.ts';
import { createProgress, formatDuration, type Progress, type ProgressStream } from './progress.ts';
import { renderReport } from './report.ts';
import { describeProgress, openResumed, type Resumed } from './resume.ts';
import type { RunConfig, RunStatus } from './run-config.ts';
import { checkRunPlan, defaultRunName, RunFolder, type RunPlan } from './runs.ts';
import { memoryless } from './tasks/copying.ts';
import type { TrainCopying, TrainEvents, TrainingStart, TrainResult } from './train.ts';
import { readProgress } from './training-state.ts';

/** What the job is given by the process that it runs in. */
export interface Surroundings {
  readonly stdout: ProgressStream;
  readonly stderr: NodeJS.WritableStream;
  readonly train: TrainCopying;
  /** Aborted to stop early and keep what there is. */
  readonly signal: AbortSignal;
}

/** What `--json` prints of a run. */
export interface RunSummary {
  readonly status: RunStatus;
  /** Why it stopped or failed. */
  readonly note: string | null;
  /** The run folder and its page; null where the training never began. */
  readonly run: string | null;
  readonly report: string | null;
  readonly seconds: number;
  readonly adapter: string | null;
  /** Trained numbers of each model. */
  readonly parameters: Readonly<Record<string, number>>;
  /** The last one of each model at each blank. */
  readonly evaluations: readonly Evaluation[];
  /** A model without memory, over the recalled digits. */
  readonly memoryless: { readonly accuracy: number; readonly crossEntropy: number };
}

/**
 * Runs the main job.
 *
 * @param args the command line after the program's name.
 * @returns the exit code, of `EXIT`.
 */
export async function runMainJob(args: readonly string[], surroundings: Surroundings): Promise<number> {
  const { stdout, stderr } = surroundings;
  try {
    const request = parseMainOptions(args);
    if (request.kind === 'help') {
      stdout.write(request.text);
      return EXIT.done;
    }
    const resumed = request.kind === 'resume' ? openResumed(request) : undefined;
    const options = request.kind === 'resume' ? need(resumed, 'a run').options : request.options;
    return await new Job(options, surroundings, resumed).run();
  } catch (error) {
    return fail(error, stderr);
  }
}

/** A table of the last evaluations: a row for each blank length, beside a model that remembers nothing. */
export function formatResults(options: MainOptions, metrics: readonly Metric[]): string {
  const evaluations = lastEvaluations(sortMetrics(metrics).evaluations);
  const models = [...new Set(evaluations.map((evaluation) => evaluation.model))];
  if (models.length === 0) return '';
  const level = memoryless(options);
  const blanks = [...new Set(evaluations.map((evaluation) => evaluation.blank))].sort((a, b) => a - b);
  const rows = [['blank', ...models.flatMap((model) => [`${model} accuracy`, `${model} cross-entropy`])]];
  for (const blank of blanks) {
    const cells = models.flatMap((model) => {
      const found = evaluations.find((evaluation) => evaluation.model === model && evaluation.blank === blank);
      return found === undefined ? ['-', '-'] : [found.accuracy.toFixed(3), found.crossEntropy.toFixed(3)];
    });
    rows.push([blank === options.blank ? `${blank} (trained)` : `${blank}`, ...cells]);
  }
  const none = models.flatMap(() => [level.accuracy.toFixed(3), level.recall.toFixed(3)]);
  rows.push(['no memory', ...none]);
  const widths = at(rows, 0).map((_, column) => Math.max(...rows.map((row) => at(row, column).length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(at(widths, 0)) : cell.padStart(at(widths, column))))
      .join('   '),
  );
  const title = `Accuracy and cross-entropy (nats) over the last ${options.digits} digits`;
  return [title, '', ...lines.map((line) => `  ${line}`), ''].join('\n');
}

// One run of the job, from checked options to the exit code.
class Job {
  readonly #options: MainOptions;
  readonly #around: Surroundings;
  readonly #resumed: Resumed | undefined;
  /** What people read: nothing of it where machines do. */
  readonly #out: ProgressStream;
  readonly #progress: Progress;
  readonly #plan: RunPlan;
  readonly #began: Date = new Date();
  #metrics: Metric[] = [];
  #model = '';
  #step = 0;
  #folder: RunFolder | undefined;
  #config: RunConfig | undefined;
  /** What could not be written and was told, until all is written again. */
  #trouble = '';

  constructor(options: MainOptions, around: Surroundings, resumed: Resumed | undefined) {
    this.#options = options;
    this.#around = around;
    this.#resumed = resumed;
    this.#out = options.json ? nowhere() : around.stdout;
    this.#progress = createProgress(this.#out);
    const name = options.name ?? defaultRunName('copying', options.out, this.#began, options.seed);
    this.#plan = { out: options.out, name, force: options.force };
  }

  async run(): Promise<number> {
    if (this.#resumed === undefined) checkRunPlan(this.#plan);
    let result: TrainResult;
    try {
      result = await this.#train();
      for (const activation of result.activations) this.#record({ kind: 'activation', ...activation });
      if (result.weights.size > 0) {
        // With the options, so that the file alone is enough to use the weights (eval-command.ts).
        const options = JSON.stringify(lastingOptions(this.#options));
        this.#folder?.writeModel(result.weights, { task: 'copying', run: this.#plan.name, options });
      }
    } catch (error) {
      this.#progress.end();
      const folder = await this.#finish({ status: 'failed', note: describe(error) }).catch(() => this.#folder);
      if (folder !== undefined) this.#out.write(`What there is lies in ${folder.path}\n`);
      this.#sayToMachines('failed', folder, describe(error));
      throw error;
    }
    this.#progress.end();
    const { failure } = result;
    if (failure !== undefined) {
      this.#step = failure.step - 1;
      this.#warn(describe(failure));
    }
    const at = `stopped at step ${this.#step} of the ${this.#model || 'training'}`;
    const note = failure === undefined ? at : `${at}; ${describe(failure)}`;
    const status = result.stopped ? 'stopped' : 'finished';
    const folder = await this.#finish(result.stopped ? { status, note } : { status });
    this.#say(folder, result.stopped ? at : undefined);
    this.#sayToMachines(status, folder, result.stopped ? note : undefined);
    return result.stopped ? EXIT.stopped : EXIT.done;
  }

  async #train(): Promise<TrainResult> {
    const { signal } = this.#around;
    const stopping = (): void => {
      this.#progress.end();
      this.#out.write('Stopping: a last, short evaluation, then the report\n');
    };
    signal.addEventListener('abort', stopping, { once: true });
    try {
      return await this.#around.train(this.#options, this.#events(), this.#resumed?.checkpoint);
    } finally {
      signal.removeEventListener('abort', stopping);
    }
  }

  #events(): TrainEvents {
    return {
      signal: this.#around.signal,
      onStart: (start) => this.#start(start),
      onStep: (step) => {
        if (step.model !== this.#model) {
          this.#model = step.model;
          this.#progress.begin(step.model.padEnd(4), this.#options.steps);
        }
        this.#step = step.step;
        this.#record({ kind: 'train', ...step });
        this.#progress.update(step);
        if (step.step >= this.#options.steps) this.#progress.end();
      },
      onEvaluation: (evaluation) => {
        // Not every step is told; the evaluation at a stop knows where it was.
        if (evaluation.model === this.#model) this.#step = evaluation.step;
        this.#record({ kind: 'evaluation', ...evaluation });
      },
      onCheckpoint: (bytes) => {
        this.#tryToWrite('the last checkpoint stays as it was', (folder) => folder.writeCheckpoint(bytes));
      },
      onNewDevice: (adapter) => this.#move(adapter),
      onLoss: (loss, told) => {
        this.#warn(`${describe(loss)}. Going on with a new device from the last checkpoint`);
        this.#metrics.length = Math.min(this.#metrics.length, told);
        this.#folder?.cutBack(told);
      },
    };
  }

  #start(start: TrainingStart): void {
    const running = { status: 'running', process: { pid: process.pid, host: hostname() } } as const;
    const now = { task: 'copying', ...running, ...start, options: { ...this.#options } };
    const stdout = this.#out;
    const sizes = Object.entries(start.parameters).map(([model, count]) => `${model} ${grouped(count)}`);
    const { digits, blank } = this.#options;
    stdout.write(`Copying ${digits} digits over a blank of ${blank}, on ${start.adapter}\n`);
    if (this.#resumed === undefined) {
      this.#config = { ...now, started: this.#began.toISOString() };
      this.#folder = RunFolder.create(this.#plan, this.#config);
    } else {
      const { path, config, checkpoint, told } = this.#resumed;
      this.#config = { ...now, started: config.started, resumed: (config.resumed ?? 0) + 1 };
      ({ folder: this.#folder, metrics: this.#metrics } = RunFolder.reopen(path, told, this.#config));
      const models = checkpoint === undefined ? [] : readProgress(checkpoint).models;
      stdout.write(`Going on with ${this.#plan.name} from ${describeProgress(models)}\n`);
      if (config.adapter !== start.adapter || config.runtime !== start.runtime) {
        stdout.write(
          `The run was begun with ${config.runtime} on ${config.adapter}, and goes on with ${start.runtime} on ${start.adapter}: ${OTHERWISE}\n`,
        );
      }
    }
    stdout.write(`Parameters: ${sizes.join(', ')}. Ctrl-C stops and keeps what there is in ${this.#folder.path}\n\n`);
  }

  // A device that was lost may come back as another adapter.
  #move(adapter: string): void {
    if (this.#config === undefined || this.#config.adapter === adapter) return;
    const line = `The run was on ${this.#config.adapter}, and goes on on ${adapter}: ${OTHERWISE}\n`;
    this.#progress.pause(() => this.#around.stdout.write(line));
    const config: RunConfig = { ...this.#config, adapter };
    this.#config = config;
    this.#tryToWrite('the config waits for the end', (folder) => folder.writeConfig(config));
  }

  // A figure that is not finite would be lost in JSON, so it ends the run instead.
  #record(metric: Metric): void {
    for (const [name, value] of Object.entries(metric)) {
      if (typeof value === 'number' && !Number.isFinite(value)) {
        throw new RimgradError(
          `${metric.model} at step ${this.#step}: ${name} is ${value}; train with a smaller --learning-rate or --clip`,
        );
      }
    }
    this.#metrics.push(metric);
    this.#tryToWrite('the figures wait for the next try', (folder) => folder.append(metric));
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
      this.#warn(`${describe(error)}. The training goes on${there ? '' : `; ${meanwhile}`}`);
    }
  }

  #warn(line: string): void {
    this.#progress.pause(() => this.#around.stderr.write(`rimgrad: ${line}\n`));
  }

  // Writes what ends a run folder; nothing where the training never began.
  async #finish(end: Pick<RunConfig, 'status' | 'note'>): Promise<RunFolder | undefined> {
    if (this.#folder === undefined || this.#config === undefined) return undefined;
    const { process: _process, ...known } = this.#config;
    const config: RunConfig = { ...known, ...end };
    this.#folder.close();
    this.#folder.writeReport(await renderReport({ name: this.#plan.name, config, metrics: this.#metrics }));
    // Last: a run that says that it is finished has everything.
    this.#folder.writeConfig(config);
    return this.#folder;
  }

  // With --json: what the run came to, in one object.
  #sayToMachines(status: RunStatus, folder: RunFolder | undefined, note: string | undefined): void {
    if (!this.#options.json) return;
    const { accuracy, recall } = memoryless(this.#options);
    const result: RunSummary = {
      status,
      note: note ?? null,
      run: folder?.path ?? null,
      report: folder === undefined ? null : join(folder.path, 'report.html'),
      seconds: this.#seconds(),
      adapter: this.#config?.adapter ?? null,
      parameters: this.#config?.parameters ?? {},
      evaluations: lastEvaluations(sortMetrics(this.#metrics).evaluations).map(
        ({ model, step, blank, crossEntropy, accuracy }) => ({ model, step, blank, crossEntropy, accuracy }),
      ),
      memoryless: { accuracy, crossEntropy: recall },
    };
    this.#around.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  }

  #seconds(): number {
    return (Date.now() - this.#began.getTime()) / 1000;
  }

  #say(folder: RunFolder | undefined, note: string | undefined): void {
    const stdout = this.#out;
    const seconds = this.#seconds();
    const results = formatResults(this.#options, this.#metrics);
    stdout.write(`\n${results}${results === '' ? '' : '\n'}`);
    stdout.write(
      `${note === undefined ? 'Done' : note.replace('stopped', 'Stopped')} after ${formatDuration(seconds)}.`,
    );
    stdout.write(folder === undefined ? '\n' : ` Report: ${join(folder.path, 'report.html')}\n`);
  }
}

/** What a run that moves has to be told. */
const OTHERWISE = 'its last digits may differ from those of a run that had stayed there';

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}

function nowhere(): ProgressStream {
  return new Writable({ write: (_chunk, _encoding, done) => done() });
}
