// Every kernel of the catalogue, in every specialisation that the cases use, through race detection on the CPU: no race,
// no word from the interpreter, and the outputs of the whole planned program equal to float64. Workgroups run one after
// the other, so that only races inside of one are seen; that kernels write each element once is what the outputs show.
// A case is run where it brings a specialisation that no cheaper case has brought; and some whole sequences of a RIM. Memory is
// NaN before it is written (plan-runner.ts): what a kernel leaves undefined may reach no result.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { opCases } from '../check/cases/index.ts';
import { rimCases } from '../check/cases/rims.ts';
import { type Case, drawCase } from '../check/draw.ts';
import { KERNEL_LIMIT, wantedOf } from '../check/gradcheck.ts';
import { interpret } from '../check/interpret.ts';
import { errorOf } from '../check/value.ts';
import { at } from '../engine/errors.ts';
import { constant } from '../engine/ops/leaf.ts';
import { sgd } from '../engine/optimisers.ts';
import { type Dispatch, dispatchesOf, type Plan } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import { assign, type Update } from '../engine/update.ts';
import { variable } from '../engine/variable.ts';
import { type Kernel, kernels, packUniforms } from '../kernels/index.ts';
import { adamRule, rmspropRule, sgdRule, Trial } from './optimiser-trials.ts';
import { invocationsOf, runPlan } from './plan-runner.ts';

interface Job {
  readonly each: Case;
  readonly plan: Plan;
  readonly cost: number;
}

function jobOf(each: Case): Job {
  const outputs = Object.fromEntries(wantedOf(drawCase(each)).map((tensor, i) => [`y${i}`, tensor]));
  const plan = planProgram(outputs, [], { training: each.training ?? false, subgroupSize: 0 });
  return { each, plan, cost: invocationsOf(plan) };
}

const covered = new Set<string>();
const chosen: Job[] = [];
for (const job of opCases.map(jobOf).sort((a, b) => a.cost - b.cost)) {
  const sources = dispatchesOf(job.plan).map(({ source }) => source);
  if (sources.every((source) => covered.has(source))) continue;
  for (const source of sources) covered.add(source);
  chosen.push(job);
}

/** Over several steps what one step left undefined lies before the next. */
const sequences = [
  'paper, LSTM, fused',
  'official, GRU, fused',
  'dido, LSTM, dropout, fused',
  'paper, GRU, dropout, fused',
];
chosen.push(...rimCases.filter(({ name }) => sequences.includes(name.slice('RIM: '.length))).map(jobOf));
assert.is(chosen.filter(({ each }) => each.name.startsWith('RIM: ')).length, sequences.length);

/**
 * The optimisers, with each of their flags on and off, clipped and not, on parameters that share storage and that do not;
 * under a guard but for the second; the first guards an assignment too, the third has two guards.
 */
const rules = [
  ...[sgdRule(0, false, 0.1), sgdRule(0.9, false, 0), sgdRule(0.8, true, 0.1)],
  ...[
    rmspropRule(0.9, 0, false, 0),
    rmspropRule(0.9, 0.5, false, 0.1),
    rmspropRule(0.95, 0, true, 0),
    rmspropRule(0.9, 0.9, true, 0),
  ],
  ...[adamRule(false, [0.9, 0.999], 1e-8, 0.1), adamRule(true, [0.8, 0.99], 1e-6, 0.01)],
].map((rule, i) => {
  const clipNorm = i % 2 === 0 ? 5 : undefined;
  const trial = new Trial(1, rule.state.length, i % 3 === 0);
  const options = { learningRate: 0.01, ...(clipNorm === undefined ? {} : { clipNorm }) };
  const flag = i === 1 ? { guard: false } : {};
  const copied = i === 0 ? [assign(variable('copied', [0], []), at(trial.inputs, 2))] : [];
  const other: readonly Update[] =
    i === 2 ? sgd([[variable('other', [1], [1]), constant([1], [1])]], { learningRate: 1, name: 'other' }) : [];
  const updates = [...rule.make(trial.gradients, { ...options, ...flag }), ...other, ...copied];
  const plan = planProgram({}, updates, { training: true, subgroupSize: 0 });
  return { rule, trial, plan, clipNorm };
});

/** The choices that rows make by shape, beside flags: every value must be run. */
const choices: readonly (readonly [kernel: string, constant: string, values: readonly number[]])[] = [
  ['matmul', 'TILE_M', [1, 4, 8]],
  ['matmul', 'TILE_N', [4, 8]],
  ['rimUpdate', 'TILE_M', [1, 4, 8]],
  ['rimTalk', 'CHUNK', [1, 2]],
  ['rimTalkBackward', 'CHUNK', [1, 2]],
  ['elementwise', 'LAYOUT', [0, 1, 2]],
];

