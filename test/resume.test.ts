// Runs that go on: stopped anywhere and resumed they end with the bytes and the figures of a run that was never stopped; also with
// more steps than were asked for first; what may not change is refused, and what is damaged, finished or still running as well.

import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { writeIdx } from '../bench/fuzz/idx-files.ts';
import { readRun, readRunCheckpoint } from '../bench/runs.ts';
import { type TrainJob, trainJob } from '../bench/train.ts';
import { readProgress } from '../bench/training-state.ts';
import { need } from '../engine/errors.ts';
import { writeSafetensors } from '../engine/safetensors.ts';
import { bytesOf, figuresOf, mainJob, type Outcome, random, sameRuns, tiny, tinyRIM } from './tiny-training.ts';

const test = suite('resume', { out: '' });

test.before.each((context) => {
  context.out = mkdtempSync(join(tmpdir(), 'rimgrad-resume-'));
});
test.after.each((context) => {
  rmSync(context.out, { recursive: true, force: true });
});

const rimgrad = fileURLToPath(new URL('../bench/rimgrad.js', import.meta.url));
const sizes = [...tiny, ...random];
const every = ['--checkpoint-every', '5', '--evaluate-every', '8'];

/** A trainer that is stopped as if by Ctrl-C at each of these events: 'RIM step 10', 'RIM test 2 at 8'. */
function stoppedAt(event: string, controller: AbortController): TrainJob {
  return (options, events, from) => {
    const tell = (what: string): void => {
      if (what === event) controller.abort();
    };
    return trainJob(
      options,
      {
        ...events,
        onStep: (step) => {
          events.onStep(step);
          tell(`${step.model} step ${step.step}`);
        },
        onEvaluation: (evaluation) => {
          events.onEvaluation(evaluation);
          tell(`${evaluation.model} ${evaluation.split} ${evaluation.setting} at ${evaluation.step}`);
        },
        onCheckpoint: (bytes) => {
          events.onCheckpoint?.(bytes);
          tell('checkpoint');
        },
      },
      from,
    );
  };
}

async function stop(args: readonly string[], event: string): Promise<Outcome> {
  const controller = new AbortController();
  const outcome = await mainJob(args, stoppedAt(event, controller), controller);
  assert.is(outcome.code, 130, `${event}: ${outcome.stderr}`);
  return outcome;
}

async function done(args: readonly string[]): Promise<Outcome> {
  const outcome = await mainJob(args);
  assert.is(outcome.code, 0, outcome.stderr);
  return outcome;
}

test('stopped at many moments and resumed: the bytes and the figures of a run that was never stopped', async ({
  out,
}) => {
  // The best weights go from checkpoint to checkpoint too.
  const args = [...sizes, ...every, '--select', 'validation', '--steps', '20', '--name', 'a', '--out'];
  await done([...args, join(out, 'whole')]);
  const stops = join(out, 'stops');
  await stop([...args, stops], 'RIM step 1');
  const path = join(stops, 'a');
  assert.is(readRun(path).config.status, 'stopped');
  for (const event of [
    'RIM test 2 at 8',
    'checkpoint',
    'RIM test 5 at 20',
    'LSTM step 10',
    'LSTM validation 2 at 16',
    'LSTM test 2 at 20',
  ]) {
    const { stdout } = await stop(['--resume', 'a', '--out', stops], event);
    assert.match(stdout, /Going on with a from (the beginning|step \d+ of the RIM)/);
    assert.equal(
      readdirSync(path).filter((name) => name.startsWith('.')),
      [],
      'remains',
    );
  }
  // What a kill may leave: half a line, half a checkpoint beside the whole one.
  appendFileSync(join(path, 'metrics.jsonl'), '{"kind":"train","mod');
  writeFileSync(join(path, '.checkpoint.safetensors.1.part'), 'half');
  await done(['--resume', '--out', stops]);
  for (const file of ['model.safetensors', 'report.html'] as const) assert.ok(bytesOf(path, file).length > 0);
  sameRuns(path, join(out, 'whole', 'a'));
  assert.equal(readdirSync(path).sort(), [
    'checkpoint.safetensors',
    'config.json',
    'metrics.jsonl',
    'model.safetensors',
    'report.html',
  ]);
  const { config, metrics } = readRun(path);
  assert.equal([config.status, config.resumed, config.process, config.note], ['finished', 7, undefined, undefined]);
  let before = 0;
  for (const metric of metrics) {
    if (metric.kind !== 'train' || metric.model !== 'LSTM') continue;
    assert.ok(metric.seconds > before, 'times go on');
    before = metric.seconds;
  }
});

