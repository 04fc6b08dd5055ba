// Random small graphs of ops on the adapter: their values and gradients are those of the float64 interpreter, running the
// program again gives the same bits whatever ran in between, and so does compiling it again; no read of the plan finds what
// another value left. Graphs that train are in graphs-training.test.ts. A graph that fails is shrunk and shown.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../engine/node.ts';
import { runs, seed } from './drawing.ts';
import { build, graphs, otherFeeds } from './graph-draw.ts';
import { expectedOf, judge, Tally } from './graph-judge.ts';
import { type Feeds, type Named, outputsOf, reset, sameBits, wantedOf } from './graph-run.ts';
import { onAdapter, theDevice } from './on-adapter.ts';
import { faults } from './plan-replay.ts';

onAdapter(test);

test('graphs: values and gradients, run again and compiled again', async () => {
  const tally = new Tally();
  const property = fc.asyncProperty(graphs, async (drawn) => {
    const graph = build(drawn);
    const { feeds, variables } = graph;
    const { training } = drawn;
    const mode = { mode: training ? 'train' : 'evaluate' } as const;
    const wanted = wantedOf(graph);
    const expected = await expectedOf(wanted, { feeds, variables, training });
    const forward = await compile(theDevice(), graph.outputs, [], mode);
    const whole = await compile(theDevice(), wanted, [], mode);
    const again = await compile(theDevice(), wanted, [], mode);
    const run = (program: typeof whole, fed: Feeds): Promise<Named> => {
      reset(variables);
      return outputsOf(program, fed);
    };
    try {
      assert.equal([...faults(forward.plan), ...faults(whole.plan)], []);
      const first = await run(whole, feeds);
      judge(expected, first, tally);
      const others = otherFeeds(feeds);
      const between = await run(whole, others);
      judge(expected, await run(forward, feeds), tally);
      sameBits(first, await run(whole, feeds), 'run again');
      sameBits(between, await run(again, others), 'compiled again, fed otherwise');
      sameBits(first, await run(again, feeds), 'compiled again');
    } finally {
      for (const program of [forward, whole, again]) program.dispose();
      for (const variable of variables.keys()) variable.dispose();
    }
  });
  await fc.assert(property, { seed, numRuns: runs(200), includeErrorInReport: true });
  tally.settle();
});

test('graphs: a NaN that is fed goes where it goes in float64, and nowhere else', async () => {
  const tally = new Tally();
  const property = fc.asyncProperty(graphs, fc.nat(), async (drawn, place) => {
    const graph = build({ ...drawn, training: false });
    const { variables } = graph;
    const poisoned = Object.entries(graph.feeds).map(([name, data], k) => {
      const here = data instanceof Float32Array && (k === 0 || ((place >> k) & 1) === 1);
      return [name, here ? data.map((x, i) => (i === place % data.length ? Number.NaN : x)) : data] as const;
    });
    const feeds = Object.fromEntries(poisoned);
    const wanted = wantedOf(graph);
    const expected = await expectedOf(wanted, { feeds, variables });
    const program = await compile(theDevice(), wanted);
    try {
      judge(expected, await outputsOf(program, feeds), tally);
    } finally {
      program.dispose();
      for (const variable of variables.keys()) variable.dispose();
    }
  });
  await fc.assert(property, { seed, numRuns: runs(80), includeErrorInReport: true });
  tally.settle();
});

test.run();
