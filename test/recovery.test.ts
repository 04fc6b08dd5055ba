// The loss of a device in the middle of a training: whatever is awaited at that moment rejects with a DeviceLostError, the training goes
// on with a new device from its last checkpoint to the same bytes and the same figures, and gives up where nothing gets further. A
// device that a user brought is never destroyed, and never taken again once it is lost. Drawn moments print their seed.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readRunConfig } from '../bench/runs.ts';
import { trainerOn } from '../bench/train.ts';
import { at, DeviceError, DeviceLostError, FeedError, need } from '../engine/errors.ts';
import { Health } from '../engine/health.ts';
import {
  adam,
  compile,
  constant,
  type Device,
  fill,
  grad,
  input,
  loadCheckpoint,
  matmul,
  openDevice,
  saveCheckpoint,
  square,
  sub,
  sum,
  tanh,
  variable,
  withRecovery,
} from '../engine/node.ts';
import { uniformArray } from '../engine/random.ts';
import { refused } from './on-adapter.ts';
import { mainJob, random, sameRuns, tiny, tinyRIM } from './tiny-training.ts';

const seed = Number(process.env.RIMGRAD_SEED ?? Date.now() % 1_000_000_007);
console.log(`losses drawn from seed ${seed} (RIMGRAD_SEED=${seed} draws them again)`);

/** What is asked of a device while it trains. */
const ASKED = ['submit', 'mapAsync', 'createComputePipelineAsync', 'popErrorScope', 'createBindGroup'] as const;
type Asked = (typeof ASKED)[number];

/** Calls `at` right before and right behind each call of these kinds. */
function spied(device: Device, at: (kind: Asked, before: boolean) => void): Device {
  const spy = <A extends unknown[], R>(own: object, kind: Asked, call: (...args: A) => R): void => {
    const value = (...args: A): R => {
      at(kind, true);
      const result = call.apply(own, args);
      at(kind, false);
      return result;
    };
    Object.defineProperty(own, kind, { value });
  };
  const { gpu } = device;
  spy(gpu.queue, 'submit', gpu.queue.submit);
  spy(gpu, 'createComputePipelineAsync', gpu.createComputePipelineAsync);
  spy(gpu, 'popErrorScope', gpu.popErrorScope);
  spy(gpu, 'createBindGroup', gpu.createBindGroup);
  const create = gpu.createBuffer.bind(gpu);
  Object.defineProperty(gpu, 'createBuffer', {
    value: (descriptor: GPUBufferDescriptor) => {
      const buffer = create(descriptor);
      spy(buffer, 'mapAsync', buffer.mapAsync);
      return buffer;
    },
  });
  return device;
}

/** Destroys a device right before or right behind the n-th call of a kind. */
function losing(device: Device, kind: Asked, n: number, before: boolean): Device {
  let left = n;
  return spied(device, (called, now) => {
    if (called === kind && now === before && --left === 0) device.gpu.destroy();
  });
}

const protocol = [...random, '--steps', '24', '--evaluate-every', '10', '--checkpoint-every', '4', '--name', 'a'];
const args = [...tiny, ...protocol, '--select', 'validation'];

