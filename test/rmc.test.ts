// The Relational Memory Core against its equations written out in float64 loops, values and gradients: there every row goes through
// everything and the input's is dropped at the end, as the paper has it. Then its laws: sequences cut anywhere, a program that does
// not grow with time, what its trace says; extremes; and learning.
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type RMCOptions, rmc } from '../bench/baselines/index.ts';
import { at, need } from '../engine/errors.ts';
import * as ops from '../engine/node.ts';
import { isLoop } from '../engine/plan.ts';
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

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** Section 3 of the paper, sequence by sequence and step by step. */
function referenceOf(options: Required<RMCOptions>, B: number): Reference {
  const { inputSize: D, slots, heads, headSize, blocks, mlpLayers, gates } = options;
  const size = heads * headSize;
  return (weights, x) => {
    const own = (name: string): Rows => weights.rows(`rmc.${name}`);
    const row = (name: string): readonly number[] => weights.row(`rmc.${name}`);
    const normed = (value: readonly number[], name: string): number[] =>
      normalised(value, row(name), row(`${name}Bias`));
    const entrance = own('input');
    const steps = rowsOf(x, D);
    const attention = Array.from({ length: blocks }, (_, i) => own(`block${i + 1}.attention`));
    const mlp = Array.from({ length: mlpLayers }, (_, i) => own(`mlp${i + 1}.weight`));
    const gatesOf = Object.fromEntries(
      ['inputGate', 'forgetGate'].map((name) => [name, [own(`${name}.input`), own(`${name}.memory`)] as const]),
    );
    const attended = (rows: Rows, block: number): Rows => {
      const name = `block${block + 1}`;
      const projected = rows.map((value) =>
        normed(map(value, at(attention, block), row(`${name}.attentionBias`)), `${name}.attentionNorm`),
      );
      return rows.map((value, i) => {
        const context: number[] = [];
        for (let head = 0; head < heads; head++) {
          const part = (j: number, which: number): readonly number[] => {
            const start = which * size + head * headSize;
            return at(projected, j).slice(start, start + headSize);
          };
          const shares = softmaxOf(projected.map((_, j) => dot(part(i, 0), part(j, 1)) / Math.sqrt(headSize)));
          for (let e = 0; e < headSize; e++) {
            context.push(shares.reduce((sum, share, j) => sum + share * at(part(j, 2), e), 0));
          }
        }
        const between = normed(plus(value, context), `${name}.norm1`);
        let told: readonly number[] = between;
        mlp.forEach((weight, layer) => {
          const bent = layer === 0 ? told : told.map((each) => Math.max(each, 0));
          told = map(bent, weight, row(`mlp${layer + 1}.bias`));
        });
        return normed(plus(between, told), `${name}.norm2`);
      });
    };
    const hidden: number[][] = [];
    for (let b = 0; b < B; b++) {
      let memory: Rows = Array.from({ length: slots }, (_, i) =>
        Array.from({ length: size }, (_, j) => (i === j ? 1 : 0)),
      );
      for (let t = 0; t < steps.length / B; t++) {
        const input = map(at(steps, t * B + b), entrance, row('inputBias'));
        let rows: Rows = [...memory, input];
        for (let block = 0; block < blocks; block++) rows = attended(rows, block);
        memory = memory.map((slot, i) => {
          const gate = (name: string, unit: number): number => {
            const [ofInput, ofMemory] = need(gatesOf[name], name);
            const bent = map(slot.map(Math.tanh), ofMemory, row(`${name}.bias`));
            return sigmoid(
              at(
                plus(
                  bent,
                  map(
                    input,
                    ofInput,
                    bent.map(() => 0),
                  ),
                ),
                gates === 'unit' ? unit : 0,
              ),
            );
          };
          return slot.map((value, unit) => {
            const candidate = Math.tanh(at(at(rows, i), unit));
            return gate('forgetGate', unit) * value + gate('inputGate', unit) * candidate;
          });
        });
        hidden[t * B + b] = memory.flat();
      }
    }
    return hidden.flat();
  };
}

const drawnOptions = fc.record({
  inputSize: fc.integer({ min: 1, max: 4 }),
  slots: fc.integer({ min: 1, max: 4 }),
  heads: fc.integer({ min: 1, max: 2 }),
  headSize: fc.integer({ min: 3, max: 4 }),
  blocks: fc.integer({ min: 1, max: 3 }),
  mlpLayers: fc.integer({ min: 1, max: 3 }),
  gates: fc.constantFrom('unit', 'memory'),
  T: fc.integer({ min: 1, max: 4 }),
  B: fc.integer({ min: 1, max: 2 }),
});

test('values and gradients are those of the equations in float64', async () => {
  const property = fc.asyncProperty(drawnOptions, fc.nat(), async ({ T, B, ...options }, drawnSeed) => {
    const model = rmc(options, { seed: 1 });
    await matchesReference(model, [T, B, options.inputSize], referenceOf(options, B), drawnSeed);
    for (const each of model.variables) each.dispose();
  });
  await fc.assert(property, { seed, numRuns: runs(8) });
});

const small = { inputSize: 3, slots: 3, heads: 2, headSize: 4 } as const;

