// The Differentiable Neural Computer: against its equations in plain loops, values and gradients, over drawn sizes; kernels against the
// float64 meaning of its graph; cut in two; at extremes; by its calls; and that it learns to copy.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type DNCOptions, dnc } from '../bench/baselines/index.ts';
import { Draw } from '../check/draw.ts';
import type { Tensor } from '../engine/node.ts';
import * as ops from '../engine/node.ts';
import { normalArray, permutation } from '../engine/random.ts';
import { runs, seed } from './drawing.ts';
import { Tally } from './graph-judge.ts';
import { dncOracle, dncStart, softmax } from './memory-oracles.ts';
import { agrees, callsOf, computes, learnCopying, type Trial } from './memory-trials.ts';
import { bits, onAdapter, refused, theDevice } from './on-adapter.ts';

onAdapter(test);

const drawnSizes = fc
  .record({
    inputSize: fc.integer({ min: 1, max: 3 }),
    hiddenSize: fc.integer({ min: 1, max: 4 }),
    slots: fc.integer({ min: 2, max: 5 }),
    slotSize: fc.integer({ min: 1, max: 3 }),
    readHeads: fc.integer({ min: 1, max: 3 }),
    steps: fc.integer({ min: 4, max: 6 }),
    batch: fc.integer({ min: 1, max: 2 }),
    given: fc.boolean(),
  })
  .map(({ steps, batch, given, ...options }) => ({ options: options satisfies DNCOptions, steps, batch, given }));
type Drawn = typeof drawnSizes extends fc.Arbitrary<infer T> ? T : never;

/** A model with drawn weights, x and, where asked for, a state that a model may have, whose usages are far from ties. */
function trialOf({ options, steps, batch, given }: Drawn, draw: Draw, std = 0.7): Trial {
  const { inputSize, hiddenSize, slots, slotSize, readHeads } = options;
  const sizes = { ...options, writeHeads: 1 };
  const model = dnc(options, { seed: draw.seed });
  draw.variables(model.variables, std);
  const x = draw.normal([steps, batch, inputSize]);
  const part = (rows: number, stream: number): number[] => {
    const scores = normalArray(rows * slots, { seed: draw.seed, stream });
    return Array.from({ length: rows }, (_, r) => softmax([...scores.slice(r * slots, (r + 1) * slots)])).flat();
  };
  const usages = Array.from({ length: batch }, (_, b) => [...permutation(slots, { seed: draw.seed, stream: 800 + b })]);
  const links = part(batch * slots, 901).map((each, i) =>
    i % slots === Math.floor(i / slots) % slots ? 0 : 0.8 * each,
  );
  const state = {
    h: draw.normal([batch, hiddenSize], { std: 0.5 }),
    c: draw.normal([batch, hiddenSize]),
    memory: draw.normal([batch, slots, slotSize]),
    usage: draw.given(
      [batch, slots],
      usages.flat().map((place) => (place + 0.5) / slots),
    ),
    precedence: draw.given([batch, slots], part(batch, 902)),
    links: draw.given([batch, slots, slots], links),
    writeWeights: draw.given([batch, 1, slots], part(batch, 903)),
    readWeights: draw.given([batch, readHeads, slots], part(batch * readHeads, 904)),
    reads: draw.normal([batch, readHeads, slotSize]),
  };
  const oracle: Trial['oracle'] = (w, xs, start) => dncOracle(sizes, w, xs, start);
  return { model, x, beginning: dncStart(sizes), oracle, ...(given ? { state } : {}) };
}

test('it computes what the equations say, and its gradients are their slopes', async () => {
  const property = fc.asyncProperty(drawnSizes, fc.nat(1_000_000), async (drawn, numbers) => {
    const draw = new Draw(numbers);
    await agrees(trialOf(drawn, draw), draw);
  });
  await fc.assert(property, { seed, numRuns: runs(10), includeErrorInReport: true });
});

// From a state with something in it, and not the shortest slots: near zeros a cosine is so steep that rounding explains too much.
test('kernels compute what its graph means, forward and backward', async () => {
  const tally = new Tally();
  const property = fc.asyncProperty(drawnSizes, fc.nat(1_000_000), async (drawn, numbers) => {
    const draw = new Draw(numbers);
    const options = { ...drawn.options, slotSize: drawn.options.slotSize + 2 };
    await computes(trialOf({ ...drawn, options, given: true }, draw, 0.4), draw, tally);
  });
  await fc.assert(property, { seed, numRuns: runs(3), endOnFailure: true, includeErrorInReport: true });
  tally.settle();
});

