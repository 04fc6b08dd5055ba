// Products for the tests of their kernels: operands at offsets of wider rows, plain and transposed, with masks of rows and of
// terms, and what float64 loops make of them. What a mask leaves out is NaN, so that whoever reads it is found out.
// It tests nothing itself.

import * as assert from 'uvu/assert';
import { at } from '../engine/errors.ts';
import { applyOne, type Op } from '../engine/op.ts';
import { input } from '../engine/ops/leaf.ts';
import { emitCopy } from '../engine/ops/shape.ts';
import { emitProduct, type Product } from '../engine/product.ts';
import { normalArray } from '../engine/random.ts';
import type { Tensor } from '../engine/tensor.ts';
import { untuned } from '../engine/tuning.ts';
import type { Data } from '../engine/variable.ts';

/** An adapter that nothing is known of. */
const NOWHERE = { vendor: '', architecture: '', device: '', description: '', software: true };

type Masked = 'none' | 'rows' | 'terms';

/** Sizes, which axis of each operand is contiguous, the elements in front of each operand's columns and behind them. */
export interface Form {
  readonly g: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly a: 'k' | 'm';
  readonly b: 'n' | 'k';
  readonly before: number;
  readonly behind: number;
  readonly plus: boolean;
  readonly masked: Masked;
  /** How much of the mask is 1. */
  readonly share: 'none' | 'some' | 'all';
}

/** An operand [g, rows, columns] inside of wider rows. */
interface Matrix {
  readonly data: Float32Array;
  readonly offset: number;
  readonly row: number;
  readonly batch: number;
}

function matrix(g: number, rows: number, columns: number, { before, behind }: Form, seed: number): Matrix {
  const row = before + columns + behind;
  return { data: normalArray(g * rows * row, { seed, stream: 5 }), offset: before, row, batch: rows * row };
}

interface StridedAttrs extends Omit<Product, 'a' | 'b' | 'y' | 'plus'> {
  readonly plus: boolean;
  readonly masked: Masked;
  /** The candidate that computes it, where it is not for the device to choose. */
  readonly candidate: string | undefined;
}

/** Inputs a, b, what y holds before, what is added, and the mask, all flat. */
const strided: Op<StridedAttrs> = {
  name: 'strided',
  infer: ([, , base]) => [{ shape: [base?.size ?? 0], dtype: 'f32' }],
  plan: (emit, { attrs, outputs: [out] }) => {
    const size = out?.size ?? 0;
    const y = at(emit.outputs, 0);
    emitCopy(emit, { view: at(emit.inputs, 2), strides: [1] }, { view: y, strides: [1] }, [size]);
    const mask = at(emit.inputs, 4);
    const { plus, masked, candidate, ...rest } = attrs;
    const own = candidate === undefined ? emit.tuning : { ...untuned(NOWHERE), choices: { '*': candidate } };
    const strides = attrs.batch.map(() => (masked === 'terms' ? attrs.k.size : attrs.m.size));
    emitProduct(
      { ...emit, tuning: own },
      {
        ...rest,
        a: at(emit.inputs, 0),
        b: at(emit.inputs, 1),
        y,
        ...(plus ? { plus: at(emit.inputs, 3) } : {}),
        ...(masked === 'rows' ? { rows: { mask, strides } } : {}),
        ...(masked === 'terms' ? { terms: { mask, strides, walks: [{ size: attrs.k.size, stride: 1 }] } } : {}),
      },
    );
  },
};

const nan = (data: Float32Array, from: number, count: number, step: number): void => {
  for (let i = 0; i < count; i++) data[from + i * step] = Number.NaN;
};

/** A drawn product. */
export interface ProductTrial {
  readonly feeds: Readonly<Record<string, Data>>;
  /** What the product leaves in the buffer of its result, computed by a candidate where one is named. */
  make(candidate?: string): Tensor;
  /** @throws AssertionError where it is not what float64 loops give */
  compare(result: Data, note: string, tolerance: number): void;
}

/** Draws a product. */
export function productTrial(form: Form, seed: number): ProductTrial {
  const { g, m, n, k, masked } = form;
  const a = form.a === 'k' ? matrix(g, m, k, form, seed) : matrix(g, k, m, form, seed);
  const b = form.b === 'n' ? matrix(g, k, n, form, seed + 1) : matrix(g, n, k, form, seed + 1);
  const base = matrix(g, m, n, form, seed + 2);
  const plus = matrix(g, m, n, form, seed + 3);
  const strideA = form.a === 'k' ? { m: a.row, k: 1 } : { m: 1, k: a.row };
  const strideB = form.b === 'n' ? { k: b.row, n: 1 } : { k: 1, n: b.row };
  const length = masked === 'terms' ? k : m;
  const drawn = normalArray(g * length, { seed: seed + 4, stream: 1 });
  const mask = drawn.map((x) => (form.share === 'all' || (form.share === 'some' && x < 0.3) ? 1 : 0));
  mask.forEach((on, i) => {
    if (masked === 'none' || on !== 0) return;
    const [batch, row] = [Math.floor(i / length), i % length];
    if (masked === 'rows') {
      nan(a.data, a.offset + batch * a.batch + row * strideA.m, k, strideA.k);
      nan(plus.data, plus.offset + batch * plus.batch + row * plus.row, n, 1);
    } else {
      nan(a.data, a.offset + batch * a.batch + row * strideA.k, m, strideA.m);
      nan(b.data, b.offset + batch * b.batch + row * strideB.k, n, strideB.n);
    }
  });
  const scale = 0.75;
  const attrs = {
    m: { size: m, a: strideA.m, y: base.row, plus: plus.row },
    n: { size: n, b: strideB.n, y: 1, plus: 1 },
    k: { size: k, a: strideA.k, b: strideB.k },
    batch: [{ size: g, a: a.batch, b: b.batch, y: base.batch, plus: plus.batch }],
    offsets: { a: a.offset, b: b.offset, y: base.offset, plus: plus.offset },
    scale,
    plus: form.plus,
    masked,
  };
  const expected = Float64Array.from(base.data);
  const size = new Float64Array(expected.length);
  for (let batch = 0; batch < g; batch++) {
    for (let i = 0; i < m; i++) {
      if (masked === 'rows' && at(mask, batch * m + i) === 0) continue;
      for (let j = 0; j < n; j++) {
        let [sum, total] = [0, 0];
        for (let l = 0; l < k; l++) {
          if (masked === 'terms' && at(mask, batch * k + l) === 0) continue;
          const term =
            at(a.data, a.offset + batch * a.batch + i * strideA.m + l * strideA.k) *
            at(b.data, b.offset + batch * b.batch + l * strideB.k + j * strideB.n);
          sum += term;
          total += Math.abs(term);
        }
        const to = base.offset + batch * base.batch + i * base.row + j;
        const more = form.plus ? at(plus.data, plus.offset + batch * plus.batch + i * plus.row + j) : 0;
        expected[to] = scale * sum + more;
        size[to] = scale * total + Math.abs(more);
      }
    }
  }
  const feeds = { a: a.data, b: b.data, base: base.data, plus: plus.data, mask };
  const tensors = Object.entries(feeds).map(([name, data]) => input(name, [data.length]));
  return {
    feeds,
    make: (candidate) => applyOne(strided, tensors, { ...attrs, candidate }),
    compare: (result, note, tolerance) => {
      result.forEach((value, i) => {
        const error = Math.abs(value - at(expected, i));
        if (error <= tolerance * at(size, i)) return;
        assert.unreachable(`${JSON.stringify(form)} ${note}: element ${i} is ${value}, not ${at(expected, i)}`);
      });
    },
  };
}
