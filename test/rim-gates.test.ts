// The fused choice and dynamics of a RIM step: in float64 against the same step written with plain ops and against the cell
// itself, with all gradients; on the adapter over drawn sizes, bit for bit where a module is inactive, and inside of a scan.
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { drawRimGates, type RimGatesSizes } from '../check/cases/rim-gates.ts';
import { type Case, Draw } from '../check/draw.ts';
import { KERNEL_LIMIT, kernelError } from '../check/gradcheck.ts';
import { interpret } from '../check/interpret.ts';
import { at, need, OptionError, ShapeError } from '../engine/errors.ts';
import {
  add,
  concat,
  constant,
  einsum,
  evaluate,
  fill,
  grad,
  groupedMatmul,
  gruGates,
  lstmGates,
  maskGradient,
  mul,
  reshape,
  type Shape,
  scan,
  sigmoid,
  slice,
  sub,
  type Tensor,
  type TensorRecord,
  topKMask,
  where,
} from '../engine/node.ts';
import { isLoop } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import { type RimGatesInputs, type RimGatesOptions, rimGates } from '../rims/gates-op.ts';
import { RIMCell } from '../rims/index.ts';
import { onAdapter, theDevice } from './on-adapter.ts';

const seed = process.env.RIMGRAD_SEED === undefined ? undefined : Number(process.env.RIMGRAD_SEED);

onAdapter(test);

const cells = ['lstm', 'gru'] as const;
const sources = ['kept', 'candidate'] as const;

/** The same step with plain ops. */
function plain(inputs: RimGatesInputs, { cell, active, sources: read }: RimGatesOptions): readonly Tensor[] {
  const { z, dU, keys, h } = inputs;
  const [B, N, H] = h.shape as [number, number, number];
  const [gates, E] = [at(dU.shape, 2), at(keys.shape, 2)];
  const scores = einsum('bne,bse->bsn', slice(z, 2, gates, E), keys);
  const p = sigmoid(reshape(slice(scores, 1, 0, 1), [B, N, 1]));
  const mask = reshape(topKMask(reshape(slice(scores, 1, 1, 1), [B, N]), active), [B, N, 1]);
  const state = slice(z, 2, 0, gates);
  const change = mul(p, dU);
  if (cell === 'lstm') {
    const before = need(inputs.c, 'c');
    const next = lstmGates(add(state, change), before);
    const base = where(mask, next.h, h);
    const source = read === 'kept' ? base : maskGradient(next.h, mask);
    return [source, concat([base, where(mask, next.c, before), mask, p], 2)];
  }
  const next = gruGates(add(reshape(need(inputs.u0, 'u0'), [1, N, 3 * H]), change), state, h);
  const base = where(mask, next, h);
  return [read === 'kept' ? base : maskGradient(next, mask), concat([base, mask, p], 2)];
}

/** Float64 values of outputs and of the gradients of a weighted sum of them, weights drawn by that seed. */
async function valuesOf(draw: Draw, outputs: readonly Tensor[], seed = 5): Promise<ArrayLike<number>[]> {
  const gradients = grad(new Draw(seed).loss(outputs), draw.wrt);
  const wanted = [...outputs, ...draw.wrt.map((tensor) => gradients.of(tensor))];
  return (await interpret(wanted, { feeds: draw.feeds })).map(({ data }) => data);
}

function same(got: readonly ArrayLike<number>[], wanted: readonly ArrayLike<number>[], what: string): void {
  assert.is(got.length, wanted.length);
  got.forEach((values, i) => {
    assert.is(values.length, at(wanted, i).length, `${what}: length of tensor ${i}`);
    for (let k = 0; k < values.length; k++) {
      const [x, y] = [at(values, k), at(at(wanted, i), k)];
      assert.ok(
        Math.abs(x - y) <= 1e-12 * Math.max(1, Math.abs(y)),
        `${what}: tensor ${i}, element ${k}: ${x}, not ${y}`,
      );
    }
  });
}

