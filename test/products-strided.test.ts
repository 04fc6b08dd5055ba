// Products as rows of ops emit them: operands at offsets of wider rows, plain and transposed, with masks of rows and of terms,
// around the edges of tiles. On every device, with subgroups and without, the numbers are those of float64 loops and the
// bits are the same; what a mask leaves out may be NaN and is neither read nor written.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at } from '../engine/errors.ts';
import { type Device, evaluate, openDevice, variable } from '../engine/node.ts';
import { applyOne, type Op } from '../engine/op.ts';
import { emitCopy } from '../engine/ops/shape.ts';
import { emitProduct, type Product } from '../engine/product.ts';
import { normalArray } from '../engine/random.ts';
import { bits } from './on-adapter.ts';

type Masked = 'none' | 'rows' | 'terms';

/** Sizes, which axis of each operand is contiguous, the elements in front of each operand's columns and behind them. */
interface Form {
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
  /** The share of the mask that is 1. */
  readonly share: number;
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

const strided: Op<Omit<Product, 'a' | 'b' | 'y' | 'plus'> & { readonly plus: boolean; readonly masked: Masked }> = {
  name: 'strided',
  infer: ([, , base]) => [{ shape: [base?.size ?? 0], dtype: 'f32' }],
  plan: (emit, { attrs, outputs: [out] }) => {
    const size = out?.size ?? 0;
    const y = at(emit.outputs, 0);
    emitCopy(emit, { view: at(emit.inputs, 2), strides: [1] }, { view: y, strides: [1] }, [size]);
    const mask = at(emit.inputs, 4);
    const { plus, masked, ...rest } = attrs;
    const strides = attrs.batch.map(() => (masked === 'terms' ? attrs.k.size : attrs.m.size));
    emitProduct(emit, {
      ...rest,
      a: at(emit.inputs, 0),
      b: at(emit.inputs, 1),
      y,
      ...(plus ? { plus: at(emit.inputs, 3) } : {}),
      ...(masked === 'rows' ? { rows: { mask, strides } } : {}),
      ...(masked === 'terms' ? { terms: { mask, strides, walks: [{ size: attrs.k.size, stride: 1 }] } } : {}),
    });
  },
};

const nan = (data: Float32Array, from: number, count: number, step: number): void => {
  for (let i = 0; i < count; i++) data[from + i * step] = Number.NaN;
};

/** Runs one form on the devices and compares. */
async function check(form: Form, seed: number, devices: readonly Device[]): Promise<void> {
  const { g, m, n, k, masked } = form;
  const a = form.a === 'k' ? matrix(g, m, k, form, seed) : matrix(g, k, m, form, seed);
  const b = form.b === 'n' ? matrix(g, k, n, form, seed + 1) : matrix(g, n, k, form, seed + 1);
  const base = matrix(g, m, n, form, seed + 2);
  const plus = matrix(g, m, n, form, seed + 3);
  const strideA = form.a === 'k' ? { m: a.row, k: 1 } : { m: 1, k: a.row };
  const strideB = form.b === 'n' ? { k: b.row, n: 1 } : { k: 1, n: b.row };
  const drawn = normalArray(g * Math.max(m, k), { seed: seed + 4, stream: 1 });
  const length = masked === 'terms' ? k : m;
  const mask = Float32Array.from({ length: g * length }, (_, i) => (Math.abs(at(drawn, i)) < form.share * 5 ? 1 : 0));
  if (form.share < 1) mask.forEach((_, i) => (mask[i] = at(drawn, i) < 0 && form.share > 0 ? 1 : 0));
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
  let first: number[] | undefined;
  for (const device of devices) {
    const tensors = [a.data, b.data, base.data, plus.data, mask].map((data, i) =>
      variable(`v${i}`, data, [data.length]),
    );
    const { y } = await evaluate(device, { y: applyOne(strided, tensors, attrs) });
    for (const tensor of tensors) tensor.dispose();
    const text = JSON.stringify(form);
    y.forEach((value, i) => {
      const error = Math.abs(value - at(expected, i));
      if (!(error <= 4e-6 * at(size, i)))
        assert.unreachable(`${text}: element ${i} is ${value}, not ${at(expected, i)}`);
    });
    first ??= bits(y);
    assert.equal(bits(y), first, `${text}: the same bits`);
  }
}

const sizes: readonly (readonly [g: number, m: number, n: number, k: number])[] = [
  [2, 64, 36, 12],
  [3, 20, 100, 24],
  [2, 70, 33, 9],
  [1, 130, 8, 40],
  [2, 16, 64, 4],
  [2, 1, 5, 3],
  [1, 65, 96, 7],
];

const devices: readonly Device[] = [await openDevice({ subgroups: false }), await openDevice()];
let seed = 0;
for (const [g, m, n, k] of sizes) {
  for (const a of ['k', 'm'] as const) {
    for (const b of ['n', 'k'] as const) {
      test(`[${g},${m},${k}] by [${g},${k},${n}], a contiguous along ${a}, b along ${b}`, async () => {
        for (const masked of ['none', 'rows', 'terms'] as const) {
          for (const [before, behind] of [
            [0, 0],
            [4, 8],
            [3, 2],
          ] as const) {
            const share = masked === 'none' ? 1 : at([0.5, 1, 0], seed % 3);
            await check({ g, m, n, k, a, b, before, behind, plus: seed % 2 === 0, masked, share }, ++seed, devices);
          }
        }
      });
    }
  }
}

test.after(() => {
  for (const device of devices) device.dispose();
});
test.run();
