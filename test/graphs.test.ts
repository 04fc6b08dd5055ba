// Random small graphs of ops on the adapter: their values and gradients are those of the float64 interpreter, running the
// program again gives the same bits whatever ran in between, and so does compiling it again; no read of the plan finds what
// another value left. Graphs that train are in graphs-training.test.ts. A graph that fails is shrunk and shown.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at } from '../engine/errors.ts';
import { compile, type Data, grad, type Program, type Tensor } from '../engine/node.ts';
import { inputOf } from '../engine/ops/leaf.ts';
import { runs, seed } from './drawing.ts';
import { type BuiltGraph, build, graphs, otherFeeds } from './graph-draw.ts';
import { expectedOf, judge, Tally } from './graph-judge.ts';
import { bits, onAdapter, theDevice } from './on-adapter.ts';
import { faults } from './plan-replay.ts';

onAdapter(test);

type Feeds = Readonly<Record<string, Data>>;

/** The outputs of a program after a run from the first values of all Variables. */
async function outputsOf(program: Program, graph: BuiltGraph, feeds: Feeds): Promise<ReadonlyMap<string, Data>> {
  for (const [variable, data] of graph.variables) variable.write(data);
  const own = program.plan.inputs.map(({ tensor }) => inputOf(tensor)?.name ?? '');
  await program.run(Object.fromEntries(own.map((name) => [name, feeds[name] ?? new Float32Array()])));
  const names = [...program.plan.outputs.keys()];
  const values = await Promise.all(names.map((name) => program.read(name)));
  return new Map(names.map((name, i) => [name, at(values, i)]));
}

function sameBits(one: ReadonlyMap<string, Data>, other: ReadonlyMap<string, Data>, what: string): void {
  for (const [name, data] of one) {
    const [expected, got] = [bits(data), bits(other.get(name) ?? new Float32Array())];
    assert.equal(got, expected, `${what}: ${name} has other bits`);
  }
}

/** The outputs and all gradients. */
function wantedOf({ outputs, loss, wrt }: BuiltGraph): Record<string, Tensor> {
  const gradients = grad(loss, wrt);
  return { ...outputs, ...Object.fromEntries(wrt.map((tensor, i) => [`d${i}`, gradients.of(tensor)])) };
}

test('graphs: values and gradients, again and compiled again', async () => {
  const tally = new Tally();
  const property = fc.asyncProperty(graphs, async (drawn) => {
    const graph = build(drawn);
    const { training } = drawn;
    const mode = { mode: training ? 'train' : 'evaluate' } as const;
    const { feeds, variables } = graph;
    const wanted = wantedOf(graph);
    const expected = await expectedOf(wanted, { feeds, variables, training });
    const forward = await compile(theDevice(), graph.outputs, [], mode);
    const whole = await compile(theDevice(), wanted, [], mode);
    const again = await compile(theDevice(), wanted, [], mode);
    try {
      assert.equal([...faults(forward.plan), ...faults(whole.plan)], []);
      const first = await outputsOf(whole, graph, feeds);
      judge(expected, first, tally);
      const others = otherFeeds(feeds);
      const between = await outputsOf(whole, graph, others);
      const alone = await outputsOf(forward, graph, feeds);
      judge(only(expected, [...alone.keys()]), alone, tally);
      sameBits(first, await outputsOf(whole, graph, feeds), 'run again');
      sameBits(between, await outputsOf(again, graph, others), 'compiled again, other feeds');
      sameBits(first, await outputsOf(again, graph, feeds), 'compiled again');
    } finally {
      for (const program of [forward, whole, again]) program.dispose();
      for (const variable of variables.keys()) variable.dispose();
    }
  });
  await fc.assert(property, { seed, numRuns: runs(160), includeErrorInReport: true });
  console.log(`${tally.judged} tensors judged, ${tally.uncertain} not`);
  tally.settle();
});

/** What is expected of some outputs. */
function only({ values, slack }: Awaited<ReturnType<typeof expectedOf>>, names: readonly string[]) {
  const some = <T>(map: ReadonlyMap<string, T>): Map<string, T> =>
    new Map([...map].filter(([name]) => names.includes(name)));
  return { values: some(values), slack: some(slack) };
}

test.run();
