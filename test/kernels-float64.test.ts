// Kernels on the real adapter against the float64 interpreter, forward and gradients: the fixed cases of check/, and tensors
// that need more workgroups than one dimension holds. Drawn shapes and values are in kernels-drawn.test.ts.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { allCases } from '../check/cases/index.ts';
import { KERNEL_LIMIT, kernelError } from '../check/gradcheck.ts';
import * as ops from '../engine/node.ts';

const device = await ops.openDevice();

for (const each of allCases) {
  test(each.name, async () => {
    const error = await kernelError(device, each);
    assert.ok(error <= (each.limit ?? KERNEL_LIMIT), `off by ${error} of the largest magnitude`);
  });
}

test('more workgroups than one dimension holds', async () => {
  // 65,535 workgroups of 64 are 4,194,240 elements; of one row each, 65,535 rows.
  const [length, count, columns] = [4_300_000, 66_000, 65];
  const [x, index, wide] = [
    ops.input('x', [length]),
    ops.input('i', [length], 'u32'),
    ops.input('wide', [count, columns]),
  ];
  const numbers = Float32Array.from({ length }, (_, i) => ((i * 7919) % 10_007) / 10_007);
  const feeds = {
    x: numbers,
    i: Uint32Array.from({ length }, (_, i) => (i * 31) % 10),
    wide: numbers.subarray(0, count * columns),
  };
  const table = ops.constant([9, 8, 7, 6, 5, 4, 3, 2, 1, 0], [10]);
  const got = await ops.evaluate(
    device,
    {
      flipped: ops.flip(x, 0),
      picked: ops.gather(table, index),
      soft: ops.softmax(wide),
      twice: ops.mul(x, ops.slice(x, 0, 0, 1)),
    },
    feeds,
  );
  const wrong = { flipped: 0, picked: 0, twice: 0, soft: 0 };
  for (let i = 0; i < length; i++) {
    if (got.flipped[i] !== numbers[length - 1 - i]) wrong.flipped++;
    if (got.picked[i] !== 9 - ((i * 31) % 10)) wrong.picked++;
    if (got.twice[i] !== Math.fround((numbers[i] ?? 0) * (numbers[0] ?? 0))) wrong.twice++;
  }
  for (let r = 0; r < count; r++) {
    const row = feeds.wide.subarray(r * columns, (r + 1) * columns);
    const total = row.reduce((sum, each) => sum + Math.exp(each), 0);
    row.forEach((each, k) => {
      if (!(Math.abs((got.soft[r * columns + k] ?? 0) - Math.exp(each) / total) < 1e-7)) wrong.soft++;
    });
  }
  assert.equal(wrong, { flipped: 0, picked: 0, twice: 0, soft: 0 });
});

test.after(() => {
  device.dispose();
});

test.run();
