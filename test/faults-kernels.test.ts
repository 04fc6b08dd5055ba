// The gradient check finds faults: in a copy of every kernel of the engine but those of products at least one is planted, and
// in the rules of rows; each must be found by a case named beside it, by numbers that are wrong, on the real adapter. The same
// cases pass without. What the faults are: planted-kernels.ts, planted-products.ts, planted-rows.ts; those of products and of
// RIMs: faults-rims.test.ts.

import { test } from 'uvu';
import { onAdapter, theDevice } from './on-adapter.ts';
import { assertKernelFaultCaught, assertRowFaultCaught, assertSound } from './planted.ts';
import { kernelFaults } from './planted-kernels.ts';
import { updateFaults } from './planted-products.ts';
import { rowFaults } from './planted-rows.ts';

onAdapter(test);

const faults = [...kernelFaults, ...updateFaults];

test('nothing is found where nothing is planted', () =>
  assertSound(
    theDevice(),
    [...faults, ...rowFaults].flatMap(({ cases }) => cases),
  ));

for (const fault of faults) {
  test(`${fault.kernel}: ${fault.what}`, () => assertKernelFaultCaught(theDevice(), fault));
}

for (const fault of rowFaults) {
  test(`the row ${fault.op.name}: ${fault.what}`, () => assertRowFaultCaught(theDevice(), fault));
}

test.run();
