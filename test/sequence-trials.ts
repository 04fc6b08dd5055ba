// What the tests of sequence models share: values and gradients against a model's equations in float64 loops, with central
// differences; sequences that are cut; states and sequences that do not fit; calls a time step; extreme inputs; learning. It tests
// nothing itself.
import * as assert from 'uvu/assert';
import type { SequenceModel, SequenceResult } from '../bench/baselines/index.ts';
import { at, need } from '../engine/errors.ts';
import {
  adam,
  add,
  compile,
  constant,
  crossEntropy,
  type Data,
  evaluate,
  grad,
  input,
  linear,
  meanSquare,
  mul,
  reshape,
  type Shape,
  ShapeError,
  slice,
  sum,
  type Tensor,
  type Variable,
} from '../engine/node.ts';
import { isLoop } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import { normalArray, uniformArray } from '../engine/random.ts';
import { sizeOf } from '../engine/tensor.ts';
import { close, theDevice } from './on-adapter.ts';

/** Random numbers that are made at once. */
const LOT = 4096;

/** Numbers by name, row-major. */
export type Numbers = Readonly<Record<string, Float64Array>>;

/** What a model's equations give, in float64: h of every step, the last state, the trace. */
export interface Meant {
  readonly hidden: Float64Array;
  readonly state: Numbers;
  readonly trace: Numbers;
}

/** A model's equations: from its weights, x [T,B,D] and a state. */
export type Equations = (weights: Numbers, x: Float64Array, state: Numbers, sizes: { T: number; B: number }) => Meant;

/** A matrix product, plus what there is: y [rows,to] = x [rows,from] · w [from,to] + plus [to]. */
export function product(x: Float64Array, w: Float64Array, from: number, plus?: Float64Array): Float64Array {
  const [rows, to] = [x.length / from, w.length / from];
  const y = new Float64Array(rows * to);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < to; c++) {
      let total = plus === undefined ? 0 : at(plus, c);
      for (let i = 0; i < from; i++) total += at(x, r * from + i) * at(w, i * to + c);
      y[r * to + c] = total;
    }
  }
  return y;
}

/** 1 / (1 + e^-x) */
export const logistic = (x: number): number => 1 / (1 + Math.exp(-x));

/** Rows one after another. */
export const stacked = (rows: readonly Float64Array[]): Float64Array =>
  Float64Array.from(rows.flatMap((row) => [...row]));

/** A tensor of normal numbers, another lot for each stream. */
function drawn(shape: Shape, stream: number, std = 1): Tensor {
  return constant(normalArray(sizeOf(shape), { seed: 17, stream, std }), shape);
}

/** Every tensor of a result, by name. */
function tensorsOf({ hidden, state, trace }: SequenceResult): Readonly<Record<string, Tensor>> {
  const prefixed = (prefix: string, record: Readonly<Record<string, Tensor>>): [string, Tensor][] =>
    Object.entries(record).map(([name, tensor]) => [`${prefix}.${name}`, tensor]);
  return { hidden, ...Object.fromEntries([...prefixed('state', state), ...prefixed('trace', trace)]) };
}

/** A loss in which every element of `hidden` and of the last state counts differently, and its numbers. */
function lossOf({ hidden, state }: SequenceResult, stream: number): Tensor {
  const terms = [hidden, ...Object.values(state)].map((t, i) => sum(mul(t, drawn(t.shape, stream + i))));
  return terms.reduce(add);
}

/** The same of what is meant. */
function lossMeant({ hidden, state }: Meant, stream: number): number {
  let total = 0;
  [hidden, ...Object.values(state)].forEach((values, i) => {
    const weights = normalArray(values.length, { seed: 17, stream: stream + i });
    values.forEach((value, k) => {
      total += value * at(weights, k);
    });
  });
  return total;
}

/** A model, and what is known of it. */
export interface Trial {
  readonly model: SequenceModel;
  readonly inputSize: number;
  readonly T: number;
  readonly B: number;
}

/**
 * Values, trace and gradients are those of the equations, from a state that is given and from the model's own beginning.
 * @param own the model's own beginning, from its weights
 */
