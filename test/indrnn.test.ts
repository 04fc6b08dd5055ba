// The independently recurrent network that RIMs are compared with: values and gradients against its equations in float64 loops, the
// bound of its factors, how they begin, sequences that are cut, misfits, calls a time step, extreme inputs, and that it learns to
// add over a length at which a plain recurrent net forgets.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type IndRNNOptions, indrnn } from '../bench/baselines/index.ts';
import { at, need, OptionError } from '../engine/errors.ts';
import { affine, compile, constant, evaluate, grad, mul, sgd, sum } from '../engine/node.ts';
import { normalArray, uniformArray } from '../engine/random.ts';
import { onAdapter, theDevice } from './on-adapter.ts';
import {
  adding,
  agrees,
  callsOf,
  type Equations,
  isWholeWhereCut,
  learn,
  type Numbers,
  product,
  refusesMisfits,
  stacked,
  staysFinite,
  type Trial,
} from './sequence-trials.ts';

onAdapter(test);

/** An IndRNN with larger weights than it begins with, and factors of both signs within the bound. */
function trial(T: number, B: number, options: IndRNNOptions): Trial {
  const model = indrnn(options, { seed: 3 });
  const { bound = 1 } = options;
  model.variables.forEach((each, stream) => {
    const factors = each.name.endsWith('factors');
    each.write(
      factors
        ? uniformArray(each.size, { seed: 6, stream, low: -0.95 * bound, high: 0.95 * bound })
        : normalArray(each.size, { seed: 6, stream, std: 0.7 }),
    );
  });
  return { model, inputSize: options.inputSize, T, B };
}

/** Rows x [.., H] normalised, times weight, plus bias. */
function normalised(x: Float64Array, weight: Float64Array, bias: Float64Array): Float64Array {
  const H = weight.length;
  return x.map((_, i) => {
    const row = x.subarray(i - (i % H), i - (i % H) + H);
    const mean = row.reduce((a, b) => a + b, 0) / H;
    const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / H;
    return ((at(x, i) - mean) / Math.sqrt(variance + 1e-5)) * at(weight, i % H) + at(bias, i % H);
  });
}

const equations =
  ({ inputSize: D, hiddenSize: H, layers: L = 2, bound = 1, normalise = false }: IndRNNOptions): Equations =>
  (weights, x, state, { T, B }) => {
    const before = need(state.h, 'h');
    const ends = new Float64Array(B * L * H);
    const trace = new Float64Array(T * B * L * H);
    let below = x;
    for (let layer = 0; layer < L; layer++) {
      const weight = (name: string): Float64Array => need(weights[`indrnn.${layer}.${name}`], name);
      if (normalise && layer > 0) below = normalised(below, weight('norm.weight'), weight('norm.bias'));
      const given = product(below, weight('input'), layer === 0 ? D : H, weight('bias'));
      const u = weight('factors').map((factor) => Math.min(bound, Math.max(-bound, factor)));
      const rows: Float64Array[] = [];
      let h = Float64Array.from({ length: B * H }, (_, i) => at(before, placeOf(i, layer)));
      for (let t = 0; t < T; t++) {
        h = h.map((value, i) => Math.max(0, at(given, t * B * H + i) + at(u, i % H) * value));
        rows.push(h);
        h.forEach((value, i) => {
          trace[t * B * L * H + placeOf(i, layer)] = value;
        });
      }
      h.forEach((value, i) => {
        ends[placeOf(i, layer)] = value;
      });
      below = stacked(rows);
    }
    return { hidden: below, state: { h: ends }, trace: { h: trace } };

    /** Of unit i [B,H] of a layer in [B,L,H]. */
    function placeOf(i: number, layer: number): number {
      return (Math.floor(i / H) * L + layer) * H + (i % H);
    }
  };

