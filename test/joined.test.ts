// Variables that share storage, and gradients that are computed side by side: each Variable is still read, written, saved and
// disposed of by itself, as if it lay alone; nothing is larger than every device binds.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at, DeviceError, OptionError } from '../engine/errors.ts';
import {
  adam,
  assign,
  compile,
  constant,
  input,
  loadVariables,
  mul,
  openDevice,
  reshape,
  saveVariables,
  sgd,
  slice,
  sum,
  type Tensor,
  tanh,
  type Update,
  type Variable,
  variable,
} from '../engine/node.ts';
import { dispatchesOf } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import { joinVariables } from '../engine/variable.ts';
import { onAdapter, theDevice } from './on-adapter.ts';

onAdapter(test);

/** Variables of three sizes that share storage. */
function three(): [Variable, Variable, Variable] {
  const all: [Variable, Variable, Variable] = [
    variable('a', [1, 2, 3], [3]),
    variable(
      'b',
      Float32Array.from({ length: 70 }, (_, i) => i),
      [7, 10],
    ),
    variable('c', [-1], []),
  ];
  joinVariables(all);
  return all;
}

test('joined Variables lie one after the other, where bindings may begin', () => {
  const [a, b, c] = three();
  assert.equal(
    [a, b, c].map(({ home }) => home.offset),
    [0, 64, 192],
  );
  assert.ok([a, b, c].every(({ home }) => home.variable === a.home.variable));
  assert.equal(a.home.variable.parts, [a, b, c]);
  assert.is(a.home.variable.name, 'a and 2 more');
});

test('only those join that no program was planned with, that hold f32, and that share with none', () => {
  const [a, b] = three();
  const planned = variable('planned', [1], [1]);
  planned.plan();
  const whole = variable('whole', new Uint32Array(1), [1]);
  const [x, y] = [variable('x', [1], [1]), variable('y', [2], [1])];
  joinVariables([a, planned, x, whole, b, y, x]);
  assert.ok([planned, whole].every((each) => each.home.variable === each));
  assert.equal(x.home.variable.parts, [x, y]);
  const alone = variable('alone', [1], [1]);
  joinVariables([alone, planned]);
  assert.is(alone.home.variable, alone);
});

test('each is read, written, computed with, saved and loaded by itself, before a device has it and after', async () => {
  const [a, b, c] = three();
  const seen = async (): Promise<number[]> => {
    const data = await Promise.all([a, b, c].map((each) => each.read()));
    return [...at(data, 0), at(at(data, 1), 0), at(at(data, 1), 69), ...at(data, 2)];
  };
  assert.equal(await seen(), [1, 2, 3, 0, 69, -1]);
  a.write(Float32Array.of(4, 5, 6));
  assert.equal(await seen(), [4, 5, 6, 0, 69, -1]);
  const program = await compile(theDevice(), { y: mul(a, c), total: sum(b) });
  await program.run();
  assert.equal([...(await program.read('y')), ...(await program.read('total'))], [-4, -5, -6, (69 * 70) / 2]);
  c.write(Float32Array.of(10));
  await program.run();
  assert.equal([...(await program.read('y'))], [40, 50, 60]);
  assert.equal(await seen(), [4, 5, 6, 0, 69, 10]);
  const file = await saveVariables([a, b, c]);
  for (const each of [a, b, c]) each.write(new Float32Array(each.size));
  assert.equal(await seen(), [0, 0, 0, 0, 0, 0]);
  loadVariables(file, [c, a], { partial: true });
  assert.equal(await seen(), [4, 5, 6, 0, 0, 10]);
  program.dispose();
  for (const each of [a, b, c]) each.dispose();
});

test('the storage goes with the last of them, and what programs changed with it', async () => {
  const own = await openDevice();
  const [a, b, c] = three();
  const one = constant([1], []);
  const updates = sgd(
    [
      [a, tanh(a)],
      [b, tanh(b)],
      [c, one],
    ],
    { learningRate: 1 },
  );
  const program = await compile(own, {}, updates);
  assert.is(own.memory().variables, 4 * 256 + 16, 'with their guard');
  await program.run();
  assert.equal([...(await c.read())], [-2]);
  program.dispose();
  c.dispose();
  a.dispose();
  assert.is(own.memory().variables, 4 * 256, 'b still needs it');
  assert.is(at(await b.read(), 0), 0);
  b.dispose();
  assert.is(own.memory().variables, 0);
  const lost = async (): Promise<unknown> => c.read().catch((error: unknown) => error);
  const error = await lost();
  assert.ok(error instanceof DeviceError && /'c'/.test(error.message), String(error));
  c.write(Float32Array.of(7));
  assert.equal([...(await c.read())], [7]);
  // Compiling needs the values of those that it names.
  const again = await compile(own, {}, updates).catch((failure: unknown) => failure);
  assert.ok(again instanceof DeviceError && /'a'/.test(again.message), String(again));
  for (const each of [a, b]) each.write(new Float32Array(each.size));
  const next = await compile(own, {}, updates);
  await next.run();
  assert.equal([...(await c.read())], [6]);
  next.dispose();
  own.dispose();
  assert.ok((await lost()) instanceof DeviceError);
});

