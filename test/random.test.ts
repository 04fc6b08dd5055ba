// The random numbers: Threefry against the published vectors, and the definitions, bytes and moments of what is made of it.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at, OptionError } from '../engine/errors.ts';
import {
  deviceUniform,
  integers,
  normalArray,
  permutation,
  randomBits,
  randomUniform,
  seedWords,
  threefry,
  uniformArray,
} from '../engine/random.ts';

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const seeds = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

test('threefry gives the published known answers (Random123, kat_vectors, threefry2x32 of 20 rounds)', () => {
  assert.equal(threefry(0, 0, 0, 0), [0x6b200159, 0x99ba4efe]);
  const all = 0xffffffff;
  assert.equal(threefry(all, all, all, all), [0x1cb996fc, 0xbb002be7]);
  assert.equal(threefry(0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3), [0xc4923a9c, 0x483df7a0]);
});

test('a seed is split into its two words', () => {
  assert.equal(seedWords(0), [0, 0]);
  assert.equal(seedWords(2 ** 32 + 5), [5, 1]);
  assert.equal(seedWords(Number.MAX_SAFE_INTEGER), [0xffffffff, 0x1fffff]);
  fc.assert(
    fc.property(seeds, (seed) => {
      const [low, high] = seedWords(seed);
      assert.is(high * 2 ** 32 + low, seed);
    }),
  );
});

test('bits, uniform and deviceUniform are the definition at the head of random.ts', () => {
  fc.assert(
    fc.property(seeds, u32, u32, u32, (seed, stream, step, index) => {
      const low = Number(BigInt(seed) & 0xffffffffn);
      const high = Number(BigInt(seed) >> 32n);
      const [host] = threefry(low, high, index, stream);
      const [device] = threefry(low, Number(BigInt(high) ^ BigInt(step)), index, stream);
      assert.is(randomBits(seed, stream, index), host);
      assert.is(randomUniform(seed, stream, index), Math.floor(host / 256) / 16777216);
      assert.is(deviceUniform(seed, stream, step, index), Math.floor(device / 256) / 16777216);
      assert.is(Math.fround(randomUniform(seed, stream, index)), randomUniform(seed, stream, index));
      assert.is(deviceUniform(seed, stream, 0, index), randomUniform(seed, stream, index));
    }),
  );
});

test('element i of an array is number start + i of its stream', () => {
  const whole = { seed: 7, stream: 3 };
  const tail = { ...whole, start: 5 };
  assert.equal(uniformArray(20, whole).subarray(5), uniformArray(15, tail));
  assert.equal(normalArray(20, whole).subarray(5), normalArray(15, tail));
  assert.equal(integers(20, { ...whole, high: 9 }).subarray(5), integers(15, { ...tail, high: 9 }));
  uniformArray(20, whole).forEach((value, i) => {
    assert.is(value, randomUniform(7, 3, i));
  });
});

test('other seeds and other streams give other numbers', () => {
  const first = uniformArray(64, { seed: 1, stream: 0 });
  for (const source of [
    { seed: 2, stream: 0 },
    { seed: 1, stream: 1 },
    { seed: 1 + 2 ** 32, stream: 0 },
  ]) {
    const other = uniformArray(64, source);
    assert.ok(first.filter((value, i) => value === other[i]).length <= 1);
  }
});

// The mean of f over the values, and how far it may stand from the expectation: six standard errors.
function mean(values: ArrayLike<number>, f: (value: number) => number): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += f(at(values, i));
  return sum / values.length;
}

test('uniformArray keeps its range and has the moments of the uniform distribution', () => {
  const n = 100_000;
  const values = uniformArray(n, { seed: 11, stream: 2, low: -1, high: 1 });
  assert.ok(values.every((value) => value >= -1 && value < 1));
  assert.ok(Math.abs(mean(values, (x) => x)) < 6 * Math.sqrt(1 / 3 / n));
  assert.ok(Math.abs(mean(values, (x) => x * x) - 1 / 3) < 6 * Math.sqrt(4 / 45 / n));
  assert.equal(uniformArray(3, { seed: 1, stream: 0, low: 2, high: 2 }), new Float32Array([2, 2, 2]));
});

test('normalArray is the Box-Muller transform, to the digits of float64', () => {
  for (let start = 0; start < 5000; start++) {
    const [x0, x1] = threefry(5, 0, start, 9);
    const z = Math.sqrt(-2 * Math.log((x0 + 0.5) / 2 ** 32)) * Math.cos((2 * Math.PI * (x1 + 0.5)) / 2 ** 32);
    const value = at(normalArray(1, { seed: 5, stream: 9, start }), 0);
    assert.ok(Math.abs(value - z) <= Math.abs(z) * 2 ** -24 + 1e-14, `${start}: ${value} and ${z}`);
    // Mean and standard deviation scale up what the rounding to f32 cut off: at most 4e-7, so f32 holds it to 4e-14.
    const scale = 2 ** 20;
    const rest = at(normalArray(1, { seed: 5, stream: 9, start, mean: -value * scale, std: scale }), 0) / scale;
    assert.ok(Math.abs(value + rest - z) <= 6e-14, `${start}: ${value + rest} and ${z}`);
  }
});

