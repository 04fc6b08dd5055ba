// Long sequences in memory: a RIM of the paper's sizes over 784 steps keeps the limits of every WebGPU device, in calls and submits
// of bounded work; recomputation makes it smaller; what is too large in one piece is refused and told the mend.
// That the numbers are the same is in long.test.ts.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at, need } from '../engine/errors.ts';
import { checkLimits } from '../engine/limits.ts';
import {
  compile,
  crossEntropy,
  grad,
  input,
  linear,
  RandomState,
  reshape,
  sgd,
  type Tensor,
  type Update,
} from '../engine/node.ts';
import { dispatchesOf, isLoop, type Plan } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import { cutsOf, workOf } from '../engine/program.ts';
import { normalArray } from '../engine/random.ts';
import { RIM, type RIMOptions } from '../rims/index.ts';
import { bits, onAdapter, refused, theDevice } from './on-adapter.ts';

onAdapter(test);

const MiB = 2 ** 20;
/** The limits that every WebGPU device has. */
const LIMITS = { maxStorageBufferBindingSize: 128 * MiB, maxBufferSize: 256 * MiB };

/** A training step of a RIM with a readout of the last state, or of every one. */
function step(
  options: RIMOptions,
  [T, B]: readonly [number, number],
  { every = false, drop = false } = {},
): { loss: Tensor; updates: readonly Update[] } {
  const rim = RIM.paper(options, { seed: 1, ...(drop && { dropout: new RandomState({ seed: 2 }) }) });
  const width = options.modules * options.hiddenSize;
  const readout = linear({ from: width, to: 10 }, { seed: 3 });
  const y = input('y', every ? [T, B] : [B], 'u32');
  const { hidden, state } = rim(input('x', [T, B, options.inputSize]));
  const read = every ? hidden : reshape(at(state, 0).h, [B, width]);
  const loss = crossEntropy(readout(read), y);
  return { loss, updates: sgd(grad(loss, [...rim.variables, ...readout.variables]), { learningRate: 0.1 }) };
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
      assert.not.ok([kept, again].some((plan) => dispatchesOf(plan).some(({ label }) => /784,64,600/.test(label))));
      // Programs grow with the chunks only, kernels do not.
      const short = planOf(step({ ...paper, path, cell }, [196, 64]));
      const kernels = (plan: Plan): number => new Set(dispatchesOf(plan).map(({ source }) => source)).size;
      assert.ok(kernels(kept) <= kernels(short) + 2, `${kernels(kept)} kernels, ${kernels(short)} of a short one`);
      assert.ok(kept.items.length <= 6 * short.items.length);
    });
  }
}

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

test.run();
