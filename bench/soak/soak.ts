// The long run: a tiny RIM with its readout learns the copying task for thousands of steps, with everything that a training
// does beside: batches drawn, the loss read every 10 steps, an evaluation and reads of all weights now and then.
//
// Always: all kinds of work are done before the first sample, so that what is made afterwards is made for no reason; before a
// sample the device is idle and the garbage is collected. It is the main job's model and programs, in small.
// Not here: what the samples must show (samples.ts).

import { at, OptionError } from '../../engine/errors.ts';
import { compile, type Device, type Program, RandomState, type Variable } from '../../engine/node.ts';
import { taskModel } from '../models.ts';
import { type MainOptions, parseMainOptions } from '../options.ts';
import { evaluationProgram, trainingProgram } from '../programs.ts';
import { type CopyingBatch, copying, copyingTask } from '../tasks/index.ts';
import { type Sample, Samples } from './samples.ts';

/** How long, and how often it is looked at. */
export interface SoakOptions {
  readonly steps: number;
  /** Steps between samples; before each, there is an evaluation and all weights are read. */
  readonly every: number;
  readonly signal?: AbortSignal;
}

/** What the long run is given. */
export interface SoakEvents {
  /** Collects all garbage: `gc` of `node --expose-gc`. */
  collect(): void;
  onSample?(sample: Sample): void;
  /** After each step. */
  onStep?(step: number): void;
}

/** Steps between two reads of the loss, as in the main job. */
const READ_EVERY = 10;

/** The model and the task, as options of the main job: as small as they go with every part in use. */
const TINY =
  '--digits 2 --blank 3 --batch 4 --modules 3 --active 2 --hidden 4 --embedding 4 --key-size 4 --value-size 4 ' +
  '--comm-heads 2 --comm-key-size 4 --comm-value-size 4 --dropout 0.1 --attention-dropout 0.1';

/** WebGPU's ways to make an object that lasts. Encoders are not among them: every step has one of its own. */
const MAKERS = [
  'createBuffer',
  'createTexture',
  'createSampler',
  'createBindGroup',
  'createBindGroupLayout',
  'createPipelineLayout',
  'createShaderModule',
  'createComputePipeline',
  'createComputePipelineAsync',
  'createRenderPipeline',
  'createRenderPipelineAsync',
  'createQuerySet',
] as const;

/** Counts what a device is asked to make from now on. @returns the count so far */
export function countMade(gpu: GPUDevice): () => number {
  let made = 0;
  for (const name of MAKERS) {
    const make: (...args: never[]) => unknown = gpu[name];
    const counted = (...args: never[]): unknown => {
      made++;
      return make.apply(gpu, args);
    };
    Object.defineProperty(gpu, name, { value: counted, configurable: true });
  }
  return () => made;
}

/** Trains, and samples as it goes. @returns the samples; those until then where the signal ended it */
export async function soak(device: Device, options: SoakOptions, events: SoakEvents): Promise<readonly Sample[]> {
  const { steps, every, signal } = options;
  const asked = countMade(device.gpu);
  const sizes = tinyOptions();
  const training = await Training.make(device, sizes);
  try {
    const { digits, blank, batch, seed } = sizes;
    const batches = copying({ digits, blank, batch, seed })[Symbol.iterator]();
    const nextBatch = (): CopyingBatch => batches.next().value;
    // Twice: what is made at the second time only, such as a second buffer for reads, is made before the first sample too.
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < READ_EVERY; i++) await training.step(nextBatch());
      await training.lookAround();
    }
    const samples = new Samples(Math.floor(steps / every));
    const began = performance.now();
    for (let step = 1; step <= steps && signal?.aborted !== true; step++) {
      await training.step(nextBatch());
      events.onStep?.(step);
      if (step % every !== 0) continue;
      await training.lookAround();
      await device.idle();
      const seconds = (performance.now() - began) / 1000;
      // Turns of the event loop between collections, for what finalisers and weak references keep until then.
      for (let i = 0; i < 3; i++) {
        events.collect();
        await new Promise((resolve) => setImmediate(resolve));
      }
      const sample = { step, loss: training.loss, seconds, ...memoryOf(device), asked: asked() };
      samples.add(sample);
      events.onSample?.(sample);
    }
    return samples.all();
  } finally {
    training.dispose();
  }
}

function tinyOptions(): MainOptions {
  const request = parseMainOptions(TINY.split(' '));
  if (request.kind === 'run') return request.options;
  throw new OptionError('soak: its sizes ask for help; mend TINY');
}

function memoryOf(device: Device): Omit<Sample, 'step' | 'loss' | 'seconds' | 'asked'> {
  const { heapUsed: heap, external, arrayBuffers, rss: resident } = process.memoryUsage();
  const { bytes: gpuBytes, peak: gpuPeak, buffers: gpuBuffers } = device.memory();
  const created = Object.values(device.created()).reduce((sum: number, count: number) => sum + count, 0);
  return { heap, external, arrayBuffers, resident, gpuBytes, gpuPeak, gpuBuffers, created };
}

/** One training with its programs. */
class Training {
  /** Of the last step whose loss was read. */
  loss = Number.NaN;
  readonly #step: Program;
  readonly #evaluation: Program;
  readonly #variables: readonly Variable[];
  readonly #sizes: MainOptions;
  #done = 0;

  private constructor(step: Program, evaluation: Program, variables: readonly Variable[], sizes: MainOptions) {
    this.#step = step;
    this.#evaluation = evaluation;
    this.#variables = variables;
    this.#sizes = sizes;
  }

  static async make(device: Device, sizes: MainOptions): Promise<Training> {
    const task = copyingTask({ digits: sizes.digits });
    const model = taskModel('rim', task, sizes, new RandomState({ seed: sizes.seed }));
    const { outputs, updates } = trainingProgram(model, task, sizes.blank, sizes);
    const step = await compile(device, outputs, updates);
    const evaluation = await compile(device, evaluationProgram(model, task, sizes.blank, sizes.batch).outputs);
    return new Training(step, evaluation, model.variables, sizes);
  }

  async step(batch: CopyingBatch): Promise<void> {
    await this.#step.run(batch);
    this.#done++;
    if (this.#done % READ_EVERY === 0) this.loss = at(await this.#step.read('loss'), 0);
  }

  /** An evaluation on test sequences, and a read of every weight. */
  async lookAround(): Promise<void> {
    const { digits, blank, batch, seed } = this.#sizes;
    for (const feeds of copying({ digits, blank, batch, seed, split: 'test', steps: 2 })) {
      await this.#evaluation.run(feeds);
      await Promise.all([this.#evaluation.read('crossEntropy'), this.#evaluation.read('accuracy')]);
    }
    await Promise.all(this.#variables.map((variable) => variable.read()));
  }

  dispose(): void {
    this.#step.dispose();
    this.#evaluation.dispose();
    for (const variable of this.#variables) variable.dispose();
  }
}
