// Running random graphs on a device: what a program gives after a run from given values of the Variables, what is wanted of
// a graph, and that two runs gave the same bits. What it should give is in graph-judge.ts. It tests nothing itself.

import * as assert from 'uvu/assert';
import { at, need } from '../engine/errors.ts';
import { type Data, grad, type Program, type Tensor, type Variable } from '../engine/node.ts';
import { inputOf } from '../engine/ops/leaf.ts';
import type { BuiltGraph } from './graph-draw.ts';
import { bits } from './on-adapter.ts';

/** Values by name. */
export type Named = ReadonlyMap<string, Data>;

/** Elements of inputs by name, of more inputs it may be than a program has. */
export type Feeds = Readonly<Record<string, Data>>;

/** The outputs and all gradients of a graph. */
export function wantedOf({ outputs, loss, wrt }: BuiltGraph): Record<string, Tensor> {
  const gradients = grad(loss, wrt);
  return { ...outputs, ...Object.fromEntries(wrt.map((tensor, i) => [`d${i}`, gradients.of(tensor)])) };
}

/** Gives Variables their values. */
export function reset(values: ReadonlyMap<Variable, Data>): void {
  for (const [variable, data] of values) variable.write(data);
}

/** The outputs of a program after one more run. */
export async function outputsOf(program: Program, feeds: Feeds): Promise<Named> {
  const own = program.plan.inputs.map(({ tensor }) => need(inputOf(tensor), 'an input').name);
  await program.run(Object.fromEntries(own.map((name) => [name, need(feeds[name], name)])));
  const names = [...program.plan.outputs.keys()];
  const values = await Promise.all(names.map((name) => program.read(name)));
  return new Map(names.map((name, i) => [name, at(values, i)]));
}

/** The present values of Variables. */
export async function valuesOf(variables: Iterable<Variable>): Promise<Map<Variable, Data>> {
  const all = [...variables];
  const values = await Promise.all(all.map((variable) => variable.read()));
  return new Map(all.map((variable, i) => [variable, at(values, i)]));
}

/** Values of two runs are the same to the bit. */
export function sameBits<K extends string | Variable>(
  one: ReadonlyMap<K, Data>,
  other: ReadonlyMap<K, Data>,
  what: string,
): void {
  assert.is(other.size, one.size);
  for (const [key, data] of one) {
    const name = typeof key === 'string' ? key : key.name;
    assert.equal(bits(need(other.get(key), name)), bits(data), `${what}: ${name} has other bits`);
  }
}
