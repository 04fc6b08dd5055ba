// The gates of recurrent cells, by facts that can be worked out by hand: single units with round numbers, saturation, the
// same gates written with plain ops, and gates inside of a scan.
// Not here: every op against float64 over drawn shapes (gradcheck) and PyTorch's numbers (the golden files).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at, OptionError, ShapeError } from '../engine/errors.ts';
import {
  add,
  constant,
  type Device,
  evaluate,
  fill,
  grad,
  gruGates,
  input,
  lstmGates,
  mul,
  openDevice,
  reshape,
  type Shape,
  scan,
  sigmoid,
  slice,
  sub,
  sum,
  type Tensor,
  tanh,
} from '../engine/node.ts';
import { isLoop } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import { normalArray } from '../engine/random.ts';

let device: Device;
test.before(async () => {
  device = await openDevice();
});
test.after(() => device.dispose());

const ln3 = Math.log(3); // sigmoid(ln 3) = 3/4, tanh(ln 3 / 2) = 1/2

let streams = 0;
function drawn(shape: Shape, std = 1): Tensor {
  const size = shape.reduce((product, n) => product * n, 1);
  return constant(normalArray(size, { seed: 21, stream: streams++, std }), shape);
}

function near(got: ArrayLike<number>, wanted: ArrayLike<number>, what: string, bound = 2e-6): void {
  assert.is(got.length, wanted.length, `${what}: length`);
  for (let i = 0; i < wanted.length; i++) {
    const [value, aim] = [at(got, i), at(wanted, i)];
    assert.ok(
      Math.abs(value - aim) <= bound * Math.max(1, Math.abs(aim)),
      `${what}: element ${i} is ${value}, not ${aim}`,
    );
  }
}

test('one GRU unit by hand, forward and backward', async () => {
  // r = 1/2, z = 3/4, n = tanh(0 + ln 3 / 2) = 1/2, h' = n / 4 + 3 h / 4
  const [gx, gh, h] = [constant([0, ln3, 0], [3]), constant([0, 0, ln3], [3]), constant([2], [1])];
  const y = gruGates(gx, gh, h);
  const d = grad(sum(y), [gx, gh, h]);
  const found = await evaluate(device, { y, dgx: d.of(gx), dgh: d.of(gh), dh: d.of(h) });
  near(found.y, [1.625], 'y');
  const dn = (1 / 4) * (3 / 4);
  const dz = (2 - 1 / 2) * (3 / 16);
  const dr = (dn * ln3) / 4;
  near(found.dgx, [dr, dz, dn], 'dgx', 1e-6);
  near(found.dgh, [dr, dz, dn / 2], 'dgh', 1e-6);
  near(found.dh, [3 / 4], 'dh', 1e-6);
});

test('one LSTM unit by hand, forward and backward, from h and from c alone', async () => {
  // i = 3/4, f = 1/2, g = 1/2, o = 1/2, c' = 1/8 + 3/8, h' = tanh(1/2) / 2
  const [gates, c] = [constant([ln3, 0, ln3 / 2, 0], [4]), constant([0.25], [1])];
  const y = lstmGates(gates, c);
  const [fromC, fromH] = [grad(sum(y.c), [gates, c]), grad(sum(y.h), [gates, c])];
  const found = await evaluate(device, {
    h: y.h,
    c: y.c,
    dgatesC: fromC.of(gates),
    dcC: fromC.of(c),
    dgatesH: fromH.of(gates),
    dcH: fromH.of(c),
  });
  const shown = Math.tanh(0.5);
  near(found.c, [0.5], 'c');
  near(found.h, [shown / 2], 'h');
  const gatesOf = (dc: number, dh: number): number[] => [
    (dc * 0.5 * 3) / 16,
    dc * 0.25 * 0.25,
    (dc * 0.75 * 3) / 4,
    (dh * shown) / 4,
  ];
  near(found.dgatesC, gatesOf(1, 0), 'dgates from c', 1e-6);
  near(found.dcC, [0.5], 'dc from c', 1e-6);
  const dc = 0.5 * (1 - shown * shown);
  near(found.dgatesH, gatesOf(dc, 1), 'dgates from h', 1e-6);
  near(found.dcH, [dc / 2], 'dc from h', 1e-6);
});

