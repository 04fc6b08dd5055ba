// What the error classes promise: a name that survives bundling, messages that name the mend, and checks that refuse.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  at,
  checkOptions,
  DeviceError,
  DeviceLostError,
  FeedError,
  FileError,
  formatShape,
  LimitError,
  nearest,
  OptionError,
  RimgradError,
  ShapeError,
} from '../engine/errors.ts';

test('every class has its name, is a RimgradError and keeps its cause', () => {
  const classes = {
    RimgradError,
    ShapeError,
    OptionError,
    FeedError,
    LimitError,
    DeviceError,
    DeviceLostError,
    FileError,
  };
  for (const [name, Class] of Object.entries(classes)) {
    const cause = new TypeError('inner');
    const error = new Class('op: wrong; mend', { cause });
    assert.is(error.name, name);
    assert.is(error.message, 'op: wrong; mend');
    assert.is(error.cause, cause);
    assert.instance(error, RimgradError);
    assert.instance(error, Error);
    assert.is(String(error), `${name}: op: wrong; mend`);
  }
  assert.not.instance(new ShapeError('x'), OptionError);
});

test('at returns what stands there, falsy or not', () => {
  assert.is(at([3, 0, 5], 1), 0);
  assert.is(at(new Float32Array([1, NaN]), 0), 1);
  assert.ok(Number.isNaN(at(new Float32Array([1, NaN]), 1)));
  assert.is(at('abc', 2), 'c');
  assert.is(at([null], 0), null);
});

test('at refuses every index outside of the array', () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), fc.oneof(fc.integer(), fc.double()), (array, index) => {
      if (Number.isInteger(index) && index >= 0 && index < array.length) {
        assert.is(at(array, index), array[index]);
      } else {
        assert.throws(
          () => at(array, index),
          (e: unknown) => e instanceof RimgradError && /out of range/.test(e.message),
        );
      }
    }),
  );
  assert.throws(() => at([1, undefined], 1), /element 1 of 2 is undefined/);
  assert.throws(() => at([], 0), /the array is empty/);
});

test('formatShape', () => {
  assert.is(formatShape([64, 100]), '[64,100]');
  assert.is(formatShape([]), '[]');
  assert.is(formatShape(new Uint32Array([7])), '[7]');
});

test('checkOptions takes known options and names the nearest of an unknown one', () => {
  const known = ['hiddenSize', 'inputSize', 'modules'];
  checkOptions('RIM', { hiddenSize: 1, modules: undefined }, known);
  const refused = (options: object, names = known): OptionError => {
    try {
      checkOptions('RIM', options, names);
    } catch (error) {
      if (error instanceof OptionError) return error;
    }
    throw new Error('not refused');
  };
  assert.match(refused({ hidenSize: 1 }).message, "RIM: there is no option 'hidenSize'. Did you mean 'hiddenSize'?");
  assert.match(refused({ hidenSize: 1 }).message, 'known options: hiddenSize, inputSize, modules');
  assert.not.match(refused({ qqqqqqqqqq: 1 }).message, 'Did you mean');
  assert.match(refused({ a: 1 }, []).message, 'it takes no options');
  assert.match(refused(JSON.parse('{"__proto__": 1}')).message, '__proto__');
});

test('nearest finds a misspelling and nothing far away', () => {
  assert.is(nearest('Modules', ['module', 'modules', 'models']), 'modules');
  assert.is(nearest('learningrate', ['learningRate', 'clipNorm']), 'learningRate');
  assert.is(nearest('seed', []), undefined);
  assert.is(nearest('zzzzzz', ['seed', 'stream']), undefined);
  fc.assert(
    fc.property(fc.string({ minLength: 4 }), fc.nat(), (word, n) => {
      const i = n % word.length;
      const misspelt = word.slice(0, i) + word.slice(i + 1);
      assert.is(nearest(misspelt, ['', word]), word);
    }),
  );
});

test.run();
