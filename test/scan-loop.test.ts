// What a scan keeps in its loop and what leaves it, how programs grow with the number of steps, and what a cell that is
// wrong is told. That a scan computes what it should is tested in scan.test.ts.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at } from '../engine/errors.ts';
import {
  add,
  compile,
  fill,
  grad,
  input,
  reshape,
  scan,
  type Tensor,
  type TensorRecord,
  tanh,
} from '../engine/node.ts';
import { isLoop } from '../engine/plan.ts';
import { onAdapter, refused, theDevice } from './on-adapter.ts';
import { drawn, elman, lossOf } from './recurrence.ts';

onAdapter(test);

test('only what is wanted is computed: an unused output or state costs nothing', async () => {
  const net = elman(5, 2, 3, 4);
  const costly = (x: Tensor): Tensor => tanh(tanh(tanh(x)));
  const { outputs } = scan(
    ({ x }, { h, spare }) => {
      const { state, output } = net.cell({ x }, { h });
      return { state: { ...state, spare: costly(add(spare, x)) }, output: { ...output, unused: costly(h) } };
    },
    net.inputs,
    { ...net.state, spare: drawn(2, 3) },
  );
  const plain = scan(net.cell, net.inputs, net.state);
  const [lean, rich] = await Promise.all([
    compile(theDevice(), { y: plain.outputs.y }),
    compile(theDevice(), { y: outputs.y }),
  ]);
  assert.is(rich.calls.length, lean.calls.length);
  await Promise.all([lean.run(), rich.run()]);
  assert.equal(await rich.read('y'), await lean.read('y'));
  for (const program of [lean, rich]) program.dispose();
});

test('products with the inputs are before the loop, readouts and weight gradients behind it', async () => {
  const [T, B, D, H] = [6, 4, 8, 16];
  const net = elman(T, B, D, H);
  const { outputs } = scan(net.cell, net.inputs, net.state);
  const loss = lossOf([outputs.y], 2);
  const gradients = [...grad(loss, net.weights)].map(([, d], i) => [`d${i}`, d] as const);
  const program = await compile(theDevice(), { loss, ...Object.fromEntries(gradients) });
  const loops = program.plan.items.filter(isLoop);
  assert.is(loops.length, 2, 'one loop forward, one backward');
  assert.equal(
    loops.map(({ reverse, steps }) => [reverse, steps]),
    [
      [false, T],
      [true, T],
    ],
  );
  for (const { body, reverse } of loops) {
    const products = body.filter(({ kernel }) => kernel.name.startsWith('matmul'));
    assert.is(
      products.length,
      1,
      `the loop ${reverse ? 'backward' : 'forward'} has one product, h·Wh or its transpose`,
    );
    for (const { operations } of products) assert.is(operations, 2 * B * H * H);
  }
  // h·Wh, x·Wx, next·Wy; their inputs' gradients but dx; three weights' gradients: the last five over all steps at once.
  const outside = program.plan.items.filter((item) => !isLoop(item) && item.kernel.name.startsWith('matmul'));
  assert.is(outside.length, 6, program.explain());
  const text = program.explain();
  assert.match(text, /^6 steps, \d+ calls each:$/m);
  assert.match(text, /^6 steps, last to first, \d+ calls each:$/m);
  const inLoops = text.split('\n').filter((line) => /^ {2}\S/.test(line) && line.includes('matmul'));
  assert.is(inLoops.length, 2, text);
  program.dispose();
});

test('the calls of a program grow with T only by what is in its loops', async () => {
  const callsAt = async (T: number): Promise<{ items: number; body: number; calls: number; kernels: number }> => {
    const net = elman(T, 2, 3, 4);
    const { outputs } = scan(net.cell, net.inputs, net.state);
    const d = grad(lossOf([outputs.y], 2), net.weights).of(at(net.weights, 1));
    const program = await compile(theDevice(), { d });
    const { items } = program.plan;
    const loops = items.filter(isLoop);
    const kernels = new Set(program.calls.map(({ pipeline }) => pipeline)).size;
    const result = {
      items: items.length,
      body: loops.reduce((total, { body }) => total + body.length, 0),
      calls: program.calls.length,
      kernels,
    };
    program.dispose();
    return result;
  };
  const [short, long] = [await callsAt(8), await callsAt(12)];
  assert.is(long.items, short.items);
  assert.is(long.body, short.body);
  assert.is(long.kernels, short.kernels, 'a length makes no pipelines');
  assert.is(long.calls - short.calls, 4 * short.body);
});

test('what the cell does wrong is refused with the mend, before any GPU work', async () => {
  const x = input('x', [3, 2]);
  const h = fill(0, [2]);
  const same = ({ x: now }: { x: Tensor }, state: { h: Tensor }) => ({ state, output: { now } });
  await refused(
    () => scan(same, { x: fill(0, []) }, { h }),
    'ShapeError',
    /'x' has no time axis; give it the shape \[T, \.\.\.\]/,
  );
  await refused(
    () => scan(({ a }: { a: Tensor; b: Tensor }) => ({ state: {}, output: { a } }), { a: x, b: fill(0, [4, 2]) }, {}),
    'ShapeError',
    /'b' \[4,2\] has 4 steps where 3 were expected/,
  );
  await refused(
    () => scan((_, { h: now }) => ({ state: { h: reshape(now, [1, 2]) }, output: {} }), { x }, { h }),
    'ShapeError',
    /the state 'h' goes in as f32 \[2\] and comes out as f32 \[1,2\]; they must be equal/,
  );
  const wrong = (state: Record<string, Tensor>) => () =>
    scan<{ x: Tensor }, Record<string, Tensor>, TensorRecord>(() => ({ state, output: {} }), { x }, { h });
  await refused(wrong({}), 'OptionError', /no next state 'h'; return every state/);
  await refused(wrong({ h, g: h }), 'OptionError', /returned the state 'g', which has no initial value/);
  await refused(
    () => scan((_, s) => ({ state: s, output: {} }), {}, { h }),
    'OptionError',
    /neither inputs nor the option steps/,
  );
  await refused(
    () => scan(same, { x }, { h }, { steps: 4 }),
    'ShapeError',
    /'x' \[3,2\] has 3 steps where 4 were expected/,
  );
});

test('a scan inside the cell of a scan is refused', async () => {
  const cell = ({ x }: { x: Tensor }, { h }: { h: Tensor }) => {
    const inner = scan(({ x: each }, { s }) => ({ state: { s: add(s, each) }, output: {} }), { x }, { s: fill(0, []) });
    return { state: { h: add(h, inner.state.s) }, output: {} };
  };
  await refused(
    () => scan(cell, { x: drawn(3, 2) }, { h: fill(0, []) }),
    'OptionError',
    /not supported; unroll the inner one/,
  );
});

test('a tensor of the body that escapes from its cell is refused at compile', async () => {
  let escaped: Tensor | undefined;
  scan(
    ({ x }, { h }) => {
      escaped = tanh(add(x, h));
      return { state: { h: escaped }, output: {} };
    },
    { x: drawn(3, 2) },
    { h: drawn(2) },
  );
  const outside = escaped ?? fill(0, []);
  await refused(
    () => compile(theDevice(), { outside }),
    'OptionError',
    /only as an output of the cell|return it from the cell/,
  );
});

test.run();
