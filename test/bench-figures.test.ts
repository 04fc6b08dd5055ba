// The figures of the benchmark: its statistics, the order of its rounds, its check, its counts. What runs on a device is in
// bench.test.ts.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { copyCeilingFor } from '../bench/speed/ceilings.ts';
import { lossesFault, movesFault } from '../bench/speed/check.ts';
import { type Move, workOf } from '../bench/speed/contestants.ts';
import { programFacts } from '../bench/speed/facts.ts';
import { kernelRow } from '../bench/speed/kernels.ts';
import { measureRounds, schedule } from '../bench/speed/rounds.ts';
import { topSlope } from '../bench/speed/scaling.ts';
import { logLogSlope, median, quantile, roundRatios, spread } from '../bench/speed/statistics.ts';
import { need } from '../engine/errors.ts';
import { isLoop } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import { TINY, throwsOption } from './bench-trials.ts';

const finite = fc.double({ min: 1e-6, max: 1e6, noNaN: true });
const signal = new AbortController().signal;

test('quantiles lie among the values, in order, wherever the values stand', () => {
  fc.assert(
    fc.property(fc.array(finite, { minLength: 1, maxLength: 40 }), (values) => {
      const { count, least, lower, median: middle, upper, most } = spread(values);
      assert.is(count, values.length);
      assert.ok(least === Math.min(...values) && most === Math.max(...values));
      assert.ok(least <= lower && lower <= middle && middle <= upper && upper <= most);
      assert.is(median([...values].reverse()), middle);
      // At least half of the values are on either side.
      assert.ok(2 * values.filter((value) => value <= middle * (1 + 1e-12)).length >= values.length);
      assert.ok(2 * values.filter((value) => value >= middle * (1 - 1e-12)).length >= values.length);
    }),
  );
  assert.is(median([4, 1, 3, 2]), 2.5);
  assert.is(quantile([10, 20, 30], 0.25), 15);
  throwsOption(() => median([]), /no values/);
});

test('ratios are made round by round: a machine that slows down for a while does not move them', () => {
  fc.assert(
    fc.property(
      fc.array(finite, { minLength: 1, maxLength: 12 }),
      fc.double({ min: 0.1, max: 50, noNaN: true }),
      (speeds, factor) => {
        const ours = new Map(speeds.map((speed, round) => [round, [speed, speed]] as const));
        const theirs = new Map(speeds.map((speed, round) => [round, [factor * speed]] as const));
        const ratios = roundRatios(theirs, ours);
        assert.is(ratios.length, speeds.length);
        for (const ratio of ratios) assert.ok(Math.abs(ratio - factor) <= 1e-9 * factor, `${ratio} for ${factor}`);
      },
    ),
  );
  assert.equal(
    roundRatios(
      new Map([
        [1, [6]],
        [4, [9]],
      ]),
      new Map([
        [0, [1]],
        [1, [2]],
      ]),
    ),
    [3],
  );
});

test('the slope is the exponent of a power law, over the three largest sizes', () => {
  const exponent = fc.double({ min: -3, max: 3, noNaN: true });
  fc.assert(
    fc.property(
      exponent,
      fc.double({ min: 0.01, max: 100, noNaN: true }),
      fc.uniqueArray(fc.integer({ min: 1, max: 500 }), { minLength: 2, maxLength: 8 }),
      (power, scale, sizes) => {
        const slope = logLogSlope(sizes.map((x) => [x, scale * x ** power] as const));
        assert.ok(Math.abs(slope - power) < 1e-6, `${slope} for ${power}`);
      },
    ),
  );
  const point = (value: number, time: number) => ({ value, step: spread([time]) });
  assert.ok(
    Math.abs(need(topSlope([point(1, 500), point(40, 80), point(20, 20), point(10, 5)]) ?? undefined, 'slope') - 2) <
      1e-9,
  );
  assert.is(topSlope([point(1, 1), point(2, 2), { value: 4, step: null }]), null);
  throwsOption(
    () =>
      logLogSlope([
        [2, 1],
        [2, 3],
      ]),
    /two or more sizes/,
  );
  throwsOption(
    () =>
      logLogSlope([
        [1, 0],
        [2, 3],
      ]),
    /positive/,
  );
});

test('slow contestants sit rounds out, and never fall below three', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.1, max: 1e5, noNaN: true }), fc.integer({ min: 1, max: 40 }), (step, rounds) => {
      const plan = { rounds, roundMilliseconds: 1000, budgetMilliseconds: 20_000 };
      const { steps, rounds: taken } = schedule(step, plan);
      assert.ok(steps >= 1 && taken.size >= Math.min(3, rounds) && taken.size <= rounds);
      assert.ok([...taken].every((round) => Number.isInteger(round) && round >= 0 && round < rounds));
      assert.ok(taken.size <= 3 || taken.size * steps * step <= 20_000, 'over its budget');
      assert.ok(steps === 1 || steps * step <= 1000, 'over its share of a round');
    }),
  );
});

