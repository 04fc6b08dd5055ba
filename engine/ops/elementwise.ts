// Elementwise ops: one table of unary functions, one of binary ones, and `where`. Each line gives the kernel's number of
// the function (kernels/elementwise.wgsl) and its derivative, written with these same ops.
// Binary ops broadcast as NumPy does; the backward sums over what was repeated. Comparisons give 1 or 0 and no gradient.
// A NaN stays one, through extremes and kinks too; only comparisons, all of them false, and the power 0 leave it behind.

import { at, OptionError, ShapeError } from '../errors.ts';
import { applyOne, type Op, type OverTime } from '../op.ts';
import { broadcastShapes, type Shape, sameShape, stridesOf, Tensor } from '../tensor.ts';
import { planElementwise } from './element-list.ts';
import { fill } from './leaf.ts';
import { broadcastTo, emitCopy, reshape, unbroadcast } from './shape.ts';

interface UnaryAttrs {
  /** Parameters of the function: affine's scale and shift, clamp's bounds, a power's exponent. */
  readonly p: readonly [number, number];
}

type UnaryRule = (d: Tensor, x: Tensor, y: Tensor, p: readonly [number, number]) => Tensor | undefined;

function unaryOp(name: string, code: number, derivative?: UnaryRule): Op<UnaryAttrs> {
  const op: { -readonly [K in keyof Op<UnaryAttrs>]: Op<UnaryAttrs>[K] } = {
    name,
    infer: ([x]) => [f32(name, x)],
    elementwise: ({ attrs }) => ({ code, parameters: attrs.p }),
    plan: planElementwise,
    overTime: ({ sequence, attrs }) => [applyOne(op, [sequence(0)], attrs)],
  };
  if (derivative !== undefined) {
    op.backward = ({ inputs, outputs, attrs }, [d]) => [d && derivative(d, at(inputs, 0), at(outputs, 0), attrs.p)];
  }
  return op;
}

const none: readonly [number, number] = [0, 0];

// Unary functions.                     number  derivative
const identityOp = unaryOp('identity', 0, (d) => d);
const affineOp = unaryOp('affine', 1, (d, _x, _y, [scale]) => affine(d, scale, 0));
const expOp = unaryOp('exp', 2, (d, _x, y) => mul(d, y));
const logOp = unaryOp('log', 3, (d, x) => div(d, x));
const sqrtOp = unaryOp('sqrt', 4, (d, _x, y) => div(affine(d, 0.5, 0), y));
const absOp = unaryOp('abs', 5, (d, x) => mul(d, sign(x)));
const signOp = unaryOp('sign', 6, () => undefined);
const sigmoidOp = unaryOp('sigmoid', 7, (d, _x, y) => applyBinary(sigmoidBackwardOp, d, y));
const tanhOp = unaryOp('tanh', 8, (d, _x, y) => applyBinary(tanhBackwardOp, d, y));
// By its result, which is positive where x is: so x need not be kept, and may be made in the same call.
const reluOp = unaryOp('relu', 9, (d, _x, y) => applyBinary(reluBackwardOp, d, y));
const softplusOp = unaryOp('softplus', 10, (d, x) => mul(d, sigmoid(x)));
const reciprocalOp = unaryOp('reciprocal', 11, (d, _x, y) => neg(mul(d, square(y))));
const powerOp = unaryOp('power', 37, (d, x, _y, [p]) => (p === 0 ? undefined : mul(d, affine(power(x, p - 1), p, 0))));
const clampOp = unaryOp('clamp', 12, (d, x, _y, p) => mul(d, applyOne(insideOp, [x], { p })));
const insideOp = unaryOp('inside', 13, () => undefined);
const squareOp = unaryOp('square', 14, (d, x) => mul(d, affine(x, 2, 0)));
const geluOp = unaryOp('gelu', 15, (d, x) => mul(d, applyOne(geluSlopeOp, [x], { p: none })));
const geluSlopeOp = unaryOp('geluSlope', 16);
const eluOp = unaryOp('elu', 17, (d, x, _y, p) => mul(d, applyOne(eluSlopeOp, [x], { p })));
const eluSlopeOp = unaryOp('eluSlope', 18);
const leakyReluOp = unaryOp('leakyRelu', 19, (d, x, _y, p) => mul(d, applyOne(leakyReluSlopeOp, [x], { p })));
const leakyReluSlopeOp = unaryOp('leakyReluSlope', 20, () => undefined);
const sinOp = unaryOp('sin', 21, (d, x) => mul(d, cos(x)));
const cosOp = unaryOp('cos', 22, (d, x) => neg(mul(d, sin(x))));

const unary =
  (op: Op<UnaryAttrs>): ((x: Tensor) => Tensor) =>
  (x) =>
    applyOne(op, [x], { p: none });

