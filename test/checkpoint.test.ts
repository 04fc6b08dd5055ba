// Checkpoints of the library: a training goes on from one to the same bytes, with every optimiser and dropout on; they hold one moment,
// whatever runs meanwhile; and what does not fit is refused before anything is changed.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { need } from '../engine/errors.ts';
import {
  adam,
  adamw,
  add,
  assign,
  compile,
  type Device,
  dropout,
  grad,
  input,
  loadCheckpoint,
  matmul,
  mean,
  mul,
  type Optimiser,
  type OptimiserOptions,
  openDevice,
  type ParameterGradients,
  type Program,
  RandomState,
  readCheckpoint,
  rmsprop,
  saveCheckpoint,
  saveVariables,
  sgd,
  square,
  sub,
  tanh,
  type Variable,
  variable,
} from '../engine/node.ts';
import { normalArray } from '../engine/random.ts';
import { readSafetensors, writeSafetensors } from '../engine/safetensors.ts';
import { bits, onAdapter, refused, theDevice } from './on-adapter.ts';

onAdapter(test);

type Make = (gradients: ParameterGradients, options: OptimiserOptions) => Optimiser;
const makers: Readonly<Record<string, Make>> = {
  'sgd with momentum': (g, options) => sgd(g, { ...options, momentum: 0.9 }),
  rmsprop: (g, options) => rmsprop(g, { ...options, centered: true, momentum: 0.5 }),
  adam,
  adamw,
};

interface Training {
  readonly program: Program;
  readonly variables: readonly Variable[];
  readonly weights: readonly Variable[];
}

const normal = (stream: number, size: number): Float32Array => normalArray(size, { seed: 5, stream });

/** Two layers with dropout between, a state that is carried from step to step, and an optimiser; `load` before anything is compiled. */
async function training(
  device: Device,
  make: Make,
  load: (variables: readonly Variable[]) => void = () => {},
): Promise<Training> {
  const [a, b] = [variable('a', normal(1, 24), [4, 6]), variable('b', normal(2, 12), [6, 2])];
  const carried = variable('carried', new Float32Array(2), [2]);
  const random = new RandomState({ seed: 7 });
  const [x, y] = [input('x', [3, 4]), input('y', [3, 2])];
  const out = matmul(dropout(tanh(matmul(x, a)), { rate: 0.5, random }), b);
  const loss = mean(square(sub(out, y)));
  const optimiser = make(grad(loss, [a, b]), { learningRate: 0.01, clipNorm: 1 });
  const updates = [...optimiser, assign(carried, mean(out, { axes: [0] }))];
  const variables = [a, b, carried, ...random.variables, ...optimiser.variables];
  load(variables);
  return { program: await compile(device, { loss }, updates), variables, weights: [a, b] };
}

const feeds = (step: number): Record<string, Float32Array> => ({ x: normal(10 + step, 12), y: normal(1000 + step, 6) });

async function run({ program }: Training, from: number, to: number): Promise<void> {
  for (let step = from; step < to; step++) await program.run(feeds(step));
}

const allBits = async ({ variables }: Training): Promise<number[][]> =>
  Promise.all(variables.map(async (each) => bits(await each.read())));

function free({ program, variables }: Training): void {
  program.dispose();
  for (const each of variables) each.dispose();
}

for (const [name, make] of Object.entries(makers)) {
  test(`${name}: on from a checkpoint, on another device, to the same bytes`, async () => {
    const whole = await training(theDevice(), make);
    await run(whole, 0, 5);
    const bytes = await saveCheckpoint(whole.variables, { step: 5 });
    await run(whole, 5, 12);
    const wanted = await allBits(whole);
    // Into the Variables that went on meanwhile, whose programs are compiled already.
    assert.equal(loadCheckpoint(bytes, whole.variables), { step: 5 });
    await run(whole, 5, 12);
    assert.equal(await allBits(whole), wanted);
    const other = await openDevice();
    try {
      const resumed = await training(other, make, (variables) => loadCheckpoint(bytes, variables));
      await run(resumed, 5, 12);
      assert.equal(await allBits(resumed), wanted);
      // Every Variable counts: without one the numbers are others.
      for (const left of resumed.variables.filter(({ name: each }) => each !== 'carried')) {
        const partial = await training(other, make, (variables) => {
          const fresh = need(
            variables.find((each) => each.name === left.name),
            'a Variable',
          );
          const kept = new Float32Array(fresh.size);
          loadCheckpoint(bytes, variables);
          fresh.write(fresh.dtype === 'u32' ? new Uint32Array(fresh.size) : kept);
        });
        await run(partial, 5, 12);
        assert.not.equal(await allBits(partial), wanted, `${left.name} does not matter`);
        free(partial);
      }
    } finally {
      other.dispose();
    }
    free(whole);
  });
}

