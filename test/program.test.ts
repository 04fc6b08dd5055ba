// Programs on the real adapter: what comes out, and in which order updates happen. Scans, the memory plan, feeds and long
// runs have tests of their own.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at } from '../engine/errors.ts';
import {
  add,
  assign,
  clamp,
  compile,
  constant,
  type Data,
  evaluate,
  fill,
  input,
  matmul,
  mul,
  permute,
  power,
  reshape,
  scan,
  sum,
  type Tensor,
  tanh,
  type Variable,
  variable,
} from '../engine/node.ts';
import { normalArray } from '../engine/random.ts';
import { bits, onAdapter, refused, theDevice } from './on-adapter.ts';

onAdapter(test);

function numbers(size: number, stream: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(normalArray(size, { seed: 8, stream, std: 0.5 }));
}

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
  const found = await evaluate(theDevice(), outputs, { x: values, u: Uint32Array.of(7, 4_294_967_295) });
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
  const program = await compile(theDevice(), { n, alias: reshape(n, [1]), twice: mul(n, 2) }, [assign(n, add(n, 1))]);
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
  const program = await compile(theDevice(), {}, [
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
  const program = await compile(theDevice(), {}, [assign(a, mul(a, 10)), assign(b, reshape(a, [1, 2]))]);
  await program.run();
  assert.equal(await b.read(), Float32Array.of(1, 2));
  program.dispose();
  for (const each of [a, b]) each.dispose();
});

test('a Variable assigned to itself, straight or turned', async () => {
  const a = variable('a', [1, 2, 3, 4], [2, 2]);
  const same = await compile(theDevice(), {}, [assign(a, reshape(reshape(a, [4]), [2, 2]))]);
  await same.run();
  assert.equal(await a.read(), Float32Array.of(1, 2, 3, 4));
  const itself = await compile(theDevice(), {}, [assign(a, a)]);
  await itself.run();
  assert.equal(await a.read(), Float32Array.of(1, 2, 3, 4));
  const turned = await compile(theDevice(), {}, [assign(a, permute(a, [1, 0]))]);
  await turned.run();
  assert.equal(await a.read(), Float32Array.of(1, 3, 2, 4));
  for (const each of [same, itself, turned]) each.dispose();
  a.dispose();
});

test('programs share Variables, and see each other in the order of their runs', async () => {
  const w = variable('w', [0], []);
  const up = await compile(theDevice(), {}, [assign(w, add(w, input('by', [])))]);
  const double = await compile(theDevice(), { before: w }, [assign(w, mul(w, 2))]);
  const look = await compile(theDevice(), { w });
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
  assert.equal(theDevice().memory().variables, 0);
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
  const program = await compile(theDevice(), { h: half.outputs.h }, [assign(carried, half.state.h)]);
  const halves: Data[] = [];
  for (const part of [x.subarray(0, 12), x.subarray(12)]) {
    await program.run({ x: part });
    halves.push(await program.read('h'));
  }
  const { h } = await evaluate(theDevice(), { h: run(6, fill(0, [1, 4])).outputs.h }, { x });
  assert.equal(
    halves.flatMap((each) => bits(each)),
    bits(h),
  );
  program.dispose();
  for (const each of [w, carried]) each.dispose();
});

test('evaluate compiles, runs, reads and leaves nothing, also where it is refused', async () => {
  const x = input('x', [2]);
  const outputs = { double: mul(x, 2), sum: sum(x) };
  const found = await evaluate(theDevice(), outputs, { x: Float32Array.of(1, 2) });
  assert.equal(found, { double: Float32Array.of(2, 4), sum: Float32Array.of(3) });
  const { buffers } = theDevice().memory();
  await evaluate(theDevice(), outputs, { x: Float32Array.of(1, 2) });
  await refused(() => evaluate(theDevice(), outputs, { x: new Float32Array(3) }), 'FeedError', /takes 2 values/);
  await refused(() => evaluate(theDevice(), outputs), 'FeedError', /was not fed/);
  assert.is(theDevice().memory().buffers, buffers);
});

test('what a program is asked that it cannot do, it says', async () => {
  const w = variable('w', [1], [1]);
  const program = await compile(theDevice(), { loss: sum(w) });
  await refused(() => program.read('loss'), 'OptionError', /'loss' was not computed yet; await run/);
  await program.run();
  await refused(() => program.read('los'), 'OptionError', /no output 'los'; it has loss/);
  await refused(() => program.run({ x: 1 }), 'FeedError', /The program reads no inputs/);
  program.dispose();
  await refused(() => program.run(), 'OptionError', /disposed of; compile it again/);
  await refused(() => program.read('loss'), 'OptionError', /disposed of; compile it again/);
  await refused(() => compile(theDevice(), {}), 'OptionError', /nothing is wanted; name an output or give updates/);
  for (const tensor of [mul(w, 1e40), clamp(w, -1e39, 0), power(w, -1e39)]) {
    const name = tensor.node.op.name;
    const message = new RegExp(
      `^${name}: its kernel cannot take a number .* beyond what an f32 holds\\); give the op numbers`,
    );
    await refused(() => compile(theDevice(), { tensor }), 'OptionError', message);
  }
  assert.throws(() => assign(w, fill(0, [2])), /'w' is f32 \[1\], the value f32 \[2\]/);
  assert.throws(() => w.write(new Float32Array(2)), /2 values do not fill \[1\]/);
  assert.throws(() => w.write(new Uint32Array(1)), /holds f32; give it the matching typed array/);
  w.dispose();
});

test.run();
