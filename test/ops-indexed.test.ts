// Small facts, known by hand, of the ops that take indices or labels on the real adapter: gather, takeAlong and their
// gradients, the losses, and the checks of fed indices. Not here: every op against float64 (check/).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at, FeedError, OptionError, ShapeError } from '../engine/errors.ts';
import {
  binaryCrossEntropy,
  constant,
  crossEntropy,
  evaluate,
  fill,
  gather,
  input,
  meanSquare,
  scan,
  takeAlong,
} from '../engine/node.ts';
import { integers } from '../engine/random.ts';
import {
  close,
  drawn,
  gradientsOf,
  isError,
  numbersOf,
  onAdapter,
  rejects,
  softmaxOf,
  theDevice,
  u32,
} from './on-adapter.ts';

onAdapter(test);

test('takeAlong: elements by index, the gradient summed over what is taken twice', async () => {
  const x = constant([10, 20, 30, 40, 50, 60], [2, 3]);
  const index = constant(u32(2, 2, 0, 0, 1, 0, 0, 0), [2, 4]);
  const y = takeAlong(x, index);
  close(await numbersOf(y), [30, 30, 10, 10, 50, 40, 40, 40]);
  const [dx] = await gradientsOf(y, constant([1, 2, 3, 4, 5, 6, 7, 8], [2, 4]), [x]);
  close(dx ?? [], [7, 0, 3, 21, 5, 0]);
  close(await numbersOf(takeAlong(x, constant(u32(0, 3), [2, 1]))), [10, Number.NaN]);
});

test('gather: rows by index, out of range NaN, fed indices checked', async () => {
  const table = constant([1, 2, 3, 4, 5, 6], [3, 2]);
  close(await numbersOf(gather(table, constant(u32(2, 0, 2, 1), [2, 2]))), [5, 6, 1, 2, 5, 6, 3, 4]);
  close(await numbersOf(gather(table, constant(u32(0, 3), [2]))), [1, 2, Number.NaN, Number.NaN]);
  const y = gather(table, input('i', [2], 'u32'));
  close((await evaluate(theDevice(), { y }, { i: u32(1, 2) })).y, [3, 4, 5, 6]);
  await rejects(() => evaluate(theDevice(), { y }, { i: u32(1, 3) }), FeedError);
  await rejects(
    () => evaluate(theDevice(), { y: crossEntropy(table, input('i', [3], 'u32')) }, { i: u32(0, 1, 2) }),
    FeedError,
  );
  await rejects(
    () => evaluate(theDevice(), { y: takeAlong(table, input('i', [3, 1], 'u32')) }, { i: u32(0, 1, 2) }),
    FeedError,
  );
});

test('gather: the gradient is the sum over positions, in one part, in several, and by chains', async () => {
  for (const [rows, columns, positions] of [
    [10, 3, 200],
    [10, 3, 1700],
    [5000, 3, 700],
    [70, 300, 300],
  ] as const) {
    const index = integers(positions, { seed: 3, stream: positions, high: rows === 70 ? 4 : rows });
    if (rows === 70) index[7] = 69;
    const d = drawn([positions, columns], 30);
    const table = fill(0, [rows, columns]);
    const expected = new Float64Array(rows * columns);
    index.forEach((row, p) => {
      for (let c = 0; c < columns; c++) {
        const place = row * columns + c;
        expected[place] = at(expected, place) + at(d, p * columns + c);
      }
    });
    const y = gather(table, constant(index, [positions]));
    const [dt] = await gradientsOf(y, constant(d, [positions, columns]), [table]);
    close(dt ?? [], expected, 5e-6);
    const [again] = await gradientsOf(y, constant(d, [positions, columns]), [table]);
    assert.equal(again, dt, 'the same bits every time');
  }
});

test('gather in a scan: a captured table, and one that changes from step to step', async () => {
  const index = constant(u32(1, 0, 2, 2, 1, 1), [3, 2]);
  const weights = constant([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], [3, 2, 2]);
  const table = constant([1, 2, 3, 4, 5, 6], [3, 2]);
  const { outputs } = scan(({ i }) => ({ state: {}, output: { y: gather(table, i) } }), { i: index }, {});
  close(await numbersOf(outputs.y), [3, 4, 1, 2, 5, 6, 5, 6, 3, 4, 3, 4]);
  const [dt] = await gradientsOf(outputs.y, weights, [table]);
  close(dt ?? [], [3, 4, 1 + 9 + 11, 2 + 10 + 12, 5 + 7, 6 + 8]);
  const tables = constant(
    Float32Array.from({ length: 18 }, (_, i) => i),
    [3, 3, 2],
  );
  const moving = scan(({ i, t }) => ({ state: {}, output: { y: gather(t, i) } }), { i: index, t: tables }, {});
  close(await numbersOf(moving.outputs.y), [2, 3, 0, 1, 10, 11, 10, 11, 14, 15, 14, 15]);
  const [dm] = await gradientsOf(moving.outputs.y, weights, [tables]);
  close(dm ?? [], [3, 4, 1, 2, 0, 0, 0, 0, 0, 0, 12, 14, 0, 0, 20, 22, 0, 0]);
});