test('a checkpoint holds one moment, whatever is run behind it', async () => {
  const subject = await training(theDevice(), adam);
  await run(subject, 0, 3);
  const calm = await saveCheckpoint(subject.variables, { step: 3 });
  const saving = saveCheckpoint(subject.variables, { step: 3 });
  const running = Promise.all([3, 4, 5, 6, 7].map((step) => subject.program.run(feeds(step))));
  assert.equal(await saving, calm);
  await running;
  assert.not.equal(await saveCheckpoint(subject.variables, { step: 3 }), calm);
  free(subject);
});

test('device memory is after a checkpoint what it was before, whatever its size, and the values are right', async () => {
  // 24 MiB, which one staging buffer does not hold, between small ones; the sizes are not multiples of anything.
  const sizes = [5, 2 ** 21 - 3, 1, 2 ** 21 + 1, 2 ** 21, 7];
  const model = sizes.map((size, i) => variable(`w${i}`, new Float32Array(size), [size]));
  const counter = variable('counter', Uint32Array.of(0, 2 ** 31), [2]);
  const feed = input('x', []);
  const updates = model.map((each, i) => assign(each, add(each, mul(feed, i + 1))));
  const program = await compile(theDevice(), { x: feed }, updates);
  await program.run({ x: Float32Array.of(1) });
  await program.read('x');
  const before = theDevice().memory();
  const saving = saveCheckpoint([...model, counter], {});
  await program.run({ x: Float32Array.of(100) });
  const { weights } = readCheckpoint(await saving);
  assert.equal({ ...theDevice().memory(), peak: 0 }, { ...before, peak: 0 });
  for (const [i, each] of model.entries()) {
    const found = need(weights.tensors.get(each.name), each.name).data;
    assert.is(found.length, sizes[i]);
    assert.ok(
      found.every((value: number | bigint) => value === i + 1),
      each.name,
    );
    each.dispose();
  }
  assert.equal(weights.tensors.get('counter')?.data, Uint32Array.of(0, 2 ** 31));
  program.dispose();
});

test('what does not fit is refused by name, and then nothing was changed', async () => {
  const subject = await training(theDevice(), adam);
  await run(subject, 0, 2);
  const record = { step: 2, options: { hidden: 6, list: [1, 2], name: 'x' } };
  const bytes = await saveCheckpoint(subject.variables, record);
  await run(subject, 2, 4);
  const before = await allBits(subject);
  const check = async (act: () => unknown, message: RegExp, name = 'FileError'): Promise<void> => {
    await refused(act, name, message);
    assert.equal(await allBits(subject), before, 'something was changed');
  };
  const load = (given: Uint8Array, expect = {}): unknown => loadCheckpoint(given, subject.variables, { expect });
  const again = (change: (metadata: Record<string, string>) => void, keep: (name: string) => boolean = () => true) => {
    const { tensors, metadata } = readSafetensors(bytes);
    change(metadata);
    return writeSafetensors(new Map([...tensors].filter(([name]) => keep(name))), metadata);
  };
  await check(() => load(bytes.slice(0, -4)), /checkpoint: .*cut short/);
  await check(() => load(bytes.slice(8)), /checkpoint: /);
  await check(
    () =>
      load(
        again(
          () => {},
          (name) => name !== 'adam.m.a',
        ),
      ),
    /does not fit the model: 'adam\.m\.a' is missing/,
  );
  await check(() => loadCheckpoint(bytes, subject.weights), /'adam\.correction'.* are not in the model/);
  const wider = [variable('a', new Float32Array(8), [4, 2]), ...subject.variables.slice(1)];
  await check(() => loadCheckpoint(bytes, wider), /'a' is F32 \[4,6\] where the model has F32 \[4,2\]/);
  const options = { hidden: 8, list: [1, 3], extra: true };
  await check(
    () => load(bytes, { options, seed: 1 }),
    /of another training: options\.hidden is 6 in the file and 8 here, options\.list is \[1,2\] in the file and \[1,3\] here, options\.name is "x" in the file and missing here, options\.extra is missing in the file and true here, seed is missing/,
  );
  await check(
    () =>
      load(
        again((m) => {
          m.format = 'rimgrad checkpoint 2';
        }),
      ),
    /version 2, .*version 1; use the rimgrad that wrote it/,
  );
  await check(
    () =>
      load(
        again((m) => {
          m.format = 'other';
        }),
      ),
    /holds tensors and is no checkpoint; load it with loadVariables/,
  );
  for (const bad of [
    '',
    '{',
    '[]',
    'null',
    `${'[{"a":'.repeat(40)}1${'}]'.repeat(40)}`,
    `{"a":${'['.repeat(99)}${']'.repeat(99)}}`,
  ]) {
    await check(
      () =>
        load(
          again((m) => {
            m.record = bad;
          }),
        ),
      /its record is no (plain )?JSON/,
    );
  }
  const plain = await saveVariables(subject.variables);
  await check(() => load(plain), /is no checkpoint/);
  await check(() => load(bytes, { step: Number.NaN }), /expect\.step is NaN/, 'OptionError');
  await check(
    () => loadCheckpoint(bytes, subject.variables, { expct: {} } as object),
    /no option 'expct'/,
    'OptionError',
  );
  assert.equal(load(bytes, { options: record.options }), record);
  assert.not.equal(await allBits(subject), before);
  free(subject);
});

