// Many runs of one program on the real adapter: the same bytes every time, nothing made on the way, at most three steps
// in flight, reads between runs. What a single run computes is tested in program.test.ts.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at } from '../engine/errors.ts';
import {
  adam,
  add,
  affine,
  assign,
  compile,
  constant,
  type Data,
  type Device,
  fill,
  grad,
  input,
  matmul,
  meanSquare,
  mul,
  openDevice,
  type Program,
  scan,
  sum,
  type Tensor,
  tanh,
  Variable,
  variable,
} from '../engine/node.ts';
import { isLoop } from '../engine/plan.ts';
import { normalArray } from '../engine/random.ts';
import { bits, onAdapter, theDevice } from './on-adapter.ts';

onAdapter(test);

function numbers(size: number, stream: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(normalArray(size, { seed: 8, stream, std: 0.5 }));
}

const [T, B, D, H] = [6, 4, 3, 8];

interface Net {
  readonly weights: readonly Variable[];
  readonly loss: Tensor;
  compile(): Promise<Program>;
  dispose(): void;
}

/** A recurrent net that learns to give back its input of the step before, with Adam. */
function net(on: Device = theDevice()): Net {
  const weights = [
    new Variable('wx', [D, H], numbers(D * H, 1)),
    new Variable('wh', [H, H], numbers(H * H, 2)),
    new Variable('wy', [H, D], numbers(H * D, 3)),
  ] as const;
  const [wx, wh, wy] = weights;
  const { outputs } = scan(
    ({ x }, { h }) => {
      const next = tanh(add(matmul(x, wx), matmul(h, wh)));
      return { state: { h: next }, output: { y: matmul(next, wy) } };
    },
    { x: input('x', [T, B, D]) },
    { h: fill(0, [B, H]) },
  );
  const loss = meanSquare(outputs.y, input('y', [T, B, D]));
  const updates = adam(grad(loss, weights), { learningRate: input('rate', []), clipNorm: 1 });
  const lasting = [...weights, ...updates.variables];
  return {
    weights: lasting,
    loss,
    compile: () => compile(on, { loss }, updates),
    dispose: () => {
      for (const each of lasting) each.dispose();
    },
  };
}

function batch(step: number): { x: Float32Array; y: Float32Array; rate: number } {
  const size = T * B * D;
  const x = normalArray(size, { seed: 9, stream: 0, start: step * size });
  const y = new Float32Array(size);
  y.set(x.subarray(0, size - B * D), B * D);
  return { x, y, rate: 0.02 };
}

/** Trains for some steps and gives the bits of all losses and of every Variable. */
async function trained(steps: number, on: Device = theDevice()): Promise<number[][]> {
  const model = net(on);
  const program = await model.compile();
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    await program.run(batch(step));
    losses.push(...bits(await program.read('loss')));
  }
  const values = await Promise.all(model.weights.map((each) => each.read()));
  program.dispose();
  model.dispose();
  return [losses, ...values.map(bits)];
}

test('the same seed gives the same bytes, on one device and on another', async () => {
  const first = await trained(20);
  assert.equal(await trained(20), first);
  const other = await openDevice();
  assert.equal(await trained(20, other), first);
  other.dispose();
});

test('a replay gives the bits of a fresh compile', async () => {
  const [x, w] = [input('x', [5, 7]), variable('w', numbers(49, 4), [7, 7])];
  const out = { y: tanh(matmul(x, w)), d: grad(sum(tanh(matmul(x, w))), [w]).of(w) };
  const replayed = await compile(theDevice(), out);
  for (let run = 0; run < 3; run++) {
    const feeds = { x: numbers(35, 10 + run) };
    await replayed.run(feeds);
    const fresh = await compile(theDevice(), out);
    await fresh.run(feeds);
    for (const name of ['y', 'd']) assert.equal(bits(await replayed.read(name)), bits(await fresh.read(name)));
    fresh.dispose();
  }
  replayed.dispose();
  w.dispose();
});

