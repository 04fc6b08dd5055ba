// Convolutions, by facts that are exact: images worked out by hand, and whole-number images, for which float32 makes no
// rounding, so that transposes, gradients, gradients of gradients and scans must agree to the bit.
// Not here: every op against float64 over drawn shapes (gradcheck) and PyTorch's numbers (the golden files).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { OptionError, ShapeError } from '../engine/errors.ts';
import {
  add,
  constant,
  conv2d,
  convTranspose2d,
  type Device,
  evaluate,
  fill,
  grad,
  mul,
  openDevice,
  reshape,
  type Shape,
  scan,
  slice,
  sub,
  sum,
  type Tensor,
} from '../engine/node.ts';
import { isLoop } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import { normalArray } from '../engine/random.ts';

let device: Device;
test.before(async () => {
  device = await openDevice();
});
test.after(() => device.dispose());

let streams = 0;
function drawn(shape: Shape, std = 1): Tensor {
  const size = shape.reduce((product, n) => product * n, 1);
  return constant(normalArray(size, { seed: 21, stream: streams++, std }), shape);
}

/** Small whole numbers: their products and sums are exact in float32. */
function whole(shape: Shape): Tensor {
  const size = shape.reduce((product, n) => product * n, 1);
  const values = normalArray(size, { seed: 22, stream: streams++, std: 2 }).map((value) => Math.round(value));
  return constant(values, shape);
}

test('a convolution by hand: not flipped, strided, padded', async () => {
  const x = constant([1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 1, 3, 3]);
  const w = constant([1, 0, 0, -1], [1, 1, 2, 2]);
  const corner = constant([1, 2, 3, 4], [1, 1, 2, 2]);
  const found = await evaluate(device, {
    plain: conv2d(x, w),
    padded: conv2d(x, corner, { padding: 1, stride: 2 }),
    biased: conv2d(x, constant([1, 1, 1, 1, 0, 0, 0, 1], [2, 1, 2, 2]), { bias: constant([100, 200], [2]) }),
    transposed: convTranspose2d(constant([1, 10], [1, 1, 1, 2]), corner),
    wide: convTranspose2d(constant([1, 10], [1, 1, 1, 2]), corner, { stride: 2, outputPadding: 1 }),
    cut: convTranspose2d(constant([1, 10], [1, 1, 1, 2]), corner, { stride: 2, padding: 1, outputPadding: 1 }),
  });
  assert.equal([...found.plain], [-4, -4, -4, -4]);
  assert.equal([...found.padded], [4, 6 + 12, 8 + 28, 5 + 12 + 24 + 36]);
  assert.equal([...found.biased], [112, 116, 124, 128, 205, 206, 208, 209]);
  assert.equal([...found.transposed], [1, 12, 20, 3, 34, 40]);
  assert.equal([...found.wide], [1, 2, 10, 20, 0, 3, 4, 30, 40, 0, 0, 0, 0, 0, 0]);
  assert.equal([...found.cut], [4, 30, 40]);
});

test('a transposed convolution is the transpose, and both have exact gradients', async () => {
  for (const [stride, padding, size, kernel] of [
    [1, 0, [5, 4], [2, 3]],
    [2, 1, [7, 6], [3, 2]],
    [3, 2, [8, 5], [4, 4]],
  ] as const) {
    const [x, w] = [whole([2, 3, ...size]), whole([4, 3, ...kernel])];
    const y = conv2d(x, w, { stride, padding });
    const g = whole(y.shape);
    const rest = (size[0] + 2 * padding - kernel[0]) % stride;
    const same = rest === (size[1] + 2 * padding - kernel[1]) % stride;
    assert.ok(same, 'the test needs one outputPadding for rows and columns');
    const back = convTranspose2d(g, w, { stride, padding, outputPadding: rest });
    const v = whole(w.shape);
    // sum(g * conv(x, w)) is linear in x, w and g: its gradients, and the gradients of those, are convolutions again.
    const d = grad(sum(mul(y, g)), [x, w, g]);
    const e = grad(sum(mul(back, x)), [x, w, g]);
    const second = grad(sum(mul(d.of(w), v)), [x, g]);
    const found = await evaluate(device, {
      y,
      dx: d.of(x),
      back,
      dw: d.of(w),
      ew: e.of(w),
      dg: d.of(g),
      eg: e.of(g),
      secondX: second.of(x),
      backV: convTranspose2d(g, v, { stride, padding, outputPadding: rest }),
      secondG: second.of(g),
      convV: conv2d(x, v, { stride, padding }),
      left: sum(mul(d.of(w), w)),
      right: sum(mul(y, g)),
    });
    assert.equal(found.dx, found.back);
    assert.equal(found.dw, found.ew);
    assert.equal(found.dg, found.y);
    assert.equal(found.eg, found.y);
    assert.equal(found.secondX, found.backV);
    assert.equal(found.secondG, found.convV);
    assert.equal(found.left, found.right);
    assert.ok(found.y.some((value) => value !== 0));
  }
});

