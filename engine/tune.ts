// Measures on a device which kernel computes which products fastest, and returns it as plain data for `openDevice`.
//
// Each candidate computes the same product over and over, rounds of all candidates interleaved; the median decides. Results do
// not depend on it: candidates give equal bits. It makes buffers of its own and frees them.

import { packUniforms, specialise } from '../kernels/kernel.ts';
import { type Device, USAGE } from './device.ts';
import { at, DeviceError, need } from './errors.ts';
import { checkBinding, formatBytes } from './limits.ts';
import type { View } from './op.ts';
import { emitProduct, formOf, type Product } from './product.ts';
import { candidates, type ProductEmitter } from './product-kernels.ts';
import { chosenFor, classOf, type Tuning, untuned } from './tuning.ts';

/** A product to measure: sizes, the axes that a and b are contiguous along, and whether two thirds of its rows or terms count. */
export interface ProductShape {
  /** How many products of this shape. */
  readonly batches: number;
  /** Rows of the result. */
  readonly m: number;
  /** Columns of the result. */
  readonly n: number;
  /** Terms of each sum. */
  readonly k: number;
  /** Which axis of the left operand is the last in memory. */
  readonly a: 'k' | 'm';
  /** Which axis of the right operand is the last in memory. */
  readonly b: 'n' | 'k';
  /** What a mask leaves out: rows of the result, or terms of the sums; nothing where left out. */
  readonly masked?: 'rows' | 'terms';
}

/** A candidate and its rate in multiplications and additions a second: the median of its rounds. */
export interface Rate {
  readonly name: string;
  readonly operationsPerSecond: number;
}

/** How long to measure. */
export interface RateOptions {
  /** Of each candidate; 5 where it is left out. */
  readonly rounds?: number;
  /** A round takes about as long, at least 5 and two steps of the clock; 10 where it is left out. */
  readonly milliseconds?: number;
}

/** Products of a RIM's training step: forward and backward in the loop, weight gradients behind it, and the input before it. */
export const USUAL_SHAPES: readonly ProductShape[] = [
  { batches: 6, m: 64, n: 364, k: 100, a: 'k', b: 'n', masked: 'rows' },
  { batches: 6, m: 64, n: 100, k: 64, a: 'k', b: 'n', masked: 'rows' },
  { batches: 6, m: 64, n: 100, k: 364, a: 'k', b: 'k', masked: 'rows' },
  { batches: 6, m: 100, n: 364, k: 1280, a: 'm', b: 'n', masked: 'terms' },
  { batches: 6, m: 64, n: 364, k: 100, a: 'k', b: 'n' },
  { batches: 6, m: 64, n: 100, k: 364, a: 'k', b: 'k' },
  { batches: 6, m: 100, n: 364, k: 1280, a: 'm', b: 'n' },
  { batches: 1, m: 1280, n: 1800, k: 100, a: 'k', b: 'n' },
  { batches: 1, m: 512, n: 512, k: 512, a: 'k', b: 'n' },
];

/**
 * Measures all candidates at each shape. Takes some seconds a shape; on a software adapter much of it is compilation.
 * @param onProgress called before each shape
 * @returns what `openDevice({ tuning })` takes: choices for products of these shapes' classes
 */
export async function tune(
  device: Device,
  shapes: readonly ProductShape[] = USUAL_SHAPES,
  onProgress: (done: number, of: number) => void = () => {},
): Promise<Tuning> {
  const choices: Record<string, string> = {};
  for (const [done, shape] of shapes.entries()) {
    onProgress(done, shapes.length);
    const [best] = await ratesOf(device, shape);
    if (best !== undefined) choices[classOf(formOf(productOf(shape, { bytes: 0 }), undefined))] = best.name;
  }
  return { ...untuned(device.adapter), choices };
}

/** The name of the candidate that a device takes for a shape. */
export function chosenAt(device: Device, shape: ProductShape): string {
  return chosenFor(formOf(productOf(shape, { bytes: 0 }), undefined), device.subgroupSize, device.tuning).name;
}