test('a step makes no buffer, bind group, pipeline or query set: 1,000 of them, counted at the GPUDevice itself', async () => {
  const own = await openDevice();
  const model = net(own);
  const program = await model.compile();
  await program.run(batch(0));
  const first = at(await program.read('loss'), 0);
  const makers = [
    'createBuffer',
    'createBindGroup',
    'createBindGroupLayout',
    'createPipelineLayout',
    'createComputePipeline',
    'createComputePipelineAsync',
    'createShaderModule',
    'createQuerySet',
    'createTexture',
    'createSampler',
  ] as const;
  let made = 0;
  for (const name of makers) {
    const real = own.gpu[name].bind(own.gpu) as (...args: unknown[]) => unknown;
    Object.defineProperty(own.gpu, name, {
      value: (...args: unknown[]) => {
        made++;
        return real(...args);
      },
    });
  }
  own.gpu.createBuffer({ size: 16, usage: 128 }).destroy();
  assert.is(made, 1, 'the spy sees what is made');
  const [created, memory] = [own.created(), own.memory()];
  let last = first;
  for (let step = 1; step < 1000; step++) {
    await program.run(batch(step));
    if (step % 10 === 9) last = at(await program.read('loss'), 0);
  }
  assert.is(made, 1, 'something was made');
  assert.equal(own.created(), created);
  assert.equal(own.memory(), memory);
  assert.ok(last < first / 2, `it learns meanwhile: ${first} to ${last}`);
  const { buffers } = own.memory();
  program.dispose();
  model.dispose();
  assert.ok(own.memory().buffers < buffers);
  assert.is(own.memory().variables, 0);
  own.dispose();
  assert.equal([own.memory().bytes, own.memory().buffers], [0, 0]);
});

test('a program gives back what it took', async () => {
  const w = variable('w', numbers(9, 1), [3, 3]);
  const again = async (): Promise<void> => {
    const program = await compile(theDevice(), { y: matmul(input('x', [2, 3]), w) });
    await program.run({ x: numbers(6, 2) });
    await program.read('y');
    program.dispose();
    program[Symbol.dispose]();
  };
  await again();
  const { pipelines } = theDevice().created();
  const { bytes, buffers } = theDevice().memory();
  for (let i = 0; i < 5; i++) await again();
  assert.equal([theDevice().memory().bytes, theDevice().memory().buffers], [bytes, buffers]);
  assert.is(theDevice().created().pipelines, pipelines, 'a kernel is compiled once for a device');
  w.dispose();
});

test('reads give the run before them, whatever runs after, and may overlap', async () => {
  const program = await compile(theDevice(), { y: mul(input('x', [3]), 2), big: fill(1, [5000]) });
  const reads: Promise<Data>[] = [];
  for (let run = 0; run < 12; run++) {
    await program.run({ x: Float32Array.of(run, run + 1, run + 2) });
    reads.push(program.read('y'));
    if (run % 4 === 0) reads.push(program.read('big').then(() => program.read('y')));
  }
  const found = (await Promise.all(reads)).filter((_, i) => ![1, 6, 11].includes(i));
  assert.equal(
    found.map((each) => [...each]),
    Array.from({ length: 12 }, (_, run) => [2 * run, 2 * run + 2, 2 * run + 4]),
  );
  const { buffers } = theDevice().memory();
  for (let i = 0; i < 10; i++) await Promise.all([program.read('y'), program.read('big'), program.read('y')]);
  assert.is(theDevice().memory().buffers, buffers, 'staging buffers are used again');
  program.dispose();
});

test('runs that nobody awaited happen in order, with the data of their call', async () => {
  const total = variable('total', [0], []);
  const last = variable('last', [0], []);
  const x = input('x', []);
  const program = await compile(theDevice(), {}, [assign(total, add(total, x)), assign(last, x)]);
  await Promise.all(Array.from({ length: 50 }, (_, i) => program.run({ x: i })));
  assert.equal([...(await total.read()), ...(await last.read())], [1225, 49]);
  program.dispose();
  for (const each of [total, last]) each.dispose();
});

