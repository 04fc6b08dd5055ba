// Products of more rows than tiles of most kernels go into the workgroups of one dimension: a kernel with larger workgroups
// takes them, whatever is preferred or was measured. Nothing runs: plans only.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { need } from '../engine/errors.ts';
import { einsum, input } from '../engine/node.ts';
import { MAX_WORKGROUPS } from '../engine/op.ts';
import { dispatchesOf, type Plan } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import { formOf, type Product } from '../engine/product.ts';
import { candidates } from '../engine/product-kernels.ts';
import { chosenFor, type Tuning, untuned } from '../engine/tuning.ts';

const GPU: Tuning = untuned({ vendor: '', architecture: '', device: '', description: 'a GPU', software: false });
const PROCESSOR: Tuning = { ...GPU, software: true };

/** [m, k] times [k, n]. */
function planned(m: number, k: number, n: number, tuning: Tuning, subgroupSize = 8): Plan {
  const y = einsum('mk,kn->mn', input('a', [m, k]), input('b', [k, n]));
  return planProgram({ y }, [], { training: false, subgroupSize, tuning });
}

/** The kernel of a plan's one call, after a look at its workgroups. */
function kernelOf(plan: Plan): string {
  const calls = dispatchesOf(plan);
  assert.is(calls.length, 1);
  return calls
    .map(({ kernel, workgroups }) => {
      assert.ok(
        workgroups.every((count) => count <= MAX_WORKGROUPS),
        `${kernel.name}: ${workgroups.join(' x ')}`,
      );
      return kernel.name;
    })
    .join();
}

test('tiles of a subgroup, as far as they go', () => {
  assert.is(kernelOf(planned(16 * MAX_WORKGROUPS, 4, 32, PROCESSOR)), 'matmulVec4Subgroups');
  assert.is(kernelOf(planned(16 * MAX_WORKGROUPS, 2, 35, PROCESSOR)), 'matmulSubgroups');
  for (const [m, k, n] of [
    [16 * MAX_WORKGROUPS + 1, 4, 32],
    [1605632, 4, 16],
    [1100000, 2, 13],
  ] as const) {
    assert.is(kernelOf(planned(m, k, n, PROCESSOR)), 'matmul', `[${m},${k}] x [${k},${n}]`);
  }
});

test('shared tiles of a GPU, as far as they go', () => {
  for (const [m, n] of [
    [32 * MAX_WORKGROUPS, 16],
    [64 * MAX_WORKGROUPS, 64],
  ] as const) {
    assert.is(kernelOf(planned(m, 4, n, GPU)), 'matmulShared', `n ${n}`);
  }
  assert.is(kernelOf(planned(32 * MAX_WORKGROUPS + 1, 4, 16, GPU)), 'matmul');
  assert.is(kernelOf(planned(4, 4, 16 * MAX_WORKGROUPS + 1, GPU)), 'matmul');
});

test('what was measured gives way too, whichever it is', () => {
  for (const name of candidates.keys()) {
    const tuning = { ...PROCESSOR, choices: { '*': name } };
    kernelOf(planned(3000000, 4, 32, tuning));
    kernelOf(planned(32, 4, 3000000, tuning, 32));
  }
});

test('a subgroup with a mask of rows, which are packed within blocks of 64', () => {
  const place = { bytes: 0 };
  const masked = (m: number): Product => ({
    a: place,
    b: place,
    y: place,
    m: { size: m, a: 4, y: 32 },
    n: { size: 32, b: 1, y: 1 },
    k: { size: 4, a: 1, b: 32 },
    batch: [],
    rows: { mask: place, strides: [] },
  });
  // 64 rows are 5.3 tiles of 12: six.
  const most = 64 * Math.floor(MAX_WORKGROUPS / 6);
  const chosen = (m: number): string => {
    const tuning = { ...PROCESSOR, choices: { '*': 'vector-subgroup-12x4' } };
    return chosenFor(formOf(masked(m), undefined), 8, tuning).name;
  };
  assert.is(chosen(most), 'vector-subgroup-12x4');
  assert.is(chosen(most + 1), 'vector-subgroup-16x4');
});

test('a product that no kernel takes in one call is computed in several, which meet', () => {
  for (const tuning of [PROCESSOR, GPU]) {
    for (const [m, n] of [
      [2 ** 25, 1],
      [5 * 2 ** 24, 1],
      [1, 2 ** 25],
      [8, 2 ** 22],
      [1, 64 * MAX_WORKGROUPS + 1],
    ] as const) {
      const calls = dispatchesOf(planned(m, 1, n, tuning));
      assert.ok(calls.length > 1, `[${m},${n}] in one call`);
      let next = 0;
      for (const { kernel, uniforms, workgroups } of calls) {
        assert.ok(workgroups.every((count) => count <= MAX_WORKGROUPS));
        const read = (name: string, k = 0): number => {
          const field = need(Object.entries(kernel.uniforms.fields).find(([each]) => each === name)?.[1], name);
          return new DataView(uniforms).getUint32(field.offset + 4 * k, true);
        };
        const [size, offsets] = [read('m') * read('n'), [0, 1, 2].map((k) => read('offsets', k))];
        // The longer side is cut; the result and the operand that has it go on where the part before ended.
        const begins = [next, 0, next];
        assert.ok(
          [begins, [0, next, next]].some((each) => each.join() === offsets.join()),
          offsets.join(),
        );
        assert.is(next % 64, 0);
        next += n === 2 ** 22 ? size / m : size;
      }
      assert.is(next, n === 2 ** 22 ? n : m * n);
    }
  }
});

test.run();