test('a finished run goes on with more steps, to the bytes of a run that had them from the beginning', async ({
  out,
}) => {
  const args = [...sizes, '--evaluate-every', '6', '--name', 'a', '--out'];
  await done([...args, join(out, 'whole'), '--steps', '18']);
  const path = join(out, 'parts', 'a');
  await done([...args, join(out, 'parts'), '--steps', '12']);
  const short = bytesOf(path, 'model.safetensors');
  const finished = await mainJob(['--resume', path]);
  assert.is(finished.code, 2);
  assert.match(
    finished.stderr,
    /^rimgrad: .*a: the run is finished: all 12 steps are done; give more --steps to go on/,
  );
  assert.is((await mainJob(['--resume', path, '--steps', '12'])).code, 2);
  await done(['--resume', path, '--steps', '18']);
  assert.ok(bytesOf(path, 'model.safetensors') !== short, 'nothing was trained');
  assert.ok(
    bytesOf(path, 'model.safetensors') === bytesOf(join(out, 'whole', 'a'), 'model.safetensors'),
    'other weights',
  );
  const sorted = (folder: string): string[] =>
    figuresOf(folder)
      .split('\n')
      .filter((line) => !line.includes('"step":12,')) // the shorter run told of its last step
      .sort();
  assert.equal(sorted(path), sorted(join(out, 'whole', 'a')));
  assert.is(readRun(path).config.options.steps, 18);
});

test('a finished run that goes on and is stopped shows one sample of each length', async ({ out }) => {
  const args = [...tinyRIM, ...random, '--evaluate-every', '0', '--name', 'a', '--out', out];
  await done([...args, '--steps', '10']);
  const samples = (): string[] =>
    readRun(join(out, 'a')).metrics.flatMap((each) =>
      each.kind === 'activation' ? [`${each.setting}: ${JSON.stringify(each.mask)}`] : [],
    );
  const before = samples();
  await stop(['--resume', 'a', '--steps', '1000', '--out', out], 'RIM step 100');
  const after = samples();
  assert.equal(
    after.map((each) => each.split(':')[0]),
    ['2', '5'],
  );
  assert.not.equal(after, before, 'of the model as it is now');
});

/** A folder with MNIST's test files, of so many images. */
function imagesIn(folder: string, count: number): string {
  mkdirSync(folder, { recursive: true });
  const pixels = Uint8Array.from({ length: count * 28 * 28 }, (_, i) => ((i * 2_654_435_761) >>> 7) % 256);
  const labels = Uint8Array.from({ length: count }, (_, i) => i % 10);
  writeFileSync(join(folder, 't10k-images-idx3-ubyte'), writeIdx([count, 28, 28], pixels));
  writeFileSync(join(folder, 't10k-labels-idx1-ubyte'), writeIdx([count], labels));
  return folder;
}

