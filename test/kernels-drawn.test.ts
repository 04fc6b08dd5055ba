// Kernels on the real adapter against the float64 interpreter, forward and gradients, over shapes and values drawn by
// fast-check: sizes of 1, edges of tiles, vectors and workgroups, long rows, large scores. Fixed cases are in
// kernels-float64.test.ts. The seed is new in every run and printed; RIMGRAD_SEED=N repeats a run. fast-check shrinks what fails.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Case, Draw } from '../check/draw.ts';
import { KERNEL_LIMIT, kernelError } from '../check/gradcheck.ts';
import * as ops from '../engine/node.ts';
import { RandomState, type Tensor } from '../engine/node.ts';

const device = await ops.openDevice();
const seed = Number(process.env.RIMGRAD_SEED ?? Date.now() % 1_000_000_007);
console.log(`fast-check seed ${seed} (RIMGRAD_SEED=${seed} repeats this run)`);

/** Ops over drawn shapes and options. */
interface Family<P> {
  readonly name: string;
  readonly options: fc.Arbitrary<P>;
  readonly graph: (draw: Draw, options: P) => readonly Tensor[];
  readonly limit?: number;
  readonly training?: boolean;
  readonly runs?: number;
}

const edges = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33];
const size = fc.oneof(fc.constant(1), fc.constantFrom(...edges), fc.integer({ min: 1, max: 20 }));
const longer = fc.oneof(size, fc.constantFrom(63, 64, 65, 127, 128, 129, 257, 300));
const shape = fc.array(
  fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 1, max: 6 }) }, { weight: 1, arbitrary: size }),
  { maxLength: 4 },
);
const rows = fc.record({
  rows: fc.oneof(fc.constantFrom(1, 63, 64, 65), fc.integer({ min: 1, max: 9 })),
  columns: longer,
});

/** Two shapes that broadcast: some sizes of either are 1, and leading ones may be missing. */
const pair = fc
  .array(
    fc.record({
      size: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constantFrom(8, 12)),
      ones: fc.constantFrom(0, 0, 0, 1, 2),
    }),
    { minLength: 1, maxLength: 5 },
  )
  .chain((dims) =>
    fc.record({ dims: fc.constant(dims), cut: fc.integer({ min: 0, max: dims.length - 1 }), swap: fc.boolean() }),
  )
  .map(({ dims, cut, swap }) => {
    const one = dims.map((each) => (each.ones === 1 ? 1 : each.size));
    const other = dims.map((each) => (each.ones === 2 ? 1 : each.size)).slice(cut);
    return swap ? { a: other, b: one } : { a: one, b: other };
  });

function check<P>(family: Family<P>): void {
  test(`drawn: ${family.name}`, async () => {
    const property = fc.asyncProperty(family.options, fc.nat(), async (options, numbers) => {
      const each: Case = {
        name: family.name,
        graph: (draw) => family.graph(draw, options),
        ...(family.training === undefined ? {} : { training: family.training }),
      };
      const error = await kernelError(device, each, numbers);
      assert.ok(error <= (family.limit ?? KERNEL_LIMIT), `off by ${error} of the largest magnitude`);
    });
    await fc.assert(property, { seed, numRuns: family.runs ?? 8, endOnFailure: true });
  });
}

check({
  name: 'functions of one number',
  options: fc.record({ shape, std: fc.constantFrom(0.001, 1, 4) }),
  graph: (draw, options) => {
    const x = draw.normal(options.shape, { std: options.std });
    const y = draw.between(0.2, 3, options.shape);
    return [
      ...[ops.sigmoid, ops.tanh, ops.softplus, ops.relu, ops.gelu, ops.square, ops.sin, ops.abs, ops.elu].map((f) =>
        f(x),
      ),
      ...[ops.exp, ops.log, ops.sqrt, ops.reciprocal, (t: Tensor) => ops.power(t, 1.7)].map((f) => f(y)),
      ops.clamp(x, -0.7, 0.4),
    ];
  },
});

check({
  name: 'functions of two numbers, broadcast',
  options: pair,
  graph: (draw, { a, b }) => {
    const [x, y] = [draw.normal(a), draw.between(0.5, 2, b)];
    return [
      ops.add(x, y),
      ops.sub(y, x),
      ops.mul(x, y),
      ops.div(x, y),
      ops.maximum(x, y),
      ops.minimum(y, x),
      ops.less(x, y),
    ];
  },
  runs: 16,
});

check({
  name: 'where, broadcast',
  options: fc.record({ pair, flip: fc.boolean() }),
  graph: (draw, { pair: { a, b }, flip }) => {
    const [x, y, mask] = [draw.normal(a), draw.normal(b), draw.mask(flip ? a : b)];
    return [flip ? ops.where(mask, x, y) : ops.where(mask, y, x)];
  },
  runs: 12,
});

