// Small facts, known by hand, of the ops over rows on the real adapter: softmax, top-K, sorting, running sums and products,
// layer normalisation. Not here: every op against float64 (check/).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at, OptionError, ShapeError } from '../engine/errors.ts';
import {
  constant,
  cumulativeProduct,
  cumulativeSum,
  evaluate,
  fill,
  layerNorm,
  scan,
  softmax,
  sort,
  topKMask,
} from '../engine/node.ts';
import { close, drawn, gradientsOf, isError, numbersOf, onAdapter, softmaxOf, theDevice, u32 } from './on-adapter.ts';

onAdapter(test);

test('softmax: short and long rows, scores of any size', async () => {
  const scores = [1, 2, 3, 500, -500, 499, 1e30, -1e30, 1e30, -3e38, 3e38, 0];
  const y = await numbersOf(softmax(constant(scores, [4, 3])));
  close(y.slice(0, 3), softmaxOf([1, 2, 3]));
  close(y.slice(3, 6), [1 / (1 + Math.exp(-1)), 0, Math.exp(-1) / (1 + Math.exp(-1))]);
  close(y.slice(6), [0.5, 0, 0.5, 0, 1, 0]);
  const row = drawn([3000], 0);
  close(await numbersOf(softmax(constant(row, [1, 3000]))), softmaxOf(row), 1e-8);
});

test('softmax: the mask takes columns out, with any broadcast, and an empty row is 0', async () => {
  const x = constant([1, 2, 3, 4, 5, 6], [2, 3]);
  const half = Math.E / (1 + Math.E);
  close(await numbersOf(softmax(x, { mask: constant([0, 1, 1], [3]) })), [0, 1 - half, half, 0, 1 - half, half]);
  close(await numbersOf(softmax(x, { mask: constant([0, 1], [2, 1]) })), [0, 0, 0, ...softmaxOf([4, 5, 6])]);
  const middle = constant([1, 0, 0, 1, 0, 0], [2, 1, 3]);
  const x3 = constant([...Array(12).keys()], [2, 2, 3]);
  close(await numbersOf(softmax(x3, { mask: middle })), [1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0]);
});

test('softmax: the K largest, the lowest column at a tie, of those that the mask lets through', async () => {
  const x = constant([2, 5, 5, 5, -0, 0, 0, -1], [2, 4]);
  close(await numbersOf(softmax(x, { topK: 2 })), [0, 0.5, 0.5, 0, 0.5, 0.5, 0, 0]);
  const mask = constant([1, 0, 1, 1], [4]);
  close(await numbersOf(softmax(x, { topK: 1, mask })), [0, 0, 1, 0, 1, 0, 0, 0]);
  close(await numbersOf(topKMask(x, 2)), [0, 1, 1, 0, 1, 1, 0, 0]);
  const row = drawn([200], 1);
  const least = at(
    [...row].sort((a, b) => b - a),
    6,
  );
  const wanted = softmaxOf(row, (i) => at(row, i) >= least);
  close(await numbersOf(softmax(constant(row, [200]), { topK: 7 })), wanted);
});

test('softmax: a NaN or an infinity is not hidden, unless it is masked', async () => {
  const n = Number.NaN;
  const i = Number.POSITIVE_INFINITY;
  for (const columns of [3, 100]) {
    const rest = new Array<number>(columns - 3).fill(0);
    const zeros = rest.map(() => 0);
    const nans = rest.map(() => n);
    const x = constant([1, n, 2, ...rest, 1, i, 2, ...rest, -i, -i, -i, ...rest.map(() => -i)], [3, columns]);
    close(await numbersOf(softmax(x)), new Array<number>(3 * columns).fill(n));
    const mask = constant([1, 0, 1, ...zeros], [columns]);
    const half = Math.E / (1 + Math.E);
    const whole = [1 - half, 0, half, ...zeros];
    close(await numbersOf(softmax(x, { mask })), [...whole, ...whole, n, 0, n, ...zeros]);
    close((await numbersOf(softmax(x, { topK: 1 }))).slice(0, columns), [n, n, n, ...nans]);
  }
});

