// The scan against the same recurrence written out step by step: outputs, last states and every gradient, on the real
// adapter, both from one program. And what makes it worth having: what can leave the loop has left it.
// Not here: kernels against float64 (the tests of the ops), and long runs (test/program.test.ts).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at } from '../engine/errors.ts';
import {
  add,
  affine,
  compile,
  concat,
  constant,
  type Data,
  type Device,
  evaluate,
  fill,
  flip,
  grad,
  greater,
  input,
  matmul,
  mul,
  openDevice,
  permute,
  reshape,
  type Shape,
  type Step,
  scan,
  sigmoid,
  slice,
  sum,
  type Tensor,
  type TensorRecord,
  tanh,
  variable,
  where,
} from '../engine/node.ts';
import { isLoop } from '../engine/plan.ts';
import { normalArray } from '../engine/random.ts';

let device: Device;
test.before(async () => {
  device = await openDevice();
});
test.after(() => device.dispose());

let streams = 0;

/** A tensor of normal numbers, another one at each call. */
function drawn(...shape: number[]): Tensor {
  const size = shape.reduce((product, n) => product * n, 1);
  return constant(normalArray(size, { seed: 7, stream: streams++, std: 0.5 }), shape);
}

interface Recurrence<X extends TensorRecord, S extends TensorRecord, O extends TensorRecord> {
  readonly cell: (x: X, state: S) => Step<S, O>;
  readonly inputs: X;
  readonly state: S;
  readonly steps?: number;
  readonly reverse?: boolean;
  /** Gradients are taken with respect to these, besides f32 inputs and states. */
  readonly weights?: readonly Tensor[];
}

/** The recurrence without a scan. */
function unrolled<X extends TensorRecord, S extends TensorRecord, O extends TensorRecord>(
  { cell, inputs, state, reverse = false }: Recurrence<X, S, O>,
  steps: number,
): { outputs: TensorRecord; state: S } {
  const history: O[] = [];
  let now = state;
  for (let i = 0; i < steps; i++) {
    const t = reverse ? steps - 1 - i : i;
    const x = mapRecord(inputs, (each) => reshape(slice(each, 0, t, 1), each.shape.slice(1))) as X;
    const step = cell(x, now);
    now = step.state;
    history.push(step.output);
  }
  if (reverse) history.reverse();
  const stack = (name: string): Tensor =>
    concat(
      history.map((output) => {
        const each = named(output, name);
        return reshape(each, [1, ...each.shape]);
      }),
      0,
    );
  return { outputs: Object.fromEntries(Object.keys(at(history, 0)).map((name) => [name, stack(name)])), state: now };
}

/** A loss in which every element of every tensor counts differently. */
function lossOf(tensors: readonly Tensor[], seed: number): Tensor {
  const terms = tensors
    .filter(({ dtype }) => dtype === 'f32')
    .map((t, stream) => sum(mul(t, constant(normalArray(t.size, { seed, stream }), t.shape))));
  return terms.reduce((total, term) => add(total, term), fill(0, []));
}

/** Runs a recurrence both ways and compares all there is: outputs, last states, gradients. */
async function compare<X extends TensorRecord, S extends TensorRecord, O extends TensorRecord>(
  given: Recurrence<X, S, O>,
): Promise<void> {
  const { cell, inputs, state, weights = [], reverse = false } = given;
  const steps = given.steps ?? at(at(Object.values(inputs), 0).shape, 0);
  const options = given.steps === undefined ? { reverse } : { reverse, steps };
  const ways = { scan: scan(cell, inputs, state, options), loop: unrolled(given, steps) };
  const wrt = [...new Set([...Object.values(inputs), ...Object.values(state), ...weights])].filter(
    ({ dtype }) => dtype === 'f32',
  );
  const wanted: Record<string, Tensor> = {};
  for (const [way, { outputs, state: last }] of Object.entries(ways)) {
    for (const [name, tensor] of Object.entries(outputs)) wanted[`${way}: output ${name}`] = tensor;
    for (const [name, tensor] of Object.entries(last)) wanted[`${way}: state ${name}`] = tensor;
    const loss = lossOf([...Object.values(outputs), ...Object.values(last)], 11);
    [...grad(loss, wrt)].forEach(([t, d], i) => {
      wanted[`${way}: gradient ${i} [${t.shape.join()}]`] = d;
    });
  }
  const found = await evaluate(device, wanted);
  const names = Object.keys(found).filter((name) => name.startsWith('scan: '));
  assert.is(names.length * 2, Object.keys(found).length);
  for (const name of names) close(found[name], found[name.replace('scan', 'loop')], name);
}