export async function agrees(
  { model, inputSize, T, B }: Trial,
  equations: Equations,
  own: (weights: Numbers) => Numbers,
): Promise<void> {
  const x = drawn([T, B, inputSize], 100);
  const given = Object.fromEntries(
    Object.entries(model(x).state).map(([name, { shape }], i) => [name, drawn(shape, 200 + i, 0.7)]),
  );
  const weights: Record<string, Float64Array> = {};
  for (const each of model.variables) weights[each.name] = Float64Array.from(await each.read());
  const numbers = async (tensors: Readonly<Record<string, Tensor>>): Promise<Record<string, Float64Array>> =>
    Object.fromEntries(
      Object.entries<Data>(await evaluate(theDevice(), tensors)).map(([name, data]) => [name, Float64Array.from(data)]),
    );
  const fed = await numbers({ x, ...given });
  const { x: xs = new Float64Array(), ...states } = fed;
  for (const start of [given, undefined]) {
    const result = model(x, start);
    const meant = (): Meant => equations(weights, xs, start === undefined ? own(weights) : states, { T, B });
    const found = await numbers(tensorsOf(result));
    const expected = meant();
    const flat = {
      hidden: expected.hidden,
      ...Object.fromEntries(Object.entries(expected.state).map(([name, values]) => [`state.${name}`, values])),
      ...Object.fromEntries(Object.entries(expected.trace).map(([name, values]) => [`trace.${name}`, values])),
    };
    assert.equal(Object.keys(found).sort(), Object.keys(flat).sort());
    for (const [name, values] of Object.entries(flat))
      near(need(found[name], name), values, `${model.system}: ${name}`);

    const loss = lossOf(result, 300);
    const leaves: readonly (readonly [string, Tensor, Float64Array])[] = [
      ...model.variables.map((each) => [each.name, each, need(weights[each.name], each.name)] as const),
      ['x', x, xs],
      ...Object.entries(start ?? {}).map(([name, tensor]) => [name, tensor, need(states[name], name)] as const),
    ];
    const gradients = grad(
      loss,
      leaves.map(([, tensor]) => tensor),
    );
    const slopes = await numbers(Object.fromEntries(leaves.map(([name, tensor]) => [name, gradients.of(tensor)])));
    for (const [name, , values] of leaves) {
      const central = values.map((value, i) => {
        const step = 1e-5;
        values[i] = value + step;
        const above = lossMeant(meant(), 300);
        values[i] = value - step;
        const below = lossMeant(meant(), 300);
        values[i] = value;
        return (above - below) / (2 * step);
      });
      near(need(slopes[name], name), central, `${model.system}: the gradient of ${name}`);
    }
  }
}

/** Equal to f32, each element by the largest of all: sums cancel. */
function near(actual: Float64Array, expected: Float64Array, what: string): void {
  assert.is(actual.length, expected.length, `${what}: another size`);
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-2);
  actual.forEach((value, i) => {
    const wanted = at(expected, i);
    assert.ok(Math.abs(value - wanted) <= 1e-5 * largest, `${what}: element ${i} is ${value}, meant ${wanted}`);
  });
}

/** Cut anywhere, each part going on from the state of the one before, a sequence gives what it gives as a whole. */
export async function isWholeWhereCut({ model, inputSize, T, B }: Trial): Promise<void> {
  const x = drawn([T, B, inputSize], 400);
  const whole = model(x);
  const wanted = tensorsOf(whole);
  const weights = grad(lossOf(whole, 500), model.variables);
  const values = await evaluate(theDevice(), { ...wanted, ...gradientsOf(model.variables, weights) });
  for (let cut = 1; cut < T; cut++) {
    const head = model(slice(x, 0, 0, cut));
    const tail = model(slice(x, 0, cut, T - cut), head.state);
    const [first, second] = [tensorsOf(head), tensorsOf(tail)];
    const parts = Object.keys(wanted).filter((name) => !name.startsWith('state.'));
    const loss = add(
      sum(mul(head.hidden, slice(drawn(whole.hidden.shape, 500), 0, 0, cut))),
      lossOfRest(tail, whole.hidden.shape, cut),
    );
    const found: Readonly<Record<string, Data>> = await evaluate(theDevice(), {
      ...Object.fromEntries(parts.map((name) => [`head ${name}`, need(first[name], name)])),
      ...Object.fromEntries(Object.entries(second).map(([name, tensor]) => [`tail ${name}`, tensor])),
      ...gradientsOf(model.variables, grad(loss, model.variables)),
    });
    for (const [name, expected] of Object.entries<Data>(values)) {
      const tailed = found[`tail ${name}`];
      const both = tailed === undefined ? found[name] : Float32Array.of(...(found[`head ${name}`] ?? []), ...tailed);
      close(need(both, name), expected, 1e-5);
    }
  }
}

