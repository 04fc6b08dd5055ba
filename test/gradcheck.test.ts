// The gradient check as a user has it: the function on a device, with cases of one's own, and the command line.
// That the library's own cases pass is tested in kernels-float64.test.ts and calculus.test.ts.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Case, formatGradientCheck, gradientCheck, type UpdateCase, updateCases } from '../check/index.ts';
import { add, matmul, mul, square, tanh } from '../engine/node.ts';
import { onAdapter, theDevice } from './on-adapter.ts';

onAdapter(test);

const right: Case = { name: 'mine: right', graph: (draw) => [tanh(draw.normal([2, 3]))] };

test('each case is asked both questions, and a filter chooses', async () => {
  const seen: string[] = [];
  const onLine = ({ name, what }: { name: string; what: string }): void => {
    seen.push(`${what} ${name}`);
  };
  const { lines, ok } = await gradientCheck(theDevice(), { filter: 'cumulativeProduct: z', onLine });
  assert.ok(ok);
  assert.equal(seen, ['kernel cumulativeProduct: zeros', 'calculus cumulativeProduct: zeros']);
  assert.ok(lines.every(({ worst, limit }) => worst <= limit));
  assert.not((await gradientCheck(theDevice(), { filter: 'there is no such case' })).ok, 'nothing checked is not fine');
});

test('a wrong derivative fails, and only its line', async () => {
  // The square is held in the differences, but not for grad: the two must disagree.
  const wrong: Case = {
    name: 'mine: wrong',
    graph: (draw) => {
      const x = draw.normal([4]);
      return [mul(draw.hold(square(x)), x)];
    },
  };
  const { lines, ok } = await gradientCheck(theDevice(), { cases: [right, wrong] });
  assert.not(ok);
  assert.equal(
    lines.map((line) => line.ok),
    [true, true, true, false],
  );
});

test('a kernel over its limit fails', async () => {
  const { lines } = await gradientCheck(theDevice(), { cases: [{ ...right, limit: 1e-12 }] });
  assert.equal(
    lines.map(({ what, ok }) => `${what} ${ok}`),
    ['kernel false', 'calculus true'],
  );
});

test('a case that cannot be built is a line with its problem', async () => {
  const broken: Case = { name: 'mine: broken', graph: (draw) => [add(draw.normal([2]), draw.normal([3]))] };
  const { lines, ok } = await gradientCheck(theDevice(), { cases: [broken, right] });
  assert.not(ok);
  assert.match(lines[0]?.problem ?? '', /add: the shapes \[2\] and \[3\] do not broadcast/);
  assert.ok(lines[3]?.ok);
});

test('updates are asked a question of their own, and a wrong one fails', async () => {
  const rate = updateCases.find(({ name }) => name === 'update: sgd, momentum, groups');
  assert.ok(rate);
  const wrong: UpdateCase = {
    name: 'mine: an update that the host does not make',
    updates: () => ({ ...rate.updates(), advance: () => undefined }),
  };
  const { lines, ok } = await gradientCheck(theDevice(), { cases: [rate, wrong, right], questions: ['update'] });
  assert.not(ok);
  assert.equal(
    lines.map((line) => [line.what, line.ok]),
    [
      ['update', true],
      ['update', false],
    ],
  );
  const table = formatGradientCheck(lines, 'my GPU').split('\n');
  assert.is(table.length, 4);
  assert.match(table[1] ?? '', /^ok {3}update {3}update: sgd, momentum, groups +\d\.\de-\d+ +1e-5$/);
  assert.match(table[2] ?? '', /^FAIL update {3}mine/);
  assert.match(
    table[3] ?? '',
    /^FAILED: 1 of 2 checks passed on my GPU; nearest to its limit, at \d+ %: update update: sgd/,
  );
});

test('products are computed by the kernel that a case names', async () => {
  const named: Case = {
    name: 'mine: by a kernel',
    candidate: 'shared-16-8-32',
    graph: (draw) => [matmul(draw.normal([3, 4]), draw.normal([4, 5]))],
  };
  const before = theDevice().created().pipelines;
  assert.ok((await gradientCheck(theDevice(), { cases: [named] })).ok);
  assert.ok(theDevice().created().pipelines > before);
});

test('an unknown option is refused', async () => {
  try {
    // @ts-expect-error: there is no such option
    await gradientCheck(theDevice(), { fliter: 'x' });
    assert.unreachable();
  } catch (error) {
    assert.match(String(error), /Did you mean 'filter'/);
  }
});

function commandLine(...args: readonly string[]): { status: number | null; out: string; problems: string } {
  const script = fileURLToPath(new URL('../bench/rimgrad.js', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, 'gradcheck', ...args], { encoding: 'utf8' });
  return { status, out: stdout, problems: stderr };
}

test('the command line: lines and a verdict, or JSON', () => {
  const lines = commandLine('softmax: top-K');
  assert.is(lines.status, 0, lines.problems);
  assert.match(lines.out, /^ok {3}kernel {3}softmax: top-K +\d/m);
  assert.match(lines.out, /^ok: (\d+) of \1 checks passed on /m);
  const json: unknown = JSON.parse(commandLine('softmax: top-K, ties', '--json').out);
  assert.ok(typeof json === 'object' && json !== null && 'ok' in json && json.ok === true);
});

test('the command line: what is wrong is said without a stack trace', () => {
  for (const [args, code] of [
    [['no such case'], 2],
    [['--seed', 'x'], 2],
    [['--no-such-option'], 2],
    [['--runtime', 'moon'], 2],
    [['a', 'b'], 2],
  ] as const) {
    const { status, out, problems } = commandLine(...args);
    assert.is(status, code, args.join(' '));
    assert.match(
      out + problems,
      /no case has|whole number|there is no option|There are node, deno, browser;|too many arguments/,
    );
    assert.not.match(problems, /\n\s+at /);
  }
});

test.run();
