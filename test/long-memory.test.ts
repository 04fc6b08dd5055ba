// Long sequences in memory: a RIM of the paper's sizes over 784 steps keeps the limits of every WebGPU device, in calls and submits
// of bounded work; recomputation makes it smaller; what is too large in one piece is refused and told the mend.
// That the numbers are the same is in long.test.ts.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cutsOf, workOf } from '../engine/calls.ts';
import { at, need } from '../engine/errors.ts';
import { checkLimits } from '../engine/limits.ts';
import {
  compile,
  concat,
  crossEntropy,
  grad,
  input,
  linear,
  RandomState,
  reshape,
  sgd,
  sum,
  type Tensor,
  type Update,
  variable,
} from '../engine/node.ts';
import { dispatchesOf, isLoop, type Plan } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import { normalArray } from '../engine/random.ts';
import { type Preset, RIM, type RIMOptions, type RIMResult } from '../rims/index.ts';
import { bits, onAdapter, refused, theDevice } from './on-adapter.ts';

onAdapter(test);

const seed = Number(process.env.RIMGRAD_SEED ?? Date.now() % 1_000_000_007);
console.log(`fast-check seed ${seed} (RIMGRAD_SEED=${seed} repeats this run)`);

const MiB = 2 ** 20;
/** The limits that every WebGPU device has. */
const LIMITS = { maxStorageBufferBindingSize: 128 * MiB, maxBufferSize: 256 * MiB };

/** A training step of a RIM with a readout of the last state, or of every one. */
function step(
  options: RIMOptions,
  [T, B]: readonly [number, number],
  { every = false, drop = false, preset = 'paper' }: { every?: boolean; drop?: boolean; preset?: Preset } = {},
): { loss: Tensor; updates: readonly Update[]; result: RIMResult } {
  const rim = RIM[preset](options, { seed: 1, ...(drop && { dropout: new RandomState({ seed: 2 }) }) });
  const width = rim.cells.length * options.modules * options.hiddenSize;
  const readout = linear({ from: width, to: 10 }, { seed: 3 });
  const y = input('y', every ? [T, B] : [B], 'u32');
  const result = rim(input('x', [T, B, options.inputSize]));
  const last = result.state.map(({ h }) => reshape(h, [B, options.modules * options.hiddenSize]));
  const read = every ? result.hidden : concat(last, 1);
  const loss = crossEntropy(readout(read), y);
  return { loss, updates: sgd(grad(loss, [...rim.variables, ...readout.variables]), { learningRate: 0.1 }), result };
}

const planOf = ({ loss, updates }: ReturnType<typeof step>): Plan =>
  planProgram({ loss }, updates, { training: true, subgroupSize: 8 });
const bytesOf = (plan: Plan): number => plan.slots.reduce((a, b) => a + b, 0);

test('memory falls with recomputation, and the numbers stay', async () => {
  const device = theDevice();
  const options = { inputSize: 16, hiddenSize: 8, modules: 4, active: 2, keySize: 8, valueSize: 16 } as const;
  const [T, B] = [48, 16];
  const feeds = {
    x: normalArray(T * B * 16, { seed: 5, stream: 1 }),
    y: Uint32Array.from({ length: B }, (_, i) => i % 10),
  };
  const results: { bytes: number; memory: number; loss: number[] }[] = [];
  for (const recompute of [false, true]) {
    const { loss, updates } = step({ ...options, chunk: 6, recompute }, [T, B]);
    const before = device.memory().bytes;
    const program = await compile(device, { loss }, updates);
    const memory = device.memory();
    const losses: number[] = [];
    for (let i = 0; i < 3; i++) {
      await program.run(feeds);
      losses.push(...bits(await program.read('loss')));
    }
    results.push({ bytes: program.bytes, memory: memory.bytes - before, loss: losses });
    program.dispose();
  }
  const [kept, again] = [at(results, 0), at(results, 1)];
  assert.equal(again.loss, kept.loss);
  assert.ok(again.bytes < 0.45 * kept.bytes, `${again.bytes} of ${kept.bytes}`);
  assert.ok(again.memory < 0.6 * kept.memory, `${again.memory} of ${kept.memory}`);
});

// D, N, K, V, C, F and W of the paper's models.
const paper = { inputSize: 600, hiddenSize: 100, modules: 6, active: 4, keySize: 64, valueSize: 400 } as const;

