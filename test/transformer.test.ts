// The Transformer: the equations of its paper in float64 loops (arXiv 1706.03762, section 3), from a past too; its laws (what a step
// sees, positions); long sequences in pieces; sequences that are cut, misfits, extremes, how it begins, and that it learns to copy.
// PyTorch's own numbers for its layer are in test/golden, which the golden check builds through the same layer.
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type TransformerOptions, transformer } from '../bench/baselines/index.ts';
import { copyingTask } from '../bench/tasks/index.ts';
import type { Draw } from '../check/draw.ts';
import { at, need } from '../engine/errors.ts';
import * as ops from '../engine/node.ts';
import { planProgram } from '../engine/planner.ts';
import { normalArray } from '../engine/random.ts';
import { learn } from './lessons.ts';
import { onAdapter, refused, theDevice } from './on-adapter.ts';
import * as oracles from './oracle-trials.ts';
import {
  attended,
  type Matrix,
  mapped,
  matrixIn,
  normalised,
  type Oracle,
  plus,
  type Row,
  range,
  relu,
  zeros,
} from './plain-loops.ts';
import * as trials from './sequence-trials.ts';

onAdapter(test);

/** The error function by its series of positive terms: e^(-x²) 2/sqrt(π) Σ 2^n x^(2n+1) / (2n+1)!! */
function erf(x: number): number {
  let term = x;
  let sum = 0;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    sum += term;
    term *= (2 * x * x) / (2 * n + 1);
  }
  return ((2 * sum) / Math.sqrt(Math.PI)) * Math.exp(-x * x);
}

const bends = {
  relu,
  gelu: (x: number): number => (x / 2) * (1 + erf(x / Math.SQRT2)),
};

/** Its tables of positions are rounded to f32, as the model's are. */
const equations =
  ({ width, layers, heads, activation, norm, positions }: Required<Omit<TransformerOptions, 'longest'>>): Oracle =>
  (w, xs, start = {}) => {
    const pre = norm === 'pre';
    const pastOf = (name: string): Matrix => (start[name] === undefined ? [] : matrixIn(start, name));
    const past = pastOf('keys1').length;
    const position = (t: number): Row => {
      if (positions === 'learned') return at(w.matrix('positions'), t);
      if (positions !== 'sinusoidal') return zeros(width);
      return range(width).map((i) => {
        const angle = t / 10_000 ** ((2 * Math.floor(i / 2)) / width);
        return Math.fround(i % 2 === 0 ? Math.sin(angle) : Math.cos(angle));
      });
    };
    let rows: Matrix = xs.map((x, t) =>
      plus(
        mapped(x, w.matrix('input')).map((value) => value * Math.sqrt(width)),
        w.row('inputBias'),
        position(past + t),
      ),
    );
    const state: Record<string, Matrix> = {};
    const looks = range(layers).map((i) => {
      const own = (name: string): string => `layer${i + 1}.${name}`;
      const linear = (x: Row, name: string): number[] => mapped(x, w.matrix(own(name)), w.row(own(`${name}Bias`)));
      const normed = (x: Row, name: string): number[] => normalised(x, w.row(own(name)), w.row(own(`${name}Bias`)));
      const maps = range(3).map((which) =>
        rows.map((each) => {
          const matrix = w.matrix(own('attention')).slice(which * width, (which + 1) * width);
          return mapped(pre ? normed(each, 'norm1') : each, matrix, at(w.matrix(own('attentionBias')), which));
        }),
      );
      const keys = [...pastOf(`keys${i + 1}`), ...at(maps, 1)];
      const values = [...pastOf(`values${i + 1}`), ...at(maps, 2)];
      Object.assign(state, { [`keys${i + 1}`]: keys, [`values${i + 1}`]: values });
      const told = attended(at(maps, 0), keys, values, heads, (head, t, s) => {
        const distance = past + t - s;
        if (distance < 0) return Number.NEGATIVE_INFINITY;
        return positions === 'alibi' ? -distance * Math.fround(2 ** ((-8 * (head + 1)) / heads)) : 0;
      });
      rows = rows.map((each, t) => {
        const sum = plus(each, linear(at(told.context, t), 'output'));
        const between = pre ? sum : normed(sum, 'norm1');
        const wide = linear(pre ? normed(between, 'norm2') : between, 'expand').map(bends[activation]);
        const both = plus(between, linear(wide, 'contract'));
        return pre ? both : normed(both, 'norm2');
      });
      return told.looks;
    });
    const steps = rows.map((row, t) => ({
      hidden: pre ? normalised(row, w.row('norm'), w.row('normBias')) : row,
      ...Object.fromEntries(looks.map((each, i) => [`attention${i + 1}`, each.map((head) => at(head, t))])),
    }));
    return { steps, state };
  };

