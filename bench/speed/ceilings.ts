// The ceilings of an adapter, measured by kernels that do nothing else: multiply-adds in registers, copies, dependent calls.
//
// Always: several ways are tried and the best counts, for a ceiling is what the adapter can do; the kernels are written here
// because they belong to no op. Times are the host's, over enough work to make a submit count for nothing.
// Not here: what is held against the ceilings (kernels.ts).

import { type Device, USAGE } from '../../engine/device.ts';
import { at } from '../../engine/errors.ts';

/** A bandwidth at one size. */
export interface CopyCeiling {
  /** Read, and as many written. */
  readonly bytes: number;
  /** Both together. */
  readonly bytesPerSecond: number;
  readonly way: string;
}

/** What the adapter can do. */
export interface Ceilings {
  /** f32 multiply-adds in registers; each is two operations. */
  readonly arithmetic: { readonly operationsPerSecond: number; readonly way: string };
  /** By size, the smallest first. */
  readonly copy: readonly CopyCeiling[];
  /** Milliseconds from one call to the next that depends on it, in one pass. */
  readonly dispatch: { readonly one: number; readonly sixtyFour: number };
  /** All that was tried. */
  readonly tried: readonly { readonly way: string; readonly rate: number }[];
}

const WORKGROUP = 64;
const COPY_WORKGROUP = 128;
const TURNS = 256;
const UNROLLED = 4;
const LEAST_MILLISECONDS = 25;
const MIB = 2 ** 20;

/** Measures the ceilings: a few seconds. @param quick one way each and small sizes, for tests */
export async function measureCeilings(
  device: Device,
  quick = false,
  onTry = (_way: string): void => {},
): Promise<Ceilings> {
  const tried: { way: string; rate: number }[] = [];
  const bench = new Bench(device);
  const attempt = async (way: string, work: number, source: string, groups: number, buffers: number[]) => {
    onTry(way);
    const rate = (1000 * work) / (await bench.time(source, groups, buffers, quick ? 1 : 3));
    tried.push({ way, rate });
    return { way, rate };
  };
  const best = (results: readonly { way: string; rate: number }[]): { way: string; rate: number } =>
    results.reduce((a, b) => (b.rate > a.rate ? b : a));

  const groups = quick ? 8 : device.adapter.software ? 512 : 8192;
  const chains: readonly (readonly [string, number])[] = quick
    ? [['f32', 4]]
    : [
        ...[4, 8, 12, 16].map((count) => ['f32', count] as const),
        ...[2, 4, 6, 8].map((count) => ['vec4f', count] as const),
      ];
  const arithmetic: { way: string; rate: number }[] = [];
  for (const [type, count] of chains) {
    const width = type === 'f32' ? 1 : 4;
    const operations = 2 * width * count * TURNS * UNROLLED * WORKGROUP * groups;
    for (const fused of [false, true]) {
      const way = `${count} chains of ${type}${fused ? ', fma' : ''}`;
      const invocations = WORKGROUP * groups;
      arithmetic.push(
        await attempt(way, operations, multiplyAdds(type, count, fused), groups, [1024, 4 * width * invocations]),
      );
    }
  }
  const copy: CopyCeiling[] = [];
  for (const bytes of quick ? [MIB / 4] : [MIB, 8 * MIB, 64 * MIB]) {
    const ways: { way: string; rate: number }[] = [];
    for (const each of quick ? [4] : [1, 4, 8]) {
      for (const apart of each === 1 ? [true] : [true, false]) {
        const way = `copy of ${bytes / MIB} MiB, ${each} vec4 a thread${apart ? '' : ', side by side'}`;
        const source = copies(each, apart);
        ways.push(await attempt(way, 2 * bytes, source, bytes / 16 / each / COPY_WORKGROUP, [bytes, bytes]));
      }
    }
    const { way, rate } = best(ways);
    copy.push({ bytes, bytesPerSecond: rate, way });
  }
  const one = 1000 / (await attempt('a dependent call of 1 workgroup', 1, INCREMENT, 1, [1024])).rate;
  const sixtyFour = 1000 / (await attempt('a dependent call of 64 workgroups', 1, INCREMENT, 64, [64 * 256])).rate;
  const { way, rate } = best(arithmetic);
  bench.dispose();
  return { arithmetic: { operationsPerSecond: rate, way }, copy, dispatch: { one, sixtyFour }, tried };
}