test('normalArray has the moments of the normal distribution', () => {
  const n = 100_000;
  const values = normalArray(n, { seed: 12, stream: 0, mean: 3, std: 2 });
  const z = (x: number): number => (x - 3) / 2;
  assert.ok(Math.abs(mean(values, z)) < 6 * Math.sqrt(1 / n));
  assert.ok(Math.abs(mean(values, (x) => z(x) ** 2) - 1) < 6 * Math.sqrt(2 / n));
  assert.ok(Math.abs(mean(values, (x) => z(x) ** 3)) < 6 * Math.sqrt(15 / n));
  assert.ok(Math.abs(mean(values, (x) => z(x) ** 4) - 3) < 6 * Math.sqrt(96 / n));
  const neighbours = values.subarray(1).map((x, i) => z(x) * z(at(values, i)));
  assert.ok(Math.abs(mean(neighbours, (x) => x)) < 6 * Math.sqrt(1 / n));
});

test('integers are the upper word of bits times range, over the whole range of u32', () => {
  fc.assert(
    fc.property(seeds, u32, u32, u32, (seed, stream, a, b) => {
      const low = Math.min(a, b);
      const high = Math.max(a, b) + 1;
      const expected = BigInt(low) + ((BigInt(randomBits(seed, stream, 0)) * BigInt(high - low)) >> 32n);
      assert.is(at(integers(1, { seed, stream, low, high }), 0), Number(expected));
    }),
  );
  const counts = new Float64Array(10);
  for (const value of integers(100_000, { seed: 4, stream: 4, high: 10 })) counts[value] = at(counts, value) + 1;
  for (const count of counts) assert.ok(Math.abs(count - 10_000) < 6 * Math.sqrt(9000));
});

test('permutation holds every number once, and every order is as likely as another', () => {
  fc.assert(
    fc.property(fc.nat(200), seeds, u32, (n, seed, stream) => {
      const sorted = permutation(n, { seed, stream }).toSorted();
      assert.equal(
        sorted,
        Uint32Array.from({ length: n }, (_, i) => i),
      );
    }),
  );
  const orders = new Map<string, number>();
  for (let stream = 0; stream < 12_000; stream++) {
    const order = permutation(4, { seed: 3, stream }).join('');
    orders.set(order, (orders.get(order) ?? 0) + 1);
  }
  assert.is(orders.size, 24);
  for (const count of orders.values()) assert.ok(Math.abs(count - 500) < 6 * Math.sqrt(500));
});

test('bad arguments are refused with the value in the message', () => {
  const refuses = (call: () => unknown, message: RegExp): void => {
    assert.throws(call, (error: unknown) => error instanceof OptionError && message.test(error.message));
  };
  const source = { seed: 1, stream: 0 };
  refuses(() => uniformArray(1, { seed: -1, stream: 0 }), /seed is -1/);
  refuses(() => uniformArray(1, { seed: 0.5, stream: 0 }), /seed is 0.5/);
  refuses(() => uniformArray(1, { seed: 2 ** 53, stream: 0 }), /seed is 9007199254740992/);
  refuses(() => uniformArray(1, { seed: 1, stream: 2 ** 32 }), /stream is 4294967296/);
  refuses(() => deviceUniform(1, 0, -1, 0), /step is -1/);
  refuses(() => randomBits(1, 0, 1.5), /index is 1.5/);
  refuses(() => uniformArray(-1, source), /count is -1/);
  refuses(() => uniformArray(2, { ...source, start: 2 ** 32 - 1 }), /pass the 2\^32 numbers/);
  refuses(() => uniformArray(2, { ...source, low: 1, high: 0 }), /low is 1, above high 0/);
  refuses(() => uniformArray(2, { ...source, high: NaN }), /high is NaN/);
  refuses(() => normalArray(2, { ...source, std: -1 }), /std is -1/);
  refuses(() => integers(2, { ...source, high: 0 }), /high is 0/);
  refuses(() => integers(2, { ...source, high: 2 ** 32 + 1 }), /high is 4294967297/);
  const misspelt = { ...source, hihg: 2, high: 3 };
  refuses(() => integers(2, misspelt), /no option 'hihg'. Did you mean 'high'/);
});

test.run();
