// Programs: a plan on a device, made once and run many times.
//
// `compile` makes every buffer, pipeline, bind group and uniform; `run` checks the feeds, writes them and replays the list
// of kernel calls, making nothing but the encoder, pass and command buffer that WebGPU demands. It resolves as soon as the
// step is submitted and at most three are in flight; results are read separately.

import type { Device } from './device.ts';
import { USAGE } from './device.ts';
import { at, formatShape, need, OptionError } from './errors.ts';
import { explainPlan } from './explain.ts';
import { checkFeeds, checkInputs, type Feeds } from './feeds.ts';
import { askedBy, checkLimits } from './limits.ts';
import type { CompiledKernel } from './pipelines.ts';
import { bytesOf, type Dispatch, dispatchesOf, isLoop, type Place, type Plan } from './plan.ts';
import { planProgram } from './planner.ts';
import { type Profile, profileCalls } from './profile.ts';
import type { Tensor } from './tensor.ts';
import type { Tuning } from './tuning.ts';
import type { Update } from './update.ts';
import type { Data, Variable } from './variable.ts';

/** How to compile. */
export interface CompileOptions {
  /** Whether dropout acts and random state advances: by default where there are updates. */
  readonly mode?: 'train' | 'evaluate';
  /** Which kernels its products take: by default those of the device. Results are the same to the bit. */
  readonly tuning?: Tuning;
  /** Called as kernels get ready, for a progress display. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Work of one submit, for a driver's watchdog ends what takes too long (2 s on Windows): operations or bytes, whichever are
 * more. 2e10 take a software adapter or a weak integrated GPU about two seconds, any other a tenth.
 */
const WORK_A_SUBMIT = 2e10;
const CALLS_A_SUBMIT = 20_000;

/** One kernel call, ready to be encoded. */
export interface Call {
  readonly dispatch: Dispatch;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
}

/**
 * Makes a program that computes named tensors and then carries out updates of Variables.
 * @throws LimitError where the device is too small, before anything runs, or has no memory left; DeviceError where WebGPU
 *   refuses. Nothing of it stays behind.
 */
export async function compile(
  device: Device,
  outputs: Readonly<Record<string, Tensor>>,
  updates: readonly Update[] = [],
  options: CompileOptions = {},
): Promise<Program> {
  if (Object.keys(outputs).length === 0 && updates.length === 0) {
    throw new OptionError('compile: nothing is wanted; name an output or give updates');
  }
  const training = (options.mode ?? (updates.length > 0 ? 'train' : 'evaluate')) === 'train';
  const { tuning = device.tuning } = options;
  const plan = planProgram(outputs, updates, { training, subgroupSize: device.subgroupSize, tuning });
  checkInputs(plan);
  checkLimits(device.gpu.limits, plan);
  for (const variable of plan.variables) variable.plan();
  const kernels = await compileKernels(device, plan, options.onProgress);
  const settled: Variable[] = [];
  let program: Program | undefined;
  return device.guarded(
    'compile',
    () => {
      for (const variable of plan.variables) {
        if (device.holds(variable)) continue;
        device.settle(variable);
        settled.push(variable);
      }
      program = new Program(device, plan, kernels);
      return program;
    },
    () => {
      program?.dispose();
      for (const variable of settled) if (device.holds(variable)) variable.dispose();
    },
    () => askedBy(plan, settled),
  );
}

/** Compiles, runs once, reads every output and frees the program: for a single look at tensors. */
export async function evaluate<Names extends string>(
  device: Device,
  outputs: Readonly<Record<Names, Tensor>>,
  feeds: Feeds = {},
): Promise<Record<Names, Data>> {
  const program = await compile(device, outputs);
  try {
    await program.run(feeds);
    const names = Object.keys(outputs) as Names[];
    const values = await Promise.all(names.map((name) => program.read(name)));
    return Object.fromEntries(names.map((name, i) => [name, at(values, i)])) as Record<Names, Data>;
  } finally {
    program.dispose();
  }
}

/** A recorded step. Made by `compile`. */
export class Program {
  readonly device: Device;
  readonly plan: Plan;
  readonly #slots: readonly GPUBuffer[];
  readonly #uniforms: GPUBuffer;
  /** The calls in order, loops unrolled: only references, the pipelines and bind groups are shared. */
  readonly #calls: readonly Call[];
  /** Calls after which the list is submitted. */
  readonly #cuts: readonly number[];
  #ran = false;
  #disposed = false;

