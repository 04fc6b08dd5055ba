// The ops of communication (rims/talk-op.ts) and of the update (rims/update-op.ts) on the adapter: shapes drawn by
// fast-check against float64, inactive states to the bit, NaN that stays, the most modules, and refusals.
// The fixed cases are in check/cases/rim-talk.ts. RIMGRAD_SEED=N repeats a run.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { drawUpdate } from '../check/cases/rim-talk.ts';
import { KERNEL_LIMIT, kernelError } from '../check/gradcheck.ts';
import { at, need } from '../engine/errors.ts';
import { constant, evaluate, grad, mul, sum, type Tensor } from '../engine/node.ts';
import { rimTalk } from '../rims/talk-op.ts';
import { rimUpdate } from '../rims/update-op.ts';
import { bits, drawn, numbersOf, onAdapter, refused, theDevice } from './on-adapter.ts';

onAdapter(test);

const seed = Number(process.env.RIMGRAD_SEED ?? Date.now() % 1_000_000_007);
console.log(`fast-check seed ${seed} (RIMGRAD_SEED=${seed} repeats this run)`);

const modules = fc.oneof(fc.integer({ min: 1, max: 7 }), fc.constant(16));

test('attention of drawn sizes', async () => {
  const options = fc.record({
    sizes: fc.tuple(fc.integer({ min: 1, max: 9 }), modules),
    heads: fc.integer({ min: 1, max: 4 }),
    keySize: fc.integer({ min: 1, max: 9 }),
    valueSize: fc.integer({ min: 1, max: 18 }),
    top: fc.nat(),
    both: fc.boolean(),
  });
  const property = fc.asyncProperty(options, fc.nat(), async ({ sizes, top, both, ...attention }, numbers) => {
    const [B, N] = sizes;
    const { heads, keySize, valueSize } = attention;
    const graph = (draw: Parameters<typeof drawUpdate>[0]): readonly Tensor[] => {
      const qkv = draw.normal([B, N, heads * (2 * keySize + valueSize)]);
      const { context, probabilities } = rimTalk(qkv, { ...attention, topK: 1 + (top % N) });
      return both ? [context, probabilities] : [context];
    };
    const error = await kernelError(theDevice(), { name: 'rimTalk', graph }, numbers);
    assert.ok(error <= KERNEL_LIMIT, `off by ${error} of the largest magnitude`);
  });
  await fc.assert(property, { seed, numRuns: 10, endOnFailure: true });
});

test('updates of drawn sizes', async () => {
  const options = fc.record({
    gated: fc.boolean(),
    cell: fc.constantFrom('lstm' as const, 'gru' as const),
    hidden: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constantFrom(31, 32, 33, 63, 64, 65, 70)),
  });
  const sizes = fc.record({
    sizes: fc.tuple(fc.constantFrom(1, 2, 3, 4, 5, 9, 16, 17, 33), modules, fc.constantFrom(1, 3, 8, 33)),
    shared: fc.boolean(),
    biased: fc.boolean(),
  });
  const property = fc.asyncProperty(options, sizes, fc.nat(), async (update, how, numbers) => {
    const error = await kernelError(
      theDevice(),
      { name: 'rimUpdate', graph: (draw) => drawUpdate(draw, update, how) },
      numbers,
    );
    assert.ok(error <= KERNEL_LIMIT, `off by ${error} of the largest magnitude`);
  });
  await fc.assert(property, { seed, numRuns: 10, endOnFailure: true });
});

test('64 modules talk, 65 are refused', async () => {
  const attention = { heads: 2, keySize: 2, valueSize: 1, topK: 9 };
  const error = await kernelError(theDevice(), {
    name: 'rimTalk',
    graph: (draw) => [rimTalk(draw.normal([2, 64, 10]), attention).context],
  });
  assert.ok(error <= KERNEL_LIMIT, `off by ${error}`);
  await refused(() => rimTalk(constant(drawn([1, 65, 10], 1), [1, 65, 10]), attention), 'ShapeError', /65 modules/);
  await refused(() => rimTalk(constant(drawn([1, 4, 9], 1), [1, 4, 9]), attention), 'ShapeError', /\[B,N,10\]/);
  await refused(() => rimTalk(constant(drawn([1, 4, 10], 1), [1, 4, 10]), attention), 'OptionError', /from 1 to 4/);
});

