// Random small graphs of ops as training steps: an optimiser of some Variables, one that is carried on, dropout, and gradients
// that are any tensors of the graph. Values and new Variables are those of the float64 interpreter step after step, from what
// the Variables were; three steps from the same start give the same bits again, by the same program and by one that is
// compiled anew; the plan holds. Graphs that only evaluate are in graphs.test.ts. A graph that fails is shrunk and shown.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KERNEL_LIMIT } from '../check/gradcheck.ts';
import { largest } from '../check/value.ts';
import { at, need } from '../engine/errors.ts';
import { assign, compile, type Data, grad, type Program, type Tensor, type Update, Variable } from '../engine/node.ts';
import { normalArray } from '../engine/random.ts';
import { runs, seed } from './drawing.ts';
import { build, type DrawnGraph, graphs, otherFeeds } from './graph-draw.ts';
import { AMPLIFIED, type Expected, expectedOf, judge, Tally, UNCERTAIN } from './graph-judge.ts';
import { resized } from './graph-ops.ts';
import { type Feeds, type Named, outputsOf, reset, sameBits, valuesOf } from './graph-run.ts';
import { onAdapter, theDevice } from './on-adapter.ts';
import { adamRule, type Rule, sgdRule } from './optimiser-trials.ts';
import { faults } from './plan-replay.ts';

onAdapter(test);

const RATE = 0.05;

/** A large epsilon: where gradients are near 0, the step of Adam is their sign otherwise, which rounding decides. */
const rules: readonly Rule[] = [
  sgdRule(0, false, 0),
  sgdRule(0.9, true, 0.01),
  adamRule(false, [0.9, 0.99], 0.1, 0),
  adamRule(true, [0.8, 0.9], 0.1, 0.1),
];

interface Training {
  readonly graph: DrawnGraph;
  readonly rule: number;
  readonly clip: boolean;
  /** What v is set to, from 21 on a part of w; else the optimiser has it. */
  readonly carried: number | null;
  /** Whether v is set before the optimiser updates. */
  readonly before: boolean;
  /** Further parameters: tensors of the graph that are taken for their gradients. */
  readonly learned: readonly number[];
}

const operand = fc.oneof(fc.nat(3), fc.nat(20));
const training: fc.Arbitrary<Training> = fc.record({
  graph: graphs,
  rule: fc.nat(rules.length - 1),
  clip: fc.boolean(),
  carried: fc.option(fc.oneof({ weight: 3, arbitrary: operand }, { weight: 1, arbitrary: fc.constant(21) })),
  before: fc.boolean(),
  learned: fc.array(operand, { maxLength: 4 }),
});

/** A training step, and what it is judged by. */
interface Made {
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly updates: readonly Update[];
  readonly rule: Rule;
  readonly clipNorm: number | undefined;
  /** What is learned, with the tensor that is its gradient; and what is carried on, with its next value. */
  readonly learned: readonly (readonly [Variable, Tensor])[];
  readonly carried: readonly (readonly [Variable, Tensor])[];
  readonly feeds: Feeds;
  /** Every Variable with its first value. */
  readonly start: ReadonlyMap<Variable, Data>;
}

async function make({ graph: drawn, rule: number, clip, carried, before, learned }: Training): Promise<Made> {
  const graph = build(drawn);
  const [w, v] = [...graph.variables.keys()];
  const rule = at(rules, number);
  const pick = (i: number): Tensor => at(graph.newest, i % graph.newest.length);
  const gradients = grad(graph.loss, [need(w, 'w'), need(v, 'v')]);
  const pairs: [Variable, Tensor][] = [[need(w, 'w'), gradients.of(need(w, 'w'))]];
  if (carried === null) pairs.push([need(v, 'v'), gradients.of(need(v, 'v'))]);
  learned.map(pick).forEach((gradient, i) => {
    const start = normalArray(gradient.size, { seed: drawn.numbers, stream: 200 + i });
    if (gradient.dtype === 'f32') pairs.push([new Variable(`p${i}`, gradient.shape, start), gradient]);
  });
  const next: [Variable, Tensor][] =
    carried === null ? [] : [[need(v, 'v'), resized(carried > 20 ? need(w, 'w') : pick(carried), [need(v, 'v').size])]];
  const clipNorm = clip ? 0.5 : undefined;
  const optimiser = rule.make(pairs, { learningRate: RATE, ...(clipNorm === undefined ? {} : { clipNorm }) });
  const assigned = next.map(([variable, value]) => assign(variable, value));
  return {
    outputs: graph.outputs,
    updates: before ? [...assigned, ...optimiser] : [...optimiser, ...assigned],
    rule,
    clipNorm,
    learned: pairs,
    carried: next,
    feeds: graph.feeds,
    start: new Map([
      ...(await valuesOf([...pairs.map(([variable]) => variable), ...optimiser.variables])),
      ...graph.variables,
    ]),
  };
}

