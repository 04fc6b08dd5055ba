// Counter-based random numbers: Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as
// easy as 1, 2, 3", SC 2011). Number `index` of a stream is a pure function of (seed, stream, index): there is no state to
// save, and a kernel draws any element without drawing the ones before it.
// Always: the same arguments give the same bytes on every runtime. Only +, -, *, /, Math.sqrt and integer operations are
// used, which every engine rounds alike; Math.log and Math.cos are not, so the normal numbers evaluate their own series.
// Not: cryptography.
//
// The definition, which a WGSL kernel matches bit for bit (all words are u32, all arithmetic wraps):
//   seedLow  = seed mod 2^32              seedHigh = floor(seed / 2^32)      0 <= seed < 2^53
//   host     (x0, x1) = threefry(key = (seedLow, seedHigh),        counter = (index, stream))
//   device   (x0, x1) = threefry(key = (seedLow, seedHigh ^ step), counter = (index, stream))
//   bits     = x0
//   uniform  = f32(x0 >> 8) * 2^-24       24 bits, exact in f32, from 0 to 1 - 2^-24
// A device at step 0 draws the host's numbers, so what has one seed takes streams of its own: weights and data count theirs
// from 0, a RandomState from 2^31, and a layer takes a hash of its name, which meets another's once in 2^32. Seeds below 2^32
// never share a device key; seeds that differ by a multiple of 2^32 share keys at different steps.

import { at, checkOptions, OptionError } from './errors.ts';

const TWO_32 = 4294967296;
const UNIT_24 = 1 / 16777216;
const QUARTER_32 = 1 / 1073741824;
const KEY_PARITY = 0x1bd11bda;

/**
 * Threefry-2x32, 20 rounds: encrypts the counter with the key. Arguments are taken modulo 2^32.
 *
 * @returns two u32 words.
 */
export function threefry(key0: number, key1: number, counter0: number, counter1: number): [number, number] {
  const key2 = KEY_PARITY ^ key0 ^ key1;
  let x0 = (counter0 + key0) | 0;
  let x1 = (counter1 + key1) | 0;
  // Five groups of four rounds; the rotations alternate between two sets, and the key words rotate in after each group.
  for (let group = 1; group <= 5; group++) {
    if (group % 2 === 1) {
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << 13) | (x1 >>> 19)) ^ x0;
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << 15) | (x1 >>> 17)) ^ x0;
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << 26) | (x1 >>> 6)) ^ x0;
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << 6) | (x1 >>> 26)) ^ x0;
    } else {
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << 17) | (x1 >>> 15)) ^ x0;
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << 29) | (x1 >>> 3)) ^ x0;
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << 16) | (x1 >>> 16)) ^ x0;
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << 24) | (x1 >>> 8)) ^ x0;
    }
    const turn = group % 3;
    x0 = (x0 + (turn === 0 ? key0 : turn === 1 ? key1 : key2)) | 0;
    x1 = (x1 + (turn === 0 ? key1 : turn === 1 ? key2 : key0) + group) | 0;
  }
  return [x0 >>> 0, x1 >>> 0];
}

/**
 * The two 32-bit words of a seed, `[low, high]`, as kernels take them.
 *
 * @throws OptionError unless the seed is an integer from 0 to 2^53 - 1.
 */
export function seedWords(seed: number): [number, number] {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new OptionError(`random: seed is ${seed}; use an integer from 0 to 2^53 - 1`);
  }
  return [seed >>> 0, Math.floor(seed / TWO_32)];
}

function checkWord(what: string, value: number): void {
  if (!Number.isInteger(value) || value < 0 || value >= TWO_32) {
    throw new OptionError(`random: ${what} is ${value}; use an integer from 0 to 2^32 - 1`);
  }
}

/** The u32 number `index` of a stream. */
export function randomBits(seed: number, stream: number, index: number): number {
  const [low, high] = seedWords(seed);
  checkWord('stream', stream);
  checkWord('index', index);
  return threefry(low, high, index, stream)[0];
}

/** The number `index` of a stream, uniform in [0, 1), a multiple of 2^-24 and so exact in f32. */
export function randomUniform(seed: number, stream: number, index: number): number {
  return (randomBits(seed, stream, index) >>> 8) * UNIT_24;
}

/** What a kernel draws for element `index` in training step `step`: uniform in [0, 1), the definition on top of this file. */
export function deviceUniform(seed: number, stream: number, step: number, index: number): number {
  const [low, high] = seedWords(seed);
  checkWord('stream', stream);
  checkWord('step', step);
  checkWord('index', index);
  return (threefry(low, high ^ step, index, stream)[0] >>> 8) * UNIT_24;
}

/** Where the numbers of an array come from: element i is number `start + i` of the stream. */
export interface RandomSource {
  /** An integer from 0 to 2^53 - 1. */
  readonly seed: number;
  /** A u32: one for each use of a seed. */
  readonly stream: number;
  /** The first number to take; 0 when left out. */
  readonly start?: number;
}

interface Counters {
  readonly low: number;
  readonly high: number;
  readonly stream: number;
  readonly start: number;
}

function counters(where: string, count: number, source: RandomSource, more: readonly string[]): Counters {
  checkOptions(where, source, ['seed', 'stream', 'start', ...more]);
  const [low, high] = seedWords(source.seed);
  const start = source.start ?? 0;
  checkWord('stream', source.stream);
  checkWord('start', start);
  if (!Number.isInteger(count) || count < 0) {
    throw new OptionError(`${where}: count is ${count}; use an integer of at least 0`);
  }
  if (start + count > TWO_32) {
    throw new OptionError(
      `${where}: start ${start} and count ${count} pass the 2^32 numbers of a stream; take another stream`,
    );
  }
  return { low, high, stream: source.stream, start };
}