  constructor(device: Device, plan: Plan, kernels: ReadonlyMap<string, CompiledKernel>) {
    this.device = device;
    this.plan = plan;
    const uniforms = packAll(plan);
    const made: GPUBuffer[] = [];
    const buffer = (label: string, bytes: number, usage: number): GPUBuffer => {
      const own = device.buffer(label, bytes, usage);
      made.push(own);
      return own;
    };
    try {
      this.#slots = plan.slots.map((bytes, i) =>
        buffer(`slot ${i}`, bytes, USAGE.storage | USAGE.copySource | USAGE.copyTarget),
      );
      this.#uniforms = buffer(
        `uniforms of ${uniforms.offsets.size} kernel calls`,
        uniforms.bytes.byteLength,
        USAGE.uniform | USAGE.copyTarget,
      );
      this.#calls = this.#record(kernels, uniforms);
    } catch (error) {
      for (const own of made) device.free(own);
      throw error;
    }
    this.#cuts = cutsOf(this.#calls);
  }

  /** Writes what stays the same, and makes the calls. */
  #record(kernels: ReadonlyMap<string, CompiledKernel>, uniforms: Uniforms): Call[] {
    const { device, plan } = this;
    device.gpu.queue.writeBuffer(this.#uniforms, 0, uniforms.bytes);
    for (const { place, values } of plan.constants) {
      const data = typeof values === 'number' ? new Float32Array(place.bytes / 4).fill(values) : values;
      device.gpu.queue.writeBuffer(this.#bufferOf(place), place.offset, data as Data & { buffer: ArrayBuffer });
    }
    const calls: Call[] = [];
    for (const item of plan.items) {
      if (!isLoop(item)) {
        calls.push(this.#call(item, 0, kernels, uniforms.offsets));
        continue;
      }
      const still = item.body.map((dispatch) =>
        dispatch.buffers.some(({ place }) => place.step !== 0)
          ? undefined
          : this.#call(dispatch, 0, kernels, uniforms.offsets),
      );
      for (let i = 0; i < item.steps; i++) {
        const t = item.reverse ? item.steps - 1 - i : i;
        item.body.forEach((dispatch, k) => {
          calls.push(still[k] ?? this.#call(dispatch, t, kernels, uniforms.offsets));
        });
      }
    }
    return calls;
  }

  /** The kernel calls of a run, in order. */
  get calls(): readonly Call[] {
    return this.#calls;
  }

  /** Bytes of the memory that this program holds, Variables apart. */
  get bytes(): number {
    return this.#slots.reduce((sum, slot) => sum + slot.size, this.#uniforms.size);
  }

  /**
   * Checks and writes the feeds and submits one step. Resolves as soon as at most three steps are in flight. The feeds may
   * be changed as soon as the call returns, awaited or not.
   * @throws FeedError for a missing, unknown or unfit feed, before anything is written
   */
  async run(feeds: Feeds = {}): Promise<void> {
    this.#check();
    const checked = checkFeeds(this.plan, feeds);
    const data = this.device.busy ? checked.map((each) => each.slice()) : checked;
    await this.device.step(() => this.#submit(data));
  }

  #submit(data: readonly Data[]): void {
    this.#check();
    this.#write(data);
    for (const variable of this.plan.changes) variable.changed();
    const { queue } = this.device.gpu;
    let next = 0;
    for (const cut of this.#cuts) {
      const encoder = this.device.gpu.createCommandEncoder();
      const pass = encoder.beginComputePass();
      let last: GPUComputePipeline | undefined;
      for (; next < cut; next++) {
        const { dispatch, pipeline, group } = at(this.#calls, next);
        if (pipeline !== last) {
          pass.setPipeline(pipeline);
          last = pipeline;
        }
        pass.setBindGroup(0, group);
        const [x, y, z] = dispatch.workgroups;
        pass.dispatchWorkgroups(x, y, z);
      }
      pass.end();
      queue.submit([encoder.finish()]);
    }
    this.#ran = true;
  }

  /** The value of an output after the last run. @throws OptionError for a name that is none, or before any run */
  async read(name: string): Promise<Data> {
    this.#check();
    const output = this.plan.outputs.get(name);
    if (output === undefined) {
      throw new OptionError(
        `program: no output '${name}'; it has ${[...this.plan.outputs.keys()].join(', ') || 'none'}`,
      );
    }
    if (!this.#ran) throw new OptionError(`program: '${name}' was not computed yet; await run(...) before reading it`);
    const { place, tensor } = output;
    const what = `'${name}' ${formatShape(tensor.shape)}`;
    const bytes = await this.device.read(this.#bufferOf(place), place.offset, 4 * tensor.size, what);
    return tensor.dtype === 'u32' ? new Uint32Array(bytes) : new Float32Array(bytes);
  }

  /**
   * Times every kernel call of a step, in passes of their own. Variables come out as they went in.
   * @throws FeedError as `run` does
   */
  async profile(feeds: Feeds = {}): Promise<Profile> {
    this.#check();
    this.#write(checkFeeds(this.plan, feeds));
    this.#ran = true;
    return profileCalls(this.device, this.#calls);
  }

  /** The kernel calls as text: a line each, with workgroups, bytes and operations; loops with their number of steps. */
  explain(): string {
    return explainPlan(this.plan);
  }

  /** Frees the program's memory. Variables stay. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const buffer of [...this.#slots, this.#uniforms]) this.device.free(buffer);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #write(data: readonly Data[]): void {
    this.plan.inputs.forEach(({ place }, i) => {
      const bytes = at(data, i) as Data & { buffer: ArrayBuffer };
      this.device.gpu.queue.writeBuffer(this.#bufferOf(place), place.offset, bytes);
    });
  }

  #check(): void {
    this.device.check();
    if (this.#disposed) throw new OptionError('program: it was disposed of; compile it again');
  }

  #bufferOf(place: Place): GPUBuffer {
    const { variable, slot } = place.value;
    return variable === undefined ? at(this.#slots, slot) : this.device.storageOf(variable);
  }

  #call(
    dispatch: Dispatch,
    t: number,
    kernels: ReadonlyMap<string, CompiledKernel>,
    uniforms: ReadonlyMap<Dispatch, number>,
  ): Call {
    const { pipeline, layout } = need(kernels.get(dispatch.source), `the pipeline of ${dispatch.kernel.name}`);
    const group = this.device.bindGroup(layout, [
      {
        binding: 0,
        resource: {
          buffer: this.#uniforms,
          offset: need(uniforms.get(dispatch), 'uniforms'),
          size: dispatch.uniforms.byteLength,
        },
      },
      ...dispatch.buffers.map(({ binding, place }) => ({
        binding,
        resource: { buffer: this.#bufferOf(place), offset: place.offset + t * place.step, size: place.bytes },
      })),
    ]);
    return { dispatch, pipeline, group };
  }
}

async function compileKernels(
  device: Device,
  plan: Plan,
  onProgress: CompileOptions['onProgress'],
): Promise<Map<string, CompiledKernel>> {
  const wanted = new Map<string, Dispatch>();
  for (const each of dispatchesOf(plan)) wanted.set(each.source, each);
  let done = 0;
  const compiled = await Promise.all(
    [...wanted].map(async ([source, { kernel }]) => {
      const result = await device.pipeline(kernel, source);
      onProgress?.(++done, wanted.size);
      return [source, result] as const;
    }),
  );
  return new Map(compiled);
}

/** The uniforms of all calls, and where those of each begin. */
interface Uniforms {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly offsets: ReadonlyMap<Dispatch, number>;
}

/** All uniforms in one buffer, equal ones once, each at a multiple of the alignment. */
function packAll(plan: Plan): Uniforms {
  const alignment = 256;
  const known = new Map<string, number>();
  const offsets = new Map<Dispatch, number>();
  const chunks: { offset: number; bytes: Uint8Array }[] = [];
  let end = 0;
  for (const dispatch of dispatchesOf(plan)) {
    const bytes = new Uint8Array(dispatch.uniforms);
    const key = bytes.join();
    let offset = known.get(key);
    if (offset === undefined) {
      offset = end;
      known.set(key, offset);
      chunks.push({ offset, bytes });
      end += Math.ceil(bytes.length / alignment) * alignment;
    }
    offsets.set(dispatch, offset);
  }
  const all = new Uint8Array(Math.max(end, 16));
  for (const { offset, bytes } of chunks) all.set(bytes, offset);
  return { bytes: all, offsets };
}

/** Where a list of calls is cut into submits of bounded work; a single call is never cut. */
export function cutsOf(calls: readonly Pick<Call, 'dispatch'>[]): number[] {
  const cuts: number[] = [];
  let work = 0;
  let first = 0;
  calls.forEach(({ dispatch }, i) => {
    const own = workOf(dispatch);
    if (i > first && (work + own > WORK_A_SUBMIT || i - first >= CALLS_A_SUBMIT)) {
      cuts.push(i);
      first = i;
      work = 0;
    }
    work += own;
  });
  cuts.push(calls.length);
  return cuts;
}

/** The work of a call: its operations, or the bytes that it binds where those are more. */
export function workOf(dispatch: Dispatch): number {
  return Math.max(dispatch.operations, bytesOf(dispatch));
}