test('values and gradients are those of its equations', async () => {
  for (const [T, B, options] of [
    [5, 2, { inputSize: 3, hiddenSize: 4 }],
    [4, 3, { inputSize: 2, hiddenSize: 3, layers: 3, normalise: true }],
    [1, 2, { inputSize: 2, hiddenSize: 3, layers: 1, bound: 1.3 }],
    [2, 1, { inputSize: 1, hiddenSize: 1, layers: 2 }],
    [3, 1, { inputSize: 2, hiddenSize: 5, layers: 1 }],
  ] as const) {
    const { layers = 2, hiddenSize } = options as IndRNNOptions;
    const own = (): Numbers => ({ h: new Float64Array(B * layers * hiddenSize) });
    await agrees(trial(T, B, options), equations(options), own);
  }
});

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
  // However long it is pushed outwards, one step inwards later it is within again.
  const outwards = sgd(grad(affine(sum(hidden), -1, 0), [factors]), { learningRate: 0.05 });
  const program = await compile(theDevice(), {}, outwards);
  for (let step = 0; step < 50; step++) await program.run();
  const grown = [...(await factors.read())];
  assert.ok(at(grown, 2) > 1 && at(grown, 2) < 1.5, `it left the bound by one step: ${grown}`);
  assert.equal([...(await evaluate(theDevice(), { hidden })).hidden].slice(-3), [4, 4, 4]);
  program.dispose();
});

test('it begins as the authors begin it', async () => {
  const model = indrnn({ inputSize: 3, hiddenSize: 200, layers: 3, memory: 50, normalise: true }, { seed: 4 });
  const range = async (layer: number): Promise<readonly [number, number]> => {
    const values = [...(await at(model.layers, layer).factors.read())];
    return [Math.min(...values), Math.max(...values)];
  };
  for (const layer of [0, 1]) {
    const [least, most] = await range(layer);
    assert.ok(least >= 0 && least < 0.05 && most > 0.95 && most <= 1, `${least} to ${most}`);
  }
  const [least, most] = await range(2);
  assert.ok(least >= 5 ** (-1 / 50) - 1e-6 && most > least && most <= 1, `${least} to ${most}`);
  const values = await Promise.all(model.variables.map(async (each) => [...(await each.read())]));
  assert.is(values.length, 3 * 3 + 2 * 2);
  const drawn = model.variables.flatMap(({ name }, i) => (/input|factors/.test(name) ? [at(values, i)[0]] : []));
  assert.is(new Set(drawn).size, drawn.length, 'two weights begin alike');
});

test('a sequence may be cut anywhere, and what does not fit is refused', async () => {
  await isWholeWhereCut(trial(5, 2, { inputSize: 3, hiddenSize: 4 }));
  await isWholeWhereCut(trial(4, 2, { inputSize: 3, hiddenSize: 4, layers: 3, normalise: true }));
  refusesMisfits(trial(4, 2, { inputSize: 3, hiddenSize: 4 }));
  for (const wrong of [{ layers: 0 }, { hiddenSize: 1.5 }, { bound: 0.5 }, { bound: Number.NaN }, { memory: 0 }])
    assert.throws(
      () => indrnn({ inputSize: 2, hiddenSize: 2, ...wrong }, { seed: 1 }),
      (error: unknown) => error instanceof OptionError,
    );
});

test('calls a time step, whatever T: one forward and one and a half backward for each layer', () => {
  for (const layers of [1, 2, 3]) {
    const make = () => indrnn({ inputSize: 8, hiddenSize: 16, layers }, { seed: 1 });
    for (const T of [4, 12]) assert.equal(callsOf(make, 8, T), { forward: layers, backward: 1.5 * layers });
  }
});

test('finite for extreme inputs', async () => {
  await staysFinite(trial(5, 2, { inputSize: 3, hiddenSize: 4, normalise: true }), [1, 1e4, 1e12]);
});

test('it learns to add', async () => {
  const model = indrnn({ inputSize: 2, hiddenSize: 24, layers: 2, memory: 24 }, { seed: 1 });
  const loss = await learn(model, { ...adding(24, 64, 1), steps: 250, learningRate: 5e-3 });
  assert.ok(loss < 0.03, `the mean square ends at ${loss}; without a memory it is 0.167`);
});

test.run();
