// Random graphs: a list of instructions (graph-ops.ts) carried out over a growing pool of tensors, fed ones, constants and
// Variables first. Operands are counted from the newest tensor back, the nearest drawn most often: chains and trees whose
// values several readers share. Scans and recomputed parts are instructions with a list of their own. Leaving instructions
// out leaves a graph, so that fast-check shrinks what fails to a few of them, which its report shows. It tests nothing itself.

import fc from 'fast-check';
import { Draw } from '../check/draw.ts';
import { at, need } from '../engine/errors.ts';
import * as ops from '../engine/node.ts';
import { type Data, RandomState, type Tensor, Variable } from '../engine/node.ts';
import { normalArray } from '../engine/random.ts';
import { admitted, type Bounded, groups, makers, resized } from './graph-ops.ts';

/** One instruction: its name, three operands, its options, and the instructions inside of it. */
export interface Step {
  readonly op: string;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly n: number;
  readonly body?: readonly Step[];
}

/** A graph that fast-check drew. Numbers name tensors, counted from the newest. */
export interface DrawnGraph {
  /** Sizes of the leaves. */
  readonly sizes: readonly [number, number, number];
  readonly steps: readonly Step[];
  readonly wanted: readonly number[];
  /** What the loss is made of. */
  readonly loss: readonly number[];
  /** A tensor in the middle whose gradient is wanted too. */
  readonly middle: number;
  /** Whether dropout acts. */
  readonly training: boolean;
  /** Of the numbers that are fed. */
  readonly numbers: number;
}

/** A graph that was built. */
export interface BuiltGraph {
  /** By name; one of them twice, where there are several. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly loss: Tensor;
  readonly wrt: readonly Tensor[];
  readonly feeds: Readonly<Record<string, Data>>;
  /** w [Q,R] and v [Q], and the counter of random numbers, with their first values. */
  readonly variables: ReadonlyMap<Variable, Data>;
  /** All tensors from the newest to the oldest. */
  readonly newest: readonly Tensor[];
}

const operand = fc.oneof(
  { weight: 4, arbitrary: fc.nat(2) },
  { weight: 3, arbitrary: fc.nat(11) },
  { weight: 1, arbitrary: fc.nat(40) },
);
const parts = { a: operand, b: operand, c: operand, n: fc.nat(255) };
const simple: fc.Arbitrary<Step> = fc.record({
  op: fc.oneof(
    ...groups.map((group) => ({ weight: group.weight, arbitrary: fc.constantFrom(...Object.keys(group.makers)) })),
  ),
  ...parts,
});
const body = (most: number): fc.Arbitrary<readonly Step[]> => fc.array(simple, { minLength: 1, maxLength: most });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 14, arbitrary: simple },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('scan'), ...parts, body: body(6) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('recompute'), ...parts, body: body(4) }) },
);

/** Graphs. */
export const graphs: fc.Arbitrary<DrawnGraph> = fc.record({
  sizes: fc.tuple(
    fc.constantFrom(1, 2, 3, 4, 5),
    fc.constantFrom(1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 33, 64, 65),
    fc.constantFrom(1, 2, 3, 4, 8),
  ),
  steps: fc.array(step, { minLength: 1, maxLength: 14, size: 'max' }),
  wanted: fc.array(operand, { minLength: 1, maxLength: 4 }),
  loss: fc.array(operand, { minLength: 1, maxLength: 3 }),
  middle: operand,
  training: fc.boolean(),
  numbers: fc.nat(1e6),
});

/** Makes the tensors of a drawn graph. */
export function build(drawn: DrawnGraph): BuiltGraph {
  const [p, q, r] = drawn.sizes;
  const draw = new Draw(drawn.numbers);
  const random = new RandomState({ seed: 7 });
  const start = (size: number, stream: number): Float32Array => normalArray(size, { seed: drawn.numbers, stream });
  const w = new Variable('w', [q, r], start(q * r, 101));
  const v = new Variable('v', [q], start(q, 102));
  const leaves = [
    w,
    draw.normal([]),
    ops.fill(0.5, [q]),
    draw.mask([p, q]),
    draw.normal([p, 1]),
    ops.constant(start(p * q, 103), [p, q]),
    v,
    draw.normal([q]),
    draw.normal([p, q]),
  ];
  const pool: Bounded[] = leaves.map((tensor) => ({ tensor, bound: 4 }));
  carryOut(drawn.steps, pool, draw, random);
  const newest = pool.toReversed().map(({ tensor }) => tensor);
  const pick = (i: number): Tensor => at(newest, i % newest.length);
  const wanted = [...drawn.wanted, ...(drawn.wanted.length > 1 ? [at(drawn.wanted, 0)] : [])].map(pick);
  // Masks and selections reach a loss too, and counted through them nothing does.
  const loss = draw.loss(drawn.loss.map(pick));
  const middle = pick(drawn.middle);
  return {
    outputs: Object.fromEntries(wanted.map((tensor, i) => [`y${i}`, tensor])),
    loss,
    wrt: [...new Set([w, v, ...draw.wrt, ...(middle.dtype === 'f32' ? [middle] : [])])],
    feeds: draw.feeds,
    variables: new Map<Variable, Data>([
      [w, start(q * r, 101)],
      [v, start(q, 102)],
      [random.counter, Uint32Array.of(3)],
    ]),
    newest,
  };
}