test('softmax: its gradient is that of the definition, and 0 for columns that take no part', async () => {
  for (const columns of [5, 150]) {
    const row = drawn([columns], 2);
    const weights = drawn([columns], 3);
    const x = constant(row, [1, columns]);
    const mask = constant(
      Array.from(row, (_, i) => (i === 1 ? 0 : 1)),
      [columns],
    );
    const p = softmaxOf(row, (i) => i !== 1);
    const mean = p.reduce((total, each, i) => total + each * at(weights, i), 0);
    const expected = p.map((each, i) => each * (at(weights, i) - mean));
    const [dx] = await gradientsOf(softmax(x, { mask }), constant(weights, [1, columns]), [x]);
    close(dx ?? [], expected);
    assert.is(dx?.[1], 0);
  }
});

test('sort: stable in both directions, with its gradient; the largest is a NaN', async () => {
  const x = constant([3, 1, 2, 1, 5, Number.NaN, 5, -1], [2, 4]);
  const up = sort(x);
  const down = sort(x, { descending: true });
  const values = await evaluate(theDevice(), { up: up.values, ui: up.indices, down: down.values, di: down.indices });
  close(values.up, [1, 1, 2, 3, -1, 5, 5, Number.NaN]);
  assert.equal(values.ui, u32(1, 3, 2, 0, 3, 0, 2, 1));
  close(values.down, [3, 2, 1, 1, Number.NaN, 5, 5, -1]);
  assert.equal(values.di, u32(0, 2, 1, 3, 1, 0, 2, 3));
  const [dx] = await gradientsOf(up.values, constant([1, 2, 3, 4, 5, 6, 7, 8], [2, 4]), [x]);
  close(dx ?? [], [4, 1, 3, 2, 6, 8, 7, 5]);
  const row = drawn([1024], 4);
  close(await numbersOf(sort(constant(row, [1024])).values), row.slice().sort());
});

test('cumulative sums and products: short and long rows', async () => {
  const x = constant([1, 2, 3, 4, 0.5, -2, 0, 5], [2, 4]);
  close(await numbersOf(cumulativeSum(x)), [1, 3, 6, 10, 0.5, -1.5, -1.5, 3.5]);
  close(await numbersOf(cumulativeProduct(x)), [1, 2, 6, 24, 0.5, -1, 0, 0]);
  const [ds] = await gradientsOf(cumulativeSum(x), constant([1, 2, 3, 4, 5, 6, 7, 8], [2, 4]), [x]);
  close(ds ?? [], [10, 9, 7, 4, 26, 21, 15, 8]);
  const row = drawn([777], 5).map((v) => 1 + 0.01 * v);
  let total = 0;
  let product = 1;
  const sums = Array.from(row, (v) => (total += v));
  const products = Array.from(row, (v) => (product *= v));
  const long = constant(row, [777]);
  close(await numbersOf(cumulativeSum(long)), sums);
  close(await numbersOf(cumulativeProduct(long)), products, 1e-5);
  const [dl] = await gradientsOf(cumulativeSum(long), fill(1, [777]), [long]);
  close(
    dl ?? [],
    Array.from(row, (_, i) => 777 - i),
  );
});

test('cumulative product: the gradient is right with one zero and with two in a row', async () => {
  // y = [a, ab, abc, abcd], weights 1, 2, 3, 4.
  const gradient = ([a, b, c, d]: readonly [number, number, number, number]): number[] => [
    1 + 2 * b + 3 * b * c + 4 * b * c * d,
    2 * a + 3 * a * c + 4 * a * c * d,
    3 * a * b + 4 * a * b * d,
    4 * a * b * c,
  ];
  const rows = [
    [2, 3, 5, 7],
    [2, 0, 5, 7],
    [2, 0, 5, 0],
    [0, 0, 5, 7],
  ] as const;
  const x = constant(rows.flat(), [4, 4]);
  const [dx] = await gradientsOf(cumulativeProduct(x), constant([1, 2, 3, 4], [4]), [x]);
  close(dx ?? [], rows.flatMap(gradient));
});

test('layerNorm: rows of mean 0 and variance 1, a constant row, weight and bias', async () => {
  const root = Math.sqrt(1.25 + 1e-5);
  const z = [-1.5, -0.5, 0.5, 1.5].map((v) => v / root);
  const x = constant([1, 2, 3, 4, 7, 7, 7, 7], [2, 4]);
  close(await numbersOf(layerNorm(x)), [...z, 0, 0, 0, 0]);
  const weight = constant([1, 2, 3, 4], [4]);
  const bias = constant([10, 20, 30, 40], [4]);
  const expected = [...z.map((v, i) => v * (i + 1) + 10 * (i + 1)), 10, 20, 30, 40];
  close(await numbersOf(layerNorm(x, { weight, bias })), expected);
  close(await numbersOf(layerNorm(x, { weight: constant([1, 2], [2, 1]), bias })), [
    ...z.map((v, i) => v + 10 * (i + 1)),
    ...[10, 20, 30, 40],
  ]);
});

