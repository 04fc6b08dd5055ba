// The command line of the packed tarball, `rimgrad train|eval|table|report|gradcheck|doctor|bench`, in a folder that knows nothing of
// this checkout: help, JSON, output into a pipe, a pipe that closes, wrong usage, Ctrl-C, and a machine without the Node binding.
// What the commands compute is tested elsewhere.

import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { SavedEvaluation } from '../bench/eval-command.ts';
import type { RunSummary } from '../bench/main-job.ts';
import type { BenchResult } from '../bench/speed/result.ts';
import { at, need } from '../engine/errors.ts';
import { type Ended, ended, root, userEnvironment, Workshop } from './packed.ts';
import { chromiumPath, denoScript, skip } from './runtimes.ts';

const test = suite('the command line of the package');
const workshop = new Workshop();
const COMMANDS = ['train', 'eval', 'table', 'report', 'gradcheck', 'doctor', 'bench'];
/** A training of seconds. */
const tiny =
  '--digits 1 --blank 2 --batch 4 --modules 3 --active 2 --hidden 4 --embedding 4 --key-size 4 --value-size 4 --comm-heads 1 ' +
  '--comm-key-size 4 --comm-value-size 4 --width 4 --test-batches 2';
/** The same of a RIM alone. */
const tinyRIM = [...tiny.replace(/--width \d+ /, '').split(' '), '--models', 'rim'];
const tinySteps = [...tiny.split(' '), '--steps', '3', '--evaluate-every', '0'];

let tarball = '';
let folder = '';
let bare = '';
test.before(async () => {
  tarball = await workshop.pack();
  folder = await workshop.consumer('consumer', tarball, ['webgpu']);
  bare = await workshop.consumer('bare', tarball);
});
test.after(() => workshop.clear());

/** The command as npm links it. */
function bin(where: string): string {
  return join(where, 'node_modules', 'rimgrad', 'setup', 'rimgrad.mjs');
}

function rimgrad(
  args: readonly string[],
  where: string = folder,
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  return ended(process.execPath, [bin(where), ...args], { cwd: where, env: userEnvironment(env) });
}

/** Runs a command until its standard output matches, then does something to it. */
function disturbed(args: readonly string[], when: RegExp, how: 'interrupt' | 'close its output'): Promise<Ended> {
  const child = spawn(process.execPath, [bin(folder), ...args], {
    cwd: folder,
    env: userEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const seen = { stdout: '', stderr: '' };
  let done = false;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    seen.stdout += text;
    if (done || !when.test(seen.stdout)) return;
    done = true;
    if (how === 'interrupt') child.kill('SIGINT');
    else child.stdout.destroy();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    seen.stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...seen }));
  });
}

/** What a command printed as JSON: the whole of its output. */
function json<T>({ code, stdout, stderr }: Ended): T {
  assert.is(code, 0, stdout + stderr);
  assert.is(stderr, '');
  return JSON.parse(stdout) as T;
}

test('npm links the command, and it says its version and its commands', async () => {
  const link = join(folder, 'node_modules', '.bin', process.platform === 'win32' ? 'rimgrad.cmd' : 'rimgrad');
  const options = { cwd: folder, env: userEnvironment(), shell: process.platform === 'win32' };
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  assert.equal(await ended(link, ['--version'], options), { code: 0, stdout: `${version}\n`, stderr: '' });
  const help = await rimgrad(['--help']);
  assert.equal([help.code, help.stderr], [0, '']);
  for (const name of COMMANDS) assert.match(help.stdout, new RegExp(`^ {2}${name} +\\w`, 'm'));
  assert.match(help.stdout, /Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C, 141 /);
  assert.is((await rimgrad(['help'])).stdout, help.stdout);
});