test('a value that went with its storage is missed by those only who name it', async () => {
  const refusal = (act: Promise<unknown>): Promise<string> =>
    act.then(
      () => 'nothing refused',
      (error: unknown) => (error instanceof DeviceError ? error.message : String(error)),
    );
  for (const goes of ['variables', 'device'] as const) {
    const own = await openDevice();
    const [a, b, c] = three();
    const program = await compile(own, {}, [assign(a, tanh(a)), assign(b, mul(b, 2))]);
    await program.run();
    program.dispose();
    if (goes === 'device') own.dispose();
    else for (const each of [a, b]) each.dispose();
    const next = goes === 'device' ? theDevice() : own;
    a.write(Float32Array.of(1, 2, 3));
    const alone = await compile(next, { y: mul(a, 2), z: mul(c, 2) });
    await alone.run();
    assert.equal([...(await alone.read('y')), ...(await alone.read('z'))], [2, 4, 6, -2], goes);
    // The storage is there again, b's value is not.
    assert.match(await refusal(b.read()), /'b'/);
    assert.match(await refusal(compile(next, { y: mul(b, 2) })), /'b'/);
    assert.equal([...(await a.read())], [1, 2, 3]);
    b.write(new Float32Array(70).fill(3));
    assert.is(at(await b.read(), 69), 3);
    const both = await compile(next, { y: sum(b), z: sum(a) });
    await both.run();
    assert.equal([...(await both.read('y')), ...(await both.read('z'))], [210, 6]);
    for (const each of [alone, both, a, b, c]) each.dispose();
    own.dispose();
  }
});

test('a program changes the parts that it updates, not those that lie beside them', async () => {
  const own = await openDevice();
  const [a, b, c] = three();
  const two = constant([1, 1, 1], [3]);
  const updates = sgd(
    [
      [a, two],
      [c, sum(b)],
    ],
    { learningRate: 1 },
  );
  const program = await compile(own, {}, updates);
  assert.equal(
    program.plan.variables.map(({ name }) => name).filter((name) => /^[abc]$/.test(name)),
    ['b', 'a', 'c'],
  );
  await program.run();
  const used = [a, b, c, ...updates.variables];
  for (const each of [program, ...used]) each.dispose();
  assert.is(own.memory().variables, 0);
  assert.is(at(await b.read(), 69), 69);
  for (const each of [a, c]) {
    const error = await each.read().catch((failure: unknown) => failure);
    assert.ok(error instanceof DeviceError, each.name);
  }
  own.dispose();
});

test('storage waits for the parts that programs use, and what is disposed of is not read from it', async () => {
  const own = await openDevice();
  const [a, b, c] = three();
  const first = await compile(own, {}, [assign(a, mul(a, 2))]);
  await first.run();
  first.dispose();
  a.dispose();
  assert.is(own.memory().variables, 0, 'no program used b and c');
  a.write(Float32Array.of(1, 2, 3));
  const second = await compile(own, { y: mul(b, 2) }, [assign(a, mul(a, 2)), assign(c, mul(c, 5))]);
  await second.run();
  a.dispose();
  assert.is(own.memory().variables, 4 * 256, 'b and c still need it');
  const error = await a.read().catch((failure: unknown) => failure);
  assert.ok(error instanceof DeviceError && /'a'/.test(error.message), String(error));
  a.write(Float32Array.of(7, 8, 9));
  assert.equal([...(await a.read()), ...(await c.read())], [7, 8, 9, -5]);
  b.dispose();
  assert.is(at(await b.read(), 69), 69, 'no program changed b');
  // What was written meanwhile is put back into the storage that is there.
  b.write(new Float32Array(70).fill(2));
  const third = await compile(own, { y: sum(b), z: sum(a), w: mul(c, 1) });
  await third.run();
  const seen = await Promise.all(['y', 'z', 'w'].map((name) => third.read(name)));
  assert.equal(
    seen.map((data) => at(data, 0)),
    [140, 24, -5],
  );
  for (const each of [second, third, a, b, c]) each.dispose();
  assert.is(own.memory().variables, 0);
  own.dispose();
});

test('a Variable on one device takes those that share with it along', async () => {
  const own = await openDevice();
  const [a, b] = three();
  const program = await compile(own, { y: mul(a, 2) });
  await program.run();
  const refused = await compile(theDevice(), { y: mul(b, 2) }).catch((error: unknown) => error);
  assert.ok(refused instanceof OptionError && /'b' lives on another device/.test(refused.message), String(refused));
  own.dispose();
});

