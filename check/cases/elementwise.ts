// Cases of engine/ops/elementwise.ts: every function, with and without broadcasting, away from kinks.

import { grad } from '../../engine/grad.ts';
import * as ops from '../../engine/ops/elementwise.ts';
import { constant, fill } from '../../engine/ops/leaf.ts';
import { sum } from '../../engine/ops/reduce.ts';
import { broadcastTo, reshape } from '../../engine/ops/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { Case } from '../draw.ts';

type Unary = (x: Tensor) => Tensor;

/** Functions without kinks, on normal numbers. */
const smooth: Readonly<Record<string, Unary>> = {
  identity: ops.identity,
  affine: (x) => ops.affine(x, -1.5, 0.25),
  exp: ops.exp,
  sigmoid: ops.sigmoid,
  tanh: ops.tanh,
  softplus: ops.softplus,
  square: ops.square,
  gelu: ops.gelu,
  sin: ops.sin,
  cos: ops.cos,
  'power: whole': (x) => ops.power(x, 3),
};

/** Functions of positive numbers. */
const positive: Readonly<Record<string, Unary>> = {
  log: ops.log,
  sqrt: ops.sqrt,
  reciprocal: ops.reciprocal,
  'power: fraction': (x) => ops.power(x, -0.7),
  'pow: number': (x) => ops.pow(x, 2.5),
};

/** Functions with a kink at 0. */
const kinked: Readonly<Record<string, Unary>> = {
  abs: ops.abs,
  sign: ops.sign,
  relu: ops.relu,
  elu: (x) => ops.elu(x, 1.3),
  leakyRelu: (x) => ops.leakyRelu(x, 0.2),
};

type Binary = (a: Tensor, b: Tensor) => Tensor;

const binary: Readonly<Record<string, Binary>> = {
  add: ops.add,
  sub: ops.sub,
  mul: ops.mul,
  maximum: ops.maximum,
  minimum: ops.minimum,
  greater: ops.greater,
  greaterEqual: ops.greaterEqual,
  less: ops.less,
  lessEqual: ops.lessEqual,
  equal: ops.equal,
};

function unaryCases(
  functions: Readonly<Record<string, Unary>>,
  draw: (each: Parameters<Case['graph']>[0]) => Tensor,
): Case[] {
  return Object.entries(functions).map(([name, f]) => ({ name, graph: (numbers) => [f(draw(numbers))] }));
}