test('every command has help with examples', async () => {
  const helps = await Promise.all(COMMANDS.map((name) => rimgrad([name, '--help'], bare)));
  COMMANDS.forEach((name, i) => {
    const { code, stdout, stderr } = at(helps, i);
    assert.equal([code, stderr], [0, ''], name);
    assert.ok(stdout.startsWith(`Usage: rimgrad ${name} `), stdout);
    assert.match(stdout, new RegExp(`\nExamples:\n(  rimgrad ${name}.*\n)+$`));
    assert.not.match(stdout, /npm (run|start)/);
    if (name !== 'report') assert.match(stdout, /^ +--json +/m, name);
  });
  assert.is((await rimgrad(['help', 'eval'], bare)).stdout, at(helps, 1).stdout);
});

test('wrong usage is one line and exit code 2, and asks nothing of the machine', async () => {
  const wrong: readonly (readonly [args: readonly string[], said: RegExp])[] = [
    [['trian'], /there is no command 'trian'; did you mean train\?/],
    [['train', '--stesp', '3'], /there is no option '--stesp'; did you mean --steps\?/],
    [['train', '--steps', '0.5'], /Give a whole number from 1 to \d+; see --help\n$/],
    [['eval'], /missing required argument 'run'/],
    [['eval', 'a', 'b'], /too many arguments/],
    [['eval', 'a', '--at', '10,x'], /whole number/],
    [['report'], /missing required argument/],
    [['table', 'coping'], /no table 'coping'; did you mean copying\?/],
    [['gradcheck', '--seed', 'x'], /whole number/],
    [['gradcheck', '--runtime', 'firefox'], /'firefox' is invalid\. There are node, deno, browser; see --help\n$/],
    [['gradcheck', 'sofmtax'], /no case has "sofmtax" in its name; there is "softmax: [^"]*", "softmax: /],
    [['gradcheck', 'xyzzy-xyzzy-xyzzy-xyzzy'], /in its name; leave it out to check everything\n$/],
    [['doctor', 'me'], /too many arguments/],
    [['table', 'copying', '--scale', 'tinny'], /Did you mean tiny\? There are tiny, small, paper; see --help\n$/],
    [['bench', '--sizes', 'XL'], /no size 'XL'/],
  ];
  const all = await Promise.all(wrong.map(([args]) => rimgrad(args, bare)));
  wrong.forEach(([args, said], i) => {
    const { code, stdout, stderr } = at(all, i);
    assert.equal([code, stdout], [2, ''], args.join(' '));
    assert.match(stderr, said);
    assert.match(stderr, /^rimgrad: [^\n]+\n$/);
  });
  const nothing = await rimgrad([], bare);
  assert.equal([nothing.code, nothing.stdout], [2, '']);
  assert.match(nothing.stderr, /^Usage: rimgrad /);
});

test('without the package webgpu, commands say what to install', async () => {
  for (const args of [
    ['train', ...tinySteps],
    ['table', 'copying', '--scale', 'tiny', '--rows', 'lstm'],
    ['gradcheck'],
  ]) {
    const { code, stdout, stderr } = await rimgrad(args, bare);
    assert.equal([code, stdout], [1, ''], args[0]);
    assert.match(
      stderr,
      /^rimgrad: .*npm install webgpu\n {2}mend: npm install webgpu; without installing it: npx -p webgpu .*\n$/,
    );
  }
  assert.not(existsSync(join(bare, 'runs')), 'a run that never began left a folder');
  const doctor = await rimgrad(['doctor'], bare);
  assert.is(doctor.code, 1);
  assert.match(doctor.stdout, /missing: the package webgpu.*\n {2}mend: {2}npm install webgpu\n$/);
});

test('doctor tells what there is', async () => {
  const { adapter, missing, rimgrad: version } = json<Doctor>(await rimgrad(['doctor', '--json']));
  assert.ok(adapter !== null && version !== 'unknown');
  assert.equal(missing, []);
  const { code, stdout } = await rimgrad(['doctor']);
  assert.is(code, 0);
  assert.match(stdout, /^adapter +\S[\s\S]*nothing is missing\n$/m);
});

