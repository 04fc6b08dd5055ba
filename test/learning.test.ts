// Learning, on the adapter and through the public library alone: a RIM with LSTM modules, one with GRU modules and the LSTM that
// they are compared with each learn a tiny copying task, from chance to nearly all right on sequences never seen; and training
// is reproducible: one seed, the same bytes of every weight and moment, dropout on or off.
// Larger runs, lengths and the comparison itself are the main job's (bench/).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { lstm } from '../bench/baselines/index.ts';
import { copying, copyingClasses, copyingLength, copyingTokens, memoryless } from '../bench/tasks/index.ts';
import { at } from '../engine/errors.ts';
import type { Tensor, Variable } from '../engine/node.ts';
import * as ops from '../engine/node.ts';
import { RIM, type RIMOptions } from '../rims/index.ts';
import { onAdapter, theDevice } from './on-adapter.ts';

onAdapter(test);

const BATCH = 32;
const D = 8;
const sizes = {
  inputSize: D,
  hiddenSize: 16,
  modules: 4,
  active: 2,
  keySize: 8,
  valueSize: 16,
  commHeads: 2,
  commKeySize: 8,
  commValueSize: 8,
};
const mixture = { ...sizes, commOutput: 'gated', rowWeights: false, initialisation: 'fan-in' } as const;

/** A sequence to a sequence, and its weights. */
interface Core {
  readonly variables: readonly Variable[];
  readonly size: number;
  run(x: Tensor): Tensor;
}

/** A RIM of the official code's kind, with weights scaled to their sizes. @param dropout its rate */
function rimCore(options: Partial<RIMOptions>, seed: number, dropout: number, random: ops.RandomState): Core {
  const rim = RIM.official(
    { ...mixture, ...options, inputDropout: dropout, commDropout: dropout },
    { seed, dropout: random },
  );
  return { variables: rim.variables, size: sizes.modules * sizes.hiddenSize, run: (x) => rim(x).hidden };
}

function lstmCore(seed: number): Core {
  const hiddenSize = sizes.modules * sizes.hiddenSize;
  const net = lstm({ inputSize: D, hiddenSize }, { seed });
  return { variables: net.variables, size: hiddenSize, run: (x) => net(x).hidden };
}

interface Protocol {
  readonly blank: number;
  readonly steps: number;
  readonly learningRate: number;
  readonly seed: number;
}

/** What a training showed and left. */
interface Trained {
  /** The loss over all positions, in the first and the last step. */
  readonly losses: readonly [number, number];
  /** Share of recalled digits that are right, before and after, on test sequences. */
  readonly accuracies: readonly [number, number];
  /** Weights, moments and random counters, as a file. */
  readonly bytes: Uint8Array;
}

/** Trains on copying one digit, with Adam, and measures on sequences that were never trained on. */
async function train(
  core: Core,
  random: ops.RandomState,
  { blank, steps, learningRate, seed }: Protocol,
): Promise<Trained> {
  const length = copyingLength({ digits: 1, blank });
  const x = ops.input('x', [length, BATCH], 'u32');
  const y = ops.input('y', [length, BATCH], 'u32');
  const embed = ops.embedding({ tokens: copyingTokens, size: D }, { seed, weight: ops.initialisers.normal(1) });
  const readout = ops.linear({ from: core.size, to: copyingClasses }, { seed });
  const scores = readout(core.run(embed(x)));
  const loss = ops.crossEntropy(scores, y);
  const [recalled, wanted] = [ops.slice(scores, 0, length - 1, 1), ops.slice(y, 0, length - 1, 1)];
  const right = ops.takeAlong(ops.topKMask(recalled, 1), ops.reshape(wanted, [1, BATCH, 1]));
  const weights = [...embed.variables, ...core.variables, ...readout.variables];
  const updates = ops.adam(ops.grad(loss, weights), { learningRate, clipNorm: 1 });
  const step = await ops.compile(theDevice(), { loss }, updates);
  const measure = await ops.compile(theDevice(), { accuracy: ops.mean(right) });
  const task = { digits: 1, blank, batch: BATCH, seed };
  const accuracy = async (): Promise<number> => {
    let total = 0;
    for (const batch of copying({ ...task, split: 'test', steps: 4 })) {
      await measure.run(batch);
      total += at(await measure.read('accuracy'), 0) / 4;
    }
    return total;
  };
  const before = await accuracy();
  const losses: number[] = [];
  for (const batch of copying({ ...task, steps })) {
    await step.run(batch);
    if (losses.length === 0) losses.push(at(await step.read('loss'), 0));
  }
  losses.push(at(await step.read('loss'), 0));
  const after = await accuracy();
  const bytes = await ops.saveVariables([...weights, ...updates.variables, random.counter]);
  step.dispose();
  measure.dispose();
  for (const variable of [...weights, ...updates.variables, random.counter]) variable.dispose();
  return { losses: [at(losses, 0), at(losses, 1)], accuracies: [before, after], bytes };
}

/** From chance to nearly all right, and below what can be had without a memory. */
function learned({ losses, accuracies }: Trained, blank: number): void {
  const found = `accuracy ${accuracies.join(' to ')}, loss ${losses.join(' to ')}`;
  assert.ok(accuracies[0] < 0.4, `it should begin near chance: ${found}`);
  assert.ok(accuracies[1] > 0.95, `it should have learned: ${found}`);
  assert.ok(losses[0] > 1.5 && losses[1] < memoryless({ digits: 1, blank }).all / 4, `the loss should fall: ${found}`);
}

const recall = { blank: 3, steps: 180, learningRate: 1e-2, seed: 1 };

/** A training of the RIM from nothing. */
async function trainRim(options: Partial<RIMOptions>, protocol: Protocol, dropout = 0): Promise<Trained> {
  const random = new ops.RandomState({ seed: protocol.seed });
  return train(rimCore(options, protocol.seed, dropout, random), random, protocol);
}

test('a RIM with LSTM modules learns copying, and again with the same seed: the same bytes', async () => {
  const first = await trainRim({ cell: 'lstm' }, recall);
  learned(first, recall.blank);
  const second = await trainRim({ cell: 'lstm' }, recall);
  assert.ok(Buffer.from(second.bytes).equals(first.bytes), 'two trainings with one seed differ');
  assert.equal(second.losses, first.losses);
});

test('a RIM with GRU modules learns to recall a symbol after a blank', async () => {
  const protocol = { blank: 5, steps: 120, learningRate: 2e-2, seed: 1 };
  learned(await trainRim({ cell: 'gru' }, protocol), protocol.blank);
});

test('the LSTM that RIMs are compared with learns under the same protocol', async () => {
  learned(await train(lstmCore(recall.seed), new ops.RandomState({ seed: recall.seed }), recall), recall.blank);
});

test('with dropout, one seed gives the same bytes and another seed others', async () => {
  const protocol = { ...recall, steps: 4 };
  for (const cell of ['lstm', 'gru'] as const) {
    const [first, second, plain, other] = [
      await trainRim({ cell }, protocol, 0.3),
      await trainRim({ cell }, protocol, 0.3),
      await trainRim({ cell }, protocol, 0),
      await trainRim({ cell }, { ...protocol, seed: 2 }, 0.3),
    ];
    assert.ok(Buffer.from(second.bytes).equals(first.bytes), `${cell}: two trainings with one seed differ`);
    assert.not.ok(Buffer.from(plain.bytes).equals(first.bytes), `${cell}: dropout did nothing`);
    assert.not.ok(Buffer.from(other.bytes).equals(first.bytes), `${cell}: the seed did nothing`);
  }
});

test.run();
