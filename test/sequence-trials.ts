// What the tests of sequence models share beside their oracles (oracle-trials.ts): sequences that are cut, what does not fit, calls a
// time step, extremes, how weights begin. Learning is in lessons.ts. It tests nothing itself.

import * as assert from 'uvu/assert';
import type { SequenceModel } from '../bench/baselines/index.ts';
import { largest } from '../check/value.ts';
import { at, need } from '../engine/errors.ts';
import * as ops from '../engine/node.ts';
import { type Data, type Shape, ShapeError, type Tensor } from '../engine/node.ts';
import { isLoop } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import { normalArray } from '../engine/random.ts';
import { sizeOf } from '../engine/tensor.ts';
import { outputsOf } from './graph-run.ts';
import { close, theDevice } from './on-adapter.ts';
import { lossOf, statesOf, tensorsOf } from './oracle-trials.ts';

/** Gives a model's weights other normal numbers. */
export function rewrite(model: SequenceModel, std: number): void {
  model.variables.forEach((each, stream) => {
    each.write(normalArray(each.size, { seed: 5, stream, std }));
  });
}

/** Normal numbers [T,B,D], the same in every run. */
export function normalInput(shape: Shape): Tensor {
  return ops.constant(normalArray(sizeOf(shape), { seed: 17, stream: 100 }), shape);
}

/**
 * Cut anywhere, each part going on from the state of the one before, a sequence gives what it gives as a whole: values, gradients of
 * all weights, and the trace, but for one whose steps look back over a growing past.
 */
export async function isWholeWhereCut(model: SequenceModel, shape: readonly [number, number, number]): Promise<void> {
  const x = normalInput(shape);
  const [T] = shape;
  const whole = model(x);
  const { loss } = lossOf(whole, 17);
  const grown = (name: string): boolean => {
    const [piece, all] = [model(ops.slice(x, 0, 0, 1)).trace[name], need(whole.trace[name], name)];
    return piece?.shape.slice(1).join() !== all.shape.slice(1).join();
  };
  const { hidden, state, trace } = whole;
  const same = Object.entries(trace).filter(([name]) => !grown(name));
  const expected = { hidden, ...Object.fromEntries(same), ...statesOf(state), ...slopesOf(model, loss) };
  const values: Readonly<Record<string, Data>> = await ops.evaluate(theDevice(), expected);
  for (let cut = 1; cut < T; cut++) {
    const head = model(ops.slice(x, 0, 0, cut));
    const tail = model(ops.slice(x, 0, cut, T - cut), head.state);
    const joined = ops.concat([head.hidden, tail.hidden], 0);
    const traces = same.map(([name]) => {
      const both = [head, tail].map((each) => need(each.trace[name], name));
      return [name, ops.concat(both, 0)] as const;
    });
    const own = lossOf({ hidden: joined, state: tail.state }, 17).loss;
    const found: Readonly<Record<string, Data>> = await ops.evaluate(theDevice(), {
      ...{ hidden: joined, ...Object.fromEntries(traces) },
      ...{ ...statesOf(tail.state), ...slopesOf(model, own) },
    });
    assert.equal(Object.keys(found).sort(), Object.keys(values).sort());
    for (const [name, data] of Object.entries(values)) {
      const scale = Math.max(1, largest([...data]));
      const parts = [need(found[name], name), data].map((each) => Array.from(each, (value) => value / scale));
      close(at(parts, 0), at(parts, 1), 1e-5);
    }
  }
}

function slopesOf(model: SequenceModel, loss: Tensor): Record<string, Tensor> {
  const gradients = ops.grad(loss, model.variables);
  return Object.fromEntries(model.variables.map((each) => [`d ${each.name}`, gradients.of(each)]));
}

/** States with other names or shapes are refused, and sequences of other sizes, by what is wrong. */
export function refusesMisfits(model: SequenceModel, [T, B, D]: readonly [number, number, number]): void {
  const x = ops.fill(0, [T, B, D]);
  const { state } = model(x);
  const names = Object.keys(state);
  const refused = (act: () => unknown, pattern: RegExp): void => {
    assert.throws(act, (error: unknown) => error instanceof ShapeError && pattern.test(error.message), `${pattern}`);
  };
  for (const [name, { shape }] of Object.entries(state)) {
    const { [name]: _, ...rest } = state;
    refused(() => model(x, rest), new RegExp(`^${model.system}: its state is \\{ .*'${name}' missing`));
    const longer = ops.fill(0, [B + 1, ...shape.slice(1)]);
    refused(() => model(x, { ...state, [name]: longer }), new RegExp(`^${model.system}: the state '${name}' must be`));
  }
  refused(() => model(x, {}), new RegExp(`'${names.join("', '")}' missing`));
  refused(() => model(x, { ...state, other: x }), /'other' unknown/);
  const sizes = new RegExp(`^${model.system}: x must be \\[T,B,${D}\\]`);
  refused(() => model(ops.fill(0, [T, B, D + 1])), sizes);
  refused(() => model(ops.fill(0, [T, D])), sizes);
  refused(() => model(ops.constant(new Uint32Array(T * B * D), [T, B, D])), sizes);
}

