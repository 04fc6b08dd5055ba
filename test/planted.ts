// Planting faults: a device on which one kernel is compiled from changed text, or bound a little wrong, and rows of the op table
// whose rules are replaced for a while. Whoever plants must know that the fault was there: text must match exactly once, the
// changed pipeline must have been asked for, a replaced rule called. It tests nothing itself.

import * as assert from 'uvu/assert';
import {
  allCases,
  type Case,
  type GradientCheckResult,
  gradientCheck,
  type UpdateCase,
  updateCases,
} from '../check/index.ts';
import { Device } from '../engine/device.ts';
import { need } from '../engine/errors.ts';
import type { Op } from '../engine/op.ts';
import type { CompiledKernel } from '../engine/pipelines.ts';
import { type Kernel, kernels } from '../kernels/index.ts';

/** A fault in the text of a kernel. */
export interface KernelFault {
  readonly kernel: keyof typeof kernels;
  /** What is wrong then. */
  readonly what: string;
  /** Text of the kernel, which stands in it once. */
  readonly find: string;
  readonly put: string;
  /** Names of the cases that must find it. */
  readonly cases: readonly string[];
}

/** A fault in a rule of a row: its `backward`, or its `plan`. */
export interface RowFault {
  readonly op: Op;
  readonly what: string;
  /** The changed row, from the right one. */
  readonly wrong: (right: Op) => Partial<Pick<Op, 'backward' | 'plan'>>;
  readonly cases: readonly string[];
}

/** A case of the library by its name. */
export function caseNamed(name: string): Case | UpdateCase {
  const every: readonly (Case | UpdateCase)[] = [...allCases, ...updateCases];
  return need(
    every.find((each) => each.name === name),
    `the case '${name}'`,
  );
}

/** Text in which what stood there once is replaced. Lines are found without their indentation, as kernels are shipped. */
export function replacedOnce(source: string, indented: string, put: string, where: string): string {
  const find = indented.replace(/^ +/gm, '');
  assert.is(source.split(find).length - 1, 1, `${where}: '${find}' must stand in it exactly once`);
  const changed = source.replace(find, () => put);
  assert.is.not(changed, source, `${where}: nothing was changed`);
  return changed;
}

/** What a planted device changes; each undefined where it lets a thing be. */
export interface Planting {
  source?(kernel: Kernel, source: string): string | undefined;
  bindings?(kernel: string, entries: readonly GPUBindGroupEntry[]): readonly GPUBindGroupEntry[] | undefined;
}

/** A device beside another one, on the same GPU, with a fault. Every pipeline without one is the other's. */
export class PlantedDevice extends Device {
  readonly #base: Device;
  readonly #planting: Planting;
  readonly #kernels = new Map<GPUBindGroupLayout, string>();
  /** How often what was planted was asked for. */
  used = 0;

  constructor(base: Device, planting: Planting) {
    super(base.gpu, base.adapter, base.subgroupSize, false, base.tuning);
    this.#base = base;
    this.#planting = planting;
  }

  override async pipeline(kernel: Kernel, source: string): Promise<CompiledKernel> {
    const changed = this.#planting.source?.(kernel, source);
    if (changed !== undefined) this.used++;
    const compiled = await (changed === undefined
      ? this.#base.pipeline(kernel, source)
      : super.pipeline(kernel, changed));
    this.#kernels.set(compiled.layout, kernel.name);
    return compiled;
  }

  override bindGroup(layout: GPUBindGroupLayout, entries: readonly GPUBindGroupEntry[]): GPUBindGroup {
    const changed = this.#planting.bindings?.(this.#kernels.get(layout) ?? '', entries);
    if (changed !== undefined) this.used++;
    return super.bindGroup(layout, changed ?? entries);
  }
}

/** Whether the check finds a fault by numbers that are wrong; what it cannot run at all tells of the plant, not of the fault. */
function assertFound(result: GradientCheckResult, what: string): void {
  const problems = result.lines.flatMap(({ name, problem }) => (problem === undefined ? [] : [`${name}: ${problem}`]));
  assert.equal(problems, [], what);
  const worst = result.lines.map(({ name, what: question, worst: error }) => `${question} ${name}: ${error}`);
  assert.not(result.ok, `${what}: nothing was found:\n${worst.join('\n')}`);
}

/** Asserts that the gradient check finds a fault that is planted on a device. */
export async function assertCaught(
  base: Device,
  planting: Planting,
  cases: readonly string[],
  what: string,
): Promise<void> {
  const device = new PlantedDevice(base, planting);
  try {
    const result = await gradientCheck(device, { cases: cases.map(caseNamed), questions: ['kernel', 'update'] });
    assert.ok(device.used > 0, `${what}: the cases do not use it`);
    assertFound(result, what);
  } finally {
    device.dispose();
  }
}

/** Asserts that the gradient check finds a fault in the text of a kernel. */
export function assertKernelFaultCaught(
  base: Device,
  { kernel: name, what, find, put, cases }: KernelFault,
): Promise<void> {
  const where = `${name}, ${what}`;
  replacedOnce(kernels[name].source, find, put, where);
  const source = (kernel: Kernel, text: string): string | undefined =>
    kernel.name === name ? replacedOnce(text, find, put, where) : undefined;
  return assertCaught(base, { source }, cases, where);
}

/** Asserts that the gradient check finds a fault in a row. */
export async function assertRowFaultCaught(base: Device, { op, what, wrong, cases }: RowFault): Promise<void> {
  const where = `${op.name}, ${what}`;
  const right = { ...op };
  let used = 0;
  const rules = Object.fromEntries(
    Object.entries(wrong(right)).map(([key, rule]) => [
      key,
      (...given: never[]): unknown => {
        used++;
        return (rule as (...given: never[]) => unknown)(...given);
      },
    ]),
  );
  Object.assign(op, rules);
  try {
    const result = await gradientCheck(base, { cases: cases.map(caseNamed) });
    assert.ok(used > 0, `${where}: the cases do not use it`);
    assertFound(result, where);
  } finally {
    Object.assign(op, right);
  }
}

/** Asserts that cases pass where nothing is planted: else it would prove nothing that they fail. */
export async function assertSound(base: Device, names: readonly string[]): Promise<void> {
  const cases = [...new Set(names)].map(caseNamed);
  const { lines, ok } = await gradientCheck(base, { cases });
  const failed = lines.filter((line) => !line.ok).map(({ what, name }) => `${what} ${name}`);
  assert.equal(failed, []);
  assert.ok(ok);
}
