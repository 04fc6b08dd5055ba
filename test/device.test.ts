// The device on the real adapter: whose it is, what it refuses, what it says when something is lost or invalid, and what
// a failed call leaves behind (nothing). Programs have tests of their own.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  add,
  assign,
  compile,
  constant,
  type Device,
  evaluate,
  fill,
  input,
  matmul,
  mul,
  openDevice,
  reshape,
  saveVariables,
  scan,
  sum,
  type Tensor,
  tanh,
  Variable,
  variable,
} from '../engine/node.ts';
import { openDeviceWith } from '../engine/open.ts';
import type { Kernel } from '../kernels/index.ts';
import { kernels } from '../kernels/index.ts';
import { refused } from './on-adapter.ts';

async function errorOf(act: () => Promise<unknown>): Promise<Error> {
  try {
    await act();
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

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

/** Until WebGPU has reported what went wrong outside of a call. */
async function reported(device: Device): Promise<void> {
  for (let i = 0; i < 100; i++) {
    try {
      device.check();
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('WebGPU reported nothing');
}

onDevice('a device says what it is and what it holds', async (device) => {
  const { vendor, architecture, device: model, description, software } = device.adapter;
  assert.ok([vendor, architecture, model, description].some((each) => each !== ''));
  assert.type(software, 'boolean');
  assert.equal(device.memory(), { bytes: 0, peak: 0, variables: 0, buffers: 0 });
  assert.equal(device.created(), { buffers: 0, bindGroups: 0, pipelines: 0, querySets: 0 });
  const w = variable('w', new Float32Array(1000), [1000]);
  const program = await compile(device, { y: mul(w, 2) });
  const { bytes, peak, variables, buffers } = device.memory();
  assert.is(variables, 4000);
  assert.ok(bytes >= 8000 && peak >= bytes && buffers >= 3, JSON.stringify(device.memory()));
  assert.ok(program.bytes >= 4000 && program.bytes <= bytes - variables);
  program.dispose();
  assert.is(device.memory().bytes, 4000);
  assert.is(device.memory().peak, peak);
  w.dispose();
  assert.is(device.memory().bytes, 0);
});

test('a device that was brought is used and not destroyed, and afterwards its errors are its owner’s', async () => {
  const { create } = await import('webgpu');
  const gpu = create([]);
  const adapter = await gpu.requestAdapter();
  if (adapter === null) throw new Error('no adapter');
  const raw = await adapter.requestDevice();
  let lost = false;
  void raw.lost.then(() => {
    lost = true;
  });
  for (let i = 1; i <= 2; i++) {
    const guest = await openDevice({ device: raw });
    assert.is(guest.gpu, raw);
    const { y } = await evaluate(guest, { y: add(constant([1, 2], [2]), i) });
    assert.equal(y, Float32Array.of(1 + i, 2 + i));
    guest.dispose();
    guest.dispose();
  }
  const seen = new Promise<boolean>((resolve) => {
    raw.addEventListener('uncapturederror', (event) => {
      resolve(event.defaultPrevented);
      event.preventDefault();
    });
  });
  raw.createBuffer({ size: 16, usage: 0x8000_0000 });
  assert.is(await seen, false, 'the error was taken by a device that is gone');
  const copy = raw.createBuffer({ size: 16, usage: 8 });
  assert.is(copy.size, 16);
  assert.is(lost, false);
  raw.destroy();
  assert.ok(gpu);
});

onDevice('a disposed device says so, and its Variables are free again', async (device) => {
  const w = variable('w', [1, 2], [2]);
  const program = await compile(device, { y: mul(w, 2) });
  await program.run();
  device.dispose();
  for (const act of [
    () => program.run(),
    () => program.read('y'),
    () => compile(device, { y: w }),
    () => device.idle(),
  ]) {
    await refused(act, 'DeviceError', /the device was disposed of; open a new one/);
  }
  program.dispose();
  const other = await openDevice();
  const { y } = await evaluate(other, { y: mul(w, 3) });
  assert.equal(y, Float32Array.of(3, 6));
  other.dispose();
});

onDevice(
  'a value that programs changed goes with its device, and is asked for in vain until one is written',
  async (device) => {
    const [w, kept] = [variable('w', [1, 2], [2]), variable('kept', [5], [1])];
    const program = await compile(device, { y: mul(w, kept) }, [assign(w, mul(w, 2))]);
    await program.run();
    assert.equal(await w.read(), Float32Array.of(2, 4));
    device.dispose();
    const message = /variable 'w': its value went with its device storage.*; write it one, or read or save it before/;
    await refused(() => w.read(), 'DeviceError', message);
    await refused(() => saveVariables([kept, w]), 'DeviceError', message);
    assert.equal(await kept.read(), Float32Array.of(5), 'nothing changed this one');
    const other = await openDevice();
    try {
      await refused(() => evaluate(other, { w }), 'DeviceError', message);
      w.write(Float32Array.of(7, 8));
      assert.equal(await w.read(), Float32Array.of(7, 8));
      const again = await compile(other, { y: mul(w, kept) }, [assign(w, mul(w, 2))]);
      await again.run();
      assert.equal(await w.read(), Float32Array.of(14, 16));
      w.dispose();
      await refused(() => w.read(), 'DeviceError', message);
    } finally {
      other.dispose();
    }
  },
);

onDevice('a Variable lives on one device', async (device) => {
  const other = await openDevice();
  const w = variable('w', [1, 2], [2]);
  const { buffers } = other.memory();
  assert.equal((await evaluate(device, { w })).w, Float32Array.of(1, 2));
  await refused(
    () => compile(other, { y: mul(w, fill(1, [2])) }),
    'OptionError',
    /'w' lives on another device; read it there/,
  );
  assert.is(other.memory().buffers, buffers, 'the refused compile left buffers');
  other.dispose();
});

onDevice(
  'a validation error outside of a call rejects what is awaited next, and from then on everything',
  async (device) => {
    const program = await compile(device, { y: tanh(input('x', [2])) });
    await program.run({ x: new Float32Array(2) });
    device.gpu.createBuffer({ size: 16, usage: 0x8000_0000 });
    await reported(device);
    const message = /the device reported: [\s\S]+; open a new one and load the last checkpoint/;
    await refused(() => program.run({ x: new Float32Array(2) }), 'DeviceError', message);
    await refused(() => program.read('y'), 'DeviceError', message);
    await refused(() => compile(device, { z: fill(1, [2]) }), 'DeviceError', message);
  },
);

onDevice('storage that was freed under a program is reported, not computed with', async (device) => {
  const w = variable('w', [1, 2], [2]);
  const program = await compile(device, { y: mul(w, 2) });
  await program.run();
  w.dispose();
  await refused(
    async () => {
      await program.run();
      await program.read('y');
    },
    'DeviceError',
    /the device reported: .*variable w/s,
  );
});

onDevice('a lost device rejects what is awaited next, reads and waiting steps among them', async (device) => {
  const a = constant(new Float32Array(256 * 256), [256, 256]);
  const program = await compile(device, { y: sum(matmul(matmul(a, a), a)) });
  await program.run();
  const waiting = [...Array.from({ length: 6 }, () => program.run()), program.read('y')].map((each) =>
    each.then(
      () => undefined,
      (error: unknown) => error,
    ),
  );
  device.gpu.destroy();
  await device.gpu.lost;
  const outcomes = (await Promise.all(waiting)).filter((each) => each !== undefined);
  assert.ok(outcomes.length > 0, 'what waited was rejected');
  for (const each of outcomes) assert.is((each as Error).name, 'DeviceLostError');
  const message = /the device was lost.*; open a new one and load the last checkpoint/s;
  await refused(() => program.run(), 'DeviceLostError', message);
  await refused(() => program.read('y'), 'DeviceLostError', message);
  await refused(() => compile(device, { z: fill(1, [2]) }), 'DeviceLostError', message);
  await refused(() => device.idle(), 'DeviceLostError', message);
});

onDevice('errors of two compiles at once reach the one that made them', async (device) => {
  const broken: Kernel = {
    ...kernels.fill,
    name: 'broken',
    source: `${kernels.fill.source}\nfn f() -> u32 { return 1.5; }\n`,
  };
  const good = compile(device, { y: tanh(fill(0, [3])) });
  const [program, error] = await Promise.all([good, errorOf(() => device.pipeline(broken, broken.source))]);
  assert.is(error.name, 'DeviceError');
  assert.match(error.message, /the kernel broken did not compile on this device:\nbroken\.wgsl:\d+:\d+ .+/);
  await program.run();
  assert.equal(await program.read('y'), new Float32Array(3));
  const again = await errorOf(() => device.pipeline(broken, broken.source));
  assert.is(again.name, 'DeviceError', 'a failure is not kept in the place of a pipeline');
  device.check();
});

onDevice('one source is compiled once, also where two ask at once', async (device) => {
  const compileOne = () => compile(device, { y: tanh(fill(0, [3])) });
  const programs = await Promise.all([compileOne(), compileOne(), compileOne()]);
  assert.is(device.created().pipelines, 1);
  for (const program of programs) program.dispose();
});

/** A device that has less than it has: the checks read the limits of the GPUDevice. */
function limited(device: Device, limits: Record<string, number>): void {
  const own = device.gpu.limits;
  const fake = new Proxy(own, { get: (_, name) => limits[String(name)] ?? own[name as keyof GPUSupportedLimits] });
  Object.defineProperty(device.gpu, 'limits', { get: () => fake });
}

onDevice('what is too large is refused before anything is made, and named', async (device) => {
  limited(device, { maxStorageBufferBindingSize: 1024, maxBufferSize: 4096 });
  const w = new Variable('weights', [40, 40], new Float32Array(1600));
  const cases: readonly (readonly [Tensor, RegExp])[] = [
    [
      tanh(fill(0, [300])),
      /^tanh: elementwise binds (constant|tanh) \[300\], 1200 bytes, and maxStorageBufferBindingSize of this device is 1024; use a smaller batch, fewer time steps/,
    ],
    [sum(w), /^sum: reduce binds variable weights \[40,40\], 6400 bytes, .*larger limits\.maxStorageBufferBindingSize/],
  ];
  for (const [tensor, message] of cases) await refused(() => compile(device, { tensor }), 'LimitError', message);
  const { outputs } = scan(
    ({ x }, { h }) => ({ state: { h: tanh(add(h, x)) }, output: { h } }),
    { x: fill(0.5, [20, 64]) },
    { h: fill(0, [64]) },
  );
  await refused(
    () => compile(device, { last: outputs.h }),
    'LimitError',
    /^.*: (\w+ binds|needs a buffer of) .*\d+ bytes.*use a smaller batch/,
  );
  assert.equal(device.memory().buffers, 0);
  assert.is(device.created().buffers, 0);
  assert.equal((await evaluate(device, { y: tanh(fill(0, [200])) })).y.length, 200);
});

onDevice('a buffer over the largest is refused with the name of the tensor', async (device) => {
  limited(device, { maxBufferSize: 4096 });
  const big = tanh(fill(0, [2000]));
  await refused(
    () => compile(device, { y: sum(big) }),
    'LimitError',
    /^(tanh|constant) \[2000\]: needs a buffer of 8000 bytes, and maxBufferSize of this device is 4096; .*larger limits\.maxBufferSize/,
  );
  const w = new Variable('weights', [40, 40], new Float32Array(1600));
  await refused(
    () => compile(device, { y: sum(w) }),
    'LimitError',
    /^variable weights \[40,40\]: needs a buffer of 6400 bytes/,
  );
  assert.equal(device.memory().buffers, 0);
  const updates = [assign(w, mul(w, 2))];
  await refused(
    () => compile(device, {}, updates),
    'LimitError',
    /^variable weights \[40,40\]: needs a buffer of 6400 bytes.*make the weights smaller/,
  );
  assert.equal([...(await w.read())].length, 1600);
});

onDevice('a buffer that could not be had is an error of the call, and leaves nothing', async (device) => {
  const create = device.gpu.createBuffer.bind(device.gpu);
  let left = 2;
  Object.defineProperty(device.gpu, 'createBuffer', {
    value: (descriptor: GPUBufferDescriptor) => (left-- > 0 ? create(descriptor) : create({ ...descriptor, usage: 0 })),
  });
  const w = variable('w', [1, 2], [2]);
  await refused(() => compile(device, { y: tanh(mul(w, 2)) }), 'DeviceError', /^compile: WebGPU refused it: /);
  assert.equal(device.memory().buffers, 0, 'buffers are left');
  left = Number.POSITIVE_INFINITY;
  assert.equal((await evaluate(device, { y: mul(w, 2) })).y, Float32Array.of(2, 4));
});

test('what cannot be opened says what to do', async () => {
  await refused(
    () => openDeviceWith(undefined, 'install it', {}),
    'DeviceError',
    /this runtime has no WebGPU; install it/,
  );
  const none = { requestAdapter: async () => null } as unknown as GPU;
  await refused(
    () => openDeviceWith(none, 'install a driver', {}),
    'DeviceError',
    /found no adapter; install a driver/,
  );
  await refused(() => openDevice({ gpu: none }), 'DeviceError', /found no adapter; .*mesa-vulkan-drivers/);
  await refused(
    () => openDevice({ limits: { maxBufferSise: 1 } }),
    'LimitError',
    /no limit called maxBufferSise.*did you mean 'maxBufferSize'/,
  );
  await refused(
    () => openDevice({ limits: { maxComputeWorkgroupSizeX: 2 ** 31 } }),
    'LimitError',
    /maxComputeWorkgroupSizeX 2147483648 was asked for, and the adapter has \d+/,
  );
  await refused(() => openDevice({ pover: 'low-power' } as object), 'OptionError', /no option 'pover'.*'power'/);
});

onDevice('limits above the defaults are had where the adapter has them', async (device) => {
  const larger = await openDevice({ limits: { maxStorageBufferBindingSize: 2 ** 27 + 256 } }).catch(
    (error: unknown) => error,
  );
  if (larger instanceof Error) assert.is(larger.name, 'LimitError');
  else {
    assert.is((larger as Device).gpu.limits.maxStorageBufferBindingSize, 2 ** 27 + 256);
    (larger as Device).dispose();
  }
  assert.is(device.gpu.limits.maxStorageBufferBindingSize, 2 ** 27);
});

onDevice('a tensor whose calls pass the workgroups of a dimension is folded or refused', async (device) => {
  const wide = 65_536 * 64;
  const { y } = await evaluate(device, { y: sum(reshape(tanh(fill(0.5, [wide])), [wide])) });
  assert.ok(Math.abs((y[0] ?? 0) / wide - Math.tanh(0.5)) < 1e-6);
});

test.run();