for (const cell of cells) {
  for (const read of sources) {
    test(`${cell}, ${read}: equals plain ops, with all gradients`, async () => {
      const sizes: RimGatesSizes = { cell, sources: read, active: 2, B: 3, N: 5, H: 4, E: 3 };
      const draw = new Draw(3);
      const inputs = drawRimGates(draw, sizes);
      const { source, rest } = rimGates(inputs, sizes);
      same(await valuesOf(draw, [source, rest]), await valuesOf(draw, plain(inputs, sizes)), 'both');
      for (const i of [0, 1]) {
        const [fused, written] = [at([source, rest], i), at(plain(inputs, sizes), i)];
        same(await valuesOf(draw, [fused]), await valuesOf(draw, [written]), `output ${i} alone`);
      }
    });
  }

  test(`${cell}: equals the cell's candidate, choice and states, from its weights`, async () => {
    const [B, N, H, E] = [3, 4, 3, 5];
    const draw = new Draw(4);
    const one = RIMCell.paper(
      {
        inputSize: 4,
        hiddenSize: H,
        modules: N,
        active: 2,
        keySize: E,
        valueSize: 6,
        inputHeads: 1,
        cell,
        communication: false,
      },
      { seed: 1 },
    );
    draw.variables(one.variables);
    const [x, h] = [draw.normal([B, 4]), draw.normal([B, N, H])];
    const state = cell === 'lstm' ? { h, c: draw.normal([B, N, H]) } : { h };
    const cellStep = one.step(x, state);
    const { trace } = cellStep;
    const { query, inputGates, stateGates, inputGatesBias, stateGatesBias } = one.weights;

    const ofRow = (row: number): Tensor =>
      einsum('bv,nvg->bng', slice1(trace.values, row), need(inputGates, 'inputGates'));
    const [null0, input] = [ofRow(0), ofRow(1)];
    const bias = (tensor: Tensor | undefined, shape: Shape): Tensor =>
      tensor === undefined ? fill(0, shape) : reshape(tensor, shape);
    const wide = [1, N, (cell === 'lstm' ? 4 : 3) * H];
    const ofState = add(groupedMatmul(h, need(stateGates, 'stateGates')), bias(stateGatesBias, wide));
    const nullGates = add(null0, bias(inputGatesBias, wide));
    const key = mul(sub(slice1(need(trace.keys, 'keys'), 1), slice1(need(trace.keys, 'keys'), 0)), 1 / Math.sqrt(E));
    const z = concat([cell === 'lstm' ? add(ofState, nullGates) : ofState, groupedMatmul(h, need(query, 'query'))], 2);
    const inputs = { z, dU: sub(input, null0), keys: concat([reshape(key, [B, 1, E]), reshape(key, [B, 1, E])], 1), h };
    // The null row is the same in every batch row.
    const more = cell === 'lstm' ? { c: need(state.c, 'c') } : { u0: reshape(slice(nullGates, 0, 0, 1), [N, 3 * H]) };
    const { source, rest } = rimGates({ ...inputs, ...more }, { cell, active: 2, sources: 'kept' });
    const columns = [cellStep.state.h, ...(cellStep.state.c ? [cellStep.state.c] : [])];
    const p = slice(reshape(need(trace.probabilities, 'probabilities'), [B, N, 2]), 2, 1, 1);
    const wanted = [cellStep.state.h, concat([...columns, reshape(trace.mask, [B, N, 1]), p], 2)];
    same(await valuesOf(draw, [source, rest]), await valuesOf(draw, wanted), 'cell');
  });

  test(`${cell}: an inactive module's state keeps its bits, whatever they are`, async () => {
    const [N, H] = [3, 2];
    const gates = (cell === 'lstm' ? 4 : 3) * H;
    const odd = Uint32Array.of(0x80000000, 0x00000001, 0x3f800000, 0x7f7fffff, 0x7fc12345, 0x807fffff);
    const state = constant(new Float32Array(odd.buffer), [1, N, H]);
    const query = (n: number): number[] => [...new Array<number>(gates).fill(0), n === 1 ? 1 : -1];
    const z = constant([0, 1, 2].flatMap(query), [1, N, gates + 1]);
    const inputs = { z, dU: fill(0, [1, N, gates]), keys: fill(1, [1, 2, 1]), h: state };
    const more = cell === 'lstm' ? { c: state } : { u0: fill(0, [N, gates]) };
    const { source, rest } = rimGates({ ...inputs, ...more }, { cell, active: 1, sources: 'kept' });
    const got = await evaluate(theDevice(), { source, rest });
    const bits = (data: ArrayLike<number>, first: number): number[] => [
      ...new Uint32Array(Float32Array.from(data).buffer, 4 * first, H),
    ];
    const columns = at(rest.shape, 2);
    for (const n of [0, 2]) {
      const wanted = [...odd.subarray(n * H, (n + 1) * H)];
      assert.equal(bits(got.source, n * H), wanted, 'source');
      assert.equal(bits(got.rest, n * columns), wanted, 'base');
      if (cell === 'lstm') assert.equal(bits(got.rest, n * columns + H), wanted, 'c');
    }
    assert.equal(
      [0, 1, 2].map((n) => got.rest[(n + 1) * columns - 2]),
      [0, 1, 0],
      'mask',
    );
  });

  test(`${cell}: in a scan, its loops hold the products and one kernel each way, and the numbers are right`, async () => {
    const [T, B, N, H, E] = [4, 2, 3, 5, 3];
    const gates = (cell === 'lstm' ? 4 : 3) * H;
    const graph = (draw: Draw): readonly Tensor[] => {
      const [dU, keys] = [draw.normal([T, B, N, gates]), draw.normal([T, B, 2, E])];
      const w = draw.normal([N, H, gates + E], { std: 0.6 });
      const u0 = draw.normal([N, gates]);
      const lstm = cell === 'lstm';
      const first: TensorRecord = { h: draw.normal([B, N, H]), ...(lstm ? { c: draw.normal([B, N, H]) } : {}) };
      const { outputs, state } = scan(
        (x: { dU: Tensor; keys: Tensor }, { h, c }: TensorRecord) => {
          const before = need(h, 'h');
          const last = lstm ? { c: need(c, 'c') } : { u0 };
          const { rest } = rimGates(
            { z: groupedMatmul(before, w), ...x, h: before, ...last },
            { cell, active: 2, sources: 'kept' },
          );
          const next: TensorRecord = { h: slice(rest, 2, 0, H), ...(lstm ? { c: slice(rest, 2, H, H) } : {}) };
          return { state: next, output: { rest } };
        },
        { dU, keys },
        first,
      );
      return [outputs.rest, need(state.h, 'h')];
    };
    const error = await kernelError(theDevice(), { name: 'scan', graph });
    assert.ok(error <= KERNEL_LIMIT, `off by ${error}`);
    const draw = new Draw(1);
    const outputs = graph(draw);
    const gradients = grad(draw.loss(outputs), draw.wrt);
    const wanted = Object.fromEntries(draw.wrt.map((tensor, i) => [`d${i}`, gradients.of(tensor)]));
    const plan = planProgram(wanted, [], { training: true, subgroupSize: 0 });
    const loops = plan.items.filter(isLoop).map((loop) => loop.body.map(({ kernel }) => kernel.name));
    const names = cell === 'lstm' ? ['rimLstm', 'rimLstmBackward'] : ['rimGru', 'rimGruBackward'];
    names.forEach((name, i) => {
      const body = at(loops, i);
      assert.is(body.filter((each) => each === name).length, 1);
      const others = body.filter((each) => each !== name && each !== 'matmul' && each !== 'stridedCopy');
      // Beside products and the parts of `rest`: what reaches a state in more than one way is added.
      assert.equal(
        others.filter((each) => each !== 'binary' && each !== 'fill' && each !== 'copy'),
        [],
        body.join(),
      );
    });
  });
}

