// The fused path of a RIM against the plain one: values, states, traces and every gradient over drawn options and sizes, the
// budget of kernel calls a step, what stands outside of the loop, and when each path is taken.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { interpret } from '../check/interpret.ts';
import { worse } from '../check/value.ts';
import { at, need } from '../engine/errors.ts';
import {
  add,
  compile,
  constant,
  grad,
  mul,
  openDevice,
  RandomState,
  square,
  sum,
  type Tensor,
  variable,
} from '../engine/node.ts';
import { isLoop, type Loop } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import { normalArray } from '../engine/random.ts';
import { type CellOptions, makeRIM, type PresetOptions, presetOptions, type SequenceOptions } from '../rims/index.ts';

const device = await openDevice();
const seed = Number(process.env.RIMGRAD_SEED ?? Date.now() % 1_000_000_007);
console.log(`fast-check seed ${seed} (RIMGRAD_SEED=${seed} repeats this run)`);

interface Trial {
  readonly options: CellOptions;
  readonly steps: number;
  readonly batch: number;
  readonly sequence: SequenceOptions;
  readonly drops: boolean;
}

const count = (most: number): fc.Arbitrary<number> => fc.integer({ min: 1, max: most });
const trials: fc.Arbitrary<Trial> = fc
  .record({
    preset: fc.constantFrom('paper' as const, 'official' as const, 'dido' as const),
    modules: count(9),
    part: fc.double({ min: 0, max: 1, noNaN: true }),
    talk: fc.double({ min: 0, max: 1, noNaN: true }),
    sizes: fc.record({
      inputSize: count(9),
      hiddenSize: fc.constantFrom(1, 3, 4, 8, 9, 33),
      keySize: count(7),
      valueSize: count(12),
      commHeads: count(3),
      commKeySize: count(5),
      commValueSize: count(5),
      cell: fc.constantFrom('lstm' as const, 'gru' as const),
      sources: fc.constantFrom('kept' as const, 'candidate' as const),
      inactiveInput: fc.constantFrom('attended' as const, 'zero' as const),
      selection: fc.constantFrom('least-null' as const, 'raw-score' as const),
      commOutput: fc.constantFrom('residual' as const, 'gated' as const),
      commShared: fc.boolean(),
      commBias: fc.boolean(),
      cellBias: fc.boolean(),
    }),
    inputBias: fc.boolean(),
    dropout: fc.constantFrom('none' as const, 'values' as const, 'probabilities' as const),
    steps: fc.constantFrom(1, 2, 3, 4, 9),
    batch: fc.constantFrom(1, 3, 5, 17, 70),
    bidirectional: fc.constantFrom(false, false, false, true),
    layers: fc.constantFrom(1, 1, 1, 2),
  })
  .map(({ preset, modules, part, talk, sizes, inputBias, dropout, steps, batch, bidirectional, layers }) => {
    const options = presetOptions(preset, {
      ...sizes,
      hiddenSize: batch > 17 ? Math.min(sizes.hiddenSize, 9) : sizes.hiddenSize,
      ...(preset === 'paper' ? { inputBias } : {}),
      modules,
      active: 1 + Math.floor(part * (modules - 1)),
      commTopK: 1 + Math.floor(talk * (modules - 1)),
      initialisation: 'fan-in',
      ...(dropout === 'none' ? {} : { inputDropout: 0.3, commDropout: 0.25, dropoutOn: dropout }),
    });
    const sequence: SequenceOptions = { bidirectional, layers, initialState: 'noise' };
    return { options, steps: batch > 5 ? Math.min(steps, 2) : steps, batch, sequence, drops: dropout !== 'none' };
  });