test('fused gates equal gates written with plain ops, over rows and units', async () => {
  const [rows, H] = [[5, 3], 7] as const;
  const part = (x: Tensor, i: number): Tensor => slice(x, -1, i * H, H);
  const [gx, gh, h] = [drawn([...rows, 3 * H]), drawn([...rows, 3 * H]), drawn([...rows, H])];
  const [r, z] = [0, 1].map((i) => sigmoid(add(part(gx, i), part(gh, i)))) as [Tensor, Tensor];
  const n = tanh(add(part(gx, 2), mul(r, part(gh, 2))));
  const gru = add(mul(sub(1, z), n), mul(z, h));
  const [gates, c] = [drawn([...rows, 4 * H]), drawn([...rows, H])];
  const next = add(mul(sigmoid(part(gates, 1)), c), mul(sigmoid(part(gates, 0)), tanh(part(gates, 2))));
  const shown = mul(sigmoid(part(gates, 3)), tanh(next));
  const lstm = lstmGates(gates, c);

  const weights = [drawn([...rows, H]), drawn([...rows, H])] as const;
  const loss = (a: Tensor, b: Tensor): Tensor => add(sum(mul(a, weights[0])), sum(mul(b, weights[1])));
  const pairs: [Tensor, Tensor][] = [
    [gruGates(gx, gh, h), gru],
    [lstm.h, shown],
    [lstm.c, next],
  ];
  const gruWays = [gruGates(gx, gh, h), gru].map((y) => [...grad(loss(y, y), [gx, gh, h])]) as [
    [Tensor, Tensor][],
    [Tensor, Tensor][],
  ];
  gruWays[0].forEach(([, d], i) => {
    pairs.push([d, at(gruWays[1], i)[1]]);
  });
  const [own, plain] = [grad(loss(lstm.h, lstm.c), [gates, c]), grad(loss(shown, next), [gates, c])];
  for (const wrt of [gates, c]) pairs.push([own.of(wrt), plain.of(wrt)]);
  const found = await evaluate(
    device,
    Object.fromEntries(
      pairs.flatMap(([a, b], i) => [
        [`a${i}`, a],
        [`b${i}`, b],
      ]),
    ),
  );
  assert.is(pairs.length, 8);
  for (let i = 0; i < pairs.length; i++) near(found[`a${i}`] ?? [], found[`b${i}`] ?? [], `pair ${i}`);
});

test('saturated gates stay finite and keep the digits of their slopes', async () => {
  const far = [-1e4, -90, 90, 1e4];
  const zeros = [0, 0, 0, 0];
  const stack = (...chunks: readonly (readonly number[])[]): number[] =>
    zeros.flatMap((_, row) => chunks.map((chunk) => at(chunk, row)));
  const h = constant([7, 7, 7, 7], [4, 1]);
  const gx = constant(stack(far, far, far), [4, 3]);
  const gh = constant(stack(far, zeros, zeros), [4, 3]);
  const y = gruGates(gx, gh, h);
  const gates = constant(stack(far, far, far, far), [4, 4]);
  const lstm = lstmGates(gates, h);
  const slope = constant([20, -20], [2, 1]);
  const z = constant([0, 20, 0, 0, -20, 0], [2, 3]);
  const dz = grad(sum(gruGates(z, constant(new Array(6).fill(0), [2, 3]), slope)), [z]).of(z);
  const [dgx, dgates] = [grad(sum(y), [gx]).of(gx), grad(sum(lstm.h), [gates]).of(gates)];
  const found = await evaluate(device, { y, h: lstm.h, c: lstm.c, dgx, dgates, dz });
  near(found.y, [-1, -1, 7, 7], 'GRU');
  near(found.c, [0, 0, 8, 8], 'c');
  near(found.h, [0, 0, 1, 1], 'h');
  for (const each of [found.dgx, found.dgates]) for (const value of each) assert.ok(Number.isFinite(value), `${value}`);
  // dz = h z (1 - z), where 1 - z is 2e-9 and float32 would say 0.
  const wanted = (20 * Math.exp(-20)) / (1 + Math.exp(-20)) ** 2;
  assert.ok(Math.abs(at(found.dz, 1) / wanted - 1) < 1e-5, `${found.dz[1]}, not ${wanted}`);
  assert.ok(Math.abs(at(found.dz, 4) / -wanted - 1) < 1e-5, `${found.dz[4]}, not ${-wanted}`);
});

