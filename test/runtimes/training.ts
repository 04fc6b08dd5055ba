// A small training run that knows no runtime: a tiny RIM on a tiny copying task with Adam, the same weights, data and
// order of operations wherever it is run. Node, Deno and a browser must give the same first losses, and losses that fall.
// It opens no device and reads no clock. Not here: whether the model is any good, which the tests of the models ask.
import { copying, copyingClasses, copyingLength, copyingTokens } from '../../bench/tasks/copying.ts';
import { adam, compile, crossEntropy, type Device, embedding, grad, input, linear } from '../../engine/core.ts';
import { at } from '../../engine/errors.ts';
import { RIM } from '../../rims/index.ts';

const SIZE = { digits: 2, blank: 3 };
const BATCH = 16;
const STEPS = 18;

/** The loss of each step. */
export async function losses(device: Device): Promise<number[]> {
  const [modules, hiddenSize, inputSize] = [4, 8, 8];
  const embed = embedding({ tokens: copyingTokens, size: inputSize }, { seed: 1 });
  const rim = RIM.official({ inputSize, hiddenSize, modules, active: 2, cell: 'lstm' }, { seed: 2 });
  const readout = linear({ from: modules * hiddenSize, to: copyingClasses }, { seed: 3 });
  const shape = [copyingLength(SIZE), BATCH];
  const { hidden } = rim(embed(input('x', shape, 'u32')));
  const loss = crossEntropy(readout(hidden), input('y', shape, 'u32'));
  const weights = [...embed.variables, ...rim.variables, ...readout.variables];
  const updates = adam(grad(loss, weights), { learningRate: 3e-3, clipNorm: 1 });
  const program = await compile(device, { loss }, updates);
  const found: number[] = [];
  for (const batch of copying({ ...SIZE, batch: BATCH, seed: 4, steps: STEPS })) {
    await program.run({ x: batch.x, y: batch.y });
    found.push(at(await program.read('loss'), 0));
  }
  program.dispose();
  return found;
}
