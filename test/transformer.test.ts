// The Transformer against the equations of its paper written out in float64 loops, values and gradients; its laws (what a step
// sees, sequences cut anywhere, lengths and positions); long sequences in pieces; extremes; and learning. PyTorch's own numbers for
// its layer are in test/golden, which the golden check builds through the same layer.
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type TransformerOptions, transformer } from '../bench/baselines/index.ts';
import { at, need } from '../engine/errors.ts';
import * as ops from '../engine/node.ts';
import { planProgram } from '../engine/planner.ts';
import { normalArray } from '../engine/random.ts';
import { runs, seed } from './drawing.ts';
import { onAdapter, refused, softmaxOf, theDevice } from './on-adapter.ts';
import {
  accuracyAfterCopying,
  cutsAnywhere,
  dot,
  map,
  matchesReference,
  normalised,
  plus,
  type Reference,
  type Rows,
  rowsOf,
} from './plain-models.ts';

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
  relu: (x: number): number => Math.max(x, 0),
  gelu: (x: number): number => (x / 2) * (1 + erf(x / Math.SQRT2)),
};

/** Section 3 of the paper, sequence by sequence and step by step. */
function referenceOf(options: Required<Omit<TransformerOptions, 'longest'>>, B: number): Reference {
  const { inputSize: D, width, layers, heads, activation, norm, positions } = options;
  const size = width / heads;
  const pre = norm === 'pre';
  return (weights, x) => {
    const own = (name: string): Rows => weights.rows(`transformer.${name}`);
    const row = (name: string): readonly number[] => weights.row(`transformer.${name}`);
    const T = x.length / B / D;
    const steps = rowsOf(x, D);
    const entrance = own('input');
    const learned = positions === 'learned' ? own('positions') : [];
    const byLayer = Array.from({ length: layers }, (_, i) => {
      const of = (name: string): Rows => own(`layer${i + 1}.${name}`);
      const maps = of('attention');
      const biases = of('attentionBias');
      const norms = { norm1: [of('norm1'), of('norm1Bias')], norm2: [of('norm2'), of('norm2Bias')] } as const;
      return {
        project: (value: readonly number[], which: number) =>
          map(value, maps.slice(which * width, (which + 1) * width), at(biases, which)),
        normed: (which: 'norm1' | 'norm2', value: readonly number[]) =>
          normalised(value, at(norms[which][0], 0), at(norms[which][1], 0)),
        output: [of('output'), at(of('outputBias'), 0)] as const,
        expand: [of('expand'), at(of('expandBias'), 0)] as const,
        contract: [of('contract'), at(of('contractBias'), 0)] as const,
      };
    });
    const position = (t: number): readonly number[] => {
      if (positions === 'learned') return at(learned, t);
      if (positions !== 'sinusoidal') return new Array<number>(width).fill(0);
      return Array.from({ length: width }, (_, i) => {
        const angle = t / 10_000 ** ((2 * Math.floor(i / 2)) / width);
        return i % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
      });
    };
    const hidden: number[][] = [];
    for (let b = 0; b < B; b++) {
      let rows: Rows = Array.from({ length: T }, (_, t) => {
        const mapped = map(at(steps, t * B + b), entrance, new Array<number>(width).fill(0));
        return plus(
          plus(
            mapped.map((value) => value * Math.sqrt(width)),
            row('inputBias'),
          ),
          position(t),
        );
      });
      for (const { project, normed, output, expand, contract } of byLayer) {
        const ready = pre ? rows.map((value) => normed('norm1', value)) : rows;
        const [queries, keys, values] = [0, 1, 2].map((which) => ready.map((value) => project(value, which)));
        rows = rows.map((value, t) => {
          const context: number[] = [];
          for (let head = 0; head < heads; head++) {
            const part = (of: Rows | undefined, i: number): readonly number[] =>
              at(need(of, 'rows'), i).slice(head * size, (head + 1) * size);
            const scores = Array.from({ length: t + 1 }, (_, s) => {
              const far = positions === 'alibi' ? (t - s) / 2 ** ((8 * (head + 1)) / heads) : 0;
              return dot(part(queries, t), part(keys, s)) / Math.sqrt(size) - far;
            });
            const shares = softmaxOf(scores);
            for (let i = 0; i < size; i++) {
              context.push(shares.reduce((sum, share, s) => sum + share * at(part(values, s), i), 0));
            }
          }
          const sum = plus(value, map(context, ...output));
          const between = pre ? sum : normed('norm1', sum);
          const told = map(
            map(pre ? normed('norm2', between) : between, ...expand).map(bends[activation]),
            ...contract,
          );
          return pre ? plus(between, told) : normed('norm2', plus(between, told));
        });
      }
      rows.forEach((value, t) => {
        hidden[t * B + b] = pre ? normalised(value, row('norm'), row('normBias')) : [...value];
      });
    }
    return hidden.flat();
  };
}

const drawnOptions = fc.record({
  inputSize: fc.integer({ min: 1, max: 5 }),
  size: fc.integer({ min: 1, max: 4 }),
  heads: fc.integer({ min: 1, max: 3 }),
  layers: fc.integer({ min: 1, max: 2 }),
  feedForward: fc.integer({ min: 1, max: 7 }),
  activation: fc.constantFrom('relu', 'gelu'),
  norm: fc.constantFrom('post', 'pre'),
  positions: fc.constantFrom('sinusoidal', 'learned', 'alibi', 'none'),
  T: fc.integer({ min: 1, max: 5 }),
  B: fc.integer({ min: 1, max: 3 }),
});

