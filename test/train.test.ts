// The real trainer: the programs of the paper's sizes keep the limits of every WebGPU device, and a tiny training tells its
// events in order, leaves its weights by name, and leaves what there is when it is stopped: at its start, in mid-run, by Ctrl-C.

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { jobTask } from '../bench/job-tasks.ts';
import type { Evaluation } from '../bench/metrics.ts';
import { taskModel } from '../bench/models.ts';
import type { MainOptions } from '../bench/options.ts';
import { evaluationProgram, inParts, type ProgramParts, trainingProgram } from '../bench/programs.ts';
import { readRun } from '../bench/runs.ts';
import { bestStep } from '../bench/selection.ts';
import { copyingTask } from '../bench/tasks/index.ts';
import { type TrainEvents, type TrainResult, trainJob } from '../bench/train.ts';
import { at, need } from '../engine/errors.ts';
import { checkLimits } from '../engine/limits.ts';
import { RandomState } from '../engine/node.ts';
import { dispatchesOf, type Plan } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import { refused } from './on-adapter.ts';
import { optionsOf, tiny, tinyRIM } from './tiny-training.ts';

const MiB = 2 ** 20;
/** The limits that every WebGPU device has. */
const LIMITS = { maxStorageBufferBindingSize: 128 * MiB, maxBufferSize: 256 * MiB };

function planned({ outputs, updates }: ProgramParts, subgroupSize: number): Plan {
  const plan = planProgram(outputs, updates, { training: updates.length > 0, subgroupSize });
  checkLimits(LIMITS, plan);
  return plan;
}

function assertFits(plan: Plan, what: string): void {
  for (const { label, buffers } of dispatchesOf(plan)) {
    for (const { place } of buffers) assert.ok(place.bytes <= 128 * MiB, `${what}: ${label} binds ${place.bytes}`);
  }
  for (const bytes of plan.slots) assert.ok(bytes <= 256 * MiB, `${what}: a slot of ${bytes}`);
}

for (const name of ['rim', 'lstm']) {
  test(`--paper keeps the limits of every device: ${name}`, async () => {
    const options = optionsOf('--paper');
    assert.equal(options.testBlanks, [50, 200]);
    const { task, trained, tested } = await jobTask(options);
    assert.equal(tested, [50, 200]);
    const model = taskModel(name, task, options, new RandomState({ seed: options.seed }));
    for (const subgroupSize of [0, 8, 32]) {
      assertFits(planned(trainingProgram(model, task, trained, options), subgroupSize), 'training');
      for (const blank of tested) {
        const { made, parts } = await inParts(options.batch, async (count) =>
          planned(evaluationProgram(model, task, blank, options.batch / count), subgroupSize),
        );
        assertFits(made, `evaluation at ${blank}`);
        assert.ok(parts <= 4, `evaluation at ${blank} takes ${parts} parts`);
      }
    }
  });
}

test('a batch is halved while it passes a limit, and refused where it cannot be', async () => {
  const options = optionsOf('--batch', '24');
  const task = copyingTask({ digits: options.digits });
  const model = taskModel('lstm', task, options, new RandomState({ seed: 1 }));
  const tried: number[] = [];
  // The gates of 24 sequences take 864 KiB, the recurrent weights 324 KiB.
  const make =
    (KiB: number) =>
    async (parts: number): Promise<void> => {
      tried.push(parts);
      const { outputs } = evaluationProgram(model, task, 10, 24 / parts);
      const plan = planProgram(outputs, [], { training: false, subgroupSize: 0 });
      checkLimits({ maxStorageBufferBindingSize: 1024 * KiB, maxBufferSize: 256 * MiB }, plan);
    };
  assert.is((await inParts(24, make(500))).parts, 2);
  assert.equal(tried.splice(0), [1, 2]);
  await refused(
    () => inParts(24, make(300)),
    'LimitError',
    /maxStorageBufferBindingSize of this device is 307200; make the weights smaller/,
  );
  assert.equal(tried, [1, 2, 4, 8], 'a part of 3 sequences cannot be halved');
});

/** Trains, and gives back what was measured. */
async function measuredBy(options: MainOptions): Promise<{ evaluations: readonly Evaluation[]; result: TrainResult }> {
  const evaluations: Evaluation[] = [];
  const result = await trainJob(options, {
    signal: new AbortController().signal,
    onStart: () => {},
    onStep: () => {},
    onEvaluation: (evaluation) => evaluations.push(evaluation),
  });
  return { evaluations, result };
}

interface Watched {
  readonly result: TrainResult;
  /** What was told, in order: 'start', 'RIM step 10', 'RIM evaluation 2 at 10'. */
  readonly told: readonly string[];
  /** Cross-entropies of the evaluations. */
  readonly measured: readonly number[];
}

