// Products as rows of ops emit them: operands at offsets of wider rows, plain and transposed, with masks of rows and of terms,
// around the edges of tiles. On devices with subgroups and without, and from every candidate, the numbers are those of float64
// loops and the bits are the same; what a mask leaves out may be NaN and is neither read nor written.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at } from '../engine/errors.ts';
import {
  type Device,
  einsum,
  evaluate,
  grad,
  input,
  matmul,
  mul,
  openDevice,
  type ProductShape,
  permute,
  reshape,
  scan,
  sum,
  type Tensor,
  type Tuning,
  tune,
  variable,
} from '../engine/node.ts';
import { applyOne, type Op } from '../engine/op.ts';
import { dispatchesOf } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import { candidates } from '../engine/product-kernels.ts';
import { normalArray } from '../engine/random.ts';
import { chosenAt } from '../engine/tune.ts';
import { matmulShared } from '../kernels/catalogue.ts';
import { bits, close, refused } from './on-adapter.ts';
import { type Form, productTrial } from './product-trials.ts';

/** A device, and the candidate to take there. */
interface Way {
  readonly device: Device;
  readonly candidate?: string;
}

/** Computes one form in several ways and compares. */
async function check(form: Form, seed: number, ways: readonly Way[]): Promise<void> {
  const trial = productTrial(form, seed);
  let first: number[] | undefined;
  for (const { device, candidate } of ways) {
    const { y } = await evaluate(device, { y: trial.make(candidate) }, trial.feeds);
    trial.compare(y, candidate ?? '', 4e-6);
    first ??= bits(y);
    assert.equal(bits(y), first, `${JSON.stringify(form)} ${candidate ?? ''}: the same bits`);
  }
}

const plain: Device = await openDevice({ subgroups: false });
const device: Device = await openDevice();
const ways: readonly Way[] = [{ device: plain }, { device }];

const sizes: readonly (readonly [g: number, m: number, n: number, k: number])[] = [
  [2, 64, 36, 12],
  [3, 20, 100, 24],
  [2, 70, 33, 9],
  [1, 132, 16, 40],
  [2, 1, 5, 3],
];
let seed = 0;
for (const [g, m, n, k] of sizes) {
  for (const a of ['k', 'm'] as const) {
    for (const b of ['n', 'k'] as const) {
      test(`[${g},${m},${k}] by [${g},${k},${n}], a contiguous along ${a}, b along ${b}`, async () => {
        for (const masked of ['none', 'rows', 'terms'] as const) {
          for (const [before, behind] of [
            [4, 8],
            [3, 2],
          ] as const) {
            const share = at(['some', 'all', 'none'] as const, seed % 3);
            await check({ g, m, n, k, a, b, before, behind, plus: masked === 'none', masked, share }, ++seed, ways);
          }
        }
      });
    }
  }
}

const dense = { g: 2, m: 68, n: 36, k: 21, a: 'm', b: 'n', before: 4, behind: 0, plus: true, masked: 'none' } as const;
const rows = { g: 2, m: 70, n: 40, k: 12, a: 'k', b: 'k', before: 0, behind: 4, plus: false, masked: 'rows' } as const;
const terms = {
  g: 3,
  m: 20,
  n: 36,
  k: 50,
  a: 'm',
  b: 'n',
  before: 8,
  behind: 4,
  plus: false,
  masked: 'terms',
} as const;

for (const form of [dense, rows, terms]) {
  test(`all candidates give the same bits: ${form.masked}`, async () => {
    const all = [...candidates.keys()].map((candidate): Way => ({ device, candidate }));
    assert.ok(all.length >= 24, `${all.length} candidates`);
    await check({ ...form, share: 'some' }, ++seed, [{ device: plain }, ...all]);
  });
}

