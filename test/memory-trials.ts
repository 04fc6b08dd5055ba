// What the tests of models with a memory share: a model against its oracle (memory-oracles.ts), values and gradients, the latter by
// central differences of the oracle; the calls that a step takes; whether a training on copying was a success. It tests nothing itself.

import * as assert from 'uvu/assert';
import type { ModelState, SequenceModel } from '../bench/baselines/index.ts';
import { copying, copyingClasses, copyingLength, copyingTokens } from '../bench/tasks/index.ts';
import { type Draw, interpret } from '../check/index.ts';
import { largest } from '../check/value.ts';
import { at, need } from '../engine/errors.ts';
import type { Shape, Tensor } from '../engine/node.ts';
import * as ops from '../engine/node.ts';
import { isLoop } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import { normalArray } from '../engine/random.ts';
import { expectedOf, judge, type Tally } from './graph-judge.ts';
import { outputsOf } from './graph-run.ts';
import type { Nest, Told, Weights } from './memory-oracles.ts';
import { theDevice } from './on-adapter.ts';

/** A model that is called once, with what its oracle needs to do the same. */
export interface Trial {
  readonly model: SequenceModel;
  /** An input [T,B,D]. */
  readonly x: Tensor;
  /** Inputs that it goes on from. */
  readonly state?: ModelState;
  /** Its own beginning, for one row of the batch. */
  readonly beginning: Readonly<Record<string, Nest>>;
  readonly oracle: (weights: Weights, xs: readonly number[][], start: Readonly<Record<string, Nest>>) => Told;
}

/** Elements of every leaf, by name: weights by theirs without the system's, `x`, and states behind `state.`. */
type Leaves = Readonly<Record<string, ArrayLike<number>>>;

/**
 * The model's graph, evaluated in float64, against the oracle: what it puts out, its last state and its trace to 1e-9, its gradients
 * with respect to every weight, x and state to 1e-6 of the largest, by central differences.
 */
export async function agrees(trial: Trial, draw: Draw): Promise<void> {
  const { wanted, leaves, gradients, coefficients } = graphOf(trial, draw);
  const names = Object.keys(leaves);
  const found = await interpret([...Object.values(wanted), ...Object.values(gradients), ...Object.values(leaves)], {
    feeds: draw.feeds,
  });
  const rest = found.splice(Object.keys(wanted).length);
  const elements = Object.fromEntries(names.map((name, i) => [name, at(rest, names.length + i).data]));

  const told = tell(trial, elements);
  assert.equal(Object.keys(told).sort(), Object.keys(wanted).sort(), 'what it tells of');
  Object.keys(wanted).forEach((name, i) => {
    const expected = need(told[name], name);
    const { data, shape } = at(found, i);
    assert.equal(shape, need(wanted[name], name).shape);
    near(name, data, expected, 1e-9 * Math.max(1, largest(expected)));
  });

  const lossOf = (moved: Leaves): number => {
    const values = tell(trial, moved);
    return Object.entries(coefficients).reduce(
      (sum, [name, weights]) => sum + weights.reduce((part, k, i) => part + k * at(need(values[name], name), i), 0),
      0,
    );
  };
  names.forEach((name, i) => {
    const numeric = slopes(lossOf, elements, name);
    near(`d ${name}`, at(rest, i).data, numeric, 1e-6 * Math.max(1e-3, largest(numeric)));
  });
}

/** Kernels against the float64 meaning of the graph, within what rounding explains: all of the above, with gradients and without. */
export async function computes(trial: Trial, draw: Draw, tally: Tally): Promise<void> {
  const { wanted, gradients } = graphOf(trial, draw);
  const slopes = Object.fromEntries(Object.entries(gradients).map(([name, d]) => [`d ${name}`, d]));
  for (const outputs of [wanted, { ...wanted, ...slopes }]) {
    const expected = await expectedOf(outputs, { feeds: draw.feeds });
    const program = await ops.compile(theDevice(), outputs);
    judge(expected, await outputsOf(program, draw.feeds), tally);
    program.dispose();
  }
  for (const variable of trial.model.variables) variable.dispose();
}

