// What is said of a training step that was not finite: which step, and which tensor was the first, op, place, pass and time step;
// in plain graphs, in loops, in both paths of a RIM, in chunks and where chunks are computed again. Infinities are
// planted in feeds, Variables, constants and states, or made by numbers that are too large. A replay changes no Variable, and
// what comes after it has the bits of a training that never saw the step (guard.test.ts has that for all optimisers).

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runMainJob } from '../bench/main-job.ts';
import { at, NonFiniteError, need } from '../engine/errors.ts';
import type { Feeds } from '../engine/feeds.ts';
import {
  adam,
  add,
  compile,
  constant,
  exp,
  fill,
  grad,
  input,
  log,
  matmul,
  mean,
  mul,
  type Optimiser,
  type ParameterGradients,
  RandomState,
  scan,
  sgd,
  slice,
  sqrt,
  square,
  sum,
  type Tensor,
  tanh,
  type Variable,
  variable,
} from '../engine/node.ts';
import { normalArray } from '../engine/random.ts';
import { RIM, type RIMOptions } from '../rims/index.ts';
import { onAdapter, theDevice } from './on-adapter.ts';

onAdapter(test);

const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
type Make = (gradients: ParameterGradients) => Optimiser;
const plain: Make = (gradients) => sgd(gradients, { learningRate: 0.1 });

const valuesOf = (variables: readonly Variable[]): Promise<number[][]> =>
  Promise.all(variables.map(async (each) => [...new Uint32Array((await each.read()).buffer)]));

/**
 * Trains with good feeds twice, then with bad ones; the state must stand. Clears, and goes on with good ones.
 * @returns the error of the bad step
 */
async function planted(
  loss: Tensor,
  weights: readonly Variable[],
  feeds: {
    readonly good: Feeds;
    readonly bad: Feeds;
    readonly more?: readonly Variable[];
    readonly plant?: () => void;
  },
  make: Make = plain,
): Promise<NonFiniteError> {
  const { good, bad, more = [], plant = () => {} } = feeds;
  const optimiser = make(grad(loss, weights));
  const all = [...weights, ...optimiser.variables, ...more];
  const program = await compile(theDevice(), { loss }, optimiser);
  try {
    for (let t = 0; t < 2; t++) await program.run(good);
    await program.read('loss');
    plant();
    const before = await valuesOf(all);
    await program.run(bad);
    await program.run(good);
    const error = await program.read('loss').then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.instance(error, NonFiniteError);
    assert.equal(await valuesOf(all), before, 'the replay left the state alone');
    assert.is((error as NonFiniteError).step, 3);
    await program.clearGuard();
    if (feeds.plant === undefined) {
      await program.run(good);
      assert.ok(Number.isFinite(at(await program.read('loss'), 0)));
      assert.not.equal(await valuesOf(all), before, 'it does not go on');
    }
    return error as NonFiniteError;
  } finally {
    program.dispose();
    for (const each of optimiser.variables) each.dispose();
  }
}

const ones = (size: number, ...from: readonly (readonly [at: number, value: number])[]): Float32Array => {
  const data = new Float32Array(size).fill(0.5);
  for (const [i, value] of from) data[i] = value;
  return data;
};

test('a computed tensor: forward and backward, with its inputs', async () => {
  const w = variable('w', [1, 2, 3, 4], [2, 2]);
  const x = input('x', [3, 2]);
  const forward = await planted(mean(exp(matmul(x, w))), [w], { good: { x: ones(6) }, bad: { x: ones(6, [3, 60]) } });
  assert.is(
    forward.message.replace(/up to \d+/, 'up to #'),
    "step 3: 'exp' [3,2] of the forward pass is the first tensor that is not finite (2 of 6; the first, at [1,0], is Infinity); " +
      "its inputs are finite: 'einsum' [3,2] up to #. Weights, moments and counters stand as they were before that step; " +
      'lower the learning rate, clip gradients (clipNorm) or leave out that batch, and call clearGuard() of the program to go on',
  );
  const { op, shape, count, index, value, pass, time } = forward.found ?? {};
  assert.equal([op, shape, count, index, value, pass, time], ['exp', [3, 2], 2, 2, inf, 'forward', undefined]);

  // The root of 0 is finite, its slope is not.
  const v = variable('v', [1, 2], [2]);
  const y = input('y', [2]);
  const backward = await planted(sum(sqrt(mul(v, y))), [v], { good: { y: ones(2) }, bad: { y: ones(2, [1, 0]) } });
  assert.is(backward.found?.pass, 'backward');
  assert.equal([backward.found?.shape, backward.found?.index], [[2], 1]);
  assert.match(backward.message, /^step 3: 'div' \[2\] of the backward pass is the first .* its inputs are finite: /);
});