/** The bandwidth of the copy whose size is nearest to what a call binds. */
export function copyCeilingFor({ copy }: Ceilings, bytesOfCall: number): number {
  const distance = ({ bytes }: CopyCeiling): number => Math.abs(Math.log((2 * bytes) / Math.max(1, bytesOfCall)));
  return copy.reduce((a, b) => (distance(b) < distance(a) ? b : a), at(copy, 0)).bytesPerSecond;
}

/** Chains of multiply-adds that do not depend on each other; what they start from is known at run time only. */
function multiplyAdds(type: string, count: number, fused: boolean): string {
  const chains = Array.from({ length: count }, (_, i) => `c${i}`);
  const turn = chains
    .map((c) => (fused ? `${c} = fma(${c}, factor, term);` : `${c} = ${c} * factor + term;`))
    .join(' ');
  return `
@group(0) @binding(0) var<storage, read> start: array<f32>;
@group(0) @binding(1) var<storage, read_write> result: array<${type}>;
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let factor = ${type}(0.5 + start[id.x & 63u]);
  let term = ${type}(0.25 + start[(id.x + 1u) & 63u]);
  ${chains.map((c, i) => `var ${c} = ${type}(${i + 1}.0) + term;`).join('\n  ')}
  for (var turn = 0u; turn < ${TURNS}u; turn++) {
    ${Array.from({ length: UNROLLED }, () => turn).join('\n    ')}
  }
  result[id.x] = ${chains.join(' + ')};
}`;
}

/** Each thread copies some vec4: a workgroup apart from each other, or side by side. */
function copies(each: number, apart: boolean): string {
  const lines = Array.from({ length: each }, (_, i) => {
    const index = apart
      ? `group.x * ${COPY_WORKGROUP * each}u + ${i * COPY_WORKGROUP}u + local.x`
      : `(group.x * ${COPY_WORKGROUP}u + local.x) * ${each}u + ${i}u`;
    return `  let i${i} = ${index};\n  let v${i} = start[i${i}];`;
  });
  const stores = Array.from({ length: each }, (_, i) => `  result[i${i}] = v${i};`);
  return `
@group(0) @binding(0) var<storage, read> start: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> result: array<vec4f>;
@compute @workgroup_size(${COPY_WORKGROUP})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
${lines.join('\n')}
${stores.join('\n')}
}`;
}

const INCREMENT = `
@group(0) @binding(0) var<storage, read_write> result: array<f32>;
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(global_invocation_id) id: vec3u) {
  result[id.x] = result[id.x] + 1.0;
}`;

/** Times kernels on a device, without the engine's programs. */
class Bench {
  readonly #device: Device;
  readonly #buffers = new Map<string, GPUBuffer>();

  constructor(device: Device) {
    this.#device = device;
  }

  /** Milliseconds of one call: the least of some repeats of a pass with as many calls as make it long enough. */
  async time(source: string, groups: number, bytes: readonly number[], repeats: number): Promise<number> {
    const { gpu } = this.#device;
    const module = gpu.createShaderModule({ code: source });
    const pipeline = await gpu.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
    const entries = bytes.map((size, binding) => ({ binding, resource: { buffer: this.#buffer(binding, size) } }));
    const group = gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
    const pass = async (calls: number): Promise<number> => {
      const encoder = gpu.createCommandEncoder();
      const made = encoder.beginComputePass();
      made.setPipeline(pipeline);
      made.setBindGroup(0, group);
      for (let call = 0; call < calls; call++) made.dispatchWorkgroups(groups);
      made.end();
      const commands = encoder.finish();
      const began = performance.now();
      gpu.queue.submit([commands]);
      await this.#device.idle();
      return performance.now() - began;
    };
    let calls = 1;
    let last = await pass(calls);
    last = await pass(calls);
    while (last < LEAST_MILLISECONDS && calls < 2 ** 16) {
      calls = Math.ceil(calls * Math.min(16, Math.max(2, (1.2 * LEAST_MILLISECONDS) / last)));
      last = await pass(calls);
    }
    for (let repeat = 1; repeat < repeats; repeat++) last = Math.min(last, await pass(calls));
    return last / calls;
  }

  dispose(): void {
    for (const buffer of this.#buffers.values()) this.#device.free(buffer);
    this.#buffers.clear();
  }

  #buffer(binding: number, size: number): GPUBuffer {
    const key = `${binding}/${size}`;
    const known = this.#buffers.get(key);
    if (known !== undefined) return known;
    const made = this.#device.buffer(`ceiling ${key}`, size, USAGE.storage);
    this.#buffers.set(key, made);
    return made;
  }
}
