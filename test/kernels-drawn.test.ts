// Every row of the engine's op table by itself, over shapes, broadcasts, options and numbers drawn by fast-check (op-draw.ts):
// kernels on the adapter against the float64 interpreter, forward and gradients, and in float64 the gradient against central
// differences where the draw is smooth. A row without a generator fails. Beside them products over the edges of tiles, and a
// scan. The rows of RIMs are drawn in rim-step.test.ts, fixed cases are in kernels-float64.test.ts. fast-check shrinks what fails.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CALCULUS_LIMIT } from '../check/calculus.ts';
import { type Case, type Draw, drawCase } from '../check/draw.ts';
import { calculusError, wantedOf } from '../check/gradcheck.ts';
import { nodesOf } from '../check/interpret.ts';
import type { Tensor } from '../engine/node.ts';
import * as ops from '../engine/node.ts';
import { opTable } from '../engine/ops/index.ts';
import { runs, seed } from './drawing.ts';
import { expectedOf, judge, Tally } from './graph-judge.ts';
import { outputsOf } from './graph-run.ts';
import { type Generator, longer, plainGenerators, size, useRows } from './op-draw.ts';
import { rowGenerators } from './op-draw-rows.ts';

const device = await ops.openDevice();

useRows(opTable);
const generators: Readonly<Record<string, Generator>> = { ...plainGenerators, ...rowGenerators };

test('every row of the op table has a generator, and every generator a row', () => {
  const names = opTable.map(({ name }) => name);
  assert.equal(
    names.filter((name) => !Object.hasOwn(generators, name)),
    [],
  );
  assert.equal(
    Object.keys(generators).filter((name) => !names.includes(name)),
    [],
  );
});

/** The kernels of a case compute what it means, by themselves and with the gradients, which plan their memory otherwise. */
async function judged(each: Case, numbers: number, tally: Tally): Promise<void> {
  const drawn = drawCase(each, numbers);
  const named = (tensors: readonly Tensor[]): Record<string, Tensor> =>
    Object.fromEntries(tensors.map((tensor, i) => [`y${i}`, tensor]));
  const wanted = named(wantedOf(drawn));
  const training = each.training ?? false;
  const expected = await expectedOf(wanted, { feeds: drawn.feeds, training });
  for (const outputs of drawn.wrt.length === 0 ? [wanted] : [named(drawn.outputs), wanted]) {
    const program = await ops.compile(device, outputs, [], { mode: training ? 'train' : 'evaluate' });
    try {
      judge(expected, await outputsOf(program, drawn.feeds), tally);
    } finally {
      program.dispose();
      for (const variable of program.plan.variables) variable.dispose();
    }
  }
}

for (const row of opTable) {
  const drawn = generators[row.name];
  if (drawn === undefined) continue;
  const { draws, forward = false, training = false } = drawn;
  test(`drawn: ${row.name}`, async () => {
    const tally = new Tally();
    const both = fc.boolean().chain((smooth) => fc.record({ smooth: fc.constant(smooth), draw: draws(smooth) }));
    const property = fc.asyncProperty(both, fc.nat(), async ({ smooth, draw: { graph } }, numbers) => {
      const each: Case = {
        name: row.name,
        graph: (draw) => {
          const outputs = graph(draw, row);
          if (forward) draw.wrt.length = 0;
          return outputs;
        },
        ...{ training, probes: 8 },
      };
      const { outputs, wrt } = drawCase(each, numbers);
      assert.ok(
        nodesOf(outputs).some(({ op }) => op === row),
        'the row is not in the graph',
      );
      await judged(each, numbers, tally);
      if (!smooth || wrt.length === 0) return;
      const slope = await calculusError(each, numbers);
      assert.ok(slope <= CALCULUS_LIMIT, `its gradient is off by ${slope} of the largest`);
    });
    await fc.assert(property, { seed, numRuns: runs(10), includeErrorInReport: true });
    tally.settle();
  });
}

/** Ops over drawn shapes and options. */
interface Family<P> {
  readonly name: string;
  readonly options: fc.Arbitrary<P>;
  readonly graph: (draw: Draw, options: P) => readonly Tensor[];
  readonly runs?: number;
}

function check<P>(family: Family<P>): void {
  test(`drawn: ${family.name}`, async () => {
    const tally = new Tally();
    const property = fc.asyncProperty(family.options, fc.nat(), (options, numbers) =>
      judged({ name: family.name, graph: (draw) => family.graph(draw, options) }, numbers, tally),
    );
    await fc.assert(property, { seed, numRuns: runs(family.runs ?? 8), includeErrorInReport: true });
    tally.settle();
  });
}

check({
  name: 'matrix products',
  options: fc.record({
    m: longer,
    n: longer,
    k: size,
    rows: fc.constantFrom('mk', 'km'),
    columns: fc.constantFrom('kn', 'nk'),
  }),
  graph: (draw, { m, n, k, rows: left, columns: right }) => {
    const of = (labels: string): number[] => [...labels].map((label) => ({ m, n, k })[label] ?? 1);
    return [ops.einsum(`${left},${right}->mn`, draw.normal(of(left)), draw.normal(of(right)))];
  },
  runs: 16,
});

check({
  name: 'products per module and per batch',
  options: fc.record({ b: fc.integer({ min: 1, max: 9 }), n: fc.integer({ min: 1, max: 7 }), d: size, e: size }),
  graph: (draw, { b, n, d, e }) => {
    const x = draw.normal([b, n, d]);
    return [
      ops.groupedMatmul(x, draw.normal([n, d, e])),
      ops.einsum('bnd,bmd->bnm', x, draw.normal([b, e, d])),
      ops.einsum('bnd,bnd->bn', x, draw.normal([b, n, d])),
      ops.einsum('bnd,nd->b', x, draw.normal([n, d])),
    ];
  },
  runs: 12,
});

check({
  name: 'scan',
  options: fc.record({
    steps: fc.integer({ min: 1, max: 7 }),
    b: fc.integer({ min: 1, max: 5 }),
    h: fc.oneof(size, fc.constant(64)),
    reverse: fc.boolean(),
  }),
  graph: (draw, { steps, b, h, reverse }) => {
    const [w, u] = [draw.normal([3, 3 * h], { std: 0.4 }), draw.normal([h, 3 * h], { std: 0.4 / Math.sqrt(h) })];
    const { outputs, state } = ops.scan(
      ({ x }: { x: Tensor }, before: { h: Tensor; last: Tensor }) => {
        const next = ops.gruGates(ops.matmul(x, w), ops.matmul(before.h, u), before.h);
        return { state: { h: next, last: before.h }, output: { next, change: ops.sub(next, before.last) } };
      },
      { x: draw.normal([steps, b, 3]) },
      { h: draw.normal([b, h]), last: draw.normal([b, h]) },
      { reverse },
    );
    return [outputs.next, outputs.change, state.h, state.last];
  },
});

test.after(() => {
  device.dispose();
});

test.run();
