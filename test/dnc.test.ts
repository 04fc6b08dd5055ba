// The Differentiable Neural Computer: its equations in float64 loops (Nature 538:471, Methods), which sort with a comparison; sequences
// that are cut, misfits, calls a time step, extremes, how it begins, and that it learns to copy.
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type DNCOptions, dnc } from '../bench/baselines/index.ts';
import { copyingTask } from '../bench/tasks/index.ts';
import type { Draw } from '../check/draw.ts';
import { at, need } from '../engine/errors.ts';
import { learn } from './lessons.ts';
import { onAdapter, refused } from './on-adapter.ts';
import * as oracles from './oracle-trials.ts';
import {
  column,
  dot,
  matrixIn,
  memories,
  type Oracle,
  type Row,
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

/** Slots from the least used to the most; of equal ones the first comes first. */
function byUsage(usage: Row): number[] {
  return range(usage.length).sort((i, j) => at(usage, i) - at(usage, j) || i - j);
}

const equations =
  ({ hiddenSize, slots, slotSize, readHeads }: Required<DNCOptions>): Oracle =>
  (w, xs, given) => {
    const nothing = (rows: number, columns: number): number[][] => range(rows).map(() => zeros(columns));
    const start = given ?? {
      h: zeros(hiddenSize),
      c: zeros(hiddenSize),
      memory: nothing(slots, slotSize),
      usage: zeros(slots),
      precedence: zeros(slots),
      links: nothing(slots, slots),
      writeWeights: nothing(1, slots),
      readWeights: nothing(readHeads, slots),
      reads: nothing(readHeads, slotSize),
    };
    let [h, c, usage, precedence] = [
      rowIn(start, 'h'),
      rowIn(start, 'c'),
      rowIn(start, 'usage'),
      rowIn(start, 'precedence'),
    ];
    let [memory, links, reads] = [matrixIn(start, 'memory'), matrixIn(start, 'links'), matrixIn(start, 'reads')];
    let [writeWeights, readWeights] = [matrixIn(start, 'writeWeights'), matrixIn(start, 'readWeights')];
    const oneplus = (x: number): number => 1 + softplus(x);
    const steps = xs.map((x) => {
      ({ h, c } = controlled(w, x, reads.flat(), h, c));
      const one = (part: string): number[] => at(said(w, part, h, 1), 0);
      const all = (part: string): number[][] => said(w, part, h, readHeads);
      const freeGates = singles(all('freeGates')).map(sigmoid);
      const [allocationGate, writeGate] = [one('allocationGate').map(sigmoid), one('writeGate').map(sigmoid)];
      const [a, g] = [at(allocationGate, 0), at(writeGate, 0)];

      const [lastWritten, lastRead] = [at(writeWeights, 0), readWeights];
      usage = usage.map((u, i) => {
        const retained = freeGates.reduce((product, f, r) => product * (1 - f * at(at(lastRead, r), i)), 1);
        const wrote = at(lastWritten, i);
        return (u + wrote - u * wrote) * retained;
      });
      const allocated = new Array<number>(slots).fill(0);
      let product = 1;
      for (const slot of byUsage(usage)) {
        allocated[slot] = (1 - at(usage, slot)) * product;
        product *= at(usage, slot);
      }
      const content = byContent(memory, one('writeKey'), oneplus(at(one('writeStrength'), 0)));
      const wrote = content.map((each, i) => g * (a * at(allocated, i) + (1 - a) * each));
      memory = written(memory, [wrote], [one('erase').map(sigmoid)], [one('add')]);

      const [lastLinks, lastPrecedence] = [links, precedence];
      links = lastLinks.map((row, i) =>
        row.map((each, j) =>
          i === j ? 0 : (1 - at(wrote, i) - at(wrote, j)) * each + at(wrote, i) * at(lastPrecedence, j),
        ),
      );
      precedence = lastPrecedence.map((each, i) => (1 - total(wrote)) * each + at(wrote, i));
      const readModes = all('readModes').map(softmax);
      const [keys, strengths] = [all('readKeys'), singles(all('readStrengths')).map(oneplus)];
      readWeights = range(readHeads).map((r) => {
        const looked = byContent(memory, at(keys, r), at(strengths, r));
        const [back, found, on] = at(readModes, r) as [number, number, number];
        return looked.map(
          (each, i) =>
            back * dot(column(links, i), at(lastRead, r)) + found * each + on * dot(at(links, i), at(lastRead, r)),
        );
      });
      reads = readWeights.map((each) => read(memory, each));
      writeWeights = [wrote];
      return {
        ...{ hidden: [...h, ...reads.flat()], readWeights, writeWeights, usage },
        ...{ allocationGate, writeGate, freeGates, readModes },
      };
    });
    return { steps, state: { h, c, memory, usage, precedence, links, writeWeights, readWeights, reads } };
  };

const singles = (rows: readonly Row[]): number[] => rows.map((row) => at(row, 0));

const cases = fc.record({
  inputSize: fc.integer({ min: 1, max: 3 }),
  hiddenSize: fc.integer({ min: 1, max: 4 }),
  slots: fc.integer({ min: 2, max: 5 }),
  slotSize: fc.integer({ min: 1, max: 3 }),
  readHeads: fc.integer({ min: 1, max: 3 }),
  ...oracles.drawnCalls,
});
type Drawn = typeof cases extends fc.Arbitrary<infer T> ? T : never;

/** Where a state is given, it is one that a model may have, and its usages are far from ties. */
function trialOf({ steps, batch, given, ...options }: Drawn, draw: Draw, std = 0.7): oracles.Trial {
  const { inputSize, slots } = options;
  const model = dnc(options, { seed: draw.seed });
  draw.variables(model.variables, std);
  const shape = [steps, batch, inputSize];
  const trial = { model, x: draw.normal(shape), oracle: equations(options) };
  if (!given) return trial;
  const drawn = oracles.drawnState(model, shape, draw);
  const like = (name: string) => oracles.weightingsLike(need(drawn[name], name), draw);
  const offDiagonal = range(batch * slots * slots).map((i) => (i % slots === Math.floor(i / slots) % slots ? 0 : 0.8));
  const weightings = ['precedence', 'writeWeights', 'readWeights'].map((name) => [name, like(name)] as const);
  const state = {
    ...drawn,
    ...Object.fromEntries(weightings),
    usage: draw.given(
      [batch, slots],
      range(batch * slots).map((i) => ((((i % slots) * 2 + Math.floor(i / slots)) % slots) + 0.5) / slots),
    ),
    links: draw.given(
      [batch, slots, slots],
      offDiagonal.map((most, i) => (most * (1 + ((i * 7) % 5))) / 5 / slots),
    ),
  };
  return { ...trial, state };
}

test('values and gradients are those of its equations', () => oracles.agrees(cases, 8, trialOf));

// From a state with something in it, and not the shortest slots: near zeros a cosine is so steep that rounding explains too much.
test('kernels compute what its graph means', () =>
  oracles.computes(cases, 2, (drawn, draw) =>
    trialOf({ ...drawn, slotSize: drawn.slotSize + 2, given: true }, draw, 0.4),
  ));

const sizes = { inputSize: 3, hiddenSize: 8, slots: 6, slotSize: 4, readHeads: 2 };
const small = (more: Partial<DNCOptions> = {}) => dnc({ ...sizes, ...more }, { seed: 1 });

test('a sequence may be cut anywhere, and what does not fit is refused', async () => {
  await trials.isWholeWhereCut(small(), [4, 2, 3]);
  trials.refusesMisfits(small(), [2, 2, 3]);
  await refused(() => small({ slots: 0 }), 'OptionError', /slots must be a whole number of at least 1/);
  await refused(() => dnc({ inputSize: 3 } as never, { seed: 1 }), 'OptionError', /hiddenSize must be .*not undefined/);
});

test('weightings and usages stay within 0 and 1, and all is finite, for extreme weights and inputs', async () => {
  const extremes = { weights: [1, 30, 1e3, 1e5], inputs: [1, 1e5] };
  await trials.staysFinite(small(), [12, 3, 3], extremes, (values, what) => {
    for (const name of ['readWeights', 'writeWeights', 'usage']) {
      const all = need(values.get(name), name);
      const [least, most] = [Math.min(...all), Math.max(...all)];
      assert.ok(least >= -1e-6 && most <= 1 + 1e-6, `${what}: ${name} from ${least} to ${most}`);
    }
  });
});

test('a step takes as many calls at any length, and hardly more with more heads', () => {
  const make = (readHeads: number) => () =>
    dnc({ inputSize: 64, hiddenSize: 100, slots: 64, slotSize: 16, readHeads }, { seed: 1 });
  assert.equal(trials.callsOf(make(1), 64), { evaluation: 63, forward: 65, backward: 97 });
  assert.equal(trials.callsOf(make(4), 64), { evaluation: 65, forward: 67, backward: 100 });
});

test('it begins from its seed', async () => {
  const beginning = await trials.beginsFromItsSeed((seed) => dnc(sizes, { seed }));
  const lstm = ['inputGates', 'readGates', 'stateGates', 'inputBias', 'stateBias'];
  const reading = ['readKeys', 'readStrengths', 'readModes'];
  const writing = ['writeKey', 'writeStrength', 'writeGate', 'erase', 'add', 'freeGates', 'allocationGate'];
  const parts = [...reading, ...writing].flatMap((part) => [part, `${part}Bias`]);
  assert.equal([...beginning.keys()], [...lstm, ...parts]);
});

test('it learns to copy', async () => {
  const make = (inputSize: number) =>
    dnc({ inputSize, hiddenSize: 24, slots: 6, slotSize: 8, readHeads: 1 }, { seed: 2 });
  const training = { setting: 2, batch: 16, steps: 190, learningRate: 0.02, seed: 2 };
  const { accuracy = 0 } = await learn(make, copyingTask({ digits: 2 }), training);
  assert.ok(accuracy > 0.9, `digits right: ${accuracy}; whoever remembers nothing has 0.125`);
});

test.run();