for (const path of ['auto', 'plain'] as const) {
  for (const cell of ['lstm', 'gru'] as const) {
    const sizesOf = (plan: Plan): string[] =>
      dispatchesOf(plan).flatMap(({ buffers }) => buffers.map(({ place }) => place.value.label));
    test(`784 steps at batch 64 keep every device's limits: ${path}, ${cell}`, () => {
      const size = [784, 64] as const;
      const kept = planOf(step({ ...paper, path, cell }, size));
      const again = planOf(step({ ...paper, path, cell, recompute: true }, size));
      const every = planOf(step({ ...paper, path, cell, recompute: true }, size, { every: true, drop: true }));
      for (const plan of [kept, again, every]) {
        checkLimits(LIMITS, plan);
        // No call, and so no submit, takes more than two seconds where a device does 10 G operations a second.
        for (const dispatch of dispatchesOf(plan)) assert.ok(workOf(dispatch) <= 2e10, dispatch.label);
      }
      assert.ok(bytesOf(again) < 0.4 * bytesOf(kept), `${bytesOf(again)} of ${bytesOf(kept)}`);
      // What the last state needs does not include the states of all steps side by side.
      const wholes = [kept, again, every].map((plan) =>
        sizesOf(plan).some((label) => /^(?!input).*784,64,600/.test(label)),
      );
      assert.equal(wholes, [false, false, true]);
      // Programs grow with the chunks only, kernels do not.
      const short = planOf(step({ ...paper, path, cell }, [196, 64]));
      const kernels = (plan: Plan): number => new Set(dispatchesOf(plan).map(({ source }) => source)).size;
      assert.ok(kernels(kept) <= kernels(short) + 2, `${kernels(kept)} kernels, ${kernels(short)} of a short one`);
      assert.ok(kept.items.length <= 6 * short.items.length);
    });
  }
}

const wide = { commHeads: 8, commKeySize: 4, commValueSize: 4 } as const;
const cases: readonly {
  readonly name: string;
  readonly options: RIMOptions;
  readonly size: readonly [number, number];
  readonly watched?: true;
}[] = [
  {
    name: 'null gates in the gradient of the input',
    options: {
      ...{ inputSize: 1, hiddenSize: 512, modules: 6, active: 4, keySize: 4, valueSize: 8, cell: 'gru' },
      cellBias: true,
      ...{ commHeads: 1, commKeySize: 4, commValueSize: 4 },
    },
    size: [784, 64],
  },
  {
    name: 'many small heads, padded',
    options: {
      ...{ inputSize: 1, hiddenSize: 1, modules: 8, active: 4, keySize: 1, valueSize: 4 },
      ...{ commHeads: 64, commKeySize: 1, commValueSize: 1 },
    },
    size: [784, 512],
  },
  {
    name: 'pairs of modules, and the factors of dropout on them',
    options: { inputSize: 1, hiddenSize: 8, modules: 64, active: 32, ...wide },
    size: [12, 64],
    watched: true,
  },
];
for (const { name, options, size, watched } of cases) {
  test(`chunks keep every device's limits: ${name}`, () => {
    const { loss, updates, result } = step(options, size, { preset: 'dido', drop: true });
    assert.equal(result.paths, ['fused']);
    const { communicationAttention } = at(result.trace, 0);
    const outputs = watched ? { loss, read: need(communicationAttention, 'the attention') } : { loss };
    checkLimits(LIMITS, planProgram(outputs, updates, { training: true, subgroupSize: 8 }));
  });
}

test('a step whose fused rows no device binds takes the plain path, and fits', () => {
  const sizes = { inputSize: 4, hiddenSize: 64, modules: 64, active: 32 } as const;
  const training = step(sizes, [1, 1024]);
  assert.match(at(training.result.paths, 0), /^plain: a step of \d+ bytes/);
  checkLimits(LIMITS, planOf(training));
});

