// The memory plan over random graphs: whatever a program reads was written by what it means to read, in this run, with
// loops carried out step by step; and computing tensors together, where memory is shared, gives the bits that
// computing each alone gives. The plan's own notes on the lives of values are not trusted here: it is replayed.
import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at } from '../engine/errors.ts';
import {
  add,
  affine,
  assign,
  compile,
  concat,
  constant,
  type Data,
  type Device,
  fill,
  grad,
  input,
  matmul,
  maximum,
  mul,
  openDevice,
  permute,
  reshape,
  scan,
  sgd,
  sigmoid,
  slice,
  sum,
  type Tensor,
  tanh,
  type Update,
  Variable,
} from '../engine/node.ts';
import { isLoop } from '../engine/plan.ts';
import { planProgram } from '../engine/planner.ts';
import { normalArray } from '../engine/random.ts';
import { faults } from './plan-replay.ts';

const numbers = (size: number, stream: number): Float32Array => normalArray(size, { seed: 3, stream, std: 0.5 });

interface Graph {
  readonly wanted: Record<string, Tensor>;
  readonly updates: readonly Update[];
  readonly variables: readonly Variable[];
  /** Parameters of an optimiser, which takes `gradient` from each, times a factor that bounds their norm by 1. */
  readonly learned: readonly { readonly variable: Variable; readonly gradient: Tensor }[];
}

/** A graph that `choices` decides: every choice adds a tensor made of earlier ones. */
function graphOf(choices: readonly (readonly [op: number, a: number, b: number])[]): Graph {
  const w = new Variable('w', [4, 4], numbers(16, 1));
  const v = new Variable('v', [4], numbers(4, 2));
  const leaves = [input('x', [3, 4]), w, v, constant(numbers(12, 3), [3, 4]), fill(0.5, [4])];
  const pool: Tensor[] = [...leaves];
  const makers: readonly ((a: Tensor, b: Tensor) => Tensor)[] = [
    (a) => tanh(a),
    (a) => affine(a, -1.5, 0.25),
    (a, b) => add(sum(a, { axes: [] }), sum(b)),
    (a, b) => mul(a, tanh(sum(b))),
    (a, b) => (a.shape.join() === b.shape.join() ? maximum(a, b) : add(a, mul(sum(b), 0.125))),
    (a) => reshape(a, [a.size]),
    (a) => permute(a, [...a.shape.keys()].reverse()),
    (a) => (a.shape.length > 0 ? slice(a, 0, 0, Math.ceil(at(a.shape, 0) / 2)) : sigmoid(a)),
    (a) => (a.shape.length > 0 && a.size <= 256 ? concat([a, affine(a, 2, 0)], 0) : a),
    (a) => (a.shape.length > 1 ? sum(a, { axes: [1] }) : sum(a)),
    (a) => (a.shape.length === 2 ? tanh(matmul(a, permute(a, [1, 0]))) : a),
    (a, b) => grad(sum(mul(tanh(a), add(a, sum(b)))), [w, v]).of(a.size % 2 === 0 ? w : v),
    (a, b) => recurrence(a, b, false),
    (a, b) => recurrence(a, b, true),
    (a) => grad(sum(mul(recurrence(a, v, false), 0.5)), [w, v]).of(w),
  ];
  function recurrence(x: Tensor, b: Tensor, reverse: boolean): Tensor {
    const sequence = x.shape.length > 0 ? x : reshape(x, [1]);
    const start = fill(0.25, [...sequence.shape.slice(1), 4]);
    const { outputs, state } = scan(
      ({ x: now }, { h, kept }) => {
        const wide = add(h, mul(reshape(now, [...now.shape, 1]), v));
        const next = tanh(matmul(reshape(wide, [wide.size / 4, 4]), w));
        const y = reshape(next, start.shape);
        return { state: { h: y, kept: h }, output: { y: mul(y, kept), bound: sum(b) } };
      },
      { x: sequence },
      { h: start, kept: start },
      { reverse },
    );
    return add(reshape(sum(outputs.y, { axes: [0] }), start.shape), mul(state.kept, sum(outputs.bound)));
  }
  for (const [op, a, b] of choices) {
    const made = at(makers, op % makers.length)(at(pool, a % pool.length), at(pool, b % pool.length));
    if (made.size <= 512 && made.shape.length <= 4) pool.push(made);
  }
  const results = [...pool.slice(leaves.length)].filter((_, i) => i % 2 === 0 || i > choices.length - 3);
  const last = at(pool, pool.length - 1);
  // Any tensors will do for gradients: what lies in others, what others are made of, what is fed, constant or a Variable.
  const gradients = pool.filter((_, i) => i % 2 === 0);
  const learned = gradients.map(({ shape, size }, i) => new Variable(`p${i}`, shape, numbers(size, 10 + i)));
  const learns = sgd(
    gradients.map((gradient, i) => [at(learned, i), gradient]),
    { learningRate: 1, clipNorm: 1 },
  );
  const updates = [...learns, assign(v, tanh(mul(v, sum(last)))), assign(w, permute(w, [1, 0]))];
  return {
    wanted: Object.fromEntries([...results, last].map((tensor, i) => [`t${i}`, tensor])),
    updates,
    variables: [w, v, ...learned],
    learned: learned.map((variable, i) => ({ variable, gradient: at(gradients, i) })),
  };
}