test('a training whose device is destroyed at drawn moments ends with the same bytes and figures', async () => {
  const out = mkdtempSync(join(tmpdir(), 'rimgrad-loss-'));
  try {
    const asked = { submit: 0, mapAsync: 0, createComputePipelineAsync: 0, popErrorScope: 0, createBindGroup: 0 };
    const counting = async (): Promise<Device> =>
      spied(await openDevice(), (kind, before) => {
        if (before) asked[kind]++;
      });
    const whole = await mainJob([...args, '--out', join(out, 'whole')], trainerOn(counting));
    assert.is(whole.code, 0, whole.stderr);
    for (const kind of ASKED) assert.ok(asked[kind] > 20, `${kind}: ${asked[kind]}`);
    const draws = uniformArray(2 * 3 * ASKED.length, { seed, stream: 41 });
    for (const [k, kind] of ASKED.entries()) {
      // Three losses a training, each on the device opened last; each is anywhere in what the kind is asked for.
      let opened = 0;
      const moments: string[] = [];
      const lossy = async (): Promise<Device> => {
        const device = await openDevice();
        const i = opened++;
        if (i >= 3) return device;
        const [where, side] = [at(draws, 2 * (3 * k + i)), at(draws, 2 * (3 * k + i) + 1)];
        const n = 1 + Math.floor((where * asked[kind]) / 2);
        moments.push(`${side < 0.5 ? 'before' : 'behind'} ${kind} ${n}`);
        return losing(device, kind, n, side < 0.5);
      };
      const folder = join(out, kind);
      const { code, stderr } = await mainJob([...args, '--out', folder], trainerOn(lossy));
      const told = [
        ...stderr.matchAll(/^rimgrad: the device was lost.*\. Going on with a new device from the last checkpoint$/gm),
      ];
      if (code !== 0) {
        assert.match(stderr, 'given up after 3 losses in a row', moments.join());
        const on = await mainJob(['--resume', join(folder, 'a')]);
        assert.is(on.code, 0, on.stderr);
      } else assert.is(told.length, opened - 1, `${moments.join()}: ${stderr}`);
      assert.ok(opened > 1, `${moments.join()}: none was lost`);
      sameRuns(join(folder, 'a'), join(out, 'whole', 'a'), moments.join());
    }
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
});

test('a training that goes on on another adapter says so, and its run is of that one', async () => {
  const out = mkdtempSync(join(tmpdir(), 'rimgrad-loss-'));
  try {
    const adapters = ['a GPU', 'a GPU', 'another GPU', 'another GPU'];
    const open = async (): Promise<Device> => {
      const device = await openDevice();
      const value = { ...device.adapter, description: adapters.shift() };
      Object.defineProperty(device, 'adapter', { value });
      return adapters.length === 0 ? device : losing(device, 'submit', 30, true);
    };
    const { code, stdout, stderr } = await mainJob([...tinyRIM, ...protocol, '--out', out], trainerOn(open));
    assert.is(code, 0, stderr);
    assert.equal(adapters, []);
    const told = [
      ...stdout.matchAll(/^The run was on a GPU, and goes on on another GPU: its last digits may differ/gm),
    ];
    assert.is(told.length, 1, stdout);
    assert.is(readRunConfig(join(out, 'a')).adapter, 'another GPU');
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
});

/** What a promise rejects with, at the latest after some seconds: then it hangs. */
async function rejection(promise: Promise<unknown>): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('it hangs')), 20_000);
  });
  try {
    await Promise.race([promise, late]);
    return undefined;
  } catch (error) {
    return error;
  } finally {
    clearTimeout(timer);
  }
}

test('everything that is awaited at the moment of a loss rejects, and nothing hangs', async () => {
  const device = await openDevice();
  const a = constant(new Float32Array(256 * 256), [256, 256]);
  const w = variable('w', new Float32Array(64), [64]);
  const program = await compile(device, { y: sum(matmul(matmul(a, a), a)), z: tanh(w) });
  await program.run();
  const awaited: readonly (readonly [string, Promise<unknown>])[] = [
    ...Array.from({ length: 8 }, (_, i) => [`run ${i}`, program.run()] as const),
    ['read', program.read('y')],
    ['variable', w.read()],
    ['checkpoint', saveCheckpoint([w], {})],
    ['idle', device.idle()],
    ['compile', compile(device, { q: square(tanh(fill(1, [7]))) })],
    ['profile', program.profile()],
  ];
  const outcomes = awaited.map(async ([name, promise]) => [name, await rejection(promise)] as const);
  device.gpu.destroy();
  for (const [name, error] of await Promise.all(outcomes)) {
    // Those that were submitted at once may have been run.
    if (!/run [012]/.test(name) || error !== undefined) assert.instance(error, DeviceLostError, `${name}: ${error}`);
  }
  for (const act of [() => program.run(), () => w.read(), () => device.idle(), () => compile(device, { q: tanh(a) })]) {
    assert.instance(await rejection(act()), DeviceLostError);
  }
  assert.instance(await device.loss(), DeviceLostError);
  device.dispose();
});

test('disposing of a device rejects what waits for it too', async () => {
  const device = await openDevice();
  const a = constant(new Float32Array(256 * 256), [256, 256]);
  const program = await compile(device, { y: sum(matmul(matmul(a, a), a)) });
  const awaited = [...Array.from({ length: 6 }, () => program.run()).slice(3), device.idle()].map(rejection);
  device.dispose();
  for (const error of await Promise.all(awaited)) {
    assert.instance(error, DeviceError);
    assert.match(String(error), /the device was disposed of; open a new one/);
  }
  assert.is(await device.loss(), undefined);
});

test('what WebGPU never settles rejects when the device goes, and a loss takes the place of the fault that it caused', async () => {
  let lose: (info: GPUDeviceLostInfo) => void = () => {};
  const listeners: ((event: unknown) => void)[] = [];
  const gpu = {
    lost: new Promise<GPUDeviceLostInfo>((resolve) => {
      lose = resolve;
    }),
    addEventListener: (_: string, listener: (event: unknown) => void) => listeners.push(listener),
    removeEventListener: () => listeners.splice(0),
  } as unknown as GPUDevice;
  let gone = 0;
  const health = new Health(gpu, true, () => gone++);
  const never = [1, 2].map(() => health.until(new Promise(() => {})));
  assert.is(await health.until(Promise.resolve(3)), 3);
  assert.is(await health.loss(), undefined, 'it waits a moment only');
  for (const each of listeners) each({ preventDefault: () => {}, error: { message: 'parent is lost' } });
  assert.throws(() => health.check(), /the device reported: parent is lost/);
  const loss = health.loss();
  lose({ reason: 'unknown', message: 'it fell off the bus' } as GPUDeviceLostInfo);
  for (const each of never) {
    const error = await rejection(each);
    assert.instance(error, DeviceLostError);
    assert.match(String(error), 'the device was lost (it fell off the bus); open a new one');
    assert.match(String((error as Error).cause), 'parent is lost');
  }
  assert.instance(await loss, DeviceLostError, 'the word that came late');
  assert.throws(() => health.check(), /it fell off the bus/);
  assert.is(gone, 1);
  health.end();
  assert.equal(listeners, []);
  assert.throws(() => health.check(), /disposed of/);
});

