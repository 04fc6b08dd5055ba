// The main job at a terminal: arguments in, a live progress, tables of results and an exit code out.
//
// Always: an error is one clear line on stderr and an exit code, never a stack trace; with --json standard output holds one object
// and nothing else. Not here: the job itself (job.ts), and the process with its signals (train-command.ts).

import { basename, join } from 'node:path';
import { Writable } from 'node:stream';
import { EXIT, fail } from './command-line.ts';
import { HelpWanted, Job, type JobBegun, type JobEnd, type JobWatcher } from './job.ts';
import { describe } from './messages.ts';
import type { Evaluation, Figures, TrainStep } from './metrics.ts';
import type { MainOptions } from './options.ts';
import { createProgress, formatDuration, type Progress, type ProgressStream } from './progress.ts';
import { formatResults } from './results-table.ts';
import type { RunStatus } from './run-config.ts';
import type { SelectionRule } from './selection.ts';
import { shownFigure, type TaskFacts } from './task-facts.ts';
import type { TrainJob } from './train.ts';

/** What the job is given by the process that it runs in. */
export interface Surroundings {
  readonly stdout: ProgressStream;
  readonly stderr: NodeJS.WritableStream;
  readonly train: TrainJob;
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
  readonly task: string;
  /** What a test varies. */
  readonly setting: string | null;
  /** Whose data it is, where the task says so. */
  readonly data: string | null;
  /** Trained numbers of each model. */
  readonly parameters: Readonly<Record<string, number>>;
  /** The rule by which evaluations count. */
  readonly select: SelectionRule;
  /** The test evaluation of each model at each setting that counts. */
  readonly evaluations: readonly Omit<Evaluation, 'split'>[];
  /** A model that has learned nothing but the layout. */
  readonly trivial: readonly TrivialFigures[];
}

/** What a model that has learned nothing has at one setting. */
export interface TrivialFigures {
  readonly setting: number;
  readonly figures: Figures;
}

/**
 * Runs the main job.
 *
 * @param args the command line after the program's name.
 * @returns the exit code, of `EXIT`.
 */
export async function runMainJob(args: readonly string[], surroundings: Surroundings): Promise<number> {
  try {
    const job = new Job(args);
    const screen = new Screen(job.options, surroundings);
    return await screen.show(job, surroundings.train);
  } catch (error) {
    if (!(error instanceof HelpWanted)) return fail(error, surroundings.stderr);
    surroundings.stdout.write(error.message);
    return EXIT.done;
  }
}

/** The figures of a model that has learned nothing, at each tested setting. */
export function trivialFigures({ tested, trivial }: TaskFacts): TrivialFigures[] {
  return tested.map((setting, i) => ({ setting, figures: trivial[i] ?? {} }));
}

// What one run of the job shows.
class Screen {
  readonly #options: MainOptions;
  readonly #around: Surroundings;
  /** What people read: nothing of it where machines do. */
  readonly #out: ProgressStream;
  readonly #progress: Progress;
  readonly #began = performance.now();
  #begun: JobBegun | undefined;
  #model = '';

  constructor(options: MainOptions, around: Surroundings) {
    this.#options = options;
    this.#around = around;
    this.#out = options.json ? nowhere() : around.stdout;
    this.#progress = createProgress(this.#out);
  }

  /** @returns the exit code */
  async show(job: Job, train: TrainJob): Promise<number> {
    const { signal, stderr } = this.#around;
    const stopping = (): void => {
      this.#progress.end();
      this.#out.write('Stopping: a last, short evaluation, then the report\n');
    };
    signal.addEventListener('abort', stopping, { once: true });
    try {
      const end = await job.run(this.#watcher(signal), train);
      this.#progress.end();
      this.#sayToMachines(end.status, end.note, end);
      if (end.status === 'failed') {
        if (end.trained) this.#sayResults(end);
        this.#out.write(`What there is lies in ${end.path}\n`);
        return fail(end.error, stderr);
      }
      this.#say(end);
      return end.status === 'stopped' ? EXIT.stopped : EXIT.done;
    } catch (error) {
      this.#progress.end();
      this.#sayToMachines('failed', describe(error));
      throw error;
    } finally {
      signal.removeEventListener('abort', stopping);
    }
  }

  #watcher(signal: AbortSignal): JobWatcher {
    return {
      signal,
      onBegin: (begun) => this.#begin(begun),
      onStep: (step) => this.#step(step),
      onNote: (line) => this.#progress.pause(() => this.#out.write(`${line}\n`)),
      onWarning: (line) => this.#progress.pause(() => this.#around.stderr.write(`rimgrad: ${line}\n`)),
    };
  }

  #begin(begun: JobBegun): void {
    const { config, path, from } = begun;
    this.#begun = begun;
    const sizes = Object.entries(config.parameters).map(([model, count]) => `${model} ${grouped(count)}`);
    this.#out.write(`${config.task.headline}, on ${config.adapter}\n`);
    if (config.task.source !== undefined) this.#out.write(`Data: ${config.task.source}\n`);
    if (from !== undefined) this.#out.write(`Going on with ${basename(path)} from ${from}\n`);
    this.#out.write(`Parameters: ${sizes.join(', ')}. Ctrl-C stops and keeps what there is in ${path}\n\n`);
  }

  #step({ model, step, loss, figures, seconds }: TrainStep): void {
    const { steps } = this.#options;
    if (model !== this.#model) {
      this.#model = model;
      this.#progress.begin(model.padEnd(4), steps);
    }
    const shown = this.#begun && shownFigure(this.#begun.config.task);
    const value = shown && figures[shown.name];
    const figure = value === undefined ? {} : { figure: { label: shown?.label ?? '', value } };
    this.#progress.update({ step, loss, seconds, ...figure });
    if (step >= steps) this.#progress.end();
  }

  // With --json: what the run came to, in one object.
  #sayToMachines(status: RunStatus, note: string | undefined, end?: JobEnd): void {
    if (!this.#options.json) return;
    const { path, config } = end ?? this.#begun ?? {};
    const result: RunSummary = {
      status,
      note: note ?? null,
      run: path ?? null,
      report: path === undefined ? null : join(path, 'report.html'),
      seconds: this.#seconds(),
      adapter: config?.adapter ?? null,
      task: this.#options.task,
      setting: config?.task.setting ?? null,
      data: config?.task.source ?? null,
      parameters: config?.parameters ?? {},
      select: this.#options.select,
      evaluations: (end?.results ?? []).map(({ model, step, setting, figures }) => ({ model, step, setting, figures })),
      trivial: config === undefined ? [] : trivialFigures(config.task),
    };
    this.#around.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  }

  #seconds(): number {
    return (performance.now() - this.#began) / 1000;
  }

  #sayResults({ config, results }: JobEnd): void {
    const tables = formatResults(config.task, results, this.#options.select);
    this.#out.write(`\n${tables}${tables === '' ? '' : '\n'}`);
  }

  #say(end: JobEnd): void {
    const { status, at, path } = end;
    const how = status === 'stopped' ? at.replace('stopped', 'Stopped') : 'Done';
    this.#sayResults(end);
    this.#out.write(`${how} after ${formatDuration(this.#seconds())}. Report: ${join(path, 'report.html')}\n`);
  }
}

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}

function nowhere(): ProgressStream {
  return new Writable({ write: (_chunk, _encoding, done) => done() });
}
