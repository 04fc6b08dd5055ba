// The limits of a device as it is opened, at their real sizes: a binding of just 128 MiB and a buffer of just 256 MiB compute
// right to their last elements, and what is one more is refused, with the device as it was. It takes 600 MB for a moment.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at } from '../engine/errors.ts';
import { add, compile, input, openDevice, reshape, scan, slice, sum, type Tensor } from '../engine/node.ts';
import { refused } from './on-adapter.ts';

const BINDING = 2 ** 27;
const BUFFER = 2 ** 28;

test('a binding of all that a device binds, and one of more', async () => {
  const device = await openDevice();
  try {
    assert.is(device.gpu.limits.maxStorageBufferBindingSize, BINDING);
    // x[i,j] = a[i] + b[j], [65536,512]: 2^25 elements, the sums of whose rows are whole numbers.
    const [rows, columns] = [65_536, 512];
    const x = add(input('a', [rows, 1]), input('b', [columns]));
    const flat = reshape(x, [rows * columns]);
    const last = 64 * 1024;
    const outputs = { sums: sum(x, { axes: [1] }), ends: slice(flat, 0, flat.size - last, last) };
    const feeds = {
      a: Float32Array.from({ length: rows }, (_, i) => i % 1021),
      b: Float32Array.from({ length: columns }, (_, j) => j),
    };
    const program = await compile(device, outputs);
    assert.ok(program.bytes >= BINDING && program.bytes < BINDING + 2 ** 20, `${program.bytes} bytes`);
    await program.run(feeds);
    const [sums, ends] = [await program.read('sums'), await program.read('ends')];
    program.dispose();
    const wrong = { sums: 0, ends: 0 };
    for (let i = 0; i < rows; i++)
      if (sums[i] !== columns * at(feeds.a, i) + (columns * (columns - 1)) / 2) wrong.sums++;
    for (let k = 0; k < last; k++) {
      const e = flat.size - last + k;
      if (ends[k] !== at(feeds.a, Math.floor(e / columns)) + (e % columns)) wrong.ends++;
    }
    assert.equal(wrong, { sums: 0, ends: 0 });

    // All of it read: the staging buffer is as large.
    const whole = await compile(device, { x });
    await whole.run(feeds);
    const data = await whole.read('x');
    assert.is(data.length, 2 ** 25);
    for (let e = 0; e < data.length; e += 4099) {
      assert.is(data[e], at(feeds.a, Math.floor(e / columns)) + (e % columns));
    }
    assert.is(data.at(-1), at(feeds.a, rows - 1) + columns - 1);
    whole.dispose();

    const before = device.memory();
    const over = add(input('a', [rows, 1]), input('b', [columns + 1]));
    await refused(
      () => compile(device, { over }),
      'LimitError',
      /^add: elementwise binds add \[65536,513\], 134479872 bytes \(128\.3 MiB\), and maxStorageBufferBindingSize of this device is 134217728; use a smaller batch/,
    );
    assert.equal(device.memory(), before);
    device.check();
  } finally {
    device.dispose();
  }
});

test('a buffer of all that a device gives, and one of more', async () => {
  const device = await openDevice();
  try {
    assert.is(device.gpu.limits.maxBufferSize, BUFFER);
    // States of 64 KiB side by side, with the first before all steps.
    const size = 16_384;
    const steps = BUFFER / (4 * size) - 1;
    const history = (T: number): Tensor => {
      const { outputs } = scan(
        ({ x }, { h }) => {
          const next = add(h, x);
          return { state: { h: next }, output: { h: next } };
        },
        { x: input('x', [T, 1]) },
        { h: input('h', [size]) },
      );
      return outputs.h;
    };
    const states = history(steps);
    const outputs = {
      first: slice(states, 0, 0, 1),
      middle: slice(states, 0, 2050, 1),
      last: slice(states, 0, steps - 1, 1),
    };
    const program = await compile(device, outputs);
    assert.is(Math.max(...program.plan.slots), BUFFER);
    const h = Float32Array.from({ length: size }, (_, i) => i % 1021);
    await program.run({ h, x: new Float32Array(steps).fill(2) });
    for (const [name, t] of [
      ['first', 1],
      ['middle', 2051],
      ['last', steps],
    ] as const) {
      assert.equal(
        await program.read(name),
        h.map((each) => each + 2 * t),
        name,
      );
    }
    program.dispose();
    const before = device.memory();
    const over = slice(history(steps + 1), 0, 0, 1);
    await refused(
      () => compile(device, { over }),
      'LimitError',
      /^scan state \[16384\]: needs a buffer of 268500992 bytes \(256\.1 MiB\), and maxBufferSize of this device is 268435456; use a smaller batch, fewer time steps, shorter chunks/,
    );
    assert.equal(device.memory(), before);
    device.check();
  } finally {
    device.dispose();
  }
});

test.run();
