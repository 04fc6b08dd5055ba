// The independently recurrent network that RIMs are compared with: values and gradients against its equations in float64 loops, the
// bound of its factors, how they begin, sequences that are cut, misfits, calls a time step, extreme inputs, and that it learns to
// add over a length at which a plain recurrent net forgets.
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type IndRNNOptions, indrnn } from '../bench/baselines/index.ts';
import { addingTask } from '../bench/tasks/index.ts';
import type { Draw } from '../check/draw.ts';
import type { Value } from '../check/value.ts';
import { at, need } from '../engine/errors.ts';
import { affine, compile, constant, evaluate, grad, mul, sgd, sum } from '../engine/node.ts';
import { uniformArray } from '../engine/random.ts';
import { learn } from './lessons.ts';
import { onAdapter, refused, theDevice } from './on-adapter.ts';
import * as oracles from './oracle-trials.ts';
import { mapped, matrixIn, normalised, type Oracle, range, relu, zeros } from './plain-loops.ts';
import * as trials from './sequence-trials.ts';

onAdapter(test);

const equations =
  ({ hiddenSize, layers = 2, normalise }: IndRNNOptions): Oracle =>
  (weights, xs, start = { h: range(layers).map(() => zeros(hiddenSize)) }) => {
    let h = matrixIn(start, 'h');
    const steps = xs.map((x) => {
      let below = x;
      h = h.map((before, layer) => {
        const row = (name: string) => weights.row(`layer${layer + 1}.${name}`);
        const input = normalise && layer > 0 ? normalised(below, row('norm'), row('normBias')) : below;
        const given = mapped(input, weights.matrix(`layer${layer + 1}.input`), row('bias'));
        below = before.map((each, i) => relu(at(given, i) + at(row('factors'), i) * each));
        return below;
      });
      return { hidden: below, h };
    });
    return { steps, state: { h } };
  };

const cases = fc.record({
  ...oracles.drawnCalls,
  inputSize: fc.integer({ min: 1, max: 3 }),
  // A layer norm of one or two numbers is a step.
  hiddenSize: fc.integer({ min: 3, max: 5 }),
  layers: fc.integer({ min: 1, max: 3 }),
  bound: fc.constantFrom(1, 1.3),
  normalise: fc.boolean(),
});
type Drawn = typeof cases extends fc.Arbitrary<infer T> ? T : never;

/** Its factors are of both signs and within the bound. */
function trialOf({ steps, batch, given, ...options }: Drawn, draw: Draw): oracles.Trial {
  const model = indrnn(options, { seed: 3 });
  draw.variables(model.variables, 0.7);
  const [low, high] = [-0.95 * options.bound, 0.95 * options.bound];
  model.layers.forEach(({ factors }, stream) => {
    factors.write(uniformArray(factors.size, { seed: draw.seed, stream, low, high }));
  });
  const shape = [steps, batch, options.inputSize];
  const state = given ? oracles.drawnState(model, shape, draw) : undefined;
  const meanings = { inwardGradient: (inputs: readonly Value[]) => [at(inputs, 0)] };
  return { model, x: draw.normal(shape), state, oracle: equations(options), meanings };
}

test('values and gradients are those of its equations', () => oracles.agrees(cases, 10, trialOf));
test('kernels compute what its graph means', () => oracles.computes(cases, 3, trialOf));

test('a factor beyond the bound counts as the bound, and moves only inwards', async () => {
  const model = indrnn({ inputSize: 1, hiddenSize: 3, layers: 1 }, { seed: 1 });
  const { input, factors } = at(model.layers, 0);
  input.write(Float32Array.of(1, 1, 1));
  factors.write(Float32Array.of(1.5, 1.5, 0.5));
  const x = constant(new Float32Array(4).fill(1), [4, 1, 1]);
  const { hidden } = model(x);
  const values = [...(await evaluate(theDevice(), { hidden })).hidden];
  assert.equal(values.slice(-3), [4, 4, 1.875]);
  // The first is pushed outwards, the others inwards: down.
  const loss = sum(mul(hidden, constant(Float32Array.of(-1, 1, 1), [3])));
  const slopes = [...(await evaluate(theDevice(), { d: grad(loss, [factors]).of(factors) })).d];
  assert.is(at(slopes, 0), 0);
  assert.ok(at(slopes, 1) === 10 && at(slopes, 2) > 0, `${slopes}`);
  // However long it is pushed outwards, it leaves the bound by one step at most.
  const outwards = sgd(grad(affine(sum(hidden), -1, 0), [factors]), { learningRate: 0.05 });
  const program = await compile(theDevice(), {}, outwards);
  for (let step = 0; step < 50; step++) await program.run();
  const grown = [...(await factors.read())];
  assert.ok(at(grown, 2) > 1 && at(grown, 2) < 1.5, `it left the bound by one step: ${grown}`);
  assert.equal([...(await evaluate(theDevice(), { hidden })).hidden].slice(-3), [4, 4, 4]);
  program.dispose();
});

test('it begins as the authors begin it', async () => {
  const options = { inputSize: 3, hiddenSize: 200, layers: 3, memory: 50, normalise: true };
  const beginning = await trials.beginsFromItsSeed((seed) => indrnn(options, { seed }));
  assert.is(beginning.size, 3 * 3 + 2 * 2);
  const lowest = [0, 0, 5 ** (-1 / 50)];
  lowest.forEach((low, layer) => {
    const factors = [...need(beginning.get(`layer${layer + 1}.factors`), 'the factors')];
    const [least, most] = [Math.min(...factors), Math.max(...factors)];
    const margin = 0.05 * (1 - low);
    assert.ok(least >= low - 1e-6 && least < low + margin && most > 1 - margin && most <= 1, `${least} to ${most}`);
  });
});

const small = (more: Partial<IndRNNOptions> = {}) => indrnn({ inputSize: 3, hiddenSize: 4, ...more }, { seed: 1 });

test('a sequence may be cut anywhere, and what does not fit is refused', async () => {
  await trials.isWholeWhereCut(small(), [5, 2, 3]);
  await trials.isWholeWhereCut(small({ layers: 3, normalise: true }), [4, 2, 3]);
  trials.refusesMisfits(small(), [4, 2, 3]);
  for (const wrong of [{ layers: 0 }, { hiddenSize: 1.5 }, { bound: 0.5 }, { bound: Number.NaN }, { memory: 0 }])
    await refused(() => small(wrong), 'OptionError', /must be a (whole )?number/);
  await refused(() => small({ normalise: 'no' } as never), 'OptionError', /normalise must be true or false, not "no"/);
});

test('calls a time step, whatever T: one forward and one and a half backward for each layer', () => {
  for (const layers of [1, 2, 3]) {
    const make = () => indrnn({ inputSize: 8, hiddenSize: 16, layers }, { seed: 1 });
    assert.equal(trials.callsOf(make, 8), { evaluation: layers, forward: layers, backward: 1.5 * layers });
  }
});

test('finite for extreme weights and inputs', async () => {
  const sizes = { weights: [0.6], inputs: [1, 1e4, 1e12] };
  await trials.staysFinite(small({ normalise: true }), [5, 2, 3], sizes);
});

test('it learns to add', async () => {
  const make = (inputSize: number) => indrnn({ inputSize, hiddenSize: 24, memory: 24 }, { seed: 1 });
  const training = { setting: 24, batch: 64, steps: 250, learningRate: 5e-3, seed: 1 };
  const { meanSquaredError = 1 } = await learn(make, addingTask(), training);
  assert.ok(meanSquaredError < 0.03, `the mean square ends at ${meanSquaredError}; without a memory it is 0.167`);
});

test.run();