test('rows in a scan: the table of a takeAlong is one for all steps', async () => {
  const x = constant([1, 2, 3, 4, 5, 6], [2, 3]);
  const index = constant(u32(0, 2, 0, 1, 2, 2), [3, 2, 1]);
  const { outputs } = scan(({ i }) => ({ state: {}, output: { y: takeAlong(x, i) } }), { i: index }, {});
  close(await numbersOf(outputs.y), [1, 6, 1, 5, 3, 6]);
  const [dx] = await gradientsOf(outputs.y, constant([1, 2, 3, 4, 5, 6], [3, 2, 1]), [x]);
  close(dx ?? [], [4, 0, 5, 0, 4, 8]);
});

test('crossEntropy: by hand, with large logits, long rows, each reduction and the gradient', async () => {
  const logits = constant([0, 0, 1e5, 1e5 - 1, -500, 500], [3, 2]);
  const labels = constant(u32(0, 1, 0), [3]);
  const second = Math.log(1 + Math.exp(-1)) + 1;
  const each = [Math.LN2, second, 1000];
  const total = each.reduce((a, b) => a + b, 0);
  close(await numbersOf(crossEntropy(logits, labels, { reduction: 'none' })), each);
  close(await numbersOf(crossEntropy(logits, labels, { reduction: 'sum' })), [total]);
  close(await numbersOf(crossEntropy(logits, labels)), [total / 3]);
  const p = 1 / (1 + Math.exp(-1));
  const [d] = await gradientsOf(crossEntropy(logits, labels), fill(3, []), [logits]);
  close(d ?? [], [-0.5, 0.5, p, -p, -1, 1]);
  const row = drawn([5000], 6);
  const long = constant(row, [1, 5000]);
  const q = softmaxOf(row);
  const loss = crossEntropy(long, constant(u32(17), [1]));
  close(await numbersOf(loss), [-Math.log(at(q, 17))]);
  const [dl] = await gradientsOf(loss, fill(1, []), [long]);
  close(
    dl ?? [],
    q.map((v, i) => v - (i === 17 ? 1 : 0)),
    1e-6,
  );
});

test('crossEntropy: a NaN, an infinity and a label past the classes give NaN, loss and gradient', async () => {
  const n = Number.NaN;
  for (const columns of [2, 100]) {
    const rest = new Array<number>(columns - 2).fill(0);
    const logits = constant([n, 0, ...rest, 0, Number.POSITIVE_INFINITY, ...rest, 0, 0, ...rest], [3, columns]);
    const loss = crossEntropy(logits, constant(u32(1, 0, columns), [3]), { reduction: 'none' });
    close(await numbersOf(loss), [n, n, n]);
    const [d] = await gradientsOf(loss, fill(1, [3]), [logits]);
    assert.ok(d?.every(Number.isNaN));
  }
});

test('binaryCrossEntropy: small losses keep their digits, at 0 the slope is 1/2', async () => {
  const logits = [0, 20, -20, 500, -500, 1.5];
  const targets = [0, 1, 0, 0, 1, 0.25];
  const exact = logits.map((x, i) => Math.max(x, 0) - x * at(targets, i) + Math.log1p(Math.exp(-Math.abs(x))));
  const [x, t] = [constant(logits, [6]), constant(targets, [6])];
  const y = await numbersOf(binaryCrossEntropy(x, t, { reduction: 'none' }));
  for (let i = 0; i < exact.length; i++) assert.ok(Math.abs(at(y, i) - at(exact, i)) <= 2e-6 * at(exact, i), `${i}`);
  const [d] = await gradientsOf(binaryCrossEntropy(x, t, { reduction: 'sum' }), fill(1, []), [x]);
  close(
    d ?? [],
    logits.map((v, i) => 1 / (1 + Math.exp(-v)) - at(targets, i)),
  );
  close(await numbersOf(meanSquare(x, t)), [logits.reduce((a, v, i) => a + (v - at(targets, i)) ** 2, 0) / 6]);
});

test('what does not fit is refused before any GPU work', () => {
  const x = fill(0, [2, 3]);
  const option = (act: () => unknown): void => assert.throws(act, isError(OptionError));
  const shape = (act: () => unknown): void => assert.throws(act, isError(ShapeError));
  const i = constant(u32(0, 1), [2]);
  shape(() => takeAlong(x, i));
  shape(() => gather(x, x));
  shape(() => gather(fill(0, []), i));
  shape(() => crossEntropy(x, constant(u32(0, 1, 2), [3])));
  shape(() => crossEntropy(x, fill(0, [2])));
  option(() => crossEntropy(x, i, { reduction: 'max' as 'sum' }));
  shape(() => binaryCrossEntropy(x, fill(0, [3])));
  shape(() => meanSquare(x, fill(0, [3])));
});

test.run();
