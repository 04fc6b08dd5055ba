// How fast a device is, in the two numbers by which a table's time is estimated: seconds a kernel call costs whatever it does, and
// seconds a unit of work (an operation, or a byte that is bound) costs. Measured in about a second.
//
// Always: of several runs the fastest counts, because what disturbs only slows. Not here: how much a cell has to do (estimate.ts).

import { compile, type Device, grad, input, mean, type Program, sgd } from '../../engine/core.ts';
import { normalArray } from '../../engine/random.ts';
import { lstm } from '../baselines/index.ts';
import { planned, type Work } from './estimate.ts';

/** The speed of a device. */
export interface Rates {
  readonly secondsACall: number;
  readonly secondsAWork: number;
}

/** The time of each measurement. */
const MEASURE_MS = 400;

/** Measures a device. */
export async function measureRates(device: Device): Promise<Rates> {
  const small = await timed(device, { T: 48, B: 4, H: 8 });
  const large = await timed(device, { T: 6, B: 64, H: 256 });
  // Two equations: seconds = calls · secondsACall + work · secondsAWork.
  const determinant = small.calls * large.work - large.calls * small.work;
  const secondsACall = (small.seconds * large.work - large.seconds * small.work) / determinant;
  const secondsAWork = (small.calls * large.seconds - large.calls * small.seconds) / determinant;
  return { secondsACall: Math.max(secondsACall, 1e-8), secondsAWork: Math.max(secondsAWork, 1e-15) };
}

/** Times a training step of an LSTM. */
async function timed(
  device: Device,
  { T, B, H }: { readonly T: number; readonly B: number; readonly H: number },
): Promise<Work & { readonly seconds: number }> {
  const net = lstm({ inputSize: H, hiddenSize: H }, { seed: 1 });
  const x = input('x', [T, B, H]);
  const loss = mean(net(x).hidden);
  const updates = sgd(grad(loss, net.variables), { learningRate: 0 });
  using program = await compile(device, { loss }, updates);
  const feeds = { x: normalArray(T * B * H, { seed: 1, stream: 1 }) };
  await step(program, feeds);
  let seconds = Number.POSITIVE_INFINITY;
  const until = performance.now() + MEASURE_MS;
  do seconds = Math.min(seconds, await step(program, feeds));
  while (performance.now() < until);
  return { ...planned({ loss }, updates), seconds };
}

async function step(program: Program, feeds: { readonly x: Float32Array }): Promise<number> {
  const began = performance.now();
  await program.run(feeds);
  await program.read('loss');
  return (performance.now() - began) / 1000;
}
