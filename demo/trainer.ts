// Models of one set of settings on one device: trained side by side on the same batches, measured, looked into, saved.
//
// Always: step s trains on batch s of the seed, so that a run may pause, go on, or be taken up on another device and see the
// same data; `snapshot` holds every Variable of the training programs (weights, moments, counters), so that what goes on from
// one gives the bits of a run that was never broken. Programs are compiled when they are first needed.
// Not here: when to do what, and messages (train-worker.ts). It runs in any runtime: it is given the device.

import { type EvaluationRun, makeEvaluation } from '../bench/evaluation.ts';
import type { Evaluation } from '../bench/metrics.ts';
import { type TaskModel, taskModel } from '../bench/models.ts';
import { lookProgram, trainingProgram } from '../bench/programs.ts';
import type { Task, TaskBatch } from '../bench/tasks/index.ts';
import {
  compile,
  type Data,
  type Device,
  FileError,
  loadVariables,
  type Program,
  RandomState,
  RimgradError,
  readSafetensors,
  saveVariables,
} from '../engine/core.ts';
import { at, need } from '../engine/errors.ts';
import type { Look, LookRequest, ModelFigures } from './messages.ts';
import { modelNames, modelOptions, type Settings, toQuery } from './settings.ts';
import { type PageTask, pageTask } from './tasks.ts';

/** Told as kernels get ready. */
export type OnProgress = (what: string, done: number, total: number) => void;

/** Everything that a training holds, on the host. */
export interface Snapshot {
  readonly step: number;
  /** For each model the values of its training program's Variables, in the program's order. */
  readonly values: readonly (readonly Data[])[];
}

interface Trained {
  readonly model: TaskModel;
  readonly program: Program;
}

export class Trainer {
  readonly settings: Settings;
  readonly #device: Device;
  readonly #job: PageTask;
  readonly #trained: readonly Trained[];
  readonly #onProgress: OnProgress;
  readonly #evaluations = new Map<string, EvaluationRun>();
  readonly #looks = new Map<number, Program>();
  #step = 0;

  private constructor(
    device: Device,
    settings: Settings,
    job: PageTask,
    trained: readonly Trained[],
    onProgress: OnProgress,
  ) {
    this.#device = device;
    this.settings = settings;
    this.#job = job;
    this.#trained = trained;
    this.#onProgress = onProgress;
  }

  /** Builds the models and compiles their training. @throws OptionError, LimitError, DeviceError as `compile` does */
  static async build(device: Device, settings: Settings, onProgress: OnProgress): Promise<Trainer> {
    const options = modelOptions(settings);
    const job = pageTask(settings);
    const trained: Trained[] = [];
    try {
      for (const name of modelNames(settings)) {
        const model = taskModel(name, job.task, options, new RandomState({ seed: settings.seed }));
        const { outputs, updates } = trainingProgram(model, job.task, job.facts.trained, options);
        const what = `the training of the ${model.name}`;
        onProgress(what, 0, 0);
        const program = await compile(device, outputs, updates, {
          onProgress: (done, total) => onProgress(what, done, total),
        });
        trained.push({ model, program });
      }
    } catch (error) {
      for (const { program } of trained) program.dispose();
      throw error;
    }
    return new Trainer(device, settings, job, trained, onProgress);
  }

  /** Updates done. */
  get step(): number {
    return this.#step;
  }

  /** Trained numbers of each model. */
  get parameters(): Readonly<Record<string, number>> {
    return Object.fromEntries(
      this.#trained.map(({ model }) => [model.name, model.variables.reduce((sum, { size }) => sum + size, 0)]),
    );
  }