const cases = fc.record({
  inputSize: fc.integer({ min: 1, max: 5 }),
  size: fc.integer({ min: 1, max: 4 }),
  heads: fc.integer({ min: 1, max: 3 }),
  layers: fc.integer({ min: 1, max: 2 }),
  feedForward: fc.integer({ min: 1, max: 7 }),
  activation: fc.constantFrom('relu', 'gelu'),
  norm: fc.constantFrom('post', 'pre'),
  positions: fc.constantFrom('sinusoidal', 'learned', 'alibi', 'none'),
  past: fc.integer({ min: 1, max: 3 }),
  ...oracles.drawnCalls,
});
type Drawn = typeof cases extends fc.Arbitrary<infer T> ? T : never;

function trialOf({ size, steps, batch, given, past, ...rest }: Drawn, draw: Draw): oracles.Trial {
  // A layer norm of one or two numbers is a step.
  const options = { ...rest, width: Math.max(size, 3) * rest.heads } as const;
  const longest = options.positions === 'learned' ? { longest: steps + past } : {};
  const model = transformer({ ...options, ...longest }, { seed: 1 });
  draw.variables(model.variables);
  const state = given ? oracles.drawnState(model, [past, batch, options.inputSize], draw) : undefined;
  return { model, x: draw.normal([steps, batch, options.inputSize]), state, oracle: equations(options) };
}

test('values and gradients are those of its equations', () => oracles.agrees(cases, 10, trialOf));
test('kernels compute what its graph means', () => oracles.computes(cases, 3, trialOf));

const sizes = { inputSize: 3, width: 8, heads: 2, layers: 2, feedForward: 12 } as const;
const kinds = ['sinusoidal', 'learned', 'alibi', 'none'] as const;
const small = (more: Partial<TransformerOptions> = {}) => transformer({ ...sizes, ...more }, { seed: 1 });
const longestOf = (positions: string, longest: number) => (positions === 'learned' ? { longest } : {});

test('a sequence may be cut anywhere', async () => {
  for (const [i, positions] of kinds.entries()) {
    const norm = i % 2 === 0 ? 'post' : 'pre';
    await trials.isWholeWhereCut(small({ positions, norm, ...longestOf(positions, 4) }), [4, 2, 3]);
  }
});

test('no step sees a later one, and every later one sees it', async () => {
  const [T, B, D] = [5, 2, 3];
  const model = small();
  const x = ops.input('x', [T, B, D]);
  const program = await ops.compile(theDevice(), { hidden: model(x).hidden });
  const values = normalArray(T * B * D, { seed: 3, stream: 0 });
  const hiddenOf = async (fed: Float32Array): Promise<ops.Data> => {
    await program.run({ x: fed });
    return program.read('hidden');
  };
  const before = await hiddenOf(values);
  const row = B * model.outputSize;
  for (let t = 0; t < T; t++) {
    const moved = values.slice();
    moved[t * B * D] = at(moved, t * B * D) + 1;
    const after = await hiddenOf(moved);
    assert.equal([...after.subarray(0, t * row)], [...before.subarray(0, t * row)], `steps before ${t}`);
    for (let later = t; later < T; later++) {
      const of = (data: ops.Data): number[] => [...data.subarray(later * row, later * row + model.outputSize)];
      assert.not.equal(of(after), of(before), `step ${later} sees step ${t}`);
      const others = (data: ops.Data): number[] => [
        ...data.subarray(later * row + model.outputSize, (later + 1) * row),
      ];
      assert.equal(others(after), others(before), 'another sequence of the batch');
    }
  }
  program.dispose();
});

test('the trace shows where every step looks: shares of 1 that no later step has', async () => {
  const [T, B] = [4, 2];
  const model = small();
  const { trace } = model(trials.normalInput([T, B, 3]));
  assert.equal(Object.keys(trace), ['attention1', 'attention2']);
  for (const tensor of Object.values(trace)) {
    assert.equal(tensor.shape, [T, B, 2, T]);
    const { shares } = await ops.evaluate(theDevice(), { shares: tensor });
    for (let r = 0; r < T * B * 2; r++) {
      const row = [...shares.subarray(r * T, (r + 1) * T)];
      const seen = Math.floor(r / (B * 2)) + 1;
      assert.ok(Math.abs(row.slice(0, seen).reduce((a, b) => a + b, 0) - 1) < 1e-5, `${row}`);
      assert.ok(
        row.every((share, s) => share > 0 === s < seen),
        `${row}`,
      );
    }
  }
});

