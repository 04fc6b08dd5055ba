// The guard of optimisers, which is on by itself: a step whose gradients or learning rate are not finite changes nothing, nor
// does any after it, until it is cleared; all Variables of the program stand still, in whichever way they are updated, and what
// follows has the bits of runs that never saw that step. Without such a step a guard changes no bit. What is said of the
// step is the business of non-finite-step.test.ts.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at, NonFiniteError } from '../engine/errors.ts';
import {
  adam,
  adamw,
  add,
  assign,
  compile,
  type Data,
  type Device,
  dropout,
  input,
  mul,
  type Optimiser,
  type OptimiserOptions,
  openDevice,
  type ParameterGradients,
  RandomState,
  rmsprop,
  sgd,
  sum,
  type Tensor,
  type Variable,
  variable,
} from '../engine/node.ts';
import { applyOne } from '../engine/op.ts';
import { constant } from '../engine/ops/leaf.ts';
import { planProgram } from '../engine/planner.ts';
import { lookOp } from './look-op.ts';
import { onAdapter, theDevice } from './on-adapter.ts';
import { runPlan } from './plan-runner.ts';

onAdapter(test);

const { NaN: nan, POSITIVE_INFINITY: inf } = Number;

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
  const optimiser = make(gradients, { learningRate: input('rate', []), ...options });
  const updates = [...optimiser, assign(carried, add(carried, 1))];
  const variables: readonly Variable[] = [a, b, carried, random.counter, ...optimiser.variables];
  return { updates, variables, outputs: { loss: sum(add(a, y)) } };
}

type Feeds = Record<string, Float32Array>;

const good = (t: number): Feeds => ({
  x: Float32Array.of(0.1 * t, -1, 2),
  y: Float32Array.of(1 + t),
  rate: Float32Array.of(0.1),
});

const values = (variables: readonly Variable[]): Promise<number[][]> =>
  Promise.all(variables.map(async (each) => [...new Uint32Array((await each.read()).buffer)]));

/** What a promise rejects with. */
async function rejection(act: Promise<unknown>): Promise<unknown> {
  try {
    await act;
  } catch (error) {
    return error;
  }
  throw new Error('it did not reject');
}

/** The NonFiniteError that it rejects with. */
async function refusal(act: Promise<unknown>): Promise<NonFiniteError> {
  const error = await rejection(act);
  if (error instanceof NonFiniteError) return error;
  throw error;
}

const bads: readonly Feeds[] = [
  { y: Float32Array.of(nan) },
  { y: Float32Array.of(inf) },
  { y: Float32Array.of(-inf) },
  { y: Float32Array.of(3e38) },
  { x: Float32Array.of(0, nan, 0) },
  { rate: Float32Array.of(nan) },
  { rate: Float32Array.of(inf) },
  { rate: Float32Array.of(3e38) },
];

for (const [name, make] of Object.entries(makers)) {
  for (const clipNorm of [undefined, 1]) {
    const clip = clipNorm === undefined ? {} : { clipNorm };
    test(`${name}${clipNorm === undefined ? '' : ', clipped'}: nothing changes from the first bad step on, until it is cleared`, async () => {
      const guarded = subject(make, clip);
      const free = subject(make, { ...clip, guard: false });
      const program = await compile(theDevice(), guarded.outputs, guarded.updates);
      const other = await compile(theDevice(), free.outputs, free.updates);
      for (let t = 0; t < 3; t++) await Promise.all([program.run(good(t)), other.run(good(t))]);
      const last = await values(guarded.variables);
      assert.equal(last, await values(free.variables), 'a guard that stays down changes no bit');
      assert.equal(await program.read('loss'), await other.read('loss'));
      let runs = 3;
      for (const bad of bads) {
        const what = JSON.stringify(Object.entries(bad).map(([key, value]) => [key, String(value)]));
        await program.run({ ...good(3), ...bad });
        await program.run(good(3));
        assert.equal(await values(guarded.variables), last, `after ${what}`);
        const error = await refusal(program.read('loss'));
        assert.is(error.step, runs + 1, what);
        assert.equal(await values(guarded.variables), last, `after the replay of ${what}`);
        assert.is(await rejection(program.run(good(3))), error, 'it runs no more');
        assert.is(await rejection(program.checkGuard()), error);
        await program.clearGuard();
        runs += 2;
      }
      await Promise.all([program.run(good(3)), other.run(good(3))]);
      const next = await values(guarded.variables);
      assert.equal(next, await values(free.variables), 'it goes on as if there had been no bad step');
      assert.equal(await program.read('loss'), await other.read('loss'));
      for (const [i, value] of next.entries()) {
        assert.not.equal(value, last[i], `${at(guarded.variables, i).name} stands still`);
      }
      for (const each of [program, other]) each.dispose();
      for (const each of [...guarded.variables, ...free.variables]) each.dispose();
    });
  }
}

