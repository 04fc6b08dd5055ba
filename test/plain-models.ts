// What tests of models over sequences share: plain float64 loops to write a model down a second time from its paper, the comparison
// of a model's values and gradients with such a reference and its central differences, and a training on a small copying task. It
// tests nothing itself.

import * as assert from 'uvu/assert';
import type { SequenceModel } from '../bench/baselines/sequence-model.ts';
import { copying, copyingClasses, copyingLength, copyingTokens } from '../bench/tasks/index.ts';
import { at, need } from '../engine/errors.ts';
import * as ops from '../engine/node.ts';
import { normalArray } from '../engine/random.ts';
import { theDevice } from './on-adapter.ts';

/** Rows of numbers. */
export type Rows = readonly (readonly number[])[];

/** The weights of a reference by the names of the model's Variables. */
export class Weights {
  readonly values: ReadonlyMap<string, Float64Array>;
  readonly #columns: ReadonlyMap<string, number>;

  constructor(variables: readonly ops.Variable[], data: readonly ops.Data[]) {
    this.values = new Map(variables.map(({ name }, i) => [name, Float64Array.from(at(data, i))]));
    this.#columns = new Map(variables.map(({ name, shape }) => [name, shape.at(-1) ?? 1]));
  }

  /** All rows of the last axis, one after the other. */
  rows(name: string): Rows {
    const values = need(this.values.get(name), name);
    return rowsOf(values, need(this.#columns.get(name), name));
  }

  row(name: string): readonly number[] {
    return at(this.rows(name), 0);
  }
}

export function rowsOf(values: Float64Array, columns: number): Rows {
  return Array.from({ length: values.length / columns }, (_, i) => [
    ...values.subarray(i * columns, (i + 1) * columns),
  ]);
}

/** Element by element. */
export function plus(a: readonly number[], b: readonly number[]): number[] {
  return a.map((value, i) => value + at(b, i));
}

/** x·w + b */
export function map(x: readonly number[], w: Rows, b: readonly number[]): number[] {
  return b.map((bias, o) => x.reduce((sum, value, i) => sum + value * at(at(w, i), o), bias));
}

export function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + value * at(b, i), 0);
}

export function normalised(x: readonly number[], scale: readonly number[], shift: readonly number[]): number[] {
  const mean = x.reduce((a, b) => a + b, 0) / x.length;
  const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
  return x.map((value, i) => ((value - mean) / Math.sqrt(variance + 1e-5)) * at(scale, i) + at(shift, i));
}

/** What a model computes, a second time: hidden [T,B,outputSize] from x [T,B,D], row-major. */
export type Reference = (weights: Weights, x: Float64Array) => readonly number[];

/** Distance of the two points of a difference. */
const STEP = 1e-6;
/** Most elements of a tensor that are differenced, spread over it. */
const PROBES = 16;

/**
 * Values and gradients of a model, its weights drawn anew so that all of them count, against a reference and its central
 * differences. Where a difference straddles a kink (its two sides disagree) it says nothing and is left out; few do.
 */
export async function matchesReference(
  model: SequenceModel,
  shape: readonly [T: number, B: number, D: number],
  reference: Reference,
  seed: number,
): Promise<void> {
  model.variables.forEach((each, stream) => {
    each.write(normalArray(each.size, { seed, stream, std: 0.5 }));
  });
  const size = shape.reduce((a, b) => a * b, 1);
  const fed = normalArray(size, { seed, stream: 1000 });
  const x = ops.input('x', shape);
  const { hidden } = model(x);
  assert.equal(hidden.shape, [shape[0], shape[1], model.outputSize]);
  const factors = normalArray(hidden.size, { seed, stream: 1001 });
  const gradients = ops.grad(ops.sum(ops.mul(hidden, ops.constant(factors, hidden.shape))), [x, ...model.variables]);
  const named = { hidden, x: gradients.of(x) };
  const weightGradients = model.variables.map((each): [string, ops.Tensor] => [`d ${each.name}`, gradients.of(each)]);
  const wanted: Record<string, ops.Tensor> = { ...named, ...Object.fromEntries(weightGradients) };
  const found: Record<string, ops.Data> = await ops.evaluate(theDevice(), wanted, { x: fed });

  const weights = new Weights(model.variables, await Promise.all(model.variables.map((each) => each.read())));
  const point = Float64Array.from(fed);
  const expected = reference(weights, point);
  compare('hidden', need(found.hidden, 'hidden'), expected);
  const loss = (): number => reference(weights, point).reduce((sum, value, i) => sum + value * at(factors, i), 0);
  const middle = loss();
  const checkGradient = (name: string, gradient: ops.Data, values: Float64Array): void => {
    const apart = Math.ceil(values.length / PROBES);
    const probed = Array.from(values.keys()).filter((i) => i % apart === seed % apart);
    const numeric = probed.map((i) => {
      const value = at(values, i);
      const lossAt = (moved: number): number => {
        values[i] = moved;
        return loss();
      };
      const [above, below] = [lossAt(value + STEP), lossAt(value - STEP)];
      values[i] = value;
      const straddles = Math.abs(above - 2 * middle + below) / STEP > 1e-3;
      return straddles ? Number.NaN : (above - below) / (2 * STEP);
    });
    const kinks = numeric.filter(Number.isNaN).length;
    assert.ok(kinks <= 1 + numeric.length / 10, `${name}: ${kinks} of ${numeric.length} differences straddle a kink`);
    const scale = [...gradient].reduce((most, each) => Math.max(most, Math.abs(each)), 1);
    const found = probed.map((i) => at(gradient, i));
    compare(`the gradient of ${name}`, found, numeric, scale);
  };
  checkGradient('x', need(found.x, 'dx'), point);
  for (const { name } of model.variables) {
    checkGradient(name, need(found[`d ${name}`], name), need(weights.values.get(name), name));
  }
}

