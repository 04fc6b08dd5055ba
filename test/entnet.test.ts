// The recurrent entity network that RIMs are compared with: values and gradients against its equations in float64 loops, slots without
// a length, sequences that are cut, misfits, calls a time step, extreme inputs, and that it learns where things were moved last.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type EntNetOptions, entnet } from '../bench/baselines/index.ts';
import { at, need, OptionError } from '../engine/errors.ts';
import { constant, evaluate } from '../engine/node.ts';
import { normalArray } from '../engine/random.ts';
import { onAdapter, theDevice } from './on-adapter.ts';
import {
  agrees,
  callsOf,
  type Equations,
  isWholeWhereCut,
  type Lesson,
  learn,
  logistic,
  type Numbers,
  product,
  refusesMisfits,
  stacked,
  staysFinite,
  type Trial,
  uniform,
} from './sequence-trials.ts';

onAdapter(test);

/** An entity network with larger weights than it begins with, and another slope. */
function trial(T: number, B: number, options: EntNetOptions): Trial {
  const model = entnet(options, { seed: 3 });
  model.variables.forEach((each, stream) => {
    each.write(normalArray(each.size, { seed: 7, stream, std: 0.6 }));
  });
  return { model, inputSize: options.inputSize, T, B };
}

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((total, value, i) => total + value * at(b, i), 0);

const equations =
  ({ inputSize: D, slots: J, slotSize: M, gateBias = false }: EntNetOptions): Equations =>
  (weights, x, state, { T, B }) => {
    const weight = (name: string): Float64Array => need(weights[`entnet.${name}`], name);
    const s = D === M ? x : product(x, weight('projection'), D);
    const keys = weight('keys');
    const h = need(state.h, 'h').slice();
    const hidden: Float64Array[] = [];
    const gates: number[] = [];
    for (let t = 0; t < T; t++) {
      for (let b = 0; b < B; b++) {
        const told = s.subarray((t * B + b) * M, (t * B + b + 1) * M);
        for (let j = 0; j < J; j++) {
          const slot = h.subarray((b * J + j) * M, (b * J + j + 1) * M);
          const key = keys.subarray(j * M, (j + 1) * M);
          const gate = logistic(dot(told, slot) + dot(told, key) + (gateBias ? at(weight('gateBias'), j) : 0));
          const terms = [
            product(slot, weight('stateWeight'), M),
            product(key, weight('keyWeight'), M),
            product(told, weight('inputWeight'), M),
          ];
          const moved = slot.map((value, i) => {
            const sum = terms.reduce((total, term) => total + at(term, i), 0);
            return value + gate * (sum > 0 ? sum : at(weight('slope'), 0) * sum);
          });
          slot.set(moved.map((value) => value / Math.sqrt(dot(moved, moved))));
          gates.push(gate);
        }
      }
      hidden.push(h.slice());
    }
    return { hidden: stacked(hidden), state: { h: h.slice() }, trace: { gates: Float64Array.from(gates) } };
  };

test('values and gradients are those of its equations', async () => {
  for (const [T, B, options] of [
    [3, 2, { inputSize: 3, slots: 2, slotSize: 4, gateBias: true }],
    [4, 1, { inputSize: 3, slots: 3, slotSize: 3 }],
    [1, 2, { inputSize: 2, slots: 1, slotSize: 3 }],
  ] as const) {
    const own = (weights: Numbers): Numbers => {
      const keys = [...need(weights['entnet.keys'], 'keys')];
      return { h: Float64Array.from(Array.from({ length: B }, () => keys).flat()) };
    };
    await agrees(trial(T, B, options), equations(options), own);
  }
});

