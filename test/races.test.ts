// Every kernel of the catalogue, in every specialisation that the cases use, through race detection on the CPU: no race,
// no word from the interpreter, and the outputs of the whole planned program equal to float64. Workgroups run one after
// the other, so that only races inside of one are seen; that kernels write each element once is what the outputs show.
// A case is run where it brings a specialisation that no cheaper case has brought.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { opCases } from '../check/cases/index.ts';
import { type Case, drawCase } from '../check/draw.ts';
import { errorOf, KERNEL_LIMIT, wantedOf } from '../check/gradcheck.ts';
import { interpret } from '../check/interpret.ts';
import { at } from '../engine/errors.ts';
import { planProgram, type Plan } from '../engine/plan.ts';
import { kernels } from '../kernels/index.ts';
import { dispatchesOf, invocationsOf, runPlan } from './plan-runner.ts';

interface Job {
  readonly each: Case;
  readonly plan: Plan;
  readonly cost: number;
}

function jobOf(each: Case): Job {
  const outputs = Object.fromEntries(wantedOf(drawCase(each)).map((tensor, i) => [`y${i}`, tensor]));
  const plan = planProgram(outputs, [], { training: each.training ?? false, subgroups: false });
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

test('every kernel of the catalogue is run', () => {
  const names = new Set(chosen.flatMap(({ plan }) => dispatchesOf(plan).map(({ kernel }) => kernel.name)));
  assert.equal(Object.keys(kernels).filter((name) => !names.has(name)), []);
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

test.run();
