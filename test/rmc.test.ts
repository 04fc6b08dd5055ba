// The Relational Memory Core: its equations in float64 loops (arXiv 1806.01822, section 3), where every row goes through everything and
// the input's is dropped at the end; sequences that are cut, misfits, calls a time step, extremes, how it begins, and that it learns
// to copy.
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type RMCOptions, rmc } from '../bench/baselines/index.ts';
import { copyingTask } from '../bench/tasks/index.ts';
import type { Draw } from '../check/draw.ts';
import { at, need } from '../engine/errors.ts';
import * as ops from '../engine/node.ts';
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
  sigmoid,
  total,
  zeros,
} from './plain-loops.ts';
import * as trials from './sequence-trials.ts';

onAdapter(test);

const equations =
  ({ slots, heads, headSize, blocks, mlpLayers, gates }: Required<RMCOptions>): Oracle =>
  (w, xs, given) => {
    const size = heads * headSize;
    const start = given ?? { memory: range(slots).map((i) => range(size).map((j) => (i === j ? 1 : 0))) };
    const linear = (x: Row, name: string, bias = `${name}Bias`): number[] => mapped(x, w.matrix(name), w.row(bias));
    const norm = (x: Row, name: string): number[] => normalised(x, w.row(name), w.row(`${name}Bias`));
    const mlp = (x: Row): number[] =>
      range(mlpLayers).reduce(
        (told, i) => linear(i === 0 ? told : told.map(relu), `mlp${i + 1}.weight`, `mlp${i + 1}.bias`),
        [...x],
      );
    let memory = matrixIn(start, 'memory');
    const steps = xs.map((x) => {
      const row = linear(x, 'input');
      let rows: Matrix = [...memory, row];
      const traced = range(blocks).map((i) => {
        const name = `block${i + 1}`;
        const maps = rows.map((each) => norm(linear(each, `${name}.attention`), `${name}.attentionNorm`));
        const [queries, keys, values] = range(3).map((k) => maps.map((each) => each.slice(k * size, (k + 1) * size)));
        const { context, looks } = attended(need(queries, 'Q'), need(keys, 'K'), need(values, 'V'), heads);
        rows = rows.map((each, r) => {
          const between = norm(plus(each, at(context, r)), `${name}.norm1`);
          return norm(plus(between, mlp(between)), `${name}.norm2`);
        });
        const asking = i === blocks - 1 ? slots : slots + 1;
        return [`attention${i + 1}`, looks.map((each) => each.slice(0, asking))] as const;
      });
      const gate = (name: string): number[][] =>
        memory.map((slot) =>
          plus(
            mapped(row, w.matrix(`${name}.input`)),
            mapped(slot.map(Math.tanh), w.matrix(`${name}.memory`), w.row(`${name}.bias`)),
          ).map(sigmoid),
        );
      const [inputGate, forgetGate] = [gate('inputGate'), gate('forgetGate')];
      memory = memory.map((slot, i) =>
        slot.map((value, unit) => {
          const of = (each: Matrix): number => at(at(each, i), gates === 'unit' ? unit : 0);
          return of(forgetGate) * value + of(inputGate) * Math.tanh(at(at(rows, i), unit));
        }),
      );
      return { hidden: memory.flat(), inputGate, forgetGate, ...Object.fromEntries(traced) };
    });
    return { steps, state: { memory } };
  };

const cases = fc.record({
  inputSize: fc.integer({ min: 1, max: 4 }),
  slots: fc.integer({ min: 1, max: 4 }),
  heads: fc.integer({ min: 1, max: 2 }),
  // A layer norm of one or two numbers is a step.
  headSize: fc.integer({ min: 3, max: 4 }),
  blocks: fc.integer({ min: 1, max: 3 }),
  mlpLayers: fc.integer({ min: 1, max: 3 }),
  gates: fc.constantFrom('unit', 'memory'),
  ...oracles.drawnCalls,
});
type Drawn = typeof cases extends fc.Arbitrary<infer T> ? T : never;

function trialOf({ steps, batch, given, ...options }: Drawn, draw: Draw): oracles.Trial {
  const model = rmc(options, { seed: 1 });
  draw.variables(model.variables);
  const shape = [steps, batch, options.inputSize];
  const state = given ? oracles.drawnState(model, shape, draw) : undefined;
  return { model, x: draw.normal(shape), state, oracle: equations(options) };
}