function gradientsOf(variables: readonly Variable[], gradients: ReturnType<typeof grad>): Record<string, Tensor> {
  return Object.fromEntries(variables.map((each) => [`d ${each.name}`, gradients.of(each)]));
}

/** The loss of what follows a cut, with the numbers of the whole. */
function lossOfRest({ hidden, state }: SequenceResult, whole: Shape, cut: number): Tensor {
  const own = sum(mul(hidden, slice(drawn(whole, 500), 0, cut, at(whole, 0) - cut)));
  return Object.values(state)
    .map((t, i) => sum(mul(t, drawn(t.shape, 501 + i))))
    .reduce(add, own);
}

/** States with other names or shapes are refused, and sequences of other sizes, by what is wrong. */
export function refusesMisfits({ model, inputSize, T, B }: Trial): void {
  const x = drawn([T, B, inputSize], 600);
  const { state } = model(x);
  const names = Object.keys(state);
  const refused = (act: () => unknown, pattern: RegExp): void => {
    assert.throws(act, (error: unknown) => error instanceof ShapeError && pattern.test(error.message), `${pattern}`);
  };
  for (const name of names) {
    const { [name]: _, ...rest } = state;
    refused(() => model(x, rest), new RegExp(`^${model.system}: its state is \\{ .*'${name}' missing`));
    const longer = drawn([B + 1, ...need(state[name], name).shape.slice(1)], 601);
    refused(() => model(x, { ...state, [name]: longer }), new RegExp(`^${model.system}: the state '${name}' must be`));
  }
  refused(() => model(x, {}), new RegExp(`'${names.join("', '")}' missing`));
  refused(() => model(x, { ...state, other: x }), /'other' unknown/);
  const sizes = new RegExp(`^${model.system}: x must be \\[T,B,${inputSize}\\]`);
  refused(() => model(drawn([T, B, inputSize + 1], 602)), sizes);
  refused(() => model(drawn([T, inputSize], 602)), sizes);
  refused(() => model(constant(new Uint32Array(T * B * inputSize), [T, B, inputSize])), sizes);
}

/** Kernel calls a time step, in the loops of a training step. */
export interface Calls {
  readonly forward: number;
  readonly backward: number;
}

/** The calls of a model's training step, planned without a device; outside of loops there are few, however long they run. */
export function callsOf(make: () => SequenceModel, inputSize: number, T: number, B = 4): Calls {
  const model = make();
  const { hidden } = model(input('x', [T, B, inputSize]));
  const loss = meanSquare(hidden, input('y', hidden.shape));
  const gradients = gradientsOf(model.variables, grad(loss, model.variables));
  const { items } = planProgram({ loss, ...gradients }, [], { training: true, subgroupSize: 0 });
  const calls = { forward: 0, backward: 0 };
  for (const item of items) {
    if (isLoop(item)) calls[item.reverse ? 'backward' : 'forward'] += (item.steps * item.body.length) / T;
  }
  const outside = items.filter((item) => !isLoop(item)).length;
  assert.ok(outside < 80, `${model.system}: ${outside} calls outside of loops`);
  return calls;
}

