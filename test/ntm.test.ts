// The Neural Turing Machine: against its equations in plain loops, values and gradients, over drawn sizes; kernels against the
// float64 meaning of its graph; cut in two; at extremes; by its calls; and that it learns to copy.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type NTMOptions, ntm } from '../bench/baselines/index.ts';
import { Draw } from '../check/draw.ts';
import type { Tensor } from '../engine/node.ts';
import * as ops from '../engine/node.ts';
import { normalArray } from '../engine/random.ts';
import { runs, seed } from './drawing.ts';
import { Tally } from './graph-judge.ts';
import { ntmOracle, ntmStart, softmax } from './memory-oracles.ts';
import { agrees, callsOf, computes, learnCopying, type Trial } from './memory-trials.ts';
import { bits, onAdapter, refused, theDevice } from './on-adapter.ts';

onAdapter(test);

const drawnSizes = fc
  .record({
    inputSize: fc.integer({ min: 1, max: 3 }),
    hiddenSize: fc.integer({ min: 1, max: 4 }),
    slots: fc.integer({ min: 3, max: 6 }),
    slotSize: fc.integer({ min: 1, max: 3 }),
    readHeads: fc.integer({ min: 1, max: 2 }),
    writeHeads: fc.integer({ min: 1, max: 3 }),
    wide: fc.boolean(),
    steps: fc.integer({ min: 4, max: 6 }),
    batch: fc.integer({ min: 1, max: 2 }),
    given: fc.boolean(),
  })
  .map(({ wide, steps, batch, given, ...sizes }) => {
    const options: Required<NTMOptions> = { ...sizes, shifts: wide && sizes.slots > 4 ? 5 : 3 };
    return { options, steps, batch, given };
  });
type Drawn = typeof drawnSizes extends fc.Arbitrary<infer T> ? T : never;

/** A model with drawn weights, x and, where asked for, a state that a model may have. */
function trialOf({ options, steps, batch, given }: Drawn, draw: Draw, std = 0.7): Trial {
  const { inputSize, hiddenSize, slots, slotSize, readHeads, writeHeads } = options;
  const heads = readHeads + writeHeads;
  const model = ntm(options, { seed: draw.seed });
  draw.variables(model.variables, std);
  const x = draw.normal([steps, batch, inputSize]);
  const scores = normalArray(batch * heads * slots, { seed: draw.seed, stream: 900 });
  const weights = Array.from({ length: batch * heads }, (_, r) =>
    softmax([...scores.slice(r * slots, (r + 1) * slots)]),
  );
  const state = {
    h: draw.normal([batch, hiddenSize], { std: 0.5 }),
    c: draw.normal([batch, hiddenSize]),
    memory: draw.normal([batch, slots, slotSize]),
    weights: draw.given([batch, heads, slots], weights.flat()),
    reads: draw.normal([batch, readHeads, slotSize]),
  };
  const oracle: Trial['oracle'] = (w, xs, start) => ntmOracle(options, w, xs, start);
  return { model, x, beginning: ntmStart(options), oracle, ...(given ? { state } : {}) };
}

test('it computes what the equations say, and its gradients are their slopes', async () => {
  const property = fc.asyncProperty(drawnSizes, fc.nat(1_000_000), async (drawn, numbers) => {
    const draw = new Draw(numbers);
    await agrees(trialOf(drawn, draw), draw);
  });
  await fc.assert(property, { seed, numRuns: runs(12), includeErrorInReport: true });
});

// From a state with something in it, and not the shortest slots: near zeros a cosine is so steep that rounding explains too much.
test('kernels compute what its graph means, forward and backward', async () => {
  const tally = new Tally();
  const property = fc.asyncProperty(drawnSizes, fc.nat(1_000_000), async (drawn, numbers) => {
    const draw = new Draw(numbers);
    const options = { ...drawn.options, slotSize: drawn.options.slotSize + 2 };
    await computes(trialOf({ ...drawn, options, given: true }, draw, 0.4), draw, tally);
  });
  await fc.assert(property, { seed, numRuns: runs(4), endOnFailure: true, includeErrorInReport: true });
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
  const model = ntm(small, { seed: 1 });
  const x = numbers([9, 2, 3], 1);
  const whole = model(x);
  const first = model(ops.slice(x, 0, 0, 4));
  const second = model(ops.slice(x, 0, 4, 5), first.state);
  const found = await ops.evaluate(theDevice(), {
    whole: whole.hidden,
    halves: ops.concat([first.hidden, second.hidden], 0),
    wholeMemory: whole.state.memory,
    memory: second.state.memory,
  });
  assert.equal(bits(found.halves), bits(found.whole));
  assert.equal(bits(found.memory), bits(found.wholeMemory));
});

test('weightings are weightings, and nothing is ever NaN, at any size of weights and inputs', async () => {
  for (const size of [0, 1, 30, 1e3, 1e5]) {
    const model = ntm({ ...small, writeHeads: 2 }, { seed: 2 });
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
    for (const name of ['readWeights', 'writeWeights']) {
      const rows = found[name] ?? [];
      for (let r = 0; r < rows.length; r += small.slots) {
        const row = [...rows.slice(r, r + small.slots)];
        assert.ok(Math.min(...row) >= 0 && Math.abs(row.reduce((a, b) => a + b) - 1) < 1e-5, `${name}: ${row}`);
      }
    }
  }
});

test('a step takes as many calls at any length, and hardly more with more heads', () => {
  const make = (heads: number) => () =>
    ntm({ inputSize: 64, hiddenSize: 100, readHeads: heads, writeHeads: heads }, { seed: 1 });
  const calls = callsOf(make(1), 5, 64, 64);
  assert.equal(callsOf(make(1), 50, 64, 64), calls);
  assert.equal(calls, { evaluation: 36, training: [37, 50] });
  assert.equal(callsOf(make(4), 5, 64, 64), { evaluation: 38, training: [39, 53] });
});

test('it refuses sizes, sequences and states that do not fit', async () => {
  await refused(
    () => ntm({ ...small, slots: 0 }, { seed: 1 }),
    'OptionError',
    /slots must be a whole number of at least 1/,
  );
  await refused(() => ntm({ ...small, shifts: 4 }, { seed: 1 }), 'OptionError', /shifts must be odd/);
  await refused(() => ntm({ ...small, shifts: 7 }, { seed: 1 }), 'OptionError', /no more than the 6 slots/);
  const model = ntm(small, { seed: 1 });
  await refused(() => model(numbers([2, 2, 4], 1)), 'ShapeError', /x must be .*\[T,B,3\], not .*\[2,2,4\]/);
  const { state } = model(numbers([2, 2, 3], 1));
  await refused(() => model(numbers([2, 5, 3], 1), state), 'ShapeError', /the state 'h' must be f32 \[5,8\]/);
  await refused(() => model(numbers([2, 2, 3], 1), { h: state.h }), 'ShapeError', /'c'.* missing/);
});

test('it learns to copy', async () => {
  const model = ntm({ inputSize: 10, hiddenSize: 24, slots: 6, slotSize: 8 }, { seed: 2 });
  const { before, after } = await learnCopying(model, 10, {
    digits: 2,
    blank: 2,
    batch: 16,
    steps: 220,
    learningRate: 0.02,
    seed: 2,
  });
  assert.ok(before < 0.3 && after > 0.9, `digits right: ${before} to ${after}`);
});

test.run();
