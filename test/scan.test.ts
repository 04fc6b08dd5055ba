// The scan against the same recurrence written out step by step: outputs, last states and every gradient, on the real
// adapter, both from one program. Not here: what leaves the loop (scan-loop.test.ts), and kernels against float64 (the
// tests of the ops).
import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at, OptionError } from '../engine/errors.ts';
import {
  add,
  affine,
  blockGradient,
  concat,
  constant,
  type Data,
  evaluate,
  flip,
  grad,
  greater,
  matmul,
  mul,
  permute,
  reshape,
  type Shape,
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
import { onAdapter, theDevice } from './on-adapter.ts';
import { drawn, elman, lossOf, named, type Recurrence, unrolled } from './recurrence.ts';

onAdapter(test);

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
  const found = await evaluate(theDevice(), wanted);
  const names = Object.keys(found).filter((name) => name.startsWith('scan: '));
  assert.is(names.length * 2, Object.keys(found).length);
  for (const name of names) close(found[name], found[name.replace('scan', 'loop')], name);
}

/** Equal but for the rounding of f32 sums in another order, which terms that cancel make larger than the last bit. */
function close(own: Data | undefined, other: Data | undefined, what: string): void {
  if (own === undefined || other === undefined) throw new Error(`${what} is missing`);
  assert.is(own.length, other.length, `${what}: length`);
  let scale = 0;
  for (const value of other) scale = Math.max(scale, Math.abs(value));
  own.forEach((value, i) => {
    const wanted = at(other, i);
    const bound = own instanceof Uint32Array ? 0 : 1e-5 * scale + 1e-6;
    assert.ok(Math.abs(value - wanted) <= bound, `${what}: element ${i} is ${value}, unrolled ${wanted}`);
  });
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
  const found = await evaluate(theDevice(), { ...chained('scan'), ...chained('loop') });
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
  const { own, other } = await evaluate(theDevice(), {
    own: second(scan(net.cell, net.inputs, net.state).outputs.y),
    other: second(named(unrolled(net, 3).outputs, 'y')),
  });
  close(own, other, 'second gradient');
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
    state: { h: h0 },
    weights: [w],
  });
  w.dispose();
  h0.dispose();
});

test('a cell that returns no state or no output is refused with the mend', () => {
  const x = drawn(4, 2);
  const h = drawn(2);
  // As a caller without types may write it.
  const refused = (returned: unknown, message: RegExp): void => {
    const cell = (): never => returned as never;
    assert.throws(
      () => scan(cell, { x }, { h }),
      (error: unknown) => error instanceof OptionError && message.test(error.message),
    );
  };
  const mend = /return \{ state: \{ \.\.\. \}, output: \{ \.\.\. \} \}, with \{\} where there is none/;
  refused({ state: { h } }, /^scan: the cell returned no output record; /);
  refused({ state: { h } }, mend);
  for (const odd of [undefined, null, 3, Promise.resolve({}), { output: {} }]) refused(odd, /no state record; /);
  refused({ state: h, output: {} }, /no state record; /);
  refused({ state: { h }, output: h }, /no output record; /);
  refused({ state: { h }, output: { y: undefined } }, /the output 'y' that the cell returned is no tensor; give one/);
  refused({ state: { h: 1 }, output: {} }, /the state 'h' that the cell returned is no tensor/);
  refused({ state: {}, output: {} }, /no next state 'h'; return every state/);
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

/** A cell that `choices` decides: every choice makes a tensor of earlier ones, the next states are among the last. */
function randomCell(choices: readonly (readonly [op: number, a: number, b: number])[]) {
  const [w, v] = [drawn(4, 4), drawn(4)];
  const vector = (t: Tensor): Tensor => reshape(t, [4]);
  const makers: readonly ((a: Tensor, b: Tensor) => Tensor)[] = [
    (a, b) => tanh(add(a, b)),
    (a, b) => mul(a, b),
    (a) => vector(matmul(reshape(a, [1, 4]), w)),
    (a) => vector(matmul(w, reshape(a, [4, 1]))),
    (a) => vector(permute(reshape(a, [2, 2]), [1, 0])),
    (a, b) => concat([slice(a, 0, 1, 2), slice(b, 0, 0, 2)], 0),
    (a) => flip(a, 0),
    (a, b) => mul(a, sum(b)),
    (a, b) => where(greater(a, b), b, mul(a, v)),
    (a) => reshape(reshape(a, [2, 2]), [4]),
    (a) => affine(sigmoid(a), 2, -0.5),
    (a, b) => add(a, blockGradient(b)),
  ];
  const cell = ({ x, y }: { x: Tensor; y: Tensor }, { a, b, c }: { a: Tensor; b: Tensor; c: Tensor }) => {
    const pool = [x, y, a, b, c, v];
    for (const [op, i, j] of choices) {
      pool.push(at(makers, op % makers.length)(at(pool, i % pool.length), at(pool, j % pool.length)));
    }
    const place = (k: number): number => (at(at(choices, k % choices.length), 1) * 7 + k) % pool.length;
    const pick = (k: number): Tensor => at(pool, place(k));
    const last = at(pool, pool.length - 1);
    const nextB = place(1) < 6 ? pick(1) : mul(pick(1), 0.5);
    return { state: { a: last, b: nextB, c: pick(2) }, output: { p: pick(3), q: pick(4), last } };
  };
  return {
    cell,
    inputs: { x: drawn(4, 4), y: drawn(4, 4) },
    state: { a: drawn(4), b: drawn(4), c: drawn(4) },
    weights: [w, v],
  };
}

test('cells drawn at random', async () => {
  const choice = fc.tuple(fc.nat(1000), fc.nat(1000), fc.nat(1000));
  await fc.assert(
    fc.asyncProperty(fc.array(choice, { minLength: 3, maxLength: 9 }), fc.boolean(), async (choices, reverse) => {
      await compare({ ...randomCell(choices), reverse });
    }),
    { numRuns: 30, seed: 5, includeErrorInReport: true },
  );
});

test.run();
