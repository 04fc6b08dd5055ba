// A model's graph against its equations in plain loops (plain-loops.ts), values and, by central differences, gradients, over drawn
// cases; and kernels against the graph. What else the tests of sequence models share is in sequence-trials.ts. It tests nothing itself.

import fc from 'fast-check';
import * as assert from 'uvu/assert';
import type { ModelState, SequenceModel, SequenceResult } from '../bench/baselines/index.ts';
import { Draw } from '../check/draw.ts';
import { interpret, type Meanings } from '../check/index.ts';
import { largest } from '../check/value.ts';
import { at, need } from '../engine/errors.ts';
import type { Shape, Tensor } from '../engine/node.ts';
import * as ops from '../engine/node.ts';
import { normalArray } from '../engine/random.ts';
import { runs, seed } from './drawing.ts';
import { expectedOf, judge, Tally } from './graph-judge.ts';
import { outputsOf } from './graph-run.ts';
import { theDevice } from './on-adapter.ts';
import { type Matrix, type Nest, type Oracle, type Row, softmax, type Weights } from './plain-loops.ts';

/** A model that is called once, with what its oracle needs to do the same. */
export interface Trial {
  readonly model: SequenceModel;
  /** An input [T,B,D] of the draw. */
  readonly x: Tensor;
  /** Inputs that it goes on from. */
  readonly state?: ModelState | undefined;
  readonly oracle: Oracle;
  /** What ops that are the model's own mean. */
  readonly meanings?: Meanings;
}

/** T, B, and whether a state is given: what the cases of all models have. */
export const drawnCalls: {
  readonly steps: fc.Arbitrary<number>;
  readonly batch: fc.Arbitrary<number>;
  readonly given: fc.Arbitrary<boolean>;
} = {
  steps: fc.integer({ min: 1, max: 5 }),
  batch: fc.integer({ min: 1, max: 3 }),
  given: fc.boolean(),
};

/** Makes a trial of a drawn case; all its numbers come from the draw. */
type TrialOf<C> = (drawn: C, draw: Draw) => Trial;

/** A state of normal numbers, of the shapes that a call with [T,B,D] leaves. */
export function drawnState(model: SequenceModel, shape: Shape, draw: Draw, std = 0.7): ModelState {
  const { state } = model(ops.fill(0, shape));
  return Object.fromEntries(Object.entries(state).map(([name, each]) => [name, draw.normal(each.shape, { std })]));
}

/** Weightings of a tensor's shape: along the last axis numbers above 0 that sum to 1. */
export function weightingsLike({ shape, size }: Tensor, draw: Draw): Tensor {
  const scores = [...normalArray(size, { seed: draw.seed, stream: 900 + Object.keys(draw.feeds).length })];
  return draw.given(shape, rowsOf(scores, at(shape, shape.length - 1)).flatMap(softmax));
}

async function overCases<C>(
  cases: fc.Arbitrary<C>,
  count: number,
  trialOf: TrialOf<C>,
  act: (trial: Trial, draw: Draw) => Promise<void>,
): Promise<void> {
  const property = fc.asyncProperty(cases, fc.nat(1_000_000), async (drawn, numbers) => {
    const draw = new Draw(numbers);
    const trial = trialOf(drawn, draw);
    await act(trial, draw);
    for (const each of trial.model.variables) each.dispose();
  });
  await fc.assert(property, { seed, numRuns: runs(count), endOnFailure: true, includeErrorInReport: true });
}

/**
 * The model's graph, evaluated in float64, against the oracle: what it puts out, its last state and its trace to 1e-9, its gradients
 * with respect to every weight, x and state to 1e-6 of the largest, by central differences.
 */
export async function agrees<C>(cases: fc.Arbitrary<C>, count: number, trialOf: TrialOf<C>): Promise<void> {
  await overCases(cases, count, trialOf, async (trial, draw) => {
    const { wanted, leaves, gradients, coefficients } = graphOf(trial, draw);
    const { meanings = {} } = trial;
    const tensors = { ...leaves, ...wanted, ...gradients };
    const evaluated = await interpret(Object.values(tensors), { feeds: draw.feeds, meanings });
    const found = new Map(Object.keys(tensors).map((name, i) => [name, at(evaluated, i)]));
    const point = new Point(
      Object.keys(leaves).map((name) => [name, need(found.get(name), name)] as const),
      trial,
    );
    const told = point.told();
    assert.equal(Object.keys(told).sort(), Object.keys(wanted).sort(), 'what it tells of');
    for (const [name, expected] of Object.entries(told)) {
      const { data, shape } = need(found.get(name), name);
      assert.equal(shape, need(wanted[name], name).shape);
      near(name, data, expected, 1e-9 * Math.max(1, largest(expected)));
    }
    const lossAt = (moved: Point): number => {
      const values = moved.told();
      return Object.entries(coefficients).reduce(
        (sum, [name, weights]) => sum + weights.reduce((part, k, i) => part + k * at(need(values[name], name), i), 0),
        0,
      );
    };
    for (const name of Object.keys(leaves)) {
      const { data } = need(found.get(`d ${name}`), name);
      const places = probed(data.length, draw.seed);
      const numeric = slopes(lossAt, point, name, places);
      near(
        `d ${name}`,
        places.map((i) => at(data, i)),
        numeric,
        1e-6 * Math.max(1e-3, largest(data)),
      );
    }
  });
}

