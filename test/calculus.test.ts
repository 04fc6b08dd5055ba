// Calculus on the CPU: the backward of every op, evaluated in float64, against central differences; and the demand that
// no row of the op table goes without a meaning and a case. No device is used: what kernels compute is tested elsewhere.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CALCULUS_LIMIT, checkCalculus } from '../check/calculus.ts';
import { allCases, opCases } from '../check/cases/index.ts';
import { drawCase } from '../check/draw.ts';
import { calculusError } from '../check/gradcheck.ts';
import { interpret, nodesOf } from '../check/interpret.ts';
import { meanings } from '../check/meanings/index.ts';
import { grad } from '../engine/grad.ts';
import { mul, square, tanh } from '../engine/ops/elementwise.ts';
import { opTable } from '../engine/ops/index.ts';
import { input } from '../engine/ops/leaf.ts';
import { sum } from '../engine/ops/reduce.ts';
import { scanOf } from '../engine/scan.ts';
import type { Node, Tensor } from '../engine/tensor.ts';
import { rimOps } from '../rims/ops.ts';

/** Every row there is: the engine's and the fused ones of RIMs. */
const rows = [...opTable, ...rimOps];

/** The names of the ops of a graph, those in the bodies of its scans among them. */
function opNames(tensors: readonly Tensor[]): string[] {
  return nodesOf(tensors).flatMap((node: Node) => [
    node.op.name,
    ...(scanOf(node)?.body.map((inner) => inner.op.name) ?? []),
  ]);
}

test('every row of the op table has a name of its own and a float64 meaning', () => {
  const names = rows.map((op) => op.name);
  assert.equal(
    names.filter((name, i) => names.indexOf(name) !== i),
    [],
  );
  assert.equal(
    names.filter((name) => !Object.hasOwn(meanings, name)),
    [],
  );
  assert.equal(
    Object.keys(meanings).filter((name) => !names.includes(name)),
    [],
    'a meaning of an op that is not there',
  );
});

test('every row of the op table stands in a case, in its forward or its gradient', () => {
  const covered = new Set<string>();
  for (const each of opCases) {
    const { outputs, loss, wrt } = drawCase(each);
    const gradients = grad(loss, wrt);
    for (const name of opNames([...outputs, ...wrt.map((t) => gradients.of(t))])) covered.add(name);
  }
  assert.equal(
    rows.map((op) => op.name).filter((name) => !covered.has(name)),
    [],
  );
});

for (const each of allCases.filter(({ blocked }) => blocked !== true)) {
  test(`gradient: ${each.name}`, async () => {
    const worst = await calculusError(each);
    assert.ok(worst <= CALCULUS_LIMIT, `off by ${worst} of the largest gradient`);
  });
}

test('a wrong gradient is found', async () => {
  const x = input('x', [4]);
  const feeds = { x: [0.1, 0.7, -1.2, 0.4] };
  // Right in value, wrong in slope: the factor tanh(x) is held where it should not be.
  const factor = tanh(x);
  const loss = sum(mul(factor, square(x)));
  const [right] = await checkCalculus(loss, [x], { feeds });
  const [wrong] = await checkCalculus(loss, [x], { feeds, held: [factor] });
  assert.ok(right !== undefined && right.worst < CALCULUS_LIMIT);
  assert.ok(wrong !== undefined && wrong.worst > 0.01);
});

test('the interpreter refuses an input that is not fed', async () => {
  try {
    await interpret([square(input('angle', [2]))]);
    assert.unreachable();
  } catch (error) {
    assert.match(String(error), /FeedError: check: the input 'angle' was not fed/);
  }
});

test.run();