/** Cases of the elementwise rows. */
export const elementwiseCases: readonly Case[] = [
  ...unaryCases(smooth, (draw) => draw.normal([3, 7], { std: 1.5 })),
  ...unaryCases(positive, (draw) => draw.between(0.3, 4, [3, 7])),
  ...unaryCases(kinked, (draw) => draw.away([0], [3, 7])),
  { name: 'clamp', graph: (draw) => [ops.clamp(draw.away([-0.5, 0.75], [4, 9]), -0.5, 0.75)] },
  {
    name: 'sigmoid, tanh, softplus: large numbers',
    graph: (draw) => {
      const x = draw.given([1, 8], [-90, -30, -12, -1e-4, 1e-5, 9, 40, 100]);
      return [ops.sigmoid(x), ops.tanh(x), ops.softplus(x)];
    },
  },
  {
    // Apart from large ones, beside which their errors would not show.
    name: 'sigmoid, softplus: small results',
    graph: (draw) => {
      const x = draw.given([2, 4], [-30, -20, -12, -9, -7, -6, -5, -4.7]);
      return [ops.sigmoid(x), ops.softplus(x)];
    },
  },
  { name: 'identity: u32', graph: (draw) => [ops.identity(draw.below(1000, [3, 5]))] },
  {
    name: 'numbers on either side',
    graph: (draw) => {
      const x = draw.between(0.5, 2, [5]);
      return [
        ops.add(2, x),
        ops.add(x, 2),
        ops.sub(2, x),
        ops.sub(x, 2),
        ops.mul(2, x),
        ops.div(x, 3),
        ops.div(3, x),
        ops.neg(x),
      ];
    },
  },
  ...Object.entries(binary).flatMap(([name, f]): Case[] => [
    {
      name: `${name}: equal shapes`,
      graph: (draw) => [f(draw.distinct([3, 5]), ops.add(draw.normal([3, 5], { std: 0.01 }), 0.05))],
    },
    {
      name: `${name}: broadcast`,
      graph: (draw) => [f(draw.distinct([2, 1, 3, 1]), ops.add(draw.normal([4, 1, 3], { std: 0.01 }), 0.05))],
    },
  ]),
  // Layouts of the kernels: operands that run along or repeat in whole vectors of 4, on either side.
  {
    name: 'mul: broadcast in whole vectors',
    graph: (draw) => {
      const [x, row, column] = [draw.normal([2, 3, 8]), draw.normal([8]), draw.normal([3, 1])];
      return [ops.mul(x, row), ops.mul(row, x), ops.mul(x, column), ops.mul(column, x), ops.mul(row, column)];
    },
  },
  {
    name: 'mul: vectors and a rest',
    graph: (draw) => [ops.mul(draw.normal([2, 13]), draw.normal([2, 13])), ops.mul(draw.normal([1]), draw.normal([1]))],
  },
  { name: 'div: broadcast', graph: (draw) => [ops.div(draw.normal([2, 3, 4]), draw.between(0.5, 2, [3, 1]))] },
  { name: 'div: equal shapes', graph: (draw) => [ops.div(draw.normal([7]), draw.between(-2, -0.5, [7]))] },
  { name: 'pow: broadcast', graph: (draw) => [ops.pow(draw.between(0.4, 3, [2, 1, 5]), draw.between(-2, 2, [3, 1]))] },
  {
    name: 'equal: what is equal',
    graph: (draw) => {
      const x = draw.given([4], [1, 2, 2, 3]);
      const y = constant([2, 2, 3, 3], [4]);
      return [ops.equal(x, y), ops.greaterEqual(x, y), ops.lessEqual(x, y)];
    },
  },
  {
    name: 'where: equal shapes',
    graph: (draw) => [ops.where(draw.mask([4, 6]), draw.normal([4, 6]), draw.normal([4, 6]))],
  },
  {
    name: 'where: broadcast',
    graph: (draw) => [ops.where(draw.mask([4, 1]), draw.normal([2, 1, 6]), draw.normal([1]))],
  },
  {
    name: 'where: broadcast in whole vectors',
    graph: (draw) => {
      const [x, row, column] = [draw.normal([2, 3, 8]), draw.normal([8]), draw.normal([3, 1])];
      return [
        ops.where(draw.mask([3, 1]), x, row),
        ops.where(draw.mask([2, 3, 8]), column, x),
        ops.where(draw.mask([8]), row, column),
      ];
    },
  },
  {
    name: 'where: the mask is a comparison',
    graph: (draw) => {
      const x = draw.away([0], [3, 5]);
      return [ops.where(ops.greater(x, constant([0], [])), ops.square(x), ops.affine(x, 3, 0))];
    },
  },
  {
    name: 'blockGradient',
    graph: (draw) => {
      const x = draw.normal([2, 5]);
      return [ops.mul(ops.blockGradient(ops.tanh(x)), x)];
    },
  },
  {
    name: 'maskGradient',
    graph: (draw) => {
      const x = draw.normal([3, 5]);
      return [ops.exp(ops.maskGradient(ops.tanh(x), draw.mask([3, 1])))];
    },
  },
  {
    name: 'a list: a tree of ops',
    graph: (draw) => {
      const [a, b, c] = [draw.normal([3, 8]), draw.normal([3, 8]), draw.normal([3, 8])];
      return [ops.mul(ops.sigmoid(ops.sub(ops.square(a), b)), ops.tanh(ops.add(ops.mul(a, c), ops.exp(b))))];
    },
  },
  {
    name: 'a list: numbers and a repeated operand',
    graph: (draw) => {
      const [a, b] = [draw.normal([3, 5]), draw.normal([5])];
      const mask = ops.greater(a, fill(-0.25, []));
      return [ops.where(mask, ops.mul(a, broadcastTo(b, [3, 5])), ops.mul(fill(0.75, [3, 5]), a))];
    },
  },
  {
    name: 'more than four dimensions',
    graph: (draw) => [ops.mul(draw.normal([2, 1, 2, 1, 2, 3]), draw.normal([1, 2, 1, 3, 1, 3]))],
  },
  // A gradient of a gradient: the backward is made of ops like any other.
  {
    name: 'gradient of a gradient',
    graph: (draw) => {
      const x = draw.between(0.5, 2, [6]);
      const slope = grad(sum(ops.mul(ops.exp(x), ops.log(x))), [x]).of(x);
      return [ops.square(slope), reshape(slope, [2, 3])];
    },
  },
  {
    name: 'gradient of a gradient: gates',
    graph: (draw) => {
      const x = draw.away([0], [6]);
      const y = ops.add(ops.add(ops.mul(ops.sigmoid(x), x), ops.square(ops.tanh(x))), ops.square(ops.relu(x)));
      return [grad(sum(y), [x]).of(x)];
    },
  },
];
