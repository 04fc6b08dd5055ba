// Tuning by clocks that browsers make coarse: it measures for longer, and refuses one that stands still.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DeviceError } from '../engine/errors.ts';
import { type ProductShape, ratesOf } from '../engine/tune.ts';
import { onAdapter, theDevice } from './on-adapter.ts';

onAdapter(test);

const shape: ProductShape = { batches: 1, m: 8, n: 8, k: 8, a: 'k', b: 'n' };

/** Carries out `work` while performance.now() tells what `clock` makes of the time. */
async function byClock<R>(clock: (now: number) => number, work: () => Promise<R>): Promise<R> {
  const { now } = performance;
  performance.now = () => clock(now.call(performance));
  try {
    return await work();
  } finally {
    performance.now = now;
  }
}

test('in steps of 5 ms every candidate has a rate', async () => {
  const coarse = (now: number): number => Math.floor(now / 5) * 5;
  const rates = await byClock(coarse, () => ratesOf(theDevice(), shape, { rounds: 1, milliseconds: 1 }));
  assert.ok(rates.length > 4);
  for (const { name, operationsPerSecond } of rates) {
    assert.ok(operationsPerSecond > 0 && Number.isFinite(operationsPerSecond), `${name}: ${operationsPerSecond}`);
  }
});

test('a clock that stands still is refused', async () => {
  const refused = await byClock(
    () => 7,
    () => ratesOf(theDevice(), shape).catch((error: unknown) => error),
  );
  assert.ok(refused instanceof DeviceError && /stands still/.test(refused.message), String(refused));
});

test.run();