/** A copy of x. */
export const identity: (x: Tensor) => Tensor = (x) =>
  x.dtype === 'u32' ? applyOne(copyOp, [x], {}) : unary(identityOp)(x);
/** scale * x + shift, with numbers. */
export const affine = (x: Tensor, scale: number, shift: number): Tensor =>
  applyOne(affineOp, [x], { p: [scale, shift] });
/** -x */
export const neg = (x: Tensor): Tensor => affine(x, -1, 0);
/** e^x */
export const exp: (x: Tensor) => Tensor = unary(expOp);
/** Natural logarithm; of 0 or less it is not a number to rely on. */
export const log: (x: Tensor) => Tensor = unary(logOp);
/** Square root; its slope at 0 is infinite. */
export const sqrt: (x: Tensor) => Tensor = unary(sqrtOp);
/** |x|; slope 0 at 0. */
export const abs: (x: Tensor) => Tensor = unary(absOp);
/** -1, 0 or 1; no gradient. */
export const sign: (x: Tensor) => Tensor = unary(signOp);
/** 1 / (1 + e^-x) */
export const sigmoid: (x: Tensor) => Tensor = unary(sigmoidOp);
/** Hyperbolic tangent, accurate near 0 and saturating without overflow. */
export const tanh: (x: Tensor) => Tensor = unary(tanhOp);
/** max(x, 0); slope 0 at 0. */
export const relu: (x: Tensor) => Tensor = unary(reluOp);
/** log(1 + e^x), without overflow. */
export const softplus: (x: Tensor) => Tensor = unary(softplusOp);
/** 1 / x */
export const reciprocal: (x: Tensor) => Tensor = unary(reciprocalOp);
/** x^p for a number p; a negative x takes whole p only, and is NaN for any other. */
export const power = (x: Tensor, p: number): Tensor => applyOne(powerOp, [x], { p: [p, 0] });
/** x held between two numbers; slope 0 outside. */
export const clamp = (x: Tensor, low: number, high: number): Tensor => {
  if (!(low <= high)) throw new OptionError(`clamp: the lower bound ${low} is above the upper bound ${high}`);
  return applyOne(clampOp, [x], { p: [low, high] });
};
/** x^2 */
export const square: (x: Tensor) => Tensor = unary(squareOp);
/** x times the normal distribution function of x, exact form (Hendrycks and Gimpel 2016). */
export const gelu: (x: Tensor) => Tensor = unary(geluOp);
/** x where positive, else alpha (e^x - 1) (Clevert et al. 2015). */
export const elu = (x: Tensor, alpha = 1): Tensor => applyOne(eluOp, [x], { p: [alpha, 0] });
/** x where positive, else slope * x. */
export const leakyRelu = (x: Tensor, slope = 0.01): Tensor => applyOne(leakyReluOp, [x], { p: [slope, 0] });
/** Sine of radians. */
export const sin: (x: Tensor) => Tensor = unary(sinOp);
/** Cosine of radians. */
export const cos: (x: Tensor) => Tensor = unary(cosOp);

type BinaryRule = (d: Tensor, a: Tensor, b: Tensor, y: Tensor) => readonly [Tensor | undefined, Tensor | undefined];

function binaryOp(name: string, code: number, derivative: BinaryRule | undefined, linear = false): Op {
  const op: { -readonly [K in keyof Op]: Op[K] } = {
    name,
    infer: ([a, b]) => {
      const shapes = [f32(name, a).shape, f32(name, b).shape];
      return [{ shape: broadcastShapes(name, ...shapes), dtype: 'f32' }];
    },
    elementwise: () => ({ code, parameters: none }),
    plan: planElementwise,
    overTime: (over) => [applyOne(op, alignOverTime(over), {})],
  };
  if (linear) {
    op.sumOverTime = (over) => {
      const { shape } = at(over.node.outputs, 0);
      const parts = over.node.inputs.map((_, i) => broadcastTo(over.summed(i), shape));
      return applyOne(op, parts, {});
    };
  }
  if (derivative !== undefined) {
    op.backward = ({ inputs, outputs }, [d]) => {
      if (d === undefined) return [];
      const [a, b] = [at(inputs, 0), at(inputs, 1)];
      const [da, db] = derivative(d, a, b, at(outputs, 0));
      return [da && unbroadcast(da, a.shape), db && unbroadcast(db, b.shape)];
    };
  }
  return op;
}

/** The derivatives of a step: 0 wherever there are any. */
const flat: BinaryRule = () => [undefined, undefined];

