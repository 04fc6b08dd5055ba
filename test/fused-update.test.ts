// All parameters of an optimiser in a handful of kernel calls: how many, and that where parameters lie changes no bit. Not
// here: what the calls compute (optimisers.test.ts), and storage that Variables share (joined.test.ts).

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at } from '../engine/errors.ts';
import {
  add,
  assign,
  compile,
  constant,
  type Data,
  grad,
  mul,
  square,
  sum,
  type Tensor,
  tanh,
  type Update,
  Variable,
  variable,
} from '../engine/node.ts';
import { adam, type ParameterGradients, rmsprop, sgd } from '../engine/optimisers.ts';
import { dispatchesOf } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import { normalArray } from '../engine/random.ts';
import { onAdapter, theDevice } from './on-adapter.ts';
import { Trial } from './optimiser-trials.ts';

onAdapter(test);

/** Parameters of many sizes, whose gradients a program computes. */
function manyParameters(count: number): {
  readonly variables: readonly Variable[];
  readonly pairs: [Tensor, Tensor][];
} {
  const variables = Array.from(
    { length: count },
    (_, i) =>
      new Variable(`w${i}`, [1 + ((i * 37) % 90), 3], normalArray((1 + ((i * 37) % 90)) * 3, { seed: 7, stream: i })),
  );
  const loss = variables.map((each) => sum(square(tanh(each)))).reduce((a, b) => add(a, b));
  return { variables, pairs: [...grad(loss, variables)] };
}

/** The labels and kernels of the calls that a plan has after the last gradient. */
function lastCalls(updates: readonly Update[]): string[] {
  const plan = planProgram({}, updates, { training: true, subgroupSize: 0 });
  const calls = dispatchesOf(plan).map(({ label, kernel }) => `${label}: ${kernel.name}`);
  return calls.filter((call) => /adam|sgd|rmsprop|globalNorm|guard/.test(call));
}

test('a step of all parameters is a handful of kernel calls', () => {
  const norm = ['globalNorm: normParts', 'globalNorm: normTotal'];
  const adamCalls = ['adam: updateControl', 'adam: adam'];
  const rate = { learningRate: 0.1 };
  const free = { ...rate, guard: false };
  assert.equal(lastCalls(adam(manyParameters(17).pairs, { ...free, clipNorm: 1 })), [...norm, ...adamCalls]);
  assert.equal(lastCalls(adam(manyParameters(17).pairs, free)), adamCalls);
  assert.equal(lastCalls(sgd(manyParameters(11).pairs, free)), ['sgd: sgd']);
  assert.equal(lastCalls(rmsprop(manyParameters(40).pairs, free)), ['rmsprop: rmsprop', 'rmsprop: rmsprop']);
  // The guard takes one call where there is a norm to clip by, and two where there is none.
  const guard = ['guard: normParts', 'guard: guard'];
  assert.equal(lastCalls(adam(manyParameters(17).pairs, { ...rate, clipNorm: 1 })), [
    ...norm,
    'guard: guard',
    ...adamCalls,
  ]);
  assert.equal(lastCalls(adam(manyParameters(17).pairs, rate)), [...guard, ...adamCalls]);
  assert.equal(lastCalls(sgd(manyParameters(11).pairs, rate)), [...guard, 'sgd: sgd']);
  assert.equal(lastCalls(sgd(manyParameters(11).pairs, { ...rate, clipNorm: 1 })), [
    ...norm,
    'guard: guard',
    'sgd: updateControl',
    'sgd: sgd',
  ]);
  // Gradients that are no result of a kernel call are gathered by copies.
  assert.equal(lastCalls(adam(new Trial(3, 2).gradients, rate)), [
    ...['adam gather: copy', 'adam gather: copy', 'adam gather: copy'],
    ...guard,
    ...adamCalls,
  ]);
});

/** The values of parameters and state after some steps. */
async function stepped(
  { variables, pairs }: ReturnType<typeof manyParameters>,
  make: (pairs: ParameterGradients) => readonly Update[] & { readonly variables: readonly Variable[] },
  steps = 3,
): Promise<Data[]> {
  const updates = make(pairs);
  const program = await compile(theDevice(), {}, updates);
  for (let t = 0; t < steps; t++) await program.run();
  const values = await Promise.all([...variables, ...updates.variables].map((each) => each.read()));
  program.dispose();
  for (const each of [...variables, ...updates.variables]) each.dispose();
  return values;
}

test('parameters that lie apart give the bits of parameters that share storage, 40 of them', async () => {
  for (const make of [
    (g: ParameterGradients) => adam(g, { learningRate: 0.1, clipNorm: 0.5 }),
    (g: ParameterGradients) => rmsprop(g, { learningRate: 0.1, clipNorm: 0.5, momentum: 0.5, centered: true }),
    (g: ParameterGradients) => sgd(g, { learningRate: 0.1, momentum: 0.9, weightDecay: 0.1 }),
  ]) {
    const shared = manyParameters(40);
    const before = await Promise.all(shared.variables.map((each) => each.read()));
    const apart = manyParameters(40);
    for (const each of apart.variables) each.plan();
    const found = await stepped(shared, make);
    assert.equal(await stepped(apart, make), found);
    for (const [i, values] of before.entries()) {
      assert.not.equal(at(found, i), values, `parameter ${i} has not moved`);
    }
    // A few of each: some share with others, some do not.
    const mixed = manyParameters(40);
    mixed.variables.forEach((each, i) => {
      if (i % 3 === 0) each.plan();
    });
    assert.equal(await stepped(mixed, make), found);
  }
});

test('two optimisers may have a parameter in common, and a program may copy one into another', async () => {
  const [a, b, c, kept] = ['a', 'b', 'c', 'kept'].map((name, i) => variable(name, [i + 1, -i], [2])) as [
    Variable,
    Variable,
    Variable,
    Variable,
  ];
  const ones = constant([1, 1], [2]);
  const first = sgd(
    [
      [a, ones],
      [b, ones],
      [kept, constant([0, 0], [2])],
    ],
    { learningRate: 0.5 },
  );
  const second = sgd(
    [
      [b, ones],
      [c, mul(ones, 2)],
    ],
    { learningRate: 0.25, name: 'second' },
  );
  const program = await compile(theDevice(), {}, [...first, ...second, assign(kept, b)]);
  await program.run();
  assert.equal([...(await a.read())], [0.5, -0.5]);
  assert.equal([...(await b.read())], [1.25, -1.75]);
  assert.equal([...(await c.read())], [2.5, -2.5]);
  assert.equal([...(await kept.read())], [1.25, -1.75], 'a Variable is read as it is at that moment');
  program.dispose();
});

test.run();