/** The loss of one path, its gradients and what it shows, by name. Both paths draw the same dropout. */
function graphOf({ options, steps, batch, sequence, drops }: Trial, path: 'auto' | 'plain') {
  const dropout = drops ? { dropout: new RandomState({ seed: 5 }) } : {};
  const rim = makeRIM(options, { seed: 7, ...dropout }, { ...sequence, path });
  const shape = [steps, batch, options.inputSize];
  const x = variable('x', normalArray(steps * batch * options.inputSize, { seed: 1, stream: 1 }), shape);
  const { hidden, state, trace, paths } = rim(x);
  const weights = constant(normalArray(hidden.size, { seed: 2, stream: 1 }), hidden.shape);
  let loss = sum(mul(hidden, weights));
  for (const { h, c } of state) loss = add(loss, add(sum(square(h)), c === undefined ? 0 : sum(square(c))));
  const gradients = grad(loss, [x, ...rim.variables]);
  const named: Record<string, Tensor> = { loss, 'd x': gradients.of(x) };
  for (const each of rim.variables) named[`d ${each.name}`] = gradients.of(each);
  trace.forEach((each, i) => {
    for (const [name, tensor] of Object.entries(each)) named[`${name} ${i}`] = tensor;
  });
  return { named, paths };
}

type Found = Readonly<Record<string, ArrayLike<number>>>;

/** What a graph means, in float64. */
async function meantBy(named: Readonly<Record<string, Tensor>>): Promise<Found> {
  const values = await interpret(Object.values(named), { training: true });
  return Object.fromEntries(Object.keys(named).map((name, i) => [name, at(values, i).data]));
}

/** The same on the device, by a program that trains. */
async function computed(named: Readonly<Record<string, Tensor>>): Promise<Found> {
  const program = await compile(device, named, [], { mode: 'train' });
  await program.run();
  const found: Record<string, ArrayLike<number>> = {};
  for (const name of Object.keys(named)) found[name] = await program.read(name);
  program.dispose();
  return found;
}

/** The bias of the keys has no gradient but through the null row, where it cancels: in float64 that is seen. */
function keyBiasIsNothing(found: Found): void {
  for (const [name, values] of Object.entries(found).filter(([name]) => name.endsWith('keyBias'))) {
    const most = Array.from(values).reduce((a, b) => worse(a, Math.abs(b)), 0);
    assert.ok(most <= 1e-11, `${name}: ${most}`);
  }
}

/** All but the bias of the keys, whose gradient in float32 is rounding alone. */
function compare(found: Found, expected: Found, tolerance: number): void {
  for (const [name, values] of Object.entries(expected)) {
    if (name.endsWith('keyBias')) continue;
    const [got, wanted] = [Array.from(need(found[name], name)), Array.from(values)];
    const largest = Math.max(...wanted.map(Math.abs));
    const off = wanted.reduce((most, value, i) => worse(most, Math.abs(value - at(got, i))), 0);
    assert.ok(off <= tolerance * (largest + 0.05), `${name}: off by ${off} of ${largest}`);
  }
}

/** The two paths of one trial, as they should be. */
function bothOf(trial: Trial): { fused: Record<string, Tensor>; plain: Record<string, Tensor> } {
  const [fused, plain] = [graphOf(trial, 'auto'), graphOf(trial, 'plain')];
  assert.ok(fused.paths.every((path) => path === 'fused') && plain.paths.every((path) => path === 'plain: asked for'));
  return { fused: fused.named, plain: plain.named };
}

test('in float64 equals the plain path, values and gradients', async () => {
  const property = fc.asyncProperty(trials, async (trial) => {
    const { fused, plain } = bothOf({ ...trial, batch: Math.min(trial.batch, 3), steps: Math.min(trial.steps, 4) });
    const [found, expected] = [await meantBy(fused), await meantBy(plain)];
    compare(found, expected, 1e-11);
    keyBiasIsNothing(found);
    keyBiasIsNothing(expected);
  });
  await fc.assert(property, { seed, numRuns: 25 });
});

test('on the device equals the plain path in float64, values and gradients', async () => {
  const property = fc.asyncProperty(trials, async (trial) => {
    const { fused, plain } = bothOf(trial);
    const [found, expected] = [await computed(fused), await meantBy(plain)];
    // Another choice of modules is another function: masks must agree, or the case says nothing. They do but for rounding.
    const masks = Object.keys(found).filter((name) => name.startsWith('mask'));
    fc.pre(
      masks.every((name) => Array.from(need(found[name], name)).every((value, i) => value === expected[name]?.[i])),
    );
    compare(found, expected, 2e-5);
  });
  await fc.assert(property, { seed, numRuns: 10 });
});