const small = { inputSize: 3, hiddenSize: 8, slots: 6, slotSize: 4, readHeads: 2 };
const numbers = (shape: readonly number[], stream: number): Tensor =>
  ops.constant(
    normalArray(
      shape.reduce((a, b) => a * b),
      { seed: 3, stream },
    ),
    shape,
  );

test('two halves of a sequence are the whole', async () => {
  const model = dnc(small, { seed: 1 });
  const x = numbers([9, 2, 3], 1);
  const whole = model(x);
  const first = model(ops.slice(x, 0, 0, 4));
  const second = model(ops.slice(x, 0, 4, 5), first.state);
  const found = await ops.evaluate(theDevice(), {
    whole: whole.hidden,
    halves: ops.concat([first.hidden, second.hidden], 0),
    wholeLinks: whole.state.links,
    links: second.state.links,
  });
  assert.equal(bits(found.halves), bits(found.whole));
  assert.equal(bits(found.links), bits(found.wholeLinks));
});

test('weightings and usages stay within 0 and 1, and nothing is ever NaN, at any size of weights and inputs', async () => {
  for (const size of [0, 1, 30, 1e3, 1e5]) {
    const model = dnc(small, { seed: 2 });
    for (const [i, each] of model.variables.entries())
      each.write(normalArray(each.size, { seed: 5, stream: i, std: size }));
    const { hidden, trace, state } = model(ops.mul(numbers([12, 3, 3], 2), size));
    const gradients = ops.grad(ops.add(ops.mean(ops.tanh(hidden)), ops.mean(ops.tanh(state.memory))), model.variables);
    const found: Readonly<Record<string, ops.Data>> = await ops.evaluate(theDevice(), {
      ...trace,
      ...state,
      hidden,
      ...Object.fromEntries([...gradients].map(([, d], i) => [`gradient ${i}`, d])),
    });
    for (const [name, data] of Object.entries(found))
      assert.ok(data.every(Number.isFinite), `weights of ${size}: ${name} is not finite`);
    for (const name of ['readWeights', 'writeWeights', 'usage']) {
      const least = Math.min(...(found[name] ?? []));
      const most = Math.max(...(found[name] ?? []));
      assert.ok(least >= -1e-6 && most <= 1 + 1e-6, `weights of ${size}: ${name} from ${least} to ${most}`);
    }
  }
});

test('a step takes as many calls at any length, and hardly more with more heads', () => {
  const make = (readHeads: number) => () =>
    dnc({ inputSize: 64, hiddenSize: 100, slots: 64, slotSize: 16, readHeads }, { seed: 1 });
  const calls = callsOf(make(1), 5, 64, 64);
  assert.equal(callsOf(make(1), 50, 64, 64), calls);
  assert.equal(calls, { evaluation: 63, training: [65, 97] });
  assert.equal(callsOf(make(4), 5, 64, 64), { evaluation: 65, training: [67, 100] });
});

test('it refuses sizes, sequences and states that do not fit', async () => {
  await refused(
    () => dnc({ ...small, slots: 0 }, { seed: 1 }),
    'OptionError',
    /slots must be a whole number of at least 1/,
  );
  const model = dnc(small, { seed: 1 });
  await refused(() => model(numbers([2, 2, 4], 1)), 'ShapeError', /x must be .*\[T,B,3\], not .*\[2,2,4\]/);
  const { state } = model(numbers([2, 2, 3], 1));
  await refused(() => model(numbers([2, 5, 3], 1), state), 'ShapeError', /the state 'h' must be f32 \[5,8\]/);
  await refused(() => model(numbers([2, 2, 3], 1), { h: state.h }), 'ShapeError', /'c'.* missing/);
});

test('it learns to copy', async () => {
  const model = dnc({ inputSize: 10, hiddenSize: 24, slots: 6, slotSize: 8, readHeads: 1 }, { seed: 2 });
  const { before, after } = await learnCopying(model, 10, {
    digits: 2,
    blank: 2,
    batch: 16,
    steps: 190,
    learningRate: 0.02,
    seed: 2,
  });
  assert.ok(before < 0.3 && after > 0.9, `digits right: ${before} to ${after}`);
});

test.run();
