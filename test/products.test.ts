// The two kernels of matrix products: the variant with subgroups gives the bits of the base one, over shapes around the
// edges of tiles, and both the float64 interpreter's numbers.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { interpret } from '../check/interpret.ts';
import { need } from '../engine/errors.ts';
import { type Device, einsum, evaluate, openDevice, variable } from '../engine/node.ts';
import { normalArray } from '../engine/random.ts';

const plain: Device = await openDevice({ subgroups: false });
const device: Device = await openDevice();

const shapes: readonly (readonly [equation: string, a: readonly number[], b: readonly number[]])[] = [
  ['mk,kn->mn', [64, 24], [24, 96]],
  ['mk,kn->mn', [17, 9], [9, 33]],
  ['mk,kn->mn', [16, 8], [8, 32]],
  ['mk,kn->mn', [8, 1], [1, 29]],
  ['mk,kn->mn', [65, 130], [130, 70]],
  ['km,kn->nm', [31, 40], [31, 50]],
  ['bnd,nde->bne', [19, 3, 7], [3, 7, 40]],
  ['bnd,bne->nde', [50, 3, 12], [50, 3, 34]],
  ['xbmk,xbkn->xbmn', [2, 3, 9, 5], [2, 3, 5, 31]],
];

shapes.forEach(([equation, a, b], i) => {
  test(`${equation} of [${a}] and [${b}]`, async () => {
    const tensor = (name: string, shape: readonly number[], stream: number) => {
      const count = shape.reduce((product, size) => product * size, 1);
      return variable(name, normalArray(count, { seed: i, stream }), shape);
    };
    const values = async (on: Device): Promise<Float32Array> => {
      const y = einsum(equation, tensor('a', a, 1), tensor('b', b, 2), { scale: 0.7 });
      return Float32Array.from((await evaluate(on, { y })).y);
    };
    const [base, variant] = [await values(plain), await values(device)];
    assert.equal(new Uint32Array(variant.buffer), new Uint32Array(base.buffer), 'the same bits');
    const y = einsum(equation, tensor('a', a, 1), tensor('b', b, 2), { scale: 0.7 });
    const exact = need((await interpret([y]))[0], 'a result');
    const largest = Math.max(...exact.data.map(Math.abs));
    exact.data.forEach((value, k) => {
      assert.ok(Math.abs(value - (base[k] as number)) <= 1e-5 * largest, `element ${k}`);
    });
  });
});

test.after(() => {
  plain.dispose();
  device.dispose();
});
test.run();
