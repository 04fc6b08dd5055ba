// Scans of cells that fast-check makes up: any ops in any order, states that swap, pass through, alias each other or come
// from an input, any outputs wanted, in either direction, one scan on top of another. Kernels and planned memory against
// the float64 interpreter, gradients against central differences. The seed is printed; RIMGRAD_SEED=N repeats a run.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CALCULUS_LIMIT } from '../check/calculus.ts';
import type { Case, Draw } from '../check/draw.ts';
import { calculusError, KERNEL_LIMIT, kernelError } from '../check/gradcheck.ts';
import { at } from '../engine/errors.ts';
import type { Tensor } from '../engine/node.ts';
import * as ops from '../engine/node.ts';
import { runs, seed } from './drawing.ts';
import { onAdapter, theDevice } from './on-adapter.ts';

onAdapter(test);

/** Every value of a cell has one of these shapes: steps that need padding to the alignment of bindings, and steps that do not. */
const shapes = [
  [2, 3],
  [4, 16],
] as const;

/** What a step of a cell may do with two values of its own and the weights. */
const actions: readonly ((a: Tensor, b: Tensor, weights: Tensor) => Tensor)[] = [
  (a, b) => ops.tanh(ops.add(a, b)),
  (a, b) => ops.mul(ops.sigmoid(a), b),
  (a, _, weights) => ops.tanh(ops.matmul(a, weights)),
  (a) => ops.blockGradient(a),
  (a, b) => ops.maskGradient(a, ops.greater(b, a)),
  (a) => ops.reshape(ops.reshape(a, [-1]), a.shape),
  (a, b) => ops.concat([ops.slice(a, 1, 1, at(a.shape, 1) - 1), ops.slice(b, 1, 0, 1)], 1),
  (a) => ops.softmax(a),
  (a, b) => ops.sub(a, ops.mean(b, { axes: [1], keepAxes: true })),
  (a) => ops.identity(a),
  (a) => ops.flip(a, 1),
  // Constant in time, or an input alone: these leave the loop.
  (a, _, weights) =>
    ops.mul(
      ops.constant(
        Float32Array.from({ length: a.size }, (_, i) => i / a.size),
        a.shape,
      ),
      ops.mean(ops.sigmoid(weights)),
    ),
  (a, b) => ops.einsum('bh,bh->bh', a, ops.tanh(b)),
  // A product per row of the batch, of two values that both may vary, and one with the weights of all rows.
  (a, b) => {
    const [B, H] = [at(a.shape, 0), at(a.shape, 1)];
    const outer = ops.matmul(ops.reshape(ops.tanh(a), [B, H, 1]), ops.reshape(ops.tanh(b), [B, 1, H]));
    return ops.mul(ops.reshape(ops.matmul(ops.reshape(b, [B, 1, H]), outer), [B, H]), 1 / H);
  },
  (a, _, weights) => ops.einsum('bh,bhk->bk', a, ops.broadcastTo(weights, [at(a.shape, 0), ...weights.shape])),
];

const chosen = fc.nat({ max: 1000 });
const cell = fc.record({
  shape: fc.constantFrom(...shapes),
  steps: fc.integer({ min: 1, max: 4 }),
  reverse: fc.boolean(),
  states: fc.integer({ min: 1, max: 3 }),
  inputs: fc.integer({ min: 0, max: 2 }),
  body: fc.array(fc.tuple(chosen, chosen, chosen), { minLength: 1, maxLength: 7 }),
  next: fc.array(chosen, { minLength: 3, maxLength: 3 }),
  outputs: fc.array(chosen, { minLength: 1, maxLength: 3 }),
  wantedStates: fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }),
  twice: fc.boolean(),
});
type Cell = typeof cell extends fc.Arbitrary<infer T> ? T : never;

const pick = <T>(values: readonly T[], i: number): T => at(values, i % values.length);

function run(
  draw: Draw,
  made: Cell,
  sequences: readonly Tensor[],
): { outputs: readonly Tensor[]; state: readonly Tensor[] } {
  const [, H] = made.shape;
  const weights = draw.normal([H, H], { std: 1 / Math.sqrt(H) });
  const names = Array.from({ length: made.states }, (_, i) => `s${i}`);
  const { outputs, state } = ops.scan(
    (inputs: ops.TensorRecord, states: ops.TensorRecord) => {
      const values = [...Object.values(states), ...Object.values(inputs)];
      for (const [action, a, b] of made.body)
        values.push(pick(actions, action)(pick(values, a), pick(values, b), weights));
      // From the newest on, so that what was made is used.
      const newest = values.toReversed();
      const next = Object.fromEntries(names.map((name, i) => [name, pick(newest, at(made.next, i))]));
      return { state: next, output: Object.fromEntries(made.outputs.map((o, i) => [`o${i}`, pick(newest, o)])) };
    },
    Object.fromEntries(sequences.map((each, i) => [`x${i}`, each])),
    Object.fromEntries(names.map((name) => [name, draw.normal(made.shape)])),
    { reverse: made.reverse, steps: made.steps },
  );
  return { outputs: Object.values(outputs), state: Object.values(state) };
}

function graph(draw: Draw, made: Cell): readonly Tensor[] {
  const sequences = Array.from({ length: made.inputs }, () => draw.normal([made.steps, ...made.shape]));
  const first = run(draw, made, sequences);
  const last = made.twice ? run(draw, { ...made, reverse: !made.reverse }, [...first.outputs]) : first;
  return [...last.outputs, ...last.state.filter((_, i) => made.wantedStates[i])];
}

async function holds(
  limit: number,
  count: number,
  errorOf: (each: Case, numbers: number) => Promise<number>,
): Promise<void> {
  const property = fc.asyncProperty(cell, fc.nat(), async (made, numbers) => {
    const error = await errorOf({ name: 'a made-up cell', graph: (draw) => graph(draw, made), probes: 6 }, numbers);
    assert.ok(error <= limit, `off by ${error}`);
  });
  await fc.assert(property, { seed, numRuns: runs(count), includeErrorInReport: true });
}

test('made-up cells: kernels', async () => {
  await holds(KERNEL_LIMIT, 40, (each, numbers) => kernelError(theDevice(), each, numbers));
});

test('made-up cells: gradients', async () => {
  await holds(CALCULUS_LIMIT, 60, calculusError);
});

test.run();
