// What exhaustion does: a device that fails at any of its buffers, pipelines, mappings or scopes gives a typed error that
// says what was asked and what to do, nothing of it stays behind, and the device works on.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { RimgradError } from '../engine/errors.ts';
import {
  adam,
  compile,
  type Device,
  evaluate,
  grad,
  input,
  linear,
  matmul,
  mul,
  openDevice,
  scan,
  sum,
  tanh,
  tune,
  type Update,
  variable,
} from '../engine/node.ts';
import { type Failing, type Failure, fail } from './failing-device.ts';
import { bits, refused } from './on-adapter.ts';

/** Opens a device for one test and frees it whatever happens. */
function onDevice(name: string, body: (device: Device) => Promise<void>): void {
  test(name, async () => {
    const device = await openDevice();
    try {
      await body(device);
    } finally {
      device.dispose();
    }
  });
}

/** Everything that the device says it holds, its peak apart. */
const heldBy = (device: Device) => ({ ...device.memory(), peak: 0 });

async function failureOf(act: () => Promise<unknown>): Promise<Error | undefined> {
  try {
    await act();
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
  return undefined;
}

/** A small training step: a scan, a product, an optimiser whose Variables are joined. */
function small() {
  const read = linear({ from: 3, to: 2 }, { seed: 1 });
  const start = variable('start', [0.1, 0.2, 0.3], [3]);
  const { outputs } = scan(
    ({ x }, { h }) => ({ state: { h: tanh(mul(h, x)) }, output: { h: tanh(h) } }),
    { x: input('x', [4, 3]) },
    { h: start },
  );
  const loss = sum(read(outputs.h));
  const updates: readonly Update[] = adam(grad(loss, read.variables), { learningRate: 0.1, clipNorm: 1 });
  const variables = new Set([start, ...read.variables, ...updates.flatMap((update) => update.variables)]);
  const dispose = (): void => {
    for (const each of variables) each.dispose();
  };
  return {
    loss,
    updates,
    variables: [...variables],
    dispose,
    feeds: { x: Float32Array.from({ length: 12 }, (_, i) => i / 12) },
  };
}

/** Counts the calls of a kind that an act makes. */
async function countOf(device: Device, failure: Failure, act: () => Promise<unknown>): Promise<number> {
  const watch: Failing = fail(device, failure, Number.POSITIVE_INFINITY);
  await act();
  watch.mend();
  return watch.calls;
}

/** The loss after two steps. */
async function trained(device: Device): Promise<number[]> {
  const { loss, updates, feeds, dispose } = small();
  const program = await compile(device, { loss }, updates);
  await program.run(feeds);
  await program.run(feeds);
  const result = bits(await program.read('loss'));
  program.dispose();
  dispose();
  return result;
}

const ASKED =
  /^compile: the device is out of memory \(made to fail\): the program asks for \d+ buffers of \d+ bytes in all, the largest of them for .+ \[.*\], \d+ bytes, beside \d+ bytes that are held already; dispose of programs/;
const failures: readonly (readonly [Failure, string, RegExp])[] = [
  ['memory', 'LimitError', ASKED],
  ['invalid', 'DeviceError', /^compile: WebGPU refused it: [\s\S]*; please report it/],
  [
    'throw',
    'LimitError',
    /^(slot|uniforms|variable) .*: the device is out of memory \(createBuffer failed\): a buffer of \d+ bytes,.* dispose of/,
  ],
  ['pipeline', 'DeviceError', /^the kernel \w+ did not compile on this device:\nthe driver gave up\nFree memory/],
  ['module', 'DeviceError', /^the kernel \w+ did not compile on this device:\nno module\nFree memory/],
];

for (const [failure, name, message] of failures) {
  onDevice(`a compile that fails at any call: ${failure}`, async (device) => {
    const result = await trained(device);
    // A device keeps the pipelines that it has made: where they are to fail, it must be new.
    const kept = failure !== 'pipeline' && failure !== 'module';
    const anew = (): Promise<Device> => (kept ? Promise.resolve(device) : openDevice());
    const first = await anew();
    const calls = await countOf(first, failure, async () => {
      const { loss, updates, dispose } = small();
      (await compile(first, { loss }, updates)).dispose();
      dispose();
    });
    assert.ok(calls >= 5, `${calls} calls`);
    const chosen = kept ? Array.from({ length: calls }, (_, n) => n) : [0, calls - 1];
    for (const n of chosen) {
      const own = await anew();
      const { loss, updates, variables, feeds, dispose } = small();
      const before = heldBy(own);
      const failing = fail(own, failure, n);
      await refused(() => compile(own, { loss }, updates), name, message);
      failing.mend();
      assert.equal(heldBy(own), before, `call ${n} of ${calls}`);
      assert.not.ok(variables.some((each) => own.holds(each)));
      own.check();
      const program = await compile(own, { loss }, updates);
      await program.run(feeds);
      await program.run(feeds);
      assert.equal(bits(await program.read('loss')), result, `after a failure at call ${n}`);
      program.dispose();
      dispose();
      if (!kept) own.dispose();
    }
    if (!kept) first.dispose();
  });
}

onDevice('a scope that cannot be closed is an error of the call', async (device) => {
  await trained(device);
  const { loss, updates } = small();
  const before = heldBy(device);
  // All kernels are compiled: both scopes are those of the buffers.
  for (const n of [0, 1]) {
    const failing = fail(device, 'scope', n);
    await refused(
      () => compile(device, { loss }, updates),
      'DeviceError',
      /^compile: WebGPU refused it: the scope was lost/,
    );
    failing.mend();
    assert.equal(heldBy(device), before);
  }
  (await compile(device, { loss }, updates)).dispose();
});

onDevice('of two compiles at once that share weights, one that fails takes nothing from the other', async (device) => {
  const w = variable('w', [1, 2, 3, 4], [4]);
  const both = () => [compile(device, { y: tanh(w) }), compile(device, { y: mul(w, 2) })] as const;
  const watch = fail(device, 'memory', Number.POSITIVE_INFINITY);
  for (const program of await Promise.all(both())) program.dispose();
  w.dispose();
  watch.mend();
  for (let n = 0; n < watch.calls; n++) {
    const failing = fail(device, 'memory', n);
    const programs = await Promise.allSettled(both());
    failing.mend();
    assert.is(programs.filter(({ status }) => status === 'rejected').length, 1, `call ${n}`);
    for (const each of programs) {
      if (each.status === 'rejected') continue;
      await each.value.run();
      assert.is((await each.value.read('y')).length, 4);
      each.value.dispose();
    }
    w.dispose();
    assert.is(device.memory().buffers, 1, 'the staging buffer of reads');
    device.check();
  }
});

onDevice('what a Variable was trained to is not lost where another program does not fit', async (device) => {
  const w = variable('w', [0.5, -0.5], [2]);
  const program = await compile(device, { loss: sum(w) }, adam(grad(sum(w), [w]), { learningRate: 0.1 }));
  await program.run();
  const value = bits(await w.read());
  for (const failure of ['memory', 'invalid', 'throw'] as const) {
    const before = heldBy(device);
    const failing = fail(device, failure, 0);
    assert.ok((await failureOf(() => compile(device, { y: tanh(w) }))) instanceof RimgradError);
    failing.mend();
    assert.equal(heldBy(device), before);
    assert.equal(bits(await w.read()), value, failure);
  }
  await program.run();
  assert.not.equal(bits(await w.read()), value);
});

onDevice('a read without memory is an error of the read', async (device) => {
  const y = tanh(input('x', [3, 2]));
  const program = await compile(device, { y });
  const x = Float32Array.of(0, 1, 2, 3, 4, 5);
  await program.run({ x });
  const cases: readonly (readonly [Failure, string, RegExp])[] = [
    [
      'memory',
      'LimitError',
      /^reading 'y' \[3,2\]: the device is out of memory \(made to fail\): a staging buffer of 24 bytes, beside \d+ bytes/,
    ],
    ['invalid', 'DeviceError', /^reading 'y' \[3,2\]: WebGPU refused it/],
    ['throw', 'LimitError', /^reading 'y' \[3,2\]: the device is out of memory \(createBuffer failed\)/],
    [
      'map',
      'DeviceError',
      /^reading 'y' \[3,2\]: the device did not give back the data \(nothing was mapped\); read it again/,
    ],
    ['range', 'LimitError', /^reading 'y' \[3,2\]: .*24 bytes.*Array buffer allocation failed/],
    ['scope', 'DeviceError', /^reading 'y' \[3,2\]: WebGPU refused it: the scope was lost/],
  ];
  const before = heldBy(device);
  for (const [failure, name, message] of cases) {
    const failing = fail(device, failure, 0);
    await refused(() => program.read('y'), name, message);
    failing.mend();
    assert.equal(heldBy(device), before, failure);
    device.check();
  }
  assert.equal(await program.read('y'), (await evaluate(device, { y }, { x })).y);
  const w = variable('weights', new Float32Array(800), [2, 400]);
  await compile(device, { z: sum(w) });
  const failing = fail(device, 'memory', 0);
  await refused(() => w.read(), 'LimitError', /^reading variable weights \[2,400\]: /);
  failing.mend();
  assert.is((await w.read()).length, 800);
});

onDevice('a profile without memory changes no Variable', async (device) => {
  const { loss, updates, variables, feeds } = small();
  const program = await compile(device, { loss }, updates);
  await program.run(feeds);
  await program.profile(feeds);
  const values = async () => Promise.all(variables.map(async (each) => bits(await each.read())));
  const trainedTo = await values();
  const before = heldBy(device);
  const calls = await countOf(device, 'memory', () => program.profile(feeds));
  assert.ok(calls >= 2);
  for (let n = 0; n < calls; n++) {
    const failing = fail(device, 'memory', n);
    await refused(
      () => program.profile(feeds),
      'LimitError',
      /^(profile|reading timestamps): the device is out of memory/,
    );
    failing.mend();
    assert.equal(heldBy(device), before, `call ${n}`);
    assert.equal(await values(), trainedTo);
  }
  await program.run(feeds);
  await program.profile(feeds);
});

onDevice('a tuning without memory, or of products that a device does not hold, leaves it as it was', async (device) => {
  const shape = { batches: 1, m: 16, n: 16, k: 16, a: 'k', b: 'n', masked: 'terms' } as const;
  for (const n of [0, 3, 6, 9]) {
    const failing = fail(device, 'memory', n);
    await refused(
      () => tune(device, [shape]),
      'LimitError',
      /^tune: the device is out of memory \(made to fail\): a buffer of \d+ bytes for products of .*"m":16/,
    );
    failing.mend();
    assert.is(device.memory().buffers, 0, `buffer ${n}`);
    device.check();
  }
  await refused(
    () => tune(device, [{ ...shape, m: 2 ** 13, k: 2 ** 13 }]),
    'LimitError',
    /^tune: an operand of .*8192.*: takes 268435456 bytes \(256\.0 MiB\), and maxStorageBufferBindingSize of this device is 134217728/,
  );
  assert.is(device.memory().buffers, 0);
  const a = input('a', [2, 3]);
  const { y } = await evaluate(
    device,
    { y: matmul(a, variable('b', [1, 1, 1], [3, 1])) },
    {
      a: Float32Array.of(1, 2, 3, 4, 5, 6),
    },
  );
  assert.equal(y, Float32Array.of(6, 15));
});

test.run();