test('without positions the order of what came before does not matter, with any of the others it does', async () => {
  for (const positions of kinds) {
    const model = small({ layers: 1, positions, ...longestOf(positions, 4) });
    const x = trials.normalInput([4, 1, 3]);
    const swapped = ops.concat([ops.slice(x, 0, 1, 1), ops.slice(x, 0, 0, 1), ops.slice(x, 0, 2, 2)], 0);
    const last = (each: ops.Tensor): ops.Tensor => ops.slice(model(each).hidden, 0, 3, 1);
    const { a, b } = await ops.evaluate(theDevice(), { a: last(x), b: last(swapped) });
    const most = Math.max(...[...a].map((value, i) => Math.abs(value - at(b, i))));
    assert.ok(positions === 'none' ? most < 1e-5 : most > 1e-3, `${positions}: ${most}`);
  }
});

test('1,024 steps run within the limits of every device, in pieces; what passes them is refused by name', async () => {
  const model = transformer({ inputSize: 8, width: 16, heads: 8, layers: 1, feedForward: 16 }, { seed: 6 });
  const [T, B] = [1024, 4];
  const x = trials.normalInput([T, B, 8]);
  const { hidden, trace } = model(x);
  const plan = planProgram({ hidden }, [], { training: false, subgroupSize: 0 });
  assert.ok(plan.items.filter((item) => 'label' in item && item.label.startsWith('softmax')).length > 1, 'in pieces');
  assert.equal(need(trace.attention1, 'attention').shape, [T, B, 8, T]);
  const last = ops.slice(hidden, 0, T - 4, 4);
  // The same last steps, of a call whose pieces are others.
  const before = model(ops.slice(x, 0, 0, T - 4));
  const after = model(ops.slice(x, 0, T - 4, 4), before.state);
  const values = await ops.evaluate(theDevice(), { whole: last, cut: after.hidden });
  for (let i = 0; i < values.whole.length; i++) {
    assert.ok(Math.abs(at(values.whole, i) - at(values.cut, i)) < 1e-4, `element ${i}`);
  }
  const wide = transformer({ inputSize: 8, width: 64, heads: 1, layers: 1 }, { seed: 6 });
  const many = ops.input('x', [1, 2 ** 20, 8]);
  await refused(() => ops.compile(theDevice(), { y: wide(many).hidden }), 'LimitError', /MiB.*smaller batch/s);
});

test('finite for extreme weights and inputs', async () => {
  for (const norm of ['post', 'pre'] as const)
    await trials.staysFinite(small({ norm }), [6, 2, 3], { weights: [1, 30], inputs: [1, 1e4] });
});

test('what does not fit is refused, with the mend', async () => {
  const refuses = (more: object, message: RegExp): Promise<void> => refused(() => small(more), 'OptionError', message);
  await refuses({ width: 9 }, /2 heads do not divide the width 9/);
  await refuses({ layers: 0 }, /layers must be a whole number of at least 1/);
  await refuses({ depth: 2 }, /depth/);
  await refuses({ activation: 'tanh' }, /activation is 'tanh'; use 'relu' or 'gelu'/);
  await refuses({ positions: 'learned' }, /longest is undefined with learned positions/);
  await refuses({ longest: 4 }, /longest is 4 with sinusoidal positions/);
  trials.refusesMisfits(small(), [2, 2, 3]);
  const model = small({ positions: 'learned', longest: 4 });
  const x = (T: number): ops.Tensor => ops.fill(0, [T, 2, 3]);
  await refused(() => model(x(5)), 'ShapeError', /5 steps are more than the 4 positions.*longest at least 5/);
  const { state } = model(x(3));
  await refused(() => model(x(2), state), 'ShapeError', /5 steps are more/);
  model(x(1), state);
});

test('it begins from its seed', async () => {
  const options = { ...sizes, norm: 'pre', positions: 'learned', longest: 8 } as const;
  const beginning = await trials.beginsFromItsSeed((seed) => transformer(options, { seed }));
  assert.equal([...beginning.keys()].slice(0, 6), [
    'input',
    'inputBias',
    'positions',
    'norm',
    'normBias',
    'layer1.attention',
  ]);
});

test('it learns to copy digits over a blank', async () => {
  const make = (inputSize: number) =>
    transformer({ inputSize, width: 32, heads: 4, layers: 1, feedForward: 64 }, { seed: 1 });
  // Embeddings are multiplied by the root of the width: those of size 1 would drown the positions.
  const training = { setting: 3, batch: 32, steps: 300, learningRate: 3e-3, seed: 1, embedding: 0.1 };
  const { accuracy = 0 } = await learn(make, copyingTask({ digits: 2 }), training);
  assert.ok(accuracy > 0.95, `digits right: ${accuracy}; whoever remembers nothing has 0.125`);
});

test.run();
