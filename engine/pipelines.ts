// The pipelines of a device, one for each final source: a compile in flight is shared, a failed one is forgotten, so that it
// can be tried again. The layout of a kernel's bind group is written out, the same for all of its specialisations.
// Not here: sources (kernels/kernel.ts), and which kernels a program needs (program.ts).

import type { Kernel } from '../kernels/kernel.ts';
import { DeviceError } from './errors.ts';
import { outOfMemory } from './limits.ts';
import { reasonOf, scoped } from './scopes.ts';

const COMPUTE_STAGE = 4;

/** A pipeline and the layout of its bind group. */
export interface CompiledKernel {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** What pipelines need of the device that they belong to. */
interface Owner {
  readonly gpu: GPUDevice;
  /** @throws DeviceError where the device is unusable */
  check(): void;
  until<T>(promise: Promise<T>): Promise<T>;
  loss(): Promise<unknown>;
  memory(): { readonly bytes: number };
}

/** The pipelines of a device. */
export class Pipelines {
  readonly #owner: Owner;
  readonly #ofSource = new Map<string, Promise<CompiledKernel>>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  #made = 0;

  constructor(owner: Owner) {
    this.#owner = owner;
  }

  /** How many were compiled. */
  get made(): number {
    return this.#made;
  }

  /**
   * The pipeline of a specialised kernel, compiled once per source.
   * @throws DeviceError where it does not compile; LimitError where memory is exhausted
   */
  of(kernel: Kernel, source: string): Promise<CompiledKernel> {
    const known = this.#ofSource.get(source);
    if (known !== undefined) return known;
    const compiling = this.#compile(kernel, source);
    this.#ofSource.set(source, compiling);
    return compiling;
  }

  async #compile(kernel: Kernel, source: string): Promise<CompiledKernel> {
    const { gpu } = this.#owner;
    // What is wrong with the source rejects the pipeline; the scopes keep it from being reported a second time.
    const { made, reports } = scoped(gpu, () => {
      const layout = this.#layoutOf(kernel);
      const module = gpu.createShaderModule({ label: kernel.name, code: source });
      const compiling = gpu.createComputePipelineAsync({
        label: kernel.name,
        layout: gpu.createPipelineLayout({ label: kernel.name, bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: 'main' },
      });
      return { layout, module, compiling };
    });
    this.#made++;
    try {
      if ('error' in made) throw made.error;
      return { pipeline: await this.#owner.until(made.result.compiling), layout: made.result.layout };
    } catch (cause) {
      const { invalid, exhausted } = await this.#owner.until(reports);
      this.#ofSource.delete(source);
      this.#layouts.delete(kernel.name);
      await this.#owner.loss();
      this.#owner.check();
      if (exhausted !== null) {
        const { bytes } = this.#owner.memory();
        throw outOfMemory(`the kernel ${kernel.name}`, 'its pipeline', bytes, exhausted.message, cause);
      }
      const info =
        'error' in made
          ? undefined
          : await this.#owner.until(made.result.module.getCompilationInfo().catch(() => undefined));
      const lines = (info?.messages ?? []).map(
        ({ lineNum, linePos, message }) => `${kernel.name}.wgsl:${lineNum}:${linePos} ${message}`,
      );
      const detail = lines.join('\n') || invalid?.message || reasonOf(cause);
      throw new DeviceError(
        `the kernel ${kernel.name} did not compile on this device:\n${detail}\nFree memory or update the driver, and report it if it stays`,
        { cause },
      );
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
    const layout = this.#owner.gpu.createBindGroupLayout({
      label: kernel.name,
      entries: [{ binding: 0, visibility: COMPUTE_STAGE, buffer: { type: 'uniform' } }, ...storage],
    });
    this.#layouts.set(kernel.name, layout);
    return layout;
  }
}
