// The trainer and steps that are not finite: it looks at the guard before it measures and before it hands out what there is, so that
// no figure and no weight is told as of a step that was not carried out; it counts steps as people do, from the first; and stopped, it
// keeps the last good ones. Not here: what the guard does and whom it names (guard.test.ts, non-finite-step.test.ts).

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { MainOptions } from '../bench/options.ts';
import { type TrainResult, trainerOn } from '../bench/train.ts';
import { readProgress } from '../bench/training-state.ts';
import { NonFiniteError, need } from '../engine/errors.ts';
import { type Checkpoint, type Device, openDevice, readCheckpoint } from '../engine/node.ts';
import { writeSafetensors } from '../engine/safetensors.ts';
import { bits } from './on-adapter.ts';
import { optionsOf, tinyRIM } from './tiny-training.ts';

const options: MainOptions = optionsOf(
  ...[...tinyRIM, '--steps', '40', '--evaluate-every', '0', '--checkpoint-every', '0'],
);

interface Told {
  /** 'step 10', 'evaluation at 4'; the checkpoints are apart. */
  readonly events: readonly string[];
  readonly checkpoints: readonly Checkpoint[];
  readonly result: TrainResult | undefined;
  readonly error: unknown;
}

/** Trains from a checkpoint. @param runs stopped, as if by Ctrl-C, when so many runs were begun; 0 for never */
async function train(given: MainOptions, from: Checkpoint | undefined, runs = 0): Promise<Told> {
  const controller = new AbortController();
  const events: string[] = [];
  const checkpoints: Checkpoint[] = [];
  const open = async (): Promise<Device> => {
    const device = await openDevice();
    const step = device.step.bind(device);
    let begun = 0;
    device.step = (work) => {
      if (++begun === runs) controller.abort();
      return step(work);
    };
    return device;
  };
  const ended = trainerOn(open)(
    given,
    {
      signal: controller.signal,
      onStart: () => {},
      onStep: ({ step }) => events.push(`step ${step}`),
      onEvaluation: ({ step }) => events.push(`evaluation at ${step}`),
      onCheckpoint: (bytes) => checkpoints.push(readCheckpoint(bytes)),
    },
    from,
  );
  return ended.then(
    (result) => ({ events, checkpoints, result, error: undefined }),
    (error: unknown) => ({ events, checkpoints, result: undefined, error }),
  );
}

/** A checkpoint after two steps, with one number of a tensor replaced. */
async function spoiled(name: string, value: number): Promise<Checkpoint> {
  const { checkpoints } = await train({ ...options, steps: 2, checkpointEvery: 2 }, undefined);
  const { tensors, metadata } = need(checkpoints[0], 'a checkpoint').weights;
  const { data } = need(tensors.get(name), name);
  assert.instance(data, Float32Array);
  data[0] = value;
  return readCheckpoint(writeSafetensors(tensors, metadata));
}

/** Step 3 is good and makes a weight that is so large that the gradients of step 4 have no norm in f32. */
const exploding = (): Promise<Checkpoint> => spoiled('rim.adam.m.rim.readout.weight', 1e25);

test('the step that is named is that of the training, and nothing is measured of weights that stand still', async () => {
  const from = await exploding();
  for (const given of [options, { ...options, evaluateEvery: 5 }, { ...options, checkpointEvery: 6 }]) {
    const { events, checkpoints, error } = await train(given, from);
    assert.instance(error, NonFiniteError);
    assert.is((error as NonFiniteError).step, 4);
    assert.match(
      String(error),
      /^NonFiniteError: step 4 of the RIM: .*the norm of the gradients is more than f32 holds.* before that step; train with a smaller --learning-rate or --clip$/,
    );
    assert.equal([events, checkpoints], [[], []]);
  }
});

test('stopped behind such a step it leaves what was before it, says so, and goes on from there', async () => {
  const from = await exploding();
  const good = need((await train(options, from, 1)).result, 'a result');
  assert.is(good.failure, undefined);
  for (const checkpointEvery of [0, 100]) {
    const { events, checkpoints, result } = await train({ ...options, checkpointEvery }, from, 5);
    const { stopped, failure, weights, activations } = need(result, 'a result');
    assert.equal([stopped, events, activations], [true, [], []]);
    assert.match(String(failure), /^NonFiniteError: step 4 of the RIM: /);
    assert.equal([...weights.keys()], [...good.weights.keys()]);
    for (const [name, { data }] of weights) {
      assert.equal(bits(data as Float32Array), bits(need(good.weights.get(name), name).data as Float32Array), name);
    }
    assert.is(checkpoints.length, checkpointEvery === 0 ? 0 : 1);
    for (const each of checkpoints) {
      assert.is(readProgress(each).models[0]?.step, 3);
      assert.match(String((await train(options, each)).error), /step 4 of the RIM: /);
    }
  }
});

test('a checkpoint with a number that is not finite is none to go on from, and the culprit is named', async () => {
  const from = await spoiled('rim.value', Number.NaN);
  const { events, checkpoints, error } = await train({ ...options, evaluateEvery: 4 }, from);
  assert.match(String(error), /^FileError: .*"rim\.value" is not finite at element 0; .*older checkpoint/);
  assert.equal([events, checkpoints], [[], []]);
});

test.run();
