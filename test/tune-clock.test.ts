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

test('what was slow when it was looked at first has a rate too', async () => {
  const larger: ProductShape = { ...shape, m: 256, n: 256, k: 256 };
  const measured = (): ReturnType<typeof ratesOf> => ratesOf(theDevice(), larger, { rounds: 3, milliseconds: 1 });
  const { length } = await measured();
  // The first two runs of each candidate seem 40 times as long as they are, as on a machine that others use: then the rounds begin
  // with far too few runs for a clock of 5 ms.
  let [value, last, looks] = [0, performance.now(), 0];
  const coarse = (now: number): number => {
    if (value >= 5) looks++;
    value += (now - last) * (looks <= 4 * length ? 40 : 1);
    last = now;
    return Math.floor(value / 5) * 5;
  };
  const rates = await byClock(coarse, measured);
  assert.is(rates.length, length);
  for (const { name, operationsPerSecond } of rates) assert.ok(Number.isFinite(operationsPerSecond), name);
});

test('a clock that stands still is refused', async () => {
  const refused = await byClock(
    () => 7,
    () => ratesOf(theDevice(), shape).catch((error: unknown) => error),
  );
  assert.ok(refused instanceof DeviceError && /stands still/.test(refused.message), String(refused));
});

test.run();