/** The model called once, a loss in which all that it puts out and keeps counts, and its gradients by the names of the leaves. */
function graphOf(
  trial: Trial,
  draw: Draw,
): {
  readonly wanted: Readonly<Record<string, Tensor>>;
  readonly leaves: Readonly<Record<string, Tensor>>;
  readonly gradients: Readonly<Record<string, Tensor>>;
  readonly coefficients: Readonly<Record<string, Float32Array>>;
} {
  const { model, x, state } = trial;
  const { hidden, state: last, trace } = model(x, state);
  const states = Object.fromEntries(Object.entries(last).map(([name, each]) => [`state.${name}`, each]));
  assert.is(hidden.shape[2], model.outputSize);
  const coefficients = Object.fromEntries(
    Object.entries({ hidden, ...states }).map(([name, { size }], i) => [
      name,
      normalArray(size, { seed: draw.seed, stream: 1000 + i }),
    ]),
  );
  const wanted: Readonly<Record<string, Tensor>> = { hidden, ...states, ...trace };
  let loss = ops.fill(0, []);
  for (const [name, values] of Object.entries(coefficients)) {
    const tensor = need(wanted[name], name);
    loss = ops.add(loss, ops.sum(ops.mul(tensor, ops.constant(values, tensor.shape))));
  }
  const leaves = leavesOf(trial);
  const found = ops.grad(loss, Object.values(leaves));
  const gradients = Object.fromEntries(Object.entries(leaves).map(([name, leaf]) => [name, found.of(leaf)]));
  return { wanted, leaves, gradients, coefficients };
}

function leavesOf({ model, x, state = {} }: Trial): Record<string, Tensor> {
  const weights = model.variables.map((each) => [each.name.slice(each.name.indexOf('.') + 1), each] as const);
  const states = Object.entries(state).map(([name, each]) => [`state.${name}`, each] as const);
  return Object.fromEntries<Tensor>([...weights, ['x', x], ...states]);
}

/** What the oracle tells of all rows of the batch, by the names of the model, [B, ...] and [T,B, ...]. */
function tell({ x, state, beginning, oracle }: Trial, leaves: Leaves): Record<string, number[]> {
  const [T, B, D] = [at(x.shape, 0), at(x.shape, 1), at(x.shape, 2)];
  const rows = Array.from({ length: B }, (_, b) => {
    const xs = Array.from({ length: T }, (_, t) =>
      Array.from({ length: D }, (_, d) => at(need(leaves.x, 'x'), (t * B + b) * D + d)),
    );
    const given = Object.entries(state ?? {}).map(([name, { shape }]): [string, Nest] => {
      const elements = Array.from(need(leaves[`state.${name}`], name));
      const size = elements.length / B;
      return [name, nested(elements.slice(b * size, (b + 1) * size), shape.slice(1))];
    });
    return oracle(leaves, xs, state === undefined ? beginning : Object.fromEntries(given));
  });
  const first = at(rows, 0);
  const states = Object.keys(first.state).map(
    (name) => [`state.${name}`, rows.flatMap((row) => flat(row.state[name]))] as const,
  );
  const traces = Object.keys(at(first.steps, 0)).map((name) => {
    const steps = Array.from({ length: T }, (_, t) => rows.flatMap((row) => flat(at(row.steps, t)[name])));
    return [name, steps.flat()] as const;
  });
  return Object.fromEntries([...states, ...traces]);
}

function nested(elements: readonly number[], shape: Shape): Nest {
  const [size, ...rest] = shape;
  if (size === undefined) return at(elements, 0);
  if (rest.length === 0) return elements;
  const each = elements.length / size;
  return Array.from({ length: size }, (_, i) => nested(elements.slice(i * each, (i + 1) * each), rest));
}