test('rounds are interleaved, each begins with another, and one that breaks leaves the others', async () => {
  const calls: string[] = [];
  const runner = (name: string, breaks = Number.POSITIVE_INFINITY) => {
    let count = 0;
    return {
      run: async (steps: number) => {
        if (count++ >= breaks) throw new Error('broke');
        calls.push(name);
        return Array.from({ length: steps }, () => 1000);
      },
    };
  };
  const plan = { rounds: 3, roundMilliseconds: 1000, budgetMilliseconds: 1e6 };
  const runners = new Map([
    ['a', runner('a')],
    ['b', runner('b')],
    ['c', runner('c', 2)],
  ]);
  const measured = await measureRounds(runners, plan, signal, () => {});
  assert.is(calls.join(''), 'abc' + 'abc' + 'ba' + 'ab');
  assert.is(measured.get('c')?.fault, 'broke');
  assert.is(measured.get('a')?.rounds.size, 3);
  const aborted = AbortSignal.abort(new Error('stopped'));
  let caught: unknown;
  await measureRounds(runners, plan, aborted, () => {}).catch((error: unknown) => {
    caught = error;
  });
  assert.ok(caught instanceof Error && caught.message === 'stopped');
});

test('the check refuses other losses, another fall, and parameters that moved elsewhere', () => {
  const reference = [1, 0.999, 0.998];
  assert.is(lossesFault([1.00005, 0.99905, 0.99805], reference), undefined);
  assert.match(lossesFault([1.0002, 0.9992, 0.9982], reference) ?? '', /loss of step 0/);
  assert.match(lossesFault([1, 0.99903, 0.99806], reference) ?? '', /fell by/);
  assert.match(lossesFault([1, Number.NaN, 0.998], reference) ?? '', /loss of step 1/);
  assert.match(lossesFault([1], reference) ?? '', /2 are needed/);
  const move = (...change: number[]): Move[] => {
    const before = Float32Array.of(1, 1);
    return [{ name: 'w', before, change: Float32Array.from(change) }];
  };
  assert.is(movesFault(move(0.1, 0.2), move(0.1, 0.2004), 5), undefined);
  assert.match(movesFault(move(0.1, 0.2), move(0.1, 0.21), 5) ?? '', /^w moved elsewhere/);
  assert.match(movesFault(move(Number.NaN, 0), move(0.1, 0.2), 5) ?? '', /^w moved elsewhere/);
  assert.match(movesFault([], move(0.1, 0.2), 5) ?? '', /no parameter like w/);
});

test('calls are counted for each time step: forward, backward, and what is computed again', () => {
  const { loss, updates } = workOf('benchmark', TINY, 'plain');
  const { items } = planProgram({ loss }, updates, { training: true, subgroupSize: 0 });
  const loops = items.filter(isLoop);
  const [forward, backward] = [false, true].map((wanted) => loops.filter(({ reverse }) => reverse === wanted));
  assert.ok(forward?.length && backward?.length, 'there are loops');
  const count = (some: typeof loops) => some.reduce((sum, { body }) => sum + body.length, 0);
  const twice = [...forward, ...forward, ...backward, ...forward, ...backward];
  const facts = programFacts({ plan: { items: twice }, calls: [] }, 2 * TINY.T);
  assert.is(facts.forwardDispatchesPerTimeStep, count(forward));
  assert.is(facts.backwardDispatchesPerTimeStep, count(backward));
  assert.is(facts.recomputedDispatchesPerTimeStep, count(forward) / 2);
});

test('a kernel is held against the ceiling that asks for the most time', () => {
  const ceilings = {
    arithmetic: { operationsPerSecond: 1e9, way: '' },
    copy: [
      { bytes: 1e6, bytesPerSecond: 1e9, way: '' },
      { bytes: 1e8, bytesPerSecond: 1e8, way: '' },
    ],
    dispatch: { one: 0.02, sixtyFour: 0.03 },
    tried: [],
  };
  const entry = { op: 'o', kernel: 'k', constants: {}, calls: 10, milliseconds: 10, bytes: 1e6, operations: 5e6 };
  assert.equal(
    [kernelRow(entry, 20, ceilings)].map(({ bound, reached, share }) => [bound, reached, share]),
    [['arithmetic', 0.5, 0.5]],
  );
  assert.is(kernelRow({ ...entry, bytes: 8e6 }, 20, ceilings).bound, 'memory');
  assert.is(kernelRow({ ...entry, operations: 10, bytes: 10 }, 20, ceilings).bound, 'dispatch');
  assert.is(copyCeilingFor(ceilings, 3e8), 1e8);
});

test.run();
