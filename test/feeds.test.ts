// The data that a run is given: what fits is taken, what does not is refused before anything is written.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  add,
  assign,
  broadcastTo,
  compile,
  concat,
  constant,
  crossEntropy,
  evaluate,
  fill,
  flip,
  gather,
  input,
  mul,
  permute,
  reshape,
  scan,
  slice,
  type Tensor,
  tanh,
  variable,
} from '../engine/node.ts';
import { onAdapter, refused, theDevice } from './on-adapter.ts';

onAdapter(test);

test('feeds: what does not fit is refused before anything is written', async () => {
  const [x, rate, index] = [input('x', [2, 2]), input('learningRate', []), input('index', [2], 'u32', { below: 5 })];
  const w = variable('w', [0, 0, 0, 0], [2, 2]);
  const program = await compile(theDevice(), { x, index }, [assign(w, mul(x, rate))]);
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

const along = (i: Tensor): Tensor => gather(constant(Float32Array.of(0, 1, 2, 3), [4]), i);
const throughScan = (i: Tensor, use: (i: Tensor, h: Tensor, before: Tensor) => Tensor): Tensor =>
  scan(
    ({ i: now }, { h, before }) => ({ state: { h: use(now, h, before), before: now }, output: { h } }),
    { i },
    { h: fill(0, [4]), before: constant(Uint32Array.of(0, 1, 2, 3), [4]) },
  ).outputs.h;

const uses: Readonly<Record<string, (i: Tensor) => Tensor>> = {
  directly: along,
  reshaped: (i) => along(reshape(i, [12])),
  sliced: (i) => along(slice(i, 0, 1, 2)),
  permuted: (i) => along(permute(i, [1, 0])),
  flipped: (i) => along(flip(i, 0)),
  concatenated: (i) => along(concat([i, i], 1)),
  broadcast: (i) => along(broadcastTo(i, [2, 3, 4])),
  'as labels': (i) => crossEntropy(fill(0, [3, 4, 4]), i),
  'as labels, sliced': (i) => crossEntropy(fill(0, [1, 4, 4]), slice(i, 0, 2, 1)),
  'before a loop': (i) => throughScan(i, (now, h) => tanh(add(h, along(now)))),
  'in a loop': (i) => throughScan(i, (now, h) => gather(h, now)),
  'in a loop, sliced': (i) =>
    throughScan(i, (now, h) => gather(h, concat([slice(now, 0, 1, 3), slice(now, 0, 0, 1)], 0))),
  'in a loop, as the state of the step before': (i) => throughScan(i, (_, h, before) => gather(h, before)),
};
for (const [way, use] of Object.entries(uses)) {
  test(`indices that are out of range are refused: used ${way}`, async () => {
    const program = await compile(theDevice(), { y: use(input('i', [3, 4], 'u32')) });
    await program.run({ i: new Uint32Array(12).fill(3) });
    const i = Uint32Array.of(0, 1, 2, 3, 0, 1, 2, 3, 0, 4, 0, 0);
    await refused(() => program.run({ i }), 'FeedError', /'i' holds 4 at position 9; its values must be below 4/);
    program.dispose();
  });
}

test('a number is taken for an input of one element, if it fits the type', async () => {
  const program = await compile(theDevice(), { a: input('a', []), n: input('n', [1], 'u32') });
  await program.run({ a: 0.5, n: 3 });
  assert.equal([...(await program.read('a')), ...(await program.read('n'))], [0.5, 3]);
  for (const n of [-1, 0.5, 2 ** 32, Number.NaN]) {
    await refused(() => program.run({ a: 0, n }), 'FeedError', /'n' takes whole numbers from 0 to 4294967295/);
  }
  program.dispose();
});

test('two inputs of one name share a feed, where one fits both', async () => {
  const found = await evaluate(theDevice(), { y: add(input('x', [2]), input('x', [2])) }, { x: Float32Array.of(1, 2) });
  assert.equal(found.y, Float32Array.of(2, 4));
  await refused(
    () => compile(theDevice(), { y: add(input('x', [2]), input('x', [1])) }),
    'OptionError',
    /two inputs are called 'x', f32 \[2\] and f32 \[1\]; give them different names/,
  );
});

test.run();