test('a NaN in a query or a key is in what its readers read, and nowhere else', async () => {
  // One row of three modules, two heads: qkv is [q0 q1 | k0 k1 | v0 v1].
  const data = drawn([2, 3, 6], 4);
  data[6 + 0] = Number.NaN; // row 0, module 1, the query of head 0
  data[18 + 3] = Number.NaN; // row 1, module 0, the key of head 1
  const { context } = rimTalk(constant(data, [2, 3, 6]), { heads: 2, keySize: 1, valueSize: 1, topK: 2 });
  const broken = (await numbersOf(context)).map((x) => (Number.isNaN(x) ? 1 : 0));
  assert.equal(broken, [0, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 1]);
});

for (const gated of [false, true]) {
  const hidden = 5;
  const outputs = gated ? 10 : 5;
  const rest = drawn([2, 2, 2 * hidden + 2], 5);
  const width = 2 * hidden + 2;
  // Row 0: module 1 active; row 1: module 0.
  [0, 1, 1, 0].forEach((active, row) => {
    rest[row * width + width - 2] = active;
  });
  rest[0] = -0;

  test(`inactive states to the bit, and no NaN of theirs reaches another, ${gated ? 'gated' : 'plain'}`, async () => {
    const context = drawn([2, 2, 3], 6);
    context[0] = Number.NaN; // an inactive module reads a NaN: it does not matter
    context[3 + 0] = Number.NaN; // an active one does
    const operands = {
      context: constant(context, [2, 2, 3]),
      w: constant(drawn([2, 3, outputs], 7), [2, 3, outputs]),
      bias: constant(drawn([2, outputs], 8), [2, outputs]),
      rest: constant(rest, [2, 2, width]),
    };
    const { h, c } = rimUpdate(operands, { gated, cell: 'lstm', hidden });
    const weights = constant(drawn([2, 2, hidden], 9), [2, 2, hidden]);
    const gradients = grad(sum(mul(h, weights)), [operands.context]);
    const got = await evaluate(theDevice(), { h, c: need(c, 'c'), d: gradients.of(operands.context) });
    for (const row of [0, 3]) {
      const base = rest.slice(row * width, row * width + hidden);
      assert.equal(bits(got.h.slice(row * hidden, (row + 1) * hidden)), bits(base));
    }
    for (let row = 0; row < 4; row++) {
      const kept = rest.slice(row * width + hidden, row * width + 2 * hidden);
      assert.equal(bits(got.c.slice(row * hidden, (row + 1) * hidden)), bits(kept));
    }
    assert.ok([5, 6, 7, 8, 9].every((i) => Number.isNaN(at(got.h, i))));
    assert.ok([10, 11, 12, 13, 14].every((i) => Number.isFinite(at(got.h, i))));
    assert.equal([...got.d.slice(0, 3), ...got.d.slice(9)], [0, 0, 0, 0, 0, 0]);
    assert.ok([...got.d.slice(3, 6)].every((x) => (gated ? Number.isNaN(x) : Number.isFinite(x))));
  });
}

test('an update refuses what does not fit', async () => {
  const zeros = (...shape: number[]): Tensor => constant(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
  const options = { gated: true, cell: 'gru', hidden: 4 } as const;
  const operands = { context: zeros(2, 3, 5), w: zeros(3, 5, 8), rest: zeros(2, 3, 6) };
  rimUpdate(operands, options);
  await refused(() => rimUpdate({ ...operands, w: zeros(5, 4) }, options), 'ShapeError', /w must be f32 \[5,8\]/);
  await refused(() => rimUpdate({ ...operands, rest: zeros(2, 3, 10) }, options), 'ShapeError', /rest must be f32/);
  await refused(() => rimUpdate({ ...operands, bias: zeros(8) }, options), 'ShapeError', /bias must be f32 \[3,8\]/);
});

test.run();