  /** One update of every model, on one batch. Resolves as soon as few enough steps are in flight. */
  async train(): Promise<void> {
    const { batch, seed } = this.settings;
    const { task, facts } = this.#job;
    const feeds = task.batch({ split: 'train', setting: facts.trained, batch, seed, index: this.#step });
    for (const { program } of this.#trained) await program.run(feeds);
    this.#step++;
  }

  /**
   * Loss and figures of the last step. Waits for the device.
   * @throws RimgradError where a loss is no number any more
   */
  async figures(): Promise<ModelFigures[]> {
    const names = this.#job.task.figures.map(({ name }) => name);
    return Promise.all(
      this.#trained.map(async ({ model, program }) => {
        const [loss, ...values] = await Promise.all(
          ['loss', ...names].map(async (name) => at(await program.read(name), 0)),
        );
        const figures = Object.fromEntries(names.map((name, i) => [name, at(values, i)]));
        if (Number.isFinite(loss)) return { model: model.name, loss: need(loss, 'the loss'), figures };
        throw new RimgradError(
          `The loss of the ${model.name} is ${loss} at step ${this.#step}; reset with a smaller learning rate or a smaller clip`,
        );
      }),
    );
  }

  /** Measures every model at the settings of the tests, one after the other. */
  async *evaluate(signal: AbortSignal): AsyncGenerator<Evaluation> {
    const { batch, seed, testBatches: batches } = this.settings;
    for (const setting of this.#job.facts.tested) {
      for (const { model } of this.#trained) {
        const key = `${model.name}/${setting}`;
        let run = this.#evaluations.get(key);
        if (run === undefined) {
          this.#onProgress(`the test of the ${model.name} at ${setting}`, 0, 0);
          run = await makeEvaluation(this.#device, model, { task: this.#job.task, setting, batch, seed });
          this.#evaluations.set(key, run);
        }
        const figures = await run.run({ split: 'test', batches }, signal);
        yield { model: model.name, step: this.#step, split: 'test', setting, figures };
      }
    }
  }

  /** Looks into the RIM. */
  async look(request: LookRequest): Promise<Look> {
    const { setting, index, off, each } = request;
    const { batch, seed, modules } = this.settings;
    const { task, shown } = this.#job;
    const program = await this.#lookProgram(setting);
    const feeds = task.batch({ split: 'test', setting, batch, seed, index });
    const share = async (without: readonly number[]): Promise<number> => {
      const imposed = new Float32Array(task.steps(setting) * batch * modules);
      for (let i = 0; i < imposed.length; i++) imposed[i] = without.includes(i % modules) ? 0 : -1;
      await program.run({ ...feeds, imposed });
      return at(await program.read(shown.name), 0);
    };
    const without: number[] = [];
    if (each) for (let module = 0; module < modules; module++) without.push(await share([module]));
    const shareAllOn = await share([]);
    const found = { ...request, share: off.length === 0 ? shareAllOn : await share(off), shareAllOn };
    const read = async (name: string): Promise<Nested | undefined> => {
      const tensor = program.plan.outputs.get(name)?.tensor;
      return tensor === undefined ? undefined : nested([...(await program.read(name))], tensor.shape);
    };
    const scores = rows(await read('scores'));
    const talk = await read('communicationAttention');
    const input = await read('inputAttention');
    return {
      ...found,
      step: this.#step,
      ...firstOf(task, feeds, setting, batch),
      answers: scores.map((row) =>
        task.target(setting, batch).dtype === 'u32' ? row.indexOf(Math.max(...row)) : at(row, 0),
      ),
      mask: rows(await read('mask')),
      ...(input !== undefined && { input: list(input).map((t) => list(at(list(t), 0)).map(toInput)) }),
      ...(talk !== undefined && { talk: list(talk).map((t) => meanOfHeads(list(at(list(t), 0)).map(matrix))) }),
      ...(each && { without }),
    };
  }

  /** The weights of all models as a safetensors file, which says what they were made with. */
  async save(): Promise<Uint8Array<ArrayBuffer>> {
    const variables = this.#trained.flatMap(({ model }) => model.variables);
    const task = this.#job.task.name;
    return saveVariables(variables, { task, step: `${this.#step}`, settings: toQuery(this.settings) });
  }

  /**
   * Takes the weights of a file: of each model that the file has, all of them.
   * @returns the names of the models that were loaded
   * @throws FileError where it has none of them, or none that fit; then nothing was changed
   */
  load(bytes: Uint8Array, file: string, step: number): string[] {
    const { tensors, metadata } = readSafetensors(bytes, file);
    const loaded = this.#trained.flatMap(({ model }) => {
      const own = new Map([...tensors].filter(([name]) => name.startsWith(`${model.name.toLowerCase()}.`)));
      return own.size === 0 ? [] : [{ model, source: { metadata, tensors: own } }];
    });
    if (loaded.length === 0)
      throw new FileError(`${file}: has no weights of these models; give a file that was saved here, or of a run`);
    for (const { model, source } of loaded) loadVariables(source, model.variables, { file });
    this.#step = step;
    return loaded.map(({ model }) => model.name);
  }

  /** Copies everything that a training holds. */
  async snapshot(): Promise<Snapshot> {
    const step = this.#step;
    const values = await Promise.all(
      this.#trained.map(({ program }) => Promise.all(program.plan.variables.map((variable) => variable.read()))),
    );
    return { step, values };
  }

  /** Goes back to a snapshot of the same settings. */
  restore({ step, values }: Snapshot): void {
    this.#trained.forEach(({ program }, i) => {
      program.plan.variables.forEach((variable, k) => {
        variable.write(at(at(values, i), k));
      });
    });
    this.#step = step;
  }

  /** Frees the programs and the Variables. */
  dispose(): void {
    for (const program of [...this.#trained.map((each) => each.program), ...this.#looks.values()]) program.dispose();
    for (const evaluation of this.#evaluations.values()) evaluation.dispose();
    for (const { program } of this.#trained) for (const variable of program.plan.variables) variable.dispose();
  }

  async #lookProgram(setting: number): Promise<Program> {
    const known = this.#looks.get(setting);
    if (known !== undefined) return known;
    const { model } = at(this.#trained, 0);
    const { task } = this.#job;
    const what = `a look at ${task.setting} ${setting}`;
    this.#onProgress(what, 0, 0);
    const { outputs } = lookProgram(model, task, setting, this.settings);
    const program = await compile(this.#device, outputs, [], {
      onProgress: (done, total) => this.#onProgress(what, done, total),
    });
    this.#looks.set(setting, program);
    return program;
  }
}

/** What goes into the first sequence of a batch, and what is wanted of it. */
function firstOf(task: Task, { x, y }: TaskBatch, setting: number, batch: number): Pick<Look, 'inputs' | 'wanted'> {
  const steps = Array.from({ length: task.steps(setting) }, (_, t) => t);
  const { input } = task;
  return {
    inputs:
      input.kind === 'symbols'
        ? steps.map((t) => at(x, t * batch))
        : steps.map((t) => [...x.slice(t * batch * input.size, (t * batch + 1) * input.size)]),
    wanted: task.scored === 'every step' ? steps.map((t) => at(y, t * batch)) : [at(y, 0)],
  };
}

/** Numbers in lists of lists, as a shape says. */
type Nested = number | readonly Nested[];

function nested(data: readonly number[], shape: readonly number[]): Nested {
  const [size, ...inner] = shape;
  if (size === undefined) return at(data, 0);
  const each = data.length / size;
  return Array.from({ length: size }, (_, i) => nested(data.slice(i * each, (i + 1) * each), inner));
}

function list(value: Nested): readonly Nested[] {
  return typeof value === 'number' ? [value] : value;
}

function numbers(value: Nested): number[] {
  return list(value).map(Number);
}

function matrix(value: Nested): number[][] {
  return list(value).map(numbers);
}

/** [T,1,X] as [T][X]; nothing where there is none. */
function rows(value: Nested | undefined): number[][] {
  return value === undefined ? [] : list(value).map((t) => numbers(at(list(t), 0)));
}

/** [I,S]: the mean over heads of what is not given to the null row. */
function toInput(heads: Nested): number {
  const each = matrix(heads).map((row) => 1 - at(row, 0));
  return each.reduce((sum, x) => sum + x, 0) / each.length;
}

/** [C][N][N] as [N][N]. */
function meanOfHeads(heads: readonly number[][][]): number[][] {
  return at(heads, 0).map((row, reader) =>
    row.map((_, source) => heads.reduce((sum, head) => sum + at(at(head, reader), source), 0) / heads.length),
  );
}