test('a bias has a gradient a channel, and leading sizes are all images', async () => {
  const [x, w, bias] = [whole([2, 3, 2, 5, 5]), whole([3, 2, 3, 3]), whole([3])];
  const y = conv2d(x, w, { bias, padding: 1 });
  assert.equal(y.shape, [2, 3, 3, 5, 5]);
  const flat = conv2d(reshape(x, [6, 2, 5, 5]), w, { bias, padding: 1 });
  const up = convTranspose2d(y, w, { bias: whole([2]), padding: 1 });
  const db = grad(sum(y), [bias]).of(bias);
  const found = await evaluate(device, { y, flat, db, up });
  assert.equal(found.y, found.flat);
  assert.equal([...found.db], [150, 150, 150]);
  assert.equal(up.shape, x.shape);
});

test('the weight gradient sums many images to the same bits every time', async () => {
  const [x, w] = [drawn([40, 2, 9, 9]), drawn([3, 2, 3, 3])];
  const y = conv2d(x, w, { stride: 2 });
  const dw = grad(sum(mul(y, drawn(y.shape))), [w]).of(w);
  const [first, second] = [await evaluate(device, { dw }), await evaluate(device, { dw })];
  assert.equal(first.dw, second.dw);
});

test('convolutions in a scan: shared weights leave the loop, weights that vary by step are right', async () => {
  const [T, B] = [3, 2];
  const [xs, w, h0] = [whole([T, B, 2, 4, 4]), whole([2, 2, 3, 3]), whole([B, 2, 4, 4])];
  const gains = constant([1, -1, 2], [T, 1, 1, 1, 1]);
  const cell = ({ x, gain }: { x: Tensor; gain: Tensor }, { h }: { h: Tensor }) => {
    const shared = conv2d(x, w, { padding: 1 });
    const varied = convTranspose2d(conv2d(x, mul(w, gain), { padding: 1 }), mul(w, gain), { padding: 1 });
    return { state: { h: add(sub(shared, h), varied) }, output: { shared } };
  };
  const own = scan(cell, { x: xs, gain: gains }, { h: h0 });
  let state = { h: h0 };
  let total = fill(0, []);
  for (let t = 0; t < T; t++) {
    const step = (sequence: Tensor): Tensor => reshape(slice(sequence, 0, t, 1), sequence.shape.slice(1));
    const next = cell({ x: step(xs), gain: step(gains) }, state);
    state = next.state;
    total = add(total, sum(next.output.shared));
  }
  const weights = whole(h0.shape);
  const wrt = [xs, w, h0, gains];
  const losses = [
    add(sum(mul(own.state.h, weights)), sum(own.outputs.shared)),
    add(sum(mul(state.h, weights)), total),
  ] as const;
  const pairs: [Tensor, Tensor][] = [[own.state.h, state.h]];
  for (const each of wrt) pairs.push([grad(losses[0], wrt).of(each), grad(losses[1], wrt).of(each)]);
  const found = await evaluate(
    device,
    Object.fromEntries(
      pairs.flatMap(([a, b], i) => [
        [`a${i}`, a],
        [`b${i}`, b],
      ]),
    ),
  );
  for (let i = 0; i < pairs.length; i++) assert.equal(found[`a${i}`], found[`b${i}`], `pair ${i}`);

  const outputs = Object.fromEntries(pairs.map(([a], i) => [`y${i}`, a]));
  const plan = planProgram(outputs, [], { training: false, subgroupSize: 0 });
  const inside = plan.items.flatMap((item) => (isLoop(item) ? item.body.map(({ label }) => label) : []));
  assert.equal(
    inside.filter((label) => label.startsWith('convolve')),
    [],
  );
});

test('convolutions refuse what does not fit', () => {
  const [x, w] = [whole([1, 2, 4, 4]), whole([3, 2, 3, 3])];
  const refused: readonly (readonly [() => unknown, typeof OptionError | typeof ShapeError, RegExp])[] = [
    [() => conv2d(x, whole([3, 1, 3, 3])), ShapeError, /have 2 channels and weights \[3,1,3,3\] take 1/],
    [() => conv2d(x, whole([3, 2, 5, 5])), ShapeError, /larger than \[1,2,4,4\]/],
    [() => conv2d(x, whole([2, 3, 3])), ShapeError, /must be \[Co, Ci, P, Q\]/],
    [() => conv2d(whole([4, 4]), w), ShapeError, /images/],
    [() => conv2d(x, w, { stride: 0 }), OptionError, /stride must be a whole number of at least 1/],
    [() => conv2d(x, w, { padding: 0.5 }), OptionError, /padding/],
    [() => conv2d(x, w, { bias: whole([2]) }), ShapeError, /the bias \[2\] must be \[3\]/],
    [() => conv2d(x, w, Object.assign({ stride: 1 }, { strides: 2 })), OptionError, /Did you mean 'stride'/],
    [() => convTranspose2d(x, w), ShapeError, /channels/],
    [() => convTranspose2d(x, whole([2, 1, 1, 1]), { padding: 2 }), ShapeError, /use less padding/],
    [() => convTranspose2d(x, whole([2, 1, 3, 3]), { outputPadding: 1 }), OptionError, /smaller than the stride 1/],
  ];
  for (const [act, kind, message] of refused) {
    assert.throws(act, (error: unknown) => error instanceof kind && message.test(error.message), String(message));
  }
});

test.run();
