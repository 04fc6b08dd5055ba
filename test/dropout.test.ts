// Dropout on the real adapter: the bits of its masks are the host's, each run and each step of a scan has its own, evaluation
// has none, and the counter of the runs moves. Not here: the random numbers themselves (test/random.test.ts).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at, OptionError, ShapeError } from '../engine/errors.ts';
import { compile, constant, dropout, fill, grad, mul, RandomState, scan, sum, variable } from '../engine/node.ts';
import { advance, counterOf } from '../engine/ops/random.ts';
import { planProgram } from '../engine/planner.ts';
import { deviceUniform, randomUniform } from '../engine/random.ts';
import { close, drawn, isError, numbersOf, onAdapter, theDevice, u32 } from './on-adapter.ts';

onAdapter(test);

/** The first stream of a state. */
const FIRST = 2 ** 31;

test('dropout: the bits of the mask are those of the host, run by run', async () => {
  const seed = 2 ** 40 + 12345;
  const random = new RandomState({ seed });
  const x = fill(1, [10, 100]);
  const outputs = { a: dropout(x, { rate: 0.3, random }), b: dropout(x, { rate: 0.3, random }) };
  const program = await compile(theDevice(), outputs, [], { mode: 'train' });
  for (const step of [0, 1, 4294967295]) {
    random.counter.write(u32(step));
    await program.run();
    for (const [stream, name] of [
      [FIRST, 'a'],
      [FIRST + 1, 'b'],
    ] as const) {
      const scale = Math.fround(1 / 0.7);
      const expected = Array.from({ length: 1000 }, (_, i) =>
        deviceUniform(seed, stream, step, i) >= 0.3 ? scale : 0,
      );
      assert.equal([...(await program.read(name))], expected, `stream ${stream}, step ${step}`);
    }
  }
  program.dispose();
});

test('dropout: nothing in evaluation; the gradient passes through the same mask', async () => {
  const random = new RandomState({ seed: 5 });
  const x = constant(drawn([50], 7), [50]);
  const y = dropout(x, { rate: 0.5, random });
  close(await numbersOf(y), drawn([50], 7), 0);
  const dx = grad(sum(y), [x]).of(x);
  const program = await compile(theDevice(), { y, dx }, [], { mode: 'train' });
  await program.run();
  const [mask, out] = [await program.read('dx'), await program.read('y')];
  assert.equal(new Set(mask), new Set([0, 2]));
  close(
    out,
    drawn([50], 7).map((v, i) => v * at(mask, i)),
    0,
  );
  program.dispose();
  assert.is(dropout(x, { rate: 0, random }), x);
});

test('dropout in a scan: every step has a mask of its own, number t * size + i of the stream', async () => {
  const random = new RandomState({ seed: 6 });
  const xs = fill(1, [4, 8]);
  const h = fill(0, [8]);
  const { outputs } = scan(({ x }) => ({ state: {}, output: { y: dropout(x, { rate: 0.5, random }) } }), { x: xs }, {});
  const inLoop = scan(
    ({ x }, s) => ({ state: { h: dropout(x, { rate: 0.5, random }) }, output: { y: mul(s.h, s.h) } }),
    { x: xs },
    { h },
  );
  const program = await compile(theDevice(), { y: outputs.y, h: inLoop.state.h }, [], { mode: 'train' });
  await program.run();
  const host = (stream: number, i: number): number => (deviceUniform(6, stream, 0, i) >= 0.5 ? 2 : 0);
  close(
    await program.read('y'),
    Array.from({ length: 32 }, (_, i) => host(FIRST, i)),
    0,
  );
  close(
    await program.read('h'),
    Array.from({ length: 8 }, (_, i) => host(FIRST + 1, 24 + i)),
    0,
  );
  program.dispose();
});

test('random state: advance adds 1, modulo 2^32, and the counter of a mask is found', async () => {
  const random = new RandomState({ seed: 1, name: 'mine' });
  const y = dropout(fill(1, [4]), { rate: 0.5, random });
  const mask = at(y.node.inputs, 1).node;
  assert.is(counterOf(mask), random.counter);
  assert.is(counterOf(y.node), undefined);
  assert.equal(random.variables, [random.counter]);
  random.counter.write(u32(4294967294));
  const other = variable('other', u32(3), [1]);
  const program = await compile(theDevice(), {}, [advance(random.counter), advance(other)], { mode: 'evaluate' });
  await program.run();
  await program.run();
  assert.equal([...(await random.counter.read())], [0]);
  assert.equal([...(await other.read())], [5]);
  program.dispose();
  assert.throws(() => advance(variable('w', [1], [1])), isError(ShapeError));
});

test('a state draws from streams that begin far above those of weights, a stream a use', () => {
  const random = new RandomState({ seed: 9 });
  assert.is(random.nextStream(), FIRST);
  dropout(fill(1, [4]), { rate: 0, random });
  assert.is(random.nextStream(), FIRST + 2);
  const host = (stream: number): number[] => Array.from({ length: 4 }, (_, i) => randomUniform(9, stream, i));
  const mask = Array.from({ length: 4 }, (_, i) => deviceUniform(9, FIRST, 0, i));
  for (let stream = 0; stream < 1000; stream++) assert.not.equal(host(stream), mask);
});

test('what does not fit is refused before any GPU work', () => {
  const x = fill(0, [2, 3]);
  const option = (act: () => unknown): void => assert.throws(act, isError(OptionError));
  const random = new RandomState({ seed: 0 });
  for (const rate of [1, -0.1, Number.NaN]) option(() => dropout(x, { rate, random }));
  option(() => new RandomState({ seed: -1 }));
});

test('two dropouts of a model and their backward draw each mask once', () => {
  const random = new RandomState({ seed: 0 });
  const w = variable('w', [1, 2], [2]);
  const y = dropout(dropout(w, { rate: 0.5, random }), { rate: 0.5, random });
  const plan = planProgram({ y, d: grad(sum(y), [w]).of(w) }, [], { training: true, subgroupSize: 0 });
  const masks = plan.items.filter((item) => 'kernel' in item && item.kernel.name === 'dropoutMask');
  assert.is(masks.length, 2);
});

test.run();