interface Job {
  readonly name: string;
  readonly run: (times: number) => Promise<number>;
  readonly rates: number[];
}

/**
 * The rates of all candidates that compute a shape, the fastest first. A round takes several steps of the clock at least:
 * browsers make it coarse.
 * @throws DeviceError where the clock stands still; LimitError for a shape that the device has no room for
 */
export async function ratesOf(device: Device, shape: ProductShape, options: RateOptions = {}): Promise<Rate[]> {
  const { rounds = 5 } = options;
  const step = clockStep();
  const milliseconds = Math.max(options.milliseconds ?? 10, 4 * step);
  const { batches, m, n, k } = shape;
  const sizes = [batches * m * k, batches * k * n, batches * m * n, batches * Math.max(m, k + 1)];
  const largest = Math.max(...sizes);
  checkBinding(`tune: an operand of ${JSON.stringify(shape)}`, 4 * largest, device.gpu.limits);
  const made: GPUBuffer[] = [];
  const making: Promise<GPUBuffer>[] = [];
  const bufferOf: BufferMaker = (data, usage) => {
    const bytes = data.byteLength;
    const buffer = device.guarded(
      'tune',
      () => {
        const own = device.buffer(`an operand of ${JSON.stringify(shape)}`, bytes, usage | USAGE.copyTarget);
        made.push(own);
        device.gpu.queue.writeBuffer(own, 0, data);
        return own;
      },
      () => {},
      () => `a buffer of ${formatBytes(bytes)} for products of ${JSON.stringify(shape)}`,
    );
    making.push(buffer);
    buffer.catch(() => undefined);
    return { bytes, buffer };
  };
  const filled = (elements: number, fill: (i: number) => number): Memory =>
    bufferOf(
      Float32Array.from({ length: elements }, (_, i) => fill(i)),
      USAGE.storage,
    );
  try {
    const a = filled(batches * m * k, (i) => ((i * 7) % 13) / 13 - 0.5);
    const b = filled(batches * k * n, (i) => (i % 11) / 11);
    const [y, zero] = [filled(batches * m * n, () => 0), filled(4, () => 0)];
    const mask = filled(batches * Math.max(m, k), (i) => ((i * 7919) % 6 < 4 ? 1 : 0));
    const jobs: Job[] = [];
    const form = formOf(productOf(shape, zero), undefined);
    for (const { name, fits } of candidates.values()) {
      if (!fits(form, device.subgroupSize)) continue;
      const tuning = { ...untuned(device.adapter), choices: { '*': name } };
      const run = await runner(device, tuning, bufferOf, { ...productOf(shape, mask), a, b, y }, zero);
      jobs.push({ name, run, rates: [] });
    }
    // What the clock tells apart; the pace of a first look is no promise: a round too goes on until that much has passed.
    const least = Math.max(5, 2 * step);
    const operations = 2 * batches * m * n * k * (shape.masked === undefined ? 1 : 2 / 3);
    for (const { run, rates } of jobs) {
      // The first run compiles; one that takes far longer than the fastest is not measured again.
      await run(1);
      rates.push(await timeOf(run, least));
    }
    const fastest = Math.min(...jobs.map(({ rates }) => at(rates, 0)));
    const promising = jobs.filter(({ rates }) => at(rates, 0) < 4 * fastest);
    for (let round = 0; round < rounds; round++) {
      for (const { run, rates } of promising) {
        rates.push(await timeOf(run, least, Math.max(1, Math.round(milliseconds / at(rates, 0)))));
      }
    }
    const rateOf = ({ name, rates }: Job): Rate => {
      const sorted = (rates.length > 1 ? rates.slice(1) : rates).sort((x, z) => x - z);
      return { name, operationsPerSecond: (1000 * operations) / at(sorted, Math.floor(sorted.length / 2)) };
    };
    return jobs.map(rateOf).sort((x, z) => z.operationsPerSecond - x.operationsPerSecond);
  } finally {
    await Promise.allSettled(making);
    for (const buffer of made) device.free(buffer);
  }
}

