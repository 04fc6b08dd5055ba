// What tests of single ops on the adapter share: a device for the file, numbers and gradients of tensors from one-shot programs,
// seeded numbers, and comparisons in which a NaN equals a NaN. It tests nothing itself.
import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { at, need } from '../engine/errors.ts';
import {
  type Data,
  type Device,
  evaluate,
  grad,
  mul,
  openDevice,
  type Shape,
  sum,
  type Tensor,
} from '../engine/node.ts';
import { normalArray } from '../engine/random.ts';
import { sizeOf } from '../engine/tensor.ts';

let device: Device | undefined;

/** Opens a device before the tests of a file and disposes of it after them. */
export function onAdapter(test: Test): void {
  test.before(async () => {
    device = await openDevice();
  });
  test.after(() => device?.dispose());
}

/** The device of the file. */
export function theDevice(): Device {
  return need(device, 'a device: call onAdapter(test) first; it');
}

export const u32 = (...values: number[]): Uint32Array => Uint32Array.from(values);

export async function numbersOf(tensor: Tensor): Promise<number[]> {
  return [...(await evaluate(theDevice(), { tensor })).tensor];
}

/** The gradient of the sum of y * weights for each of `wrt`. */
export async function gradientsOf(y: Tensor, weights: Tensor, wrt: readonly Tensor[]): Promise<number[][]> {
  const gradients = grad(sum(mul(y, weights)), wrt);
  const named = Object.fromEntries(wrt.map((t, i) => [`d${i}`, gradients.of(t)]));
  const values: Readonly<Record<string, Data>> = await evaluate(theDevice(), named);
  return wrt.map((_, i) => [...need(values[`d${i}`], 'a gradient')]);
}

/** Equal to `tolerance`, absolute below 1 and relative above; a NaN equals a NaN. */
export function close(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 2e-6): void {
  assert.is(actual.length, expected.length);
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [at(actual, i), at(expected, i)];
    const same = Object.is(a, e) || Math.abs(a - e) <= tolerance * Math.max(1, Math.abs(e));
    assert.ok(same, `element ${i} is ${a}, expected ${e}`);
  }
}

/** Normal numbers, another lot for each stream. */
export function drawn(shape: Shape, stream: number): Float32Array {
  return normalArray(sizeOf(shape), { seed: 11, stream });
}

/** Softmax of one row in float64, of the columns that `kept` takes. */
export function softmaxOf(row: ArrayLike<number>, kept: (i: number) => boolean = () => true): number[] {
  const scores = Array.from(row, (x, i) => (kept(i) ? x : Number.NEGATIVE_INFINITY));
  const peak = Math.max(...scores);
  const e = scores.map((x) => Math.exp(x - peak));
  const total = e.reduce((a, b) => a + b, 0);
  return e.map((x) => x / total);
}

/** Whether what was thrown is of that type, and says so much. */
export function isError(type: new (message: string) => Error, message: RegExp = /^/): (error: unknown) => boolean {
  return (error) => error instanceof type && message.test(error.message);
}

export async function rejects(act: () => Promise<unknown>, type: new (message: string) => Error): Promise<void> {
  let caught: unknown;
  await act().catch((error: unknown) => {
    caught = error;
  });
  assert.instance(caught, type);
}

/** Refused with an error of that name and a message that says this, the mend among it. */
export async function refused(act: () => unknown, name: string, message: RegExp): Promise<void> {
  let caught: unknown;
  try {
    await act();
  } catch (error) {
    caught = error;
  }
  if (!(caught instanceof Error)) throw new Error(`it was not refused: ${message}`);
  assert.is(caught.name, name, caught.message);
  assert.match(caught.message, message);
}

/** The bits of numbers: equal only where two results are the same to the last of them. */
export function bits(data: Data): number[] {
  return [...new Uint32Array(data.buffer, data.byteOffset, data.length)];
}
