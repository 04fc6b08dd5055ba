// The Neural Turing Machine: its equations in float64 loops (arXiv 1410.5401, section 3), which sharpen by powers; sequences that are
// cut, misfits, calls a time step, extremes, how it begins, and that it learns to copy.
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type NTMOptions, ntm } from '../bench/baselines/index.ts';
import { copyingTask } from '../bench/tasks/index.ts';
import type { Draw } from '../check/draw.ts';
import { at, need } from '../engine/errors.ts';
import { learn } from './lessons.ts';
import { onAdapter, refused } from './on-adapter.ts';
import * as oracles from './oracle-trials.ts';
import {
  matrixIn,
  memories,
  type Oracle,
  range,
  rowIn,
  sigmoid,
  softmax,
  softplus,
  total,
  zeros,
} from './plain-loops.ts';
import * as trials from './sequence-trials.ts';

const { byContent, controlled, read, said, written } = memories;

onAdapter(test);

const equations =
  ({ hiddenSize, slots, slotSize, readHeads, writeHeads }: Required<NTMOptions>): Oracle =>
  (w, xs, given) => {
    const heads = readHeads + writeHeads;
    const start = given ?? {
      h: zeros(hiddenSize),
      c: zeros(hiddenSize),
      memory: range(slots).map(() => zeros(slotSize).map(() => Math.fround(1e-6))),
      weights: range(heads).map(() => zeros(slots).with(0, 1)),
      reads: range(readHeads).map(() => zeros(slotSize)),
    };
    let [h, c] = [rowIn(start, 'h'), rowIn(start, 'c')];
    let [memory, weights, reads] = [matrixIn(start, 'memory'), matrixIn(start, 'weights'), matrixIn(start, 'reads')];
    const steps = xs.map((x) => {
      ({ h, c } = controlled(w, x, reads.flat(), h, c));
      const keys = said(w, 'keys', h, heads);
      const strength = singles(said(w, 'strengths', h, heads)).map(softplus);
      const gate = singles(said(w, 'gates', h, heads)).map(sigmoid);
      const shift = said(w, 'shifts', h, heads).map(softmax);
      const sharpening = singles(said(w, 'sharpenings', h, heads)).map((each) => 1 + softplus(each));
      const before = weights;
      weights = range(heads).map((k) => {
        const content = byContent(memory, at(keys, k), at(strength, k));
        const g = at(gate, k);
        const mixed = content.map((each, i) => g * each + (1 - g) * at(at(before, k), i));
        const s = at(shift, k);
        const moved = range(slots).map((i) =>
          s.reduce((sum, share, d) => {
            const from = (i - (d - (s.length - 1) / 2) + slots) % slots;
            return sum + share * at(mixed, from);
          }, 0),
        );
        const sharp = moved.map((each) => each ** at(sharpening, k));
        return sharp.map((each) => each / total(sharp));
      });
      const [readWeights, writeWeights] = [weights.slice(0, readHeads), weights.slice(readHeads)];
      reads = readWeights.map((each) => read(memory, each));
      const erases = said(w, 'erases', h, writeHeads).map((row) => row.map(sigmoid));
      memory = written(memory, writeWeights, erases, said(w, 'adds', h, writeHeads));
      return { hidden: [...h, ...reads.flat()], readWeights, writeWeights, strength, gate, shift, sharpening };
    });
    return { steps, state: { h, c, memory, weights, reads } };
  };

const singles = (rows: readonly (readonly number[])[]): number[] => rows.map((row) => at(row, 0));

const cases = fc
  .record({
    inputSize: fc.integer({ min: 1, max: 3 }),
    hiddenSize: fc.integer({ min: 1, max: 4 }),
    slots: fc.integer({ min: 3, max: 6 }),
    slotSize: fc.integer({ min: 1, max: 3 }),
    readHeads: fc.integer({ min: 1, max: 2 }),
    writeHeads: fc.integer({ min: 1, max: 3 }),
    wide: fc.boolean(),
    ...oracles.drawnCalls,
  })
  .map(({ wide, ...each }) => ({ ...each, shifts: wide && each.slots > 4 ? 5 : 3 }));
type Drawn = typeof cases extends fc.Arbitrary<infer T> ? T : never;

