// The initialisers: their bounds and moments, the orthogonality of orthogonal matrices, equal bytes for equal seeds.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at, OptionError, ShapeError } from '../engine/errors.ts';
import * as initialisers from '../engine/initialisers.ts';

const random = { seed: 42, stream: 1 };

test('zeros, ones, constant and identity', () => {
  assert.equal(initialisers.zeros()([2, 2], random), new Float32Array(4));
  assert.equal(initialisers.ones()([3], random), new Float32Array([1, 1, 1]));
  assert.equal(initialisers.constant(0.1)([], random), new Float32Array([0.1]));
  assert.equal(initialisers.identity()([2, 2, 3], random), new Float32Array([1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0]));
});

// Largest magnitude, mean and variance.
function moments(values: Float32Array): { largest: number; mean: number; variance: number } {
  let [largest, sum, squares] = [0, 0, 0];
  for (const value of values) {
    largest = Math.max(largest, Math.abs(value));
    sum += value;
    squares += value * value;
  }
  return { largest, mean: sum / values.length, variance: squares / values.length };
}

const shape = [4, 50, 100];
const count = 20_000;

test('uniform rules fill (-b, b) of the published bound', () => {
  const cases: [string, initialisers.Initialiser, number][] = [
    ['uniform', initialisers.uniform(0.3), 0.3],
    ['xavierUniform', initialisers.xavierUniform(), Math.sqrt(6 / 150)],
    ['xavierUniform, gain', initialisers.xavierUniform({ gain: 2 }), 2 * Math.sqrt(6 / 150)],
    ['xavierUniform, fans', initialisers.xavierUniform({ fanIn: 1, fanOut: 2 }), Math.sqrt(2)],
    ['kaimingUniform', initialisers.kaimingUniform(), Math.sqrt(6 / 50)],
    ['kaimingUniform, slope', initialisers.kaimingUniform({ slope: Math.sqrt(5) }), 1 / Math.sqrt(50)],
    ['fanInUniform', initialisers.fanInUniform(), 1 / Math.sqrt(50)],
    ['fanInUniform, fan', initialisers.fanInUniform({ fanIn: 16 }), 0.25],
  ];
  for (const [name, initialiser, bound] of cases) {
    const { largest, mean, variance } = moments(initialiser(shape, random));
    assert.ok(largest <= Math.fround(bound) && largest > bound * 0.998, `${name}: largest ${largest} of ${bound}`);
    const expected = (bound * bound) / 3;
    assert.ok(Math.abs(mean) < 6 * Math.sqrt(expected / count), `${name}: mean ${mean}`);
    assert.ok(Math.abs(variance / expected - 1) < 6 * Math.sqrt(0.8 / count), `${name}: variance ${variance}`);
  }
});

test('normal rules have the published variance', () => {
  const cases: [string, initialisers.Initialiser, number][] = [
    ['normal', initialisers.normal(0.02), 0.0004],
    ['xavierNormal', initialisers.xavierNormal(), 2 / 150],
    ['xavierNormal, fans and gain', initialisers.xavierNormal({ fanIn: 3, fanOut: 5, gain: 2 }), 1],
  ];
  for (const [name, initialiser, expected] of cases) {
    const { largest, mean, variance } = moments(initialiser(shape, random));
    assert.ok(largest > 3 * Math.sqrt(expected), `${name}: largest ${largest}`);
    assert.ok(Math.abs(mean) < 6 * Math.sqrt(expected / count), `${name}: mean ${mean}`);
    assert.ok(Math.abs(variance / expected - 1) < 6 * Math.sqrt(2 / count), `${name}: variance ${variance}`);
  }
});

// The largest distance of x·xᵀ (or xᵀ·x, whichever is smaller) from gain²·I, over the matrices of one shape.
function distanceFromOrthogonal(values: Float32Array, rows: number, columns: number, gain: number): number {
  const size = rows * columns;
  const wide = rows <= columns;
  const [few, many] = wide ? [rows, columns] : [columns, rows];
  let worst = 0;
  for (let g = 0; g < values.length / size; g++) {
    const element = (vector: number, i: number): number =>
      at(values, g * size + (wide ? vector * columns + i : i * columns + vector));
    for (let a = 0; a < few; a++) {
      for (let b = 0; b <= a; b++) {
        let sum = 0;
        for (let i = 0; i < many; i++) sum += element(a, i) * element(b, i);
        worst = Math.max(worst, Math.abs(sum - (a === b ? gain * gain : 0)));
      }
    }
  }
  return worst;
}

test('orthogonal matrices are orthogonal, each group its own', () => {
  const size = fc.integer({ min: 1, max: 12 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3 }), size, size, fc.nat(), (groups, rows, columns, seed) => {
      const values = initialisers.orthogonal({ gain: 2 })([groups, rows, columns], { seed, stream: 0 });
      assert.is(values.length, groups * rows * columns);
      // Products of f32 values of up to 2: each rounding is at most 2^-23, and at most 12 terms add up.
      assert.ok(distanceFromOrthogonal(values, rows, columns, 2) < 2e-6);
    }),
  );
  const large = initialisers.orthogonal()([100, 100], random);
  assert.ok(distanceFromOrthogonal(large, 100, 100, 1) < 1e-6);
  const groups = initialisers.orthogonal()([2, 5, 5], random);
  assert.not.equal(groups.subarray(0, 25), groups.subarray(25));
});

test('orthogonal matrices have no preferred sign: 1 by 1 they are +1 and -1, evenly', () => {
  const values = initialisers.orthogonal()([10_000, 1, 1], random);
  assert.ok(values.every((value) => Math.abs(value) === 1));
  assert.ok(Math.abs(moments(values).mean) < 6 / 100);
});

test('equal seeds give equal bytes, other seeds and streams do not', () => {
  for (const make of [initialisers.uniform(1), initialisers.normal(1), initialisers.orthogonal()]) {
    const first = make([8, 8], random);
    assert.equal(make([8, 8], { ...random }), first);
    assert.not.equal(make([8, 8], { seed: 43, stream: 1 }), first);
    assert.not.equal(make([8, 8], { seed: 42, stream: 2 }), first);
  }
});

test('bad shapes and options are refused', () => {
  const shapes = [[0], [2, 0], [1.5, 2], [-1, -1], [2 ** 40, 2 ** 40], [NaN, 2]];
  const makers = [
    initialisers.zeros(),
    initialisers.identity(),
    initialisers.normal(1),
    initialisers.xavierUniform(),
    initialisers.fanInUniform(),
    initialisers.orthogonal(),
  ];
  for (const bad of shapes) {
    for (const make of makers)
      assert.throws(
        () => make(bad, random),
        (e: unknown) => e instanceof ShapeError,
      );
  }
  assert.throws(() => initialisers.fanInUniform()([10], random), /fanInUniform: \[10\] has no fanIn.*give fanIn/);
  assert.throws(() => initialisers.orthogonal()([10], random), /\[10\] is no matrix/);
  assert.is(initialisers.fanInUniform({ fanIn: 4 })([10], random).length, 10);
  const refused = [
    () => initialisers.uniform(-1),
    () => initialisers.normal(NaN),
    () => initialisers.constant(Infinity),
    () => initialisers.xavierUniform({ gain: -1 }),
    () => initialisers.xavierNormal({ fanIn: 0 }),
    () => initialisers.fanInUniform({ fanIn: Infinity }),
    () => initialisers.orthogonal(JSON.parse('{"gian": 1}')),
  ];
  for (const call of refused) assert.throws(call, (e: unknown) => e instanceof OptionError);
});

test.run();
