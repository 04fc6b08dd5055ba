// What a device does not hold is refused before anything is made: just under each limit a plan passes, just over it is
// refused with the op or the name of the Variable, the shape, the bytes, the limit and the mend. Plans only, but for one
// device that is left as it was. What real devices do at their own limits is in large.test.ts.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { need } from '../engine/errors.ts';
import { zeros } from '../engine/initialisers.ts';
import { checkLimits, formatBytes, MAX_ELEMENTS, type PlanLimits } from '../engine/limits.ts';
import {
  adam,
  assign,
  compile,
  einsum,
  embedding,
  fill,
  grad,
  identity,
  input,
  mul,
  openDevice,
  scan,
  slice,
  sum,
  type Tensor,
  tanh,
  type Update,
  variable,
} from '../engine/node.ts';
import { type Dispatch, dispatchesOf, type Plan } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import { emitProduct, type Product } from '../engine/product.ts';
import type { ProductEmitter } from '../engine/product-kernels.ts';
import { candidates } from '../engine/product-kernels.ts';
import { joinVariables } from '../engine/variable.ts';
import { specialise, workgroupBytes } from '../kernels/kernel.ts';
import { RIM } from '../rims/index.ts';
import { refused } from './on-adapter.ts';

const MiB = 2 ** 20;
const ROOM: PlanLimits = { maxStorageBufferBindingSize: 128 * MiB, maxBufferSize: 256 * MiB };

const planOf = (outputs: Readonly<Record<string, Tensor>>, updates: readonly Update[] = []): Plan =>
  planProgram(outputs, updates, { training: updates.length > 0, subgroupSize: 8 });

/** Passes where a limit is `most`, and is refused where it is one byte or one thing less. */
async function heldAt(limit: keyof PlanLimits, most: number, plan: Plan, message: RegExp): Promise<void> {
  checkLimits({ ...ROOM, [limit]: most }, plan);
  const less = most - 1;
  await refused(() => checkLimits({ ...ROOM, [limit]: less }, plan), 'LimitError', message);
  await refused(
    () => checkLimits({ ...ROOM, [limit]: less }, plan),
    'LimitError',
    new RegExp(`${limit} of this device is ${less}; `),
  );
}

/** A history of T steps of 64 numbers, of which a program binds a step at a time. */
function history(T: number): Tensor {
  const { outputs } = scan(
    ({ x }, { h }) => {
      const next = tanh(mul(h, x));
      return { state: { h: next }, output: { y: next } };
    },
    { x: input('x', [T, 64]) },
    { h: fill(0, [64]) },
  );
  return outputs.y;
}

test('a binding: what is read, written, scratch, constant, fed or a Variable', async () => {
  const x = input('x', [10, 30]);
  const cases: readonly (readonly [Tensor, number, RegExp])[] = [
    [
      tanh(x),
      1200,
      /^tanh: elementwise binds input x \[10,30\], 1200 bytes, .*use a smaller batch, fewer time steps, shorter chunks/,
    ],
    [sum(fill(2, [7, 9])), 256, /^sum: reduce binds constant \[7,9\], 256 bytes, /],
    [
      sum(variable('the weights', new Float32Array(100), [4, 25])),
      400,
      /^sum: reduce binds variable the weights \[4,25\], 400 bytes,.*make the weights smaller/,
    ],
    [einsum('i,j->ij', input('a', [6]), input('b', [12])), 288, /^einsum: matmul\w* binds einsum \[6,12\], 288 bytes/],
  ];
  for (const [tensor, bytes, message] of cases) {
    await heldAt('maxStorageBufferBindingSize', bytes, planOf({ tensor }), message);
  }
  const scratch = planOf({ y: sum(input('x', [100_000])) });
  const small = need(dispatchesOf(scratch).flatMap(({ buffers }) => buffers.map(({ place }) => place.value))[1], 'it');
  assert.is(small.label, 'scratch of sum []');
});

test('a binding of a part of a tensor tells both', async () => {
  const part = slice(input('x', [4096]), 0, 64, 1024);
  const message =
    /^tanh: elementwise binds 4096 bytes of input x \[4096\], 16384 bytes,.*the option chunk of a scan or RIM/;
  await heldAt('maxStorageBufferBindingSize', 4096, planOf({ y: tanh(part) }), message);
});

test('gradients side by side, and the moments and weights of an optimiser', async () => {
  const weights = [0, 1, 2, 3].map((i) => variable(`w${i}`, new Float32Array(64), [64]));
  const loss = weights.reduce<Tensor>((total, w) => mul(total, sum(tanh(w))), fill(1, []));
  const plan = planOf({ loss }, adam(grad(loss, weights), { learningRate: 0.1 }));
  await heldAt(
    'maxStorageBufferBindingSize',
    1024,
    plan,
    /(adam gradients \[64\], \[64\], \[64\] and 1 more|variable .* and 3 more \[256\]), 1024 bytes/,
  );
});

