// Where the time of a step goes: a run of its own, a pass for each kernel call, timed by the GPU where it has timestamps and
// by the host where it has not. Variables that the step changes are copied aside before and put back after, so that
// profiling never trains. Passes of their own cost something: compare the shares, and take absolute times from `run`.

import type { Call } from './calls.ts';
import { type Device, USAGE } from './device.ts';
import { at, formatShape, need } from './errors.ts';
import { bytesOf } from './plan.ts';
import type { Variable } from './variable.ts';

/** The time of all calls of one kernel, at equal constants, for one op. */
export interface ProfileEntry {
  /** The op. */
  readonly op: string;
  /** The kernel, by its name in the catalogue. */
  readonly kernel: string;
  /** Constants that differ from the kernel's defaults. */
  readonly constants: Readonly<Record<string, number | boolean>>;
  /** How many calls a step. */
  readonly calls: number;
  /** Of all these calls. */
  readonly milliseconds: number;
  /** Bytes bound by the calls. */
  readonly bytes: number;
  /** Multiplications and additions of the calls. */
  readonly operations: number;
}

/** The profile of one step. */
export interface Profile {
  /** True where the GPU's own clock measured. */
  readonly timestamps: boolean;
  /** Of all calls. */
  readonly milliseconds: number;
  /** The dearest first. */
  readonly entries: readonly ProfileEntry[];
}

/** Two timestamps a call, and a query set holds 4096. */
const CALLS_A_SET = 2048;

/** Times every call, with the inputs as they are on the device. */
export async function profileCalls(device: Device, calls: readonly Call[]): Promise<Profile> {
  const changed = new Set<Variable>();
  for (const { dispatch } of calls) {
    for (const { write, place } of dispatch.buffers)
      if (write && place.value.variable) changed.add(place.value.variable);
  }
  const asides: { readonly buffer: GPUBuffer; readonly aside: GPUBuffer }[] = [];
  const free = (): void => {
    for (const { aside } of asides.splice(0)) device.free(aside);
  };
  await device.guarded(
    'profile',
    () => {
      for (const variable of changed) {
        const buffer = device.storageOf(variable);
        const what = `a copy of variable ${variable.name} ${formatShape(variable.shape)}`;
        asides.push({ buffer, aside: device.buffer(what, buffer.size, USAGE.copySource | USAGE.copyTarget) });
      }
    },
    free,
    () => `copies of ${changed.size} Variables that the program changes`,
  );
  const copyAll = (back: boolean): void => {
    const encoder = device.gpu.createCommandEncoder();
    for (const { buffer, aside } of asides) {
      const [source, target] = back ? [aside, buffer] : [buffer, aside];
      encoder.copyBufferToBuffer(source, 0, target, 0, buffer.size);
    }
    device.gpu.queue.submit([encoder.finish()]);
  };
  copyAll(false);
  const timestamps = device.gpu.features.has('timestamp-query');
  try {
    const times = timestamps ? await byTimestamps(device, calls) : await byHost(device, calls);
    return { timestamps, ...summarise(calls, times) };
  } finally {
    copyAll(true);
    free();
  }
}

/** A profile as a table of text. */
export function formatProfile(profile: Profile, most = 20): string {
  const lines = profile.entries
    .slice(0, most)
    .map(({ op, kernel, constants, calls, milliseconds, operations, bytes }) => {
      const share = ((100 * milliseconds) / profile.milliseconds).toFixed(1);
      const name = [kernel, ...Object.entries(constants).map(([key, value]) => `${key}=${value}`)].join(' ');
      const rate = `${(operations / milliseconds / 1e6).toFixed(2)} Gop/s ${(bytes / milliseconds / 1e6).toFixed(2)} GB/s`;
      return `${milliseconds.toFixed(2).padStart(9)} ms ${share.padStart(5)} %  ${String(calls).padStart(5)} x ${op.padEnd(20)} ${name.padEnd(40)} ${rate}`;
    });
  return [
    `${profile.milliseconds.toFixed(2)} ms by the ${profile.timestamps ? "GPU's" : "host's"} clock`,
    ...lines,
  ].join('\n');
}

function encode(pass: GPUComputePassEncoder, { dispatch, pipeline, group }: Call): void {
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  const [x, y, z] = dispatch.workgroups;
  pass.dispatchWorkgroups(x, y, z);
  pass.end();
}

/** Milliseconds of each call. */
async function byTimestamps(device: Device, calls: readonly Call[]): Promise<number[]> {
  const times: number[] = [];
  const bytes = 16 * CALLS_A_SET;
  let querySet: GPUQuerySet | undefined;
  let buffer: GPUBuffer | undefined;
  const free = (): void => {
    querySet?.destroy();
    if (buffer !== undefined) device.free(buffer);
  };
  const made = await device.guarded(
    'profile',
    () => {
      querySet = device.querySet(2 * CALLS_A_SET);
      buffer = device.buffer('timestamps', bytes, USAGE.queryResolve | USAGE.copySource);
      return { querySet, resolved: buffer };
    },
    free,
    () => `timestamps of ${CALLS_A_SET} calls`,
  );
  const { resolved } = made;
  try {
    for (let first = 0; first < calls.length; first += CALLS_A_SET) {
      const part = calls.slice(first, first + CALLS_A_SET);
      const encoder = device.gpu.createCommandEncoder();
      part.forEach((call, i) => {
        const timestampWrites = {
          querySet: made.querySet,
          beginningOfPassWriteIndex: 2 * i,
          endOfPassWriteIndex: 2 * i + 1,
        };
        encode(encoder.beginComputePass({ timestampWrites }), call);
      });
      encoder.resolveQuerySet(made.querySet, 0, 2 * part.length, resolved, 0);
      device.gpu.queue.submit([encoder.finish()]);
      const stamps = new BigUint64Array(await device.read(resolved, 0, 16 * part.length, 'timestamps'));
      part.forEach((_, i) => {
        times.push(Number(at(stamps, 2 * i + 1) - at(stamps, 2 * i)) / 1e6);
      });
    }
  } finally {
    free();
  }
  return times;
}

async function byHost(device: Device, calls: readonly Call[]): Promise<number[]> {
  const times: number[] = [];
  for (const call of calls) {
    const encoder = device.gpu.createCommandEncoder();
    encode(encoder.beginComputePass(), call);
    await device.idle();
    const before = performance.now();
    device.gpu.queue.submit([encoder.finish()]);
    await device.idle();
    times.push(performance.now() - before);
  }
  return times;
}

function summarise(calls: readonly Call[], times: readonly number[]): Pick<Profile, 'milliseconds' | 'entries'> {
  const groups = new Map<string, { -readonly [K in keyof ProfileEntry]: ProfileEntry[K] }>();
  calls.forEach(({ dispatch }, i) => {
    const { label, kernel, constants, operations, source } = dispatch;
    const key = `${label}/${source}`;
    if (!groups.has(key)) {
      groups.set(key, {
        op: label,
        kernel: kernel.name,
        constants,
        calls: 0,
        milliseconds: 0,
        bytes: 0,
        operations: 0,
      });
    }
    const entry = need(groups.get(key), 'an entry');
    entry.calls++;
    entry.milliseconds += at(times, i);
    entry.operations += operations;
    entry.bytes += bytesOf(dispatch);
  });
  const entries = [...groups.values()].sort((a, b) => b.milliseconds - a.milliseconds);
  return { entries, milliseconds: times.reduce((sum, time) => sum + time, 0) };
}
