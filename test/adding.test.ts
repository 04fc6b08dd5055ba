// The adding task: its layout, its random numbers, its figures and the levels of one who has learned nothing; and that the LSTM
// baseline learns it at a small length.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { lstm } from '../bench/baselines/index.ts';
import { addingTask, addingTolerance, copyingTask, drawnDigits, type Split, smnistTask } from '../bench/tasks/index.ts';
import { at, OptionError, ShapeError } from '../engine/errors.ts';
import { adam, compile, evaluate, grad, input, linear, reshape, slice } from '../engine/node.ts';
import { isError, onAdapter, theDevice } from './on-adapter.ts';

onAdapter(test);

const task = addingTask();
const splits: readonly Split[] = ['train', 'validation', 'test'];
const seed = Number(process.env.RIMGRAD_SEED ?? Date.now() % 1_000_000_007);
console.log(`seed ${seed} (RIMGRAD_SEED=${seed} repeats this run)`);

const requests = fc.record({
  split: fc.constantFrom(...splits),
  setting: fc.integer({ min: 2, max: 40 }),
  batch: fc.integer({ min: 1, max: 9 }),
  seed: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  index: fc.nat(2 ** 40),
});

/** The steps at which channel `c` of sequence b is not 0. */
function marks(x: ArrayLike<number>, length: number, batch: number, b: number, c: number): number[] {
  return Array.from({ length }, (_, t) => t).filter((t) => at(x, 3 * (t * batch + b) + c) !== 0);
}

test('every task refuses scores of other steps than it wants, by the word that says which', () => {
  const others = [
    [
      task,
      /adding: the scores are \[6,2,1\], where y asks for \[2,1\]; `scored` is 'last step': give those of the last step/,
    ],
    [
      smnistTask({ digits: drawnDigits() }),
      /smnist: the scores are \[36,2,10\], where y asks for \[2,10\]; `scored` is/,
    ],
    [
      copyingTask({ digits: 1 }),
      /copying: the scores are \[2,10\], where y asks for \[8,2,10\]; `scored` is 'every step'/,
    ],
  ] as const;
  for (const [{ scored, scores: O, steps, target, measures }, message] of others) {
    const { shape, dtype } = target(6, 2);
    const scores = input('scores', scored === 'every step' ? [2, O] : [steps(6), 2, O]);
    assert.throws(() => measures(scores, input('y', shape, dtype), 6), isError(ShapeError, message));
  }
});

test('one number of each half is marked, and their sum is wanted', () => {
  fc.assert(
    fc.property(requests, (request) => {
      const { setting: length, batch } = request;
      const { x, y } = task.batch(request);
      assert.instance(x, Float32Array);
      assert.is(x.length, length * batch * 3);
      assert.is(y.length, batch);
      for (let b = 0; b < batch; b++) {
        const [first, second] = [marks(x, length, batch, b, 1), marks(x, length, batch, b, 2)];
        assert.is(first.length, 1);
        assert.is(second.length, 1);
        const [i, j] = [at(first, 0), at(second, 0)];
        const half = Math.floor(length / 2);
        assert.ok(i < half && j >= half, `${i} and ${j} of ${length}`);
        assert.is(at(x, 3 * (i * batch + b) + 1), 1);
        assert.is(at(x, 3 * (j * batch + b) + 2), 1);
        assert.is(at(y, b), Math.fround(at(x, 3 * (i * batch + b)) + at(x, 3 * (j * batch + b))));
      }
      assert.ok(x.every((value) => value >= 0 && value <= 1));
      assert.equal(task.batch({ ...request }), { x, y }, 'a request names one batch');
    }),
    { seed },
  );
});

test('numbers are uniform, and every two steps of the two halves are marked about equally often', () => {
  const batch = 20_000;
  const data = task.batch({ split: 'train', setting: 8, batch, seed: 7, index: 0 });
  const [x, y] = [Array.from(data.x), Array.from(data.y)];
  const values = x.filter((_, i) => i % 3 === 0);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const square = values.reduce((sum, value) => sum + value * value, 0) / values.length;
  // 160,000 numbers: five standard deviations of the two means are 0.0036 and 0.0037.
  assert.ok(Math.abs(mean - 1 / 2) < 0.0036, `mean ${mean}`);
  assert.ok(Math.abs(square - 1 / 3) < 0.0038, `mean square ${square}`);
  const pairs = new Map<string, number>();
  for (let b = 0; b < batch; b++) {
    const pair = [1, 2].map((channel) => marks(x, 8, batch, b, channel)).join();
    pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
  }
  // 1,250 of each are expected; five standard deviations are 171.
  assert.is(pairs.size, 16);
  for (const [pair, times] of pairs) assert.ok(Math.abs(times - 1250) < 171, `steps ${pair} are marked ${times} times`);
  // The levels of one who always answers 1, measured; five standard deviations are 0.0070 and 0.0095.
  const { meanSquaredError, within } = task.trivial(8);
  const error = y.reduce((sum, value) => sum + (value - 1) ** 2, 0) / batch;
  const near = y.filter((value) => Math.abs(value - 1) < addingTolerance).length / batch;
  assert.ok(Math.abs(error - (meanSquaredError ?? 0)) < 0.007, `${error}`);
  assert.ok(Math.abs(near - (within ?? 0)) < 0.0095, `${near}`);
  assert.is(meanSquaredError, 1 / 6);
  assert.is(within?.toFixed(4), '0.0784');
});

