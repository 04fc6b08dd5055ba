// A plan's kernel calls on a device: the pipelines of its kernels, and a bind group for every call, loops unrolled.
//
// Always: everything is made here, once, at compile; a run makes nothing. A call in a loop whose places stand still is made once and
// shared by all steps. Not here: the memory that is bound (program.ts), and how calls are encoded (calls.ts).

import type { Call } from './calls.ts';
import type { Device } from './device.ts';
import { need } from './errors.ts';
import type { CompiledKernel } from './pipelines.ts';
import { type Dispatch, dispatchesOf, isLoop, type Place, type Plan } from './plan.ts';

/** What calls are bound to. */
interface Bound {
  /** By the source of a kernel. */
  readonly kernels: ReadonlyMap<string, CompiledKernel>;
  /** The uniforms of all calls, and where each call's begin. */
  readonly buffer: GPUBuffer;
  readonly offsets: ReadonlyMap<Dispatch, number>;
  bufferOf(place: Place): GPUBuffer;
}

/** The pipelines of a plan, by the sources of its kernels. */
export async function compileKernels(
  device: Device,
  plan: Plan,
  onProgress?: (done: number, total: number) => void,
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

/** The calls of a plan in order, loops unrolled: only references, the pipelines and bind groups are shared. */
export function bindCalls(device: Device, plan: Plan, bound: Bound): Call[] {
  const calls: Call[] = [];
  for (const item of plan.items) {
    if (!isLoop(item)) {
      calls.push(bindCall(device, item, 0, bound));
      continue;
    }
    const still = item.body.map((dispatch) =>
      dispatch.buffers.some(({ place }) => place.step !== 0) ? undefined : bindCall(device, dispatch, 0, bound),
    );
    for (let i = 0; i < item.steps; i++) {
      const t = item.reverse ? item.steps - 1 - i : i;
      item.body.forEach((dispatch, k) => {
        calls.push(still[k] ?? bindCall(device, dispatch, t, bound));
      });
    }
  }
  return calls;
}

/** One call, in a loop at step `t`. */
function bindCall(device: Device, dispatch: Dispatch, t: number, { kernels, buffer, offsets, bufferOf }: Bound): Call {
  const { pipeline, layout } = need(kernels.get(dispatch.source), `the pipeline of ${dispatch.kernel.name}`);
  const uniforms = { buffer, offset: need(offsets.get(dispatch), 'uniforms'), size: dispatch.uniforms.byteLength };
  const group = device.bindGroup(layout, [
    { binding: 0, resource: uniforms },
    ...dispatch.buffers.map(({ binding, place }) => ({
      binding,
      resource: { buffer: bufferOf(place), offset: place.offset + t * place.step, size: place.bytes },
    })),
  ]);
  return { dispatch, pipeline, group };
}
