// The meanings of engine/ops/elementwise.ts: functions of one, two and three numbers. Binary ones broadcast as NumPy does.

import { at } from '../../engine/errors.ts';
import { build, dtypeOf, read } from '../value.ts';
import { type Meaning, type Meanings, means } from './meaning.ts';

type Parameters = readonly [number, number];

/** A NaN stays one, except through `ofNaN`. */
function unary(f: (x: number, p: Parameters) => number, ofNaN = (_p: Parameters): number => Number.NaN): Meaning {
  return means<{ readonly p: Parameters }>((inputs, { p }) => {
    const { shape, data } = at(inputs, 0);
    return { shape, data: Float64Array.from(data, (element) => (Number.isNaN(element) ? ofNaN(p) : f(element, p))) };
  });
}

function binary(f: (a: number, b: number) => number): Meaning {
  return means((inputs, _, { shape }) => {
    const [left, right] = [at(inputs, 0), at(inputs, 1)];
    return build(shape, (index) => f(read(left, index), read(right, index)));
  });
}

const truth = (condition: boolean): number => (condition ? 1 : 0);

/** 1 / (1 + e^-x) */
export const sigmoidOf = (x: number): number => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));

/** log(1 + e^x) */
export const softplusOf = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** The error function, to float64 rounding: its Taylor series up to 3, beyond that the continued fraction of 1 - erf. */
export function errorFunction(x: number): number {
  const a = Math.abs(x);
  if (a < 3) {
    let term = a;
    let total = a;
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(total); n++) {
      term *= (-a * a) / n;
      total += term / (2 * n + 1);
    }
    return Math.sign(x) * (2 / Math.sqrt(Math.PI)) * total;
  }
  let fraction = a;
  for (let n = 80; n >= 1; n--) fraction = a + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-a * a) / (fraction * Math.sqrt(Math.PI)));
}

/** The normal distribution function. */
const normalCdf = (x: number): number => 0.5 * (1 + errorFunction(x * Math.SQRT1_2));
const normalPdf = (x: number): number => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

/** base^exponent; NaN for a negative base and an exponent that is not whole. */
const powerOf = (base: number, exponent: number): number => {
  if (base < 0 && exponent !== Math.trunc(exponent)) return Number.NaN;
  return exponent === 0 ? 1 : base ** exponent;
};

/** Meanings of the elementwise rows. */
export const elementwiseMeanings: Meanings = {
  identity: unary((x) => x),
  affine: unary((x, [scale, shift]) => scale * x + shift),
  exp: unary(Math.exp),
  log: unary(Math.log),
  sqrt: unary(Math.sqrt),
  abs: unary(Math.abs),
  sign: unary(Math.sign),
  sigmoid: unary(sigmoidOf),
  tanh: unary(Math.tanh),
  relu: unary((x) => Math.max(x, 0)),
  softplus: unary(softplusOf),
  reciprocal: unary((x) => 1 / x),
  power: unary(
    (x, [p]) => powerOf(x, p),
    ([p]) => powerOf(Number.NaN, p),
  ),
  clamp: unary((x, [low, high]) => Math.min(Math.max(x, low), high)),
  inside: unary((x, [low, high]) => truth(x > low && x < high)),
  square: unary((x) => x * x),
  gelu: unary((x) => x * normalCdf(x)),
  geluSlope: unary((x) => normalCdf(x) + x * normalPdf(x)),
  elu: unary((x, [alpha]) => (x > 0 ? x : alpha * Math.expm1(x))),
  eluSlope: unary((x, [alpha]) => (x > 0 ? 1 : alpha * Math.exp(x))),
  leakyRelu: unary((x, [slope]) => (x > 0 ? x : slope * x)),
  leakyReluSlope: unary((x, [slope]) => (x > 0 ? 1 : slope)),
  sin: unary(Math.sin),
  cos: unary(Math.cos),

  add: binary((a, b) => a + b),
  sub: binary((a, b) => a - b),
  mul: binary((a, b) => a * b),
  div: binary((a, b) => a / b),
  pow: binary(powerOf),
  maximum: binary(Math.max),
  minimum: binary(Math.min),
  greater: binary((a, b) => truth(a > b)),
  greaterEqual: binary((a, b) => truth(a >= b)),
  less: binary((a, b) => truth(a < b)),
  lessEqual: binary((a, b) => truth(a <= b)),
  equal: binary((a, b) => truth(a === b)),
  // The backward helpers: d is the gradient that arrives, y the output and x the input of the forward.
  sigmoidBackward: binary((d, y) => d * y * (1 - y)),
  tanhBackward: binary((d, y) => d * (1 - y * y)),
  reluBackward: binary((d, x) => (x <= 0 ? 0 : d)),
  xlogy: binary((x, y) => (x === 0 ? 0 : x * Math.log(y))),

  where: means((inputs, _, { shape }) => {
    const [m, yes, no] = [at(inputs, 0), at(inputs, 1), at(inputs, 2)];
    return build(shape, (index) => (read(m, index) !== 0 ? read(yes, index) : read(no, index)));
  }),
  blockGradient: means((inputs) => at(inputs, 0)),
  maskGradient: means((inputs) => at(inputs, 0)),
  copy: means((inputs, _, { shape }) => {
    const value = at(inputs, 0);
    return build(shape, (index) => read(value, index), dtypeOf(value));
  }),
};
