// Random small graphs of ops in float64: the gradients that the engine builds, through readers that share a tensor, broadcasts,
// scans and recomputed parts, are the slopes that central differences find. No device is used: that kernels compute what the
// graph says is tested in graphs.test.ts, with these same graphs. A graph that fails is shrunk and shown.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkCalculus } from '../check/calculus.ts';
import { worse } from '../check/value.ts';
import { Variable } from '../engine/node.ts';
import { inputOf } from '../engine/ops/leaf.ts';
import { runs, seed } from './drawing.ts';
import { build, type DrawnGraph, graphs } from './graph-draw.ts';

/**
 * Relative to the largest gradient of a tensor. A graph may be steep, and its loss large beside its gradients: differences of
 * 1e-5 are then right to fewer digits than those of single ops.
 */
const LIMIT = 1e-4;

/** Where a graph has a kink near its numbers, differences are wrong; other numbers are then tried, so many at most. */
const TRIES = 3;

async function worstOf(drawn: DrawnGraph): Promise<number> {
  const { loss, wrt, feeds, variables } = build(drawn);
  const leaves = wrt.filter((tensor) => tensor instanceof Variable || inputOf(tensor) !== undefined);
  const results = await checkCalculus(loss, leaves, { feeds, variables, training: drawn.training, probes: 3 });
  return results.map(({ worst }) => worst).reduce(worse, 0);
}

test('graphs: gradients are slopes', async () => {
  let retried = 0;
  const property = fc.asyncProperty(graphs, async (drawn) => {
    const found: number[] = [];
    for (let i = 0; i < TRIES; i++) {
      const worst = await worstOf({ ...drawn, numbers: drawn.numbers + i });
      if (worst <= LIMIT) return;
      found.push(worst);
      retried += 1;
    }
    assert.unreachable(`gradients are off by ${found.join(', ')} of the largest`);
  });
  const count = runs(200);
  await fc.assert(property, { seed, numRuns: count, includeErrorInReport: true });
  assert.ok(retried < 0.1 * count, `of ${count} graphs, numbers were drawn again ${retried} times`);
});

test.run();
