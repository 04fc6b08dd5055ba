// Planted missing barriers: from a copy of every kernel that race detection on the CPU can run, each barrier in turn is taken out;
// the detection must then tell of a race, and of none where nothing is taken out. A barrier whose loss it could not see would be
// one that nobody needs, or one that these calls do not put to the test: either fails here. Only the call of the kernel is run, on
// memory that is NaN but for what is fed: where its invocations write and read does not hang on values.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { drawCase } from '../check/draw.ts';
import { wantedOf } from '../check/gradcheck.ts';
import { need } from '../engine/errors.ts';
import { applyOne } from '../engine/op.ts';
import { input } from '../engine/ops/leaf.ts';
import { type Dispatch, dispatchesOf, type Plan } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import type { Data } from '../engine/variable.ts';
import { type Kernel, kernels } from '../kernels/index.ts';
import { lookOp } from './look-op.ts';
import { runPlan } from './plan-runner.ts';
import { caseNamed } from './planted.ts';
import { productTrial } from './product-trials.ts';

const BARRIER = 'workgroupBarrier();';

interface Subject {
  readonly plan: Plan;
  readonly feeds: Readonly<Record<string, Data>>;
}

/** The plan of a case of the gradient check, forward and backward. */
function ofCase(name: string): Subject {
  const each = caseNamed(name);
  if ('updates' in each) {
    const run = each.updates();
    const plan = planProgram({}, run.updates, { training: true, subgroupSize: 0 });
    return { plan, feeds: run.feeds(0) as Readonly<Record<string, Data>> };
  }
  const drawn = drawCase(each);
  const outputs = Object.fromEntries(wantedOf(drawn).map((tensor, i) => [`y${i}`, tensor]));
  return { plan: planProgram(outputs, [], { training: each.training ?? false, subgroupSize: 0 }), feeds: drawn.feeds };
}

/** Two products over the terms of a mask, in workgroup memory: more terms than one tile holds, once its depth is cut to SHORT. */
function ofProduct(): Subject {
  const small = { g: 2, m: 20, n: 19, k: 9, a: 'm', b: 'n', before: 4, behind: 0, share: 'all' } as const;
  const trial = productTrial({ ...small, plus: false, masked: 'terms' }, 1);
  return {
    plan: planProgram({ y: trial.make('shared-16-8-32') }, [], { training: false, subgroupSize: 0 }),
    feeds: trial.feeds,
  };
}

/** A look at a tensor of more elements than lanes. */
function ofLook(): Subject {
  const looked = applyOne(lookOp, [input('x', [700])], {});
  const plan = planProgram({ looked }, [], { training: false, subgroupSize: 0 });
  return { plan, feeds: { x: new Float32Array(700) } };
}

/** What puts each kernel that has barriers to the test: more than one piece, module, or list of what its workgroups share. */
const subjects: Readonly<Record<string, () => Subject>> = {
  conv2dWeight: () => ofCase('conv2d: one place'),
  crossEntropy: () => ofCase('crossEntropy: long rows'),
  cumulative: () => ofCase('cumulativeSum: long rows'),
  guard: () => ofCase('update: sgd, many parameters'),
  layerNorm: () => ofCase('layerNorm: long rows, plain'),
  layerNormBackward: () => ofCase('layerNorm: long rows, plain'),
  matmulShared: ofProduct,
  nonFinite: ofLook,
  normParts: () => ofCase('clipByGlobalNorm: a bound that acts'),
  normTotal: () => ofCase('clipByGlobalNorm: a bound that acts'),
  productTerms: ofProduct,
  reduce: () => ofCase('sum: a workgroup a run'),
  rimGru: () => ofCase('rimStep: gru, kept'),
  rimGruBackward: () => ofCase('rimStep: gru, one module'),
  rimLstm: () => ofCase('rimStep: lstm, kept'),
  rimLstmBackward: () => ofCase('rimStep: lstm, one module'),
  rimTalkBackward: () => ofCase('rimStep: gru, kept'),
  softmax: () => ofCase('softmax: long rows'),
  softmaxBackward: () => ofCase('softmax: long rows'),
};

/** Kernels that the interpreter cannot run, by name: they `enable` what it does not know, and have no barrier to take out. */
const unknown: readonly string[] = ['matmulSubgroups', 'matmulVec4Subgroups'];

/**
 * Calls that walk over batches or lists in one workgroup, as where there are more of them than workgroups. How far they walk is in
 * a list that the calls before make, which are run too.
 */
const walked: readonly string[] = ['matmulShared', 'productTerms'];

const SHORT = 'const DEPTH: u32 = 4;';

/** A call of one workgroup, by other text: a race is between invocations of one. */
function alone(call: Dispatch, source: string): Dispatch {
  return { ...call, source, workgroups: [1, 1, 1] };
}

test('every kernel with a barrier is put to the test, and none that has gone', () => {
  const all = Object.values<Kernel>(kernels);
  const withBarriers = all.filter(({ source }) => source.includes(BARRIER)).map(({ name }) => name);
  assert.equal(withBarriers.sort(), Object.keys(subjects).sort());
  assert.equal(
    all.filter(({ source }) => /^enable /m.test(source)).map(({ name }) => name),
    unknown,
  );
  // Another kind of barrier would need planting of its own.
  assert.equal(
    all
      .filter(({ source }) => /storageBarrier|workgroupUniformLoad|textureBarrier/.test(source))
      .map(({ name }) => name),
    [],
  );
});

for (const [name, subject] of Object.entries(subjects)) {
  const count =
    need(
      Object.values<Kernel>(kernels).find((kernel) => kernel.name === name),
      name,
    ).source.split(BARRIER).length - 1;
  test(`${name}: each of its ${count} barriers is missed`, async () => {
    const { plan, feeds } = subject();
    const call = need(
      dispatchesOf(plan).find(({ kernel, constants }) => kernel.name === name && constants.COOPERATE !== false),
      `a call of ${name}`,
    );
    const before = walked.includes(name) ? plan.items.slice(0, plan.items.indexOf(call)) : [];
    const troubles = async (source: string): Promise<string> =>
      (await runPlan({ ...plan, items: [...before, alone(call, source)] }, feeds)).troubles.join('\n');
    const whole = call.source.replace('const DEPTH: u32 = 32;', SHORT);
    assert.is(await troubles(whole), '');
    const parts = whole.split(BARRIER);
    assert.is(parts.length - 1, count);
    const unseen: number[] = [];
    for (let i = 1; i <= count; i++) {
      const found = await troubles(parts.slice(0, i).join(BARRIER) + parts.slice(i).join(BARRIER));
      if (!/[Rr]ace/.test(found)) unseen.push(i);
    }
    assert.equal(unseen, [], 'barriers without which there is no race');
  });
}

test.run();
