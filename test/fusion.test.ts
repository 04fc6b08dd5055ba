// Fusion of elementwise ops: what becomes one kernel call and what must not, and that a fused list gives the bits that its ops
// give one by one, over trees that fast-check draws. The seed is printed; RIMGRAD_SEED=N repeats a run.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at } from '../engine/errors.ts';
import * as ops from '../engine/node.ts';
import { constant, evaluate, fill, input, type Shape, sum, type Tensor } from '../engine/node.ts';
import { isLoop } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import { broadcastShapes } from '../engine/tensor.ts';
import { bits, drawn, onAdapter, theDevice } from './on-adapter.ts';

onAdapter(test);

const seed = Number(process.env.RIMGRAD_SEED ?? Date.now() % 1_000_000_007);
console.log(`fast-check seed ${seed} (RIMGRAD_SEED=${seed} repeats this run)`);

/** The labels of the calls that compute some tensors; those of a loop in brackets. */
function calls(...tensors: readonly Tensor[]): string[] {
  const outputs = Object.fromEntries(tensors.map((tensor, i) => [`y${i}`, tensor]));
  return planProgram(outputs, [], { training: false, subgroupSize: 0 }).items.map((item) =>
    isLoop(item) ? `[${item.body.map(({ label }) => label).join(' ')}]` : item.label,
  );
}

const x = input('x', [3, 5]);
const w = input('w', [3, 5]);

test('a chain is one call, up to eight ops', () => {
  const chain = (length: number): Tensor => {
    let y = x;
    for (let i = 0; i < length; i++) y = ops.tanh(y);
    return y;
  };
  assert.is(calls(chain(8)).length, 1);
  assert.equal(calls(chain(9)), [new Array(8).fill('tanh').join('+'), 'tanh']);
  assert.equal(calls(ops.mul(ops.sigmoid(x), ops.tanh(w))), ['sigmoid+tanh+mul']);
  assert.equal(calls(ops.square(ops.add(x, x))), ['add+square']);
  const inner = ops.tanh(x);
  assert.equal(calls(ops.sub(inner, inner)), ['tanh', 'sub'], 'what is read twice by one op');
});

test('what is wanted or read elsewhere is computed by itself', () => {
  const middle = ops.exp(x);
  assert.equal(calls(ops.neg(middle), middle), ['exp', 'affine']);
  assert.equal(calls(ops.neg(middle), ops.square(middle)), ['exp', 'affine', 'square']);
  assert.equal(calls(ops.mul(ops.neg(middle), ops.square(middle))), ['exp', 'affine+square+mul']);
  assert.equal(calls(ops.neg(ops.reshape(middle, [15]))), ['exp', 'affine']);
});

test('a smaller operand is computed before it is repeated; a repetition is read where it lies', () => {
  const row = input('row', [5]);
  assert.equal(calls(ops.add(x, ops.tanh(row))), ['tanh', 'add']);
  assert.equal(calls(ops.mul(x, ops.broadcastTo(row, [3, 5]))), ['broadcastTo+mul']);
  assert.equal(calls(sum(ops.broadcastTo(row, [3, 5]))), ['broadcastTo', 'sum']);
});

test('more operands than a call takes are computed in several; numbers are none', () => {
  const five = ['a', 'b', 'c', 'd', 'e'].map((name) => input(name, [4]));
  const added = five.reduce((y, each) => ops.add(y, each));
  assert.equal(calls(added), ['add+add+add', 'add']);
  const plan = planProgram({ y: ops.where(ops.greater(x, fill(2, [])), w, fill(-1, [3, 5])) }, [], {
    training: false,
    subgroupSize: 0,
  });
  assert.is(plan.items.length, 1);
  assert.is(plan.constants.length, 0);
});

