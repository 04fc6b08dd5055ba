// Long sequences, the numbers: time in chunks equals time in one piece, forward to the bit; computing again equals keeping,
// gradients too and dropout with it. Their memory is in long-memory.test.ts.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { interpret } from '../check/index.ts';
import { at, need } from '../engine/errors.ts';
import {
  add,
  compile,
  constant,
  type Data,
  dropout,
  evaluate,
  fill,
  grad,
  lstmGates,
  matmul,
  mul,
  RandomState,
  recompute,
  reshape,
  type ScanOptions,
  scan,
  slice,
  softplus,
  square,
  sum,
  type Tensor,
  tanh,
  variable,
} from '../engine/node.ts';
import { isLoop } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import { normalArray } from '../engine/random.ts';
import { type CellOptions, makeRIM, presetOptions, RIM, type RIMOptions, type SequenceOptions } from '../rims/index.ts';
import { bits, onAdapter, refused, theDevice } from './on-adapter.ts';

onAdapter(test);
const seed = Number(process.env.RIMGRAD_SEED ?? Date.now() % 1_000_000_007);
console.log(`fast-check seed ${seed} (RIMGRAD_SEED=${seed} repeats this run)`);

const normal = (shape: readonly number[], stream: number): Float32Array =>
  normalArray(
    shape.reduce((a, b) => a * b, 1),
    { seed: 5, stream },
  );

type Results = Readonly<Record<string, Data>>;

/** The values of a program that trains: dropout acts. */
async function trained(named: Readonly<Record<string, Tensor>>): Promise<Results> {
  const program = await compile(theDevice(), named, [], { mode: 'train' });
  try {
    await program.run();
    const names = Object.keys(named);
    const values = await Promise.all(names.map((name) => program.read(name)));
    return Object.fromEntries(names.map((name, i) => [name, at(values, i)]));
  } finally {
    program.dispose();
  }
}

/** To the bit, but for gradients ('d ...') where their rounding may differ. */
function assertEqual(got: Results, expected: Results, gradients: 'to the bit' | 'to rounding'): void {
  assert.equal(Object.keys(got), Object.keys(expected));
  for (const [name, values] of Object.entries(expected)) {
    const own = need(got[name], name);
    if (!name.startsWith('d ') || gradients === 'to the bit') {
      assert.equal(bits(own), bits(values), name);
      continue;
    }
    const off = Math.max(...Array.from(values, (value, i) => Math.abs(value - at(own, i))));
    const largest = Math.max(...Array.from(values, Math.abs));
    // What cancels leaves rounding: of the keys' bias nothing else is left (fused.test.ts).
    assert.ok(
      off <= 5e-6 * Math.max(largest, name.endsWith('keyBias') ? 1 : 0) + 1e-7,
      `${name}: ${off} of ${largest}`,
    );
  }
}

// ---- a RIM in chunks

interface Trial {
  readonly options: CellOptions;
  readonly steps: number;
  readonly chunk: number;
  readonly sequence: SequenceOptions;
}

const trials: fc.Arbitrary<Trial> = fc
  .record({
    preset: fc.constantFrom('paper' as const, 'official' as const, 'dido' as const),
    cell: fc.constantFrom('lstm' as const, 'gru' as const),
    path: fc.constantFrom('auto' as const, 'plain' as const),
    modules: fc.integer({ min: 2, max: 5 }),
    part: fc.double({ min: 0, max: 1, noNaN: true }),
    inputSize: fc.constantFrom(1, 4, 9),
    hiddenSize: fc.constantFrom(3, 4, 8),
    steps: fc.integer({ min: 2, max: 9 }),
    chunk: fc.integer({ min: 1, max: 8 }),
    bidirectional: fc.boolean(),
    layers: fc.constantFrom(1, 1, 2),
    layerFeed: fc.constantFrom('all' as const, 'active' as const),
    initialState: fc.constantFrom('zeros' as const, 'learned' as const, 'noise' as const),
  })
  .map(({ preset, cell, modules, part, inputSize, hiddenSize, steps, chunk, ...sequence }) => ({
    options: presetOptions(preset, {
      ...{ cell, modules, inputSize, hiddenSize, active: 1 + Math.floor(part * (modules - 1)) },
      ...{ keySize: 5, valueSize: 6, commHeads: 2, commKeySize: 3, commValueSize: 3, initialisation: 'fan-in' },
    }),
    steps,
    chunk,
    sequence,
  }));