test('gradcheck checks this device', async () => {
  const { ok, checks } = json<Checks>(await rimgrad(['gradcheck', 'softmax: top-K, ties', '--json']));
  assert.ok(ok && checks > 0);
});

const gradcheckRuntimes: readonly (readonly [runtime: string, needs: string, chromium: string | undefined])[] = [
  ['deno', 'deno', denoScript() === undefined ? undefined : ''],
  ['browser', 'playwright-core', chromiumPath()],
];
for (const [runtime, needs, chromium] of gradcheckRuntimes) {
  const name = `gradcheck --runtime ${runtime} checks there, and says what to install`;
  if (chromium === undefined) {
    skip(test, name, `no ${runtime} found`);
    continue;
  }
  test(name, async () => {
    const env = { RIMGRAD_CHROMIUM: chromium };
    const args = ['gradcheck', 'softmax: top-K, ties', '--runtime', runtime];
    const missing = await rimgrad(args, bare, env);
    assert.equal([missing.code, missing.stdout], [1, '']);
    assert.match(
      missing.stderr,
      new RegExp(`^rimgrad: the npm package ${needs} is not installed; .*npm install ${needs}\n$`),
    );
    const where = await workshop.consumer(runtime, tarball, ['webgpu', needs]);
    const found = json<Checks & { readonly runtime: string }>(await rimgrad([...args, '--json'], where, env));
    assert.equal([found.ok, found.checks > 0, found.runtime], [true, true, runtime]);
  });
}

test('train leaves a run, eval finds its figures again in it, report draws it', async () => {
  const trained = json<RunSummary>(await rimgrad(['train', ...tinySteps, '--name', 'a', '--json']));
  assert.equal([trained.status, trained.note, trained.run], ['finished', null, join('runs', 'a')]);
  assert.is(trained.evaluations.length, 6, 'two models at three blanks');
  const run = join(folder, 'runs', 'a');
  assert.match(readFileSync(join(run, 'report.html'), 'utf8'), '<svg');

  const again = json<SavedEvaluation>(await rimgrad(['eval', join('runs', 'a'), '--json']));
  assert.equal(again.evaluations, trained.evaluations, 'the same weights, the same sequences, the same bits');
  assert.equal([again.sequences, again.trivial], [8, trained.trivial]);

  // The file of the weights is enough.
  copyFileSync(join(run, 'model.safetensors'), join(folder, 'mine.safetensors'));
  const alone = await rimgrad([
    'eval',
    'mine.safetensors',
    '--at',
    '7,3',
    '--test-batches',
    '1',
    '--batch',
    '2',
    '--json',
  ]);
  const { evaluations, sequences } = json<SavedEvaluation>(alone);
  assert.equal(
    [sequences, evaluations.map(({ model, setting }) => `${model} ${setting}`).join()],
    [2, 'RIM 7,RIM 3,LSTM 7,LSTM 3'],
  );
  const table = await rimgrad(['eval', 'mine.safetensors', '--at', '3', '--test-batches', '1']);
  assert.equal([table.code, table.stderr], [0, '']);
  assert.match(table.stdout, /^ +3 +0\.\d{3} +\d/m);

  assert.is((await rimgrad(['report', join('runs', 'a')])).stdout, `Report: ${join('runs', 'a', 'report.html')}\n`);
  writeFileSync(join(folder, 'bad.safetensors'), 'not one');
  for (const [target, said] of [
    ['nowhere', /^rimgrad: nowhere: no such folder or file; give the folder of a run\n$/],
    ['runs', /model\.safetensors: there is none/],
    ['bad.safetensors', /^rimgrad: bad\.safetensors: [^\n]+\n$/],
  ] as const) {
    const { code, stdout, stderr } = await rimgrad(['eval', target]);
    assert.equal([code, stdout], [1, ''], target);
    assert.match(stderr, said);
  }
  const digits = await rimgrad(['eval', join('runs', 'a'), '--mnist', 'images']);
  assert.is(digits.code, 2);
  assert.match(digits.stderr, /--mnist: .* was trained on the task copying, which reads no digits; leave it out/);
});