function close(own: Data | undefined, other: Data | undefined, what: string): void {
  if (own === undefined || other === undefined) throw new Error(`${what} is missing`);
  assert.is(own.length, other.length, `${what}: length`);
  let scale = 0;
  for (const value of other) scale = Math.max(scale, Math.abs(value));
  own.forEach((value, i) => {
    const wanted = at(other, i);
    const bound = own instanceof Uint32Array ? 0 : 2e-6 * scale + 1e-7;
    assert.ok(Math.abs(value - wanted) <= bound, `${what}: element ${i} is ${value}, unrolled ${wanted}`);
  });
}

function mapRecord(record: TensorRecord, f: (tensor: Tensor) => Tensor): TensorRecord {
  return Object.fromEntries(Object.entries(record).map(([name, tensor]) => [name, f(tensor)]));
}

function named(record: TensorRecord, name: string): Tensor {
  const tensor = record[name];
  if (tensor === undefined) throw new Error(`no tensor ${name}`);
  return tensor;
}

/** A recurrent net of one layer, its weights, T steps over a batch. */
function elman(T: number, B: number, D: number, H: number) {
  const [wx, wh, wy] = [drawn(D, H), drawn(H, H), drawn(H, D)];
  return {
    cell: ({ x }: { x: Tensor }, { h }: { h: Tensor }) => {
      const next = tanh(add(matmul(x, wx), matmul(h, wh)));
      return { state: { h: next }, output: { y: matmul(next, wy) } };
    },
    inputs: { x: drawn(T, B, D) },
    state: { h: drawn(B, H) },
    weights: [wx, wh, wy],
  };
}

// Bytes of a step: B*H*4. 256 is the alignment of a binding's offset: steps below, at, above and not a multiple of it.
for (const [T, B, D, H] of [
  [5, 2, 3, 4],
  [6, 4, 16, 16],
  [4, 3, 5, 67],
  [3, 1, 1, 1],
  [1, 2, 3, 4],
  [1, 4, 16, 16],
  [2, 8, 16, 24],
] as const) {
  for (const reverse of [false, true]) {
    test(`a recurrent net, T ${T}, B ${B}, D ${D}, H ${H}${reverse ? ', last to first' : ''}`, () =>
      compare({ ...elman(T, B, D, H), reverse }));
  }
}

test('several states that read each other', async () => {
  const [T, B, H] = [5, 2, 6];
  const [wi, wc] = [drawn(H, H), drawn(H, H)];
  await compare({
    cell: ({ x }: { x: Tensor }, { h, c }: { h: Tensor; c: Tensor }) => {
      const gate = sigmoid(add(x, matmul(h, wi)));
      const cNext = add(mul(gate, c), mul(affine(gate, -1, 1), tanh(matmul(h, wc))));
      return { state: { h: tanh(mul(cNext, gate)), c: cNext }, output: { gate, before: c } };
    },
    inputs: { x: drawn(T, B, H) },
    state: { h: drawn(B, H), c: drawn(B, H) },
    weights: [wi, wc],
  });
});

test('states passed on, swapped, and passed through a change of shape or of axes', async () => {
  const T = 5;
  const cell = (
    { x }: { x: Tensor },
    { kept, a, b, m, flat }: { kept: Tensor; a: Tensor; b: Tensor; m: Tensor; flat: Tensor },
  ) => ({
    state: {
      kept,
      a: b,
      b: a,
      m: permute(m, [1, 0]),
      flat: reshape(permute(reshape(flat, [2, 3]), [1, 0]), [6]),
    },
    output: { y: add(mul(x, kept), sub3(a, b)), m, flat },
  });
  const sub3 = (a: Tensor, b: Tensor): Tensor => add(a, affine(b, -2, 0));
  for (const reverse of [false, true]) {
    await compare({
      cell,
      inputs: { x: drawn(T, 7) },
      state: { kept: drawn(7), a: drawn(7), b: drawn(7), m: drawn(4, 4), flat: drawn(6) },
      reverse,
    });
  }
});

