// A run done again, to find what was not finite first. Its calls are carried out once more, up to the guard of its updates:
// so no Variable changes, and all are as they were, for the guard held them. It has a call for every op, where memory allows (the
// program's apart). After each call a kernel looks at the tensors of
// the graph that are complete then (kernels/non-finite.wgsl), in loops at every step of time.
//
// Always: only elements of tensors are looked at, never padding or scratch; memory is cleared first, so that what a kernel
// leaves undefined is no memory of another run; a submit holds bounded work. Which of the tensors is to blame, and the words
// for it, are in blame.ts.

import { nonFinite } from '../kernels/catalogue.ts';
import { packUniforms, specialise } from '../kernels/kernel.ts';
import { blame, type Finding } from './blame.ts';
import { type Call, encodeCalls, WORK_A_SUBMIT, workOf } from './calls.ts';
import { type Device, USAGE } from './device.ts';
import { at, type NonFiniteError, need } from './errors.ts';
import { inputOf } from './ops/leaf.ts';
import type { CompiledKernel } from './pipelines.ts';
import { isLoop, type Loop, type Place, type Plan } from './plan.ts';
import type { Node, Tensor } from './tensor.ts';
import type { Data } from './variable.ts';

/** Tensors that are looked at in one submit, and calls. */
const LOOKS = 512;
const CALLS = 4096;
/** Bytes between the uniforms of two looks: the alignment of bindings. */
const UNIFORM = 256;

/** Bytes of a row of the report. */
const ROW = 16;

/** A tensor to look at, and when. */
interface Look {
  readonly scan: Node | undefined;
  readonly node: Node;
  readonly tensor: Tensor;
  readonly resource: GPUBufferBinding;
  readonly time: number | undefined;
}

/** What a replay needs of a program. */
export interface Replay {
  readonly device: Device;
  readonly plan: Plan;
  readonly calls: readonly Call[];
  /** The feeds of the run. */
  readonly data: readonly Data[];
  bufferOf(place: Place): GPUBuffer;
  /** @throws OptionError where the program was disposed of meanwhile */
  check(): void;
  /** Clears all memory, and writes constants and feeds. */
  restart(): void;
}

/** Runs a step again and tells what was not finite in it first. @param step its number */
export async function explainRun(step: number, replay: Replay): Promise<NonFiniteError> {
  const { device, plan, data } = replay;
  const looker = new Looker(device, await device.pipeline(nonFinite, specialise(nonFinite, {})), () => replay.check());
  try {
    replay.restart();
    for (const variable of plan.variables) {
      if (variable.dtype !== 'f32') continue;
      const resource = {
        buffer: device.storageOf(variable),
        offset: 4 * variable.home.offset,
        size: 4 * variable.size,
      };
      await looker.look({ scan: undefined, node: variable.node, tensor: variable, resource, time: undefined });
    }
    for (const { call, t, loop } of unrolled(plan, replay.calls)) {
      looker.call(call);
      for (const { node, tensor, place } of call.dispatch.completes) {
        if (tensor.dtype !== 'f32') continue;
        const resource = {
          buffer: replay.bufferOf(place),
          offset: place.offset + t * place.step,
          size: 4 * tensor.size,
        };
        await looker.look({ scan: loop?.scan, node, tensor, resource, time: loop && t });
      }
    }
    await looker.flush();
  } finally {
    looker.dispose();
  }
  const feeds = new Map(plan.inputs.map(({ tensor }, i) => [need(inputOf(tensor), 'an input').name, at(data, i)]));
  return blame(step, need(plan.guard, 'a guard').guarded, looker.findings, feeds);
}

/** The calls of a plan up to the guard, in order, with their steps of time. */
function* unrolled(
  plan: Plan,
  calls: readonly Call[],
): Generator<{ readonly call: Call; readonly t: number; readonly loop: Loop | undefined }> {
  let index = 0;
  for (const item of plan.items.slice(0, need(plan.guard, 'a guard').begins)) {
    if (!isLoop(item)) yield { call: at(calls, index++), t: 0, loop: undefined };
    else {
      for (let i = 0; i < item.steps; i++) {
        const t = item.reverse ? item.steps - 1 - i : i;
        for (let k = 0; k < item.body.length; k++) yield { call: at(calls, index++), t, loop: item };
      }
    }
  }
}

