// Two hundred steps of a tiny RIM with dropout on its values, its communication and its embedding, and what is left of them: a digest of
// the weights, the moments and the counters. Everywhere the same training must leave the same bytes: twice in one process with other
// work between, in another process, with another tuning. It knows no runtime; whoever runs it gives `openDevice`.
import { copying, copyingClasses, copyingLength, copyingTokens } from '../../bench/tasks/copying.ts';
import {
  adam,
  compile,
  crossEntropy,
  type Device,
  type DeviceOptions,
  dropout,
  embedding,
  evaluate,
  grad,
  initialisers,
  input,
  linear,
  matmul,
  RandomState,
  saveCheckpoint,
  sum,
  type Tuning,
  tanh,
  variable,
} from '../../engine/core.ts';
import { RIM } from '../../rims/index.ts';

export const STEPS = 200;
const SIZE = { digits: 2, blank: 2 };
const BATCH = 8;

/** A training: a digest of what is left of it, and one of the kernels that it ran. */
export interface Repeat {
  readonly state: string;
  readonly kernels: string;
}

/** What a process found. */
export interface Repeats {
  /** Not trained at all. */
  readonly untrained: Repeat;
  readonly first: Repeat;
  /** Again, with other work on the same device before and in the middle of it. */
  readonly again: Repeat;
  /** With products computed by these kernels wherever they can be. */
  readonly tuned: readonly Repeat[];
}

type Open = (options: DeviceOptions) => Promise<Device>;

/** Trains on one device, twice, with other work between, and on a device for each of the kernels that are named. */
export async function repeats(openDevice: Open, kernels: readonly string[]): Promise<Repeats> {
  const device = await openDevice({});
  try {
    const untrained = await train(device, 0);
    const first = await train(device, STEPS);
    await otherWork(device);
    const again = await train(device, STEPS, () => otherWork(device));
    const tuned: Repeat[] = [];
    for (const name of kernels) tuned.push(await withOther(openDevice, { ...device.tuning, choices: { '*': name } }));
    return { untrained, first, again, tuned };
  } finally {
    device.dispose();
  }
}

async function withOther(openDevice: Open, tuning: Tuning): Promise<Repeat> {
  const device = await openDevice({ tuning });
  try {
    return await train(device, STEPS);
  } finally {
    device.dispose();
  }
}

async function train(device: Device, steps: number, between?: () => Promise<void>): Promise<Repeat> {
  const [modules, hiddenSize, inputSize] = [3, 8, 8];
  const random = new RandomState({ seed: 9 });
  const embed = embedding({ tokens: copyingTokens, size: inputSize }, { seed: 1 });
  const sizes = {
    inputSize,
    hiddenSize,
    modules,
    active: 2,
    cell: 'lstm',
    inputDropout: 0.2,
    commDropout: 0.2,
  } as const;
  const rim = RIM.official(sizes, { seed: 2, dropout: random });
  const readout = linear({ from: modules * hiddenSize, to: copyingClasses }, { seed: 3 });
  const shape = [copyingLength(SIZE), BATCH];
  const drop = dropout(embed(input('x', shape, 'u32')), { rate: 0.3, random });
  const loss = crossEntropy(readout(rim(drop).hidden), input('y', shape, 'u32'));
  const weights = [...embed.variables, ...rim.variables, ...readout.variables];
  const updates = adam(grad(loss, weights), { learningRate: 3e-3, clipNorm: 1 });
  const program = await compile(device, { loss }, updates);
  const variables = [...weights, ...updates.variables, ...random.variables];
  let done = 0;
  for (const batch of copying({ ...SIZE, batch: BATCH, seed: 4, steps })) {
    await program.run(batch);
    if (++done === 77) await between?.();
  }
  const state = await digest(await saveCheckpoint(variables, {}));
  const sources = new Set(program.calls.map(({ dispatch }) => dispatch.source));
  const kernels = await digest(new TextEncoder().encode([...sources].join()));
  program.dispose();
  for (const each of variables) each.dispose();
  return { state, kernels };
}

async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Work that leaves its traces in memory that is used again. */
async function otherWork(device: Device): Promise<void> {
  const w = variable('w', initialisers.normal(1)([64, 64], { seed: 3, stream: 1 }), [64, 64]);
  await evaluate(device, { y: sum(tanh(matmul(w, w))), z: matmul(w, w) });
  w.dispose();
}
