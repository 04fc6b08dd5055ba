// Grids of workgroups that fold: where one dimension does not hold them they go on in a second, with some past the end. What is
// folded by hand computes the same bits, whatever the kernel; what is so large that it folds by itself is right to the
// last element, just under the fold and just over it. Large inputs repeat a few rows, whose results say what is right.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { wantedOf } from '../check/gradcheck.ts';
import { allCases, drawCase } from '../check/index.ts';
import { at } from '../engine/errors.ts';
import {
  adam,
  compile,
  concat,
  conv2d,
  crossEntropy,
  cumulativeSum,
  type Data,
  einsum,
  evaluate,
  type Feeds,
  grad,
  input,
  layerNorm,
  lstmGates,
  mul,
  type Program,
  reshape,
  rmsprop,
  type Shape,
  sgd,
  slice,
  softmax,
  sum,
  type Tensor,
  takeAlong,
  tanh,
  topKMask,
  type Update,
  variable,
} from '../engine/node.ts';
import { type Dispatch, dispatchesOf } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import { sizeOf } from '../engine/tensor.ts';
import { kernels as kernelsOfAll } from '../kernels/index.ts';
import { RIM } from '../rims/index.ts';
import { bits, drawn, onAdapter, theDevice } from './on-adapter.ts';

onAdapter(test);

/** Kernels whose workgroups mean something else along y, or that are one workgroup by themselves. */
const OTHER = /^(matmul|productTerms|rimUpdate$|guard$|nonFinite|normTotal|increment|updateControl)/;

/** Folds every grid of a program: the same workgroups over two dimensions, and one or two more. Returns their kernels. */
function foldAll({ calls }: Program): Set<string> {
  const folded = new Set<string>();
  for (const dispatch of new Set(
    calls.map((call): { -readonly [K in keyof Dispatch]: Dispatch[K] } => call.dispatch),
  )) {
    if (OTHER.test(dispatch.kernel.name)) continue;
    const [x, y, z] = dispatch.workgroups;
    assert.equal([y, z], [1, 1], `${dispatch.kernel.name} is folded already`);
    dispatch.workgroups = [Math.ceil((x + 1) / 2), 2, 1];
    folded.add(dispatch.kernel.name);
  }
  return folded;
}

/** The bits of all outputs and of all Variables after a run from the same Variables, as it is and folded. */
async function bothWays(
  outputs: Readonly<Record<string, Tensor>>,
  updates: readonly Update[],
  feeds: Feeds,
  training: boolean,
): Promise<{ plain: number[][]; folded: number[][]; kernels: Set<string> }> {
  const program = await compile(theDevice(), outputs, updates, { mode: training ? 'train' : 'evaluate' });
  const { variables } = program.plan;
  const start = await Promise.all(variables.map((each) => each.read()));
  const all = async (): Promise<number[][]> => {
    for (const [i, each] of variables.entries()) each.write(at(start, i));
    await program.run(feeds);
    const read = [...Object.keys(outputs).map((name) => program.read(name)), ...variables.map((each) => each.read())];
    return (await Promise.all(read)).map(bits);
  };
  const plain = await all();
  const kernels = foldAll(program);
  const folded = await all();
  program.dispose();
  return { plain, folded, kernels };
}

/** A kernel as far as its way through a grid goes: with its constants, the number of a function left out. */
const wayOf = ({ kernel, constants }: Dispatch): string =>
  [kernel.name, ...Object.entries(constants).filter(([name]) => name !== 'OP')].join(' ');

test('every kernel of every op, forward and backward, folded by hand', async () => {
  const ways = new Set<string>();
  const seen = new Set<string>();
  for (const each of allCases) {
    const drawnCase = drawCase(each);
    const outputs = Object.fromEntries(wantedOf(drawnCase).map((tensor, i) => [`y${i}`, tensor]));
    const options = { training: each.training ?? false, subgroupSize: theDevice().subgroupSize };
    const own = dispatchesOf(planProgram(outputs, [], options)).filter(({ kernel }) => !OTHER.test(kernel.name));
    if (own.every((call) => ways.has(wayOf(call)))) continue;
    for (const call of own) ways.add(wayOf(call));
    const { plain, folded, kernels } = await bothWays(outputs, [], drawnCase.feeds, options.training);
    assert.equal(folded, plain, each.name);
    for (const name of kernels) seen.add(name);
  }
  const updates = /^(sgd|adam|rmsprop|normParts|guardedCopy|copy)$/;
  const missing = Object.keys(kernelsOfAll).filter(
    (name) => !seen.has(name) && !OTHER.test(name) && !updates.test(name),
  );
  assert.equal(missing, []);
});