/** Kernel calls a time step, in the loops of an evaluation, then forward and backward of a training step. */
export interface Calls {
  readonly evaluation: number;
  readonly forward: number;
  readonly backward: number;
}

/** The calls of a model's steps, planned without a device: as many at any length, and outside of loops a few. */
export function callsOf(make: () => SequenceModel, inputSize: number): Calls {
  const [T, longer] = [6, 390];
  const [{ outside: few, ...short }, { outside: most, ...long }] = [
    callsAt(make(), [T, 4, inputSize]),
    callsAt(make(), [longer, 4, inputSize]),
  ];
  assert.equal(short, long, `calls a step of ${T} and of ${longer} steps`);
  // Sums of more terms take more rounds; what is done once a step outside of loops would be hundreds of calls.
  assert.ok(most - few < (longer - T) / 4, `${few} and ${most} calls outside of loops`);
  return short;
}

function callsAt(model: SequenceModel, shape: readonly [number, number, number]): Calls & { readonly outside: number } {
  const { hidden } = model(ops.input('x', shape));
  const loss = ops.meanSquare(hidden, ops.input('y', hidden.shape));
  const options = { training: false, subgroupSize: 0 };
  const { items } = planProgram({ loss, ...slopesOf(model, loss) }, [], { ...options, training: true });
  const ofLoops = (each: typeof items, reverse: boolean): number =>
    each.reduce(
      (sum, item) =>
        isLoop(item) && item.reverse === reverse ? sum + (item.steps * item.body.length) / shape[0] : sum,
      0,
    );
  return {
    evaluation: ofLoops(planProgram({ loss }, [], options).items, false),
    forward: ofLoops(items, false),
    backward: ofLoops(items, true),
    outside: items.filter((item) => !isLoop(item)).length,
  };
}

/**
 * Outputs, states, traces and gradients are finite for weights and inputs of all these sizes, together and at 0.
 * @param sizes `values`: of weights at which gradients may be larger than f32 goes, and are not asked
 * @param look at what else is true of the values
 */
export async function staysFinite(
  model: SequenceModel,
  shape: readonly [number, number, number],
  sizes: {
    readonly weights: readonly number[];
    readonly inputs: readonly number[];
    readonly values?: readonly number[];
  },
  look: (values: ReadonlyMap<string, Data>, what: string) => void = () => {},
): Promise<void> {
  const result = model(ops.input('x', shape));
  const outputs = { ...tensorsOf(result), ...slopesOf(model, lossOf(result, 17).loss) };
  const program = await ops.compile(theDevice(), outputs);
  const { weights, inputs, values: more = [] } = sizes;
  for (const std of [0, ...weights, ...more]) {
    rewrite(model, std);
    for (const reach of [0, ...inputs]) {
      const x = normalArray(sizeOf(shape), { seed: 7, stream: 100, std: reach });
      const values = await outputsOf(program, { x });
      const what = `${model.system} with weights of ${std}, inputs of ${reach}`;
      for (const [name, data] of values) {
        const asked = !name.startsWith('d ') || !more.includes(std);
        assert.ok(!asked || data.every(Number.isFinite), `${what}: ${name} is not finite`);
      }
      look(values, what);
    }
  }
  program.dispose();
}

/**
 * One seed makes one model, another seed another; names begin with the system's; no two weights that are drawn begin alike.
 * @returns the first values of all weights, by their names without the system's
 */
export async function beginsFromItsSeed(make: (seed: number) => SequenceModel): Promise<ReadonlyMap<string, Data>> {
  const beginningOf = async (from: number): Promise<Map<string, Data>> => {
    const { variables, system } = make(from);
    const named = new RegExp(`^${system.toLowerCase()}\\.(.+)$`);
    const values = await Promise.all(variables.map((each) => each.read()));
    return new Map(variables.map(({ name }, i) => [need(named.exec(name)?.[1], name), at(values, i)]));
  };
  const [first, again, other] = [await beginningOf(1), await beginningOf(1), await beginningOf(2)];
  assert.is(first.size, make(1).variables.length, 'two weights have one name');
  assert.equal(again, first);
  const drawn = [...first].filter(([, values]) => values.some((value) => value !== values[0]));
  for (const [name, values] of drawn) assert.not.equal(other.get(name), values, `${name} is the same from two seeds`);
  const beginnings = drawn.flatMap(([, values]) => [at(values, 0), at(values, values.length - 1)]);
  assert.is(new Set(beginnings).size, beginnings.length, 'two weights begin alike');
  return first;
}
