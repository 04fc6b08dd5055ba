// Runs a planned program on the CPU, each kernel call through the WGSL interpreter and race detector of wgsl_reflect.
// It proves what a GPU cannot show: that no two invocations of a workgroup touch an element without a barrier between
// them. The interpreter skips what it does not know with a console line: every such line is an error here, and callers
// compare the computed outputs as well. Slow: keep the workgroups of a plan few.

import { Call, detectRaces, WgslDebug } from 'wgsl_reflect/wgsl_reflect.module.js';
import { at, need } from '../engine/errors.ts';
import { inputOf } from '../engine/ops/leaf.ts';
import { type Dispatch, isLoop, type Place, type Plan } from '../engine/plan.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { Data, Variable } from '../engine/variable.ts';
import { workgroupSize } from '../kernels/kernel.ts';

// wgsl_reflect steps the invocations of a workgroup in turn, but keeps the value that a call returned in the syntax tree,
// which all of them share: a function's result would go to the wrong invocation. So one step here is all the steps up to
// the next barrier. Races are judged by what lies between two barriers, so that the order within does not matter.
type Stack = Parameters<WgslDebug['stepStack']>[0];
const STEP_LIMIT = 5e6;
const oneStep = WgslDebug.prototype.stepStack;
WgslDebug.prototype.stepStack = function (stack: Stack, into?: boolean): boolean {
  let more = oneStep.call(this, stack, into);
  for (let steps = 0; !waits(stack); steps++) {
    if (steps > STEP_LIMIT) throw new Error(`more than ${STEP_LIMIT} steps without a barrier`);
    more = oneStep.call(this, stack, into);
  }
  return more;
};

/** True where an invocation is at a barrier or at its end. */
function waits(stack: Stack): boolean {
  let frame = stack.last;
  while (frame?.isAtEnd === true) {
    stack.pop();
    frame = stack.last;
  }
  const command: object | null | undefined = frame?.getCurrentCommand();
  if (command === null || command === undefined) return true;
  const node: unknown = 'node' in command ? command.node : undefined;
  return node instanceof Call && node.name.endsWith('Barrier');
}

/** What running a plan gave. */
export interface PlanRun {
  /** The named outputs. */
  readonly outputs: ReadonlyMap<string, Data>;
  /** The Variables after the run; those that share storage one by one. */
  readonly variables: ReadonlyMap<Variable, Data>;
  /** Races, and whatever the interpreter could not do: one line each, with the kernel's name. */
  readonly troubles: readonly string[];
}

/** Invocations of a plan, loops unrolled: its cost. */
export function invocationsOf(plan: Plan): number {
  const own = (dispatch: Dispatch): number =>
    [...workgroupSize(dispatch.kernel, dispatch.constants), ...dispatch.workgroups].reduce((a, b) => a * b, 1);
  return plan.items.reduce(
    (sum, item) => sum + (isLoop(item) ? item.steps * item.body.reduce((a, d) => a + own(d), 0) : own(item)),
    0,
  );
}

/** Runs a plan with feeds. */
export async function runPlan(plan: Plan, feeds: Readonly<Record<string, Data>>): Promise<PlanRun> {
  // What nobody has written is NaN: it would spread to whatever is made of it.
  const slots = plan.slots.map((bytes) => new Float32Array(wholeVectors(bytes) / 4).fill(Number.NaN).buffer);
  const storage = new Map<Variable, ArrayBuffer>();
  for (const each of plan.variables) {
    const { variable: home, offset } = each.home;
    const bytes = storage.get(home) ?? new ArrayBuffer(wholeVectors(4 * home.size));
    const data = await each.read();
    new Uint8Array(bytes).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 4 * offset);
    storage.set(home, bytes);
  }
  const troubles: string[] = [];

  const memoryOf = ({ value }: Place): ArrayBuffer =>
    value.variable === undefined ? at(slots, value.slot) : need(storage.get(value.variable), 'a variable');
  const write = (place: Place, data: Data | number): void => {
    const floats = new Float32Array(memoryOf(place), place.offset, place.bytes / 4);
    if (typeof data === 'number') floats.fill(data);
    else floats.set(new Float32Array(data.buffer, data.byteOffset, data.length));
  };
  const read = (place: Place, { size, dtype }: Tensor): Data => {
    const bytes = memoryOf(place).slice(place.offset, place.offset + 4 * size);
    return dtype === 'u32' ? new Uint32Array(bytes) : new Float32Array(bytes);
  };

  for (const { place, values } of plan.constants) write(place, values);
  for (const { tensor, place } of plan.inputs) {
    const name = need(inputOf(tensor), 'an input').name;
    write(place, need(feeds[name], `the feed ${name}`));
  }
  const run = (dispatch: Dispatch, t: number): void => {
    const group: Record<string, unknown> = { 0: { uniform: dispatch.uniforms.slice(0) } };
    const views = dispatch.buffers.map(({ binding, write: writes, place }) => {
      const begin = place.offset + t * place.step;
      const { element } = need(
        Object.values(dispatch.kernel.bindings).find((each) => each.binding === binding),
        'a binding',
      );
      const bytes = memoryOf(place).slice(begin, begin + place.bytes);
      const view = element.includes('u32') ? new Uint32Array(bytes) : new Float32Array(bytes);
      group[binding] = view;
      return { view, writes, place, begin };
    });
    troubles.push(...interpret(dispatch, group));
    for (const { view, writes, place, begin } of views) {
      if (writes) new Uint8Array(memoryOf(place)).set(new Uint8Array(view.buffer), begin);
    }
  };
  for (const item of plan.items) {
    if (!isLoop(item)) run(item, 0);
    else {
      for (let k = 0; k < item.steps; k++) {
        for (const dispatch of item.body) run(dispatch, item.reverse ? item.steps - 1 - k : k);
      }
    }
  }
  return {
    outputs: new Map([...plan.outputs].map(([name, { tensor, place }]) => [name, read(place, tensor)])),
    variables: new Map(
      plan.variables.map((each) => {
        const { variable: home, offset } = each.home;
        const bytes = need(storage.get(home), 'storage');
        const whole = each.dtype === 'u32' ? new Uint32Array(bytes) : new Float32Array(bytes);
        return [each, whole.slice(offset, offset + each.size)] as const;
      }),
    ),
    troubles,
  };
}

/** Bytes up to whole vectors of 16, as buffers of a device have. */
function wholeVectors(bytes: number): number {
  return Math.ceil(bytes / 16) * 16;
}

/** One kernel call, with everything that the interpreter says. */
function interpret(dispatch: Dispatch, group: Record<string, unknown>): string[] {
  const said: string[] = [];
  const { log, warn, error } = console;
  const note = (...words: readonly unknown[]): void => {
    said.push(words.map(String).join(' '));
  };
  Object.assign(console, { log: note, warn: note, error: note });
  try {
    const { races, errors } = detectRaces(dispatch.source, 'main', [...dispatch.workgroups], { 0: group });
    said.push(...races.map((race) => race.message), ...errors);
  } catch (thrown) {
    said.push(`threw ${String(thrown)}`);
  } finally {
    Object.assign(console, { log, warn, error });
  }
  return [...new Set(said)].map((line) => `${dispatch.kernel.name} (${dispatch.label}): ${line}`);
}