test('parameters, moments of a kind and gradients are a buffer each, of no more bytes than before', async () => {
  const own = await openDevice();
  const count = 12;
  const size = 500;
  const parameters = Array.from({ length: count }, (_, i) => variable(`p${i}`, new Float32Array(size).fill(i), [size]));
  const updates = adam(
    parameters.map((each) => [each, tanh(each)]),
    { learningRate: 0.1 },
  );
  const program = await compile(own, {}, updates);
  const padded = 4 * 512 * count;
  assert.is(own.memory().variables, 3 * padded + 16 + 16, 'with the corrections of the rates, and the guard');
  assert.ok(program.plan.slots.reduce((total, each) => total + each, 0) < padded + 4096);
  program.dispose();
  for (const each of [...parameters, ...updates.variables]) each.dispose();
  assert.is(own.memory().variables, 0);
  own.dispose();
});

test('gradients that are slices: what they are slices of is computed in the arena, unless most of it is not wanted', async () => {
  const x = input('x', [4, 64]);
  const feeds = { x: Float32Array.from({ length: 256 }, (_, i) => (i - 100) / 64) };
  const fed = (i: number): number => Math.tanh((i - 100) / 64);
  const look = async (
    pairs: readonly (readonly [rows: number, start: number, size: number, of: Tensor])[],
    gathers: number,
    extent: number,
  ): Promise<void> => {
    const variables = pairs.map(([, , size], i) => variable(`v${i}`, new Float32Array(size), [size]));
    const gradients = pairs.map(([, start, size, of]) => slice(of, 0, start, size));
    const updates = sgd(
      variables.map((each, i) => [each, at(gradients, i)]),
      { learningRate: 1 },
    );
    const program = await compile(theDevice(), {}, updates);
    await program.run(feeds);
    for (const [i, [first, start]] of pairs.entries()) {
      const got = await at(variables, i).read();
      got.forEach((value, k) => {
        assert.ok(Math.abs(value + fed(first + start + k)) < 1e-6, `v${i}, element ${k}: ${value}`);
      });
    }
    const calls = dispatchesOf(program.plan);
    assert.is(calls.filter(({ label }) => label === 'sgd gather').length, gathers, program.explain());
    const arena = calls
      .flatMap(({ buffers }) => buffers)
      .find(({ place }) => place.value.label.startsWith('sgd gradients'));
    assert.is(arena?.place.value.bytes, extent);
    program.dispose();
    for (const each of variables) each.dispose();
  };
  const whole = reshape(tanh(x), [256]);
  await look(
    [
      [0, 64, 64, whole],
      [0, 0, 64, whole],
      [0, 128, 100, whole],
    ],
    0,
    1024,
  );
  const odd = reshape(tanh(x), [256]);
  await look(
    [
      [0, 0, 70, odd],
      [0, 70, 100, odd],
    ],
    0,
    512 + 512,
  );
  const large = reshape(tanh(x), [256]);
  await look(
    [
      [0, 0, 30, large],
      [0, 64, 20, large],
    ],
    0,
    512,
  );
});

test('another shape of a parameter is read as it was before the updates', async () => {
  const [a, b] = [variable('a', [1, 2], [2]), variable('b', [3, 4], [2])];
  const kept = variable('kept', [0, 0], [1, 2]);
  const one = constant([1, 1], [2]);
  const updates = [
    ...sgd(
      [
        [a, one],
        [b, one],
      ],
      { learningRate: 1 },
    ),
    assign(kept, reshape(b, [1, 2])),
  ];
  const program = await compile(theDevice(), {}, updates);
  await program.run();
  assert.equal([...(await b.read()), ...(await kept.read())], [2, 3, 3, 4]);
  program.dispose();
  for (const each of [a, b, kept]) each.dispose();
});

test('an arena of gradients is no larger than every device binds', () => {
  const tensors = Array.from({ length: 5 }, (_, i) => tanh(input(`x${i}`, [3 * 2 ** 22])));
  const update: Update = {
    op: { name: 'look', together: ({ inputs }) => inputs, plan: () => undefined },
    variables: [],
    inputs: tensors,
    attrs: {},
  };
  const plan = planProgram({}, [update], { training: true, subgroupSize: 0 });
  const written = dispatchesOf(plan).flatMap(({ buffers }) => buffers.filter(({ write }) => write));
  const arenas = [...new Set(written.map(({ place }) => place.value))];
  assert.equal(
    arenas.map(({ bytes }) => bytes / 2 ** 20),
    [96, 96, 48],
  );
  assert.equal(
    written.map(({ place }) => place.offset / 2 ** 20),
    [0, 48, 0, 48, 0],
  );
});

test.run();