test('values and gradients are those of the equations in float64', async () => {
  const property = fc.asyncProperty(drawnOptions, fc.nat(), async ({ size, T, B, ...rest }, drawnSeed) => {
    // Layer norms of one or two numbers are steps: gradients of 0, or kinks.
    const options = { ...rest, width: Math.max(size, 3) * rest.heads } as const;
    const longest = options.positions === 'learned' ? { longest: T + 2 } : {};
    const model = transformer({ ...options, ...longest }, { seed: 1 });
    await matchesReference(model, [T, B, options.inputSize], referenceOf(options, B), drawnSeed);
    for (const each of model.variables) each.dispose();
  });
  await fc.assert(property, { seed, numRuns: runs(10) });
});

const small = { inputSize: 3, width: 8, heads: 2, layers: 2, feedForward: 12 } as const;
const kinds = ['sinusoidal', 'learned', 'alibi', 'none'] as const;
const longestOf = (positions: string, longest: number) => (positions === 'learned' ? { longest } : {});

test('a sequence may be cut anywhere: two calls give the values, the state and the gradients of one', async () => {
  for (const positions of kinds) {
    for (const norm of ['post', 'pre'] as const) {
      const model = transformer({ ...small, positions, norm, ...longestOf(positions, 5) }, { seed: 2 });
      await cutsAnywhere(model, [5, 2, 3]);
      for (const each of model.variables) each.dispose();
    }
  }
});

test('no step sees a later one, and every later one sees it', async () => {
  const [T, B, D] = [5, 2, 3];
  const model = transformer(small, { seed: 3 });
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
  const model = transformer(small, { seed: 4 });
  const { trace } = model(ops.constant(normalArray(T * B * 3, { seed: 4, stream: 0 }), [T, B, 3]));
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
    const model = transformer({ ...small, layers: 1, positions, ...longestOf(positions, 4) }, { seed: 5 });
    const x = ops.constant(normalArray(4 * 3, { seed: 5, stream: 0 }), [4, 1, 3]);
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
  const x = ops.constant(normalArray(T * B * 8, { seed: 6, stream: 0 }), [T, B, 8]);
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

test('extreme inputs and weights stay finite, gradients too', async () => {
  for (const norm of ['post', 'pre'] as const) {
    for (const std of [0, 30]) {
      for (const reach of [0, 1e4]) {
        const model = transformer({ ...small, norm }, { seed: 7 });
        model.variables.forEach((each, stream) => {
          each.write(normalArray(each.size, { seed: 7, stream, std }));
        });
        const x = ops.constant(normalArray(6 * 2 * 3, { seed: 7, stream: 100, std: reach }), [6, 2, 3]);
        const { hidden } = model(x);
        const gradients = ops.grad(ops.mean(ops.square(hidden)), model.variables);
        const wanted: Record<string, ops.Tensor> = { hidden };
        for (const each of model.variables) wanted[each.name] = gradients.of(each);
        for (const [name, values] of Object.entries(await ops.evaluate(theDevice(), wanted))) {
          assert.ok(values.every(Number.isFinite), `${name} with weights of ${std}, inputs of ${reach}`);
        }
        for (const each of model.variables) each.dispose();
      }
    }
  }
});

test('what does not fit is refused, with the mend', async () => {
  const refuses = (options: object, message: RegExp): Promise<void> =>
    refused(() => transformer({ ...small, ...options } as TransformerOptions, { seed: 1 }), 'OptionError', message);
  await refuses({ width: 9 }, /2 heads do not divide the width 9/);
  await refuses({ layers: 0 }, /layers must be a whole number of at least 1/);
  await refuses({ depth: 2 }, /depth/);
  await refuses({ activation: 'tanh' }, /activation is 'tanh'; use 'relu' or 'gelu'/);
  await refuses({ positions: 'learned' }, /longest is undefined with learned positions/);
  await refuses({ longest: 4 }, /longest is 4 with sinusoidal positions/);
  const model = transformer({ ...small, positions: 'learned', longest: 4 }, { seed: 1 });
  const x = (T: number, B = 2, D = 3): ops.Tensor => ops.fill(0, [T, B, D]);
  await refused(() => model(x(5)), 'ShapeError', /5 steps are more than the 4 positions.*longest at least 5/);
  const { state } = model(x(3));
  await refused(() => model(x(2), state), 'ShapeError', /5 steps are more/);
  await refused(() => model(x(1, 3), state), 'ShapeError', /keys1.*\[3,3,8\]/);
  await refused(() => model(x(1), { h: x(1) }), 'ShapeError', /'h' unknown/);
  await refused(() => model(x(1, 2, 4)), 'ShapeError', /x must be \[T,B,3\]/);
  model(x(1), state);
});

test('it begins from its seed: every matrix from a stream of its own, the same for one seed', async () => {
  const matricesOf = async (from: number): Promise<string[]> => {
    const { variables } = transformer({ ...small, positions: 'learned', longest: 8 }, { seed: from });
    assert.ok(variables.every(({ name }) => name.startsWith('transformer.')));
    const matrices = variables.filter(({ name, shape }) => shape.length > 1 && !name.endsWith('Bias'));
    return Promise.all(matrices.map(async (each) => [...(await each.read())].join()));
  };
  const [first, again, other] = [await matricesOf(1), await matricesOf(1), await matricesOf(2)];
  assert.is(first.length, 10);
  assert.equal(again, first);
  assert.is(new Set([...first, ...other]).size, 20);
});

test('it learns to copy digits over a blank', async () => {
  const model = transformer({ inputSize: 16, width: 32, heads: 4, layers: 1, feedForward: 64 }, { seed: seed % 1000 });
  const protocol = { digits: 2, blank: 3, batch: 32, steps: 200, learningRate: 1e-2, seed: seed % 1000 };
  const accuracy = await accuracyAfterCopying(model, 16, protocol);
  assert.ok(accuracy > 0.95, `it recalls ${accuracy} of the digits`);
});

test.run();