/** A device that is not the library's own. */
async function rawDevice(): Promise<GPUDevice> {
  const { create } = await import('webgpu');
  const gpu = create([]);
  const adapter = need((await gpu.requestAdapter()) ?? undefined, 'an adapter');
  const raw = await adapter.requestDevice();
  kept.push(gpu);
  return raw;
}
const kept: GPU[] = [];

test("a user's device is never destroyed, and when it is lost the user is asked for a new one", async () => {
  const raw = await rawDevice();
  let lost = false;
  void raw.lost.then(() => {
    lost = true;
  });
  const fail = (device: Device): Promise<never> => {
    device.check();
    throw new FeedError('a fault of the work');
  };
  await refused(() => withRecovery(() => openDevice({ device: raw }), fail), 'FeedError', /a fault of the work/);
  const guest = await openDevice({ device: raw });
  const program = await compile(guest, { y: tanh(fill(1, [4])) });
  await program.run();
  guest.dispose();
  assert.is(
    await withRecovery(
      () => openDevice({ device: raw }),
      async (device) => device.gpu === raw,
    ),
    true,
  );
  await raw.queue.onSubmittedWorkDone();
  assert.is(lost, false, 'it was destroyed');
  let works = 0;
  const work = async (device: Device): Promise<void> => {
    works++;
    const again = await compile(device, { y: tanh(fill(1, [4])) });
    raw.destroy();
    await again.run();
    await again.read('y');
  };
  const message = /the device that was given to openDevice was lost.*; give it a new one and load the last checkpoint/;
  await refused(() => withRecovery(() => openDevice({ device: raw }), work), 'DeviceLostError', message);
  assert.is(works, 1);
  // A new one is taken: the user opens it.
  const devices = [await rawDevice(), await rawDevice()];
  const [first] = devices;
  const found = await withRecovery(
    async () => openDevice({ device: need(devices.shift(), 'a device') }),
    async (device) => {
      const again = await compile(device, { y: tanh(fill(1, [4])) });
      if (device.gpu === first) first?.destroy();
      await again.run();
      return again.read('y');
    },
  );
  assert.is(found.length, 4);
});

test('work goes on from the state kept last, and is given up where nothing gets further', async () => {
  const whole = async (losses: readonly number[]): Promise<readonly number[]> => {
    const left = [...losses];
    return withRecovery<readonly number[]>(openDevice, async (device, saved) => {
      const w = variable('w', [1, 2, 3], [3]);
      const x = input('x', [3]);
      const updates = adam(grad(sum(square(sub(w, x))), [w]), { learningRate: 0.1 });
      const variables = [w, ...updates.variables];
      let step = saved.last === undefined ? 0 : Number(loadCheckpoint(saved.last, variables).step);
      const program = await compile(device, {}, updates);
      for (let i = step; i < 12; i++) {
        if (left[0] === i) {
          left.shift();
          device.gpu.destroy();
        }
        await program.run({ x: Float32Array.of(i, -i, 0.5) });
        step = i + 1;
        if (step % 3 === 0) saved.keep(await saveCheckpoint(variables, { step }));
      }
      return [...(await w.read())];
    });
  };
  const wanted = await whole([]);
  assert.equal(await whole([0, 2, 5, 5, 8, 11]), wanted);
  await refused(
    () => whole([4, 4, 4, 9]),
    'DeviceLostError',
    /given up after 3 losses in a row without .* keep states more often/,
  );
  const told: string[] = [];
  const onLoss = (loss: DeviceLostError): void => {
    told.push(loss.name);
  };
  const hopeless = async (device: Device): Promise<void> => {
    device.gpu.destroy();
    await device.idle();
  };
  await refused(
    () => withRecovery(openDevice, hopeless, { onLoss, losses: 2 }),
    'DeviceLostError',
    /given up after 2 losses/,
  );
  assert.equal(told, ['DeviceLostError']);
  await refused(
    () => withRecovery(openDevice, hopeless, { losses: 0 }),
    'OptionError',
    /losses is 0; use a whole number from 1/,
  );
});

test.run();