test('every kernel of the catalogue is run, with every value of its flags and tiles', () => {
  const run = [...chosen, ...rules].flatMap(({ plan }) => dispatchesOf(plan));
  // The interpreter knows no subgroups: their variants have no shared memory to race for, and equal the base kernel to
  // the bit (products.test.ts).
  // Products that only GPUs take run in products-races.test.ts; what looks at replays of steps in guard.test.ts.
  const elsewhere = ['matmulVec4', 'matmulShared', 'nonFinite'];
  const portable = Object.keys(kernels).filter((name) => !name.endsWith('Subgroups') && !elsewhere.includes(name));
  const unused = portable.filter((name) => !run.some(({ kernel }) => kernel.name === name));
  assert.equal(unused, []);
  const checked = Object.values<Kernel>(kernels).filter(({ name }) => portable.includes(name));
  const flags = checked.flatMap((kernel) =>
    Object.entries(kernel.constants).flatMap(([flag, { type, value }]) => {
      if (type !== 'bool') return [];
      const values = new Set(
        run.filter((call) => call.kernel.name === kernel.name).map((call) => call.constants[flag] ?? value),
      );
      return values.size === 2 ? [] : [`${kernel.name}.${flag} is only ever ${[...values].join()}`];
    }),
  );
  assert.equal(flags, []);
  for (const [name, constant, values] of choices) {
    const taken = new Set(run.filter(({ kernel }) => kernel.name === name).map(({ constants }) => constants[constant]));
    assert.equal(
      values.filter((value) => !taken.has(value)),
      [],
      `${name}.${constant}`,
    );
  }
});

for (const { each, plan } of chosen) {
  test(`no race: ${each.name}`, async () => {
    const drawn = drawCase(each);
    const { outputs, troubles } = await runPlan(plan, drawn.feeds);
    assert.equal(troubles, []);
    const expected = await interpret(wantedOf(drawn), { feeds: drawn.feeds, training: each.training ?? false });
    [...outputs.values()].forEach((got, i) => {
      const error = errorOf(got, at(expected, i));
      assert.ok(error <= (each.limit ?? KERNEL_LIMIT), `output ${i} is off by ${error} of its largest magnitude`);
    });
  });
}

for (const { rule, trial, plan, clipNorm } of rules) {
  test(`no race: ${rule.name}${clipNorm === undefined ? '' : ', clipped'}`, async () => {
    for (const t of [0, 1]) {
      const feeds = trial.feeds(t);
      const { variables, troubles } = await runPlan(plan, feeds);
      assert.equal(troubles, []);
      for (const [variable, data] of variables) variable.write(data);
      const norm = Math.hypot(...Object.values(feeds).flatMap((values) => [...values]));
      if (clipNorm !== undefined) assert.ok(norm > clipNorm);
      trial.advance(rule, feeds, 0.01, t, clipNorm === undefined ? 1 : clipNorm / (norm + 1e-6));
      await trial.compare(`after step ${t + 1}`);
    }
  });
}

/** A plan of one call of `fill` over 64 elements, its source changed. */
function fillPlan(change: (source: string) => string): Plan {
  const value = { label: 'output', bytes: 256, first: 0, last: 0, slot: 0, variable: undefined };
  const call: Dispatch = {
    label: 'trial',
    kernel: kernels.fill,
    source: change(kernels.fill.source),
    constants: {},
    uniforms: packUniforms(kernels.fill, { count: 64, value: 1 }),
    buffers: [{ binding: 1, write: true, place: { value, offset: 0, step: 0, bytes: 256 } }],
    workgroups: [1, 1, 1],
    operations: 64,
    completes: [],
  };
  const none = { variables: [], changes: [], inputs: [], constants: [], guard: undefined, remarks: [] };
  return { ...none, items: [call], slots: [256], outputs: new Map() };
}

test('a race is found, and so is what the interpreter does not know', async () => {
  const troubles = async (change: (source: string) => string): Promise<string> => {
    const changed = (source: string): string => {
      assert.is.not(change(source), source, 'the source has changed: adapt this test');
      return change(source);
    };
    return (await runPlan(fillPlan(changed), {})).troubles.join('\n');
  };
  assert.is(
    (
      await runPlan(
        fillPlan((source) => source),
        {},
      )
    ).troubles.join(),
    '',
  );
  assert.match(await troubles((source) => source.replace('output[i] =', 'output[i / 2u] =')), /[Rr]ace/);
  assert.match(
    await troubles((source) => source.replace('= u.value;', '= nothingOfTheKind(u.value);')),
    /nothingOfTheKind/,
  );
  assert.match(
    await troubles((source) =>
      source
        .replace('i >= u.count', 'i >= u.count * 0u + 7u')
        .replace('output[i] =', 'workgroupBarrier();\noutput[i] ='),
    ),
    /[Bb]arrier/,
  );
});

test.run();
