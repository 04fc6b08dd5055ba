// Programs on the real adapter: what comes out, in which order things happen, that a run makes nothing, and that bad
// feeds are refused before anything is written. Scans and the memory plan have tests of their own.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at } from '../engine/errors.ts';
import {
  add,
  affine,
  assign,
  compile,
  constant,
  type Data,
  type Device,
  evaluate,
  fill,
  grad,
  input,
  matmul,
  meanSquare,
  mul,
  openDevice,
  type Program,
  permute,
  reshape,
  scan,
  sub,
  sum,
  type Tensor,
  tanh,
  Variable,
  variable,
} from '../engine/node.ts';
import { isLoop } from '../engine/plan.ts';
import { normalArray } from '../engine/random.ts';

let device: Device;
test.before(async () => {
  device = await openDevice();
});
test.after(() => device.dispose());

function numbers(size: number, stream: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(normalArray(size, { seed: 8, stream, std: 0.5 }));
}

function bits(data: Data): number[] {
  return [...new Uint32Array(data.buffer, data.byteOffset, data.length)];
}

async function refused(act: () => Promise<unknown>, name: string, message: RegExp): Promise<void> {
  let thrown: unknown;
  try {
    await act();
  } catch (error) {
    thrown = error;
  }
  if (!(thrown instanceof Error)) throw new Error(`not refused: ${message}`);
  assert.is(thrown.name, name, thrown.message);
  assert.match(thrown.message, message);
}

const [T, B, D, H] = [6, 4, 3, 8];

interface Net {
  readonly weights: readonly Variable[];
  readonly loss: Tensor;
  compile(): Promise<Program>;
  dispose(): void;
}