// Binary functions.                  number  derivatives for a and b
const addOp = binaryOp('add', 32, (d) => [d, d], true);
const subOp = binaryOp('sub', 33, (d) => [d, neg(d)], true);
const mulOp = binaryOp('mul', 34, (d, a, b) => [mul(d, b), mul(d, a)]);
const divOp = binaryOp('div', 35, (d, _a, b, y) => [div(d, b), neg(div(mul(d, y), b))]);
const powOp = binaryOp('pow', 36, (d, a, b, y) => [
  mul(d, mul(b, pow(a, affine(b, 1, -1)))),
  mul(d, applyBinary(xlogyOp, y, a)),
]);
const maximumOp = binaryOp('maximum', 38, (d, a, b) => [mul(d, greaterEqual(a, b)), mul(d, less(a, b))]);
const minimumOp = binaryOp('minimum', 39, (d, a, b) => [mul(d, lessEqual(a, b)), mul(d, greater(a, b))]);
const greaterOp = binaryOp('greater', 40, flat);
const greaterEqualOp = binaryOp('greaterEqual', 41, flat);
const lessOp = binaryOp('less', 42, flat);
const lessEqualOp = binaryOp('lessEqual', 43, flat);
const equalOp = binaryOp('equal', 44, flat);
const sigmoidBackwardOp: Op = binaryOp('sigmoidBackward', 45, (d, p, q) => [
  applyBinary(sigmoidBackwardOp, d, q),
  mul(mul(d, p), affine(q, -2, 1)),
]);
const tanhBackwardOp: Op = binaryOp('tanhBackward', 46, (d, p, q) => [
  applyBinary(tanhBackwardOp, d, q),
  mul(mul(d, p), affine(q, -2, 0)),
]);
const reluBackwardOp: Op = binaryOp('reluBackward', 47, (d, _p, q) => [applyBinary(reluBackwardOp, d, q), undefined]);
const xlogyOp = binaryOp('xlogy', 48, undefined);

const applyBinary = (op: Op, a: Tensor, b: Tensor): Tensor => applyOne(op, [a, b], {});

/** a + b; either may be a number. */
export function add(a: Tensor | number, b: Tensor | number): Tensor {
  return withNumbers(
    'add',
    a,
    b,
    addOp,
    (x, k) => affine(x, 1, k),
    (x, k) => affine(x, 1, k),
  );
}
/** a - b; either may be a number. */
export function sub(a: Tensor | number, b: Tensor | number): Tensor {
  return withNumbers(
    'sub',
    a,
    b,
    subOp,
    (x, k) => affine(x, 1, -k),
    (x, k) => affine(x, -1, k),
  );
}
/** a * b, element by element; either may be a number. */
export function mul(a: Tensor | number, b: Tensor | number): Tensor {
  return withNumbers(
    'mul',
    a,
    b,
    mulOp,
    (x, k) => affine(x, k, 0),
    (x, k) => affine(x, k, 0),
  );
}
/** a / b; either may be a number. */
export function div(a: Tensor | number, b: Tensor | number): Tensor {
  return withNumbers(
    'div',
    a,
    b,
    divOp,
    (x, k) => affine(x, 1 / k, 0),
    (x, k) => affine(reciprocal(x), k, 0),
  );
}
/** a^b; a negative a takes whole b only (then b gets no sensible gradient), and is NaN for any other. */
export function pow(a: Tensor, b: Tensor | number): Tensor {
  return typeof b === 'number' ? power(a, b) : applyBinary(powOp, a, b);
}
/** The greater of a and b, NaN where one is; at a tie the gradient goes to a. */
export const maximum = (a: Tensor, b: Tensor): Tensor => applyBinary(maximumOp, a, b);
/** The smaller of a and b, NaN where one is; at a tie the gradient goes to a. */
export const minimum = (a: Tensor, b: Tensor): Tensor => applyBinary(minimumOp, a, b);
/** 1 where a > b, else 0. */
export const greater = (a: Tensor, b: Tensor): Tensor => applyBinary(greaterOp, a, b);
/** 1 where a >= b, else 0. */
export const greaterEqual = (a: Tensor, b: Tensor): Tensor => applyBinary(greaterEqualOp, a, b);
/** 1 where a < b, else 0. */
export const less = (a: Tensor, b: Tensor): Tensor => applyBinary(lessOp, a, b);
/** 1 where a <= b, else 0. */
export const lessEqual = (a: Tensor, b: Tensor): Tensor => applyBinary(lessEqualOp, a, b);
/** 1 where a = b, else 0. */
export const equal = (a: Tensor, b: Tensor): Tensor => applyBinary(equalOp, a, b);

/** Its number of the kernel. */
const WHERE = 49;