test('a shift register: three states handed down, as the next state and as an output', async () => {
  await compare({
    cell: ({ x }: { x: Tensor }, { a, b, c }: { a: Tensor; b: Tensor; c: Tensor }) => ({
      state: { a: x, b: a, c: b },
      output: { last: c, sum: add(add(a, b), c) },
    }),
    inputs: { x: drawn(6, 3) },
    state: { a: drawn(3), b: drawn(3), c: drawn(3) },
  });
});

test('two states that become the same tensor', async () => {
  await compare({
    cell: ({ x }: { x: Tensor }, { a, b }: { a: Tensor; b: Tensor }) => {
      const next = tanh(add(x, mul(a, b)));
      return { state: { a: next, b: next }, output: { next } };
    },
    inputs: { x: drawn(4, 5) },
    state: { a: drawn(5), b: drawn(5) },
  });
});

test('the same tensor as the initial value of two states, and as an input', async () => {
  const same = drawn(4, 5);
  const start = drawn(5);
  await compare({
    cell: ({ x, y }: { x: Tensor; y: Tensor }, { a, b }: { a: Tensor; b: Tensor }) => ({
      state: { a: tanh(add(x, b)), b: mul(a, y) },
      output: { z: add(a, b) },
    }),
    inputs: { x: same, y: same },
    state: { a: start, b: start },
  });
});

test('a u32 state, which counts which branch to take', async () => {
  const [T, H] = [6, 4];
  const flags = constant(
    Uint32Array.from({ length: T * H }, (_, i) => (i * 7) % 3),
    [T, H],
  );
  const cell = ({ x, flag }: { x: Tensor; flag: Tensor }, { h, seen }: { h: Tensor; seen: Tensor }) => {
    const gate = where(constant(Float32Array.of(1, 0, 1, 0), [H]), x, h);
    return { state: { h: tanh(add(gate, mul(h, 0.5))), seen: flag }, output: { seen, h } };
  };
  await compare({
    cell,
    inputs: { x: drawn(T, H), flag: flags },
    state: { h: drawn(H), seen: constant(Uint32Array.of(9, 8, 7, 6), [H]) },
  });
});

test('outputs: the state, the next state, an input, an invariant, something free of the state', async () => {
  const [T, H] = [5, 3];
  const [w, bias] = [drawn(H, H), drawn(H)];
  const cell = ({ x }: { x: Tensor }, { h }: { h: Tensor }) => {
    const next = tanh(add(matmul(reshape(x, [1, H]), w), reshape(h, [1, H])));
    const out = reshape(next, [H]);
    return {
      state: { h: out },
      output: {
        before: h,
        after: out,
        asMatrix: next,
        x,
        invariant: bias,
        invariantToo: tanh(bias),
        free: tanh(mul(x, bias)),
        freeShape: reshape(x, [H, 1]),
        readout: mul(out, bias),
      },
    };
  };
  for (const reverse of [false, true]) {
    await compare({ cell, inputs: { x: drawn(T, H) }, state: { h: drawn(H) }, weights: [w, bias], reverse });
  }
});

test('a weight captured twice, and one that is used within and without the loop', async () => {
  const [T, B, H] = [4, 2, 5];
  const w = drawn(H, H);
  const inner = {
    cell: ({ x }: { x: Tensor }, { h }: { h: Tensor }) => {
      const next = tanh(add(matmul(x, w), matmul(tanh(matmul(h, w)), w)));
      return { state: { h: next }, output: { y: matmul(next, w) } };
    },
    inputs: { x: drawn(T, B, H) },
    state: { h: matmul(drawn(B, H), w) },
    weights: [w],
  };
  await compare(inner);
});