test('no more than three steps are in flight, awaited or not', async () => {
  const own = await openDevice();
  const { queue } = own.gpu;
  let flying = 0;
  let most = 0;
  const [submit, done] = [queue.submit.bind(queue), queue.onSubmittedWorkDone.bind(queue)];
  Object.defineProperty(queue, 'submit', {
    value: (buffers: GPUCommandBuffer[]) => {
      submit(buffers);
      most = Math.max(most, ++flying);
      void done().then(() => flying--);
    },
  });
  const a = constant(numbers(128 * 128, 1), [128, 128]);
  const program = await compile(own, { y: sum(matmul(matmul(a, a), a)) });
  for (let i = 0; i < 10; i++) await program.run();
  await own.idle();
  assert.ok(most >= 2 && most <= 3, `${most} in flight when awaited`);
  most = 0;
  await Promise.all(Array.from({ length: 10 }, () => program.run()));
  await own.idle();
  assert.ok(most >= 2 && most <= 3, `${most} in flight when not`);
  program.dispose();
  own.dispose();
});

test('a long program is cut into several submits and gives the same', async () => {
  const own = await openDevice();
  const { queue } = own.gpu;
  let submits = 0;
  const submit = queue.submit.bind(queue);
  Object.defineProperty(queue, 'submit', {
    value: (buffers: GPUCommandBuffer[]) => {
      submits++;
      submit(buffers);
    },
  });
  const steps = 12_000;
  const { state } = scan(
    (_, { n, m }) => ({ state: { n: add(n, 1), m: affine(m, 1, 2) }, output: {} }),
    {},
    { n: fill(0, [1]), m: fill(0, [1]) },
    { steps },
  );
  const program = await compile(own, { n: state.n, m: state.m });
  await program.run();
  assert.ok(submits > 1, `${submits} submits for ${program.calls.length} calls`);
  assert.equal([...(await program.read('n')), ...(await program.read('m'))], [steps, 2 * steps]);
  program.dispose();
  own.dispose();
});

test('profile times every call, in passes of their own, and trains nothing', async () => {
  const model = net();
  const program = await model.compile();
  await program.run(batch(0));
  const before = await Promise.all(model.weights.map(async (each) => bits(await each.read())));
  const { buffers } = theDevice().memory();
  const { entries, milliseconds } = await program.profile(batch(1));
  assert.equal(await Promise.all(model.weights.map(async (each) => bits(await each.read()))), before);
  assert.is(theDevice().memory().buffers, buffers);
  assert.is(
    entries.reduce((count, { calls }) => count + calls, 0),
    program.calls.length,
  );
  assert.ok(milliseconds > 0 && entries.some(({ op }) => op === 'einsum' || op === 'matmul'), JSON.stringify(entries));
  await program.run(batch(1));
  const other = net();
  const unprofiled = await other.compile();
  for (const step of [0, 1]) await unprofiled.run(batch(step));
  assert.equal(bits(await program.read('loss')), bits(await unprofiled.read('loss')));
  for (const each of [program, unprofiled]) each.dispose();
  for (const each of [model, other]) each.dispose();
});

test('explain names every call, and says what a step costs', async () => {
  const model = net();
  const program = await model.compile();
  const text = program.explain();
  const lines = text.split('\n');
  const calls = program.plan.items.reduce((count, item) => count + (isLoop(item) ? item.body.length + 1 : 1), 0);
  assert.is(lines.length, calls + 1);
  assert.match(
    at(lines, lines.length - 1),
    new RegExp(`^in all ${program.calls.length} calls of \\d+ kernels, .*buffers$`),
  );
  for (const name of ['matmul', 'tanh', 'adam']) assert.ok(text.includes(name), `${name} in\n${text}`);
  program.dispose();
  model.dispose();
});

test.run();