test('a feed, a Variable and a constant', async () => {
  const w = variable('w', [1, 2], [2]);
  const [x, table] = [input('x', [3, 2]), constant([1, inf, 1, 1], [2, 2])];
  const row = input('row', [1, 2]);
  const loss = (rows: Tensor): Tensor => mean(square(mul(rows, w)));
  const feed = await planted(loss(x), [w], { good: { x: ones(6) }, bad: { x: ones(6, [3, nan], [5, inf]) } });
  assert.match(
    feed.message,
    /^step 3: the feed 'x' \[3,2\] is not finite \(2 of 6; the first, at \[1,1\], is NaN\)\. .* mend or leave out that batch/,
  );
  assert.equal([feed.found?.op, feed.found?.name, feed.found?.index], ['input', 'x', 3]);

  const loaded = variable('loaded', [1, 2], [2]);
  const own = await planted(loss(mul(x, loaded)), [w], {
    good: { x: ones(6) },
    bad: { x: ones(6) },
    more: [loaded],
    plant: () => loaded.write(Float32Array.of(1, nan)),
  });
  assert.match(
    own.message,
    /^step 3: the variable 'loaded' \[2\] is not finite \(1 of 2; .* write or load finite values/,
  );
  assert.equal([own.found?.op, own.found?.name], ['variable', 'loaded']);

  const u = variable('u', [1, 2], [2]);
  const fixed = await planted(mean(mul(matmul(row, table), u)), [u], {
    good: { row: ones(2) },
    bad: { row: ones(2) },
  }).catch((error: unknown) => error);
  assert.instance(fixed, NonFiniteError, 'it is so from the first step on');
  assert.match((fixed as Error).message, /^step 1: the constant \[2,2\] is not finite \(1 of 4; the first, at \[0,1\]/);
  u.dispose();
});

test("infinities that reach no gradient are nobody's fault", async () => {
  const w = variable('w', [1, 2], [2]);
  const [x, z] = [input('x', [2]), input('z', [2])];
  // The logarithm of 0, and what a mask adds to it, end in a finite number before they meet a gradient.
  const seen = add(log(z), fill(-inf, [2]));
  const loss = mean(exp(mul(mul(x, w), add(exp(seen), 1))));
  const optimiser = plain(grad(loss, [w]));
  const program = await compile(theDevice(), { loss, seen }, optimiser);
  await program.run({ x: ones(2), z: ones(2, [0, 0]) });
  assert.equal([...(await program.read('seen'))], [-inf, -inf]);
  await program.run({ x: ones(2, [1, 200]), z: ones(2, [0, 0]) });
  const error = await program.read('seen').catch((reason: unknown) => reason);
  assert.match(String(error), /step 2: 'exp' \[2\] of the forward pass is the first .* \(1 of 2; the first, at \[1\]/);
  program.dispose();
  w.dispose();
});

test('all tensors finite: a norm, an update that no f32 holds', async () => {
  const w = variable('w', [1, 2], [2]);
  const [x, rate] = [input('x', [2]), input('rate', [])];
  const make: Make = (g) => sgd(g, { learningRate: rate });
  const good = { x: ones(2), rate: 0.1 };
  const norm = await planted(sum(mul(x, w)), [w], { good, bad: { ...good, x: ones(2, [0, 2e20]) } }, make);
  assert.match(norm.message, /^step 3: all tensors are finite, but the norm .* the largest gradient being 2e\+20\./);
  assert.is(norm.found, undefined);
  const large = await planted(sum(mul(x, w)), [w], { good, bad: { ...good, rate: 1e38 } }, make);
  assert.match(
    large.message,
    /^step 3: all tensors are finite, but the learning rate, 1e\+38, times gradients of up to 0\.5/,
  );
  const odd = await planted(sum(mul(x, w)), [w], { good, bad: { ...good, rate: nan } }, make);
  assert.match(odd.message, /^step 3: the feed 'rate' \[\] is not finite \(1 of 1; the first, at \[\], is NaN\)/);
});

for (const options of [{}, { chunk: 4 }, { chunk: 4, recompute: true }]) {
  test(`a loop ${JSON.stringify(options)}: the step of time, forward and backward`, async () => {
    const [T, B] = [10, 3];
    const w = variable('w', [1.5], [1]);
    const [x, start] = [input('x', [T, B]), input('start', [B])];
    const { state, outputs } = scan(
      ({ x }, { h }) => {
        const next = mul(exp(add(h, x)), 1e-3);
        return { state: { h: mul(next, w) }, output: { next } };
      },
      { x },
      { h: start },
      options,
    );
    const loss = add(mean(state.h), mean(outputs.next));
    const good = { x: ones(T * B), start: ones(B) };
    const forward = await planted(loss, [w], { good, bad: { ...good, x: ones(T * B, [6 * B + 2, 300]) } });
    const { op, pass, time, steps, index, shape } = forward.found ?? {};
    assert.is(op, 'exp');
    assert.equal([pass, time, steps, index, shape], ['forward', 6, T, 2, [B]]);
    assert.match(
      forward.message,
      /'exp' \[3\] of the forward pass, at time step 7 of 10, is the first .* its inputs are finite: 'add' \[3\] up to 30/,
    );
    const initial = await planted(loss, [w], { good, bad: { ...good, start: ones(B, [1, inf]) } }, (g) =>
      adam(g, { learningRate: 0.1, clipNorm: 1 }),
    );
    assert.match(initial.message, /the feed 'start' \[3\] is not finite/);
  });
}

test('a loop whose backward goes bad: the gradient of a root at 0, at its step of time', async () => {
  const [T, B] = [6, 2];
  const w = variable('w', [0.5], [1]);
  const x = input('x', [T, B]);
  const { state } = scan(
    ({ x }, { h }) => ({ state: { h: sqrt(mul(mul(add(h, 1), x), w)) }, output: {} }),
    { x },
    { h: fill(0, [B]) },
  );
  const good = { x: ones(T * B) };
  const error = await planted(mean(state.h), [w], { good, bad: { x: ones(T * B, [3 * B, 0]) } });
  const { pass, time, steps, index } = error.found ?? {};
  assert.equal([pass, time, steps, index], ['backward', 3, T, 0]);
});

const rimOptions: RIMOptions = {
  ...{ inputSize: 5, hiddenSize: 6, modules: 4, active: 2, keySize: 4, valueSize: 6 },
  ...{ commHeads: 2, commKeySize: 4, commValueSize: 4 },
};

for (const path of ['plain', 'auto'] as const) {
  for (const [preset, more] of [
    ['paper', {}],
    ['dido', { chunk: 3, recompute: true }],
  ] as const) {
    test(`a RIM of ${preset}, ${path}: in its input, its weights, and its initial state`, async () => {
      const [T, B] = [7, 2];
      const random = new RandomState({ seed: 4 });
      const rim = RIM[preset]({ ...rimOptions, ...more, path, initialState: 'zeros' }, { seed: 4, dropout: random });
      const x = input('x', [T, B, 5]);
      const h = input('h', [B, 4, 6]);
      const [cell] = rim.cells;
      const start = { h, ...(cell?.options.cell === 'lstm' && { c: fill(0, [B, 4, 6]) }) };
      const { hidden, paths } = rim(x, { state: [start] });
      assert.is(paths[0] === 'fused', path === 'auto', paths.join());
      const loss = mean(square(tanh(slice(hidden, 0, 2, 5))));
      const numbers = (size: number): Float32Array => normalArray(size, { seed: 3, stream: 1 });
      const good = { x: numbers(T * B * 5), h: numbers(B * 24) };
      const make: Make = (g) => adam(g, { learningRate: 1e-3, clipNorm: 1 });
      const counters = [random.counter];
      const trial = { good, bad: good, more: counters };
      const named = (name: string): Variable =>
        need(
          rim.variables.find((each) => each.name.endsWith(name)),
          name,
        );
      const plants = ['commValue', 'commOutput'].map(named);
      const before = await Promise.all(plants.map((each) => each.read()));
      const plant = (): void => {
        for (const each of plants) each.write(new Float32Array(each.size).fill(1e25));
      };
      const inside = await planted(loss, rim.variables, { ...trial, plant }, make);
      const { op, pass, time, steps } = inside.found ?? {};
      assert.equal([op, pass, time, steps], [path === 'auto' ? 'rimStep' : 'einsum', 'forward', 0, T], inside.message);
      assert.match(
        inside.message,
        /, at time step 1 of 7, is the first tensor that is not finite .* its inputs are finite/,
      );
      plants.forEach((each, i) => {
        each.write(at(before, i));
      });
      const h2 = numbers(B * 24);
      h2[30] = nan;
      const state = await planted(loss, rim.variables, { good, bad: { ...good, h: h2 }, more: counters }, make);
      assert.match(
        state.message,
        /^step 3: the feed 'h' \[2,4,6\] is not finite \(1 of 48; the first, at \[1,1,0\], is NaN\)/,
      );
      const infinite = (): void => named('key').write(new Float32Array(named('key').size).fill(inf));
      const inWeight = await planted(loss, rim.variables, { ...trial, plant: infinite }, make);
      assert.equal([inWeight.found?.op, inWeight.found?.name], ['variable', named('key').name], inWeight.message);
      for (const each of rim.variables) each.dispose();
    });
  }
}

test('a RIM whose learning rate blows up stops at the last good step', async () => {
  const [T, B] = [4, 2];
  const rim = RIM.paper(rimOptions, { seed: 5 });
  const [x, rate] = [input('x', [T, B, 5]), input('rate', [])];
  const loss = mean(square(rim(x).hidden));
  const optimiser = sgd(grad(loss, rim.variables), { learningRate: rate });
  const program = await compile(theDevice(), { loss }, optimiser);
  const feeds = (learningRate: number): Feeds => ({
    x: normalArray(T * B * 5, { seed: 6, stream: 0 }),
    rate: learningRate,
  });
  let last = await valuesOf(rim.variables);
  let error: unknown;
  let steps = 0;
  for (; steps < 50 && error === undefined; steps++) {
    const before = await valuesOf(rim.variables);
    await program.run(feeds(10 ** (2 * steps)));
    error = await program.read('loss').then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (error !== undefined) last = before;
  }
  assert.instance(error, NonFiniteError, `none in ${steps} steps`);
  assert.is((error as NonFiniteError).step, steps);
  assert.equal(await valuesOf(rim.variables), last);
  for (const each of rim.variables) assert.ok((await each.read()).every(Number.isFinite), each.name);
  program.dispose();
  for (const each of rim.variables) each.dispose();
});

test('where the feeds of the step are gone, or its program, the error says so', async () => {
  const w = variable('w', [1], [1]);
  const x = input('x', [1]);
  const make = (): ReturnType<typeof compile> => compile(theDevice(), { w: mul(w, 1) }, plain(new Map([[w, x]])));
  const [program, other] = [await make(), await make()];
  const good = { x: Float32Array.of(0) };
  await program.run(good);
  await program.run({ x: Float32Array.of(nan) });
  for (let t = 0; t < 1000; t++) await program.run(good);
  const message = async (): Promise<string> => String(await program.read('w').catch((error: unknown) => error));
  assert.match(
    await message(),
    /NonFiniteError: step 2: .*; it cannot be replayed, for only the feeds of the last 1000 runs are kept\. .* read the loss at least every 1000 steps/,
  );
  assert.is(await message(), await message());
  await program.clearGuard();
  await other.run({ x: Float32Array.of(nan) });
  other.dispose();
  assert.match(await message().catch(String), /was not computed yet/);
  await program.run(good);
  assert.match(await message(), /step 1,003: .* its program was disposed of/);
  program.dispose();
  w.dispose();
});

test('two reads at once, and runs that wait, give one error', async () => {
  const w = variable('w', [1, 1], [2]);
  const x = input('x', [2]);
  const program = await compile(theDevice(), { a: mul(w, 1), b: mul(w, 2) }, plain(new Map([[w, mul(x, 2)]])));
  await program.run({ x: ones(2, [0, 3e38]) });
  const acts = [program.read('a'), program.read('b'), ...Array.from({ length: 8 }, () => program.run({ x: ones(2) }))];
  const settled = await Promise.allSettled(acts);
  const errors = settled.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
  assert.ok(errors.length >= 2 && errors.every((error) => error === errors[0]), `${errors.length}`);
  assert.match(
    String(errors[0]),
    /step 1: 'affine' \[2\] is the first tensor that is not finite \(1 of 2; the first, at \[0\]/,
  );
  assert.equal([...(await w.read())], [1, 1]);
  program.dispose();
  w.dispose();
});

test('the main job says it in one line', async () => {
  const written: string[] = [];
  const stream = { write: (text: string) => written.push(text) > 0, isTTY: false } as unknown as NodeJS.WriteStream;
  const code = await runMainJob([], {
    stdout: stream,
    stderr: stream,
    signal: new AbortController().signal,
    train: () => Promise.reject(new NonFiniteError(1234, "'exp' [2] is bad", 'mend it')),
  });
  assert.is(code, 1);
  assert.equal(written, [
    "rimgrad: step 1,234: 'exp' [2] is bad. Weights, moments and counters stand as they were before that step; mend it\n",
  ]);
});

test.run();
