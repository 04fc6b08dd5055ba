// Programs: a plan on a device, made once and run many times.
//
// `compile` makes every buffer, pipeline, bind group and uniform; `run` checks the feeds, writes them and replays the list
// of kernel calls, making nothing but the encoder, pass and command buffer that WebGPU demands. It resolves as soon as the
// step is submitted and at most three are in flight; results are read separately.
// Not here: pipelines and bind groups (bind.ts), the list of calls (planner.ts), what a step that is not finite is told of (replay.ts).

import { bindCalls, compileKernels } from './bind.ts';
import { type Call, cutsOf, encodeCalls } from './calls.ts';
import { type BufferPart, type Device, USAGE } from './device.ts';
import { at, formatShape, LimitError, type NonFiniteError, need, OptionError } from './errors.ts';
import { explainPlan } from './explain.ts';
import { checkFeeds, checkInputs, type Feeds } from './feeds.ts';
import type { Guard, KeptRun } from './guard.ts';
import { askedBy, checkBuffer, checkLimits, FEWER_CALLS } from './limits.ts';
import type { CompiledKernel } from './pipelines.ts';
import { dispatchesOf, type Place, type Plan } from './plan.ts';
import { planProgram } from './planner.ts';
import { type Profile, profileCalls } from './profile.ts';
import { explainRun, type Replay } from './replay.ts';
import type { Tensor } from './tensor.ts';
import type { Tuning } from './tuning.ts';
import { packAll } from './uniforms.ts';
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
  const planOf = (fuse: boolean): Plan =>
    planProgram(outputs, updates, { training, subgroupSize: device.subgroupSize, tuning, fuse });
  const plan = planOf(true);
  checkInputs(plan);
  return build(device, plan, () => planOf(false), options.onProgress);
}

