// The gradient check finds faults, as in faults-kernels.test.ts: those planted in the kernels of a RIM's step and of products,
// in the rows of RIMs, and in what is bound at a step of time. And none of the catalogue's kernels is without a fault.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { kernels } from '../kernels/index.ts';
import { onAdapter, theDevice } from './on-adapter.ts';
import {
  assertCaught,
  assertKernelFaultCaught,
  assertRowFaultCaught,
  assertSound,
  type KernelFault,
} from './planted.ts';
import { kernelFaults } from './planted-kernels.ts';
import { productFaults, updateFaults } from './planted-products.ts';
import { rimFaults } from './planted-rims.ts';
import { rimRowFaults, rowFaults, timeFaults } from './planted-rows.ts';
import { skip } from './runtimes.ts';

onAdapter(test);

const faults: readonly KernelFault[] = [...rimFaults, ...productFaults];

test('every kernel of the catalogue has a fault, of which there are over a hundred', () => {
  const all = [...faults, ...kernelFaults, ...updateFaults];
  const planted = new Set<string>(all.map(({ kernel }) => kernel));
  assert.equal(
    Object.keys(kernels).filter((name) => !planted.has(name)),
    // It computes nothing that a check compares: what it finds is tested in guard.test.ts and non-finite-step.test.ts.
    ['nonFinite'],
  );
  assert.ok(all.length + rowFaults.length + rimRowFaults.length + timeFaults.length >= 100);
});

test('nothing is found where nothing is planted', () =>
  assertSound(
    theDevice(),
    [...faults, ...rimRowFaults, ...timeFaults].flatMap(({ cases }) => cases),
  ));

for (const fault of faults) {
  const name = `${fault.kernel}: ${fault.what}`;
  test(name, async () => {
    if (fault.kernel.endsWith('Subgroups') && theDevice().subgroupSize === 0) {
      skip(test, name, 'this device has no subgroups of one size');
      return;
    }
    await assertKernelFaultCaught(theDevice(), fault);
  });
}

for (const fault of rimRowFaults) {
  test(`the row ${fault.op.name}: ${fault.what}`, () => assertRowFaultCaught(theDevice(), fault));
}

for (const { kernel, what, binding, cases } of timeFaults) {
  test(`${kernel}: ${what}`, async () => {
    const bindings = (name: string, entries: readonly GPUBindGroupEntry[]): readonly GPUBindGroupEntry[] | undefined =>
      name === kernel ? entries.map((entry) => (entry.binding === binding ? earlier(entry) : entry)) : undefined;
    await assertCaught(theDevice(), { bindings }, cases, `${kernel}, ${what}`);
  });
}

/** The binding of the step before: steps of time lie at multiples of 256 bytes. */
function earlier(entry: GPUBindGroupEntry): GPUBindGroupEntry {
  const { resource } = entry;
  if (!('buffer' in resource) || resource.offset === undefined || resource.offset < 256) return entry;
  return { ...entry, resource: { ...resource, offset: resource.offset - 256 } };
}

test.run();