/** A RIM's results and all gradients, by name; with dropout where there is a rate. */
function graphOf({ options, steps, sequence }: Trial, drop: boolean): Record<string, Tensor> {
  const dropping = drop ? { dropout: new RandomState({ seed: 3 }) } : {};
  const rim = makeRIM(options, { seed: 7, ...dropping }, sequence);
  const shape = [steps, 3, options.inputSize];
  const x = variable('x', normal(shape, 1), shape);
  const { hidden, state, trace } = rim(x);
  let loss = sum(mul(hidden, constant(normal(hidden.shape, 2), hidden.shape)));
  for (const { h, c } of state) loss = add(loss, add(sum(square(h)), c === undefined ? 0 : sum(square(c))));
  const gradients = grad(loss, [x, ...rim.variables]);
  const named: Record<string, Tensor> = { hidden, 'd x': gradients.of(x) };
  for (const each of rim.variables) named[`d ${each.name}`] = gradients.of(each);
  state.forEach((each, i) => {
    for (const [name, tensor] of Object.entries(each)) named[`${name} after ${i}`] = tensor;
  });
  trace.forEach((each, i) => {
    for (const [name, tensor] of Object.entries(each)) named[`${name} ${i}`] = tensor;
  });
  return named;
}

test('a RIM in chunks is the RIM in one piece', async () => {
  const property = fc.asyncProperty(trials, async (trial) => {
    const one = { ...trial, sequence: { ...trial.sequence, chunk: trial.steps } };
    const many = { ...trial, sequence: { ...trial.sequence, chunk: trial.chunk } };
    const [a, b] = [await trained(graphOf(many, false)), await trained(graphOf(one, false))];
    assertEqual(a, b, 'to rounding');
  });
  await fc.assert(property, { seed, numRuns: 6 });
});

test('a RIM that recomputes is the RIM that keeps, gradients and dropout to the bit', async () => {
  const property = fc.asyncProperty(trials, fc.boolean(), async (trial, drop) => {
    const of = (again: boolean): Record<string, Tensor> =>
      graphOf({ ...trial, sequence: { ...trial.sequence, chunk: trial.chunk, recompute: again } }, drop);
    assertEqual(await trained(of(true)), await trained(of(false)), 'to the bit');
  });
  await fc.assert(property, { seed, numRuns: 6 });
});

// ---- any recurrence in chunks

/** An LSTM layer with dropout on its input, a running count, and a readout of each step. */
function recurrence(options: ScanOptions, drop = false): Record<string, Tensor> {
  const [T, B, D, H] = [7, 2, 3, 4];
  const random = new RandomState({ seed: 8 });
  const weight = (name: string, stream: number, ...shape: number[]): Tensor =>
    variable(name, normal(shape, stream), shape);
  const [x, w, u] = [weight('x', 1, T, B, D), weight('w', 2, D, 4 * H), weight('u', 3, H, 4 * H)];
  const start = { h: weight('h', 4, B, H), c: fill(0, [B, H]), n: fill(0, [1]) };
  const { outputs, state } = scan(
    (step, { h, c, n }) => {
      const own = drop ? dropout(step.x, { rate: 0.4, random }) : step.x;
      const next = lstmGates(matmul(h, u, matmul(own, tanh(w))), c);
      return { state: { h: next.h, c: next.c, n: add(n, 1) }, output: { h: next.h, read: sum(mul(next.c, own.size)) } };
    },
    { x },
    start,
    options,
  );
  const loss = add(sum(mul(outputs.h, outputs.h)), add(sum(state.c), sum(outputs.read)));
  const gradients = grad(loss, [x, w, u, start.h]);
  const d = (name: string, t: Tensor): Record<string, Tensor> => ({ [`d ${name}`]: gradients.of(t) });
  return { ...outputs, ...state, ...d('x', x), ...d('w', w), ...d('u', u), ...d('h', start.h) };
}

for (const reverse of [false, true]) {
  test(`a scan in chunks is the scan in one loop${reverse ? ', last to first' : ''}`, async () => {
    const whole = await trained(recurrence({ reverse }));
    assert.equal([...need(whole.n, 'n')], [7]);
    for (const chunk of [1, 2, 3, 6, 7, 100]) {
      assertEqual(await trained(recurrence({ reverse, chunk })), whole, 'to rounding');
    }
  });
}

test('a scan that recomputes draws the same random numbers, and gives the same gradients to the bit', async () => {
  for (const options of [{}, { chunk: 3 }, { chunk: 2, reverse: true }]) {
    const kept = await trained(recurrence(options, true));
    assertEqual(await trained(recurrence({ ...options, recompute: true }, true)), kept, 'to the bit');
  }
});

test('a scan that counts its steps itself, in chunks', async () => {
  const { outputs, state } = scan(
    (_, { n }) => ({ state: { n: add(n, 1) }, output: { n } }),
    {},
    { n: fill(0, [1]) },
    { steps: 5, chunk: 2, reverse: true },
  );
  const { all, last } = await evaluate(theDevice(), { all: outputs.n, last: state.n });
  assert.equal([...all], [4, 3, 2, 1, 0]);
  assert.equal([...last], [5]);
});

// ---- any function again