test('a buffer: of a history, of a Variable, of what is fed and only read', async () => {
  const y = history(16);
  await heldAt(
    'maxBufferSize',
    4 * 64 * 17,
    planOf({ last: slice(y, 0, 15, 1) }),
    /^scan state \[64\]: needs a buffer of 4352 bytes|history.*: needs/,
  );
  const w = variable('w', new Float32Array(64), [8, 8]);
  await heldAt(
    'maxBufferSize',
    256,
    planOf({ w }),
    /^variable w \[8,8\]: needs a buffer of 256 bytes,.*make the weights smaller/,
  );
  await heldAt(
    'maxBufferSize',
    64,
    planOf({ x: input('x', [4, 4]) }),
    /^input x \[4,4\]: needs a buffer of 64 bytes,.*use a smaller batch/,
  );
  await heldAt('maxBufferSize', 48, planOf({ c: fill(1, [3, 4]) }), /^constant \[3,4\]: needs a buffer of 48 bytes/);
});

test('workgroups, invocations, memory of a workgroup, buffers and uniforms of a call', async () => {
  const plan = planOf({ y: sum(tanh(input('x', [64, 1024]))) });
  const calls = dispatchesOf(plan);
  const most = Math.max(...calls.flatMap(({ workgroups }) => workgroups));
  await heldAt(
    'maxComputeWorkgroupsPerDimension',
    most,
    plan,
    /^tanh: elementwise needs 64 x 1 x 1 workgroups for (input x|tanh) \[64,1024\], 262144 bytes,.*split the tensor/,
  );
  await heldAt(
    'maxComputeInvocationsPerWorkgroup',
    64,
    plan,
    /elementwise takes 64 invocations a workgroup.*report it/,
  );
  await heldAt('maxStorageBuffersPerShaderStage', 5, plan, /elementwise takes 5 storage buffers/);
  const memory = Math.max(...calls.map(({ source }) => workgroupBytes(source)));
  assert.is(memory, 256);
  await heldAt('maxComputeWorkgroupStorageSize', memory, plan, /^sum: reduce takes 256 bytes of workgroup memory/);
  const uniforms = Math.max(...calls.map(({ kernel }) => kernel.uniforms.size));
  await heldAt(
    'maxUniformBufferBindingSize',
    uniforms,
    plan,
    new RegExp(`elementwise takes ${uniforms} bytes of uniforms`),
  );
});

test('every candidate of a product, and a RIM of the most modules, keeps what every device has', () => {
  const calls: Pick<Dispatch, 'source'>[] = [];
  const place = { bytes: 0 };
  const product: Product = {
    ...{ a: place, b: place, y: place, batch: [] },
    m: { size: 64, a: 64, y: 64 },
    n: { size: 64, b: 1, y: 1 },
    k: { size: 64, a: 1, b: 64 },
  };
  for (const name of candidates.keys()) {
    const emit: ProductEmitter = {
      subgroupSize: 32,
      tuning: { format: 'rimgrad tuning 1', adapter: '', software: false, choices: { '*': name } },
      scratch: () => place,
      zero: () => place,
      call: (kernel, { constants }) => calls.push({ source: specialise(kernel, constants ?? {}) }),
    };
    emitProduct(emit, product);
  }
  assert.is(calls.length, candidates.size);
  assert.ok(calls.every(({ source }) => workgroupBytes(source) <= 16384));
  const rim = RIM.paper({ inputSize: 4, hiddenSize: 4, modules: 64, active: 32 }, { seed: 1 });
  const loss = sum(rim(input('x', [2, 3, 4])).hidden);
  const plan = planOf({ loss }, adam(grad(loss, rim.variables), { learningRate: 0.1 }));
  checkLimits(
    {
      ...ROOM,
      maxComputeWorkgroupStorageSize: 16384,
      maxComputeInvocationsPerWorkgroup: 256,
      maxStorageBuffersPerShaderStage: 8,
      maxUniformBufferBindingSize: 65536,
      maxComputeWorkgroupsPerDimension: 65535,
    },
    plan,
  );
  assert.is(
    Math.max(...dispatchesOf(plan).map(({ source }) => workgroupBytes(source))),
    16384,
    'the pairs of 64 modules',
  );
});

test('workgroup memory is that of the constants', () => {
  const source = `const A: u32 = 3; // a
const B: u32 = A * 4;
var<workgroup> x: array<vec2<f32>, B>;
var<workgroup> y: array<vec4<u32>, 5>;
var<workgroup> z: f32;
`;
  assert.is(workgroupBytes(source), 12 * 8 + 5 * 16 + 4);
  assert.throws(
    () => workgroupBytes('const A: u32 = 1 + 2;\nvar<workgroup> x: array<f32, A>;\n'),
    /no product of u32 constants/,
  );
});