/** The loops of a training step, forward and backward. */
function loopsOf(given: Partial<PresetOptions>, steps: number, drops = false): { loops: Loop[]; outside: number } {
  const options = presetOptions('official', {
    inputSize: 8,
    hiddenSize: 8,
    modules: 4,
    active: 2,
    inputDropout: 0,
    ...given,
  });
  const { named } = graphOf({ options, steps, batch: 4, sequence: {}, drops }, 'auto');
  const wanted = Object.fromEntries(Object.entries(named).filter(([name]) => name === 'loss' || name.startsWith('d ')));
  const { items } = planProgram(wanted, [], { training: true, subgroupSize: 0 });
  const loops = items.filter(isLoop);
  return { loops, outside: items.length - loops.length };
}

/** Asserts the calls of a step, and that those outside of the loops do not grow with T. */
function keepsBudget(given: Partial<PresetOptions>, drops: boolean): void {
  const [short, long] = [loopsOf(given, 16, drops), loopsOf(given, 64, drops)];
  assert.is(short.loops.length, 2);
  const [forward, backward] = short.loops;
  assert.ok(need(forward, 'a loop').body.length <= 5, 'at most 5 calls a step forward');
  assert.ok(need(backward, 'a loop').body.length <= 6, 'at most 6 calls a step backward');
  assert.is(long.outside, short.outside, 'the calls outside do not grow with T');
}

for (const cell of ['lstm', 'gru'] as const) {
  for (const sources of ['kept', 'candidate'] as const) {
    for (const commOutput of ['residual', 'gated'] as const) {
      test(`budget: ${cell}, ${sources}, ${commOutput}`, () => keepsBudget({ cell, sources, commOutput }, false));
    }
    for (const dropoutOn of ['values', 'probabilities'] as const) {
      test(`budget: ${cell}, ${sources}, dropout on ${dropoutOn}`, () => {
        keepsBudget({ cell, sources, dropoutOn, inputDropout: 0.2, commDropout: 0.2 }, true);
      });
    }
  }
}

test('the path follows from the options, and says why', () => {
  const path = (given: Partial<PresetOptions>, dropout?: RandomState, B = 2): string => {
    const own = presetOptions('paper', { inputSize: 4, hiddenSize: 3, modules: 3, active: 2, ...given });
    const rim = makeRIM(own, { seed: 1, ...(dropout && { dropout }) });
    const rows = own.inputRows === 1 ? [] : [own.inputRows];
    const shape = [2, B, ...rows, 4];
    return at(rim(variable('x', new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)).paths, 0);
  };
  const random = new RandomState({ seed: 1 });
  assert.is(path({}), 'fused');
  assert.is(path({}, random), 'fused');
  assert.is(path({ dropoutOn: 'probabilities', inputBias: true }, random), 'fused');
  assert.is(path({ sources: 'candidate', inactiveInput: 'zero', selection: 'raw-score', inputBias: true }), 'fused');
  assert.is(path({ modules: 64 }), 'fused');
  assert.is(path({ inputBias: true }, random), 'fused');
  assert.is(path({ inputBias: true, inputDropout: 0 }, random), 'fused');
  assert.is(path({ inputBias: true }), 'fused');
  assert.is(path({ modules: 65 }), 'plain: 65 modules, more than 64');
  assert.is(path({ inputRows: 2 }), 'plain: 2 input rows');
  assert.is(path({ inputHeads: 2 }), 'plain: 2 input heads');
  assert.is(path({ inputAttention: false, active: 3 }), 'plain: no input attention');
  assert.is(path({ communication: false }), 'plain: no communication');
  assert.is(path({ selection: 'across-modules' }), "plain: selection 'across-modules'");
  // A module's row of products: 4 gates and a query, keys and values of 4 heads, c.
  const row = 4 * 64 + 64 + 4 * (32 + 32) + 64;
  const large = { modules: 64, active: 32, hiddenSize: 64 };
  assert.is(path(large, undefined, 819), 'fused');
  const bytes = 4 * 1024 * 64 * row;
  assert.is(path(large, undefined, 1024), `plain: a step of ${bytes} bytes, more than a device binds`);
});

test.after(() => device.dispose());
test.run();