test('nothing carried: a map over the steps', async () => {
  const w = drawn(3, 2);
  await compare({
    cell: ({ x }: { x: Tensor }) => ({ state: {}, output: { y: tanh(matmul(x, w)), z: sum(x) } }),
    inputs: { x: drawn(4, 2, 3) },
    state: {},
    weights: [w],
  });
});

test('no inputs: the option steps tells how many', async () => {
  const w = drawn(4, 4);
  await compare({
    cell: (_: TensorRecord, { h }: { h: Tensor }) => {
      const next = tanh(matmul(h, w));
      return { state: { h: next }, output: { next } };
    },
    inputs: {},
    state: { h: drawn(2, 4) },
    steps: 5,
    weights: [w],
  });
});

test('an op without a rule over time stays in the loop and is right', async () => {
  // A concatenation of a slice with itself and a flipped state: whichever of these have no rule must still be right.
  await compare({
    cell: ({ x }: { x: Tensor }, { h }: { h: Tensor }) => {
      const wide = concat([x, flip(x, 0), h], 0);
      return { state: { h: tanh(slice(flip(wide, 0), 0, 2, 3)) }, output: { wide, picked: greater(x, h) } };
    },
    inputs: { x: drawn(5, 3) },
    state: { h: drawn(3) },
  });
});

test('one scan after another, and one on the reversed outputs of another', async () => {
  const first = elman(4, 2, 3, 5);
  const second = elman(4, 2, 3, 4);
  const chained = (way: 'scan' | 'loop'): TensorRecord => {
    const run = (net: ReturnType<typeof elman>, x: Tensor, reverse: boolean) =>
      way === 'scan'
        ? scan(net.cell, { x }, net.state, { reverse })
        : unrolled({ ...net, inputs: { x }, reverse }, at(x.shape, 0));
    const a = run(first, first.inputs.x, false);
    const b = run(second, named(a.outputs, 'y'), true);
    const loss = lossOf([named(b.outputs, 'y'), b.state.h, a.state.h], 3);
    const wrt = [first.inputs.x, first.state.h, second.state.h, ...first.weights, ...second.weights];
    return Object.fromEntries([...grad(loss, wrt)].map(([, d], i) => [`${way}${i}`, d]));
  };
  const found = await evaluate(device, { ...chained('scan'), ...chained('loop') });
  for (const name of Object.keys(found).filter((each) => each.startsWith('scan'))) {
    close(found[name], found[name.replace('scan', 'loop')], name);
  }
});

test('the gradient of a gradient goes through a scan', async () => {
  const net = elman(3, 2, 2, 3);
  const second = (y: Tensor): Tensor => {
    const [, d] = at([...grad(lossOf([y], 5), [at(net.weights, 1)])], 0);
    return grad(sum(mul(d, d)), [at(net.weights, 1)]).of(at(net.weights, 1));
  };
  const { own, other } = await evaluate(device, {
    own: second(scan(net.cell, net.inputs, net.state).outputs.y),
    other: second(named(unrolled(net, 3).outputs, 'y')),
  });
  close(own, other, 'second gradient');
});

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
  const [lean, rich] = await Promise.all([compile(device, { y: plain.outputs.y }), compile(device, { y: outputs.y })]);
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
  const program = await compile(device, { loss, ...Object.fromEntries(gradients) });
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
    const products = body.filter(({ kernel }) => kernel.name === 'matmul');
    assert.is(
      products.length,
      1,
      `the loop ${reverse ? 'backward' : 'forward'} has one product, h·Wh or its transpose`,
    );
    for (const { operations } of products) assert.is(operations, 2 * B * H * H);
  }
  // h·Wh, x·Wx, next·Wy; their inputs' gradients but dx; three weights' gradients: the last five over all steps at once.
  const outside = program.plan.items.filter((item) => !isLoop(item) && item.kernel.name === 'matmul');
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
    const program = await compile(device, { d });
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
  const [short, long] = [await callsAt(5), await callsAt(9)];
  assert.is(long.items, short.items);
  assert.is(long.body, short.body);
  assert.is(long.kernels, short.kernels, 'a length makes no pipelines');
  assert.is(long.calls - short.calls, 4 * short.body);
});