test('a run goes on where its files lie in another folder, and on no other data', async ({ out }) => {
  const [here, there, other] = (['here', 'there', 'other'] as const).map((name, i) =>
    imagesIn(join(out, name), i < 2 ? 60 : 70),
  );
  const digits = [
    ...['--task', 'smnist', '--resolution', '2', '--test-resolutions', '3', '--models', 'lstm', '--width', '4'],
    ...['--embedding', '3', '--batch', '4', '--steps', '12', '--checkpoint-every', '5', '--name', 'a'],
  ];
  await done([...digits, '--mnist', `${there}`, '--out', join(out, 'whole')]);
  await stop([...digits, '--mnist', `${here}`, '--out', join(out, 'moved')], 'LSTM step 10');
  rmSync(`${here}`, { recursive: true });
  const path = join(out, 'moved', 'a');
  const files = readdirSync(path).map((file) => bytesOf(path, file));
  const refusal = async (code: number, message: RegExp, ...args: readonly string[]): Promise<void> => {
    const refused = await mainJob(['--resume', path, ...args]);
    assert.is(refused.code, code, refused.stderr);
    assert.match(refused.stderr, message);
    assert.equal(
      readdirSync(path).map((file) => bytesOf(path, file)),
      files,
      'it was changed',
    );
  };
  await refusal(1, /here: there is no such folder; name the one with MNIST's files/);
  const data =
    /a: the run was begun on this data: MNIST, the 60 test.*; and it cannot go on with this: MNIST, the 70 test.*--mnist/;
  await refusal(2, data, '--mnist', `${other}`);
  await done(['--resume', path, '--mnist', `${there}`]);
  sameRuns(path, join(out, 'whole', 'a'));

  // An evaluation finds them in another folder too; other files are other data.
  const evaluation = (...args: readonly string[]): SpawnSyncReturns<string> =>
    spawnSync(process.execPath, [rimgrad, 'eval', join(out, 'whole', 'a'), ...args], { encoding: 'utf8' });
  const { stdout } = evaluation();
  assert.match(stdout, /^Data: MNIST, the 60 test/);
  renameSync(`${there}`, `${here}`);
  assert.match(evaluation().stderr, /there: there is no such folder; name the one with MNIST's files/);
  assert.is(evaluation('--mnist', `${here}`).stdout, stdout);
  assert.match(evaluation('--mnist', `${other}`).stdout, /^Data: MNIST, the 70 test/);
});

test('what may not change is refused with the option and what it was', async ({ out }) => {
  await stop([...sizes, ...every, '--steps', '20', '--name', 'a', '--out', out], 'RIM step 10');
  const before = readdirSync(join(out, 'a')).map((file) => bytesOf(join(out, 'a'), file));
  const refused = async (
    args: readonly string[],
    code: number,
    ...words: readonly (string | RegExp)[]
  ): Promise<void> => {
    const { stderr, code: found } = await mainJob(['--out', out, ...args]);
    for (const word of words) assert.match(stderr, word);
    assert.is(found, code, stderr);
    assert.is(stderr.split('\n').length, 2, 'one line');
    assert.equal(
      readdirSync(join(out, 'a')).map((file) => bytesOf(join(out, 'a'), file)),
      before,
      'it was changed',
    );
  };
  await refused(['--resume', 'a', '--hidden', '8'], 2, '--hidden: the run was begun with 4, not 8', '--steps');
  await refused(['--resume', 'a', '--models', 'rim'], 2, '--models: the run was begun with rim,lstm, not rim');
  await refused(['--resume', 'a', '--comm-output', 'residual'], 2, '--comm-output: the run was begun with none');
  await refused(['--resume', 'a', '--seed', '2'], 2, '--seed');
  await refused(['--resume', 'a', '--steps', '5'], 2, '--steps 5: the RIM was trained for 10 already');
  await refused(['--resume', '--name', 'a'], 2, 'give it to --resume itself');
  await refused(['--resume', 'b'], 1, 'b: no such folder; the newest runs in', ' are a\n');
  await refused(['--resume', '--out', join(out, 'none')], 1, 'no run in it');
  await refused(['--name', 'a'], 1, '--force');
  const none: TrainJob = () => Promise.reject(new Error('no adapter'));
  assert.is((await mainJob(['--resume', 'a', '--out', out], none)).code, 1);
  assert.equal(
    readdirSync(join(out, 'a')).map((file) => bytesOf(join(out, 'a'), file)),
    before,
    'no device, no change',
  );
});

test('damaged, foreign, newer and running ones are refused by name', async ({ out }) => {
  await stop([...sizes, ...every, '--steps', '20', '--name', 'a', '--out', out], 'LSTM step 10');
  const [path, copy] = [join(out, 'a'), join(out, 'copy')];
  const refused = async (
    file: string,
    change: (text: string) => string,
    ...words: readonly (string | RegExp)[]
  ): Promise<void> => {
    cpSync(path, copy, { recursive: true });
    writeFileSync(join(copy, file), change(bytesOf(path, file)), 'latin1');
    const { code, stderr } = await mainJob(['--resume', copy]);
    for (const word of words) assert.match(stderr, word);
    assert.ok(code === 1 || code === 2, `${code}`);
    rmSync(copy, { recursive: true });
  };
  const checkpoint = 'checkpoint.safetensors';
  await refused(checkpoint, (text) => text.slice(0, -1), checkpoint, 'cut short');
  await refused(checkpoint, (text) => text.replace('checkpoint 1', 'checkpoint 9'), 'version 9', 'newer one');
  await refused(checkpoint, (text) => text.replace('rim.random', 'rim.rondom'), 'rim.random', 'missing');
  await refused(checkpoint, (text) => text.replace('\\"told\\":', '\\"tald\\":'), "'told'");
  await refused(checkpoint, (text) => text.replace('\\"step\\":20', '\\"step\\":-1'), 'progress of its RIM');
  await refused(
    checkpoint,
    (text) => text.replace('\\"seed\\":1', '\\"seed\\":2'),
    'options.seed is 2 in the file and 1 here',
  );
  await refused('metrics.jsonl', (text) => text.slice(0, 300), 'the checkpoint counts');
  await refused('metrics.jsonl', (text) => text.replace('"kind"', '"kond"'), 'line 1');
  await refused('config.json', (text) => text.replace('"hidden": 4', '"hidden": "x"'), 'config.json', "'hidden'");
  await refused('config.json', (text) => text.replace('"hidden": 4', '"hiddem": 4'), 'hiddem');
  await refused(
    'config.json',
    (text) => text.replace('"copying"', '"other"'),
    'a run on other with options of copying',
  );
  const weights = writeSafetensors(need(readRun(path).model, 'a model').tensors);
  await refused(checkpoint, () => Buffer.from(weights).toString('latin1'), 'holds tensors and is no checkpoint');
  const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  try {
    const running = (text: string): string =>
      text.replace('"stopped"', `"running", "process": {"pid": ${other.pid}, "host": ${JSON.stringify(hostname())}}`);
    await refused('config.json', running, `still runs, as process ${other.pid}`, '--force');
    cpSync(path, copy, { recursive: true });
    writeFileSync(join(copy, 'config.json'), running(bytesOf(path, 'config.json')));
    const replaced = await mainJob([...sizes, '--out', dirname(copy), '--name', basename(copy), '--force']);
    assert.is(replaced.code, 1);
    assert.match(replaced.stderr, new RegExp(`this run still trains, as process ${other.pid}; stop it first`));
    assert.is((await mainJob(['--resume', copy, '--force'])).code, 0);
  } finally {
    other.kill();
  }
});

test('without a name the newest run goes on, another adapter is told of, and 0 writes no checkpoint', async ({
  out,
}) => {
  const args = [...sizes, '--steps', '12', '--out', out];
  await stop([...args, '--name', 'older', '--checkpoint-every', '0'], 'RIM step 10');
  assert.is(readRunCheckpoint(join(out, 'older')), undefined);
  await stop([...tinyRIM, ...random, '--steps', '12', '--out', out, '--name', 'newer'], 'RIM step 10');
  const file = join(out, 'newer', 'config.json');
  writeFileSync(file, readFileSync(file, 'utf8').replace(/"adapter": "[^"]*"/, '"adapter": "a GPU that was sold"'));
  const { stdout } = await done(['--resume', '--out', out]);
  assert.match(stdout, 'Going on with newer from step 10 of the RIM');
  assert.match(stdout, /begun with Node \S+ on a GPU that was sold, and goes on with .*: its last digits may differ/);
  assert.not.match(bytesOf(join(out, 'newer'), 'config.json'), 'sold');
  const { models, told } = readProgress(need(readRunCheckpoint(join(out, 'newer')), 'a checkpoint'));
  assert.equal(
    models.map(({ model, step, measured }) => [model, step, measured]),
    [['RIM', 12, 12]],
  );
  assert.is(told, 3 + 3);
  assert.match((await done(['--resume', 'older', '--out', out])).stdout, 'Going on with older from the beginning');
  copyFileSync(join(out, 'older', 'config.json'), file);
  const { code, stderr } = await mainJob(['--resume', '--out', out]);
  assert.is(code, 2);
  assert.match(stderr, 'began at one moment; say which');
});

test.run();