test('no two batches and no two splits share random numbers', () => {
  const rows = new Set<string>();
  for (const split of splits) {
    // A stream of 2^32 numbers has this many batches; the next begins another stream.
    const batches = Math.floor(2 ** 32 / (16 * (4 + 2)));
    for (const index of [0, 1, 2, batches, batches + 1, 2 ** 31]) {
      const { x } = task.batch({ split, setting: 4, batch: 16, seed: 3, index });
      for (let b = 0; b < 16; b++) rows.add([0, 1, 2, 3].map((t) => at(x, 3 * (t * 16 + b))).join());
    }
  }
  assert.is(rows.size, 3 * 6 * 16);
  // Nor does a batch mark steps by the random bits that the next one takes for its numbers.
  const [own, next] = [0, 1].map((index) => task.batch({ split: 'train', setting: 4, batch: 64, seed: 3, index }).x);
  const marked = Array.from({ length: 64 }, (_, b) => at(marks(own ?? [], 4, 64, b, 1), 0));
  const halves = Array.from({ length: 64 }, (_, b) => Math.floor(2 * at(next ?? [], 3 * b)));
  assert.not.equal(marked, halves);
});

test('impossible requests are refused with their mend', () => {
  const good = { split: 'train', setting: 5, batch: 4, seed: 1, index: 0 } as const;
  const refused: readonly (readonly [object, RegExp])[] = [
    [{ setting: 1 }, /adding: length is 1; use a whole number from 2/],
    [{ setting: 2.5 }, /length is 2.5/],
    [{ batch: 0 }, /batch is 0/],
    [{ seed: -1 }, /seed is -1/],
    [{ index: -1 }, /batch index is -1/],
    [{ split: 'valid' }, /split is 'valid'; use 'train', 'validation' or 'test'/],
    [{ setting: 1_000_000, batch: 1000 }, /too large/],
    [{ index: 2 ** 52 }, /past the end .*; take another seed/],
  ];
  for (const [wrong, message] of refused) {
    assert.throws(() => task.batch({ ...good, ...wrong }), isError(OptionError, message));
  }
  for (const ask of [task.steps, task.trivial, (length: number) => task.target(length, 3)]) {
    assert.throws(() => ask(0), isError(OptionError, /length is 0/));
  }
});

test('the figures are those of their definitions', async () => {
  assert.equal(task.target(8, 4), { shape: [4, 1], dtype: 'f32' });
  const [scores, y] = [input('scores', [4, 1]), input('y', [4, 1])];
  const { loss, figures } = task.measures(scores, y, 8);
  assert.equal(
    Object.keys(figures),
    task.figures.map(({ name }) => name),
  );
  const feeds = { scores: Float32Array.of(1, 0.5, 1.25, 0.75), y: Float32Array.of(1.03, 0.55, 1.25, 0.25) };
  const found = await evaluate(
    theDevice(),
    { loss, figure: at(Object.values(figures), 0), within: at(Object.values(figures), 1) },
    feeds,
  );
  const error = (0.03 ** 2 + 0.05 ** 2 + 0.5 ** 2) / 4;
  assert.ok(Math.abs(at(found.loss, 0) - error) < 1e-6, `${found.loss}`);
  assert.equal([...found.figure], [...found.loss]);
  assert.equal([...found.within], [0.5]);
});

test('an LSTM learns it at a small length: below a tenth of the trivial error', async () => {
  const [length, batch, size] = [8, 32, 16];
  const net = lstm({ inputSize: 3, hiddenSize: size }, { seed: 1 });
  const readout = linear({ from: size, to: 1 }, { seed: 1 });
  const x = input('x', [length, batch, 3]);
  const { shape, dtype } = task.target(length, batch);
  const last = reshape(slice(net(x).hidden, 0, length - 1, 1), [batch, size]);
  const { loss, figures } = task.measures(readout(last), input('y', shape, dtype), length);
  const weights = [...net.variables, ...readout.variables];
  const step = await compile(theDevice(), { loss }, adam(grad(loss, weights), { learningRate: 2e-2, clipNorm: 1 }));
  const measure = await compile(theDevice(), figures);
  const error = async (): Promise<number> => {
    await measure.run(task.batch({ split: 'test', setting: length, batch, seed, index: 0 }));
    return at(await measure.read('meanSquaredError'), 0);
  };
  const before = await error();
  for (let index = 0; index < 250; index++) {
    await step.run(task.batch({ split: 'train', setting: length, batch, seed, index }));
  }
  const after = await error();
  assert.ok(before > 0.1 && after < 1 / 60, `from ${before} to ${after}`);
  step.dispose();
  measure.dispose();
});

test.run();
