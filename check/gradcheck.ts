// The gradient check that a user can run on their own device. For every case of a graph two questions, a line each:
// - kernel: do the device's kernels compute, forward and backward, what the float64 interpreter computes?
// - calculus: is the backward the derivative of the forward, by central differences in float64?
// and for every case of updates one: update, does each of several steps leave what a float64 host computes (update-check.ts)?
// Together they tell that training on this very device is right. The cases are those of cases/, or any others.

import type { Device } from '../engine/device.ts';
import { at, checkOptions } from '../engine/errors.ts';
import { grad } from '../engine/grad.ts';
import { compile, type Program } from '../engine/program.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { Data } from '../engine/variable.ts';
import { CALCULUS_LIMIT, checkCalculus } from './calculus.ts';
import { allCases, updateCases } from './cases/index.ts';
import { type Case, type DrawnCase, drawCase } from './draw.ts';
import { interpret } from './interpret.ts';
import { type UpdateCase, updateError } from './update-check.ts';
import { errorOf, worse } from './value.ts';

/** Largest error of a kernel, relative to the largest magnitude of a tensor, where a case names no other. */
export const KERNEL_LIMIT = 1e-5;

/** What is asked of a case. */
export type GradientCheckQuestion = 'kernel' | 'calculus' | 'update';

/** One finding of the check. */
export interface GradientCheckLine {
  /** The case. */
  readonly name: string;
  /** Which question was asked of it. */
  readonly what: GradientCheckQuestion;
  /** The worst error, relative to the largest magnitude of the tensor that it was found in. */
  readonly worst: number;
  /** The largest error that passes. */
  readonly limit: number;
  /** Whether it passed. */
  readonly ok: boolean;
  /** Where the case could not be run at all: why. */
  readonly problem?: string;
}

/** What to check. */
export interface GradientCheckOptions {
  /** Only cases whose name contains this. */
  readonly filter?: string;
  /** Other cases than those of the library. */
  readonly cases?: readonly (Case | UpdateCase)[];
  /** Only these questions; all by default. */
  readonly questions?: readonly GradientCheckQuestion[];
  /** Seed of the drawn numbers; 1 by default. */
  readonly seed?: number;
  /** Called with each line as it is found. */
  readonly onLine?: (line: GradientCheckLine) => void;
}

/** All findings; `ok` where every line is, and there is one. */
export interface GradientCheckResult {
  /** One for each case and question, in the order asked. */
  readonly lines: readonly GradientCheckLine[];
  /** True where all passed, and there is one. */
  readonly ok: boolean;
}

/**
 * Checks every op, the RIM in each preset, optimisers, and whatever other cases there are, on a device. What it finds is
 * data; `formatGradientCheck` makes a table of it.
 * @throws DeviceError where the device is lost
 */
export async function gradientCheck(device: Device, options: GradientCheckOptions = {}): Promise<GradientCheckResult> {
  checkOptions('gradientCheck', options, ['filter', 'cases', 'questions', 'seed', 'onLine']);
  const { filter = '', cases = [...allCases, ...updateCases], questions = ['kernel', 'calculus', 'update'] } = options;
  const lines: GradientCheckLine[] = [];
  const note = async (
    name: string,
    what: GradientCheckQuestion,
    limit: number,
    check: () => Promise<number>,
  ): Promise<void> => {
    if (!questions.includes(what)) return;
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
  for (const each of cases) {
    if (!each.name.includes(filter)) continue;
    if ('updates' in each) {
      await note(each.name, 'update', each.limit ?? KERNEL_LIMIT, () => updateError(device, each));
      continue;
    }
    await note(each.name, 'kernel', each.limit ?? KERNEL_LIMIT, () => kernelError(device, each, options.seed));
    if (each.blocked === true) continue;
    await note(each.name, 'calculus', CALCULUS_LIMIT, () => calculusError(each, options.seed));
  }
  return { lines, ok: lines.length > 0 && lines.every((line) => line.ok) };
}

/** The worst error of the device's kernels in a case: of its outputs and of every gradient. */
export async function kernelError(device: Device, each: Case, seed?: number): Promise<number> {
  const { training = false, meanings = {} } = each;
  // Twice: a program without gradients keeps less, and so plans its memory otherwise.
  const errors = [(drawn: DrawnCase) => drawn.outputs, wantedOf].map(async (part) => {
    const drawn = drawCase(each, seed);
    const wanted = part(drawn);
    const meant = part(each.expected === undefined ? drawn : drawCase({ ...each, graph: each.expected }, seed));
    const expected = await interpret(meant, { feeds: drawn.feeds, training, meanings });
    const got = await run(device, wanted, drawn.feeds, each);
    return got.map((data, i) => errorOf(data, at(expected, i))).reduce(worse, 0);
  });
  return (await Promise.all(errors)).reduce(worse, 0);
}

/** The worst error of the gradients of a case against central differences. */
export async function calculusError(each: Case, seed?: number): Promise<number> {
  const { loss, wrt, feeds, held } = drawCase(each, seed);
  const { training = false, probes = 64, meanings = {} } = each;
  const results = await checkCalculus(loss, wrt, { feeds, held, training, probes, meanings });
  return results.map(({ worst }) => worst).reduce(worse, 0);
}

/** What a case computes: its outputs, then the gradients of its inputs. */
export function wantedOf({ outputs, loss, wrt }: DrawnCase): readonly Tensor[] {
  if (wrt.length === 0) return outputs;
  const gradients = grad(loss, wrt);
  return [...outputs, ...wrt.map((tensor) => gradients.of(tensor))];
}

async function run(
  device: Device,
  wanted: readonly Tensor[],
  feeds: Readonly<Record<string, Data>>,
  { training = false, candidate }: Case,
): Promise<Data[]> {
  const names = wanted.map((_, i) => `y${i}`);
  const outputs = Object.fromEntries(names.map((name, i) => [name, at(wanted, i)]));
  const tuning = { ...device.tuning, choices: candidate === undefined ? device.tuning.choices : { '*': candidate } };
  const program = await compile(device, outputs, [], { mode: training ? 'train' : 'evaluate', tuning });
  try {
    // An input that nothing wanted depends on is no input of the program.
    const used = new Set(
      program.plan.inputs.map(({ tensor }) => (tensor.node.attrs as { readonly name: string }).name),
    );
    await program.run(Object.fromEntries(Object.entries(feeds).filter(([name]) => used.has(name))));
    return await readTogether(program, names);
  } finally {
    program.dispose();
    for (const variable of program.plan.variables) variable.dispose();
  }
}

/** Some outputs, all asked for before any is waited for: some runtimes take long to give back what is read. */
function readTogether(program: Program, names: readonly string[]): Promise<Data[]> {
  return Promise.all(names.map((name) => program.read(name)));
}