test('recompute: nested, with a scan over what it made, results passed through and read inside; to the bit', async () => {
  const graph = (wrap: <R extends object>(build: () => R) => R): Record<string, Tensor> => {
    const random = new RandomState({ seed: 8 });
    const x = variable('x', normal([5, 2, 3], 1), [5, 2, 3]);
    const w = variable('w', normal([3, 3], 2), [3, 3]);
    const first = tanh(x);
    const { state, list, same } = wrap(() => {
      const made = tanh(matmul(w, w));
      const inner = wrap(() => ({ y: dropout(matmul(first, made), { rate: 0.3, random }) }));
      const { state } = scan(
        (step, { h }) => ({ state: { h: tanh(add(matmul(h, made), step.y)) }, output: {} }),
        { y: inner.y },
        { h: slice(reshape(first, [10, 3]), 0, 0, 2) },
      );
      return { state, list: [square(made), inner.y], same: { first } };
    });
    const [a, b] = [at(list, 0), at(list, 1)];
    const loss = add(add(sum(state.h), sum(mul(a, w))), sum(mul(add(same.first, first), b)));
    const gradients = grad(loss, [x, w, first]);
    const d = { 'd x': gradients.of(x), 'd w': gradients.of(w), 'd first': gradients.of(first) };
    return { loss, a, b, h: state.h, first: same.first, ...d };
  };
  const again = graph(recompute);
  assertEqual(await trained(again), await trained(graph((build) => build())), 'to the bit');
  // What it means, in float64: the results themselves.
  const [meant] = await interpret([need(again.loss, 'loss')], { training: true });
  const { loss } = await trained({ loss: need(again.loss, 'loss') });
  const expected = at(need(meant, 'a value').data, 0);
  assert.ok(Math.abs(at(loss ?? [], 0) - expected) <= 1e-5 * Math.max(1, Math.abs(expected)));
});

test('what nobody reads of a recomputed function is not computed, forward or again', () => {
  const w = variable('w', normal([4], 1), [4]);
  const { read } = recompute(() => ({ read: tanh(w), unread: softplus(w) }));
  const labels = (tensor: Tensor): string[] =>
    planProgram({ tensor }, [], { training: true, subgroupSize: 0 }).items.flatMap((item) =>
      isLoop(item) ? [] : [item.label],
    );
  assert.equal(labels(sum(read)), ['tanh', 'sum']);
  assert.equal(labels(grad(sum(read), [w]).of(w)), ['broadcastTo+tanh+tanhBackward']);
});

test('recompute refuses nothing to compute, and the inside of a scan', async () => {
  await refused(() => recompute(() => ({ n: 1 })), 'OptionError', /return the tensors/);
  const cell = (_: object, { h }: { h: Tensor }) => recompute(() => ({ state: { h: tanh(h) }, output: {} }));
  await refused(() => scan(cell, {}, { h: fill(0, [2]) }, { steps: 3 }), 'OptionError', /recompute: true/);
});

test('gradients of neighbouring slices are laid side by side', async () => {
  const w = variable('w', normal([6, 64], 1), [6, 64]);
  const parts = [0, 1, 2].map((i) => slice(w, 0, 2 * i, 2));
  const loss = (n: number): Tensor =>
    parts.slice(0, n).reduce((total, part, i) => add(total, sum(mul(square(part), i + 1))), fill(0, []));
  const of = (n: number): Tensor => grad(loss(n), [w]).of(w);
  for (const [n, pads] of [
    [3, 0],
    [2, 1],
  ] as const) {
    const { items } = planProgram({ d: of(n) }, [], { training: true, subgroupSize: 0 });
    const labels = items.flatMap((item) => (isLoop(item) ? [] : [item.label]));
    assert.is(labels.filter((label) => label === 'pad').length > 0, pads > 0, labels.join());
    const { d } = await evaluate(theDevice(), { d: of(n) });
    const own = await w.read();
    d.forEach((value, i) => {
      const part = Math.floor(i / 128);
      const expected = part < n ? 2 * (part + 1) * at(own, i) : 0;
      assert.ok(Math.abs(value - expected) <= 1e-6 * Math.abs(expected), `element ${i}`);
    });
  }
});

test('impossible chunks are refused', async () => {
  const sizes = { inputSize: 4, hiddenSize: 4, modules: 2, active: 1 } as const;
  for (const chunk of [0, -1, 1.5, Number.NaN, 'none']) {
    const given = { ...sizes, chunk } as unknown as RIMOptions;
    await refused(() => RIM.paper(given, { seed: 1 }), 'OptionError', /chunk must be a whole number.*or 'auto'/);
    const options = { chunk } as unknown as ScanOptions;
    await refused(() => recurrence(options), 'OptionError', /^scan: chunk must be a whole number/);
  }
  const given = { ...sizes, recompute: 'yes' } as unknown as RIMOptions;
  await refused(() => RIM.paper(given, { seed: 1 }), 'OptionError', /recompute must be true or false/);
  await refused(() => recurrence({ chunks: 2 } as ScanOptions), 'OptionError', /Did you mean 'chunk'/);
});

test.run();
