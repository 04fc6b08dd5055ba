// The fused path of a RIM against the plain one: values, states, traces and every gradient over drawn options and sizes, the
// budget of kernel calls a step, what stands outside of the loop, and when each path is taken.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at, need } from '../engine/errors.ts';
import {
  add,
  constant,
  evaluate,
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
}

const count = (most: number): fc.Arbitrary<number> => fc.integer({ min: 1, max: most });
const trials: fc.Arbitrary<Trial> = fc
  .record({
    preset: fc.constantFrom('paper' as const, 'official' as const, 'dido' as const),
    modules: count(6),
    part: fc.double({ min: 0, max: 1, noNaN: true }),
    talk: fc.double({ min: 0, max: 1, noNaN: true }),
    sizes: fc.record({
      inputSize: count(9),
      hiddenSize: fc.constantFrom(1, 3, 4, 8, 9),
      keySize: count(7),
      valueSize: count(12),
      commHeads: count(3),
      commKeySize: count(5),
      commValueSize: count(5),
      cell: fc.constantFrom('lstm' as const, 'gru' as const),
      sources: fc.constantFrom('kept' as const, 'candidate' as const),
      selection: fc.constantFrom('least-null' as const, 'raw-score' as const),
      commOutput: fc.constantFrom('residual' as const, 'gated' as const),
      commShared: fc.boolean(),
      commBias: fc.boolean(),
      cellBias: fc.boolean(),
    }),
    steps: fc.integer({ min: 1, max: 4 }),
    batch: fc.constantFrom(1, 3, 5),
    bidirectional: fc.boolean(),
    layers: fc.constantFrom(1, 1, 2),
  })
  .map(({ preset, modules, part, talk, sizes, steps, batch, bidirectional, layers }) => {
    const given: PresetOptions = {
      ...sizes,
      modules,
      active: 1 + Math.floor(part * (modules - 1)),
      commTopK: 1 + Math.floor(talk * (modules - 1)),
      initialisation: 'fan-in',
    };
    const sequence: SequenceOptions = { bidirectional, layers, initialState: 'noise' };
    return { options: presetOptions(preset, given), steps, batch, sequence };
  });

/** The loss of one path, its gradients and what it shows, by name. */
function graphOf({ options, steps, batch, sequence }: Trial, path: 'auto' | 'plain') {
  const rim = makeRIM(options, { seed: 7 }, { ...sequence, path });
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
  return { named, paths, gaps: trace.map(({ mask }) => mask) };
}

test('equals the plain path, values and gradients', async () => {
  const property = fc.asyncProperty(trials, async (trial) => {
    const [fused, plain] = [graphOf(trial, 'auto'), graphOf(trial, 'plain')];
    assert.ok(
      fused.paths.every((path) => path === 'fused') && plain.paths.every((path) => path === 'plain: asked for'),
    );
    const [a, b] = [await evaluate(device, fused.named), await evaluate(device, plain.named)];
    // Another choice of modules is another function: masks must agree, or the case says nothing. They do but for rounding.
    const masks = Object.keys(a).filter((name) => name.startsWith('mask'));
    fc.pre(masks.every((name) => need(a[name], name).every((value, i) => value === b[name]?.[i])));
    for (const name of Object.keys(b)) {
      const [got, expected] = [[...need(a[name], name)], [...need(b[name], name)]];
      // The bias of the keys has no gradient but through the null row, where it cancels: what is left is rounding.
      const largest = name.endsWith('keyBias') ? 1 : Math.max(...expected.map(Math.abs));
      const off = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - at(got, i))), 0);
      assert.ok(off <= 2e-5 * largest + 1e-6, `${name}: off by ${off} of ${largest}`);
    }
  });
  await fc.assert(property, { seed, numRuns: 14 });
});

/** The loops of a training step, forward and backward. */
function loopsOf(given: Partial<PresetOptions>, steps: number): { loops: Loop[]; outside: number } {
  const options = presetOptions('official', {
    inputSize: 8,
    hiddenSize: 8,
    modules: 4,
    active: 2,
    inputDropout: 0,
    ...given,
  });
  const { named } = graphOf({ options, steps, batch: 4, sequence: {} }, 'auto');
  const wanted = Object.fromEntries(Object.entries(named).filter(([name]) => name === 'loss' || name.startsWith('d ')));
  const { items } = planProgram(wanted, [], { training: true, subgroupSize: 0 });
  const loops = items.filter(isLoop);
  return { loops, outside: items.length - loops.length };
}

for (const cell of ['lstm', 'gru'] as const) {
  for (const sources of ['kept', 'candidate'] as const) {
    for (const commOutput of ['residual', 'gated'] as const) {
      test(`budget: ${cell}, ${sources}, ${commOutput}`, () => {
        const short = loopsOf({ cell, sources, commOutput }, 16);
        const long = loopsOf({ cell, sources, commOutput }, 64);
        assert.is(short.loops.length, 2);
        const [forward, backward] = short.loops;
        assert.ok(need(forward, 'a loop').body.length <= 5, 'at most 5 calls a step forward');
        assert.ok(need(backward, 'a loop').body.length <= 7, 'at most 7 calls a step backward');
        assert.is(long.outside, short.outside, 'the calls outside do not grow with T');
      });
    }
  }
}

test('the path follows from the options, and says why', () => {
  const options = (given: Partial<PresetOptions>): CellOptions =>
    presetOptions('paper', { inputSize: 4, hiddenSize: 3, modules: 3, active: 2, ...given });
  const path = (given: Partial<PresetOptions>, dropout?: RandomState): string => {
    const own = options(given);
    const rim = makeRIM(own, { seed: 1, ...(dropout && { dropout }) });
    const rows = own.inputRows === 1 ? [] : [own.inputRows];
    const shape = [2, 2, ...rows, 4];
    return at(rim(variable('x', new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)).paths, 0);
  };
  assert.is(path({}), 'fused');
  assert.is(path({}, new RandomState({ seed: 1 })), 'plain: dropout');
  assert.is(path({ inputDropout: 0, commDropout: 0 }, new RandomState({ seed: 1 })), 'fused');
  assert.is(path({ inputRows: 2 }), 'plain: 2 input rows');
  assert.is(path({ inputHeads: 2 }), 'plain: 2 input heads');
  assert.is(path({ communication: false }), 'plain: no communication');
  assert.is(path({ selection: 'across-modules' }), "plain: selection 'across-modules'");
  assert.is(path({ sources: 'candidate', inactiveInput: 'zero' }), "plain: inactiveInput 'zero'");
});

test.after(() => device.dispose());
test.run();