/** Trains; `at` is called with each event as it is told. */
async function watch(options: MainOptions, at: (event: string, stop: () => void) => void = () => {}): Promise<Watched> {
  const controller = new AbortController();
  const told: string[] = [];
  const measured: number[] = [];
  const tell = (event: string): void => {
    told.push(event);
    at(event, () => controller.abort());
  };
  const events: TrainEvents = {
    signal: controller.signal,
    onStart: ({ adapter, runtime, parameters, task }) => {
      assert.equal([task.trained, task.tested], [options.blank, options.testBlanks]);
      assert.ok(adapter.length > 0 && runtime.startsWith('Node '));
      for (const count of Object.values(parameters)) assert.ok(count > 50);
      tell(`start ${Object.keys(parameters).join(' ')}`);
    },
    onStep: ({ model, step, loss, figures, seconds }) => {
      const { accuracy = -1, crossEntropy = -1, meanCrossEntropy } = figures;
      assert.ok(loss > 0 && loss < 10 && accuracy >= 0 && accuracy <= 1 && seconds > 0, `${loss} ${accuracy}`);
      assert.ok(crossEntropy > 0 && crossEntropy < 10, `${crossEntropy}`);
      assert.is(meanCrossEntropy, loss, 'the loss is the mean over all positions');
      tell(`${model} step ${step}`);
    },
    onEvaluation: ({ model, step, split, setting, figures }) => {
      const { accuracy = -1, crossEntropy = -1 } = figures;
      assert.ok(crossEntropy > 0 && crossEntropy < 10 && accuracy >= 0 && accuracy <= 1, `${crossEntropy} ${accuracy}`);
      measured.push(crossEntropy);
      tell(`${model} ${split} ${setting} at ${step}`);
    },
  };
  return { result: await trainJob(options, events), told, measured };
}

/** The weights are those of the models, by name and shape, and trained. */
function assertWeights({ weights }: TrainResult, options: MainOptions, names: readonly string[]): Promise<void> {
  const untrained = names.flatMap(
    (name) => taskModel(name, copyingTask({ digits: options.digits }), options, new RandomState({ seed: 1 })).variables,
  );
  assert.equal([...weights.keys()].sort(), untrained.map(({ name }) => name).sort());
  return Promise.all(
    untrained.map(async (variable) => {
      const { shape, data } = need(weights.get(variable.name), variable.name);
      assert.equal(shape, [...variable.shape], variable.name);
      assert.ok(data instanceof Float32Array && data.every(Number.isFinite), variable.name);
      const start = await variable.read();
      const moved = start.some((value: number, i: number) => value !== data[i]);
      assert.ok(moved, `${variable.name} was not trained`);
    }),
  ).then(() => undefined);
}

function assertActivations({ activations }: TrainResult, options: MainOptions): void {
  assert.equal(
    activations.map(({ model, setting }) => `${model} ${setting}`),
    ['RIM 2', 'RIM 5'],
  );
  for (const { setting, inputs, mask } of activations) {
    assert.is(inputs.length, setting + 2 * options.digits);
    assert.is(mask.length, inputs.length);
    for (const row of mask) {
      assert.is(row.length, options.modules);
      assert.is(
        row.reduce((sum, each) => sum + each, 0),
        options.active,
      );
    }
  }
}

/** What an evaluation tells: the tests, then the validation at the training blank. */
function evaluated(model: string, step: number): string[] {
  return ['test 2', 'test 5', 'validation 2'].map((what) => `${model} ${what} at ${step}`);
}

test('a training tells its events in order and leaves the weights of both models', async () => {
  const options = optionsOf(...tiny, '--steps', '12', '--evaluate-every', '5');
  const { result, told } = await watch(options);
  const ofModel = (model: string): string[] => [
    `${model} step 1`,
    ...evaluated(model, 5),
    `${model} step 10`,
    ...evaluated(model, 10),
    `${model} step 12`,
    ...evaluated(model, 12),
  ];
  assert.equal(told, ['start RIM LSTM', ...ofModel('RIM'), ...ofModel('LSTM')]);
  assert.is(result.stopped, false);
  assertActivations(result, options);
  await assertWeights(result, options, ['rim', 'lstm']);
});

test('stopped in mid-run it evaluates one batch a blank and leaves what was trained', async () => {
  const options = optionsOf(...tiny, '--steps', '1000', '--evaluate-every', '0');
  const stopAt10 = (event: string, stop: () => void): void => {
    if (event === 'RIM step 10') stop();
  };
  const { result, told, measured } = await watch(options, stopAt10);
  assert.equal(measured, (await watch({ ...options, testBatches: 1, validationBatches: 1 }, stopAt10)).measured);
  assert.equal(told, ['start RIM LSTM', 'RIM step 1', 'RIM step 10', ...evaluated('RIM', 10)]);
  assert.is(result.stopped, true);
  assertActivations(result, options);
  await assertWeights(result, options, ['rim']);
});

test('stopped in the second model, the first is whole', async () => {
  const options = optionsOf(...tiny, '--steps', '3', '--evaluate-every', '0');
  const { result, told } = await watch(options, (event, stop) => {
    if (event === 'LSTM step 1') stop();
  });
  assert.equal(told.slice(-4), ['LSTM step 1', ...evaluated('LSTM', 1)]);
  assert.is(result.stopped, true);
  await assertWeights(result, options, ['rim', 'lstm']);
});