test('inside of a loop too, but what leaves it or is a state stays', () => {
  const step = ({ v }: { v: Tensor }, { h }: { h: Tensor }) => {
    const inner = ops.tanh(ops.add(ops.mul(h, v), w));
    return { state: { h: inner }, output: { y: ops.square(ops.neg(h)) } };
  };
  const { state } = ops.scan(step, { v: input('v', [4, 3, 5]) }, { h: x });
  const loop = calls(state.h).find((call) => call.startsWith('['));
  assert.match(loop ?? '', /^\[mul\+add\+tanh/);
});

/** A tree, as fast-check draws it: what each step does, to which of the values before. */
const shapes: readonly Shape[] = [[2, 3, 8], [3, 8], [3, 1], [8], [1], [], [2, 1, 8]];
const functions: readonly ((a: Tensor, b: Tensor, c: Tensor) => Tensor)[] = [
  (a) => ops.affine(a, 1.7, -0.3),
  (a) => ops.exp(ops.clamp(a, -3, 3)),
  (a) => ops.tanh(a),
  (a) => ops.sigmoid(a),
  (a) => ops.square(a),
  (a) => ops.gelu(a),
  (a) => ops.power(a, 3),
  (a) => ops.elu(a),
  (a) => ops.softplus(a),
  (a) => ops.sqrt(ops.abs(a)),
  (a, b) => ops.add(a, b),
  (a, b) => ops.sub(a, b),
  (a, b) => ops.mul(a, b),
  (a, b) => ops.mul(a, b),
  (a, b) => ops.div(a, ops.affine(ops.square(b), 1, 1)),
  (a, b) => ops.maximum(a, b),
  (a, b, c) => ops.where(ops.greater(a, b), b, c),
  (a) => ops.mul(a, fill(-0.7, [])),
  (a, b) => ops.broadcastTo(a, broadcastShapes('test', a.shape, b.shape)),
];
const chosen = fc.nat({ max: 1000 });
const tree = fc.record({
  first: fc.array(chosen, { minLength: 2, maxLength: 5 }),
  steps: fc.array(fc.tuple(chosen, chosen, chosen, chosen), { minLength: 1, maxLength: 12 }),
});

/** All tensors that one is made from, and it itself. */
function madeFor(y: Tensor, found = new Set<Tensor>()): Set<Tensor> {
  if (found.has(y)) return found;
  found.add(y);
  for (const each of y.node.inputs) madeFor(each, found);
  return found;
}

test('what is taken from itself is NaN where it is, as a divisor of itself too', async () => {
  const nan = constant([Number.NaN, 1, Number.POSITIVE_INFINITY], [3]);
  const shifted = ops.add(nan, 1);
  const got = await evaluate(theDevice(), {
    alone: ops.sub(nan, nan),
    within: ops.sub(ops.add(shifted, nan), ops.add(nan, shifted)),
    ratio: ops.div(ops.sub(nan, 2), ops.sub(nan, 2)),
    same: ops.equal(nan, nan),
  });
  for (const name of ['alone', 'within'] as const) assert.equal([...got[name]], [Number.NaN, 0, Number.NaN], name);
  assert.equal([...got.ratio], [Number.NaN, 1, Number.NaN]);
  assert.equal([...got.same], [0, 1, 1]);
});

test('a fused tree has the bits of its ops one by one', async () => {
  let fused = 0;
  const property = fc.asyncProperty(tree, async ({ first, steps }) => {
    const fed = first.map((which, i) => input(`x${i}`, at(shapes, which % shapes.length)));
    const feeds = Object.fromEntries(fed.map(({ shape }, i) => [`x${i}`, drawn(shape, i)]));
    const values: Tensor[] = [...fed];
    for (const [f, ...read] of steps) {
      // Mostly what was made last, so that there are chains.
      const [a, b, c] = read.map((n) =>
        at(values, values.length - 1 - Math.floor((n * n * values.length) / 1_002_001)),
      );
      if (a !== undefined && b !== undefined && c !== undefined) {
        values.push(at(functions, f % functions.length)(a, b, c));
      }
    }
    const y = at(values, values.length - 1);
    const inner = [...madeFor(y)].filter((value) => !fed.includes(value) && value !== y);
    const used = (...tensors: readonly Tensor[]): typeof feeds => {
      const outputs = Object.fromEntries(tensors.map((tensor, i) => [`y${i}`, tensor]));
      const plan = planProgram(outputs, [], { training: false, subgroupSize: 0 });
      const names = plan.inputs.map(({ tensor }) => `x${fed.indexOf(tensor)}`);
      return Object.fromEntries(Object.entries(feeds).filter(([name]) => names.includes(name)));
    };
    if (calls(y).some((label) => label.includes('+'))) fused++;
    const alone = await evaluate(theDevice(), { y }, used(y));
    const all = Object.fromEntries([...inner.entries()].map(([i, tensor]) => [`z${i}`, tensor]));
    const beside = await evaluate(theDevice(), { y, ...all }, used(y, ...inner));
    assert.equal(bits(alone.y), bits(at(Object.values(beside), 0)));
  });
  await fc.assert(property, { seed, numRuns: 25 });
  assert.ok(fused >= 5, `${fused} of the trees had something to fuse`);
});

test.run();