check({
  name: 'rearranging',
  options: fc.record({
    sizes: fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 5 }),
    order: fc.array(fc.nat(), { minLength: 5, maxLength: 5 }),
    axis: fc.nat(),
    from: fc.nat(),
    length: fc.nat(),
  }),
  graph: (draw, { sizes, order, axis, from, length }) => {
    const x = draw.normal(sizes);
    const at = axis % sizes.length;
    const size = sizes[at] ?? 1;
    const start = from % size;
    const axes = sizes.map((_, i) => i).sort((i, k) => (order[i] ?? 0) - (order[k] ?? 0));
    return [
      ops.permute(x, axes),
      ops.slice(x, at, start, 1 + (length % (size - start))),
      ops.flip(x, at),
      ops.roll(x, at, from % 7),
      ops.concat([x, ops.slice(x, at, start, size - start), x], at),
      ops.broadcastTo(x, [3, ...sizes]),
    ];
  },
  runs: 12,
});

check({
  name: 'reductions',
  options: fc.record({
    sizes: fc.array(fc.oneof(size, fc.constantFrom(70)), { minLength: 1, maxLength: 3 }),
    keep: fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }),
  }),
  graph: (draw, { sizes, keep }) => {
    const x = draw.normal(sizes);
    const axes = sizes.flatMap((_, i) => (keep[i] === true ? [] : [i]));
    return [
      ops.sum(x, { axes }),
      ops.mean(x),
      ops.sumOfSquares(x, { axes, keepAxes: true }),
      ops.max(x, { axes }),
      ops.min(x, { axes }),
    ];
  },
  runs: 12,
});

check({
  name: 'long sums',
  options: fc.integer({ min: 8000, max: 40000 }),
  graph: (draw, length) => [ops.sum(draw.normal([length])), ops.max(draw.normal([length]))],
  runs: 3,
});

check({
  name: 'matrix products',
  options: fc.record({
    m: longer,
    n: longer,
    k: size,
    rows: fc.constantFrom('mk', 'km'),
    columns: fc.constantFrom('kn', 'nk'),
  }),
  graph: (draw, { m, n, k, rows: left, columns: right }) => {
    const of = (labels: string): number[] => [...labels].map((label) => ({ m, n, k })[label] ?? 1);
    return [ops.einsum(`${left},${right}->mn`, draw.normal(of(left)), draw.normal(of(right)))];
  },
  runs: 16,
});

check({
  name: 'products per module and per batch',
  options: fc.record({ b: fc.integer({ min: 1, max: 9 }), n: fc.integer({ min: 1, max: 7 }), d: size, e: size }),
  graph: (draw, { b, n, d, e }) => {
    const x = draw.normal([b, n, d]);
    return [
      ops.groupedMatmul(x, draw.normal([n, d, e])),
      ops.einsum('bnd,bmd->bnm', x, draw.normal([b, e, d])),
      ops.einsum('bnd,bnd->bn', x, draw.normal([b, n, d])),
      ops.einsum('bnd,nd->b', x, draw.normal([n, d])),
    ];
  },
  runs: 12,
});

check({
  name: 'softmax',
  options: fc.record({
    rows,
    top: fc.option(fc.nat(), { nil: undefined }),
    masked: fc.boolean(),
    std: fc.constantFrom(0.1, 1, 30),
  }),
  graph: (draw, { rows: { rows: count, columns }, top, masked, std }) => [
    ops.softmax(draw.normal([count, columns], { std }), {
      ...(top === undefined ? {} : { topK: 1 + (top % columns) }),
      ...(masked ? { mask: draw.mask([count, columns]) } : {}),
    }),
  ],
  runs: 16,
});

check({
  name: 'sorting and choosing',
  options: fc.record({ rows, k: fc.nat(), descending: fc.boolean() }),
  graph: (draw, { rows: { rows: count, columns }, k, descending }) => {
    const x = draw.normal([count, columns]);
    const { values, indices } = ops.sort(x, { descending });
    return [values, indices, ops.topKMask(x, 1 + (k % columns)), ops.takeAlong(x, indices)];
  },
});

check({
  name: 'ties',
  options: fc.record({ rows, k: fc.nat(), kinds: fc.integer({ min: 1, max: 3 }) }),
  graph: (draw, { rows: { rows: count, columns }, k, kinds }) => {
    const x = draw.given(
      [count, columns],
      Array.from({ length: count * columns }, (_, i) => (i * i + (k % 5) * i) % kinds),
    );
    draw.wrt.length = 0;
    const top = 1 + (k % columns);
    return [
      ops.softmax(x, { topK: top }),
      ops.topKMask(x, top),
      ops.sort(x).indices,
      ops.sort(x, { descending: true }).indices,
    ];
  },
});

