// The meaning of engine/ops/einsum.ts: for every choice of the labels, the product of the two elements that the labels
// name, times the scale, is added to the element of the result that they name. With a mask of rows, a choice whose mask is
// 0 adds nothing, whatever the two elements are.

import { at, need } from '../../engine/errors.ts';
import { sizeOf, stridesOf } from '../../engine/tensor.ts';
import type { Value } from '../value.ts';
import { type Meanings, means } from './meaning.ts';

interface Equation {
  readonly a: string;
  readonly b: string;
  readonly y: string;
  readonly scale: number;
  readonly c?: string;
  readonly rows?: string;
}

/** The meaning of the one row of products. */
export const einsumMeanings: Meanings = {
  einsum: means<Equation>((inputs, { a, b, c, rows, y, scale }, { shape }) => {
    const [x, w] = [at(inputs, 0), at(inputs, 1)];
    const sizes = new Map([...labelled(a, x), ...labelled(b, w)]);
    const labels = [...sizes.keys()];
    const result = { shape, data: new Float64Array(sizeOf(shape)) };
    const [inX, inW, inY] = [strides(a, x, labels), strides(b, w, labels), strides(y, result, labels)];
    const mask = rows === undefined ? { shape: [], data: [1] } : at(inputs, inputs.length - 1);
    const inMask = strides(rows ?? '', mask, labels);
    const visit = (depth: number, ix: number, iw: number, iy: number, im: number): void => {
      const label = labels[depth];
      if (label === undefined) {
        if (at(mask.data, im) === 0) return;
        result.data[iy] = at(result.data, iy) + scale * at(x.data, ix) * at(w.data, iw);
        return;
      }
      for (let i = 0; i < need(sizes.get(label), 'a size'); i++) {
        const [x, w, y, m] = [at(inX, depth), at(inW, depth), at(inY, depth), at(inMask, depth)];
        visit(depth + 1, ix + i * x, iw + i * w, iy + i * y, im + i * m);
      }
    };
    visit(0, 0, 0, 0, 0);
    if (c !== undefined) addSpread(result, y, at(inputs, 2), c);
    return result;
  }),
};

/** Adds to every element of the result the one of `plus` that the labels they share name. */
function addSpread(
  result: { readonly shape: readonly number[]; readonly data: Float64Array },
  y: string,
  plus: Value,
  c: string,
): void {
  const [inY, inPlus] = [stridesOf(result.shape), strides(c, plus, [...y])];
  for (let e = 0; e < result.data.length; e++) {
    let from = 0;
    for (let axis = 0; axis < y.length; axis++) {
      from += (Math.floor(e / at(inY, axis)) % at(result.shape, axis)) * at(inPlus, axis);
    }
    result.data[e] = at(result.data, e) + at(plus.data, from);
  }
}

function labelled(labels: string, value: Value): (readonly [string, number])[] {
  return [...labels].map((label, axis) => [label, at(value.shape, axis)] as const);
}

/** How far one step of each label moves in a value: 0 where the value does not have it. */
function strides(own: string, value: Pick<Value, 'shape'>, labels: readonly string[]): number[] {
  const steps = stridesOf(value.shape);
  return labels.map((label) => (own.includes(label) ? at(steps, own.indexOf(label)) : 0));
}
