// What a program of somebody else does with the package: every entry, a training step of a RIM, the gradient check. It is
// compiled, bundled and run as it stands in consumers of the packed tarball (consumers.test.ts), which judge what it gives.
import { adam, compile, crossEntropy, type Device, embedding, grad, input, linear, openDevice } from 'rimgrad';
import { lstm } from 'rimgrad/baselines';
import { gradientCheck } from 'rimgrad/check';
import { type Kernel, kernels } from 'rimgrad/kernels';
import { RIM } from 'rimgrad/rims';
import { copying } from 'rimgrad/tasks';

/** Plain data, so that it can leave a page or a process. */
export interface Found {
  /** The loss before the first and before the second step. */
  readonly losses: readonly number[];
  readonly kernels: number;
  /** Whether the gradient check of one op is well, and of how many questions. */
  readonly checked: readonly [ok: boolean, questions: number];
  /** Parameters of an LSTM. */
  readonly baseline: number;
}

/** Takes two training steps of a RIM on a device of this runtime. */
export async function train(): Promise<Found> {
  using device: Device = await openDevice();
  const embed = embedding({ tokens: 10, size: 8 }, { seed: 1 });
  const rim = RIM.official({ inputSize: 8, hiddenSize: 8, modules: 3, active: 2, cell: 'lstm' }, { seed: 2 });
  const readout = linear({ from: 24, to: 10 }, { seed: 3 });
  const x = input('x', [8, 8], 'u32');
  const y = input('y', [8, 8], 'u32');
  const loss = crossEntropy(readout(rim(embed(x)).hidden), y);
  const weights = [...embed.variables, ...rim.variables, ...readout.variables];
  const step = await compile(device, { loss }, adam(grad(loss, weights), { learningRate: 1e-2, clipNorm: 1 }));
  const losses: number[] = [];
  const [batch] = copying({ digits: 2, blank: 4, batch: 8, seed: 4, steps: 1 });
  if (batch === undefined) throw new Error('the task gave no batch');
  for (let i = 0; i < 2; i++) {
    await step.run({ x: batch.x, y: batch.y });
    losses.push(...(await step.read('loss')));
  }
  const { ok, lines } = await gradientCheck(device, { filter: 'softmax: top-K, ties' });
  const baseline = lstm({ inputSize: 4, hiddenSize: 4 }, { seed: 1 }).variables.reduce(
    (sum, { size }) => sum + size,
    0,
  );
  const all: readonly Kernel[] = Object.values(kernels);
  return { losses, kernels: all.length, checked: [ok, lines.length], baseline };
}
