// Training on the copying task: what a trainer is given, what it tells while it runs, and what it leaves.
//
// Always: the trainer opens and closes the device, holds the models and the data, and knows nothing of files, terminals
// or pages. It trains the RIM, then the LSTM unless `lstm` is false, with the same protocol.
// Not here: the command line and the run folder (main-job.ts), the graphs of the programs (programs.ts).

import { at } from '../engine/errors.ts';
import { compile, type Device, evaluate, input, openDevice, RandomState } from '../engine/node.ts';
import type { SafetensorsTensor } from '../engine/safetensors.ts';
import { type EvaluationRun, makeEvaluation } from './evaluation.ts';
import { adapterName } from './messages.ts';
import type { Activation, Evaluation, TrainStep } from './metrics.ts';
import { type CopyingModel, copyingModel } from './models.ts';
import type { MainOptions } from './options.ts';
import { trainingProgram } from './programs.ts';
import { copying, copyingBatch, copyingLength } from './tasks/index.ts';

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
  /** One sample sequence for each blank length that the report shows, of the RIM; none where it was stopped before a step. */
  readonly activations: readonly Activation[];
  /** All weights, under names such as `rim.cell.0.weight`; a model that did not do a step is left out. */
  readonly weights: ReadonlyMap<string, SafetensorsTensor>;
}

/** Trains the models that the options describe. @throws RimgradError, never after an abort */
export type TrainCopying = (options: MainOptions, events: TrainEvents) => Promise<TrainResult>;

/** Steps between two reads of the loss: a read waits for the device. */
const READ_EVERY = 10;

export const trainCopying: TrainCopying = async (options, events) => {
  const device = await openDevice();
  try {
    const random = new RandomState({ seed: options.seed });
    const names = options.lstm ? (['RIM', 'LSTM'] as const) : (['RIM'] as const);
    const models = names.map((name) => copyingModel(name, options, random));
    const parameters = models.map(
      ({ name, variables }) => [name, variables.reduce((sum, v) => sum + v.size, 0)] as const,
    );
    events.onStart({
      adapter: adapterName(device),
      runtime: `Node ${process.versions.node}`,
      parameters: Object.fromEntries(parameters),
    });
    const weights = new Map<string, SafetensorsTensor>();
    const activations: Activation[] = [];
    for (const model of models) {
      if (events.signal.aborted) break;
      if ((await trainModel(device, model, options, events)) === 0) break;
      if (model.name === 'RIM') activations.push(...(await sampleActivations(device, model, options)));
      for (const variable of model.variables) {
        const data = await variable.read();
        if (data instanceof Float32Array)
          weights.set(variable.name, { dtype: 'F32', shape: [...variable.shape], data });
      }
    }
    return { stopped: events.signal.aborted, activations, weights };
  } finally {
    device.dispose();
  }
};

/** Trains one model, evaluating on the way and at the end. @returns the steps that were done: 0 only after an abort */
async function trainModel(
  device: Device,
  model: CopyingModel,
  options: MainOptions,
  events: TrainEvents,
): Promise<number> {
  const { digits, blank, batch, seed, steps } = options;
  const { outputs, updates } = trainingProgram(model, options);
  const step = await compile(device, outputs, updates);
  const evaluations: EvaluationRun[] = [];
  const evaluateAll = async (done: number): Promise<void> => {
    for (const each of evaluations)
      events.onEvaluation({ model: model.name, step: done, ...(await each.run(events.signal)) });
  };
  let done = 0;
  try {
    for (const each of options.testBlanks) {
      if (events.signal.aborted) return done;
      evaluations.push(await makeEvaluation(device, model, options, each));
    }
    const began = performance.now();
    let measuring = 0;
    for (const feeds of copying({ digits, blank, batch, seed, steps })) {
      if (events.signal.aborted) break;
      await step.run(feeds);
      done++;
      if (done % READ_EVERY === 0 || done === 1 || done === steps) {
        const [lossNow, accuracyNow] = await Promise.all([step.read('loss'), step.read('accuracy')]);
        const seconds = (performance.now() - began - measuring) / 1000;
        events.onStep({ model: model.name, step: done, loss: at(lossNow, 0), accuracy: at(accuracyNow, 0), seconds });
      }
      if (options.evaluateEvery > 0 && done % options.evaluateEvery === 0 && done < steps) {
        const before = performance.now();
        await evaluateAll(done);
        measuring += performance.now() - before;
      }
    }
    if (done > 0) await evaluateAll(done);
    return done;
  } finally {
    step.dispose();
    for (const each of evaluations) each.dispose();
  }
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