test('weights have one guard: a bad gradient of one optimiser holds back the other, and other programs with its weights', async () => {
  const [a, b, c] = ['a', 'b', 'c'].map((name) => variable(name, [1], [1])) as [Variable, Variable, Variable];
  const [x, y] = [input('x', [1]), input('y', [1])];
  const one = (v: Variable, gradient: Tensor, name: string): Optimiser =>
    sgd([[v, gradient]], { learningRate: 1, name });
  const both = await compile(theDevice(), { x }, [...one(a, x, 's1'), ...one(b, y, 's2')]);
  const ofB = await compile(theDevice(), {}, one(b, x, 's3'));
  const ofC = await compile(theDevice(), {}, one(c, x, 's4'));
  const good = { x: Float32Array.of(1) };
  await ofC.run(good);
  await both.run({ ...good, y: Float32Array.of(nan) });
  for (const each of [ofB, ofC]) await each.run(good);
  assert.equal([...(await a.read()), ...(await b.read()), ...(await c.read())], [1, 1, -1]);
  const error = await refusal(ofB.checkGuard());
  assert.match(error.message, /^step 1: the feed 'y' \[1\] is not finite/);
  assert.is(await rejection(ofB.run(good)), error);
  assert.is((await refusal(both.read('x'))).step, 1);
  await ofC.checkGuard();
  await both.clearGuard();
  await ofB.run(good);
  await ofB.checkGuard();
  await both.run({ ...good, y: Float32Array.of(1) });
  assert.equal([...(await both.read('x')), ...(await a.read()), ...(await b.read())], [1, 0, -1]);
  for (const each of [both, ofB, ofC]) each.dispose();
  assert.is(theDevice().memory().variables, 3 * 16, 'the guards went with the programs');
  for (const each of [a, b, c]) each.dispose();
});

test('a norm to clip by that is not finite is refused too, and an optimiser may do without a guard', async () => {
  const [a, b] = [variable('a', [1], [1]), variable('b', [1], [1])];
  const [x, norm] = [input('x', [1]), input('norm', [])];
  const clipped = await compile(theDevice(), {}, sgd([[a, x]], { learningRate: 1, clipNorm: 1, norm }));
  await clipped.run({ x: Float32Array.of(1), norm: nan });
  assert.match((await refusal(clipped.checkGuard())).message, /^step 1: the feed 'norm' \[\] is not finite/);
  await clipped.clearGuard();
  await clipped.run({ x: Float32Array.of(inf), norm: 1 });
  assert.match((await refusal(clipped.checkGuard())).message, /^step 2: the feed 'x' \[1\] is not finite/);
  assert.equal([...(await a.read())], [1]);
  const free = await compile(theDevice(), { x }, sgd([[b, x]], { learningRate: 1, guard: false }));
  await free.run({ x: Float32Array.of(nan) });
  assert.equal([...(await free.read('x')), ...(await b.read())], [nan, nan]);
  await free.checkGuard();
  await free.clearGuard();
  for (const each of [clipped, free]) each.dispose();
  for (const each of [a, b]) each.dispose();
});

test('no race, frozen and not, with one guard and two', async () => {
  for (const [y, up] of [
    [2, 0],
    [nan, 1],
  ] as const) {
    for (const more of [false, true]) {
      const { updates, variables } = subject(adam, { clipNorm: 1 });
      const second = variable('second', [1], [1]);
      const other = more ? sgd([[second, constant([1], [1])]], { learningRate: 0.1, name: 'other' }) : [];
      const all = [...variables, ...(more ? [second] : [])];
      const before = await values(all);
      const plan = planProgram({}, [...updates, ...other], { training: true, subgroupSize: 0 });
      assert.is(plan.guard?.guards.length, more ? 2 : 1);
      const { variables: after, troubles } = await runPlan(plan, { ...good(0), y: Float32Array.of(y) });
      assert.equal(troubles, []);
      for (const { state } of plan.guard?.guards ?? []) assert.equal([...(after.get(state) ?? [])], [up, 1, 0, 0]);
      all.forEach((each, i) => {
        const bits = [...new Uint32Array((after.get(each) ?? new Uint32Array()).buffer)];
        (up === 1 ? assert.equal : assert.not.equal)(bits, before[i], each.name);
      });
    }
  }
});