/** Where a state is given, its weightings are some. */
function trialOf({ steps, batch, given, ...options }: Drawn, draw: Draw, std = 0.7): oracles.Trial {
  const model = ntm(options, { seed: draw.seed });
  draw.variables(model.variables, std);
  const shape = [steps, batch, options.inputSize];
  const state = given ? oracles.drawnState(model, shape, draw) : undefined;
  const weights = state && oracles.weightingsLike(need(state.weights, 'weights'), draw);
  const more = state && weights && { state: { ...state, weights } };
  return { model, x: draw.normal(shape), oracle: equations(options), ...more };
}

test('values and gradients are those of its equations', () => oracles.agrees(cases, 10, trialOf));

// From a state with something in it, and not the shortest slots: near zeros a cosine is so steep that rounding explains too much.
test('kernels compute what its graph means', () =>
  oracles.computes(cases, 3, (drawn, draw) =>
    trialOf({ ...drawn, slotSize: drawn.slotSize + 2, given: true }, draw, 0.4),
  ));

const sizes = { inputSize: 3, hiddenSize: 8, slots: 6, slotSize: 4, readHeads: 2 };
const small = (more: Partial<NTMOptions> = {}) => ntm({ ...sizes, ...more }, { seed: 1 });

test('a sequence may be cut anywhere, and what does not fit is refused', async () => {
  await trials.isWholeWhereCut(small(), [4, 2, 3]);
  trials.refusesMisfits(small(), [2, 2, 3]);
  await refused(() => small({ slots: 0 }), 'OptionError', /slots must be a whole number of at least 1/);
  await refused(() => ntm({ inputSize: 3 } as never, { seed: 1 }), 'OptionError', /hiddenSize must be .*not undefined/);
  await refused(() => small({ shifts: 4 }), 'OptionError', /shifts must be odd/);
  await refused(() => small({ shifts: 7 }), 'OptionError', /no more than the 6 slots/);
});

test('weightings are weightings, and all is finite, for extreme weights and inputs', async () => {
  // Where weightings are even, γ is the slope of sharpening: over steps gradients grow by its powers.
  const extremes = { weights: [1, 30, 1e3], inputs: [1, 1e5], values: [1e5] };
  await trials.staysFinite(small({ writeHeads: 2 }), [12, 3, 3], extremes, (values, what) => {
    for (const name of ['readWeights', 'writeWeights']) {
      const rows = need(values.get(name), name);
      for (let r = 0; r < rows.length; r += sizes.slots) {
        const row = [...rows.slice(r, r + sizes.slots)];
        assert.ok(Math.min(...row) >= 0 && Math.abs(total(row) - 1) < 1e-5, `${what}: ${name} ${row}`);
      }
    }
  });
});

test('a step takes as many calls at any length, and hardly more with more heads', () => {
  const make = (heads: number) => () =>
    ntm({ inputSize: 64, hiddenSize: 100, readHeads: heads, writeHeads: heads }, { seed: 1 });
  assert.equal(trials.callsOf(make(1), 64), { evaluation: 36, forward: 37, backward: 50 });
  assert.equal(trials.callsOf(make(4), 64), { evaluation: 38, forward: 39, backward: 53 });
});

test('it begins from its seed', async () => {
  const beginning = await trials.beginsFromItsSeed((seed) => ntm({ ...sizes, writeHeads: 2 }, { seed }));
  const lstm = ['inputGates', 'readGates', 'stateGates', 'inputBias', 'stateBias'];
  const parts = ['keys', 'strengths', 'gates', 'shifts', 'sharpenings', 'erases', 'adds'];
  assert.equal([...beginning.keys()], [...lstm, ...parts.flatMap((part) => [part, `${part}Bias`])]);
});

test('it learns to copy', async () => {
  const make = (inputSize: number) => ntm({ inputSize, hiddenSize: 24, slots: 6, slotSize: 8 }, { seed: 2 });
  const training = { setting: 2, batch: 16, steps: 220, learningRate: 0.02, seed: 2 };
  const { accuracy = 0 } = await learn(make, copyingTask({ digits: 2 }), training);
  assert.ok(accuracy > 0.9, `digits right: ${accuracy}; whoever remembers nothing has 0.125`);
});

test.run();
