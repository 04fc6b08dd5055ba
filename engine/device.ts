// The device: what the engine keeps of one WebGPU device.
//
// It owns the pipelines (pipelines.ts), the storage of Variables, the staging buffers of reads, the count of bytes, and the bound on
// steps in flight. Whatever WebGPU reports outside of a call (health.ts) rejects the next call that the user awaits; nothing is
// only logged.
// It destroys what it made: the GPUDevice itself only where it opened it. It touches no global: the runtime's entry
// point (index.ts, node.ts) gives it the GPU object.

import type { Kernel } from '../kernels/kernel.ts';
import { at, DeviceError, type DeviceLostError, formatShape, need } from './errors.ts';
import { Health } from './health.ts';
import { checkBuffer, formatBytes, outOfMemory } from './limits.ts';
import { type CompiledKernel, Pipelines } from './pipelines.ts';
import { type Reports, reasonOf, scoped } from './scopes.ts';
import { batchesOf, copied } from './staging.ts';
import { type Tuning, untuned } from './tuning.ts';
import type { Data, Variable } from './variable.ts';

/** WebGPU's usage flags, which some runtimes do not have as globals. */
export const USAGE = {
  mapRead: 1,
  copySource: 4,
  copyTarget: 8,
  uniform: 64,
  storage: 128,
  queryResolve: 512,
} as const;
const MAP_READ = 1;

/** Steps that may be on their way to the GPU before `run` waits. */
const IN_FLIGHT = 3;

/** What an adapter says of itself. */
export interface AdapterDescription {
  /** Such as 'nvidia'; may be empty, as the next ones. */
  readonly vendor: string;
  /** Such as 'ampere'. */
  readonly architecture: string;
  /** The vendor's number of it. */
  readonly device: string;
  /** In words, where the runtime tells. */
  readonly description: string;
  /** True where the adapter says that it is a software implementation. */
  readonly software: boolean;
}

/** Bytes of device memory that this library holds. */
export interface Memory {
  /** Now. */
  readonly bytes: number;
  /** The most that it was. */
  readonly peak: number;
  /** Of these, the storage of Variables. */
  readonly variables: number;
  /** How many buffers that is. */
  readonly buffers: number;
}

/** How many WebGPU objects were made since the device was opened: a running program makes none. */
export interface Created {
  /** Buffers. */
  readonly buffers: number;
  /** Bind groups. */
  readonly bindGroups: number;
  /** Compute pipelines. */
  readonly pipelines: number;
  /** Sets of timestamps, which only `profile` makes. */
  readonly querySets: number;
}

/** Bytes of a buffer that are read. Offset and length are multiples of 4. */
export interface BufferPart {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly bytes: number;
}

/** One WebGPU device and what the engine keeps on it. Made by `openDevice`. */
export class Device {
  /** The WebGPU device itself. */
  readonly gpu: GPUDevice;
  /** What it runs on. */
  readonly adapter: AdapterDescription;
  /** The size of subgroups where they may be used and all have one size, else 0. */
  readonly subgroupSize: number;
  /** Which kernels its products take. */
  readonly tuning: Tuning;
  readonly #owned: boolean;
  readonly #pipelines: Pipelines;
  readonly #variables = new Map<Variable, GPUBuffer>();
  readonly #staging: GPUBuffer[] = [];
  readonly #live = new Set<GPUBuffer>();
  readonly #created = { buffers: 0, bindGroups: 0, querySets: 0 };
  /** Steps on their way to the GPU, and those that wait for one of them to land, in order. */
  #flying = 0;
  readonly #waiting: (() => void)[] = [];
  /** The last `guarded` that began. */
  #guard: Promise<unknown> = Promise.resolve();
  #bytes = 0;
  #peak = 0;
  readonly #health: Health;
  #disposed = false;

  /** @internal */
  constructor(
    gpu: GPUDevice,
    adapter: AdapterDescription,
    subgroupSize: number,
    owned: boolean,
    tuning: Tuning = untuned(adapter),
  ) {
    this.gpu = gpu;
    this.adapter = adapter;
    this.subgroupSize = subgroupSize;
    this.tuning = tuning;
    this.#owned = owned;
    this.#pipelines = new Pipelines(this);
    this.#health = new Health(gpu, owned, () => this.#wake());
  }

