// The limits of a device, and every message that says one was passed: what takes how much, by its op and shape or the name of
// its Variable; the limit by its name and value; what to change. A plan is checked whole, before anything is made.
// Always: each mend is written once, here. Not here: how a program is cut so that it keeps limits (chunks.ts, slots.ts).

import { type Kernel, workgroupBytes, workgroupSize } from '../kernels/kernel.ts';
import { formatShape, LimitError, need } from './errors.ts';
import { MAX_WORKGROUPS } from './op.ts';
import { type Dispatch, dispatchesOf, type Plan, type Value } from './plan.ts';
import type { Variable } from './variable.ts';

/** What a user can do about a tensor that is too large. */
const SMALLER = 'use a smaller batch, fewer time steps, shorter chunks of them (the option chunk of a scan or RIM)';
/** The same of a Variable, which neither batch nor time change. */
export const SMALLER_WEIGHTS: string =
  'make the weights smaller (fewer hidden units; of a RIM the options valueSize, hiddenSize, modules)';
/** The same of the uniforms of a program: there is a part for every call, and a loop's calls share theirs. */
export const FEWER_CALLS: string = 'compile it in parts, as several programs';
/** What a user can do about memory that is full. */
const LESS_MEMORY = `dispose of programs and Variables that are no longer used, ${SMALLER}, or recompute (the option recompute)`;
/** What only a fault of the library asks for: its kernels keep to what every WebGPU device has. */
const REPORT = 'this is a fault of the library, please report it';

const mendOf = ({ variable }: Value): string => (variable === undefined ? SMALLER : SMALLER_WEIGHTS);

/** Most elements of a tensor: kernels count them in 32 bits, and copies with a sign. */
export const MAX_ELEMENTS: number = 2 ** 31 - 1;

/** What is checked; a GPUDevice's `limits` have it all. What is left out is not checked. */
export interface PlanLimits {
  readonly maxStorageBufferBindingSize: number;
  readonly maxBufferSize: number;
  readonly maxStorageBuffersPerShaderStage?: number;
  readonly maxUniformBufferBindingSize?: number;
  readonly maxComputeWorkgroupsPerDimension?: number;
  readonly maxComputeInvocationsPerWorkgroup?: number;
  readonly maxComputeWorkgroupStorageSize?: number;
}

/** Bytes as messages show them: `1200 bytes`, `134217732 bytes (128.0 MiB)`. */
export function formatBytes(bytes: number): string {
  const units = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  if (bytes < 2 ** 20) return `${bytes} bytes`;
  const i = Math.min(units.length, Math.floor(Math.log2(bytes) / 10));
  return `${bytes} bytes (${(bytes / 1024 ** i).toFixed(1)} ${units[i - 1]})`;
}

/** A message about a limit of the device, in the one form that all have. */
function passed(where: string, what: string, limit: keyof PlanLimits, most: number, mend: string): LimitError {
  return new LimitError(`${where}: ${what}, and ${limit} of this device is ${most}; ${mend}`);
}

const openLarger = (mend: string, limit: keyof PlanLimits): string =>
  `${mend}, or open the device with a larger limits.${limit} where its adapter has it`;

/** Refuses a plan that a device cannot hold. @throws LimitError naming the tensor and the limit */
export function checkLimits(limits: PlanLimits, plan: Plan): void {
  const { maxStorageBufferBindingSize: most, maxBufferSize } = limits;
  const calls = dispatchesOf(plan);
  for (const { label, kernel, buffers } of calls) {
    const large = buffers.find(({ place }) => place.bytes > most);
    if (large === undefined) continue;
    const { value, bytes } = large.place;
    const part = bytes < value.bytes ? `${formatBytes(bytes)} of ` : '';
    throw passed(
      label,
      `${kernel.name} binds ${part}${value.label}, ${formatBytes(value.bytes)}`,
      'maxStorageBufferBindingSize',
      most,
      openLarger(mendOf(value), 'maxStorageBufferBindingSize'),
    );
  }
  for (const value of [...valuesOf(plan).values()]) checkBuffer(value.label, value.bytes, maxBufferSize, mendOf(value));
  const checked = new Set<string>();
  for (const call of calls) {
    if (!checked.has(call.source)) checkKernel(limits, call);
    checked.add(call.source);
    const groups = limits.maxComputeWorkgroupsPerDimension ?? MAX_WORKGROUPS;
    if (call.workgroups.some((count) => count > groups)) throw tooManyWorkgroups(call, groups);
  }
}

