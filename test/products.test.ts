// The kernels of matrix products: a variant with subgroups gives the bits of the base one, over shapes around the
// edges of tiles, and both the float64 interpreter's numbers; the same with something added, be it a bias or a whole result.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { interpret } from '../check/interpret.ts';
import { at, need } from '../engine/errors.ts';
import {
  type Device,
  type EinsumOptions,
  einsum,
  evaluate,
  openDevice,
  type Tensor,
  variable,
} from '../engine/node.ts';
import { normalArray } from '../engine/random.ts';
import { sizeOf } from '../engine/tensor.ts';
import { bits } from './on-adapter.ts';

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

/** What is added: nothing, a row along the last axis of the result, all of the result, its first and last axes. */
const additions: readonly ((y: string) => string | undefined)[] = [
  () => undefined,
  (y) => y.slice(-1),
  (y) => y,
  (y) => `${y.slice(0, 1)}${y.slice(-1)}`,
];

shapes.forEach(([equation, a, b], i) => {
  test(`${equation} of [${a}] and [${b}]`, async () => {
    const [from = '', result = ''] = equation.split('->');
    const sizes = new Map([...from.replace(',', '')].map((label, axis) => [label, at([...a, ...b], axis)]));
    const drawn = (name: string, shape: readonly number[], stream: number): Tensor =>
      variable(name, normalArray(sizeOf(shape), { seed: i, stream }), shape);
    const products = (): Record<string, Tensor> =>
      Object.fromEntries(
        additions.map((addition, k) => {
          const labels = addition(result);
          const shape = [...(labels ?? '')].map((label) => need(sizes.get(label), 'a size'));
          const plus: EinsumOptions = labels === undefined ? {} : { plus: [labels, drawn('plus', shape, 3)] };
          return [`y${k}`, einsum(equation, drawn('a', a, 1), drawn('b', b, 2), { scale: 0.7, ...plus })];
        }),
      );
    const [base, variant] = [await evaluate(plain, products()), await evaluate(device, products())];
    for (const [name, tensor] of Object.entries(products())) {
      const [own, other] = [need(base[name], name), need(variant[name], name)];
      assert.equal(bits(other), bits(own), `${name}: the same bits`);
      const exact = need((await interpret([tensor]))[0], 'a result').data;
      const largest = Math.max(...exact.map(Math.abs));
      exact.forEach((value, k) => {
        assert.ok(Math.abs(value - at(own, k)) <= 1e-5 * largest, `${name}: element ${k}`);
      });
    }
  });
});

test.after(() => {
  plain.dispose();
  device.dispose();
});
test.run();
