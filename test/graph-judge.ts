// Judges what a device computed of a random graph: against the float64 interpreter, within what rounding explains. How far
// that goes differs from graph to graph (a difference of nearly equal numbers, a choice between them), so it is measured: the
// graph is evaluated again with a small random change of every computed value, a few times. A tensor that these move by a
// share of its magnitude tells nothing and is not judged; callers demand that such are few. It tests nothing itself.

import * as assert from 'uvu/assert';
import { KERNEL_LIMIT } from '../check/gradcheck.ts';
import { type InterpretOptions, interpret } from '../check/interpret.ts';
import { dtypeOf, errorOf, build as filled, largest, type Value, worse } from '../check/value.ts';
import { at, need } from '../engine/errors.ts';
import type { Data, Tensor } from '../engine/node.ts';
import { uniformArray } from '../engine/random.ts';

/** Ops whose results are an operand's elements as they are, 0 or 1: no rounding there. */
const exact: ReadonlySet<string> = new Set([
  ...[
    'identity',
    'copy',
    'abs',
    'sign',
    'relu',
    'clamp',
    'inside',
    'maximum',
    'minimum',
    'max',
    'min',
    'where',
    'remark',
  ],
  ...['greater', 'greaterEqual', 'less', 'lessEqual', 'equal', 'topKMask', 'sort', 'gather', 'blockGradient', 'flip'],
  ...['maskGradient', 'reshape', 'permute', 'slice', 'pad', 'concat', 'broadcastTo', 'reluBackward', 'dropoutMask'],
]);

/** A change is up to so many times the value, or what it was made from: three roundings of f32. */
const CHANGE = 4e-7;
const DISTURBANCES = 3;

/** The error of a device may be this many times what the largest of the disturbances does. */
export const AMPLIFIED = 4;

/** Above this, what a disturbance does to a tensor leaves nothing to judge. */
export const UNCERTAIN = 2e-3;

/** Tensors that were judged, and that were not. */
export class Tally {
  judged = 0;
  uncertain = 0;

  /** Most of what was drawn tells something. */
  settle(): void {
    assert.ok(this.judged > 0, 'nothing was judged');
    const share = this.uncertain / (this.judged + this.uncertain);
    assert.ok(share < 0.1, `of ${this.judged + this.uncertain} tensors, ${this.uncertain} could not be judged`);
  }
}

/** What tensors are, and how far rounding may move them. */
export interface Expected {
  readonly values: ReadonlyMap<string, Value>;
  readonly slack: ReadonlyMap<string, number>;
}

/** Evaluates named tensors in float64, exactly and disturbed. */
export async function expectedOf(
  outputs: Readonly<Record<string, Tensor>>,
  options: InterpretOptions,
): Promise<Expected> {
  const tensors = Object.values(outputs);
  const values = await interpret(tensors, options);
  const slack = tensors.map(() => 0);
  for (let k = 0; k < DISTURBANCES; k++) {
    const moved = await interpret(tensors, { ...options, disturb: disturber(k) });
    moved.forEach((value, i) => {
      slack[i] = worse(at(slack, i), differenceOf(value.data as Data, at(values, i)));
    });
  }
  const named = <T>(each: readonly T[]): Map<string, T> =>
    new Map(Object.keys(outputs).map((name, i) => [name, at(each, i)]));
  return { values: named(values), slack: named(slack) };
}

/** Compares what a device gave with what is expected, name by name. */
export function judge({ values, slack }: Expected, got: ReadonlyMap<string, Data>, tally: Tally): void {
  for (const [name, data] of got) {
    const value = values.get(name);
    if (value === undefined) continue;
    const free = need(slack.get(name), 'a slack');
    if (!(free <= UNCERTAIN)) {
      tally.uncertain += 1;
      continue;
    }
    tally.judged += 1;
    const error = differenceOf(data, value);
    const limit = KERNEL_LIMIT + AMPLIFIED * free;
    if (error <= limit) continue;
    const i = value.data.findIndex((x: number, k: number) => !(Math.abs(x - at(data, k)) <= 0.5 * error * Math.abs(x)));
    assert.unreachable(
      `${name} [${value.shape.join(',')}] is off by ${error} of its magnitude (limit ${limit}): element ${i} is ${data[i]}, not ${value.data[i]}`,
    );
  }
}

/** `errorOf`, where a NaN that should be one is no error. */
function differenceOf(got: Data, expected: Value): number {
  const nan = expected.data.map((x: number, i: number) => (Number.isNaN(x) && Number.isNaN(got[i]) ? 1 : 0));
  if (!nan.includes(1)) return errorOf(got, expected);
  const cleared = <T extends Data | Float64Array>(data: T): T => data.map((x, i) => (nan[i] === 1 ? 0 : x)) as T;
  return errorOf(cleared(got), { shape: expected.shape, data: cleared(expected.data) });
}

/** Small random changes of what was computed, other ones for every k. */
function disturber(k: number): NonNullable<InterpretOptions['disturb']> {
  let stream = 1000 * k;
  return (output, value, inputs) => {
    const { name } = output.node.op;
    if (exact.has(name) || dtypeOf(value) === 'u32') return value;
    stream += 1;
    const noise = uniformArray(value.data.length, { seed: k, stream, low: -CHANGE, high: CHANGE });
    // A sum rounds as its terms do; a function of single elements as its result.
    const sums = inputs.some((input) => input.data.length > value.data.length) || summing.has(name);
    const terms = sums ? magnitudeOf(name, inputs) : 0;
    let i = 0;
    return filled(value.shape, () => {
      const x = at(value.data, i);
      return x + at(noise, i++) * Math.max(Math.abs(x), terms);
    });
  };
}

const summing: ReadonlySet<string> = new Set([
  ...[
    'add',
    'sub',
    'affine',
    'sum',
    'einsum',
    'cumulativeSum',
    'cumulativeProductBackward',
    'segmentSum',
    'sin',
    'cos',
  ],
  ...['layerNorm', 'layerNormBackward', 'softmaxBackward', 'crossEntropy', 'crossEntropyBackward', 'gruGatesBackward'],
  ...[
    'lstmGatesBackward',
    'gruGates',
    'lstmGates',
    'convolve',
    'convolveInput',
    'convolveWeight',
    'log',
    'sumOfSquares',
  ],
]);

/** The magnitude of the terms of a sum: of operands, of their products, or of the gradient that arrives. */
function magnitudeOf(name: string, inputs: readonly Value[]): number {
  const all = inputs.filter((input) => dtypeOf(input) === 'f32').map(({ data }) => finite(data));
  if (name === 'crossEntropyBackward') return at(all, all.length - 1);
  const product = name === 'einsum' || name.startsWith('convolve') || name.endsWith('Backward');
  return product ? all.reduce((a, b) => a * Math.max(1e-3, b), 1) : Math.max(0, ...all);
}

function finite(data: ArrayLike<number>): number {
  const most = largest(data);
  return Number.isFinite(most) ? most : 0;
}
