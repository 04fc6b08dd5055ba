// The recurrent entity network that RIMs are compared with: values and gradients against its equations in float64 loops, slots without
// a length, sequences that are cut, misfits, calls a time step, extreme inputs, and that it learns where things were moved last.
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type EntNetOptions, entnet } from '../bench/baselines/index.ts';
import type { Draw } from '../check/draw.ts';
import { at } from '../engine/errors.ts';
import { crossEntropy, evaluate, reshape } from '../engine/node.ts';
import { integers } from '../engine/random.ts';
import { type Lesson, learn } from './lessons.ts';
import { onAdapter, refused, theDevice } from './on-adapter.ts';
import * as oracles from './oracle-trials.ts';
import { dot, mapped, matrixIn, type Oracle, plus, sigmoid } from './plain-loops.ts';
import * as trials from './sequence-trials.ts';

onAdapter(test);

const equations =
  ({ inputSize, slotSize, gateBias }: EntNetOptions): Oracle =>
  (weights, xs, start = { h: weights.matrix('keys') }) => {
    let h = matrixIn(start, 'h');
    const steps = xs.map((x) => {
      const s = inputSize === slotSize ? x : mapped(x, weights.matrix('projection'));
      const gates = h.map((slot, j) => {
        const likeness = dot(s, slot) + dot(s, at(weights.matrix('keys'), j));
        return sigmoid(likeness + (gateBias ? at(weights.row('gateBias'), j) : 0));
      });
      h = h.map((slot, j) => {
        const wanted = plus(
          mapped(slot, weights.matrix('stateWeight')),
          mapped(at(weights.matrix('keys'), j), weights.matrix('keyWeight')),
          mapped(s, weights.matrix('inputWeight')),
        ).map((sum) => (sum > 0 ? sum : at(weights.row('slope'), 0) * sum));
        const moved = slot.map((value, i) => value + at(gates, j) * at(wanted, i));
        return moved.map((value) => value / Math.sqrt(dot(moved, moved)));
      });
      return { hidden: h.flat(), gates };
    });
    return { steps, state: { h } };
  };

const cases = fc.record({
  ...oracles.drawnCalls,
  inputSize: fc.integer({ min: 2, max: 4 }),
  slots: fc.integer({ min: 1, max: 3 }),
  slotSize: fc.integer({ min: 2, max: 4 }),
  gateBias: fc.boolean(),
});
type Drawn = typeof cases extends fc.Arbitrary<infer T> ? T : never;

function trialOf({ steps, batch, given, ...options }: Drawn, draw: Draw): oracles.Trial {
  const model = entnet(options, { seed: 3 });
  draw.variables(model.variables, 0.6);
  const shape = [steps, batch, options.inputSize];
  const state = given ? oracles.drawnState(model, shape, draw) : undefined;
  return { model, x: draw.normal(shape), state, oracle: equations(options) };
}

test('values and gradients are those of its equations', () => oracles.agrees(cases, 10, trialOf));
test('kernels compute what its graph means', () => oracles.computes(cases, 3, trialOf));

const small = () => entnet({ inputSize: 3, slots: 2, slotSize: 4, gateBias: true }, { seed: 1 });

test('a slot has length 1 after a step, and one without a direction is not divided by 0', async () => {
  const model = small();
  const { hidden } = model(trials.normalInput([3, 2, 3]));
  const values = [...(await evaluate(theDevice(), { hidden })).hidden];
  for (let i = 0; i < values.length; i += 4) {
    const slot = values.slice(i, i + 4);
    assert.ok(Math.abs(dot(slot, slot) - 1) < 1e-5, `a slot of ${slot}`);
  }
  trials.rewrite(model, 0);
  const nothing = (await evaluate(theDevice(), { hidden })).hidden;
  assert.ok(nothing.every((value) => value === 0));
});

test('it begins from its seed, with the weights that its options ask for', async () => {
  const make = (options: EntNetOptions) => trials.beginsFromItsSeed((seed) => entnet(options, { seed }));
  const plain = await make({ inputSize: 4, slots: 3, slotSize: 4 });
  const wider = await make({ inputSize: 5, slots: 3, slotSize: 4, gateBias: true });
  const names = ['keys', 'stateWeight', 'keyWeight', 'inputWeight', 'slope'];
  assert.equal([...plain.keys()], names);
  assert.equal([...wider.keys()], [...names, 'gateBias', 'projection']);
  assert.equal([...(plain.get('slope') ?? [])], [1]);
});

test('a sequence may be cut anywhere, and what does not fit is refused', async () => {
  await trials.isWholeWhereCut(small(), [4, 2, 3]);
  trials.refusesMisfits(small(), [4, 2, 3]);
  await refused(() => entnet({ inputSize: 2, slots: 0, slotSize: 2 }, { seed: 1 }), 'OptionError', /slots must be/);
  const odd = { inputSize: 2, slots: 2, slotSize: 2, gateBias: 'false' };
  await refused(() => entnet(odd as never, { seed: 1 }), 'OptionError', /gateBias must be true or false, not "false"/);
});

test('calls a time step, whatever T', () => {
  const make = () => entnet({ inputSize: 8, slots: 4, slotSize: 16, gateBias: true }, { seed: 1 });
  assert.equal(trials.callsOf(make, 8), { evaluation: 7, forward: 9, backward: 15 });
});

test('finite for extreme weights and inputs', async () => {
  await trials.staysFinite(small(), [4, 2, 3], { weights: [0.6], inputs: [1, 1e4, 1e12] });
});

/** Each step says of one of some things where it is now; wanted is where each of them is in the end, all told at least once. */
function tracking(things: number, places: number): Lesson {
  const size = things + places;
  return {
    input: { kind: 'channels', size },
    scores: things * places,
    scored: 'last step',
    steps: (T) => T,
    target: (_, B) => ({ shape: [B, things], dtype: 'u32' }),
    batch: ({ setting: T, batch: B, seed, split, index }) => {
      const stream = 2 * index + (split === 'test' ? 1e9 : 0);
      const moved = integers(T * B, { seed, stream, high: things });
      const to = integers(T * B, { seed, stream: stream + 1, high: places });
      const [x, y] = [new Float32Array(T * B * size), new Uint32Array(B * things)];
      to.forEach((place, i) => {
        const [t, b] = [Math.floor(i / B), i % B];
        const thing = t < things ? t : at(moved, i);
        x[i * size + thing] = 1;
        x[i * size + things + place] = 1;
        y[b * things + thing] = place;
      });
      return { x, y };
    },
    measures: (scores, y) => {
      const loss = crossEntropy(reshape(scores, [at(y.shape, 0), things, places]), y);
      return { loss, figures: { loss } };
    },
  };
}

test('it learns where things were moved last', async () => {
  const make = (inputSize: number) => entnet({ inputSize, slots: 4, slotSize: 16 }, { seed: 1 });
  const training = { setting: 5, batch: 32, steps: 200, learningRate: 1e-2, seed: 1 };
  const { loss = 9 } = await learn(make, tracking(2, 4), training);
  const blind = Math.log(4) / 2;
  assert.ok(loss < 0.2, `the cross-entropy ends at ${loss}; whoever sees the last step alone is left with ${blind}`);
});

test.run();
