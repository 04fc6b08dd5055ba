// Seeded initial values for weights, computed on the host.
//
// An initialiser is made from its options and then called with a shape and a place in the random numbers (random.ts): the
// same shape, seed and stream give the same bytes on every runtime. Give each weight of a model its own stream.
// Always: matrices are the last two axes, [..., in, out], as they stand in x·W; leading axes are independent groups (the
// modules of a RIM), each drawn as a matrix of its own and none of them part of a fan.
// Not: convolution kernels, whose fans cover their window. Give those their fan by option.

import { at, checkOptions, formatShape, OptionError, ShapeError } from './errors.ts';
import { checkElements, SMALLER_WEIGHTS } from './limits.ts';
import { normalArray, uniformArray } from './random.ts';

/**
 * Makes the initial values of a weight, row-major.
 *
 * @throws ShapeError when the shape is none, or has too few axes for the rule; LimitError for more elements than kernels count.
 */
export type Initialiser = (
  shape: readonly number[],
  random: { readonly seed: number; readonly stream: number },
) => Float32Array;

/** The sizes that scale a rule. A shape of fewer than two axes has none of its own: give them. */
export interface FanOptions {
  /** How many inputs add up in one output; left out, the last axis but one. */
  readonly fanIn?: number;
  /** How many outputs one input reaches; left out, the last axis. */
  readonly fanOut?: number;
}

/** All zeros. */
export function zeros(): Initialiser {
  return constant(0);
}

/** All ones. */
export function ones(): Initialiser {
  return constant(1);
}

/** One value everywhere, rounded to f32. */
export function constant(value: number): Initialiser {
  checkNumber('constant', 'value', value, -Number.MAX_VALUE);
  return (shape) => new Float32Array(countOf('constant', shape)).fill(value);
}

/** Ones where the last two axes have equal indices, zeros elsewhere. */
export function identity(): Initialiser {
  return (shape) => {
    const { groups, rows, columns } = matricesOf('identity', shape);
    const values = new Float32Array(groups * rows * columns);
    for (let g = 0; g < groups; g++) {
      for (let i = 0; i < Math.min(rows, columns); i++) values[(g * rows + i) * columns + i] = 1;
    }
    return values;
  };
}

/** U(-bound, bound). */
export function uniform(bound: number): Initialiser {
  checkNumber('uniform', 'bound', bound, 0);
  return (shape, { seed, stream }) =>
    uniformArray(countOf('uniform', shape), { seed, stream, low: -bound, high: bound });
}

/** N(0, std²). */
export function normal(std: number): Initialiser {
  checkNumber('normal', 'std', std, 0);
  return (shape, { seed, stream }) => normalArray(countOf('normal', shape), { seed, stream, std });
}

/**
 * U(-b, b), b = gain·sqrt(6 / (fanIn + fanOut)), gain 1 when left out: Glorot and Bengio, "Understanding the difficulty of
 * training deep feedforward neural networks", AISTATS 2010, equation 16.
 */
export function xavierUniform(options: FanOptions & { readonly gain?: number } = {}): Initialiser {
  return xavier('xavierUniform', options, (gain, fans) => uniform(gain * Math.sqrt(6 / fans)));
}

/** N(0, s²), s = gain·sqrt(2 / (fanIn + fanOut)), gain 1 when left out: Glorot and Bengio 2010, equation 12. */
export function xavierNormal(options: FanOptions & { readonly gain?: number } = {}): Initialiser {
  return xavier('xavierNormal', options, (gain, fans) => normal(gain * Math.sqrt(2 / fans)));
}

function xavier(
  where: string,
  options: FanOptions & { readonly gain?: number },
  rule: (gain: number, fans: number) => Initialiser,
): Initialiser {
  checkOptions(where, options, ['fanIn', 'fanOut', 'gain']);
  const { fanIn, fanOut, gain = 1 } = options;
  checkNumber(where, 'gain', gain, 0);
  checkFans(where, options);
  return (shape, random) => {
    const fans = (fanIn ?? fanOf(where, 'fanIn', shape)) + (fanOut ?? fanOf(where, 'fanOut', shape));
    return rule(gain, fans)(shape, random);
  };
}

/**
 * U(-b, b), b = sqrt(6 / ((1 + slope²)·fanIn)), for layers followed by a leaky ReLU of that slope (0 when left out: a ReLU):
 * He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015, equation 15.
 */
export function kaimingUniform(options: Pick<FanOptions, 'fanIn'> & { readonly slope?: number } = {}): Initialiser {
  checkOptions('kaimingUniform', options, ['fanIn', 'slope']);
  const { fanIn, slope = 0 } = options;
  checkNumber('kaimingUniform', 'slope', slope, 0);
  checkFans('kaimingUniform', options);
  return (shape, random) => {
    const fan = fanIn ?? fanOf('kaimingUniform', 'fanIn', shape);
    return uniform(Math.sqrt(6 / ((1 + slope * slope) * fan)))(shape, random);
  };
}