const choice = fc.tuple(fc.nat(1000), fc.nat(1000), fc.nat(1000));

test('every read of a plan finds what it means to read', () => {
  fc.assert(
    fc.property(fc.array(choice, { minLength: 1, maxLength: 14 }), fc.boolean(), (choices, training) => {
      const { wanted, updates } = graphOf(choices);
      const found = faults(planProgram(wanted, updates, { training, subgroupSize: 0 }));
      if (found.length > 0) throw new Error(found.join('\n'));
    }),
    { numRuns: 300, seed: 1, includeErrorInReport: true },
  );
});

test('the replay finds a plan that is wrong', () => {
  const x = input('x', [64]);
  const plan = planProgram({ y: tanh(mul(tanh(x), sigmoid(x))) }, [], { training: false, subgroupSize: 0 });
  assert.equal(faults(plan), []);
  for (const item of plan.items) {
    if (isLoop(item)) continue;
    for (const { place } of item.buffers) place.value.slot = 0;
  }
  assert.ok(faults(plan).length > 0);
});

test('memory is shared: a chain of a hundred needs as many buffers as one of ten', () => {
  const slotsOf = (length: number): number => {
    let y: Tensor = input('x', [64]);
    for (let i = 0; i < length; i++) y = tanh(y);
    return planProgram({ y }, [], { training: false, subgroupSize: 0 }).slots.length;
  };
  assert.is(slotsOf(100), slotsOf(10));
});

let device: Device;
test.before(async () => {
  device = await openDevice();
});
test.after(() => device.dispose());

test('tensors computed together have the bits of each computed alone', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(choice, { minLength: 3, maxLength: 10 }), async (choices) => {
      const { wanted, variables } = graphOf(choices);
      const feeds = { x: numbers(12, 4) };
      const together = await compile(device, wanted);
      await together.run(together.plan.inputs.length > 0 ? feeds : {});
      for (const [name, tensor] of Object.entries(wanted)) {
        const alone = await compile(device, { [name]: tensor });
        await alone.run(alone.plan.inputs.length > 0 ? feeds : {});
        assert.equal(bits(await together.read(name)), bits(await alone.read(name)));
        alone.dispose();
      }
      together.dispose();
      for (const each of variables) each.dispose();
    }),
    { numRuns: 20, seed: 2, includeErrorInReport: true },
  );
});

test('an optimiser sees the gradients that computing each alone gives, wherever they lie', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(choice, { minLength: 3, maxLength: 10 }), async (choices) => {
      const { updates, variables, learned } = graphOf(choices);
      const feeds = { x: numbers(12, 4) };
      const found: Data[] = [];
      for (const { gradient } of learned) {
        const alone = await compile(device, { gradient });
        await alone.run(alone.plan.inputs.length > 0 ? feeds : {});
        found.push(await alone.read('gradient'));
        alone.dispose();
      }
      const before = await Promise.all(learned.map(({ variable }) => variable.read()));
      const step = await compile(device, {}, updates);
      await step.run(step.plan.inputs.length > 0 ? feeds : {});
      const norm = Math.hypot(...found.flatMap((each) => [...each]));
      const factor = Math.min(1, 1 / (norm + 1e-6));
      for (const [i, { variable }] of learned.entries()) {
        const got = await variable.read();
        at(before, i).forEach((value, k) => {
          const wanted = value - factor * at(at(found, i), k);
          assert.ok(
            Math.abs(at(got, k) - wanted) <= 1e-5,
            `${variable.name}, element ${k}: ${at(got, k)}, not ${wanted}`,
          );
        });
      }
      step.dispose();
      for (const each of variables) each.dispose();
    }),
    { numRuns: 20, seed: 3, includeErrorInReport: true },
  );
});

function bits(data: ArrayBufferView): number[] {
  return [...new Uint32Array(data.buffer, data.byteOffset, data.byteLength / 4)];
}

test.run();