for (const [name, optimiser] of [
  ['sgd', sgd],
  ['adam', adam],
  ['rmsprop', rmsprop],
] as const) {
  test(`updates folded by hand: ${name}`, async () => {
    const weights = [3000, 5, 2049].map((size, i) => variable(`w${i}`, drawn([size], i), [size]));
    const loss = weights.reduce((total, w) => mul(total, sum(tanh(w))), sum(tanh(at(weights, 0))));
    const updates = optimiser(grad(loss, weights), { learningRate: 0.1, clipNorm: 1 });
    const { plain, folded, kernels } = await bothWays({ loss }, updates, {}, true);
    assert.equal(folded, plain);
    assert.ok(kernels.has(name) && kernels.has('normParts'), [...kernels].join());
  });
}

/** What a graph takes: shapes of one row; u32 where labels are drawn below a number. */
interface Operand {
  readonly row: Shape;
  readonly below?: number;
}

const rowsOf = (x: Tensor): number => at(x.shape, 0);

/** Rows that are drawn; a prime, so that no size of a workgroup hides a row that is taken for another. */
const PERIOD = 61;

/** Computes `rows` rows, those of the period over and over, and holds each to what the period alone gives. */
async function repeated(
  rows: number,
  operands: Readonly<Record<string, Operand>>,
  graph: (x: Readonly<Record<string, Tensor>>) => Readonly<Record<string, Tensor>>,
): Promise<void> {
  const period = new Map<string, Data>();
  Object.entries(operands).forEach(([name, { row, below }], i) => {
    const numbers = drawn([PERIOD, ...row], i);
    period.set(
      name,
      below === undefined ? numbers : Uint32Array.from(numbers, (x) => Math.floor(Math.abs(100 * x)) % below),
    );
  });
  const run = async (count: number): Promise<Record<string, Data>> => {
    const tensors: Record<string, Tensor> = {};
    const feeds: Record<string, Data> = {};
    for (const [name, { row, below }] of Object.entries(operands)) {
      tensors[name] = input(name, [count, ...row], below === undefined ? 'f32' : 'u32');
      const of = period.get(name) ?? new Float32Array(1);
      const data =
        of instanceof Float32Array ? new Float32Array(count * sizeOf(row)) : new Uint32Array(count * sizeOf(row));
      for (let k = 0; k < data.length; k += of.length)
        data.set(of.subarray(0, Math.min(of.length, data.length - k)), k);
      feeds[name] = data;
    }
    return evaluate(theDevice(), graph(tensors), feeds);
  };
  const few = await run(PERIOD);
  const all = await run(rows);
  for (const [name, expected] of Object.entries(few)) {
    const got = all[name] ?? new Float32Array(1);
    assert.is(got.length, (expected.length / PERIOD) * rows, name);
    const [a, b] = [new Uint32Array(got.buffer), new Uint32Array(expected.buffer)];
    let wrong = -1;
    for (let i = 0, k = 0; i < a.length && wrong < 0; i++) {
      if (a[i] !== b[k]) wrong = i;
      k = k + 1 === b.length ? 0 : k + 1;
    }
    assert.is(
      wrong,
      -1,
      `${name}: element ${wrong} of ${a.length} is ${got[wrong]}, expected ${expected[wrong % b.length]}`,
    );
  }
}

/** A gradient that arrives at y, and so the gradients of some tensors: not the same in every column. */
function gradientsOf(y: Tensor, d: Tensor, wrt: readonly Tensor[]): Tensor[] {
  const gradients = grad(sum(mul(y, d)), wrt);
  return wrt.map((each) => gradients.of(each));
}

const need = (tensors: Readonly<Record<string, Tensor>>, name: string): Tensor => {
  const tensor = tensors[name];
  if (tensor === undefined) throw new Error(`no operand ${name}`);
  return tensor;
};

// A workgroup a row above 64 columns: 65,535 rows are a dimension of workgroups.
for (const rows of [65_535, 65_536]) {
  test(`rows that workgroups share: ${rows}`, async () => {
    const wide: Operand = { row: [65] };
    if (rows === 65_535) {
      await repeated(rows, { x: wide }, (t) => ({ y: layerNorm(need(t, 'x')) }));
      return;
    }
    await repeated(rows, { x: wide, d: wide, label: { row: [], below: 65 } }, (t) => {
      const [x, d, label] = [need(t, 'x'), need(t, 'd'), need(t, 'label')];
      const y = layerNorm(x);
      const [dx] = gradientsOf(y, d, [x]);
      return { y, dx: dx ?? y, loss: crossEntropy(x, label, { reduction: 'none' }), sums: cumulativeSum(x) };
    });
  });
}