const STILL_CLOCK = 'tune: performance.now() stands still, so nothing can be timed; tune where the clock runs';

/** The smallest step that the host's clock shows, in milliseconds. @throws DeviceError where it stands still */
function clockStep(): number {
  const began = performance.now();
  for (let look = 0; look < 3e7; look++) {
    const passed = performance.now() - began;
    if (passed > 0) return passed;
  }
  throw new DeviceError(STILL_CLOCK);
}

/** Milliseconds of one run: the mean of `first` or as many as take so long together. @throws DeviceError where the clock stands still */
async function timeOf(run: Job['run'], least: number, first = 1): Promise<number> {
  for (let times = first; times <= first * 2 ** 16; times *= 2) {
    const passed = await run(times);
    if (passed >= least) return passed / times;
  }
  throw new DeviceError(STILL_CLOCK);
}

/** Device memory that a kernel call may be given. */
interface Memory extends View {
  readonly buffer: Promise<GPUBuffer>;
}

type BufferMaker = (data: ArrayBufferView<ArrayBuffer> | ArrayBuffer, usage: number) => Memory;

/** Runs the calls of a product over and over in one submit: milliseconds by the clock of the host. */
async function runner(
  device: Device,
  tuning: Tuning,
  bufferOf: BufferMaker,
  product: Product,
  zero: Memory,
): Promise<(times: number) => Promise<number>> {
  const waiting: Promise<{ pipeline: GPUComputePipeline; group: GPUBindGroup; workgroups: readonly number[] }>[] = [];
  const emit: ProductEmitter = {
    subgroupSize: device.subgroupSize,
    tuning,
    scratch: (elements) => bufferOf(new Float32Array(elements), USAGE.storage),
    zero: () => zero,
    call: (kernel, call) => {
      const make = async () => {
        const { pipeline, layout } = await device.pipeline(kernel, specialise(kernel, call.constants ?? {}));
        const uniforms = bufferOf(packUniforms(kernel, call.uniforms), USAGE.uniform);
        const views: Readonly<Record<string, View>> = call.buffers;
        const bound = [uniforms, ...Object.keys(kernel.bindings).map((name) => need(views[name], name) as Memory)];
        const numbers = [0, ...Object.values(kernel.bindings).map(({ binding }) => binding)];
        const buffers = await Promise.all(bound.map(({ buffer }) => buffer));
        const entries = buffers.map((buffer, i) => ({ binding: at(numbers, i), resource: { buffer } }));
        const group = device.bindGroup(layout, entries);
        return { pipeline, group, workgroups: call.workgroups };
      };
      waiting.push(make());
    },
  };
  emitProduct(emit, product);
  await Promise.allSettled(waiting);
  const calls = await Promise.all(waiting);
  return async (times) => {
    const encoder = device.gpu.createCommandEncoder({ label: 'tune' });
    const pass = encoder.beginComputePass();
    for (let i = 0; i < times; i++) {
      for (const { pipeline, group, workgroups } of calls) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(at(workgroups, 0), at(workgroups, 1), at(workgroups, 2));
      }
    }
    pass.end();
    const commands = encoder.finish();
    const began = performance.now();
    device.gpu.queue.submit([commands]);
    await device.idle();
    return performance.now() - began;
  };
}

/** A shape as a product: operands densely packed; of a mask, where it has one. */
function productOf({ batches, m, n, k, a, b, masked }: ProductShape, mask: View): Product {
  const nothing = { bytes: 0 };
  return {
    a: nothing,
    b: nothing,
    y: nothing,
    m: { size: m, a: a === 'k' ? k : 1, y: n },
    n: { size: n, b: b === 'n' ? 1 : k, y: 1 },
    k: { size: k, a: a === 'k' ? 1 : m, b: b === 'n' ? n : 1 },
    batch: [{ size: batches, a: m * k, b: k * n, y: m * n }],
    ...(masked === 'rows' ? { rows: { mask, strides: [m] } } : {}),
    ...(masked === 'terms' ? { terms: { mask, strides: [k], walks: [{ size: k, stride: 1 }] } } : {}),
  };
}