test('a tuning is taken, and one of another version refused', async () => {
  const tuning: Tuning = { ...device.tuning, choices: { '*': 'shared-16-8-32' } };
  const tuned = await openDevice({ tuning });
  assert.equal(tuned.tuning, tuning);
  // A product that another kernel computes where nothing was measured.
  const shape: ProductShape = { batches: 1, m: 4, n: 4, k: 4, a: 'k', b: 'n' };
  assert.is.not(chosenAt(device, shape), 'shared-16-8-32');
  assert.is(chosenAt(tuned, shape), 'shared-16-8-32');
  const kernelOn = ({ subgroupSize, tuning }: Device): string => {
    const product = { y: matmul(input('a', [4, 4]), input('b', [4, 4])) };
    return at(dispatchesOf(planProgram(product, [], { training: false, subgroupSize, tuning })), 0).kernel.name;
  };
  assert.is.not(kernelOn(device), matmulShared.name);
  assert.is(kernelOn(tuned), matmulShared.name);
  tuned.dispose();
  await refused(() => openDevice({ tuning: { ...tuning, choices: { '*': 'guessed' } } }), 'OptionError', /"guessed"/);
});

test('what is no tuning, or one of another kind of adapter, is refused', async () => {
  const { tuning } = device;
  const { software, ...rest } = tuning;
  const wrong: readonly (readonly [tuning: unknown, message: RegExp])[] = [
    [null, /not what tune\(\) returns/],
    ['fast', /not what tune\(\) returns/],
    [{ ...tuning, format: 'rimgrad tuning 0' }, /not what tune\(\) returns/],
    [rest, /the software of the tuning is no boolean but undefined/],
    [{ ...tuning, adapter: 7 }, /the adapter of the tuning is no string but 7/],
    [{ ...tuning, choices: null }, /the choices of the tuning is no object but null/],
    [{ ...tuning, choices: ['scalar-1x4'] }, /the choices of the tuning is no object/],
    [{ ...tuning, choices: { '*': 4 } }, /a kernel 4 /],
    [{ ...tuning, software: !software }, /was measured on .* and this is/],
  ];
  for (const [each, message] of wrong) {
    await refused(() => openDevice({ tuning: each as Tuning }), 'OptionError', message);
  }
});

test('tuning measures every candidate that fits, and chooses one', async () => {
  const shape: ProductShape = { batches: 1, m: 4, n: 4, k: 4, a: 'k', b: 'n' };
  const made: string[] = [];
  const tuning = await tune(plain, [shape], (done, of) => made.push(`${done} of ${of}`));
  assert.equal(made, ['0 of 1']);
  const [choice, ...more] = Object.values(tuning.choices);
  assert.equal(more, []);
  assert.ok(candidates.has(choice ?? ''));
  assert.equal(JSON.parse(JSON.stringify(tuning)), tuning);
});

/** The gradient of w is a product over active rows only; that of x is left out. */
const gated: Op<null> = {
  name: 'gated',
  infer: ([x, w]) => [{ shape: [x?.shape[0] ?? 0, x?.shape[1] ?? 0, w?.shape[2] ?? 0], dtype: 'f32' }],
  plan: () => {
    throw new Error('its value is not asked for');
  },
  backward: ({ inputs: [x, , mask] }, [d]) =>
    x && mask && d ? [undefined, einsum('bni,bno->nio', x, d, { rows: ['nb', mask] }), undefined] : [],
};

test('a product over active rows is one product over all steps', async () => {
  const [T, B, N, I, O] = [3, 5, 2, 4, 8];
  const drawn = (shape: readonly number[], stream: number): Tensor =>
    variable(
      `v${stream}`,
      normalArray(
        shape.reduce((x, y) => x * y, 1),
        { seed: 3, stream },
      ),
      shape,
    );
  const [x, w, d] = [drawn([T, B, N, I], 1), drawn([N, I, O], 2), drawn([T, B, N, O], 3)];
  const mask = variable(
    'mask',
    Float32Array.from({ length: T * N * B }, (_, i) => (i % 3 === 0 ? 1 : 0)),
    [T, N, B],
  );
  const { outputs } = scan(
    (step, state) => {
      const y = applyOne(gated, [step.x, w, step.mask], null);
      return { state, output: { y: sum(mul(y, step.d)) } };
    },
    { x, d, mask },
    { h: variable('h', [0], []) },
  );
  const dw = grad(sum(outputs.y), [w]).of(w);
  const own = einsum('tbni,tbno->nio', x, mul(d, reshape(permute(mask, [0, 2, 1]), [T, B, N, 1])));
  const results = await evaluate(device, { dw, own });
  close(results.dw, results.own, 1e-6);
  await refused(() => grad(sum(mul(dw, dw)), [x]), 'OptionError', /some rows only/);
});

test.after(() => {
  plain.dispose();
  device.dispose();
});
test.run();