/** Equal to a few roundings of the largest value, or of `least`; a NaN that is expected says nothing. */
function compare(what: string, actual: ArrayLike<number>, expected: readonly number[], least = 1): void {
  assert.is(actual.length, expected.length, what);
  const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value) || 0), least);
  expected.forEach((value, i) => {
    if (Number.isNaN(value)) return;
    const error = Math.abs(at(actual, i) - value) / scale;
    assert.ok(error < 1e-4, `${what}: element ${i} is ${at(actual, i)}, expected ${value}`);
  });
}

/** A sequence cut in two at every step gives what the whole gives: hidden, last state and the gradients of all weights. */
export async function cutsAnywhere(
  model: SequenceModel,
  shape: readonly [T: number, B: number, D: number],
): Promise<void> {
  const [T, B, D] = shape;
  const x = ops.constant(normalArray(T * B * D, { seed: 5, stream: 0 }), shape);
  const factors = ops.constant(normalArray(T * B * model.outputSize, { seed: 5, stream: 1 }), [T, B, model.outputSize]);
  const lossOf = (hidden: ops.Tensor): ops.Gradients => ops.grad(ops.sum(ops.mul(hidden, factors)), model.variables);
  const whole = model(x);
  const all = lossOf(whole.hidden);
  const names = Object.keys(whole.state);
  const outputs: Record<string, ops.Tensor> = { hidden: whole.hidden };
  for (const name of names) outputs[`state ${name}`] = need(whole.state[name], name);
  for (const each of model.variables) outputs[`d ${each.name}`] = all.of(each);
  const expected: Record<string, ops.Data> = await ops.evaluate(theDevice(), outputs);
  for (let cut = 1; cut < T; cut++) {
    const first = model(ops.slice(x, 0, 0, cut));
    const second = model(ops.slice(x, 0, cut, T - cut), first.state);
    const hidden = ops.concat([first.hidden, second.hidden], 0);
    const both = lossOf(hidden);
    assert.equal(Object.keys(second.state), names);
    const again: Record<string, ops.Tensor> = { hidden };
    for (const name of names) again[`state ${name}`] = need(second.state[name], name);
    for (const each of model.variables) again[`d ${each.name}`] = both.of(each);
    const found: Record<string, ops.Data> = await ops.evaluate(theDevice(), again);
    for (const [name, values] of Object.entries(expected)) {
      compare(`cut after ${cut}, ${name}`, need(found[name], name), [...values]);
    }
  }
}

/** How a model is trained on copying. */
export interface CopyingProtocol {
  readonly digits: number;
  readonly blank: number;
  readonly batch: number;
  readonly steps: number;
  readonly learningRate: number;
  readonly seed: number;
}

/** Trains a model that reads `embedded` numbers a step; the share of recalled digits that are right after it, of test sequences. */
export async function accuracyAfterCopying(
  model: SequenceModel,
  embedded: number,
  { digits, blank, batch, steps, learningRate, seed }: CopyingProtocol,
): Promise<number> {
  const length = copyingLength({ digits, blank });
  const x = ops.input('x', [length, batch], 'u32');
  const y = ops.input('y', [length, batch], 'u32');
  const embed = ops.embedding({ tokens: copyingTokens, size: embedded }, { seed });
  const readout = ops.linear({ from: model.outputSize, to: copyingClasses }, { seed });
  const scores = readout(model(embed(x)).hidden);
  const asked = <X extends ops.Tensor>(t: X): ops.Tensor => ops.slice(t, 0, length - digits, digits);
  const right = ops.takeAlong(ops.topKMask(asked(scores), 1), ops.reshape(asked(y), [digits, batch, 1]));
  const weights = [...embed.variables, ...model.variables, ...readout.variables];
  const loss = ops.crossEntropy(asked(scores), asked(y));
  const updates = ops.adam(ops.grad(loss, weights), { learningRate, clipNorm: 1 });
  const step = await ops.compile(theDevice(), { loss }, updates);
  const measure = await ops.compile(theDevice(), { accuracy: ops.mean(right) });
  const task = { digits, blank, batch, seed };
  for (const each of copying({ ...task, steps })) await step.run(each);
  let accuracy = 0;
  for (const each of copying({ ...task, split: 'test', steps: 4 })) {
    await measure.run(each);
    accuracy += at(await measure.read('accuracy'), 0) / 4;
  }
  for (const each of [step, measure, ...weights, ...updates.variables]) each.dispose();
  return accuracy;
}
