// The copying task's data: the layout of the authors' script, the same bytes for the same arguments, and no shared
// randomness between training and test.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type CopyingBatch,
  copying,
  copyingBatch,
  copyingClasses,
  copyingLength,
  copyingPhases,
  copyingTokens,
  memoryless,
} from '../bench/tasks/index.ts';
import { at, OptionError } from '../engine/errors.ts';

const sizes = fc.record({
  digits: fc.integer({ min: 1, max: 12 }),
  blank: fc.integer({ min: 1, max: 60 }),
  batch: fc.integer({ min: 1, max: 9 }),
  seed: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
});

// Sequence b of a batch, steps in order.
function sequence(symbols: Uint32Array, batch: number, b: number): number[] {
  return Array.from({ length: symbols.length / batch }, (_, t) => at(symbols, t * batch + b));
}

function refused(action: () => unknown, ...words: string[]): void {
  try {
    action();
  } catch (error) {
    assert.instance(error, OptionError);
    for (const word of words) assert.match(String(error), word);
    return;
  }
  assert.unreachable(`nothing was refused; expected ${words.join(', ')}`);
}

test('a sequence is digits, blank, marker, blank, and the digits are wanted last', () => {
  fc.assert(
    fc.property(sizes, fc.nat(1000), ({ digits, blank, batch, seed }, index) => {
      const { x, y } = copyingBatch({ digits, blank, batch, seed }, index);
      const length = copyingLength({ digits, blank });
      assert.is(length, blank + 2 * digits);
      assert.is(x.length, length * batch);
      assert.is(y.length, length * batch);
      for (let b = 0; b < batch; b++) {
        const shown = sequence(x, batch, b).slice(0, digits);
        assert.ok(shown.every((digit) => digit >= 1 && digit <= 8));
        const zeros = (n: number): number[] => Array.from({ length: n }, () => 0);
        assert.equal(sequence(x, batch, b), [...shown, ...zeros(blank - 1), 9, ...zeros(digits)]);
        assert.equal(sequence(y, batch, b), [...zeros(digits + blank), ...shown]);
        assert.is(sequence(x, batch, b).indexOf(9), blank + digits - 1);
      }
    }),
  );
});

test('symbols fit the vocabulary and the classes, and every digit occurs about equally often', () => {
  const { x, y } = copyingBatch({ blank: 1, batch: 4000, seed: 7 }, 0);
  assert.ok(x.every((symbol) => symbol < copyingTokens));
  assert.ok(y.every((symbol) => symbol < copyingClasses));
  const counts = Array.from({ length: 9 }, () => 0);
  for (const digit of x.subarray(0, 40_000)) counts[digit] = at(counts, digit) + 1;
  assert.is(counts[0], 0);
  // 5,000 of each are expected; 5 standard deviations are 331.
  for (const times of counts.slice(1)) assert.ok(Math.abs(times - 5000) < 331, `${counts}`);
});

test('a batch is a pure function of seed and index, so a run goes on at any position', () => {
  const options = { digits: 3, blank: 5, batch: 4, seed: 11 };
  const all = [...copying({ ...options, steps: 9 })];
  assert.is(all.length, 9);
  assert.equal([...copying({ ...options, from: 4, steps: 5 })], all.slice(4));
  assert.equal(copyingBatch(options, 6), at(all, 6));
  const again = copying({ ...options, steps: 2 });
  assert.equal([...again], [...again]);
  assert.is(new Set(all.map((batch) => batch.x.join())).size, 9, 'batches differ');
  assert.not.equal(copyingBatch({ ...options, seed: 12 }, 0), at(all, 0));
});

test('without steps there is no end', () => {
  let seen = 0;
  for (const _ of copying({ digits: 1, blank: 1, batch: 1, seed: 0 })) if (++seen === 5000) break;
  assert.is(seen, 5000);
});

test('training and test batches share no random numbers', () => {
  const options = { digits: 10, blank: 1, batch: 64, seed: 3 };
  const of = (batch: CopyingBatch): string[] => Array.from({ length: 64 }, (_, b) => sequence(batch.x, 64, b).join());
  const train = new Set([...copying({ ...options, steps: 50 })].flatMap(of));
  const tests = [...copying({ ...options, steps: 50, split: 'test' })].flatMap(of);
  assert.is(train.size, 3200);
  assert.ok(tests.every((digits) => !train.has(digits)));
});

test('the digits do not depend on the blank', () => {
  const short = copyingBatch({ digits: 4, blank: 3, batch: 2, seed: 5, split: 'test' }, 1);
  const long = copyingBatch({ digits: 4, blank: 30, batch: 2, seed: 5, split: 'test' }, 1);
  assert.equal(short.x.subarray(0, 8), long.x.subarray(0, 8));
});

test('the phases and the levels without memory are those of the paper', () => {
  assert.equal(copyingPhases({ digits: 3, blank: 10 }), { input: [0, 3], blank: [3, 13], recall: [13, 16] });
  assert.is(copyingLength({ blank: 50 }), 70);
  assert.is(memoryless({ blank: 50 }).recall.toFixed(3), '2.079');
  assert.is(memoryless({ blank: 50 }).all.toFixed(3), '0.297');
  assert.is(memoryless({ blank: 200 }).all.toFixed(4), '0.0945');
  assert.is(memoryless({ blank: 50 }).accuracy, 0.125);
});

test('bad options are refused with their mend', () => {
  const good = { digits: 3, blank: 5, batch: 4, seed: 1 };
  refused(() => copying({ ...good, blank: 0 }), 'blank is 0', 'whole number from 1');
  refused(() => copying({ ...good, digits: 2.5 }), 'digits is 2.5');
  refused(() => copying({ ...good, batch: 0 }), 'batch is 0');
  refused(() => copying({ ...good, seed: -1 }), 'seed is -1');
  refused(() => copying({ ...good, from: -1 }), 'from is -1');
  refused(() => copying({ ...good, steps: Number.NaN }), 'steps is NaN');
  refused(() => copying(Object.assign({ blanks: 5 }, good)), "no option 'blanks'", "Did you mean 'blank'?");
  refused(
    () => copyingBatch({ ...good, ...JSON.parse('{"split": "valid"}') }, 0),
    "split is 'valid'",
    "'train', 'validation' or 'test'",
  );
  refused(() => copyingBatch(good, 2 ** 40), 'past the end', 'another seed');
  refused(() => copyingBatch({ ...good, blank: 1_000_000, batch: 1_000_000 }, 0), 'too large');
  refused(() => memoryless({ blank: -2 }), 'memoryless', 'blank is -2');
});

test.run();