test('more elements than 32 bits count are refused as the tensor that they are', async () => {
  const half = (MAX_ELEMENTS - 1) / 2;
  assert.is(half, 2 ** 30 - 1);
  const over: readonly (readonly [() => unknown, RegExp])[] = [
    [
      () => planOf({ y: identity(input('x', [2 ** 31])) }),
      /^input x \[2147483648\]: 2147483648 elements, 8589934592 bytes \(8\.0 GiB\), and kernels count 2147483647 at most; use a smaller batch/,
    ],
    [() => planOf({ y: fill(0, [2 ** 20, 2 ** 20]) }), /^constant \[1048576,1048576\]: 1099511627776 elements/],
    [
      () => planOf({ y: einsum('i,j->ij', input('a', [2 ** 16]), input('b', [2 ** 16])) }),
      /^einsum \[65536,65536\]: 4294967296 elements/,
    ],
    [
      () => zeros()([2 ** 16, 2 ** 15], { seed: 1, stream: 1 }),
      /^constant: the weight \[65536,32768\]: 2147483648 elements, .*; make the weights smaller \(fewer hidden units/,
    ],
    [
      () => embedding({ tokens: 2 ** 30, size: 600 }, { seed: 1 }),
      /the weight \[1073741824,600\]: 644245094400 elements/,
    ],
  ];
  for (const [act, message] of over) await refused(act, 'LimitError', message);
  const most = planOf({ y: tanh(input('x', [MAX_ELEMENTS])) });
  await refused(
    () => checkLimits(ROOM, most),
    'LimitError',
    /^tanh: elementwise binds input x \[2147483647\], 8589934592 bytes \(8\.0 GiB\)/,
  );
  await refused(
    () => fill(0, [2 ** 30, 2 ** 30]),
    'ShapeError',
    /^constant: \[1073741824,1073741824\] has more elements than a number counts/,
  );
});

test('workgroups past a dimension fold, in a plan of any size', () => {
  for (const [elements, workgroups] of [
    [1024 * 65535, [65535, 1, 1]],
    [1024 * 65535 + 1, [32768, 2, 1]],
    [MAX_ELEMENTS, [63551, 33, 1]],
  ] as const) {
    const [call] = dispatchesOf(planOf({ y: tanh(input('x', [elements])) }));
    assert.equal(call?.workgroups, workgroups);
  }
});

test('bytes in words', () => {
  assert.is(formatBytes(12), '12 bytes');
  assert.is(formatBytes(2 ** 20 - 1), '1048575 bytes');
  assert.is(formatBytes(2 ** 27 + 4), '134217732 bytes (128.0 MiB)');
  assert.is(formatBytes(2 ** 30 * 1.5), '1610612736 bytes (1.5 GiB)');
});

test('a refusal leaves a device, Variables and their places as they were', async () => {
  const device = await openDevice();
  try {
    const [w, v] = [variable('w', [1, 2], [2]), variable('v', [3], [1])];
    const program = await compile(device, { y: sum(v) }, [assign(v, mul(v, 2))]);
    await program.run();
    const before = device.memory();
    const made = device.created();
    const large = input('x', [2 ** 25 + 4]);
    await refused(
      () => compile(device, { y: mul(sum(tanh(large)), sum(mul(w, v))) }, [assign(w, mul(w, 2)), assign(v, mul(v, 2))]),
      'LimitError',
      /^tanh: elementwise binds input x \[33554436\], 134217744 bytes \(128\.0 MiB\), and maxStorageBufferBindingSize of this device is 134217728;/,
    );
    assert.equal(device.memory(), before);
    assert.equal(device.created(), made);
    assert.not.ok(device.holds(w));
    assert.equal(await v.read(), Float32Array.of(6));
    const other = variable('other', [1], [1]);
    joinVariables([w, other]);
    assert.is(w.home.variable, other.home.variable, 'no program lies on w yet');
    await program.run();
    assert.equal(await program.read('y'), Float32Array.of(6));
    assert.equal(await v.read(), Float32Array.of(12));
  } finally {
    device.dispose();
  }
});

test('the uniforms of many calls are a buffer too', async () => {
  const device = await openDevice();
  try {
    const own = device.gpu.limits;
    const fake = new Proxy(own, {
      get: (_, name) => (name === 'maxBufferSize' ? 1024 : own[name as keyof GPUSupportedLimits]),
    });
    Object.defineProperty(device.gpu, 'limits', { get: () => fake });
    const offsets = Array.from({ length: 5 }, (_, i) => sum(slice(input('x', [8]), 0, i, 3)));
    const y = offsets.reduce<Tensor>((total, each) => mul(total, each), fill(1, []));
    await refused(
      () => compile(device, { y }),
      'LimitError',
      /^uniforms of \d+ kernel calls: needs a buffer of \d+ bytes, and maxBufferSize of this device is 1024; compile it in parts, as several programs, or open/,
    );
    assert.is(device.memory().buffers, 0);
    assert.is(device.memory().bytes, 0);
  } finally {
    device.dispose();
  }
});

test.run();