/** Three steps from the start, two of them fed alike: the outputs of each, and the Variables after it. */
async function threeSteps(program: Program, { feeds, start }: Made): Promise<[Named, ReadonlyMap<Variable, Data>][]> {
  reset(start);
  const steps: [Named, ReadonlyMap<Variable, Data>][] = [];
  for (const fed of [feeds, otherFeeds(feeds), feeds]) {
    steps.push([await outputsOf(program, fed), await valuesOf(start.keys())]);
  }
  return steps;
}

/** What is expected of a step from values of the Variables: by outputs, gradients of what is learned, and what is carried. */
function expectedStep(made: Made, feeds: Feeds, variables: ReadonlyMap<Variable, Data>): Promise<Expected> {
  const named = (prefix: string, pairs: Made['learned']): [string, Tensor][] =>
    pairs.map(([, tensor], i) => [`${prefix}${i}`, tensor]);
  const wanted = { ...made.outputs, ...Object.fromEntries([...named('g', made.learned), ...named('c', made.carried)]) };
  return expectedOf(wanted, { feeds, variables, training: true });
}

/** The parameters after the first step are those of the rule in float64, as far as their gradients are certain. */
function judgeFirst(made: Made, expected: Expected, after: ReadonlyMap<Variable, Data>, tally: Tally): void {
  const { rule, clipNorm } = made;
  const gradients = made.learned.map((_, i) => need(expected.values.get(`g${i}`), 'a gradient').data);
  const norm = Math.hypot(...gradients.map((each) => Math.hypot(...each)));
  const scale = clipNorm === undefined ? 1 : Math.min(1, clipNorm / (norm + 1e-6));
  const slack = Math.max(...made.learned.map((_, i) => need(expected.slack.get(`g${i}`), 'a slack')));
  made.learned.forEach(([variable], i) => {
    if (!(slack <= UNCERTAIN)) {
      tally.uncertain += 1;
      return;
    }
    tally.judged += 1;
    const g = at(gradients, i);
    const [before, got] = [need(made.start.get(variable), 'a start'), need(after.get(variable), 'a value')];
    const stepped = (k: number, by: number): number =>
      rule.step(
        at(before, k),
        scale * (at(g, k) + by),
        rule.state.map(() => 0),
        { rate: RATE, t: 0 },
      );
    const error = (KERNEL_LIMIT + AMPLIFIED * slack) * Math.max(0.05, ...gradients.map(largest));
    got.forEach((value: number, k: number) => {
      const wanted = stepped(k, 0);
      const free = Math.max(...[-error, error].map((by) => Math.abs(stepped(k, by) - wanted)));
      const off = Math.abs(value - wanted);
      const limit = KERNEL_LIMIT * Math.max(0.05, Math.abs(wanted)) + 2 * free;
      if (!(off <= limit)) {
        assert.unreachable(`${variable.name}, element ${k}, is ${value} after a step of ${rule.name}, not ${wanted}`);
      }
    });
  });
}

test('graphs that train: values and Variables, steps again and compiled again', async () => {
  const tally = new Tally();
  const property = fc.asyncProperty(training, async (drawn) => {
    const made = await make(drawn);
    const { outputs, updates, feeds, start, carried } = made;
    const program = await compile(theDevice(), outputs, updates);
    const again = await compile(theDevice(), outputs, updates);
    try {
      assert.equal(faults(program.plan), []);
      const steps = await threeSteps(program, made);
      for (const [i, fed] of [feeds, otherFeeds(feeds)].entries()) {
        const before = i === 0 ? start : at(steps, i - 1)[1];
        const [values, after] = at(steps, i);
        const expected = await expectedStep(made, fed, before);
        judge(expected, values, tally);
        judge(
          expected,
          new Map(carried.map(([variable], k) => [`c${k}`, need(after.get(variable), 'a value')])),
          tally,
        );
        if (i === 0) judgeFirst(made, expected, after, tally);
      }
      for (const [what, each] of [
        ['again', program],
        ['compiled again', again],
      ] as const) {
        (await threeSteps(each, made)).forEach(([values, after], i) => {
          sameBits(at(steps, i)[0], values, `step ${i} ${what}`);
          sameBits(at(steps, i)[1], after, `step ${i} ${what}`);
        });
      }
    } finally {
      program.dispose();
      again.dispose();
      for (const variable of start.keys()) variable.dispose();
    }
  });
  await fc.assert(property, { seed, numRuns: runs(200), includeErrorInReport: true });
  tally.settle();
});

test.run();
