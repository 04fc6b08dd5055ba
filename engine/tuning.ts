// Which kernel computes a product on a device: what was measured there (tune.ts), else what is usual on adapters of its kind.
// Candidates give equal bits, so that a choice never changes a result. A tuning is plain data: `tune` makes it, `openDevice`
// takes it, checkpoints may store it.
// Not here: the candidates themselves (product-kernels.ts).

import type { AdapterDescription } from './device.ts';
import { need, OptionError, quote } from './errors.ts';
import { type Candidate, candidates, type Form, liesAlong } from './product-kernels.ts';

/** What is chosen on a device, by class of products. */
export interface Tuning {
  /** The form of this object, so that stored ones are known again. */
  readonly format: 'rimgrad tuning 1';
  /** The adapter that was measured, in its own words. */
  readonly adapter: string;
  /** Whether it is a software adapter: what is usual there is chosen for classes that were not measured. */
  readonly software: boolean;
  /** The name of a candidate for each class of products that was measured; that of '*' for all others that it can compute. */
  readonly choices: Readonly<Record<string, string>>;
}

/** The class of a product: how its operands lie, what masks it, and its sizes in steps of 4. */
export function classOf(form: Form): string {
  const { m, n, k, batches, rows, terms } = form;
  const masked = rows === undefined ? (terms === undefined ? '' : ' terms') : ' rows';
  const step = (size: number): number => 4 ** Math.max(0, Math.round(Math.log(size) / Math.log(4)));
  return `${liesAlong(form)}${masked} ${step(m.size)}x${step(n.size)}x${step(k.size)}, ${step(batches)}`;
}

/** The candidate that computes a product on a device with subgroups of so many lanes (0: none). */
export function chosenFor(form: Form, lanes: number, tuning: Tuning | undefined): Candidate {
  const measured = candidates.get(tuning?.choices[classOf(form)] ?? tuning?.choices['*'] ?? '');
  if (measured?.fits(form, lanes) === true) return measured;
  const preferred = tuning?.software === false ? onGPU(form) : onProcessor(form, lanes);
  // The register tiles that go furthest come last: what is too large for them too is computed in several calls (product.ts).
  const named = [...preferred, small(form.m.size, form.n.size)].map((name) =>
    need(candidates.get(name), `the kernel ${name}`),
  );
  return need(named.find((candidate) => candidate.fits(form, lanes)) ?? named.at(-1), 'a kernel for a product');
}

/** Names of candidates in order of preference, those of register tiles left out. */
function onProcessor({ m, n }: Form, lanes: number): string[] {
  // Every load of a lane costs alike, wherever it lies: tiles that pass a on between lanes load least.
  const wide = m.size >= 8 && n.size > 2 * lanes - 4;
  return wide ? [`vector-subgroup-${m.size > 8 ? 16 : 8}x4`, 'scalar-subgroup-16x4'] : [];
}

function onGPU({ m, n, batches }: Form): string[] {
  // Enough workgroups to fill the device first, then tiles that load little.
  const tiles = (side: number): number => Math.ceil(m.size / side) * Math.ceil(n.size / side) * batches;
  if (Math.min(m.size, n.size) < 16) return [];
  if (Math.min(m.size, n.size) >= 48 && tiles(64) >= 128) return ['shared-64-8-16'];
  return [tiles(32) >= 128 ? 'shared-32-8-32' : 'shared-16-8-32'];
}

/** Register tiles of a size that small products fill. */
function small(m: number, n: number): string {
  return `scalar-${m >= 16 ? 8 : m >= 4 ? 4 : 1}x${n >= 32 ? 8 : 4}`;
}

const FIELDS: readonly string[] = ['format', 'adapter', 'software', 'choices'] satisfies (keyof Tuning)[];

/** @throws OptionError for what is no tuning, or one of an adapter of another kind: software or not */
export function checkTuning(tuning: Tuning, { software }: AdapterDescription): void {
  const refusal = (why: string): OptionError => new OptionError(`openDevice: ${why}; make it anew with tune()`);
  const given: Partial<Record<keyof Tuning, unknown>> | null = tuning;
  if (typeof given !== 'object' || given === null || given.format !== 'rimgrad tuning 1') {
    throw refusal("tuning is not what tune() returns (its format is not 'rimgrad tuning 1')");
  }
  const strange = Object.keys(given).find((key) => !FIELDS.includes(key));
  if (strange !== undefined) throw refusal(`the tuning has an unknown field ${quote(strange)}`);
  const { choices } = given;
  for (const [name, type] of [
    ['adapter', 'string'],
    ['software', 'boolean'],
    ['choices', 'object'],
  ] as const) {
    const value = given[name];
    if (typeof value !== type || value === null || Array.isArray(value)) {
      throw refusal(`the ${name} of the tuning is no ${type} but ${quote(value)}`);
    }
  }
  for (const name of Object.values(choices as object) as unknown[]) {
    if (typeof name !== 'string' || !candidates.has(name)) {
      throw refusal(`the tuning names a kernel ${quote(name)} that this version does not have`);
    }
  }
  if (given.software !== software) {
    const kind = (is: boolean): string => (is ? 'a software adapter' : 'hardware');
    throw refusal(
      `the tuning was measured on ${kind(!software)} (${quote(given.adapter)}), and this is ${kind(software)}`,
    );
  }
}

/** The tuning of an adapter on which nothing was measured. */
export function untuned({ description, device, software }: AdapterDescription): Tuning {
  return { format: 'rimgrad tuning 1', adapter: description || device, software, choices: {} };
}
