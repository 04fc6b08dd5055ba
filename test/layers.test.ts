// The layers: what they compute, what their Variables are called, and which first values a seed and a name give.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { OptionError, ShapeError } from '../engine/errors.ts';
import { streamOf } from '../engine/layers.ts';
import { constant, embedding, fill, initialisers, linear } from '../engine/node.ts';
import { close, isError, numbersOf, onAdapter, u32 } from './on-adapter.ts';

onAdapter(test);

test('linear and embedding: shapes, values, first values', async () => {
  const layer = linear({ from: 3, to: 2 }, { seed: 1, name: 'readout' });
  layer.weight.write(Float32Array.of(1, 2, 3, 4, 5, 6));
  layer.bias?.write(Float32Array.of(10, 20));
  close(await numbersOf(layer(constant([1, 0, 0, 1, 1, 1], [2, 1, 3]))), [11, 22, 19, 32]);
  assert.equal(
    layer.variables.map(({ name, shape }) => [name, ...shape]),
    [
      ['readout.weight', 3, 2],
      ['readout.bias', 2],
    ],
  );
  const same = linear({ from: 9, to: 4, bias: false }, { seed: 2 });
  assert.is(same.bias, undefined);
  const first = await same.weight.read();
  assert.ok(first.every((v) => Math.abs(v) <= 1 / 3) && first.some((v) => Math.abs(v) > 0.2));
  assert.equal(await linear({ from: 9, to: 4 }, { seed: 2 }).weight.read(), first);
  assert.not.equal(await linear({ from: 9, to: 4 }, { seed: 2, name: 'b' }).weight.read(), first);
  assert.is(streamOf(''), 0x811c9dc5);
  assert.is(streamOf('a'), 0xe40c292c);
  const embed = embedding({ tokens: 5, size: 3 }, { seed: 3 });
  const table = await embed.weight.read();
  assert.ok(table.every((v) => Math.abs(v) <= 0.1));
  close(await numbersOf(embed(constant(u32(4, 0), [2]))), [...table.slice(12), ...table.slice(0, 3)], 0);
  const ones = embedding({ tokens: 2, size: 2 }, { seed: 3, weight: initialisers.ones() });
  assert.equal([...(await ones.weight.read())], [1, 1, 1, 1]);
});

test('what does not fit is refused before any GPU work', () => {
  const x = fill(0, [2, 3]);
  const option = (act: () => unknown): void => assert.throws(act, isError(OptionError));
  const shape = (act: () => unknown): void => assert.throws(act, isError(ShapeError));
  option(() => linear({ from: 0, to: 2 }, { seed: 1 }));
  shape(() => linear({ from: 2, to: 2 }, { seed: 1 })(x));
  option(() => embedding({ tokens: 2, size: 2.5 }, { seed: 1 }));
});

test.run();