/** The values of a plan that need a buffer of their own size: the largest of each slot, and the homes of Variables. */
function valuesOf(plan: Plan): Map<number | Value, Value> {
  const values = new Map<number | Value, Value>();
  const places = [
    ...dispatchesOf(plan).flatMap(({ buffers }) => buffers.map(({ place }) => place)),
    ...[...plan.inputs, ...plan.constants, ...plan.outputs.values()].map(({ place }) => place),
  ];
  for (const { value } of places) {
    const key = value.variable === undefined ? value.slot : value;
    if ((values.get(key)?.bytes ?? 0) < value.bytes) values.set(key, value);
  }
  return values;
}

/** @throws LimitError for a buffer that is larger than a device takes */
export function checkBuffer(label: string, bytes: number, most: number, mend: string = SMALLER): void {
  if (bytes <= most) return;
  const what = `needs a buffer of ${formatBytes(bytes)}`;
  throw passed(label, what, 'maxBufferSize', most, openLarger(mend, 'maxBufferSize'));
}

/** @throws LimitError for more bytes than one binding or buffer of a device takes */
export function checkBinding(label: string, bytes: number, limits: PlanLimits): void {
  const { maxStorageBufferBindingSize: most, maxBufferSize } = limits;
  if (bytes > most) {
    const mend = openLarger('make it smaller', 'maxStorageBufferBindingSize');
    throw passed(label, `takes ${formatBytes(bytes)}`, 'maxStorageBufferBindingSize', most, mend);
  }
  checkBuffer(label, bytes, maxBufferSize);
}

/** What does not depend on sizes: every kernel keeps it on every device. @throws LimitError */
function checkKernel(limits: PlanLimits, { label, kernel, constants, source }: Dispatch): void {
  const [x, y, z] = workgroupSize<Kernel>(kernel, constants);
  const counts = [
    ['maxStorageBuffersPerShaderStage', Object.keys(kernel.bindings).length, 'storage buffers'],
    ['maxUniformBufferBindingSize', kernel.uniforms.size, 'bytes of uniforms'],
    ['maxComputeInvocationsPerWorkgroup', x * y * z, 'invocations a workgroup'],
    ['maxComputeWorkgroupStorageSize', workgroupBytes(source), 'bytes of workgroup memory'],
  ] as const;
  for (const [limit, count, of] of counts) {
    const most = limits[limit] ?? count;
    if (count > most) throw passed(label, `${kernel.name} takes ${count} ${of}`, limit, most, REPORT);
  }
}

/** The error of a call of more workgroups than a device takes, or of none. */
export function tooManyWorkgroups(
  { label, kernel, workgroups, buffers }: Pick<Dispatch, 'label' | 'kernel' | 'workgroups' | 'buffers'>,
  most: number = MAX_WORKGROUPS,
): LimitError {
  const [largest] = [...buffers].sort((a, b) => b.place.bytes - a.place.bytes);
  const { value } = need(largest, `${kernel.name}: a buffer`).place;
  const what = `${kernel.name} needs ${workgroups.join(' x ')} workgroups for ${value.label}, ${formatBytes(value.bytes)}`;
  return passed(label, what, 'maxComputeWorkgroupsPerDimension', most, `${mendOf(value)}, or split the tensor`);
}

/** @throws LimitError for a tensor of more elements than kernels can count; `what` says which, without its shape */
export function checkElements(what: string, shape: readonly number[], size: number, mend: string = SMALLER): void {
  if (size <= MAX_ELEMENTS) return;
  throw new LimitError(
    `${what} ${formatShape(shape)}: ${size} elements, ${formatBytes(4 * size)}, and kernels count ${MAX_ELEMENTS} at most; ${mend}`,
  );
}

/** The error of memory that a device did not have. @param held bytes that the library holds beside */
export function outOfMemory(where: string, asked: string, held: number, reported: string, cause?: unknown): LimitError {
  const reason = reported === '' ? '' : ` (${reported})`;
  return new LimitError(
    `${where}: the device is out of memory${reason}: ${asked}, beside ${formatBytes(held)} that are held already; ${LESS_MEMORY}`,
    { cause },
  );
}

/** What a program asks a device for, in words. @param settled the Variables that were not there yet */
export function askedBy(plan: Plan, settled: readonly Variable[]): string {
  const homes = new Set(settled.map(({ home }) => home.variable));
  const values = [...valuesOf(plan).values()].filter(({ variable }) => variable === undefined || homes.has(variable));
  const bytes = [...plan.slots, ...[...homes].map(({ size }) => 4 * size)].reduce((sum, each) => sum + each, 0);
  const [largest] = values.sort((a, b) => b.bytes - a.bytes);
  const most = largest === undefined ? '' : `, the largest of them for ${largest.label}, ${formatBytes(largest.bytes)}`;
  return `the program asks for ${plan.slots.length + homes.size} buffers of ${formatBytes(bytes)} in all${most}`;
}
