// The product kernels that no op takes on an adapter of this kind, through race detection on the CPU with every value of their
// flags: no race, no word from the interpreter, and float64's numbers. The others run in races.test.ts.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at, need } from '../engine/errors.ts';
import { dispatchesOf, type Plan } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import { type Kernel, kernels } from '../kernels/index.ts';
import { runPlan } from './plan-runner.ts';
import { type Form, type ProductTrial, productTrial } from './product-trials.ts';

const small = { g: 2, m: 20, n: 12, k: 8, a: 'k', b: 'n', before: 4, behind: 0, share: 'some' } as const;

const trials: readonly (readonly [candidate: string, form: Form])[] = [
  ['vector-4x4', { ...small, plus: true, masked: 'none' }],
  ['vector-8x8', { ...small, b: 'k', plus: false, masked: 'rows' }],
  ['vector-8x4', { ...small, a: 'm', k: 11, plus: true, masked: 'terms' }],
  ['shared-16-8-32', { ...small, n: 19, plus: true, masked: 'none' }],
  ['shared-16-8-32', { ...small, b: 'k', plus: false, masked: 'rows' }],
  ['shared-32-8-16', { ...small, a: 'm', k: 19, plus: false, masked: 'terms' }],
];

const runs = trials.map(([candidate, form], seed): { name: string; plan: Plan; trial: ProductTrial } => {
  const trial = productTrial(form, seed);
  const plan = planProgram({ y: trial.make(candidate) }, [], { training: false, subgroupSize: 0 });
  return { name: `${candidate}, mask of ${form.masked}`, plan, trial };
});

test('each kernel is run with both values of each of its flags', () => {
  const calls = runs.flatMap(({ plan }) => dispatchesOf(plan));
  for (const kernel of [kernels.matmulVec4, kernels.matmulShared] satisfies Kernel[]) {
    const own = calls.filter((call) => call.kernel.name === kernel.name);
    for (const [flag, { type }] of Object.entries(kernel.constants)) {
      if (type !== 'bool') continue;
      assert.is(new Set(own.map(({ constants }) => constants[flag])).size, 2, `${kernel.name}.${flag}`);
    }
  }
});

for (const { name, plan, trial } of runs) {
  test(`no race: ${name}`, async () => {
    const { outputs, troubles } = await runPlan(plan, trial.feeds);
    assert.equal(troubles, []);
    trial.compare(need(at([...outputs.values()], 0), 'the product'), name, 4e-6);
  });
}

test.run();