// An invocation a row: 64 * 65,535 rows are a dimension of workgroups; so are as many elements for most other kernels.
const LANES = 64 * 65_535;
for (const rows of [LANES, LANES + 1]) {
  test(`rows of an invocation each: ${rows}`, async () => {
    await repeated(rows, { x: { row: [2] }, d: { row: [2] } }, (t) => {
      const [x, d] = [need(t, 'x'), need(t, 'd')];
      const y = softmax(x);
      const [dx] = gradientsOf(y, d, [x]);
      return { y, dx: dx ?? y, total: sum(x, { axes: [1] }) };
    });
  });
}

for (const rows of [LANES / 3, LANES / 3 + 1]) {
  test(`elements of an invocation each: 3 x ${rows}`, async () => {
    const third: Operand = { row: [3] };
    const index: Operand = { row: [3], below: 3 };
    if (rows === LANES / 3) {
      await repeated(rows, { x: third, index }, (t) => ({ taken: takeAlong(need(t, 'x'), need(t, 'index')) }));
      return;
    }
    await repeated(rows, { x: third, d: third, label: { row: [], below: 3 }, index }, (t) => {
      const [x, d] = [need(t, 'x'), need(t, 'd')];
      const taken = takeAlong(x, need(t, 'index'));
      const loss = crossEntropy(x, need(t, 'label'), { reduction: 'none' });
      const [dtaken] = gradientsOf(taken, d, [x]);
      return { taken, dtaken: dtaken ?? x, dloss: grad(sum(loss), [x]).of(x), top: topKMask(x, 2) };
    });
  });
}

test('gates and convolutions past a dimension of workgroups', async () => {
  const rows = LANES / 3 + 1;
  const w = variable('w', drawn([1, 1, 1, 2], 9), [1, 1, 1, 2]);
  await repeated(rows, { x: { row: [1, 1, 4] }, c: { row: [3] } }, (t) => {
    const [x, c] = [need(t, 'x'), need(t, 'c')];
    const next = lstmGates(
      concat([reshape(x, [rowsOf(x), 4]), reshape(x, [rowsOf(x), 4]), c, slice(c, 1, 0, 1)], 1),
      c,
    );
    return { y: conv2d(x, w), h: next.h };
  });
  w.dispose();
});

for (const batches of [65_536, 131_073]) {
  test(`a product of ${batches} batches`, async () => {
    await repeated(batches, { a: { row: [3, 4] }, b: { row: [4, 8] }, d: { row: [3, 8] } }, (t) => {
      const [a, b, d] = [need(t, 'a'), need(t, 'b'), need(t, 'd')];
      const y = einsum('bij,bjk->bik', a, b);
      const [da, db] = gradientsOf(y, d, [a, b]);
      return { y, da: da ?? y, db: db ?? y };
    });
  });
}

test('a product of more columns than a call has workgroups', async () => {
  const n = LANES + 65;
  const b = Float32Array.from({ length: 2 * n }, (_, i) => (i * 7919) % 1009);
  const [x, y] = [input('x', [1, 2]), input('y', [2, n])];
  const program = await compile(theDevice(), { z: einsum('ik,kj->ij', x, y) });
  assert.is(program.calls.length, 2, 'it was not too large for one call');
  await program.run({ x: Float32Array.of(3, -2), y: b });
  const z = await program.read('z');
  program.dispose();
  let wrong = 0;
  for (let j = 0; j < n; j++) if (z[j] !== 3 * at(b, j) - 2 * at(b, n + j)) wrong++;
  assert.is(wrong, 0);
});

test('a step of a RIM over more rows than a dimension of workgroups', async () => {
  for (const cell of ['lstm', 'gru'] as const) {
    const rim = RIM.paper(
      {
        inputSize: 3,
        hiddenSize: 4,
        modules: 2,
        active: 1,
        keySize: 4,
        valueSize: 4,
        cell,
        commHeads: 1,
        commKeySize: 4,
        commValueSize: 4,
      },
      { seed: 1 },
    );
    await repeated(65_537, { x: { row: [3] }, d: { row: [8] } }, (t) => {
      const x = need(t, 'x');
      const result = rim(reshape(x, [1, at(x.shape, 0), 3]));
      assert.equal(result.paths, ['fused']);
      const hidden = reshape(result.hidden, [at(x.shape, 0), 8]);
      const [dx] = gradientsOf(hidden, need(t, 'd'), [x]);
      return { hidden, dx: dx ?? hidden };
    });
    for (const each of rim.variables) each.dispose();
  }
});

test.run();