  /** What the library holds on the device. */
  memory(): Memory {
    let variables = 0;
    for (const buffer of this.#variables.values()) variables += buffer.size;
    return { bytes: this.#bytes, peak: this.#peak, variables, buffers: this.#live.size };
  }

  /** Counts of the WebGPU objects made so far. */
  created(): Created {
    return { ...this.#created, pipelines: this.#pipelines.made };
  }

  /** @throws DeviceError where the device was lost, disposed of, or reported an error: then it stays unusable */
  check(): void {
    this.#health.check();
  }

  /** Asked after a failure of whatever kind: the loss of the device that it came from, if it did. Takes a moment where it is not known. @internal */
  loss(): Promise<DeviceLostError | undefined> {
    return this.#health.loss();
  }

  /** As `promise`, unless the device goes first. @throws DeviceError, and what the promise rejects with @internal */
  until<T>(promise: Promise<T>): Promise<T> {
    return this.#health.until(promise);
  }

  /** A buffer that is counted. @throws LimitError over the largest size the device takes, or where there is no memory @internal */
  buffer(label: string, bytes: number, usage: number): GPUBuffer {
    const size = Math.max(16, Math.ceil(bytes / 16) * 16);
    checkBuffer(label, size, this.gpu.limits.maxBufferSize);
    let buffer: GPUBuffer;
    try {
      buffer = this.gpu.createBuffer({ label, size, usage });
    } catch (cause) {
      throw outOfMemory(label, `a buffer of ${formatBytes(size)}`, this.#bytes, reasonOf(cause), cause);
    }
    this.#created.buffers++;
    this.#live.add(buffer);
    this.#bytes += size;
    this.#peak = Math.max(this.#peak, this.#bytes);
    return buffer;
  }

  /** Destroys a buffer made by `buffer`. @internal */
  free(buffer: GPUBuffer): void {
    if (!this.#live.delete(buffer)) return;
    this.#bytes -= buffer.size;
    buffer.destroy();
  }

  /** The pipeline of a specialised kernel, compiled once per source. @internal */
  pipeline(kernel: Kernel, source: string): Promise<CompiledKernel> {
    return this.#pipelines.of(kernel, source);
  }

  /** A bind group: uniforms at binding 0, storage behind. @internal */
  bindGroup(layout: GPUBindGroupLayout, entries: readonly GPUBindGroupEntry[]): GPUBindGroup {
    this.#created.bindGroups++;
    return this.gpu.createBindGroup({ layout, entries: [...entries] });
  }

  /** A set of timestamps. @internal */
  querySet(count: number): GPUQuerySet {
    this.#created.querySets++;
    return this.gpu.createQuerySet({ type: 'timestamp', count });
  }

  /** True for a Variable whose value is on this device. @internal */
  holds(variable: Variable): boolean {
    return variable.livesOn(this);
  }

  /** Puts the value of a Variable into storage on this device, where it is not there yet. @internal */
  settle(variable: Variable): void {
    variable.settle(this, (home) => {
      const usage = USAGE.storage | USAGE.copySource | USAGE.copyTarget;
      const what = `variable ${home.name} ${formatShape(home.shape)}`;
      const buffer = this.buffer(what, 4 * home.size, usage);
      this.#variables.set(home, buffer);
      return {
        owner: this,
        write: (offset, data) => {
          this.gpu.queue.writeBuffer(buffer, 4 * offset, data as Data & { buffer: ArrayBuffer });
        },
        read: (variables) => this.#readVariables(variables),
        dispose: () => {
          this.#variables.delete(home);
          this.free(buffer);
        },
      };
    });
  }

  /** The storage of a Variable that is on this device: that of its home, where it lies from an offset on. @internal */
  storageOf({ home: { variable } }: Variable): GPUBuffer {
    return need(this.#variables.get(variable), `the storage of ${variable.name}`);
  }

  /**
   * Values of Variables here, all as they are now. Of several at once the staging buffers are freed again: they are as large as
   * all values together, and a checkpoint is rare.
   */
  async #readVariables(variables: readonly Variable[]): Promise<readonly ArrayBuffer[]> {
    const parts = variables.map((each): BufferPart => {
      return { buffer: this.storageOf(each), offset: 4 * each.home.offset, bytes: 4 * each.size };
    });
    const { variable: home } = at(variables, 0).home;
    if (parts.length === 1) return this.readParts(parts, `variable ${home.name} ${formatShape(home.shape)}`);
    const what = `the values of ${parts.length} Variables`;
    // All are submitted before any is awaited: what is run from now on is in none of them.
    const reads = batchesOf(parts).map((batch) => this.readParts(batch, what, { keep: false }));
    return (await Promise.all(reads)).flat();
  }

  /** Bytes of a buffer, as `readParts` reads them. @internal */
  async read(buffer: GPUBuffer, offset: number, bytes: number, what: string): Promise<ArrayBuffer> {
    return at(await this.readParts([{ buffer, offset, bytes }], what), 0);
  }

  /**
   * Bytes of several buffers, as they are after what was submitted so far: one submit, by way of one staging buffer that is
   * used again. The submit is made before the call returns.
   * @param what what is read, for messages
   * @param options `keep`: false for a staging buffer of its own, freed after the read
   * @throws LimitError where there is no memory for it; DeviceError where the device does not give it
   * @internal
   */
  async readParts(
    parts: readonly BufferPart[],
    what: string,
    { keep = true }: { readonly keep?: boolean } = {},
  ): Promise<readonly ArrayBuffer[]> {
    this.check();
    const total = parts.reduce((sum, { bytes }) => sum + bytes, 0);
    let staging = keep ? this.#freeStaging(total) : undefined;
    const held = this.#bytes;
    const { made, reports } = scoped(this.gpu, () => {
      staging ??= this.buffer(`reading ${what}`, total, USAGE.mapRead | USAGE.copyTarget);
      const encoder = this.gpu.createCommandEncoder({ label: 'read' });
      let end = 0;
      for (const { buffer, offset, bytes } of parts) {
        encoder.copyBufferToBuffer(buffer, offset, staging, end, bytes);
        end += bytes;
      }
      this.gpu.queue.submit([encoder.finish()]);
      return { staging, mapped: staging.mapAsync(MAP_READ, 0, total) };
    });
    try {
      if ('error' in made) throw made.error;
      const [mapped] = await this.until(Promise.allSettled([made.result.mapped]));
      await this.#refuse(`reading ${what}`, reports, () => `a staging buffer of ${formatBytes(total)}`, held);
      if (mapped.status === 'rejected') {
        await this.loss();
        this.check();
        throw new DeviceError(
          `reading ${what}: the device did not give back the data (${reasonOf(mapped.reason)}); read it again, or open a new device and load the last checkpoint`,
          { cause: mapped.reason },
        );
      }
      const copies = copied(made.result.staging, parts, what);
      made.result.staging.unmap();
      if (keep) this.#staging.push(made.result.staging);
      else this.free(made.result.staging);
      this.check();
      return copies;
    } catch (error) {
      if (staging !== undefined) this.free(staging);
      throw error;
    }
  }

  /** True where a step that is submitted now has to wait for another to land. @internal */
  get busy(): boolean {
    return this.#flying >= IN_FLIGHT;
  }

  /** Carries out `work`, which submits one step, as soon as fewer than three are in flight, in the order of the calls. @internal */
  async step(work: () => void): Promise<void> {
    this.check();
    if (!this.busy) this.#flying++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      this.check();
      work();
    } catch (error) {
      this.#land();
      throw error;
    }
    void this.gpu.queue
      .onSubmittedWorkDone()
      .catch(() => undefined)
      .then(() => this.#land());
  }

  /** A step has landed: the next that waits takes its place. */
  #land(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#flying--;
    else next();
  }

  /** Nothing will land any more: whoever waits is to find out why. */
  #wake(): void {
    for (const next of this.#waiting.splice(0)) next();
  }

  /** Resolves when everything submitted so far has been carried out. */
  async idle(): Promise<void> {
    this.check();
    const done = this.gpu.queue.onSubmittedWorkDone();
    const ended = await this.until(done.catch((cause: unknown) => ({ cause })));
    if (ended !== undefined) await this.loss();
    this.check();
    if (ended !== undefined) {
      throw new DeviceError(
        `the device did not end its work (${reasonOf(ended.cause)}); open a new one and load the last checkpoint`,
        ended,
      );
    }
  }

  /**
   * Runs `make`, which may create WebGPU objects, and rejects with what WebGPU reports of it, after `undo` has freed what was
   * made; one at a time, so that nobody builds on what is undone. It must not wait: the scopes that catch the errors
   * belong to whatever is called while they are open.
   * @param asked what is asked of the device, for the message that it has no memory
   * @throws LimitError where memory is exhausted; DeviceError for a validation error
   * @internal
   */
  async guarded<T>(what: string, make: () => T, undo: () => void, asked: () => string): Promise<T> {
    const own = this.#guard.then(async () => {
      this.check();
      const held = this.#bytes;
      const { made, reports } = scoped(this.gpu, make);
      try {
        await this.#refuse(what, reports, asked, held);
        if ('error' in made) throw made.error;
        return made.result;
      } catch (error) {
        undo();
        throw error;
      }
    });
    this.#guard = own.catch(() => undefined);
    return own;
  }

  /** @throws LimitError or DeviceError for what WebGPU reported */
  async #refuse(what: string, reports: Promise<Reports>, asked: () => string, held: number): Promise<void> {
    const { invalid, exhausted } = await this.until(reports);
    if (invalid !== null || exhausted !== null) await this.loss();
    this.check();
    if (exhausted !== null) throw outOfMemory(what, asked(), held, exhausted.message);
    if (invalid !== null) {
      throw new DeviceError(`${what}: WebGPU refused it: ${invalid.message}; please report it, with the device`);
    }
  }

  /** Frees everything made on the device, values that programs gave to Variables too; destroys it where `openDevice` opened it. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const variable of this.#variables.keys()) variable.unsettle();
    for (const buffer of this.#live) buffer.destroy();
    this.#live.clear();
    this.#variables.clear();
    this.#bytes = 0;
    if (this.#owned) this.gpu.destroy();
    this.#health.end();
  }

  /** `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Takes the smallest free staging buffer that holds `bytes`. */
  #freeStaging(bytes: number): GPUBuffer | undefined {
    let best = -1;
    this.#staging.forEach(({ size }, i) => {
      if (size >= bytes && (best < 0 || size < at(this.#staging, best).size)) best = i;
    });
    return best < 0 ? undefined : this.#staging.splice(best, 1)[0];
  }
}
