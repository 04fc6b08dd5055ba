// The gradient check in Deno (wgpu) and in headless Chromium, on their own devices: every kernel of the catalogue at least once,
// by the cheapest cases that have it, and every case of updates. Of the questions those that a device can answer differently:
// calculus is float64 in JavaScript, the same anywhere. Whole: `npm run gradcheck -- --runtime deno` (or browser).

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkElsewhere } from '../bench/gradcheck-elsewhere.ts';
import { wantedOf } from '../check/gradcheck.ts';
import { allCases, drawCase, updateCases } from '../check/index.ts';
import { dispatchesOf } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import type { Tuning } from '../engine/tuning.ts';
import { kernels } from '../kernels/index.ts';
import { chromiumPath, denoScript, skip } from './runtimes.ts';

/** The kernels of a case, on a device without subgroups, and how many calls it has. */
const planned = [
  ...allCases.map((each) => {
    const choices: Tuning['choices'] = each.candidate === undefined ? {} : { '*': each.candidate };
    const tuning: Tuning = { format: 'rimgrad tuning 1', adapter: '', software: true, choices };
    const outputs = Object.fromEntries(wantedOf(drawCase(each)).map((tensor, i) => [`y${i}`, tensor]));
    const training = each.training ?? false;
    return { name: each.name, plan: planProgram(outputs, [], { training, subgroupSize: 0, tuning }) };
  }),
  ...updateCases.map(({ name, updates }) => ({
    name,
    plan: planProgram({}, updates().updates, { training: true, subgroupSize: 0 }),
  })),
].map(({ name, plan }) => ({ name, kernels: dispatchesOf(plan).map(({ kernel }) => kernel.name) }));

const covered = new Set<string>();
const chosen = new Set(updateCases.map(({ name }) => name));
for (const each of planned.sort((a, b) => a.kernels.length - b.kernels.length)) {
  if (!chosen.has(each.name) && each.kernels.every((kernel) => covered.has(kernel))) continue;
  for (const kernel of each.kernels) covered.add(kernel);
  chosen.add(each.name);
}

test('the chosen cases have every kernel but those of subgroups and replays', () => {
  assert.equal(
    Object.keys(kernels).filter((name) => !covered.has(name) && !name.endsWith('Subgroups')),
    // Only a replay of a step that went wrong takes it.
    ['nonFinite'],
  );
  assert.ok(chosen.size < 80, `${chosen.size} cases are many`);
});

for (const [runtime, there, missing] of [
  ['deno', denoScript(), 'the npm package deno is not installed'],
  ['browser', chromiumPath(), 'no Chromium found; RIMGRAD_CHROMIUM names one'],
] as const) {
  const name = `${runtime}: every kernel and every update as in float64`;
  if (there === undefined) skip(test, name, missing);
  else {
    test(name, async () => {
      const told = { names: [...chosen], questions: ['kernel', 'update'] } as const;
      const { lines } = await checkElsewhere(runtime, told);
      const failed = lines.filter(({ ok }) => !ok).map((line) => `${line.name}: ${line.problem ?? line.worst}`);
      assert.equal(failed, []);
      assert.equal(new Set(lines.map((line) => line.name)), chosen);
    });
  }
}

test.run();