/** Carries out instructions: each adds to the pool what it makes. */
function carryOut(steps: readonly Step[], pool: Bounded[], draw: Draw, random: RandomState): void {
  for (const { op, a, b, c, n, body: inner } of steps) {
    const pick = (i: number): Bounded => at(pool, pool.length - 1 - (i % pool.length));
    const operands = { a: pick(a), b: pick(b), c: pick(c), n, draw, random };
    const made =
      op === 'scan'
        ? overTime(operands, inner ?? [])
        : op === 'recompute'
          ? again(inner ?? [], pool, draw, random)
          : need(makers[op], op)(operands);
    pool.push(...made.flatMap(admitted));
  }
}

/** The last two tensors that instructions make, recomputed by the backward. */
function again(steps: readonly Step[], pool: readonly Bounded[], draw: Draw, random: RandomState): readonly Bounded[] {
  const bounds: number[] = [];
  const made = ops.recompute(() => {
    const inside = [...pool];
    carryOut(steps, inside, draw, random);
    const last = inside.slice(pool.length).slice(-2);
    bounds.push(...last.map(({ bound }) => bound));
    return last.length > 0 ? last.map(({ tensor }) => tensor) : [ops.tanh(at(pool, pool.length - 1).tensor)];
  });
  return made.map((tensor, i) => ({ tensor, bound: bounds[i] ?? 1 }));
}

/** States stay within this from step to step. */
const STATE = 3;

type Operands = Parameters<(typeof makers)[string]>[0];

/**
 * A scan whose cell is a list of instructions over its states, a step of a sequence and what it captures. By the bits of n:
 * how many states, of which shape; which direction; in chunks; recomputed; a state that is passed on under another shape.
 */
function overTime({ a, b, c, n, draw, random }: Operands, steps: readonly Step[]): readonly Bounded[] {
  const T = 1 + (n % 4);
  const shape = n & 8 ? [4, 16] : [2, 3];
  const held = (x: Tensor, bound: number): Tensor => (bound > STATE ? ops.tanh(x) : x);
  const initial = [a, b, c].slice(0, 1 + ((n >> 4) % 3));
  const start = initial.map(({ tensor, bound }) => held(resized(tensor, shape), bound));
  const outputBounds: number[] = [];
  const { outputs, state } = ops.scan(
    ({ x }: { readonly x: Tensor }, states: ops.TensorRecord) => {
      const body: Bounded[] = [c, b, { tensor: x, bound: a.bound }].concat(
        Object.values(states).map((tensor) => ({ tensor, bound: STATE })),
      );
      carryOut(steps, body, draw, random);
      const newest = body.toReversed();
      const next = initial.map((_, i) => {
        const { tensor, bound } = at(newest, (i * (1 + (n % 3))) % newest.length);
        return held(resized(tensor, shape), bound);
      });
      const made = newest.slice(0, 1 + (n & 1)).map(({ tensor, bound }) => {
        outputBounds.push(bound);
        return tensor;
      });
      // A state itself, of which the history is then wanted, before the step or after it.
      const state = n & 2 ? at(Object.values(states), 0) : at(next, 0);
      const named = (prefix: string, all: readonly Tensor[]): ops.TensorRecord =>
        Object.fromEntries(all.map((tensor, i) => [`${prefix}${i}`, tensor]));
      return { state: named('s', next), output: named('o', n & 128 ? made : [...made, state]) };
    },
    { x: resized(a.tensor, [T, ...shape]) },
    Object.fromEntries(start.map((tensor, i) => [`s${i}`, tensor])),
    { reverse: (n & 32) !== 0, recompute: (n & 65) === 65, ...((n & 68) === 68 ? { chunk: 2 } : {}) },
  );
  const histories = Object.values(outputs).map((tensor, i) => ({ tensor, bound: outputBounds[i] ?? STATE }));
  return [...Object.values(state).map((tensor) => ({ tensor, bound: STATE })), ...histories];
}

/** Other numbers of the same kind for every input: the same ones in another order, the real ones with another sign. */
export function otherFeeds(feeds: Readonly<Record<string, Data>>): Record<string, Data> {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, data]) => [
      name,
      data instanceof Uint32Array ? data.toReversed() : data.toReversed().map((x) => -0.6875 * x),
    ]),
  );
}