const whereOp: Op = {
  name: 'where',
  infer: ([m, a, b]) => {
    const shapes = [f32('where', m).shape, f32('where', a).shape, f32('where', b).shape];
    return [{ shape: broadcastShapes('where', ...shapes), dtype: 'f32' }];
  },
  elementwise: () => ({ code: WHERE, parameters: none }),
  plan: planElementwise,
  backward: ({ inputs }, [d]) => {
    if (d === undefined) return [];
    const [mask, a, b] = [at(inputs, 0), at(inputs, 1), at(inputs, 2)];
    const zero = fill(0, []);
    return [undefined, unbroadcast(where(mask, d, zero), a.shape), unbroadcast(where(mask, zero, d), b.shape)];
  },
  overTime: (over) => [applyOne(whereOp, alignOverTime(over), {})],
};

/** a where the mask is not 0, else b, bit for bit; all three broadcast. No gradient reaches the mask. */
export const where = (mask: Tensor, a: Tensor, b: Tensor): Tensor => applyOne(whereOp, [mask, a, b], {});

const blockOp: Op = {
  name: 'blockGradient',
  alias: true,
  infer: ([x]) => [{ shape: f32('blockGradient', x).shape, dtype: 'f32' }],
  backward: () => [],
  overTime: ({ sequence }) => [blockGradient(sequence(0))],
};

/** x itself, through which no gradient passes. */
export const blockGradient = (x: Tensor): Tensor => applyOne(blockOp, [x], {});

const maskGradientOp: Op = {
  name: 'maskGradient',
  alias: true,
  infer: ([x, mask]) => {
    const shape = broadcastShapes('maskGradient', f32('maskGradient', x).shape, f32('maskGradient', mask).shape);
    if (x !== undefined && !sameShape(shape, x.shape)) throw new ShapeError('maskGradient: the mask is larger than x');
    return [{ shape, dtype: 'f32' }];
  },
  backward: ({ inputs }, [d]) => [d && mul(d, at(inputs, 1))],
  // x over all steps even where it does not vary: the mask may, and is not larger than x.
  overTime: (over) => [applyOne(maskGradientOp, [over.sequence(0), at(alignOverTime(over), 1)], {})],
};

/** x itself; on the way back its gradient is multiplied by the mask (which broadcasts, and gets none). */
export const maskGradient = (x: Tensor, mask: Tensor): Tensor => applyOne(maskGradientOp, [x, mask], {});

const copyOp: Op = {
  name: 'copy',
  infer: ([x]) => [{ shape: x?.shape ?? [], dtype: x?.dtype ?? 'f32' }],
  plan: (emit, { outputs }) => {
    const { shape } = at(outputs, 0);
    const strides = stridesOf(shape);
    emitCopy(emit, { view: at(emit.inputs, 0), strides }, { view: at(emit.outputs, 0), strides }, shape);
  },
  overTime: ({ sequence }) => [identity(sequence(0))],
};

/** The rows of this file, for tables of all ops. @internal */
export const elementwiseOps: readonly Op[] = [
  ...[identityOp, affineOp, expOp, logOp, sqrtOp, absOp, signOp, sigmoidOp, tanhOp, reluOp, softplusOp, reciprocalOp],
  ...[powerOp, clampOp, insideOp, squareOp, geluOp, geluSlopeOp, eluOp, eluSlopeOp, leakyReluOp, leakyReluSlopeOp],
  ...[sinOp, cosOp, addOp, subOp, mulOp, divOp, powOp, maximumOp, minimumOp, greaterOp, greaterEqualOp, lessOp],
  ...[lessEqualOp, equalOp, sigmoidBackwardOp, tanhBackwardOp, reluBackwardOp, xlogyOp, whereOp, blockOp],
  ...[maskGradientOp, copyOp],
] as readonly Op[];

/** Inputs with T in front, at equal rank, so that they broadcast against each other: constants stay as they are. @internal */
export function alignOverTime(over: OverTime<unknown>): Tensor[] {
  const rank = at(over.node.outputs, 0).shape.length;
  return over.node.inputs.map((input, i) => {
    if (!over.varies(i)) return over.constant(i);
    const ones = new Array<number>(rank - input.shape.length).fill(1);
    return reshape(over.sequence(i), [over.steps, ...ones, ...input.shape]);
  });
}

function withNumbers(
  name: string,
  a: Tensor | number,
  b: Tensor | number,
  op: Op,
  right: (x: Tensor, k: number) => Tensor,
  left: (x: Tensor, k: number) => Tensor,
): Tensor {
  if (a instanceof Tensor) return b instanceof Tensor ? applyBinary(op, a, b) : right(a, b);
  if (b instanceof Tensor) return left(b, a);
  throw new OptionError(`${name}: both operands are numbers; one must be a tensor`);
}

function f32(name: string, x: Tensor | undefined): { shape: Shape; dtype: 'f32' } {
  if (x === undefined) throw new ShapeError(`${name}: an operand is missing`);
  if (x.dtype !== 'f32')
    throw new ShapeError(`${name}: takes f32 tensors, not ${x.dtype}; integers are for indices and labels`);
  return { shape: x.shape, dtype: 'f32' };
}