test('on the adapter, over drawn sizes', async () => {
  const options = fc
    .record({
      cell: fc.constantFrom(...cells),
      sources: fc.constantFrom(...sources),
      B: fc.integer({ min: 1, max: 4 }),
      N: fc.integer({ min: 1, max: 7 }),
      H: fc.oneof(fc.constantFrom(1, 2, 63, 64, 65, 128), fc.integer({ min: 1, max: 70 })),
      E: fc.oneof(fc.constantFrom(1, 15, 16, 17, 33), fc.integer({ min: 1, max: 40 })),
      choice: fc.nat(),
    })
    .map(({ choice, ...sizes }): RimGatesSizes => ({ ...sizes, active: 1 + (choice % sizes.N) }));
  const property = fc.asyncProperty(options, fc.nat(), async (sizes, seed) => {
    const each: Case = {
      name: 'drawn',
      graph: (draw) => {
        const { source, rest } = rimGates(drawRimGates(draw, sizes), sizes);
        return [source, rest];
      },
    };
    const error = await kernelError(theDevice(), each, seed);
    assert.ok(error <= KERNEL_LIMIT, `off by ${error} of the largest magnitude`);
  });
  await fc.assert(property, { numRuns: 12, endOnFailure: true, ...(seed === undefined ? {} : { seed }) });
});

test('64 modules are ranked as topKMask ranks them, 65 are refused', async () => {
  const [B, N, H, E] = [2, 64, 3, 4];
  const sizes: RimGatesSizes = { cell: 'lstm', sources: 'kept', active: 19, B, N, H, E };
  const draw = new Draw(6);
  const inputs = drawRimGates(draw, sizes);
  const mask = slice(rimGates(inputs, sizes).rest, 2, 2 * H, 1);
  const scores = einsum('bne,be->bn', slice(inputs.z, 2, 4 * H, E), slice1(inputs.keys, 1));
  const found = await evaluate(theDevice(), { mask, wanted: topKMask(scores, 19) }, draw.feeds);
  assert.equal([...found.mask], [...found.wanted]);
  const more = { ...sizes, N: 65 };
  assert.throws(() => rimGates(drawRimGates(new Draw(1), more), more), optionErrorSaying(/65 modules; at most 64/));
});

test('what does not fit is refused, by name', () => {
  const sizes: RimGatesSizes = { cell: 'gru', sources: 'kept', active: 2, B: 2, N: 3, H: 2, E: 2 };
  const inputs = drawRimGates(new Draw(1), sizes);
  const { u0: _, ...rest } = inputs;
  assert.throws(() => rimGates(rest, sizes), optionErrorSaying(/a gru needs u0/));
  assert.throws(() => rimGates(inputs, { ...sizes, active: 4 }), optionErrorSaying(/4 active modules/));
  assert.throws(
    () => rimGates({ ...inputs, keys: fill(0, [2, 1, 2]) }, sizes),
    (error: unknown) =>
      error instanceof ShapeError && /keys must be f32 \[2,2,2\], not f32 \[2,1,2\]/.test(error.message),
  );
});

/** Row `row` of axis 1 of a tensor [B,S,X], as [B,X]. */
function slice1(tensor: Tensor, row: number): Tensor {
  return reshape(slice(tensor, 1, row, 1), [at(tensor.shape, 0), at(tensor.shape, 2)]);
}

function optionErrorSaying(pattern: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof OptionError && pattern.test(error.message);
}

test.run();
