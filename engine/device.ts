// The device: what the engine keeps of one WebGPU device.
//
// It owns the pipelines (by final source, a compile in flight is shared), the storage of Variables, the staging buffers of
// reads, the count of bytes, and the bound on steps in flight. Whatever WebGPU reports outside of a call (health.ts) rejects the
// next call that the user awaits; nothing is only logged.
// It destroys what it made: the GPUDevice itself only where it opened it. It touches no global: the runtime's entry
// point (index.ts, node.ts) gives it the GPU object.

import type { Kernel } from '../kernels/kernel.ts';
import { at, DeviceError, type DeviceLostError, LimitError, need } from './errors.ts';
import { Health } from './health.ts';
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
const COMPUTE_STAGE = 4;

/** Steps that may be on their way to the GPU before `run` waits. */
const IN_FLIGHT = 3;

/** What an adapter says of itself. */
export interface AdapterDescription {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  /** True where the adapter says that it is a software implementation. */
  readonly software: boolean;
}

/** Bytes of device memory that this library holds. */
export interface Memory {
  readonly bytes: number;
  readonly peak: number;
  /** Of these, the storage of Variables. */
  readonly variables: number;
  readonly buffers: number;
}

/** How many WebGPU objects were made since the device was opened: a running program makes none. */
export interface Created {
  readonly buffers: number;
  readonly bindGroups: number;
  readonly pipelines: number;
  readonly querySets: number;
}

/** A pipeline and the layout of its bind group. */
export interface CompiledKernel {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** One WebGPU device and what the engine keeps on it. Made by `openDevice`. */
export class Device {
  readonly gpu: GPUDevice;
  readonly adapter: AdapterDescription;
  /** The size of subgroups where they may be used and all have one size, else 0. */
  readonly subgroupSize: number;
  /** Which kernels its products take. */
  readonly tuning: Tuning;
  readonly #owned: boolean;
  readonly #pipelines = new Map<string, Promise<CompiledKernel>>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  readonly #variables = new Map<Variable, GPUBuffer>();
  readonly #staging: GPUBuffer[] = [];
  readonly #live = new Set<GPUBuffer>();
  readonly #created = { buffers: 0, bindGroups: 0, pipelines: 0, querySets: 0 };
  /** Steps on their way to the GPU, and those that wait for one of them to land, in order. */
  #flying = 0;
  readonly #waiting: (() => void)[] = [];
  #bytes = 0;
  #peak = 0;
  readonly #health: Health;
  #disposed = false;

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
    return { ...this.#created };
  }

  /** @throws DeviceError where the device was lost, disposed of, or reported an error: then it stays unusable */
  check(): void {
    this.#health.check();
  }

  /** Asked after a failure of whatever kind: the loss of the device that it came from, if it did. Takes a moment where it is not known. */
  loss(): Promise<DeviceLostError | undefined> {
    return this.#health.loss();
  }

  /** A buffer that is counted. @throws LimitError over the largest size the device takes */
  buffer(label: string, bytes: number, usage: number): GPUBuffer {
    const size = Math.max(16, Math.ceil(bytes / 16) * 16);
    if (size > this.gpu.limits.maxBufferSize) {
      throw new LimitError(
        `${label}: needs a buffer of ${size} bytes, and this device takes ${this.gpu.limits.maxBufferSize}; use a smaller batch, fewer time steps, or open the device with a larger limits.maxBufferSize`,
      );
    }
    const buffer = this.gpu.createBuffer({ label, size, usage });
    this.#created.buffers++;
    this.#live.add(buffer);
    this.#bytes += size;
    this.#peak = Math.max(this.#peak, this.#bytes);
    return buffer;
  }