/** A program from its plan. @param apart plans the same with a kernel call for every op */
async function build(
  device: Device,
  plan: Plan,
  apart: () => Plan,
  onProgress?: CompileOptions['onProgress'],
): Promise<Program> {
  checkLimits(device.gpu.limits, plan);
  for (const variable of plan.variables) variable.plan();
  const kernels = await compileKernels(device, plan, onProgress);
  const states = new Set(plan.guard?.guards.map(({ state }) => state));
  const settled: Variable[] = [];
  const fresh = (guard: Guard): boolean => settled.includes(guard.state);
  let program: Program | undefined;
  return device.guarded(
    'compile',
    () => {
      // States last: what cannot be settled is known by then, and no other device has lost one for it.
      const others = plan.variables.filter((variable) => !states.has(variable));
      for (const variable of [...others, ...states]) {
        if (device.holds(variable)) continue;
        // Where the weights of a guard are here now, no program on another device can use them any more.
        if (states.has(variable)) variable.dispose();
        device.settle(variable);
        settled.push(variable);
      }
      program = new Program(device, plan, kernels, { fresh, apart });
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
  /** Where it runs. */
  readonly device: Device;
  /** @internal */
  readonly plan: Plan;
  readonly #slots: readonly GPUBuffer[];
  readonly #uniforms: GPUBuffer;
  /** The calls in order, loops unrolled: only references, the pipelines and bind groups are shared. */
  readonly #calls: readonly Call[];
  /** Calls after which the list is submitted. */
  readonly #cuts: readonly number[];
  readonly #planApart: () => Plan;
  /** The guards of its weights; none where it updates none. */
  readonly #guards: readonly Guard[];
  /** The last replay that began. */
  #replays: Promise<unknown> = Promise.resolve();
  #ran = false;
  #disposed = false;

  /**
   * @param making whether a guard's state is new on the device; the same plan with a kernel call for every op
   * @internal
   */
  constructor(
    device: Device,
    plan: Plan,
    kernels: ReadonlyMap<string, CompiledKernel>,
    making: { readonly fresh: (guard: Guard) => boolean; readonly apart: () => Plan },
  ) {
    this.device = device;
    this.plan = plan;
    this.#guards = plan.guard?.guards ?? [];
    this.#planApart = making.apart;
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
      const label = `uniforms of ${uniforms.offsets.size} kernel calls`;
      checkBuffer(label, uniforms.bytes.byteLength, device.gpu.limits.maxBufferSize, FEWER_CALLS);
      this.#uniforms = buffer(label, uniforms.bytes.byteLength, USAGE.uniform | USAGE.copyTarget);
      device.gpu.queue.writeBuffer(this.#uniforms, 0, uniforms.bytes);
      this.#writeConstants();
      const bufferOf = (place: Place): GPUBuffer => this.#bufferOf(place);
      this.#calls = bindCalls(device, plan, { kernels, buffer: this.#uniforms, offsets: uniforms.offsets, bufferOf });
    } catch (error) {
      for (const own of made) device.free(own);
      throw error;
    }
    this.#cuts = cutsOf(this.#calls);
    for (const guard of this.#guards) guard.join(this, making.fresh(guard));
  }

  /** The kernel calls of a run, in order. @internal */
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
   * @throws FeedError for a missing, unknown or unfit feed, before anything is written; NonFiniteError once a read has found
   *   that an earlier step was not finite, until `clearGuard`
   */
  async run(feeds: Feeds = {}): Promise<void> {
    this.#check();
    if (this.#raised !== undefined) throw await this.#raised;
    const checked = checkFeeds(this.plan, feeds);
    const kept = this.#guards.length > 0 || this.device.busy;
    const data = kept ? checked.map((each) => each.slice()) : checked;
    await this.device.step(() => this.#submit(data));
    if (this.#raised !== undefined) throw await this.#raised;
  }

  #submit(data: readonly Data[]): void {
    this.#check();
    if (this.#raised !== undefined) return;
    this.#write(data);
    for (const variable of this.plan.changes) variable.changed();
    const { queue } = this.device.gpu;
    let next = 0;
    for (const cut of this.#cuts) {
      const encoder = this.device.gpu.createCommandEncoder();
      const pass = encoder.beginComputePass();
      encodeCalls(pass, this.#calls, next, cut);
      next = cut;
      pass.end();
      queue.submit([encoder.finish()]);
    }
    this.#ran = true;
    const run = this.#keep(data);
    for (const guard of this.#guards) guard.ran(run);
  }

  /**
   * The value of an output after the last run.
   * @throws OptionError for a name that is none, or before any run; NonFiniteError where a step since the last read would have
   *   made weights NaN or infinite: it tells which, and names the first tensor that was not finite
   */
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
    const part = { buffer: this.#bufferOf(place), offset: place.offset, bytes: 4 * tensor.size };
    const bytes = need((await this.#look([part], what))[0], 'bytes');
    return tensor.dtype === 'u32' ? new Uint32Array(bytes) : new Float32Array(bytes);
  }

  /**
   * Looks at the guard of the weights, as every `read` does by the way: before a checkpoint, or where there is no output.
   * @throws NonFiniteError as `read` does
   */
  async checkGuard(): Promise<void> {
    this.#check();
    if (this.#guards.length > 0) await this.#look([], 'the guard of the weights');
  }

  /**
   * Goes on after a NonFiniteError: the runs from now on train again, from weights, moments and counters as they were before
   * the step that was not finite. That step, and those that were submitted after it, did nothing. To be called once the cause
   * is mended: a lower learning rate, another batch.
   */
  async clearGuard(): Promise<void> {
    this.#check();
    await Promise.all(this.#guards.map((guard) => guard.clear()));
    this.#ran &&= this.#guards.length === 0;
  }

  /** Reads parts of buffers, and with them, in the same copy, the states of the guards. */
  async #look(parts: readonly BufferPart[], what: string): Promise<readonly ArrayBuffer[]> {
    if (this.#raised !== undefined) throw await this.#raised;
    const guards = this.#guards.map((guard) => ({ guard, clears: guard.clears }));
    const states = this.#guards.map(({ state }) => ({ buffer: this.device.storageOf(state), offset: 0, bytes: 16 }));
    const read = await this.device.readParts([...parts, ...states], what);
    guards.forEach(({ guard, clears }, i) => {
      guard.seen(new Uint32Array(at(read, parts.length + i)), clears);
    });
    if (this.#raised !== undefined) throw await this.#raised;
    return read;
  }

  /** Why nothing more is computed or read, as soon as it is known that a guard is up. */
  get #raised(): Promise<NonFiniteError> | undefined {
    return this.#guards.find(({ raised }) => raised !== undefined)?.raised;
  }

  /** What the guards keep of a run. */
  #keep(data: readonly Data[]): KeptRun {
    return {
      data,
      isThere: () => !this.#disposed,
      explain: (step) => {
        // One after the other: several guards may ask, and replays share memory.
        const own = this.#replays.then(() => this.#explain(step, data));
        this.#replays = own.catch(() => undefined);
        return own;
      },
    };
  }

  async #explain(step: number, data: readonly Data[]): Promise<NonFiniteError> {
    const replayed = await this.#apart();
    try {
      return await explainRun(step, replayed.#replay(data));
    } finally {
      if (replayed !== this) replayed.dispose();
    }
  }

  #replay(data: readonly Data[]): Replay {
    return {
      device: this.device,
      plan: this.plan,
      calls: this.#calls,
      data,
      bufferOf: (place) => this.#bufferOf(place),
      check: () => this.#check(),
      restart: () => this.#restart(data),
    };
  }

  /** The same program with a kernel call, and memory, for every op; itself where that is the same, or too large. */
  async #apart(): Promise<Program> {
    const plan = this.#planApart();
    if (dispatchesOf(plan).length === dispatchesOf(this.plan).length) return this;
    try {
      return await build(this.device, plan, () => plan);
    } catch (error) {
      if (error instanceof LimitError) return this;
      throw error;
    }
  }

  /** All memory as if nothing had ever run, but for the Variables; and the feeds of a run. */
  #restart(data: readonly Data[]): void {
    this.#check();
    const encoder = this.device.gpu.createCommandEncoder();
    for (const slot of this.#slots) encoder.clearBuffer(slot);
    this.device.gpu.queue.submit([encoder.finish()]);
    this.#writeConstants();
    this.#write(data);
  }

  /**
   * Times every kernel call of a step, in passes of their own. Variables come out as they went in.
   * @throws FeedError as `run` does
   */
  async profile(feeds: Feeds = {}): Promise<Profile> {
    this.#check();
    if (this.#raised !== undefined) throw await this.#raised;
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
    for (const guard of this.#guards) guard.leave(this);
  }

  /** `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  #writeConstants(): void {
    for (const { place, values } of this.plan.constants) {
      const data = typeof values === 'number' ? new Float32Array(place.bytes / 4).fill(values) : values;
      this.device.gpu.queue.writeBuffer(this.#bufferOf(place), place.offset, data as Data & { buffer: ArrayBuffer });
    }
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
}