test('a sequence may be cut anywhere: two calls give the values, the state and the gradients of one', async () => {
  for (const options of [small, { ...small, blocks: 2, gates: 'memory' }] as const) {
    const model = rmc(options, { seed: 2 });
    await cutsAnywhere(model, [4, 2, 3]);
    for (const each of model.variables) each.dispose();
  }
});

test('a program does not grow with time, forward or backward', () => {
  /** Calls of one step of each loop, and calls outside of them. */
  const callsOf = (T: number, training: boolean): { readonly loops: readonly number[]; readonly outside: number } => {
    const model = rmc(small, { seed: 3 });
    const { hidden } = model(ops.input('x', [T, 4, 3]));
    const loss = ops.mean(ops.square(hidden));
    const updates = training ? ops.sgd(ops.grad(loss, model.variables), { learningRate: 0.1 }) : [];
    const { items } = planProgram(training ? { loss } : { hidden }, updates, { training, subgroupSize: 0 });
    const loops = items.filter(isLoop).map(({ body }) => body.length);
    return { loops, outside: items.length - loops.length };
  };
  for (const training of [false, true]) {
    const [short, long] = [callsOf(7, training), callsOf(70, training)];
    assert.equal(long.loops, short.loops);
    // A sum of more terms may take a round more.
    assert.ok(long.outside - short.outside < 10, `${short.outside} and ${long.outside} calls outside of loops`);
  }
  // One step of the forward alone, and of both ways: fewer is welcome.
  const [forward = 0] = callsOf(7, false).loops;
  assert.ok(forward <= 19, `${forward} calls a step`);
  const [there = 0, back = 0] = callsOf(7, true).loops;
  assert.ok(there <= 22 && back <= 26, `${there} and ${back} calls a step`);
});

test('it begins with the identity, padded or cut, and its trace shows attention that sums to 1 and gates', async () => {
  for (const headSize of [1, 4]) {
    const [T, B, slots, heads, size] = [3, 2, 3, 2, 2 * headSize];
    const model = rmc({ ...small, headSize, blocks: 2 }, { seed: 4 });
    // An input gate that is shut and a forget gate that is open leave the memory as it is.
    for (const [gate, bias] of [[model.weights.inputGate, -1e4] as const, [model.weights.forgetGate, 1e4] as const]) {
      gate.bias.write(new Float32Array(size).fill(bias));
    }
    const { hidden, state, trace } = model(ops.constant(normalArray(T * B * 3, { seed: 4, stream: 0 }), [T, B, 3]));
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
        const total = [...values.subarray(i, i + slots + 1)].reduce((a, b) => a + b, 0);
        assert.ok(Math.abs(total - 1) < 1e-5, `${name}: a row sums to ${total}`);
      }
    }
    for (const each of model.variables) each.dispose();
  }
});

test('extreme inputs and weights stay finite, gradients too', async () => {
  for (const gates of ['unit', 'memory'] as const) {
    for (const std of [0, 30]) {
      for (const reach of [0, 1e4]) {
        const model = rmc({ ...small, gates }, { seed: 7 });
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
    refused(() => rmc({ ...small, ...options } as RMCOptions, { seed: 1 }), 'OptionError', message);
  await refuses({ slots: 0 }, /slots must be a whole number of at least 1/);
  await refuses({ rows: 2 }, /rows/);
  await refuses({ gates: 'slot' }, /gates is 'slot'; use 'unit' or 'memory'/);
  const model = rmc(small, { seed: 1 });
  const x = ops.fill(0, [2, 2, 3]);
  await refused(() => model(ops.fill(0, [2, 2, 4])), 'ShapeError', /x must be \[T,B,3\]/);
  await refused(() => model(x, { memory: ops.fill(0, [2, 3, 9]) }), 'ShapeError', /'memory' must be f32 \[2,3,8\]/);
  await refused(() => model(x, { h: x }), 'ShapeError', /'memory' missing, 'h' unknown/);
});

test('it begins from its seed: every matrix from a stream of its own, the same for one seed; the forget gate open', async () => {
  const matricesOf = async (from: number): Promise<string[]> => {
    const { variables, weights } = rmc({ ...small, inputSize: 8, blocks: 2 }, { seed: from });
    assert.ok(variables.every(({ name }) => name.startsWith('rmc.')));
    assert.is(new Set(variables.map(({ name }) => name)).size, variables.length);
    assert.equal([...(await weights.forgetGate.bias.read())], new Array<number>(8).fill(1));
    assert.equal([...(await weights.inputGate.bias.read())], new Array<number>(8).fill(0));
    const matrices = variables.filter(({ shape }) => shape.length === 2);
    return Promise.all(matrices.map(async (each) => [...(await each.read())].join()));
  };
  const [first, again, other] = [await matricesOf(1), await matricesOf(1), await matricesOf(2)];
  assert.is(first.length, 9);
  assert.equal(again, first);
  assert.is(new Set([...first, ...other]).size, 18);
});

test('it learns to copy a digit over a blank', async () => {
  const model = rmc({ inputSize: 16, slots: 2, heads: 2, headSize: 16 }, { seed: seed % 1000 });
  const protocol = { digits: 1, blank: 4, batch: 32, steps: 80, learningRate: 1e-2, seed: seed % 1000 };
  const accuracy = await accuracyAfterCopying(model, 16, protocol);
  assert.ok(accuracy > 0.95, `it recalls ${accuracy} of the digits`);
});

test.run();
