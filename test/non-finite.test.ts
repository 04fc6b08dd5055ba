// Elementwise ops and reductions where numbers are NaN or infinite: nothing is lost silently. On the adapter, against the
// float64 interpreter, whose numbers are rounded to f32.

import { test } from 'uvu';
import { interpret } from '../check/interpret.ts';
import { at, need } from '../engine/errors.ts';
import * as ops from '../engine/node.ts';
import { constant, type Data, evaluate, type Tensor } from '../engine/node.ts';
import { close, gradientsOf, numbersOf, onAdapter, theDevice } from './on-adapter.ts';

onAdapter(test);

const [inf, nan] = [Number.POSITIVE_INFINITY, Number.NaN];

/** The adapter's numbers are the interpreter's. */
async function agree(tensors: readonly Tensor[]): Promise<void> {
  const named = Object.fromEntries(tensors.map((tensor, i) => [`y${i}`, tensor]));
  const got: Readonly<Record<string, Data>> = await evaluate(theDevice(), named);
  const exact = await interpret(tensors);
  exact.forEach(({ data }, i) => {
    close(need(got[`y${i}`], 'a value'), Float32Array.from(data), 1e-5);
  });
}

const unary: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  identity: ops.identity,
  affine: (x) => ops.affine(x, -2, 1),
  exp: ops.exp,
  abs: ops.abs,
  sign: ops.sign,
  sigmoid: ops.sigmoid,
  tanh: ops.tanh,
  relu: ops.relu,
  softplus: ops.softplus,
  square: ops.square,
  clamp: (x) => ops.clamp(x, -1, 1),
  gelu: ops.gelu,
  elu: ops.elu,
  leakyRelu: (x) => ops.leakyRelu(x, 0.1),
  'power 0': (x) => ops.power(x, 0),
  'power 2': (x) => ops.power(x, 2),
  'power 3': (x) => ops.power(x, 3),
};

test('functions of one number', async () => {
  const x = constant([nan, inf, -inf, -1.5, 0, 2, nan], [7]);
  await agree(Object.values(unary).map((f) => f(x)));
  const positive = constant([nan, 1.5, nan, 0.5], [4]);
  await agree([ops.log, ops.sqrt, ops.reciprocal, ops.sin, ops.cos].map((f) => f(positive)));
});

const pairs = [
  [nan, 1],
  [1, nan],
  [nan, nan],
  [inf, nan],
  [nan, -inf],
  [inf, -inf],
  [-inf, -inf],
  [-inf, 3],
  [2, inf],
] as const;

test('functions of two numbers', async () => {
  const [a, b] = ([0, 1] as const).map((side) =>
    constant(
      pairs.map((pair) => pair[side]),
      [pairs.length],
    ),
  ) as [Tensor, Tensor];
  const { add, sub, mul, maximum, minimum, greater, lessEqual, equal } = ops;
  await agree([add, sub, mul, maximum, minimum, greater, lessEqual, equal].map((f) => f(a, b)));
});

test('a negative number to a power that is not whole is NaN, to a whole one it is a number', async () => {
  const x = constant([-2, -2, -0.5, 2, -2], [5]);
  await agree([0.5, -0.5, 1.5, 2, 3, -3, 1, 0].map((p) => ops.power(x, p)));
  await agree([
    ops.pow(x, constant([0.5, 3, -1.5, 0.5, -2], [5])),
    ops.pow(constant([nan, nan, 2, -2, 0], [5]), constant([0, 2, nan, nan, nan], [5])),
  ]);
  close(await numbersOf(ops.power(x, 0.5)), [nan, nan, nan, Math.fround(Math.SQRT2), nan]);
});

// Rows that a lane each, a workgroup each, and two passes reduce; one element of the second row is not finite.
for (const [rows, columns] of [
  [17, 5],
  [17, 700],
  [3, 9000],
] as const) {
  test(`extremes of [${rows},${columns}]`, async () => {
    for (const odd of [nan, inf, -inf]) {
      const numbers = Array.from({ length: rows * columns }, (_, i) => ((i * 7919) % 1009) - 500);
      numbers[2 * columns - 2] = odd;
      const x = constant(numbers, [rows, columns]);
      const turned = constant(
        numbers.map((_, i) => at(numbers, (i % rows) * columns + Math.floor(i / rows))),
        [columns, rows],
      );
      await agree(
        [ops.max, ops.min].flatMap((extreme) => [
          extreme(x, { axes: [1] }),
          extreme(turned, { axes: [0] }),
          extreme(x),
        ]),
      );
    }
  });
}

test('the extremes of rows of infinities and of the largest numbers are these', async () => {
  const x = constant([-inf, -inf, inf, inf, -3.4e38, -inf, 3.4e38, inf], [4, 2]);
  close(await numbersOf(ops.max(x, { axes: [1] })), [-inf, inf, Math.fround(-3.4e38), inf]);
  close(await numbersOf(ops.min(x, { axes: [1] })), [-inf, inf, -inf, Math.fround(3.4e38)]);
});

test('gradients pass a NaN on, and are not lost at one', async () => {
  const x = constant([nan, 1, -1], [3]);
  const ones = constant([1, nan, 1], [3]);
  close((await gradientsOf(ops.relu(x), ones, [x])).flat(), [1, nan, 0]);
  close((await gradientsOf(ops.clamp(x, -2, 2), constant([1, 1, 1], [3]), [x])).flat(), [nan, 1, 1]);
});

test.run();