function flat(nest: Nest | undefined): number[] {
  const all = need(nest, 'what the oracle tells');
  return typeof all === 'number' ? [all] : all.flatMap(flat);
}

/** Central differences with respect to every element of a leaf, of two steps, so that their errors of the third order cancel. */
function slopes(lossOf: (leaves: Leaves) => number, leaves: Leaves, name: string): number[] {
  const elements = Float64Array.from(need(leaves[name], name));
  return Array.from(elements, (value, i) => {
    const lossAt = (moved: number): number => lossOf({ ...leaves, [name]: elements.with(i, moved) });
    const by = (step: number): number => (lossAt(value + step) - lossAt(value - step)) / (2 * step);
    return (4 * by(5e-6) - by(1e-5)) / 3;
  });
}

function near(name: string, got: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  assert.is(got.length, expected.length, name);
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [at(got, i), at(expected, i)];
    assert.ok(Math.abs(a - e) <= tolerance, `${name}: element ${i} is ${a}, the oracle says ${e}`);
  }
}

/** Calls of kernels in a step of time, forward alone, then forward and backward of a training; each loop must be one. */
export function callsOf(
  make: () => SequenceModel,
  steps: number,
  batch: number,
  size: number,
): { readonly evaluation: number; readonly training: readonly number[] } {
  const model = make();
  const { hidden } = model(ops.input('x', [steps, batch, size]));
  const loss = ops.sum(ops.square(hidden));
  const options = { training: false, subgroupSize: 0 };
  const loops = (plan: ReturnType<typeof planProgram>): number[] =>
    plan.items.flatMap((item) => (isLoop(item) ? [item.body.length] : []));
  const forward = planProgram({ loss }, [], options);
  const updates = ops.adam(ops.grad(loss, model.variables), { learningRate: 1e-3 });
  const training = planProgram({ loss }, updates, { ...options, training: true });
  assert.is(loops(forward).length, 1);
  return { evaluation: at(loops(forward), 0), training: loops(training) };
}

/** What a training on copying showed: the share of digits that are right on sequences never seen. */
export async function learnCopying(
  model: SequenceModel,
  size: number,
  options: { digits: number; blank: number; batch: number; steps: number; learningRate: number; seed: number },
): Promise<{ readonly before: number; readonly after: number }> {
  const { digits, blank, batch, steps, learningRate, seed } = options;
  const T = copyingLength({ digits, blank });
  const [x, y] = [ops.input('x', [T, batch], 'u32'), ops.input('y', [T, batch], 'u32')];
  const embed = ops.embedding({ tokens: copyingTokens, size }, { seed, weight: ops.initialisers.normal(1) });
  const readout = ops.linear({ from: model.outputSize, to: copyingClasses }, { seed });
  const scores = readout(model(embed(x)).hidden);
  const last = (t: Tensor): Tensor => ops.slice(t, 0, T - digits, digits);
  const right = ops.takeAlong(ops.topKMask(last(scores), 1), ops.reshape(last(y), [digits, batch, 1]));
  const weights = [...embed.variables, ...model.variables, ...readout.variables];
  const updates = ops.adam(ops.grad(ops.crossEntropy(scores, y), weights), { learningRate, clipNorm: 1 });
  const train = await ops.compile(theDevice(), {}, updates);
  const measure = await ops.compile(theDevice(), { accuracy: ops.mean(right) });
  const accuracy = async (): Promise<number> => {
    let sum = 0;
    for (const each of copying({ digits, blank, batch, seed, split: 'test', steps: 8 })) {
      await measure.run(each);
      sum += at(await measure.read('accuracy'), 0) / 8;
    }
    return sum;
  };
  const before = await accuracy();
  for (const each of copying({ digits, blank, batch, seed, steps })) await train.run(each);
  const after = await accuracy();
  for (const each of [train, measure, ...weights, ...updates.variables]) each.dispose();
  return { before, after };
}