test('values and gradients are those of its equations', () => oracles.agrees(cases, 8, trialOf));
test('kernels compute what its graph means', () => oracles.computes(cases, 2, trialOf));

const sizes = { inputSize: 3, slots: 3, heads: 2, headSize: 4 } as const;
const small = (more: Partial<RMCOptions> = {}) => rmc({ ...sizes, ...more }, { seed: 1 });

test('a sequence may be cut anywhere, and what does not fit is refused', async () => {
  await trials.isWholeWhereCut(small({ blocks: 2, gates: 'memory' }), [4, 2, 3]);
  trials.refusesMisfits(small(), [4, 2, 3]);
  await refused(() => small({ slots: 0 }), 'OptionError', /slots must be a whole number of at least 1/);
  await refused(() => small({ gates: 'slot' as 'unit' }), 'OptionError', /gates is 'slot'; use 'unit' or 'memory'/);
  await refused(() => small({ rows: 2 } as Partial<RMCOptions>), 'OptionError', /rows/);
});

test('calls a time step, whatever T', () => {
  assert.equal(trials.callsOf(small, 3), { evaluation: 19, forward: 22, backward: 26 });
});

test('it begins with the identity, padded or cut, and its trace shows attention that sums to 1 and gates', async () => {
  for (const headSize of [1, 4]) {
    const [T, B, slots, heads, size] = [3, 2, 3, 2, 2 * headSize];
    const model = small({ headSize, blocks: 2 });
    // An input gate that is shut and a forget gate that is open leave the memory as it is.
    for (const [gate, bias] of [[model.weights.inputGate, -1e4] as const, [model.weights.forgetGate, 1e4] as const]) {
      gate.bias.write(new Float32Array(size).fill(bias));
    }
    const { hidden, state, trace } = model(trials.normalInput([T, B, 3]));
    assert.equal(state.memory.shape, [B, slots, size]);
    assert.equal(need(trace.attention1, 'attention1').shape, [T, B, heads, slots + 1, slots + 1]);
    assert.equal(need(trace.attention2, 'attention2').shape, [T, B, heads, slots, slots + 1]);
    for (const name of ['inputGate', 'forgetGate']) assert.equal(need(trace[name], name).shape, [T, B, slots, size]);
    const found: Record<string, ops.Data> = await ops.evaluate(theDevice(), { hidden, ...trace });
    const identity = Array.from({ length: slots * size }, (_, i) => (Math.floor(i / size) === i % size ? 1 : 0));
    assert.equal([...need(found.hidden, 'hidden')], Array.from({ length: T * B }, () => identity).flat());
    assert.ok(need(found.inputGate, 'inputGate').every((value) => value === 0));
    assert.ok(need(found.forgetGate, 'forgetGate').every((value) => value === 1));
    for (const name of ['attention1', 'attention2']) {
      const values = need(found[name], name);
      for (let i = 0; i < values.length; i += slots + 1) {
        const sum = total([...values.subarray(i, i + slots + 1)]);
        assert.ok(Math.abs(sum - 1) < 1e-5, `${name}: a row sums to ${sum}`);
      }
    }
  }
});

test('finite for extreme weights and inputs', async () => {
  for (const gates of ['unit', 'memory'] as const)
    await trials.staysFinite(small({ gates }), [6, 2, 3], { weights: [1, 30], inputs: [1, 1e4] });
});

test('it begins from its seed, the forget gate open', async () => {
  const options = { ...sizes, inputSize: 8, blocks: 2 };
  const beginning = await trials.beginsFromItsSeed((seed) => rmc(options, { seed }));
  assert.equal(
    [...need(beginning.get('forgetGate.bias'), 'a bias')],
    zeros(8).map(() => 1),
  );
  assert.equal([...need(beginning.get('inputGate.bias'), 'a bias')], zeros(8));
});

test('it learns to copy a digit over a blank', async () => {
  const make = (inputSize: number) => rmc({ inputSize, slots: 2, heads: 2, headSize: 16 }, { seed: 1 });
  const training = { setting: 4, batch: 32, steps: 80, learningRate: 1e-2, seed: 1 };
  const { accuracy = 0 } = await learn(make, copyingTask({ digits: 1 }), training);
  assert.ok(accuracy > 0.95, `digits right: ${accuracy}; whoever remembers nothing has 0.125`);
});

test.run();