  /** Destroys a buffer made by `buffer`. */
  free(buffer: GPUBuffer): void {
    if (!this.#live.delete(buffer)) return;
    this.#bytes -= buffer.size;
    buffer.destroy();
  }

  /** The pipeline of a specialised kernel, compiled once per source. */
  pipeline(kernel: Kernel, source: string): Promise<CompiledKernel> {
    const known = this.#pipelines.get(source);
    if (known !== undefined) return known;
    const compiling = this.#compile(kernel, source);
    this.#pipelines.set(source, compiling);
    return compiling;
  }

  /** A bind group: uniforms at binding 0, storage behind. */
  bindGroup(layout: GPUBindGroupLayout, entries: readonly GPUBindGroupEntry[]): GPUBindGroup {
    this.#created.bindGroups++;
    return this.gpu.createBindGroup({ layout, entries: [...entries] });
  }

  /** A set of timestamps. */
  querySet(count: number): GPUQuerySet {
    this.#created.querySets++;
    return this.gpu.createQuerySet({ type: 'timestamp', count });
  }

  /** True for a Variable whose value is on this device. */
  holds(variable: Variable): boolean {
    return variable.livesOn(this);
  }

  /** Puts the value of a Variable into storage on this device, where it is not there yet. */
  settle(variable: Variable): void {
    variable.settle(this, (home) => {
      const usage = USAGE.storage | USAGE.copySource | USAGE.copyTarget;
      const buffer = this.buffer(`variable ${home.name}`, 4 * home.size, usage);
      this.#variables.set(home, buffer);
      return {
        owner: this,
        write: (offset, data) => {
          this.gpu.queue.writeBuffer(buffer, 4 * offset, data as Data & { buffer: ArrayBuffer });
        },
        read: (offset, size) => this.read(buffer, 4 * offset, 4 * size),
        dispose: () => {
          this.#variables.delete(home);
          this.free(buffer);
        },
      };
    });
  }

  /** The storage of a Variable that is on this device: that of its home, where it lies from an offset on. */
  storageOf({ home: { variable } }: Variable): GPUBuffer {
    return need(this.#variables.get(variable), `the storage of ${variable.name}`);
  }

  /** Bytes of a buffer, by way of a staging buffer that is used again. */
  async read(buffer: GPUBuffer, offset: number, bytes: number): Promise<ArrayBuffer> {
    this.check();
    const staging = this.#freeStaging(bytes) ?? this.buffer('staging', bytes, USAGE.mapRead | USAGE.copyTarget);
    const encoder = this.gpu.createCommandEncoder({ label: 'read' });
    encoder.copyBufferToBuffer(buffer, offset, staging, 0, bytes);
    this.gpu.queue.submit([encoder.finish()]);
    try {
      await this.#health.until(staging.mapAsync(MAP_READ, 0, bytes));
      this.check();
    } catch (cause) {
      this.free(staging);
      await this.loss();
      this.check();
      throw new DeviceError('the device did not give back the data that was read', { cause });
    }
    const copy = staging.getMappedRange(0, bytes).slice(0);
    staging.unmap();
    this.#staging.push(staging);
    this.check();
    return copy;
  }

  /** True where a step that is submitted now has to wait for another to land. */
  get busy(): boolean {
    return this.#flying >= IN_FLIGHT;
  }

  /** Carries out `work`, which submits one step, as soon as fewer than three are in flight, in the order of the calls. */
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
    await this.#health.until(this.gpu.queue.onSubmittedWorkDone());
    this.check();
  }

  /**
   * Runs `make`, which may create WebGPU objects, and rejects with what WebGPU reports of it. It must not wait: the
   * scopes that catch the errors belong to whatever is called while they are open.
   * @throws DeviceError for a validation error or exhausted memory
   */
  async guarded<T>(what: string, make: () => T): Promise<T> {
    this.check();
    this.gpu.pushErrorScope('out-of-memory');
    this.gpu.pushErrorScope('validation');
    let made: { readonly result: T } | { readonly error: unknown };
    try {
      made = { result: make() };
    } catch (error) {
      made = { error };
    }
    const scopes = Promise.all([this.gpu.popErrorScope(), this.gpu.popErrorScope()]);
    const [invalid, exhausted] = await this.#health.until(scopes);
    if (invalid !== null) await this.loss();
    if ('error' in made) throw made.error;
    this.check();
    if (exhausted !== null) {
      throw new DeviceError(
        `${what}: the device is out of memory (${exhausted.message}); use a smaller batch or fewer steps`,
      );
    }
    if (invalid !== null) throw new DeviceError(`${what}: WebGPU refused it: ${invalid.message}`);
    return made.result;
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

  async #compile(kernel: Kernel, source: string): Promise<CompiledKernel> {
    // What is wrong with the source rejects the pipeline; the scope keeps it from being reported a second time.
    this.gpu.pushErrorScope('validation');
    const layout = this.#layoutOf(kernel);
    const module = this.gpu.createShaderModule({ label: kernel.name, code: source });
    const compiling = this.gpu.createComputePipelineAsync({
      label: kernel.name,
      layout: this.gpu.createPipelineLayout({ label: kernel.name, bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: 'main' },
    });
    const refused = this.gpu.popErrorScope().catch(() => null);
    this.#created.pipelines++;
    try {
      return { pipeline: await this.#health.until(compiling), layout };
    } catch (cause) {
      this.#pipelines.delete(source);
      await this.loss();
      this.check();
      const { messages } = await this.#health.until(module.getCompilationInfo());
      const lines = messages.map(
        ({ lineNum, linePos, message }) => `${kernel.name}.wgsl:${lineNum}:${linePos} ${message}`,
      );
      const detail =
        lines.join('\n') || (await refused)?.message || (cause instanceof Error ? cause.message : String(cause));
      throw new DeviceError(`the kernel ${kernel.name} did not compile on this device:\n${detail}`, { cause });
    }
  }

  #layoutOf(kernel: Kernel): GPUBindGroupLayout {
    const known = this.#layouts.get(kernel.name);
    if (known !== undefined) return known;
    const storage = Object.values(kernel.bindings).map(
      ({ binding, access }): GPUBindGroupLayoutEntry => ({
        binding,
        visibility: COMPUTE_STAGE,
        buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' },
      }),
    );
    const layout = this.gpu.createBindGroupLayout({
      label: kernel.name,
      entries: [{ binding: 0, visibility: COMPUTE_STAGE, buffer: { type: 'uniform' } }, ...storage],
    });
    this.#layouts.set(kernel.name, layout);
    return layout;
  }
}