/** Outputs, states and gradients are finite for inputs as large as these. */
export async function staysFinite({ model, inputSize, T, B }: Trial, magnitudes: readonly number[]): Promise<void> {
  for (const magnitude of [0, ...magnitudes, ...magnitudes.map((m) => -m)]) {
    const x = constant(new Float32Array(T * B * inputSize).fill(magnitude), [T, B, inputSize]);
    const result = model(x);
    const loss = lossOf(result, 700);
    const values = await evaluate(theDevice(), {
      ...tensorsOf(result),
      ...gradientsOf(model.variables, grad(loss, model.variables)),
    });
    for (const [name, data] of Object.entries<Data>(values))
      assert.ok(data.every(Number.isFinite), `${model.system}: ${name} of inputs ${magnitude} is not finite`);
  }
}

/** What a model learns: sequences x [T,B,D], and what is wanted after the last step. */
export interface Lesson {
  readonly T: number;
  readonly B: number;
  readonly inputSize: number;
  /** Numbers y [B,1], or one class of O for each of Q questions, y [B,Q]. */
  readonly wanted: 'a number' | { readonly questions: number; readonly classes: number };
  batch(index: number): { readonly x: Float32Array; readonly y: Data };
  readonly steps: number;
  readonly learningRate: number;
  readonly seed: number;
}

/** Trains with Adam on batches that never come twice; gives the mean loss of the last 20 of them. */
export async function learn(model: SequenceModel, lesson: Lesson): Promise<number> {
  const { T, B, inputSize, wanted, steps, learningRate, seed } = lesson;
  const [questions, classes] = wanted === 'a number' ? [1, 1] : [wanted.questions, wanted.classes];
  const x = input('x', [T, B, inputSize]);
  const y = input('y', [B, questions], wanted === 'a number' ? 'f32' : 'u32');
  const readout = linear({ from: model.outputSize, to: questions * classes }, { seed });
  const last = reshape(slice(model(x).hidden, 0, T - 1, 1), [B, model.outputSize]);
  const scores = readout(last);
  const loss =
    wanted === 'a number' ? meanSquare(scores, y) : crossEntropy(reshape(scores, [B, questions, classes]), y);
  const weights = [...model.variables, ...readout.variables];
  const updates = adam(grad(loss, weights), { learningRate, clipNorm: 1 });
  const program = await compile(theDevice(), { loss }, updates);
  let total = 0;
  for (let step = 0; step < steps; step++) {
    await program.run(lesson.batch(step));
    if (step >= steps - 20) total += at(await program.read('loss'), 0) / 20;
  }
  program.dispose();
  for (const each of [...weights, ...updates.variables]) each.dispose();
  return total;
}

/** The adding task: a number and a mark a step; two are marked, one in each half; wanted is their sum. */
export function adding(
  T: number,
  B: number,
  seed: number,
): Pick<Lesson, 'T' | 'B' | 'inputSize' | 'wanted' | 'batch' | 'seed'> {
  const batch = (index: number): { x: Float32Array; y: Float32Array } => {
    const draw = uniform(seed, index);
    const [x, y] = [new Float32Array(T * B * 2), new Float32Array(B)];
    for (let b = 0; b < B; b++) {
      const half = Math.floor(T / 2);
      const marks = [Math.floor(draw() * half), half + Math.floor(draw() * (T - half))];
      for (let t = 0; t < T; t++) {
        const [value, mark] = [draw(), marks.includes(t) ? 1 : 0];
        x.set([value, mark], (t * B + b) * 2);
        y[b] = at(y, b) + mark * value;
      }
    }
    return { x, y };
  };
  return { T, B, inputSize: 2, wanted: 'a number', batch, seed };
}

/** Numbers of U(0, 1), as many as are asked for; another lot for each seed and index. */
export function uniform(seed: number, index: number): () => number {
  let values: Float32Array = new Float32Array();
  let [next, start] = [0, 0];
  return () => {
    if (next === values.length) {
      values = uniformArray(LOT, { seed, stream: 1000 + index, start });
      [next, start] = [0, start + LOT];
    }
    return Math.min(at(values, next++), 1 - 2 ** -24);
  };
}
