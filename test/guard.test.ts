// The guard of optimisers: the first step with a gradient that is not finite changes nothing, nor does any after it, until
// the flag is written 0; all Variables of the program stand still, in whichever way they are updated. And without a gradient
// that is not finite a guard changes no bit.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at, OptionError } from '../engine/errors.ts';
import {
  adam,
  adamw,
  add,
  assign,
  compile,
  dropout,
  input,
  mul,
  type Optimiser,
  type OptimiserOptions,
  type ParameterGradients,
  RandomState,
  rmsprop,
  sgd,
  sum,
  type Variable,
  variable,
} from '../engine/node.ts';
import { planProgram } from '../engine/planner.ts';
import { onAdapter, theDevice } from './on-adapter.ts';
import { runPlan } from './plan-runner.ts';

onAdapter(test);

type Make = (gradients: ParameterGradients, options: OptimiserOptions) => Optimiser;
const makers: Readonly<Record<string, Make>> = {
  sgd,
  'sgd with momentum': (g, options) => sgd(g, { ...options, momentum: 0.9 }),
  rmsprop: (g, options) => rmsprop(g, { ...options, centered: true, momentum: 0.5 }),
  adam,
  adamw,
};

/** A program with everything that a run can change: parameters, moments, corrections, a carried state, random state. */
function subject(make: Make, options: Partial<OptimiserOptions>) {
  const [a, b] = [variable('a', [1, -2, 3], [3]), variable('b', [0.5], [])];
  const carried = variable('carried', [1, 1], [2]);
  const random = new RandomState({ seed: 3 });
  const [x, y] = [input('x', [3]), input('y', [])];
  const gradients: ParameterGradients = [
    [a, dropout(add(a, x), { rate: 0.25, random })],
    [b, mul(y, y)],
  ];
  const optimiser = make(gradients, { learningRate: 0.1, ...options });
  const updates = [...optimiser, assign(carried, add(carried, 1))];
  const variables: readonly Variable[] = [a, b, carried, random.counter, ...optimiser.variables];
  return { updates, variables, outputs: { loss: sum(add(a, y)) } };
}

const good = (t: number): Record<string, Float32Array> => ({
  x: Float32Array.of(0.1 * t, -1, 2),
  y: Float32Array.of(1 + t),
});

const values = (variables: readonly Variable[]): Promise<number[][]> =>
  Promise.all(variables.map(async (each) => [...new Uint32Array((await each.read()).buffer)]));

for (const [name, make] of Object.entries(makers)) {
  for (const clipNorm of [undefined, 1]) {
    const clip = clipNorm === undefined ? {} : { clipNorm };
    test(`${name}${clipNorm === undefined ? '' : ', clipped'}: nothing changes from the first bad step on, until the flag is down`, async () => {
      const flag = variable('flag', new Uint32Array(1), [1]);
      const guarded = subject(make, { ...clip, guard: flag });
      const free = subject(make, clip);
      const program = await compile(theDevice(), guarded.outputs, guarded.updates);
      const other = await compile(theDevice(), free.outputs, free.updates);
      for (let t = 0; t < 3; t++) await Promise.all([program.run(good(t)), other.run(good(t))]);
      const last = await values(guarded.variables);
      assert.equal(last, await values(free.variables), 'a guard that stays down changes no bit');
      assert.equal([...(await flag.read())], [0]);
      for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3e38]) {
        await program.run({ ...good(3), y: Float32Array.of(bad) });
        assert.equal([...(await flag.read())], [1], `the flag at ${bad}`);
        await program.run(good(3));
        assert.equal(await values(guarded.variables), last, `after ${bad}`);
        flag.write(Uint32Array.of(0));
      }
      await Promise.all([program.run(good(3)), other.run(good(3))]);
      const next = await values(guarded.variables);
      assert.equal(next, await values(free.variables), 'it goes on as if there had been no bad step');
      for (const [i, value] of next.entries()) {
        assert.not.equal(value, last[i], `${at(guarded.variables, i).name} stands still`);
      }
      for (const each of [program, other]) each.dispose();
      for (const each of [flag, ...guarded.variables, ...free.variables]) each.dispose();
    });
  }
}

test('a bad gradient of one optimiser holds the other back too, and a second program', async () => {
  const flag = variable('flag', new Uint32Array(1), [1]);
  const [a, b] = [variable('a', [1], [1]), variable('b', [1], [1])];
  const [x, y] = [input('x', [1]), input('y', [1])];
  const updates = [
    ...sgd([[a, x]], { learningRate: 1, guard: flag }),
    ...sgd([[b, y]], { learningRate: 1, guard: flag, name: 'second' }),
  ];
  const program = await compile(theDevice(), {}, updates);
  await program.run({ x: Float32Array.of(1), y: Float32Array.of(Number.NaN) });
  assert.equal([...(await a.read()), ...(await b.read())], [1, 1]);
  const second = await compile(theDevice(), {}, sgd([[a, x]], { learningRate: 1, guard: flag }));
  await second.run({ x: Float32Array.of(1) });
  assert.equal([...(await a.read())], [1]);
  flag.write(Uint32Array.of(0));
  await second.run({ x: Float32Array.of(1) });
  assert.equal([...(await a.read())], [0]);
  for (const each of [program, second]) each.dispose();
  for (const each of [a, b, flag]) each.dispose();
});

test('no race, frozen and not, and two guards in one program are refused', async () => {
  for (const [y, up] of [
    [2, 0],
    [Number.NaN, 1],
  ] as const) {
    const flag = variable('flag', new Uint32Array(1), [1]);
    const { updates, variables } = subject(adam, { guard: flag, clipNorm: 1 });
    const before = await values(variables);
    const plan = planProgram({}, updates, { training: true, subgroupSize: 0 });
    const { variables: after, troubles } = await runPlan(plan, { ...good(0), y: Float32Array.of(y) });
    assert.equal(troubles, []);
    assert.equal([...(after.get(flag) ?? [])], [up]);
    variables.forEach((each, i) => {
      const bits = [...new Uint32Array((after.get(each) ?? new Uint32Array()).buffer)];
      (up === 1 ? assert.equal : assert.not.equal)(bits, before[i], each.name);
    });
  }
  const [one, two] = ['one', 'two'].map((name) => variable(name, new Uint32Array(1), [1]));
  const both = [one, two].map((guard, i) =>
    subject(sgd, { name: `s${i}`, ...(guard && { guard }) }).updates.slice(0, 1),
  );
  assert.throws(
    () => planProgram({}, both.flat(), { training: true, subgroupSize: 0 }),
    (error: unknown) => error instanceof OptionError && /different guards, 'one' and 'two'/.test(error.message),
  );
});

test.run();
