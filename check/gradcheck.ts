// The gradient check that a user can run on their own device. For every case two questions, a line each:
// - kernel: do the device's kernels compute, forward and backward, what the float64 interpreter computes?
// - calculus: is the backward the derivative of the forward, by central differences in float64?
// Together they tell that a gradient from this very device is right. The cases are those of cases/, or any others.

import type { Device } from '../engine/device.ts';
import { at, checkOptions } from '../engine/errors.ts';
import { grad } from '../engine/grad.ts';
import { compile } from '../engine/program.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { Data } from '../engine/variable.ts';
import { CALCULUS_LIMIT, checkCalculus, largest, worse } from './calculus.ts';
import { allCases } from './cases/index.ts';
import { type Case, type DrawnCase, drawCase } from './draw.ts';
import { interpret } from './interpret.ts';
import type { Value } from './value.ts';

/** Largest error of a kernel, relative to the largest magnitude of a tensor, where a case names no other. */
export const KERNEL_LIMIT = 1e-5;

/** One finding of the check. */
export interface GradientCheckLine {
  /** The case. */
  readonly name: string;
  readonly what: 'kernel' | 'calculus';
  /** The worst error, relative to the largest magnitude of the tensor that it was found in. */
  readonly worst: number;
  readonly limit: number;
  readonly ok: boolean;
  /** Where the case could not be run at all: why. */
  readonly problem?: string;
}

/** What to check. */
export interface GradientCheckOptions {
  /** Only cases whose name contains this. */
  readonly filter?: string;
  /** Other cases than those of the library. */
  readonly cases?: readonly Case[];
  /** Seed of the drawn numbers; 1 by default. */
  readonly seed?: number;
  /** Called with each line as it is found. */
  readonly onLine?: (line: GradientCheckLine) => void;
}

/** All findings; `ok` where every line is, and there is one. */
export interface GradientCheckResult {
  readonly lines: readonly GradientCheckLine[];
  readonly ok: boolean;
}

/**
 * Checks every op, and whatever other cases there are, on a device.
 * @throws DeviceError where the device is lost
 */
export async function gradientCheck(device: Device, options: GradientCheckOptions = {}): Promise<GradientCheckResult> {
  checkOptions('gradientCheck', options, ['filter', 'cases', 'seed', 'onLine']);
  const lines: GradientCheckLine[] = [];
  const note = async (
    name: string,
    what: 'kernel' | 'calculus',
    limit: number,
    check: () => Promise<number>,
  ): Promise<void> => {
    let line: GradientCheckLine;
    try {
      const worst = await check();
      line = { name, what, worst, limit, ok: worst <= limit };
    } catch (error) {
      device.check();
      const problem = error instanceof Error ? error.message : String(error);
      line = { name, what, worst: Number.NaN, limit, ok: false, problem };
    }
    lines.push(line);
    options.onLine?.(line);
  };
  for (const each of options.cases ?? allCases) {
    if (!each.name.includes(options.filter ?? '')) continue;
    await note(each.name, 'kernel', each.limit ?? KERNEL_LIMIT, () => kernelError(device, each, options.seed));
    if (each.blocked === true) continue;
    await note(each.name, 'calculus', CALCULUS_LIMIT, () => calculusError(each, options.seed));
  }
  return { lines, ok: lines.length > 0 && lines.every((line) => line.ok) };
}

/** The worst error of the device's kernels in a case: of its outputs and of every gradient. */
export async function kernelError(device: Device, each: Case, seed?: number): Promise<number> {
  const training = each.training ?? false;
  // Twice: a program without gradients keeps less, and so plans its memory otherwise.
  const errors = [(drawn: DrawnCase) => drawn.outputs, wantedOf].map(async (part) => {
    const drawn = drawCase(each, seed);
    const wanted = part(drawn);
    const meant = part(each.expected === undefined ? drawn : drawCase({ ...each, graph: each.expected }, seed));
    const expected = await interpret(meant, { feeds: drawn.feeds, training });
    const got = await run(device, wanted, drawn.feeds, training);
    return got.map((data, i) => errorOf(data, at(expected, i))).reduce(worse, 0);
  });
  return (await Promise.all(errors)).reduce(worse, 0);
}

/** The worst error of the gradients of a case against central differences. */
export async function calculusError(each: Case, seed?: number): Promise<number> {
  const { loss, wrt, feeds, held } = drawCase(each, seed);
  const { training = false, probes = 64 } = each;
  const results = await checkCalculus(loss, wrt, { feeds, held, training, probes });
  return results.map(({ worst }) => worst).reduce(worse, 0);
}

/** What a case computes: its outputs, then the gradients of its inputs. */
export function wantedOf({ outputs, loss, wrt }: DrawnCase): readonly Tensor[] {
  if (wrt.length === 0) return outputs;
  const gradients = grad(loss, wrt);
  return [...outputs, ...wrt.map((tensor) => gradients.of(tensor))];
}

/**
 * The largest difference between a tensor of the device and its float64 value, relative to the largest magnitude of the
 * tensor, but at least to 0.05: numbers are drawn at size 1, and where a handful of such terms cancel, what is left keeps
 * the f32 rounding of the terms, 6e-8 each, which no kernel can help. u32 tensors must be equal.
 */
export function errorOf(got: Data, expected: Value): number {
  if (got.length !== expected.data.length) return Number.NaN;
  const exact = expected.data instanceof Uint32Array;
  const scale = Math.max(0.05, largest(expected.data));
  let most = 0;
  expected.data.forEach((x: number, i: number) => {
    const y = at(got, i);
    const error = x === y ? 0 : Math.abs(y - x) / scale;
    most = worse(most, exact && error > 0 ? Number.POSITIVE_INFINITY : error);
  });
  return most;
}

async function run(
  device: Device,
  wanted: readonly Tensor[],
  feeds: Readonly<Record<string, Data>>,
  training: boolean,
): Promise<Data[]> {
  const names = wanted.map((_, i) => `y${i}`);
  const outputs = Object.fromEntries(names.map((name, i) => [name, at(wanted, i)]));
  const program = await compile(device, outputs, [], { mode: training ? 'train' : 'evaluate' });
  try {
    // An input that nothing wanted depends on is no input of the program.
    const used = new Set(
      program.plan.inputs.map(({ tensor }) => (tensor.node.attrs as { readonly name: string }).name),
    );
    await program.run(Object.fromEntries(Object.entries(feeds).filter(([name]) => used.has(name))));
    const values: Data[] = [];
    for (const name of names) values.push(await program.read(name));
    return values;
  } finally {
    program.dispose();
    for (const variable of program.plan.variables) variable.dispose();
  }
}