/** Encodes calls and looks in their order, and keeps what the looks found. */
class Looker {
  readonly findings: Map<Node | undefined, Map<Tensor, Finding>> = new Map();
  readonly #device: Device;
  readonly #kernel: CompiledKernel;
  readonly #check: () => void;
  readonly #uniforms: GPUBuffer;
  readonly #report: GPUBuffer;
  #open: { readonly encoder: GPUCommandEncoder; readonly pass: GPUComputePassEncoder } | undefined;
  #looks: Look[] = [];
  #calls = 0;
  #work = 0;
  /** Looks of earlier submits. */
  #before = 0;

  constructor(device: Device, kernel: CompiledKernel, check: () => void) {
    this.#device = device;
    this.#check = check;
    this.#kernel = kernel;
    this.#uniforms = device.buffer('replay uniforms', LOOKS * UNIFORM, USAGE.uniform | USAGE.copyTarget);
    this.#report = device.buffer('replay report', LOOKS * ROW, USAGE.storage | USAGE.copySource);
  }

  call(call: Call): void {
    encodeCalls(this.#pass(), [call], 0, 1);
    this.#calls++;
    this.#work += workOf(call.dispatch);
  }

  async look(look: Look): Promise<void> {
    const row = this.#looks.push(look) - 1;
    const { gpu } = this.#device;
    const uniforms = packUniforms(nonFinite, { count: look.tensor.size, row });
    gpu.queue.writeBuffer(this.#uniforms, row * UNIFORM, uniforms);
    const group = this.#device.bindGroup(this.#kernel.layout, [
      { binding: 0, resource: { buffer: this.#uniforms, offset: row * UNIFORM, size: uniforms.byteLength } },
      { binding: nonFinite.bindings.x.binding, resource: look.resource },
      { binding: nonFinite.bindings.report.binding, resource: { buffer: this.#report } },
    ]);
    const pass = this.#pass();
    pass.setPipeline(this.#kernel.pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(1);
    this.#work += 4 * look.tensor.size;
    if (this.#looks.length === LOOKS || this.#calls >= CALLS || this.#work >= WORK_A_SUBMIT / 4) await this.flush();
  }

  /** Carries out what is encoded, and reads what was found. */
  async flush(): Promise<void> {
    if (this.#open === undefined) return;
    this.#check();
    this.#open.pass.end();
    this.#device.gpu.queue.submit([this.#open.encoder.finish()]);
    const looks = this.#looks;
    const report = new Uint32Array(
      await this.#device.read(this.#report, 0, ROW * Math.max(1, looks.length), 'the replay of a step'),
    );
    const floats = new Float32Array(report.buffer);
    looks.forEach(({ scan, node, tensor, time }, i) => {
      const finding = this.#findingOf(scan, node, tensor);
      const [count, index] = [at(report, 4 * i), at(report, 4 * i + 1)];
      finding.largest.set(time, at(floats, 4 * i + 3));
      if (count === 0) return;
      finding.bad ??= { order: this.#before + i, count, index, value: at(floats, 4 * i + 2), time };
    });
    this.#before += looks.length;
    this.#looks = [];
    this.#calls = 0;
    this.#work = 0;
    this.#open = undefined;
  }

  dispose(): void {
    this.#open?.pass.end();
    for (const buffer of [this.#uniforms, this.#report]) this.#device.free(buffer);
  }

  #pass(): GPUComputePassEncoder {
    if (this.#open === undefined) {
      const encoder = this.#device.gpu.createCommandEncoder({ label: 'replay' });
      this.#open = { encoder, pass: encoder.beginComputePass() };
    }
    return this.#open.pass;
  }

  #findingOf(scan: Node | undefined, node: Node, tensor: Tensor): Finding {
    const own = this.findings.get(scan) ?? new Map<Tensor, Finding>();
    this.findings.set(scan, own);
    const finding = own.get(tensor) ?? { node, largest: new Map(), bad: undefined };
    own.set(tensor, finding);
    return finding;
  }
}