/** Kernels against the float64 meaning of the graph, within what rounding explains: all of the above, with gradients and without. */
export async function computes<C>(cases: fc.Arbitrary<C>, count: number, trialOf: TrialOf<C>): Promise<void> {
  const tally = new Tally();
  await overCases(cases, count, trialOf, async (trial, draw) => {
    const { wanted, gradients } = graphOf(trial, draw);
    const { meanings = {} } = trial;
    for (const outputs of [wanted, { ...wanted, ...gradients }]) {
      const expected = await expectedOf(outputs, { feeds: draw.feeds, meanings });
      const program = await ops.compile(theDevice(), outputs);
      judge(expected, await outputsOf(program, draw.feeds), tally);
      program.dispose();
    }
  });
  tally.settle();
}

/** The model called once, a loss in which all that it puts out and keeps counts, and its gradients, `d` and the names of the leaves. */
function graphOf(
  { model, x, state }: Trial,
  draw: Draw,
): {
  readonly wanted: Readonly<Record<string, Tensor>>;
  readonly leaves: Readonly<Record<string, Tensor>>;
  readonly gradients: Readonly<Record<string, Tensor>>;
  readonly coefficients: Readonly<Record<string, Float32Array>>;
} {
  const result = model(x, state);
  const wanted = tensorsOf(result);
  assert.is(result.hidden.shape[2], model.outputSize);
  const { loss, coefficients } = lossOf(result, draw.seed);
  const weights = model.variables.map((each) => [each.name.slice(model.system.length + 1), each] as const);
  const states = Object.entries(state ?? {}).map(([name, each]) => [`state.${name}`, each] as const);
  const leaves = Object.fromEntries<Tensor>(
    [...weights, ['x', x] as const, ...states].map(([name, t]) => [`of ${name}`, t]),
  );
  const found = ops.grad(loss, Object.values(leaves));
  const gradients = Object.fromEntries(Object.entries(leaves).map(([name, leaf]) => [`d ${name}`, found.of(leaf)]));
  return { wanted, leaves, gradients, coefficients };
}

/** Every tensor of a result, by name: `hidden`, the trace's, and `state.` before those of the state. */
export function tensorsOf({ hidden, state, trace }: SequenceResult): Readonly<Record<string, Tensor>> {
  return { hidden, ...trace, ...statesOf(state) };
}

export function statesOf(state: ModelState): Readonly<Record<string, Tensor>> {
  return Object.fromEntries(Object.entries(state).map(([name, each]) => [`state.${name}`, each]));
}

/** A loss in which every element of `hidden` and of the last state counts differently, and what each counts. */
export function lossOf(
  { hidden, state }: Pick<SequenceResult, 'hidden' | 'state'>,
  from: number,
): { readonly loss: Tensor; readonly coefficients: Readonly<Record<string, Float32Array>> } {
  const counted = Object.entries({ hidden, ...statesOf(state) });
  const factors = counted.map(([, { size }], i) => normalArray(size, { seed: from, stream: 1000 + i }));
  const terms = counted.map(([, each], i) => ops.sum(ops.mul(each, ops.constant(at(factors, i), each.shape))));
  const coefficients = Object.fromEntries(counted.map(([name], i) => [name, at(factors, i)]));
  return { loss: terms.reduce(ops.add), coefficients };
}

/** What the equations are evaluated at: the elements of all leaves. */
class Point implements Weights {
  readonly leaves: ReadonlyMap<string, { readonly shape: Shape; readonly rows: Matrix }>;
  readonly #trial: Trial;

  constructor(leaves: readonly (readonly [string, { shape: Shape; data: ArrayLike<number> }])[], trial: Trial) {
    this.leaves = new Map(
      leaves.map(([name, { shape, data }]) => [name, { shape, rows: rowsOf(Array.from(data), shape.at(-1) ?? 1) }]),
    );
    this.#trial = trial;
  }