test('a Variable as the initial state and as a captured weight', async () => {
  const h0 = variable('h0', [0.5, -0.25], [2]);
  const w = variable('w', [1, 2, 3, 4], [2, 2]);
  await compare({
    cell: ({ x }: { x: Tensor }, { h }: { h: Tensor }) => {
      const next = tanh(add(x, reshape(matmul(reshape(h, [1, 2]), w), [2])));
      return { state: { h: next }, output: { next } };
    },
    inputs: { x: drawn(3, 2) },
    state: { h: h0 as Tensor },
    weights: [w],
  });
  w.dispose();
  h0.dispose();
});

test('what the cell does wrong is refused with the mend, before any GPU work', () => {
  const x = input('x', [3, 2]);
  const h = fill(0, [2]);
  const refused = (act: () => unknown, name: string, message: RegExp): void => {
    assert.throws(act, (error: Error) => error.name === name && message.test(error.message), String(message));
  };
  const same = ({ x: now }: { x: Tensor }, state: { h: Tensor }) => ({ state, output: { now } });
  refused(
    () => scan(same, { x: fill(0, []) }, { h }),
    'ShapeError',
    /'x' has no time axis; give it the shape \[T, \.\.\.\]/,
  );
  refused(
    () => scan(({ a }: { a: Tensor; b: Tensor }) => ({ state: {}, output: { a } }), { a: x, b: fill(0, [4, 2]) }, {}),
    'ShapeError',
    /'b' \[4,2\] has 4 steps where 3 were expected/,
  );
  refused(
    () => scan((_, { h: now }) => ({ state: { h: reshape(now, [1, 2]) }, output: {} }), { x }, { h }),
    'ShapeError',
    /the state 'h' goes in as f32 \[2\] and comes out as f32 \[1,2\]; they must be equal/,
  );
  const wrong = (state: Record<string, Tensor>) => () =>
    scan<{ x: Tensor }, Record<string, Tensor>, TensorRecord>(() => ({ state, output: {} }), { x }, { h });
  refused(wrong({}), 'OptionError', /no next state 'h'; return every state/);
  refused(wrong({ h, g: h }), 'OptionError', /returned the state 'g', which has no initial value/);
  refused(
    () => scan((_, s) => ({ state: s, output: {} }), {}, { h }),
    'OptionError',
    /neither inputs nor the option steps/,
  );
  refused(() => scan(same, { x }, { h }, { steps: 4 }), 'ShapeError', /'x' \[3,2\] has 3 steps where 4 were expected/);
});

test('a scan inside the cell of a scan is refused', () => {
  const cell = ({ x }: { x: Tensor }, { h }: { h: Tensor }) => {
    const inner = scan(({ x: each }, { s }) => ({ state: { s: add(s, each) }, output: {} }), { x }, { s: fill(0, []) });
    return { state: { h: add(h, inner.state.s) }, output: {} };
  };
  assert.throws(
    () => scan(cell, { x: drawn(3, 2) }, { h: fill(0, []) }),
    (error: Error) => error.name === 'OptionError' && /not supported; unroll the inner one/.test(error.message),
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
  try {
    await compile(device, { escaped: escaped ?? fill(0, []) });
    assert.unreachable();
  } catch (error) {
    assert.is((error as Error).name, 'OptionError', String(error));
    assert.match((error as Error).message, /output/);
  }
});

const shapes: readonly Shape[] = [[], [1], [2, 1], [1, 3], [2, 3, 2]];
for (const shape of shapes) {
  test(`states and inputs of shape [${shape.join()}]`, async () => {
    const w = drawn(...shape);
    await compare({
      cell: ({ x }: { x: Tensor }, { h }: { h: Tensor }) => {
        const next = tanh(add(mul(h, w), x));
        return { state: { h: next }, output: { twice: add(next, next), total: sum(h) } };
      },
      inputs: { x: drawn(4, ...shape) },
      state: { h: drawn(...shape) },
      weights: [w],
    });
  });
}

test.run();
