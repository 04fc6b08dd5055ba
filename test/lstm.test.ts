// The LSTM that RIMs are compared with: its equations in float64 loops, PyTorch's numbers through the golden checker, sequences that
// are cut, misfits, calls a time step, extremes, how it begins, and that it learns to add.
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { lstm } from '../bench/baselines/index.ts';
import { addingTask } from '../bench/tasks/index.ts';
import type { Draw } from '../check/draw.ts';
import { goldenAgrees } from './golden-case.ts';
import { learn } from './lessons.ts';
import { onAdapter, refused, theDevice } from './on-adapter.ts';
import * as oracles from './oracle-trials.ts';
import { lstmStep, mapped, type Oracle, plus, type Row, rowIn, zeros } from './plain-loops.ts';
import * as trials from './sequence-trials.ts';

onAdapter(test);

const equations =
  (H: number): Oracle =>
  (weights, xs, start = { h: zeros(H), c: zeros(H) }) => {
    let [h, c]: [Row, Row] = [rowIn(start, 'h'), rowIn(start, 'c')];
    const steps = xs.map((x) => {
      const ofInput = mapped(x, weights.matrix('inputGates'), weights.row('inputBias'));
      const next = lstmStep(plus(ofInput, mapped(h, weights.matrix('stateGates'), weights.row('stateBias'))), c);
      const { h: hidden, ...trace } = next;
      ({ h, c } = next);
      return { hidden, ...trace };
    });
    return { steps, state: { h, c } };
  };

const cases = fc.record({
  ...oracles.drawnCalls,
  inputSize: fc.integer({ min: 1, max: 5 }),
  hiddenSize: fc.integer({ min: 1, max: 5 }),
});
type Drawn = typeof cases extends fc.Arbitrary<infer T> ? T : never;

function trialOf({ steps, batch, given, ...options }: Drawn, draw: Draw): oracles.Trial {
  const model = lstm(options, { seed: 3 });
  draw.variables(model.variables, 0.6);
  const shape = [steps, batch, options.inputSize];
  const state = given ? oracles.drawnState(model, shape, draw) : undefined;
  return { model, x: draw.normal(shape), state, oracle: equations(options.hiddenSize) };
}

test('values and gradients are those of its equations', () => oracles.agrees(cases, 10, trialOf));
test('kernels compute what its graph means', () => oracles.computes(cases, 3, trialOf));
test("PyTorch's numbers", () => goldenAgrees('base_lstm', theDevice()));

const small = () => lstm({ inputSize: 3, hiddenSize: 4 }, { seed: 1 });

test('a sequence may be cut anywhere, and what does not fit is refused', async () => {
  await trials.isWholeWhereCut(small(), [4, 2, 3]);
  trials.refusesMisfits(small(), [4, 2, 3]);
  for (const hiddenSize of [0, 2.5])
    await refused(() => lstm({ inputSize: 2, hiddenSize }, { seed: 1 }), 'OptionError', /hiddenSize must be a whole/);
  await refused(
    () => lstm({ hiddenSize: 2 } as never, { seed: 1 }),
    'OptionError',
    /inputSize must be .*not undefined/,
  );
});

test('calls a time step, whatever T', () => {
  const make = () => lstm({ inputSize: 8, hiddenSize: 16 }, { seed: 1 });
  assert.equal(trials.callsOf(make, 8), { evaluation: 3, forward: 3, backward: 4 });
});

test('finite for extreme weights and inputs', async () => {
  await trials.staysFinite(small(), [4, 2, 3], { weights: [0.6, 1e4], inputs: [1, 1e4, 1e30] });
});

test('it begins from its seed, within 1 / sqrt(H)', async () => {
  const beginning = await trials.beginsFromItsSeed((seed) => lstm({ inputSize: 3, hiddenSize: 4 }, { seed }));
  assert.equal([...beginning.keys()], ['inputGates', 'stateGates', 'inputBias', 'stateBias']);
  for (const values of beginning.values()) assert.ok(values.every((value) => Math.abs(value) <= 0.5));
});

test('it learns to add', async () => {
  const make = (inputSize: number) => lstm({ inputSize, hiddenSize: 24 }, { seed: 1 });
  const training = { setting: 10, batch: 64, steps: 300, learningRate: 1e-2, seed: 1 };
  const { meanSquaredError = 1 } = await learn(make, addingTask(), training);
  assert.ok(meanSquaredError < 0.02, `the mean square ends at ${meanSquaredError}; without a memory it is 0.167`);
});

test.run();