function checkFinite(where: string, what: string, value: number): void {
  if (!Number.isFinite(value)) throw new OptionError(`${where}: ${what} is ${value}; use a finite number`);
}

/**
 * `count` numbers low + (high - low)·u with u = randomUniform: computed in float64, then rounded to f32, so that `high`
 * itself can occur where it is no multiple of the steps. Left out, low is 0 and high is 1.
 */
export function uniformArray(
  count: number,
  options: RandomSource & { readonly low?: number; readonly high?: number },
): Float32Array {
  const c = counters('uniformArray', count, options, ['low', 'high']);
  const { low = 0, high = 1 } = options;
  checkFinite('uniformArray', 'low', low);
  checkFinite('uniformArray', 'high', high);
  if (high < low) throw new OptionError(`uniformArray: low is ${low}, above high ${high}; swap them`);
  const width = high - low;
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const [bits] = threefry(c.low, c.high, c.start + i, c.stream);
    values[i] = low + width * ((bits >>> 8) * UNIT_24);
  }
  return values;
}

/**
 * `count` normal numbers, mean + std·z, each from both words of one counter by the transform of Box and Muller (1958):
 * z = sqrt(-2 ln u)·cos(2π v), u = (x0 + 1/2)·2^-32, v = (x1 + 1/2)·2^-32, so |z| < 6.77. In float64, then rounded to f32.
 * Left out, mean is 0 and std is 1.
 */
export function normalArray(
  count: number,
  options: RandomSource & { readonly mean?: number; readonly std?: number },
): Float32Array {
  const c = counters('normalArray', count, options, ['mean', 'std']);
  const { mean = 0, std = 1 } = options;
  checkFinite('normalArray', 'mean', mean);
  checkFinite('normalArray', 'std', std);
  if (std < 0) throw new OptionError(`normalArray: std is ${std}; use a number of at least 0`);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const [x0, x1] = threefry(c.low, c.high, c.start + i, c.stream);
    values[i] = mean + std * Math.sqrt(-2 * logOfFraction(x0)) * cosOfTurn(x1);
  }
  return values;
}

// ln((x + 1/2)·2^-32) for a u32 x. The odd number 2x + 1 = m·2^e is split exactly, with m from 1 / sqrt(2) to sqrt(2);
// then ln m = 2 artanh(s), s = (m - 1) / (m + 1), |s| < 0.172, and the first term left out is below 1e-18.
function logOfFraction(x: number): number {
  let m = 2 * x + 1;
  let exponent = 0;
  while (m > Math.SQRT2) {
    m /= 2;
    exponent += 1;
  }
  const s = (m - 1) / (m + 1);
  const square = s * s;
  let sum = 0;
  for (let n = 23; n >= 1; n -= 2) sum = sum * square + 1 / n;
  return 2 * s * sum + (exponent - 33) * Math.LN2;
}

// cos(2π (x + 1/2)·2^-32) for a u32 x: the turn is cut exactly into quarters centred on the axes, and the angle left over,
// at most π/4, goes through the Taylor series of cos or sin up to the 17th power (the next term is below 2e-18).
function cosOfTurn(x: number): number {
  const quarters = (x + 0.5) * QUARTER_32;
  const nearest = Math.floor(quarters + 0.5);
  const angle = (quarters - nearest) * (Math.PI / 2);
  const square = angle * angle;
  const odd = nearest % 2 === 1;
  let sum = 0;
  for (let n = odd ? 17 : 16; n >= 2; n -= 2) sum = (1 + sum) * (-square / (n * (n - 1)));
  const value = odd ? angle * (1 + sum) : 1 + sum;
  // Quarters 1 and 2 carry the minus sign: cos(a + π/2) = -sin a, cos(a + π) = -cos a, cos(a + 3π/2) = sin a.
  return nearest === 1 || nearest === 2 ? -value : value;
}

// floor(bits · range / 2^32), exact although the product can need 64 bits: two halves of 48 bits each.
function multiplyShift(bits: number, range: number): number {
  const carry = Math.floor(((bits & 0xffff) * range) / 65536);
  return Math.floor(((bits >>> 16) * range + carry) / 65536);
}

/**
 * `count` integers from low up to but not including high, by multiplying 32 random bits with the range and keeping the
 * upper word: probabilities differ from equal ones by less than 2^-32 each. Left out, low is 0.
 *
 * @throws OptionError unless 0 <= low < high <= 2^32.
 */
export function integers(
  count: number,
  options: RandomSource & { readonly low?: number; readonly high: number },
): Uint32Array {
  const c = counters('integers', count, options, ['low', 'high']);
  const { low = 0, high } = options;
  if (!Number.isInteger(low) || !Number.isInteger(high) || low < 0 || high <= low || high > TWO_32) {
    throw new OptionError(`integers: low is ${low} and high is ${high}; use integers with 0 <= low < high <= 2^32`);
  }
  const values = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    values[i] = low + multiplyShift(threefry(c.low, c.high, c.start + i, c.stream)[0], high - low);
  }
  return values;
}

/** The numbers 0 to n - 1 in random order: the shuffle of Fisher and Yates, drawing as `integers` does. */
export function permutation(n: number, options: RandomSource): Uint32Array {
  const c = counters('permutation', n, options, []);
  const values = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = multiplyShift(threefry(c.low, c.high, c.start + i, c.stream)[0], i + 1);
    const kept = at(values, j);
    values[j] = at(values, i);
    values[i] = kept;
  }
  return values;
}