test('the kernel that looks for what is not finite counts it, finds the first, and has no race', async () => {
  const numbers = Float32Array.from({ length: 700 }, (_, i) => 3 - i);
  const bits = (value: number): number => at(new Uint32Array(Float32Array.of(value).buffer), 0);
  const look = async (data: Float32Array): Promise<number[]> => {
    const looked = applyOne(lookOp, [input('x', [data.length])], {});
    const { outputs, troubles } = await runPlan(planProgram({ looked }, [], { training: false, subgroupSize: 0 }), {
      x: data,
    });
    assert.equal(troubles, []);
    return [...(outputs.get('looked') as Data)];
  };
  assert.equal(await look(numbers), [0, 700, bits(at(numbers, 699)), bits(696)]);
  numbers[699] = inf;
  assert.equal(await look(numbers), [1, 699, bits(inf), bits(695)]);
  numbers[300] = -inf;
  numbers[301] = nan;
  assert.equal(await look(numbers), [3, 300, bits(-inf), bits(695)]);
  // Behind the elements of a tensor anything may lie.
  assert.equal((await look(numbers.subarray(0, 299))).slice(0, 2), [0, 299]);
});

test('a step makes nothing, a look at the guard no submit of its own, and it lives as long as its programs', async () => {
  const device = await openDevice();
  try {
    const { updates, outputs, variables } = subject(adam, {});
    const program = await compile(device, outputs, updates);
    for (let t = 0; t < 3; t++) await program.run(good(t));
    await program.read('loss');
    const [created, memory] = [device.created(), device.memory()];
    const { queue } = device.gpu;
    let submits = 0;
    const submit = queue.submit;
    queue.submit = (buffers) => {
      submits++;
      return submit.call(queue, buffers);
    };
    for (let t = 0; t < 10; t++) {
      await program.run(good(t));
      await program.read('loss');
    }
    assert.is(submits, 20);
    assert.equal([device.created(), device.memory()], [created, memory]);
    await program.run({ ...good(1), y: Float32Array.of(nan) });
    await refusal(program.read('loss'));
    const { bytes } = device.memory();
    await program.clearGuard();
    await program.run({ ...good(1), y: Float32Array.of(nan) });
    await refusal(program.read('loss'));
    assert.is(device.memory().bytes, bytes, 'a replay leaves nothing behind');
    // Weights that are compiled again begin again, as if their guard had never been up.
    program.dispose();
    const again = await compile(device, outputs, updates);
    await again.run(good(1));
    await again.read('loss');
    await again.run({ ...good(1), x: Float32Array.of(1, 2, inf) });
    assert.is((await refusal(again.read('loss'))).step, 2);
    again.dispose();
    for (const each of variables) each.dispose();
    assert.is(device.memory().variables, 0);
  } finally {
    device.dispose();
  }
});

test('a read that was under way when the guard was cleared raises nothing', async () => {
  const w = variable('w', [1], [1]);
  const program = await compile(theDevice(), { w: mul(w, 1) }, sgd([[w, input('x', [1])]], { learningRate: 1 }));
  await program.run({ x: Float32Array.of(nan) });
  const late = program.read('w');
  await program.clearGuard();
  assert.equal([...(await late)], [1]);
  await program.run({ x: Float32Array.of(1) });
  await program.checkGuard();
  assert.equal([...(await w.read())], [0]);
  program.dispose();
  w.dispose();
});

test('a read that is under way when its program goes raises nothing for the next program', async () => {
  const { updates, outputs, variables } = subject(sgd, {});
  const first = await compile(theDevice(), outputs, updates);
  await first.run({ ...good(0), ...at(bads, 0) });
  const late = first.read('loss').catch(() => undefined);
  first.dispose();
  const second = await compile(theDevice(), outputs, updates);
  await late;
  await second.run(good(1));
  assert.ok(Number.isFinite(at(await second.read('loss'), 0)));
  second.dispose();
  for (const each of variables) each.dispose();
});

test('a compile that is refused takes the guard of no other device', async () => {
  const other = await openDevice();
  const w = variable('w', [1], [1]);
  const x = input('x', [1]);
  const make = (device: Device) => compile(device, { y: mul(w, 1) }, sgd(new Map([[w, x]]), { learningRate: 0.1 }));
  const program = await make(theDevice());
  await rejection(make(other));
  await program.run({ x: Float32Array.of(1) });
  assert.equal([...(await program.read('y'))], [1]);
  theDevice().check();
  program.dispose();
  other.dispose();
  w.dispose();
});

test('what an evaluation reads is not guarded', async () => {
  const { outputs } = subject(sgd, {});
  const program = await compile(theDevice(), outputs);
  assert.is(program.plan.guard, undefined);
  await program.run({ y: Float32Array.of(nan) });
  assert.ok(Number.isNaN(at(await program.read('loss'), 0)));
  program.dispose();
});

test.run();