/** A recurrent net that learns to give back its input of the step before, by gradient descent with momentum. */
function net(on: Device = device): Net {
  const weights = [
    new Variable('wx', [D, H], numbers(D * H, 1)),
    new Variable('wh', [H, H], numbers(H * H, 2)),
    new Variable('wy', [H, D], numbers(H * D, 3)),
  ] as const;
  const moments = weights.map((each) => new Variable(`moment.${each.name}`, each.shape, new Float32Array(each.size)));
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
  const gradients = grad(loss, weights);
  const updates = weights.flatMap((w, i) => {
    const moment = add(mul(at(moments, i), 0.9), gradients.of(w));
    return [assign(at(moments, i), moment), assign(w, sub(w, mul(moment, input('rate', []))))];
  });
  return {
    weights: [...weights, ...moments],
    loss,
    compile: () => compile(on, { loss }, updates),
    dispose: () => {
      for (const each of [...weights, ...moments]) each.dispose();
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
async function trained(steps: number, on: Device = device): Promise<number[][]> {
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
  const replayed = await compile(device, out);
  for (let run = 0; run < 3; run++) {
    const feeds = { x: numbers(35, 10 + run) };
    await replayed.run(feeds);
    const fresh = await compile(device, out);
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
    const program = await compile(device, { y: matmul(input('x', [2, 3]), w) });
    await program.run({ x: numbers(6, 2) });
    await program.read('y');
    program.dispose();
    program.dispose();
  };
  await again();
  const { pipelines } = device.created();
  const { bytes, buffers } = device.memory();
  for (let i = 0; i < 5; i++) await again();
  assert.equal([device.memory().bytes, device.memory().buffers], [bytes, buffers]);
  assert.is(device.created().pipelines, pipelines, 'a kernel is compiled once for a device');
  w.dispose();
});

test('outputs that are inputs, Variables, constants, or other shapes of them', async () => {
  const x = input('x', [2, 3]);
  const w = variable('w', [1, 2, 3, 4], [2, 2]);
  const u = input('u', [2], 'u32');
  const outputs = {
    input: x,
    reshapedInput: reshape(x, [3, 2]),
    variable: w,
    reshapedVariable: reshape(w, [4]),
    constant: constant([5, 6], [2]),
    reshapedConstant: reshape(constant([5, 6], [2]), [1, 2]),
    fill: fill(-0, [3]),
    integers: u,
    integerConstant: constant(Uint32Array.of(4_000_000_000), []),
    twice: x,
    scalar: sum(x),
  };
  const values = numbers(6, 5);
  const found = await evaluate(device, outputs, { x: values, u: Uint32Array.of(7, 4_294_967_295) });
  assert.equal(found.input, values);
  assert.equal(found.twice, values);
  assert.equal(found.reshapedInput, values);
  assert.equal(found.variable, Float32Array.of(1, 2, 3, 4));
  assert.equal(found.reshapedVariable, Float32Array.of(1, 2, 3, 4));
  assert.equal(found.constant, Float32Array.of(5, 6));
  assert.equal(found.reshapedConstant, Float32Array.of(5, 6));
  assert.equal(bits(found.fill), [2 ** 31, 2 ** 31, 2 ** 31]);
  assert.equal(found.integers, Uint32Array.of(7, 4_294_967_295));
  assert.equal(found.integerConstant, Uint32Array.of(4_000_000_000));
  assert.is(found.scalar.length, 1);
  w.dispose();
});

test('an output shows a Variable as it was before the updates of its run', async () => {
  const n = variable('n', [1], []);
  const program = await compile(device, { n, alias: reshape(n, [1]), twice: mul(n, 2) }, [assign(n, add(n, 1))]);
  for (let run = 1; run <= 3; run++) {
    await program.run();
    assert.equal([...(await program.read('n'))], [run]);
    assert.equal([...(await program.read('alias'))], [run]);
    assert.equal([...(await program.read('twice'))], [2 * run]);
    assert.equal([...(await n.read())], [run + 1]);
  }
  program.dispose();
  n.dispose();
});

test('updates run in the order given; tensors do not see them, Variables are read as they then are', async () => {
  const [a, b, c, d] = [1, 2, 3, 4].map((value) => variable(`v${value}`, [value], [1])) as [
    Variable,
    Variable,
    Variable,
    Variable,
  ];
  const program = await compile(device, {}, [
    assign(a, add(a, 10)), // a = 11
    assign(b, a), // the Variable itself: 11
    assign(c, mul(a, 2)), // a tensor of the old a: 2
    assign(d, add(b, c)), // tensors of the old b and c: 5
  ]);
  await program.run();
  assert.equal(await Promise.all([a, b, c, d].map(async (each) => at(await each.read(), 0))), [11, 11, 2, 5]);
  program.dispose();
  for (const each of [a, b, c, d]) each.dispose();
});

test('a change of shape of a Variable is a tensor: it does not see the updates of its run', async () => {
  const a = variable('a', [1, 2], [2]);
  const b = variable('b', [0, 0], [1, 2]);
  const program = await compile(device, {}, [assign(a, mul(a, 10)), assign(b, reshape(a, [1, 2]))]);
  await program.run();
  assert.equal(await b.read(), Float32Array.of(1, 2));
  program.dispose();
  for (const each of [a, b]) each.dispose();
});

test('a Variable assigned to itself, straight or turned', async () => {
  const a = variable('a', [1, 2, 3, 4], [2, 2]);
  const same = await compile(device, {}, [assign(a, reshape(reshape(a, [4]), [2, 2]))]);
  await same.run();
  assert.equal(await a.read(), Float32Array.of(1, 2, 3, 4));
  const itself = await compile(device, {}, [assign(a, a)]);
  await itself.run();
  assert.equal(await a.read(), Float32Array.of(1, 2, 3, 4));
  const turned = await compile(device, {}, [assign(a, permute(a, [1, 0]))]);
  await turned.run();
  assert.equal(await a.read(), Float32Array.of(1, 3, 2, 4));
  for (const each of [same, itself, turned]) each.dispose();
  a.dispose();
});

test('programs share Variables, and see each other in the order of their runs', async () => {
  const w = variable('w', [0], []);
  const up = await compile(device, {}, [assign(w, add(w, input('by', [])))]);
  const double = await compile(device, { before: w }, [assign(w, mul(w, 2))]);
  const look = await compile(device, { w });
  await up.run({ by: 3 });
  await double.run();
  await up.run({ by: 1 });
  await look.run();
  assert.equal([...(await double.read('before')), ...(await look.read('w')), ...(await w.read())], [3, 7, 7]);
  w.write(Float32Array.of(-1));
  await look.run();
  assert.equal([...(await look.read('w'))], [-1]);
  for (const each of [up, double, look]) each.dispose();
  assert.equal([...(await w.read())], [-1], 'a Variable outlives its programs');
  w.dispose();
  assert.equal(device.memory().variables, 0);
});

test('a carried state: two runs of half a sequence give one run of the whole', async () => {
  const w = variable('w', numbers(16, 6), [4, 4]);
  const carried = variable('carried', new Float32Array(4), [1, 4]);
  const run = (steps: number, start: Tensor) =>
    scan(
      ({ x }, { h }) => {
        const next = tanh(add(x, matmul(h, w)));
        return { state: { h: next }, output: { h: next } };
      },
      { x: input('x', [steps, 1, 4]) },
      { h: start },
    );
  const x = numbers(6 * 4, 7);
  const half = run(3, carried);
  const program = await compile(device, { h: half.outputs.h }, [assign(carried, half.state.h)]);
  const halves: Data[] = [];
  for (const part of [x.subarray(0, 12), x.subarray(12)]) {
    await program.run({ x: part });
    halves.push(await program.read('h'));
  }
  const { h } = await evaluate(device, { h: run(6, fill(0, [1, 4])).outputs.h }, { x });
  assert.equal(
    halves.flatMap((each) => bits(each)),
    bits(h),
  );
  program.dispose();
  for (const each of [w, carried]) each.dispose();
});

test('reads give the run before them, whatever runs after, and may overlap', async () => {
  const program = await compile(device, { y: mul(input('x', [3]), 2), big: fill(1, [5000]) });
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
  const { buffers } = device.memory();
  for (let i = 0; i < 10; i++) await Promise.all([program.read('y'), program.read('big'), program.read('y')]);
  assert.is(device.memory().buffers, buffers, 'staging buffers are used again');
  program.dispose();
});

test('runs that nobody awaited happen in order, with the data of their call', async () => {
  const total = variable('total', [0], []);
  const last = variable('last', [0], []);
  const x = input('x', []);
  const program = await compile(device, {}, [assign(total, add(total, x)), assign(last, x)]);
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

test('feeds: what does not fit is refused before anything is written', async () => {
  const [x, rate, index] = [input('x', [2, 2]), input('learningRate', []), input('index', [2], 'u32', { below: 5 })];
  const w = variable('w', [0, 0, 0, 0], [2, 2]);
  const program = await compile(device, { x, index }, [assign(w, mul(x, rate))]);
  const good = { x: Float32Array.of(1, 2, 3, 4), learningRate: 2, index: Uint32Array.of(4, 0) };
  await program.run(good);
  const untouched = async (): Promise<void> => {
    assert.equal(await program.read('x'), good.x);
    assert.equal(await program.read('index'), good.index);
    assert.equal(await w.read(), Float32Array.of(2, 4, 6, 8));
  };
  const bad = (feeds: Record<string, unknown>, message: RegExp): Promise<void> =>
    refused(() => program.run({ ...good, ...feeds } as typeof good), 'FeedError', message);
  await bad({ x: undefined }, /the input 'x' \[2,2\] was not fed; give it to run/);
  await refused(
    () => program.run({ x: good.x, index: good.index, learnigRate: 1 }),
    'FeedError',
    /no input is called 'learnigRate'; did you mean 'learningRate'\?/,
  );
  await bad({ zzz: 1 }, /no input is called 'zzz'\. The program reads x, learningRate, index|The program reads/);
  await bad({ x: Float32Array.of(9, 9, 9) }, /'x' takes 4 values, shape \[2,2\]; it was given 3/);
  await bad({ x: 7 }, /'x' takes 4 values, shape \[2,2\]; it was given 1/);
  await bad({ x: Uint32Array.of(9, 9, 9, 9) }, /'x' takes a Float32Array, not a Uint32Array/);
  await bad({ x: [9, 9, 9, 9] }, /'x' takes a Float32Array, not a Array/);
  await bad({ x: new Float64Array(4) }, /'x' takes a Float32Array, not a Float64Array/);
  await bad({ x: null }, /'x' takes a Float32Array, not null/);
  await bad({ index: Float32Array.of(1, 2) }, /'index' takes a Uint32Array, not a Float32Array/);
  await bad({ index: new Int32Array(2) }, /'index' takes a Uint32Array, not a Int32Array/);
  await bad(
    { x: new Float32Array(4), index: Uint32Array.of(1, 5) },
    /'index' holds 5 at position 1; its values must be below 5/,
  );
  await untouched();
  program.dispose();
  w.dispose();
});

test('a number is taken for an input of one element, if it fits the type', async () => {
  const program = await compile(device, { a: input('a', []), n: input('n', [1], 'u32') });
  await program.run({ a: 0.5, n: 3 });
  assert.equal([...(await program.read('a')), ...(await program.read('n'))], [0.5, 3]);
  for (const n of [-1, 0.5, 2 ** 32, Number.NaN]) {
    await refused(() => program.run({ a: 0, n }), 'FeedError', /'n' takes whole numbers from 0 to 4294967295/);
  }
  program.dispose();
});

test('two inputs of one name share a feed, where one fits both', async () => {
  const found = await evaluate(device, { y: add(input('x', [2]), input('x', [2])) }, { x: Float32Array.of(1, 2) });
  assert.equal(found.y, Float32Array.of(2, 4));
  await refused(
    () => compile(device, { y: add(input('x', [2]), input('x', [1])) }),
    'OptionError',
    /two inputs are called 'x', f32 \[2\] and f32 \[1\]; give them different names/,
  );
});

test('what a program is asked that it cannot do, it says', async () => {
  const w = variable('w', [1], [1]);
  const program = await compile(device, { loss: sum(w) });
  await refused(() => program.read('loss'), 'OptionError', /'loss' was not computed yet; await run/);
  await program.run();
  await refused(() => program.read('los'), 'OptionError', /no output 'los'; it has loss/);
  await refused(() => program.run({ x: 1 }), 'FeedError', /The program reads no inputs/);
  program.dispose();
  await refused(() => program.run(), 'OptionError', /disposed of; compile it again/);
  await refused(() => program.read('loss'), 'OptionError', /disposed of; compile it again/);
  await refused(() => compile(device, {}), 'OptionError', /nothing is wanted; name an output or give updates/);
  assert.throws(() => assign(w, fill(0, [2])), /'w' is f32 \[1\], the value f32 \[2\]/);
  assert.throws(() => w.write(new Float32Array(2)), /2 values do not fill \[1\]/);
  assert.throws(() => w.write(new Uint32Array(1)), /holds f32; give it the matching typed array/);
  w.dispose();
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
  for (const name of ['matmul', 'tanh', 'assign']) assert.ok(text.includes(name), `${name} in\n${text}`);
  program.dispose();
  model.dispose();
});

test.run();