/**
 * U(-b, b), b = 1 / sqrt(fanIn): what PyTorch gives the weights and biases of its linear layers (fanIn their input size)
 * and of its recurrent cells (fanIn their hidden size, for every weight and bias).
 */
export function fanInUniform(options: Pick<FanOptions, 'fanIn'> = {}): Initialiser {
  checkOptions('fanInUniform', options, ['fanIn']);
  checkFans('fanInUniform', options);
  return (shape, random) => {
    const fan = options.fanIn ?? fanOf('fanInUniform', 'fanIn', shape);
    return uniform(1 / Math.sqrt(fan))(shape, random);
  };
}

/**
 * Random matrices with orthonormal rows or columns, whichever are fewer, times `gain` (1 when left out): Saxe, McClelland
 * and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks", ICLR 2014. Normal
 * numbers are made orthonormal by Gram-Schmidt in float64, done twice for each vector; the projections leave every length
 * positive, so the result is uniform over such matrices (Mezzadri, Notices of the AMS 54(5), 2007).
 */
export function orthogonal(options: { readonly gain?: number } = {}): Initialiser {
  checkOptions('orthogonal', options, ['gain']);
  const { gain = 1 } = options;
  checkNumber('orthogonal', 'gain', gain, 0);
  return (shape, { seed, stream }) => {
    const { groups, rows, columns } = matricesOf('orthogonal', shape);
    const count = Math.min(rows, columns);
    const length = Math.max(rows, columns);
    const drawn = normalArray(groups * rows * columns, { seed, stream });
    const values = new Float32Array(drawn.length);
    for (let g = 0; g < groups; g++) {
      const first = g * count * length;
      const vectors = orthonormalise(Float64Array.from(drawn.subarray(first, first + count * length)), length);
      vectors.forEach((value, k) => {
        const vector = Math.floor(k / length);
        const element = k % length;
        const place = rows <= columns ? vector * columns + element : element * columns + vector;
        values[first + place] = gain * value;
      });
    }
    return values;
  };
}

// Makes vectors of `length` numbers that stand one after another orthonormal, in place. The second round of projections
// takes away what rounding left of the first ("twice is enough", Parlett, The Symmetric Eigenvalue Problem, 1980).
function orthonormalise(vectors: Float64Array, length: number): Float64Array {
  for (let start = 0; start < vectors.length; start += length) {
    const vector = vectors.subarray(start, start + length);
    for (let round = 0; round < 2; round++) {
      for (let other = 0; other < start; other += length) {
        const basis = vectors.subarray(other, other + length);
        const overlap = dot(vector, basis);
        for (let i = 0; i < length; i++) vector[i] = at(vector, i) - overlap * at(basis, i);
      }
    }
    const norm = Math.sqrt(dot(vector, vector));
    for (let i = 0; i < length; i++) vector[i] = at(vector, i) / norm;
  }
  return vectors;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += at(a, i) * at(b, i);
  return sum;
}

function countOf(where: string, shape: readonly number[]): number {
  let count = 1;
  for (const size of shape) {
    count *= size;
    if (!Number.isSafeInteger(size) || size < 1 || !Number.isSafeInteger(count)) {
      throw new ShapeError(
        `${where}: ${formatShape(shape)} is no shape; every size must be a whole number of at least 1`,
      );
    }
  }
  checkElements(`${where}: the weight`, shape, count, SMALLER_WEIGHTS);
  return count;
}

function matricesOf(where: string, shape: readonly number[]): { groups: number; rows: number; columns: number } {
  const count = countOf(where, shape);
  const [rows, columns] = shape.slice(-2);
  if (rows === undefined || columns === undefined) {
    throw new ShapeError(
      `${where}: ${formatShape(shape)} is no matrix; give a shape of two axes or more, [..., in, out]`,
    );
  }
  return { groups: count / (rows * columns), rows, columns };
}

function fanOf(where: string, fan: 'fanIn' | 'fanOut', shape: readonly number[]): number {
  countOf(where, shape);
  if (shape.length < 2) {
    throw new ShapeError(
      `${where}: ${formatShape(shape)} has no ${fan}, which is a matrix's; give ${fan} as an option`,
    );
  }
  return at(shape, shape.length - (fan === 'fanIn' ? 2 : 1));
}

function checkFans(where: string, { fanIn = 1, fanOut = 1 }: FanOptions): void {
  checkNumber(where, 'fanIn', fanIn, 1);
  checkNumber(where, 'fanOut', fanOut, 1);
}

function checkNumber(where: string, what: string, value: number, least: number): void {
  if (!Number.isFinite(value) || value < least) {
    const range = least === -Number.MAX_VALUE ? 'a finite number' : `a finite number of at least ${least}`;
    throw new OptionError(`${where}: ${what} is ${value}; use ${range}`);
  }
}