check({
  name: 'running totals',
  options: rows,
  graph: (draw, { rows: count, columns }) => [
    ops.cumulativeSum(draw.normal([count, columns])),
    ops.cumulativeProduct(draw.between(0.8, 1.2, [count, columns])),
  ],
});

check({
  name: 'layer normalisation',
  options: fc.record({ rows, affine: fc.boolean(), mean: fc.constantFrom(0, 3) }),
  graph: (draw, { rows: { rows: count, columns }, affine, mean }) => {
    const x = draw.normal([count, columns], { mean });
    return [ops.layerNorm(x, affine ? { weight: draw.normal([columns]), bias: draw.normal([columns]) } : {})];
  },
  // A row of two nearly equal elements is divided by what is left of their difference.
  limit: 1e-4,
});

check({
  name: 'picking by index',
  options: fc.record({
    table: fc.integer({ min: 1, max: 90 }),
    columns: size,
    count: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(511, 513, 700)),
  }),
  graph: (draw, { table, columns, count }) => [ops.gather(draw.normal([table, columns]), draw.below(table, [count]))],
});

check({
  name: 'losses',
  options: fc.record({ rows, std: fc.constantFrom(1, 50) }),
  graph: (draw, { rows: { rows: count, columns }, std }) => {
    const logits = draw.normal([count, columns], { std });
    return [
      ops.crossEntropy(logits, draw.below(columns, [count]), { reduction: 'none' }),
      ops.binaryCrossEntropy(logits, draw.between(0, 1, [count, columns])),
      ops.meanSquare(logits, draw.normal([count, columns])),
    ];
  },
});

check({
  name: 'gates',
  options: fc.record({ b: size, n: fc.integer({ min: 1, max: 4 }), h: size }),
  graph: (draw, { b, n, h }) => {
    const state = draw.normal([b, n, h]);
    const next = ops.lstmGates(draw.normal([b, n, 4 * h]), state);
    return [ops.gruGates(draw.normal([b, n, 3 * h]), draw.normal([b, n, 3 * h]), state), next.h, next.c];
  },
});

check({
  name: 'convolutions',
  options: fc.record({
    batch: fc.integer({ min: 1, max: 3 }),
    from: fc.integer({ min: 1, max: 3 }),
    to: fc.integer({ min: 1, max: 4 }),
    size: fc.integer({ min: 3, max: 8 }),
    kernel: fc.integer({ min: 1, max: 3 }),
    stride: fc.integer({ min: 1, max: 3 }),
    padding: fc.integer({ min: 0, max: 1 }),
  }),
  graph: (draw, { batch, from, to, size: side, kernel, stride, padding }) => {
    const x = draw.normal([batch, from, side, side + 1]);
    const bias = draw.normal([to]);
    return [
      ops.conv2d(x, draw.normal([to, from, kernel, kernel]), { bias, stride, padding }),
      ops.convTranspose2d(x, draw.normal([from, to, kernel, kernel]), {
        bias,
        stride,
        padding,
        outputPadding: stride - 1,
      }),
    ];
  },
});

check({
  name: 'dropout',
  options: fc.record({ shape, rate: fc.double({ min: 0.01, max: 0.99, noNaN: true }), from: fc.maxSafeNat() }),
  graph: (draw, options) => [
    ops.dropout(draw.normal(options.shape), { rate: options.rate, random: new RandomState({ seed: options.from }) }),
  ],
  training: true,
});

check({
  name: 'scan',
  options: fc.record({
    steps: fc.integer({ min: 1, max: 7 }),
    b: fc.integer({ min: 1, max: 5 }),
    h: fc.oneof(size, fc.constant(64)),
    reverse: fc.boolean(),
  }),
  graph: (draw, { steps, b, h, reverse }) => {
    const [w, u] = [draw.normal([3, 3 * h], { std: 0.4 }), draw.normal([h, 3 * h], { std: 0.4 / Math.sqrt(h) })];
    const { outputs, state } = ops.scan(
      ({ x }: { x: Tensor }, before: { h: Tensor; last: Tensor }) => {
        const next = ops.gruGates(ops.matmul(x, w), ops.matmul(before.h, u), before.h);
        return { state: { h: next, last: before.h }, output: { next, change: ops.sub(next, before.last) } };
      },
      { x: draw.normal([steps, b, 3]) },
      { h: draw.normal([b, h]), last: draw.normal([b, h]) },
      { reverse },
    );
    return [outputs.next, outputs.change, state.h, state.last];
  },
});

test.after(() => {
  device.dispose();
});

test.run();