test('chosen by validation, the weights and the samples are those of the best step', async () => {
  const options = optionsOf(
    ...[
      ...tiny,
      '--seed',
      '2',
      '--learning-rate',
      '0.3',
      '--steps',
      '40',
      '--evaluate-every',
      '4',
      '--select',
      'validation',
    ],
  );
  const { evaluations, result } = await measuredBy(options);
  for (const [name, model] of [
    ['rim', 'RIM'],
    ['lstm', 'LSTM'],
  ] as const) {
    const validations = evaluations.filter((each) => each.model === model && each.split === 'validation');
    assert.is(validations.length, 10);
    const least = Math.min(...validations.map(({ figures }) => figures.crossEntropy ?? Number.NaN));
    const best = need(
      validations.find(({ figures }) => figures.crossEntropy === least),
      'the best',
    ).step;
    assert.is(result.weightSteps[model], best);
    assert.is(bestStep(evaluations, model, options.blank, { figures: copyingTask().figures }), best);
    assert.ok(best < 40, `${model}: the last step was the best: nothing is shown`);
    const short = await measuredBy({ ...options, models: [name], steps: best, select: 'last' });
    assert.is(short.result.weightSteps[model], best);
    for (const [weight, { data }] of short.result.weights) {
      assert.equal(data, need(result.weights.get(weight), weight).data, weight);
    }
    const samples = result.activations.filter((each) => each.model === model);
    assert.equal(samples, short.result.activations, 'samples of the same weights');
    assert.is(samples.length, name === 'rim' ? 2 : 0);
  }
});

test('every RIM of the ablations trains', async () => {
  for (const part of ['--no-communication', '--no-input-attention', '--comm-top-k 2']) {
    const active = part === '--no-input-attention' ? ['--active', '3'] : [];
    const options = optionsOf(...tinyRIM, ...part.split(' '), ...active, '--steps', '12', '--evaluate-every', '0');
    const { told, result } = await watch(options);
    assert.equal(told.slice(-4), ['RIM step 12', ...evaluated('RIM', 12)], part);
    assertActivations(result, options);
  }
});

test('stopped before a step it leaves nothing that was not trained', async () => {
  const { result, told } = await watch(optionsOf(...tiny), (_, stop) => stop());
  assert.equal(told, ['start RIM LSTM']);
  assert.equal([result.stopped, result.activations.length, result.weights.size], [true, 0, 0]);
});

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the main job as a process, and presses Ctrl-C once when its output has matched. */
function interrupted(args: readonly string[], when: RegExp): Promise<Ended> {
  const main = fileURLToPath(new URL('../bench/rimgrad.js', import.meta.url));
  const child = spawn(process.execPath, [main, 'train', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const seen = { stdout: '', stderr: '' };
  let pressed = false;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    seen.stdout += text;
    if (pressed || !when.test(seen.stdout)) return;
    pressed = true;
    child.kill('SIGINT');
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    seen.stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...seen }));
  });
}

if (process.platform !== 'win32') {
  test('Ctrl-C stops the main job and leaves config, metrics, weights and report', async () => {
    const out = mkdtempSync(join(tmpdir(), 'rimgrad-train-'));
    try {
      const args = [...tiny, '--steps', '1000000', '--evaluate-every', '0', '--out', out, '--name', 'a'];
      const { code, stdout, stderr } = await interrupted(args, /RIM +1\/1000000/);
      assert.is(code, 130, stderr);
      assert.not.match(stderr, /^rimgrad|^ +at /m);
      assert.match(stdout, /\nStopping: /);
      assert.match(stdout, /Stopped at step \d+ of the RIM after /);
      const { config, metrics, model } = readRun(join(out, 'a'));
      assert.is(config.status, 'stopped');
      assert.match(need(config.note, 'a note'), /^stopped at step \d+ of the RIM$/);
      assert.is(at(metrics, 0).kind, 'train');
      assert.equal(
        metrics.flatMap((metric) => (metric.kind === 'evaluation' ? [`${metric.split} ${metric.setting}`] : [])),
        ['test 2', 'test 5', 'validation 2'],
      );
      const names = [...need(model, 'a model').tensors.keys()];
      assert.ok(names.length > 5 && names.every((name) => name.startsWith('rim.')), names.join());
      assert.match(readFileSync(join(out, 'a', 'report.html'), 'utf8'), 'not complete: stopped at step');
      const early = await interrupted([...tiny, '--out', out, '--name', 'b'], /Parameters: /);
      assert.is(early.code, 130, early.stderr);
      const before = readRun(join(out, 'b'));
      assert.is(before.config.status, 'stopped');
      // As a rule it comes before the first step; where it does not, what was trained is there.
      const trained = before.metrics.some(({ kind }) => kind === 'train');
      assert.is(existsSync(join(out, 'b', 'model.safetensors')), trained, 'a model is saved where it was trained');
    } finally {
      rmSync(out, { recursive: true, force: true });
    }
  });
}

test.run();