test('a record is plain JSON, and comes back as it was', async () => {
  const w = [variable('w', [1], [1])];
  const record = JSON.parse('{"__proto__": {"x": 1}, "n": [1.5, -2e-9, null, true, "ü\\u2028"], "o": {}}');
  const found = readCheckpoint(await saveCheckpoint(w, record), 'mine').record;
  assert.is(JSON.stringify(found), JSON.stringify(record));
  assert.is(({} as { x?: number }).x, undefined);
  assert.equal(readCheckpoint(await saveCheckpoint(w, { a: undefined, b: 1 })).record, { b: 1 });
  const loop: Record<string, unknown> = {};
  loop.self = { loop };
  for (const [odd, message] of [
    [{ a: [1, Number.POSITIVE_INFINITY] }, /record\.a\[1\] is Infinity; a record is plain JSON/],
    [{ a: { b: new Float32Array(1) } }, /record\.a\.b is a Float32Array/],
    [{ a: 1n }, /record\.a is a BigInt/],
    [{ a: () => 1 }, /record\.a is a Function/],
    [{ a: [undefined] }, /record\.a\[0\] is undefined/],
    [loop, /nested deeper than 64/],
  ] as const) {
    await refused(() => saveCheckpoint(w, odd), 'OptionError', message);
  }
  const twice = [variable('w', [1], [1]), variable('w', [2], [1])];
  await refused(() => saveCheckpoint(twice, {}), 'OptionError', /two Variables are called 'w'/);
});

test('no checkpoint is saved of weights that a guard holds at an earlier step, nor of what is not finite', async () => {
  const w = variable('w', [1, 2], [2]);
  const x = input('x', [2]);
  const program = await compile(theDevice(), {}, sgd(grad(mean(square(sub(x, w))), [w]), { learningRate: 0.1 }));
  await program.run({ x: Float32Array.of(1, 1) });
  await program.run({ x: Float32Array.of(1, Number.NaN) });
  await program.run({ x: Float32Array.of(1, 1) });
  await refused(() => saveCheckpoint([w], { step: 3 }), 'NonFiniteError', /^step 2: .*'x' \[2\]/);
  await program.clearGuard();
  const saved = await saveCheckpoint([w], { step: 1 });
  w.write(Float32Array.of(Number.NaN, 0));
  await refused(() => saveCheckpoint([w], {}), 'OptionError', /"w" is not finite at element 0; keep the last good/);
  const bad = await saveVariables([w], readSafetensors(saved).metadata);
  await refused(() => loadCheckpoint(bad, [w]), 'FileError', /"w" is not finite at element 0; .*older checkpoint/);
  program.dispose();
  w.dispose();
});

test('a record that could not be read back is refused, and bytes may come as an ArrayBuffer', async () => {
  const w = variable('w', [1], [1]);
  await refused(() => saveCheckpoint([w], { name: 'run \ud83d' }), 'OptionError', /half of a surrogate pair/);
  let deep: object = {};
  for (let i = 0; i < 64; i++) deep = { o: deep };
  await refused(() => saveCheckpoint([w], { deep }), 'OptionError', /plain JSON/);
  const { buffer } = await saveCheckpoint([w], { step: 5 });
  assert.equal(loadCheckpoint(buffer, [w]), { step: 5 });
  await refused(() => readSafetensors('a path' as unknown as Uint8Array), 'OptionError', /give its bytes/);
});

test.run();