test('a slot has length 1 after a step, and one without a direction is not divided by 0', async () => {
  const { model, inputSize, T, B } = trial(3, 2, { inputSize: 3, slots: 2, slotSize: 4 });
  const x = constant(normalArray(T * B * inputSize, { seed: 8, stream: 0 }), [T, B, inputSize]);
  const { hidden } = model(x);
  const values = Float64Array.from((await evaluate(theDevice(), { hidden })).hidden);
  for (let i = 0; i < values.length; i += 4) {
    const slot = values.subarray(i, i + 4);
    assert.ok(Math.abs(dot(slot, slot) - 1) < 1e-5, `a slot of ${slot}`);
  }
  for (const each of model.variables) each.write(new Float32Array(each.size));
  await staysFinite({ model, inputSize, T, B }, [1]);
  const zeros = (await evaluate(theDevice(), { hidden })).hidden;
  assert.ok(zeros.every((value) => value === 0));
});

test('what it begins with, and which weights it has', async () => {
  const plain = entnet({ inputSize: 4, slots: 3, slotSize: 4 }, { seed: 1 });
  const wider = entnet({ inputSize: 5, slots: 3, slotSize: 4, gateBias: true }, { seed: 1 });
  const names = (model: typeof plain) => model.variables.map(({ name }) => name.replace('entnet.', '')).join(' ');
  assert.is(names(plain), 'keys stateWeight keyWeight inputWeight slope');
  assert.is(names(wider), 'keys stateWeight keyWeight inputWeight slope gateBias projection');
  assert.equal([plain.outputSize, plain.system], [12, 'EntNet']);
  assert.equal([...(await plain.weights.slope.read())], [1]);
  const drawn = await Promise.all(wider.variables.map(async (each) => at(await each.read(), 0)));
  assert.is(new Set(drawn).size, drawn.length, 'two weights begin alike');
});

test('a sequence may be cut anywhere, and what does not fit is refused', async () => {
  await isWholeWhereCut(trial(4, 2, { inputSize: 3, slots: 2, slotSize: 4 }));
  refusesMisfits(trial(4, 2, { inputSize: 3, slots: 2, slotSize: 4 }));
  assert.throws(
    () => entnet({ inputSize: 2, slots: 0, slotSize: 2 }, { seed: 1 }),
    (error: unknown) => error instanceof OptionError,
  );
});

test('calls a time step, whatever T', () => {
  const make = () => entnet({ inputSize: 8, slots: 4, slotSize: 16, gateBias: true }, { seed: 1 });
  for (const T of [5, 11]) assert.equal(callsOf(make, 8, T), { forward: 9, backward: 15 });
});

test('finite for extreme inputs', async () => {
  await staysFinite(trial(4, 2, { inputSize: 3, slots: 2, slotSize: 4, gateBias: true }), [1, 1e4, 1e12]);
});

/** Each step says of one of some things where it is now; wanted is where each of them is in the end, all told at least once. */
function tracking(
  things: number,
  places: number,
  T: number,
  B: number,
  seed: number,
): Omit<Lesson, 'steps' | 'learningRate'> {
  const inputSize = things + places;
  const batch = (index: number): { x: Float32Array; y: Uint32Array } => {
    const draw = uniform(seed, index);
    const [x, y] = [new Float32Array(T * B * inputSize), new Uint32Array(B * things)];
    for (let b = 0; b < B; b++) {
      for (let t = 0; t < T; t++) {
        const thing = t < things ? t : Math.floor(draw() * things);
        const place = Math.floor(draw() * places);
        x[(t * B + b) * inputSize + thing] = 1;
        x[(t * B + b) * inputSize + things + place] = 1;
        y[b * things + thing] = place;
      }
    }
    return { x, y };
  };
  return { T, B, inputSize, wanted: { questions: things, classes: places }, batch, seed };
}

test('it learns where things were moved last', async () => {
  const model = entnet({ inputSize: 6, slots: 4, slotSize: 16 }, { seed: 1 });
  const loss = await learn(model, { ...tracking(2, 4, 5, 32, 1), steps: 200, learningRate: 1e-2 });
  assert.ok(
    loss < 0.2,
    `the cross-entropy ends at ${loss}; whoever sees the last step alone is left with ${Math.log(4) / 2}`,
  );
});

test.run();