test('into a pipe go whole lines of plain text', async () => {
  const { code, stdout, stderr } = await rimgrad([
    'train',
    ...tinyRIM,
    '--steps',
    '3',
    '--evaluate-every',
    '0',
    '--name',
    'piped',
  ]);
  assert.equal([code, stderr], [0, '']);
  assert.match(stdout, /^Copying 1 digit [\s\S]*^Done after .* Report: .*report\.html\n$/m);
  for (const control of ['\r', '\x1b', '\b']) assert.not(stdout.includes(control), 'it moves a cursor');
});

test('bench times rimgrad, and says which peers are not there', async () => {
  const args = '--quick --sizes S --rounds 1 --peers jax-js-wasm --json --out figures'.split(' ');
  const result = json<BenchResult>(await rimgrad(['bench', ...args]));
  const [size] = result.sizes;
  const statuses = need(size, 'a size').contestants.map(({ name, status }) => `${name} ${status}`);
  assert.equal(new Set(statuses), new Set(['rimgrad plain timed', 'rimgrad fused timed', 'jax-js-wasm missing']));
  assert.equal([result.command, result.environment.commit], [`rimgrad bench ${args.join(' ')}`, null]);
});

if (process.platform !== 'win32') {
  test('Ctrl-C ends each command, and training keeps what there is', async () => {
    const endless = [...tinyRIM, '--steps', '1000000', '--evaluate-every', '0'];
    const train = await disturbed(['train', ...endless, '--name', 'stopped'], /RIM +1\/1000000/, 'interrupt');
    assert.equal([train.code, train.stderr], [130, '']);
    assert.match(train.stdout, /Stopped at step \d+ of the RIM after .*\n$/);
    const weights = (run: string): Buffer => readFileSync(join(folder, 'runs', run, 'model.safetensors'));
    assert.ok(weights('stopped').length > 0);
    // It goes on from there, to the bytes of a run that was never stopped.
    const steps = `${Number(/Stopped at step (\d+)/.exec(train.stdout)?.[1]) + 2}`;
    const resumed = json<RunSummary>(await rimgrad(['train', '--resume', 'stopped', '--steps', steps, '--json']));
    assert.equal([resumed.status, resumed.run], ['finished', join('runs', 'stopped')]);
    const again = await rimgrad(['train', '--resume', 'stopped']);
    assert.equal([again.code, again.stdout], [2, '']);
    assert.match(again.stderr, /^rimgrad: [^\n]*is finished[^\n]*give more --steps[^\n]*\n$/);
    json(await rimgrad(['train', ...endless, '--steps', steps, '--name', 'stopped', '--out', 'whole', '--json']));
    assert.ok(weights('stopped').equals(readFileSync(join(folder, 'whole', 'stopped', 'model.safetensors'))));
    const check = await disturbed(['gradcheck'], /^ok/m, 'interrupt');
    assert.equal([check.code, check.stderr], [130, '']);
  });

  test('a reader that has seen enough ends a command without a word', async () => {
    const check = await disturbed(['gradcheck'], /^ok/m, 'close its output');
    assert.equal([check.code, check.stderr], [141, '']);
    // A line every 2,000 steps: if it is closed late, behind the first line, the next one ends it.
    const long = [...tinyRIM, '--steps', '20000', '--evaluate-every', '0'];
    const train = await disturbed(['train', ...long, '--name', 'unread'], /Parameters/, 'close its output');
    assert.equal([train.code, train.stderr], [130, '']);
  });
}

interface Doctor {
  readonly rimgrad: string;
  readonly adapter: object | null;
  readonly missing: readonly object[];
}

interface Checks {
  readonly ok: boolean;
  readonly checks: number;
}

test.run();