const some = (...sizes: readonly number[]): fc.Arbitrary<number> => fc.constantFrom(...sizes);
const sequences = fc.record({
  preset: fc.constantFrom<Preset>('paper', 'official', 'dido'),
  dropout: fc.constantFrom('none' as const, 'values' as const, 'probabilities' as const),
  /** About those of the largest sequence, of all chunks: one holds 25 million. */
  elements: fc.integer({ min: 5e7, max: 3e8 }),
  inputBias: fc.boolean(),
  sequence: fc.record({
    path: fc.constantFrom('auto' as const, 'auto' as const, 'plain' as const),
    bidirectional: fc.constantFrom(false, false, true),
  }),
  options: fc.record({
    cell: fc.constantFrom('lstm' as const, 'gru' as const),
    sources: fc.constantFrom('kept' as const, 'candidate' as const),
    commOutput: fc.constantFrom('residual' as const, 'gated' as const),
    cellBias: fc.boolean(),
    // Few weights: the gradients of all, which an update reads side by side, are no chunk's.
    ...{ inputSize: some(1, 8), hiddenSize: some(1, 9, 60), modules: some(1, 8, 30) },
    ...{ keySize: some(1, 30), valueSize: some(1, 30, 300) },
    ...{ commHeads: some(1, 30), commKeySize: some(1, 20), commValueSize: some(1, 20) },
  }),
});

test('no tensor of a drawn model is larger than chunks promise: 96 MiB', () => {
  const T = 784;
  const property = fc.property(sequences, ({ preset, dropout, elements, inputBias, sequence, options }) => {
    const { modules: N, hiddenSize: H, keySize: E, valueSize: V, commHeads: C, commKeySize: F } = options;
    const own = Math.max(6 * H + E, V, C * (2 * F + options.commValueSize));
    // The input is no chunk's: it is kept smaller.
    const B = Math.max(1, Math.floor(elements / (T * Math.max(N * own, C * N * N, 20 * options.inputSize))));
    const given = {
      ...options,
      ...sequence,
      active: Math.ceil(N / 2),
      ...(preset === 'paper' && { inputBias }),
      ...(dropout === 'none' ? { inputDropout: 0, commDropout: 0 } : { dropoutOn: dropout }),
    };
    const every = T * B * Math.max(2 * N * H, 30) <= 2e7;
    const training = step(given, [T, B], { preset, drop: true, every });
    assert.ok(training.result.paths.every((each) => (each === 'fused') === (sequence.path === 'auto')));
    checkLimits({ ...LIMITS, maxStorageBufferBindingSize: 96 * MiB }, planOf(training));
  });
  fc.assert(property, { seed, numRuns: 60 });
});

test('the paper copying model, 70 steps, stays in one piece', () => {
  const plan = planOf(step(paper, [70, 64]));
  assert.is(plan.items.filter(isLoop).length, 2);
});

test('submits are of bounded work: a call over the bound is alone', () => {
  const { items } = planOf(step({ inputSize: 4, hiddenSize: 2, modules: 2, active: 1 }, [3, 2]));
  const [small] = items.flatMap((item) => (isLoop(item) ? [] : [item]));
  const call = (operations: number) => ({ dispatch: { ...need(small, 'a call'), operations } });
  assert.equal(cutsOf([call(1), call(1), call(1)]), [3]);
  assert.equal(cutsOf([call(9e9), call(9e9), call(9e9), call(1)]), [2, 4]);
  assert.equal(cutsOf([call(1), call(5e10), call(5e10), call(1)]), [1, 2, 3, 4]);
  assert.equal(cutsOf(new Array(45_000).fill(call(1))), [20_000, 40_000, 45_000]);
  const large = {
    ...need(small, 'a call'),
    buffers: need(small, 'a call').buffers.map((b) => ({ ...b, place: { ...b.place, bytes: 8e9 } })),
  };
  assert.ok(large.buffers.length >= 2);
  assert.equal(cutsOf([{ dispatch: large }, { dispatch: large }]), [1, 2], 'bytes count as operations do');
});

test('what is too large in one piece is told that there are chunks', async () => {
  const plan = planOf(step({ ...paper, chunk: 784 }, [784, 64]));
  await refused(() => checkLimits(LIMITS, plan), 'LimitError', /the option chunk/);
});

test('weights that are too large are told what makes weights smaller', async () => {
  const plan = planProgram({ y: sum(variable('w', new Float32Array(300), [300])) }, [], {
    training: false,
    subgroupSize: 8,
  });
  const limits = { ...LIMITS, maxStorageBufferBindingSize: 1024 };
  await refused(
    () => checkLimits(limits, plan),
    'LimitError',
    /binds variable w \[300\], 1200 bytes,.*valueSize, hiddenSize/,
  );
});

test.run();