test('a small candidate keeps its digits', async () => {
  const small = [1e-5, -3e-4, 0.02, 0.099, 0.101];
  const gx = constant(
    small.flatMap((value) => [0, -90, value]),
    [5, 3],
  );
  const { y } = await evaluate(device, { y: gruGates(gx, fill(0, [5, 3]), fill(0, [5, 1])) });
  small.forEach((value, i) => {
    assert.ok(Math.abs(at(y, i) / Math.tanh(value) - 1) < 1e-6, `tanh ${value} is ${y[i]}`);
  });
});

test('gates in a scan equal the steps one by one; those that need no state leave the loop', async () => {
  const [T, B, H] = [4, 2, 3];
  const [xs, gxs, h0, c0] = [drawn([T, B, 4 * H]), drawn([T, B, 3 * H]), drawn([B, H]), drawn([B, H])];
  const fixed = drawn([B, 3 * H]);
  const tied = scan(
    ({ x, gx }, { h, c }) => {
      const next = lstmGates(add(x, sum(h)), c);
      const mixed = gruGates(gx, fixed, next.h);
      return { state: { h: mixed, c: next.c }, output: { mixed } };
    },
    { x: xs, gx: gxs },
    { h: h0, c: c0 },
  );
  let [h, c] = [h0, c0];
  let total = fill(0, []);
  const weights = drawn([T, B, H]);
  const step = (sequence: Tensor, t: number): Tensor => reshape(slice(sequence, 0, t, 1), sequence.shape.slice(1));
  for (let t = 0; t < T; t++) {
    const next = lstmGates(add(step(xs, t), sum(h)), c);
    h = gruGates(step(gxs, t), fixed, next.h);
    c = next.c;
    total = add(total, sum(mul(h, step(weights, t))));
  }
  const wrt = [xs, gxs, h0, c0, fixed];
  const [own, other] = [grad(sum(mul(tied.outputs.mixed, weights)), wrt), grad(total, wrt)];
  const pairs = wrt.map((each): [Tensor, Tensor] => [own.of(each), other.of(each)]);
  pairs.push([tied.state.h, h], [tied.state.c, c]);
  const found = await evaluate(
    device,
    Object.fromEntries(
      pairs.flatMap(([a, b], i) => [
        [`a${i}`, a],
        [`b${i}`, b],
      ]),
    ),
  );
  for (let i = 0; i < pairs.length; i++) near(found[`a${i}`] ?? [], found[`b${i}`] ?? [], `pair ${i}`, 5e-6);

  const free = scan(
    ({ gx }, { h: before }) => {
      const candidate = gruGates(gx, fixed, h0);
      return { state: { h: add(before, candidate) }, output: {} };
    },
    { gx: gxs },
    { h: h0 },
  );
  const loss = sum(free.state.h);
  const plan = planProgram({ loss, d: grad(loss, [gxs]).of(gxs) }, [], { training: false, subgroupSize: 0 });
  const inside = plan.items.flatMap((item) => (isLoop(item) ? item.body.map(({ label }) => label) : []));
  const outside = plan.items.flatMap((item) => (isLoop(item) ? [] : [item.label]));
  assert.ok(!inside.some((label) => label.startsWith('gruGates')), inside.join());
  assert.is(outside.filter((label) => label === 'gruGates').length, 1);
  assert.is(outside.filter((label) => label === 'gruGatesBackward').length, 1);
});

test('gates refuse what does not fit, and a second derivative', () => {
  const refused: readonly (() => unknown)[] = [
    () => gruGates(drawn([2, 6]), drawn([2, 6]), drawn([2, 3])),
    () => gruGates(drawn([2, 9]), drawn([1, 9]), drawn([2, 3])),
    () => gruGates(drawn([2, 9]), drawn([2, 9]), drawn([])),
    () => lstmGates(drawn([2, 9]), drawn([2, 3])),
    () => lstmGates(input('g', [2, 12], 'u32'), drawn([2, 3])),
  ];
  for (const act of refused)
    assert.throws(act, (error: unknown) => error instanceof ShapeError && /3H|4H/.test(error.message));
  const h = drawn([2, 3]);
  const d = grad(sum(gruGates(drawn([2, 9]), drawn([2, 9]), h)), [h]).of(h);
  assert.throws(
    () => grad(sum(d), [h]),
    (error: unknown) => error instanceof OptionError && /gradient of its gradient/.test(error.message),
  );
});

test.run();