  matrix(name: string): Matrix {
    return this.#leaf(name).rows;
  }

  row(name: string): Row {
    return at(this.matrix(name), 0);
  }

  /** This point with one element of one leaf moved. */
  moved(name: string, element: number, by: number): Point {
    const point = new Point([], this.#trial);
    const { shape, rows } = need(this.leaves.get(name), name);
    const columns = at(rows, 0).length;
    const [r, c] = [Math.floor(element / columns), element % columns];
    const others = rows.with(r, at(rows, r).with(c, at(at(rows, r), c) + by));
    return Object.assign(point, { leaves: new Map(this.leaves).set(name, { shape, rows: others }) });
  }

  /** What the oracle tells of all rows of the batch, by the names of the model, [B, ...] and [T,B, ...]. */
  told(): Record<string, number[]> {
    const { x, state, oracle } = this.#trial;
    const [T, B] = [at(x.shape, 0), at(x.shape, 1)];
    const sequences = Array.from({ length: B }, (_, b) => {
      const xs = Array.from({ length: T }, (_, t) => at(this.matrix('x'), t * B + b));
      const start = Object.keys(state ?? {}).map((name): [string, Nest] => [name, this.#startOf(name, b)]);
      return oracle(this, xs, state && Object.fromEntries(start));
    });
    const first = at(sequences, 0);
    const states = Object.keys(first.state).map(
      (name) => [`state.${name}`, sequences.flatMap((each) => flat(each.state[name]))] as const,
    );
    const traces = Object.keys(at(first.steps, 0)).map((name) => {
      const steps = Array.from({ length: T }, (_, t) => sequences.flatMap((each) => flat(at(each.steps, t)[name])));
      return [name, steps.flat()] as const;
    });
    return Object.fromEntries([...states, ...traces]);
  }

  #startOf(name: string, b: number): Nest {
    const { shape, rows } = this.#leaf(`state.${name}`);
    const count = rows.length / at(shape, 0);
    return nested(rows.slice(b * count, (b + 1) * count), shape.slice(1, -1));
  }

  #leaf(name: string): { readonly shape: Shape; readonly rows: Matrix } {
    return need(this.leaves.get(`of ${name}`), name);
  }
}

function rowsOf(values: Row, columns: number): Matrix {
  return Array.from({ length: values.length / columns }, (_, i) => values.slice(i * columns, (i + 1) * columns));
}

function nested(rows: Matrix, shape: Shape): Nest {
  const [size, ...rest] = shape;
  if (size === undefined) return at(rows, 0);
  const each = rows.length / size;
  return Array.from({ length: size }, (_, i) => nested(rows.slice(i * each, (i + 1) * each), rest));
}

function flat(nest: Nest | undefined): number[] {
  const all = need(nest, 'what the oracle tells');
  return typeof all === 'number' ? [all] : all.flatMap(flat);
}

/** Most elements of a tensor that are differenced. */
const PROBES = 24;

/** Elements spread over a tensor, others in other cases. */
function probed(size: number, from: number): number[] {
  const apart = Math.ceil(size / PROBES);
  return Array.from({ length: size }, (_, i) => i).filter((i) => i % apart === from % apart);
}

/**
 * Central differences, of two steps each so that their errors of the third order cancel. One that straddles a kink (its two sides
 * disagree) says nothing and is NaN; few do.
 */
function slopes(lossAt: (point: Point) => number, point: Point, name: string, places: readonly number[]): number[] {
  const middle = lossAt(point);
  const numeric = places.map((i) => {
    const by = (step: number): number => {
      const [above, below] = [lossAt(point.moved(name, i, step)), lossAt(point.moved(name, i, -step))];
      const slope = (above - below) / (2 * step);
      const bend = Math.abs(above - 2 * middle + below) / step;
      return bend > 1e-2 * Math.max(0.1, Math.abs(slope)) ? Number.NaN : slope;
    };
    return (4 * by(5e-6) - by(1e-5)) / 3;
  });
  const kinks = numeric.filter(Number.isNaN).length;
  assert.ok(kinks <= 1 + places.length / 10, `${name}: ${kinks} of ${places.length} differences straddle a kink`);
  return numeric;
}

/** Within a tolerance; a NaN that is expected says nothing. */
function near(name: string, got: ArrayLike<number>, expected: Row, tolerance: number): void {
  assert.is(got.length, expected.length, name);
  expected.forEach((e, i) => {
    const a = at(got, i);
    assert.ok(Number.isNaN(e) || Math.abs(a - e) <= tolerance, `${name}: element ${i} is ${a}, the oracle says ${e}`);
  });
}