test('layerNorm: gradients by central differences, short and long rows', async () => {
  for (const columns of [4, 130]) {
    const shape = [2, columns];
    const [x, w, b, weights] = [0, 1, 2, 3].map((i) => drawn(i === 0 || i === 3 ? shape : [columns], 20 + i));
    if (x === undefined || w === undefined || b === undefined || weights === undefined) throw new Error('unreachable');
    const loss = (x: ArrayLike<number>): number => {
      let total = 0;
      for (let r = 0; r < 2; r++) {
        const row = Array.from({ length: columns }, (_, i) => at(x, r * columns + i));
        const mean = row.reduce((a, v) => a + v, 0) / columns;
        const variance = row.reduce((a, v) => a + (v - mean) ** 2, 0) / columns;
        row.forEach((v, i) => {
          total += at(weights, r * columns + i) * (((v - mean) / Math.sqrt(variance + 1e-5)) * at(w, i) + at(b, i));
        });
      }
      return total;
    };
    const expected = Array.from(x, (_, i) => {
      const moved = (by: number): Float64Array => Float64Array.from(x, (v, j) => v + (i === j ? by : 0));
      return (loss(moved(1e-5)) - loss(moved(-1e-5))) / 2e-5;
    });
    const [tx, tw, tb] = [constant(x, shape), constant(w, [columns]), constant(b, [columns])];
    const y = layerNorm(tx, { weight: tw, bias: tb });
    const [dx, dw, db] = await gradientsOf(y, constant(weights, shape), [tx, tw, tb]);
    close(dx ?? [], expected, 1e-5);
    const z = await numbersOf(layerNorm(tx));
    close(
      dw ?? [],
      Array.from(w, (_, i) => [i, columns + i].reduce((a, k) => a + at(weights, k) * at(z, k), 0)),
    );
    close(
      db ?? [],
      Array.from(b, (_, i) => at(weights, i) + at(weights, columns + i)),
    );
  }
});

test('rows in a scan: masks and norms that change from step to step', async () => {
  const x = constant([1, 2, 3, 4, 5, 6], [2, 3]);
  const mask = constant([1, 1, 1, 0, 1, 1], [2, 3]);
  const weight = constant([1, 1, 1, 2, 2, 2], [2, 3]);
  const bias = fill(1, [3]);
  const { outputs } = scan(
    ({ m, w }) => ({ state: {}, output: { p: softmax(x, { mask: m }), y: layerNorm(x, { weight: w, bias }) } }),
    { m: mask, w: weight },
    {},
  );
  const half = Math.E / (1 + Math.E);
  const all = softmaxOf([1, 2, 3]);
  close(await numbersOf(outputs.p), [...all, ...all, 0, 1 - half, half, 0, 1 - half, half]);
  const top = 1 / Math.sqrt(2 / 3 + 1e-5);
  const [one, two] = [
    [1 - top, 1, 1 + top],
    [1 - 2 * top, 1, 1 + 2 * top],
  ];
  close(await numbersOf(outputs.y), [...one, ...one, ...two, ...two]);
  const [dw] = await gradientsOf(outputs.y, constant([1, 0, 0], [3]), [weight]);
  close(dw ?? [], [-2 * top, 0, 0, -2 * top, 0, 0]);
});

test('what does not fit is refused before any GPU work', () => {
  const x = fill(0, [2, 3]);
  const option = (act: () => unknown): void => assert.throws(act, isError(OptionError));
  const shape = (act: () => unknown): void => assert.throws(act, isError(ShapeError));
  const i = constant(u32(0, 1), [2]);
  for (const topK of [0, 4, 1.5]) option(() => softmax(x, { topK }));
  option(() => topKMask(x, 4));
  shape(() => softmax(fill(0, [])));
  shape(() => softmax(x, { mask: fill(1, [2, 2, 3]) }));
  shape(() => softmax(x, { mask: fill(1, [2]) }));
  shape(() => softmax(i));
  shape(() => sort(fill(0, [9000])));
  option(() => layerNorm(x, { epsilon: 0 }));
  shape(() => layerNorm(x, { weight: fill(1, [2]) }));
});

test.run();
