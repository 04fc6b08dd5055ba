// The main job around a training that is made up here: what lies in the run folder after it ended, was stopped, failed or
// never began, what is printed, and the exit codes. The real training has tests of its own.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { jobTask } from '../bench/job-tasks.ts';
import { runMainJob } from '../bench/main-job.ts';
import type { MainOptions } from '../bench/options.ts';
import { createProgress, formatDuration, Speed } from '../bench/progress.ts';
import { worseThanTrivial } from '../bench/results-table.ts';
import { readRun } from '../bench/runs.ts';
import { factsOf } from '../bench/task-facts.ts';
import { copyingBatch } from '../bench/tasks/copying.ts';
import type { TrainEvents, TrainJob, TrainResult } from '../bench/train.ts';
import { DeviceError, NonFiniteError } from '../engine/errors.ts';
import { optionsOf } from './tiny-training.ts';

const test = suite('main job', { out: '' });

test.before.each((context) => {
  context.out = mkdtempSync(join(tmpdir(), 'rimgrad-job-'));
});
test.after.each((context) => {
  rmSync(context.out, { recursive: true, force: true });
});

class Screen extends Writable {
  text = '';
  readonly isTTY: boolean;
  readonly columns: number = 100;
  constructor(isTTY = false) {
    super();
    this.isTTY = isTTY;
  }
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function job(args: readonly string[], train: TrainJob, controller = new AbortController()): Promise<Outcome> {
  const stdout = new Screen();
  const stderr = new Screen();
  const code = await runMainJob(args, { stdout, stderr, train, signal: controller.signal });
  return { code, stdout: stdout.text, stderr: stderr.text };
}

function result({ digits, blank, modules }: MainOptions, stopped: boolean): TrainResult {
  const symbols = [...copyingBatch({ digits, blank, batch: 1, seed: 1 }, 0).x];
  const mask = symbols.map((_, t) => Array.from({ length: modules }, (_, n) => (n + t) % 2));
  const weights = new Map([['rim.w', { dtype: 'F32', shape: [1], data: new Float32Array([3]) } as const]]);
  return {
    stopped,
    activations: [{ model: 'RIM', setting: blank, inputs: symbols, mask }],
    weights,
    weightSteps: { RIM: 20 },
  };
}

// A made-up training of 20 steps a model; `at` is called after each.
function made(at: (step: number, model: string, events: TrainEvents) => void = () => {}): TrainJob {
  return async (options, events) => {
    events.onStart({
      adapter: 'a made-up adapter',
      runtime: 'Node',
      parameters: { RIM: 1200, LSTM: 3400 },
      task: factsOf(await jobTask(options)),
    });
    for (const model of ['RIM', 'LSTM']) {
      for (let step = 1; step <= options.steps; step++) {
        events.onStep({ model, step, loss: 2 / step, figures: { accuracy: step / options.steps }, seconds: step / 10 });
        at(step, model, events);
        if (events.signal.aborted) return result(options, true);
      }
      for (const blank of options.testBlanks) {
        const accuracy = model === 'RIM' ? 1 : 10 / blank;
        const figures = { crossEntropy: blank / 10, accuracy, meanCrossEntropy: 0.5 };
        events.onEvaluation({ model, step: options.steps, split: 'test', setting: blank, figures });
      }
    }
    return result(options, false);
  };
}

test('a finished job leaves a whole run folder and prints the table', async ({ out }) => {
  const { code, stdout, stderr } = await job(['--out', out, '--name', 'a', '--steps', '20'], made());
  assert.is(code, 0);
  assert.is(stderr, '');
  const run = readRun(join(out, 'a'));
  assert.is(run.config.status, 'finished');
  assert.is(run.config.adapter, 'a made-up adapter');
  assert.is(run.config.options.steps, 20);
  assert.is(run.metrics.length, 2 * (20 + 3) + 1);
  assert.equal(run.model?.tensors.get('rim.w')?.data, new Float32Array([3]));
  assert.match(readFileSync(join(out, 'a', 'report.html'), 'utf8'), 'Which modules were active');
  assert.match(
    stdout,
    /\nCross-entropy \(nats\)\n\n +blank +RIM +LSTM +trivial\n +10 \(trained\) +1\.000 +1\.000 +2\.079\n/,
  );
  assert.match(stdout, /\n +40 +4\.000 +4\.000 +2\.079\n/);
  assert.match(stdout, /\nAccuracy\n\n +blank +RIM +LSTM +trivial\n +10 \(trained\) +1\.000 +1\.000 +0\.125\n/);
  assert.match(stdout, /\n +40 +1\.000 +0\.250 +0\.125\n/);
  // The made-up figures, from which 4 nats at a blank of 40 are worse than the ln 8 of knowing nothing.
  const worse = ['RIM', 'LSTM'].map(
    (model) =>
      `${model} at a blank of 40 is worse in cross-entropy than a model that has learned nothing but the layout.`,
  );
  assert.match(stdout, `nothing but the layout.\n${worse.join('\n')}\n\nDone after`);
  assert.match(readFileSync(join(out, 'a', 'report.html'), 'utf8'), worse.join(' '));
  assert.match(stdout, join(out, 'a', 'report.html'));
});

test('models are told to be worse than a trivial one only where they are, and at all these settings', async () => {
  const facts = factsOf(await jobTask(optionsOf('--test-blanks', '20,40,80')));
  const evaluation = (model: string, setting: number, crossEntropy: number) =>
    ({ model, step: 1, split: 'test', setting, figures: { crossEntropy, accuracy: 0 } }) as const;
  const results = [evaluation('A', 80, 3), evaluation('A', 10, 1), evaluation('A', 20, 3), evaluation('A', 40, 3)];
  assert.equal(worseThanTrivial(facts, [...results, evaluation('B', 10, Math.log(8)), evaluation('B', 20, 2)]), [
    'A at a blank of 20, 40 and 80 is worse in cross-entropy than a model that has learned nothing but the layout.',
  ]);
});

test('a pipe gets about ten whole lines a model and no control characters', async ({ out }) => {
  const { stdout } = await job(['--out', out, '--steps', '200'], made());
  const lines = stdout.split('\n').filter((line) => line.includes('steps/s'));
  assert.is(lines.length, 22);
  assert.match(lines[0] ?? '', /^RIM +1\/200 {2}loss 2\.0000 {2}accuracy 0\.005 {2}10\.0 steps\/s {2}0:20 left$/);
  assert.match(lines[21] ?? '', /^LSTM 200\/200 .* 0:00 left$/);
  for (const character of stdout) assert.ok(character === '\n' || character >= ' ', 'a control character');
});

test('a terminal gets a live bar, and its cursor back', async () => {
  const screen = new Screen(true);
  const progress = createProgress(screen);
  progress.begin('RIM', 100);
  for (let step = 1; step <= 50; step++)
    progress.update({ step, loss: 0.5, figure: { label: 'accuracy', value: 0.25 }, seconds: step / 5 });
  progress.end();
  progress.end();
  assert.match(screen.text, '50/100  loss 0.5000  accuracy 0.250  5.0 steps/s  0:10 left');
  assert.ok(screen.text.lastIndexOf('\x1b[?25h') > screen.text.lastIndexOf('\x1b[?25l'), 'the cursor is shown again');
});

test('stopping keeps config, metrics, weights and a report', async ({ out }) => {
  const controller = new AbortController();
  const stop = made((step, model) => {
    if (model === 'LSTM' && step === 7) controller.abort();
  });
  const { code, stdout } = await job(['--out', out, '--name', 'a', '--steps', '20'], stop, controller);
  assert.is(code, 130);
  assert.match(stdout, /LSTM +1\/20 [^\n]*\n(LSTM[^\n]*\n)*Stopping: [^\n]*\n\n/, 'at once, in a line of its own');
  assert.match(stdout, 'Stopped at step 7 of the LSTM');
  const run = readRun(join(out, 'a'));
  assert.is(run.config.status, 'stopped');
  assert.is(run.metrics.length, 20 + 3 + 7 + 1);
  assert.ok(run.model);
  assert.match(readFileSync(join(out, 'a', 'report.html'), 'utf8'), 'not complete: stopped at step 7 of the LSTM');
});

test('stopped after steps that were not finite, it says so in one line and keeps what was before', async ({ out }) => {
  const controller = new AbortController();
  const failure = new NonFiniteError(8, "'exp' [2] is bad", 'mend it', undefined, { of: 'the RIM' });
  const stop: TrainJob = async (options, events, from) => {
    const train = made((step) => {
      if (step === 5) controller.abort();
    });
    return { ...(await train(options, events, from)), failure };
  };
  const { code, stdout, stderr } = await job(['--out', out, '--name', 'a', '--steps', '20'], stop, controller);
  assert.is(code, 130);
  const line =
    "step 8 of the RIM: 'exp' [2] is bad. Weights, moments and counters stand as they were before that step; mend it";
  assert.is(stderr, `rimgrad: ${line}\n`);
  assert.match(stdout, 'Stopped at step 7 of the RIM after');
  const run = readRun(join(out, 'a'));
  assert.equal([run.config.status, run.config.note], ['stopped', `stopped at step 7 of the RIM; ${line}`]);
  assert.ok(run.model);
});

test('a failing training keeps what there is, and its error is one line', async ({ out }) => {
  const fail = made((step) => {
    if (step === 5) throw new DeviceError('device: it was lost;\n restart the browser');
  });
  const { code, stderr } = await job(['--out', out, '--name', 'a', '--steps', '20'], fail);
  assert.is(code, 1);
  assert.is(stderr, 'rimgrad: device: it was lost; restart the browser\n');
  const run = readRun(join(out, 'a'));
  assert.is(run.config.status, 'failed');
  assert.is(run.config.note, 'device: it was lost; restart the browser');
  assert.is(run.metrics.length, 5);
  assert.is(run.model, undefined);
  assert.ok(existsSync(join(out, 'a', 'report.html')));
});

test('a figure that is not finite ends the run with its name and step', async ({ out }) => {
  const diverge: TrainJob = async (options, events) => {
    events.onStart({ adapter: 'a', runtime: 'Node', parameters: {}, task: factsOf(await jobTask(options)) });
    events.onStep({ model: 'RIM', step: 1, loss: Number.NaN, figures: { accuracy: 0 }, seconds: 1 });
    return result(options, false);
  };
  const { code, stderr } = await job(['--out', out, '--name', 'a'], diverge);
  assert.is(code, 1);
  assert.is(stderr, 'rimgrad: RIM at step 1: loss is NaN; train with a smaller --learning-rate or --clip\n');
});

test('nothing is left where the training never began', async ({ out }) => {
  const none: TrainJob = () => Promise.reject(new DeviceError('no adapter; install a driver'));
  const { code, stderr } = await job(['--out', join(out, 'runs'), '--name', 'a'], none);
  assert.is(code, 1);
  assert.is(stderr, 'rimgrad: no adapter; install a driver\n');
  assert.equal(readdirSync(out), []);
});

test('a taken name is refused before the training, and --force replaces it', async ({ out }) => {
  const args = ['--out', out, '--name', 'a', '--steps', '20'];
  await job(args, made());
  const never: TrainJob = () => Promise.reject(new Error('it was begun'));
  const { code, stderr } = await job(args, never);
  assert.is(code, 1);
  assert.match(stderr, '--force');
  assert.is((await job([...args, '--force', '--digits', '2'], made())).code, 0);
  assert.is(readRun(join(out, 'a')).config.options.digits, 2);
});

test('wrong usage exits with 2, help with 0, a bug with 1 and no stack trace', async () => {
  const usage = await job(['--digits', 'x'], made());
  assert.is(usage.code, 2);
  assert.match(usage.stderr, /^rimgrad: .*--digits.*\n$/);
  const help = await job(['--help'], made());
  assert.is(help.code, 0);
  assert.match(help.stdout, 'Usage: rimgrad train [options]');
  const bug = await job([], () => Promise.reject(new TypeError('x is undefined')));
  assert.is(bug.code, 1);
  assert.is(bug.stderr, 'rimgrad: an unexpected error, a bug of rimgrad: x is undefined\n');
});

test('the speed forgets a slow start, and durations read well', () => {
  const speed = new Speed();
  assert.is(speed.update(1, 10), 0.1);
  let rate = 0;
  for (let step = 2; step <= 400; step++) rate = speed.update(step, 10 + (step - 1) / 20);
  assert.ok(Math.abs(rate - 20) < 0.5, `${rate}`);
  assert.equal([7, 754, 3723, Number.NaN].map(formatDuration), ['0:07', '12:34', '1:02:03', '-:--']);
});

test.run();
