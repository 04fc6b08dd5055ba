// The LSTM that RIMs are compared with: values and gradients against its equations in float64 loops, PyTorch's numbers through the
// golden checker, sequences that are cut, misfits, calls a time step, extreme inputs, and that it learns to add.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { lstm } from '../bench/baselines/index.ts';
import { at, need, OptionError } from '../engine/errors.ts';
import { normalArray } from '../engine/random.ts';
import { goldenAgrees } from './golden-case.ts';
import { onAdapter, theDevice } from './on-adapter.ts';
import {
  adding,
  agrees,
  callsOf,
  type Equations,
  isWholeWhereCut,
  learn,
  logistic,
  product,
  refusesMisfits,
  stacked,
  staysFinite,
  type Trial,
} from './sequence-trials.ts';

onAdapter(test);

/** An LSTM whose weights are larger than it begins with, so that its gates are at work. */
function trial(T: number, B: number, D: number, H: number): Trial {
  const model = lstm({ inputSize: D, hiddenSize: H }, { seed: 3 });
  model.variables.forEach((each, stream) => {
    each.write(normalArray(each.size, { seed: 5, stream, std: 0.6 }));
  });
  return { model, inputSize: D, T, B };
}

const equations =
  (D: number, H: number): Equations =>
  (weights, x, state, { T, B }) => {
    const weight = (name: string): Float64Array => need(weights[`lstm.${name}`], name);
    const rows: Record<'h' | 'c' | 'i' | 'f' | 'o', Float64Array[]> = { h: [], c: [], i: [], f: [], o: [] };
    let [h, c] = [need(state.h, 'h'), need(state.c, 'c')];
    for (let t = 0; t < T; t++) {
      const ofInput = product(x.subarray(t * B * D, (t + 1) * B * D), weight('inputGates'), D, weight('inputBias'));
      const ofState = product(h, weight('stateGates'), H, weight('stateBias'));
      const empty = (): Float64Array => new Float64Array(B * H);
      const next = { h: empty(), c: empty(), i: empty(), f: empty(), o: empty() };
      for (let k = 0; k < B * H; k++) {
        const gate = (chunk: number): number => {
          const place = Math.floor(k / H) * 4 * H + chunk * H + (k % H);
          return at(ofInput, place) + at(ofState, place);
        };
        const [i, f, o] = [logistic(gate(0)), logistic(gate(1)), logistic(gate(3))];
        const memory = f * at(c, k) + i * Math.tanh(gate(2));
        [next.i[k], next.f[k], next.o[k], next.c[k], next.h[k]] = [i, f, o, memory, o * Math.tanh(memory)];
      }
      [h, c] = [next.h, next.c];
      for (const name of ['h', 'c', 'i', 'f', 'o'] as const) rows[name].push(next[name]);
    }
    const { h: hidden, ...trace } = rows;
    const numbers = Object.fromEntries(Object.entries(trace).map(([name, each]) => [name, stacked(each)]));
    return { hidden: stacked(hidden), state: { h, c }, trace: numbers };
  };

test('values and gradients are those of its equations', async () => {
  for (const [T, B, D, H] of [
    [4, 2, 3, 5],
    [1, 1, 1, 1],
    [3, 3, 5, 2],
  ] as const) {
    await agrees(trial(T, B, D, H), equations(D, H), () => ({
      h: new Float64Array(B * H),
      c: new Float64Array(B * H),
    }));
  }
});

test("PyTorch's numbers", async () => {
  await goldenAgrees('base_lstm', theDevice());
});

test('a sequence may be cut anywhere, and what does not fit is refused', async () => {
  await isWholeWhereCut(trial(5, 2, 3, 4));
  refusesMisfits(trial(5, 2, 3, 4));
  for (const options of [
    { inputSize: 0, hiddenSize: 2 },
    { inputSize: 2, hiddenSize: 2.5 },
  ])
    assert.throws(
      () => lstm(options, { seed: 1 }),
      (error: unknown) => error instanceof OptionError,
    );
});

test('calls a time step, whatever T', () => {
  const make = () => lstm({ inputSize: 8, hiddenSize: 16 }, { seed: 1 });
  for (const T of [5, 11]) assert.equal(callsOf(make, 8, T), { forward: 3, backward: 4 });
});

test('finite for extreme inputs', async () => {
  await staysFinite(trial(4, 2, 3, 5), [1, 1e4, 1e20, 1e37]);
});

test('one seed, one model; another seed, another', async () => {
  const weightsOf = (seed: number) =>
    Promise.all(
      lstm({ inputSize: 3, hiddenSize: 4 }, { seed }).variables.map(async (each) => [...(await each.read())]),
    );
  const [first, again, other] = [await weightsOf(1), await weightsOf(1), await weightsOf(2)];
  assert.equal(first, again);
  assert.not.equal(first, other);
  assert.is(new Set(first.map(([value]) => value)).size, first.length, 'two weights begin alike');
  assert.ok(
    first.flat().every((value) => Math.abs(value) <= 0.5),
    'within 1 / sqrt(H)',
  );
});

test('it learns to add', async () => {
  const model = lstm({ inputSize: 2, hiddenSize: 24 }, { seed: 1 });
  const loss = await learn(model, { ...adding(10, 64, 1), steps: 300, learningRate: 1e-2 });
  assert.ok(loss < 0.02, `the mean square ends at ${loss}; without a memory it is 0.167`);
});

test.run();
