// One step of a RIM as one op: what it refuses, what an inactive module keeps, ties, numbers that are none, drawn sizes on the
// adapter, and whole sequences of it in float64 against the plain path. Fixed cases are in check/cases/rim-step.ts.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type DrawnStep, drawStep, stepCase } from '../check/cases/rim-step.ts';
import { rimCases } from '../check/cases/rims.ts';
import { Draw, drawCase } from '../check/draw.ts';
import { KERNEL_LIMIT, kernelError, wantedOf } from '../check/gradcheck.ts';
import { interpret } from '../check/interpret.ts';
import { largest, worse } from '../check/value.ts';
import { at, need } from '../engine/errors.ts';
import {
  add,
  affine,
  compile,
  concat,
  constant,
  type Data,
  evaluate,
  fill,
  grad,
  input,
  mul,
  type Program,
  permute,
  reshape,
  type Shape,
  slice,
  square,
  sum,
  type Tensor,
  topKMask,
} from '../engine/node.ts';
import { inputOf } from '../engine/ops/leaf.ts';
import { normalArray } from '../engine/random.ts';
import { sizeOf } from '../engine/tensor.ts';
import { RIM } from '../rims/index.ts';
import { layoutOf, type StepOptions } from '../rims/step-layout.ts';
import { rimStep, type StepInputs } from '../rims/step-op.ts';
import { bits, onAdapter, refused, theDevice } from './on-adapter.ts';

const seed = Number(process.env.RIMGRAD_SEED ?? Date.now() % 1_000_000_007);
console.log(`fast-check seed ${seed} (RIMGRAD_SEED=${seed} repeats this run)`);

onAdapter(test);

const cells = ['lstm', 'gru'] as const;
const sources = ['kept', 'candidate'] as const;

// biome-ignore format: sizes side by side
const small: StepOptions = {
  cell: 'gru', rows: 3, modules: 4, active: 2, hidden: 4, keySize: 4, sources: 'kept', zeroInput: false, rawScore: false,
  heads: 2, talkKey: 4, talkValue: 4, talkScale: 0.5, topK: 4, gated: false,
};

for (const each of rimCases.filter(({ expected }) => expected !== undefined)) {
  test(`in float64 as the plain path: ${each.name}`, async () => {
    const [fused, plain] = [drawCase(each), drawCase({ ...each, graph: need(each.expected, 'a graph') })];
    const training = each.training ?? false;
    const found = await interpret(wantedOf(fused), { feeds: fused.feeds, training });
    const expected = await interpret(wantedOf(plain), { feeds: plain.feeds, training });
    expected.forEach(({ data }, i) => {
      const got = at(found, i).data;
      const off = Array.from(data, (x, k) => Math.abs(x - at(got, k))).reduce(worse, 0);
      assert.ok(off <= 1e-12 * Math.max(1, largest(data)), `tensor ${i} is off by ${off}`);
    });
  });
}

const drawnSteps: fc.Arbitrary<DrawnStep> = fc
  .record({
    cell: fc.constantFrom(...cells),
    rows: fc.constantFrom(1, 2, 3, 5, 15, 16, 17, 64, 65, 70),
    modules: fc.integer({ min: 1, max: 9 }),
    part: fc.nat(),
    talk: fc.nat(),
    hidden: fc.constantFrom(4, 8, 12, 32, 36),
    keySize: fc.constantFrom(4, 8, 36),
    sources: fc.constantFrom(...sources),
    heads: fc.integer({ min: 1, max: 3 }),
    talkKey: fc.constantFrom(4, 8, 20),
    talkValue: fc.constantFrom(4, 8, 12, 24),
    flags: fc.record({
      ...{ zeroInput: fc.boolean(), rawScore: fc.boolean(), gated: fc.boolean(), nulls: fc.boolean() },
      ...{ constant: fc.boolean(), shared: fc.boolean(), biased: fc.boolean(), twice: fc.boolean() },
    }),
    dropped: fc.subarray(['input', 'talk', 'output'] as const),
    inputSize: fc.constantFrom(0, 1, 3, 8),
  })
  .map(({ part, talk, flags, ...rest }) => ({
    ...rest,
    ...flags,
    active: 1 + (part % rest.modules),
    topK: 1 + (talk % rest.modules),
    talkScale: 0.5,
    // Large log-odds keep the rounding of their terms, which a slope of the sigmoid shows.
    std: 0.3,
  }));

test('on the adapter, over drawn sizes and options', async () => {
  const property = fc.asyncProperty(drawnSteps, fc.nat(), async (sizes, numbers) => {
    const error = await kernelError(theDevice(), stepCase('drawn', sizes), numbers);
    assert.ok(error <= KERNEL_LIMIT, `off by ${error} of the largest magnitude`);
  });
  await fc.assert(property, { seed, numRuns: 10, endOnFailure: true });
});

test('64 modules, the most there may be', async () => {
  const sizes: DrawnStep = { ...small, rows: 2, modules: 64, active: 19, topK: 7, heads: 1 };
  assert.ok((await kernelError(theDevice(), stepCase('64 modules', sizes))) <= KERNEL_LIMIT);
  const draw = new Draw(6);
  const inputs = drawStep(draw, sizes);
  const { saved, mask } = rimStep(inputs, sizes);
  const odds = slice(saved, 2, layoutOf(sizes).saved - 4, 1);
  const wanted = permute(topKMask(reshape(odds, [2, 64]), 19), [1, 0]);
  const found = await evaluate(theDevice(), { mask, wanted }, used(draw, mask));
  assert.equal([...found.mask], [...found.wanted]);
});

/** The feeds that a program of these tensors takes. */
function used(draw: Draw, ...tensors: readonly Tensor[]): Record<string, Data> {
  const reached = new Set<string>();
  const visit = (tensor: Tensor): void => {
    const leaf = inputOf(tensor);
    if (leaf !== undefined) reached.add(leaf.name);
    tensor.node.inputs.forEach(visit);
  };
  tensors.forEach(visit);
  return Object.fromEntries(Object.entries(draw.feeds).filter(([name]) => reached.has(name)));
}

test('sizes and counts that the kernels cannot take are refused by name', async () => {
  const wrong = (change: Partial<StepOptions>) => () => layoutOf({ ...small, ...change });
  await refused(wrong({ hidden: 6 }), 'ShapeError', /rimStep: hidden is 6; pad it to a multiple of 4/);
  await refused(wrong({ keySize: 0 }), 'ShapeError', /rimStep: keySize is 0; pad it/);
  await refused(wrong({ talkKey: 3 }), 'ShapeError', /rimStep: talkKey is 3; pad it/);
  await refused(wrong({ talkValue: 5 }), 'ShapeError', /rimStep: talkValue is 5; pad it/);
  await refused(wrong({ modules: 65 }), 'OptionError', /rimStep: 65 modules; at most 64 are ranked, use path: 'plain'/);
  await refused(wrong({ active: 5 }), 'OptionError', /rimStep: active is 5; give a whole number from 1 to 4/);
  await refused(wrong({ active: 1.5 }), 'OptionError', /rimStep: active is 1.5/);
  await refused(wrong({ topK: 0 }), 'OptionError', /rimStep: topK is 0; give a whole number from 1 to 4/);
});

test('operands that do not fit are refused by name and shape', async () => {
  const sizes: DrawnStep = { ...small, constant: true, nulls: true, biased: true, dropped: ['talk', 'output'] };
  const inputs = drawStep(new Draw(1), sizes);
  for (const [name, { shape }] of Object.entries(inputs) as [string, Tensor][]) {
    const wider = [...shape.slice(0, -1), at(shape, shape.length - 1) + 8];
    // The size of x is free: what does not fit it is its weights.
    const said =
      name === 'x' ? 'wInput must be f32' : `${name} must be f32 \\[[0-9,]+\\], not \\[${wider.join(',')}\\]`;
    const act = (): unknown => rimStep({ ...inputs, [name]: fill(0, wider) }, sizes);
    await refused(act, 'ShapeError', new RegExp(`rimStep: ${said}`));
  }
});

test('a gradient that arrives at the choice goes nowhere, one at the attention is refused', async () => {
  const sizes: DrawnStep = { ...small, cell: 'lstm' };
  const draw = new Draw(2);
  const { h, mask, probabilities } = rimStep(drawStep(draw, sizes), sizes);
  const masked = mul(h, reshape(permute(mask, [1, 0]), [3, 4, 1]));
  const gradients = grad(add(sum(square(h)), sum(masked)), draw.wrt);
  const values = await interpret(
    draw.wrt.map((t) => gradients.of(t)),
    { feeds: draw.feeds },
  );
  assert.ok(values.every(({ data }) => data.every(Number.isFinite)));
  assert.ok(values.some(({ data }) => data.some((x) => x !== 0)));
  await refused(() => grad(sum(probabilities), draw.wrt), 'OptionError', /does not pass on.*path: 'plain'/);
});

/** Inputs of a step in which module n has the log-odds scores[n]: its query is scores[n]/E, every key 1. */
function scored(sizes: DrawnStep, scores: readonly number[], changes: Partial<StepInputs> = {}): StepInputs {
  const { rows: B, modules: N, keySize: E } = sizes;
  const { scored, memory } = layoutOf(sizes);
  const { input: _, ...inputs } = drawStep(new Draw(3), { ...sizes, inputSize: 0 });
  const gates = scored - E;
  const queries = reshape(
    constant(
      scores.flatMap((score) => new Array<number>(E).fill(score / E)),
      [N, E],
    ),
    [1, N, E],
  );
  const ofRows = mul(queries, fill(1, [B, N, E]));
  const zeros = (width: number): Tensor => fill(0, [B, N, width]);
  const given = layoutOf(sizes).cached
    ? { memory: concat([zeros(gates), ofRows, zeros(memory - scored)], 2) }
    : { constant: concat([fill(0, [N, gates]), reshape(queries, [N, E])], 1) };
  return {
    ...inputs,
    ...given,
    uk: concat([zeros(gates), fill(1, [B, N, E])], 2),
    wState: affine(inputs.wState, 0, 0),
    ...changes,
  };
}

/** The values of a step's outputs on the adapter; inputs that were drawn are fed. */
async function stepped(inputs: StepInputs, sizes: DrawnStep): Promise<Readonly<Record<string, Data>>> {
  const draw = new Draw(3);
  drawStep(draw, { ...sizes, inputSize: 0 });
  const { h, memory, mask, probabilities } = rimStep(inputs, sizes);
  return evaluate(theDevice(), { h, memory, mask, probabilities }, used(draw, h));
}

for (const cell of cells) {
  for (const read of sources) {
    const sizes: DrawnStep = { ...small, cell, sources: read, rows: 2, topK: 2 };
    test(`${cell}, ${read}: of equal scores the lowest modules are chosen, and the lowest sources read`, async () => {
      const wTalk = fill(0, [4, 4, layoutOf(sizes).talk]);
      for (const [scores, chosen] of [
        [
          [0, 0, 0, 0],
          [1, 1, 0, 0],
        ],
        [
          [1, 2, 2, 2],
          [0, 1, 1, 0],
        ],
        [
          [-3, 1, -3, -3],
          [1, 1, 0, 0],
        ],
        [
          [0, -0, 1, 0],
          [1, 0, 1, 0],
        ],
      ] as const) {
        const { mask = [], probabilities } = await stepped(scored(sizes, scores, { wTalk }), sizes);
        assert.equal(
          [...mask],
          chosen.flatMap((each) => [each, each]),
          `scores ${scores.join()}`,
        );
        const readers = [0, 1].flatMap(() => chosen.flatMap((each) => [each / 2, each / 2, 0, 0]));
        assert.equal([...(probabilities ?? [])], [...readers, ...readers]);
      }
    });

    test(`${cell}, ${read}: an inactive module's state keeps its bits, whatever they are`, async () => {
      // -0, the smallest numbers, a large one; and where nothing reads it, a NaN with a payload.
      const kept = [0x80000000, 0x00000001, 0x7f7fffff, read === 'kept' ? 0x7fc12345 : 0x3f800000];
      const { memory, cached, products } = layoutOf(sizes);
      const odd = (width: number): Uint32Array =>
        Uint32Array.from({ length: 2 * 4 * width }, (_, i) => at(kept, i % 4));
      const made = (width: number, scores?: readonly number[]): Tensor => {
        const words = odd(width);
        const floats = new Float32Array(words.buffer);
        const ofQuery = layoutOf(sizes).scored - sizes.keySize;
        for (let row = 0; row < 8 && scores !== undefined; row++) {
          floats.fill(at(scores, row % 4) / 4, row * width + ofQuery, row * width + ofQuery + 4);
        }
        return constant(floats, [2, 4, width]);
      };
      const scores = [-1, 2, -3, -4];
      const h = made(4);
      const before = cached ? { memory: made(memory, scores) } : cell === 'lstm' ? { memory: made(memory) } : {};
      const inputs = scored({ ...sizes, active: 1 }, scores, { h, ...before });
      const found = await stepped(inputs, { ...sizes, active: 1 });
      assert.equal([...(found.mask ?? [])], [0, 0, 1, 1, 0, 0, 0, 0]);
      const given = new Float32Array(odd(4).buffer);
      for (const row of [0, 2, 3, 4, 6, 7]) {
        const own = (data: Data | undefined, width: number, from: number): number[] =>
          bits(need(data, 'an output').slice(row * width + from, (row + 1) * width));
        assert.equal(own(found.h, 4, 0), bits(given.slice(4 * row, 4 * row + 4)), 'h');
        if (cell === 'lstm') assert.equal(own(found.memory, memory, memory - 4), kept, 'c');
        const cache = own(found.memory, memory, layoutOf(sizes).scored).slice(0, products - layoutOf(sizes).scored);
        assert.equal(
          cache,
          cache.map((_, i) => at(kept, i % 4)),
          'keys and values',
        );
      }
    });
  }
}

/** A sequence and its gradients as one program, of fed input and first state. */
class Subject {
  readonly #program: Program;
  readonly #shapes: Readonly<Record<string, Shape>>;

  static async make(cell: 'lstm' | 'gru', read: 'kept' | 'candidate'): Promise<Subject> {
    const sizes = { inputSize: 5, hiddenSize: 4, modules: 4, active: 2, keySize: 4, valueSize: 7 };
    const talk = { commHeads: 2, commKeySize: 4, commValueSize: 4, initialisation: 'fan-in' } as const;
    const rim = RIM.paper({ ...sizes, ...talk, cell, sources: read, commOutput: 'gated' }, { seed: 1 });
    const shapes = { x: [3, 3, 5], h: [3, 4, 4], ...(cell === 'lstm' && { c: [3, 4, 4] }) };
    const [x, h] = [input('x', shapes.x), input('h', shapes.h)];
    const c = shapes.c === undefined ? {} : { c: input('c', shapes.c) };
    const { hidden, state, trace, paths } = rim(x, { state: [{ h, ...c }] });
    assert.equal(paths, ['fused']);
    const last = state.flatMap((each) => Object.values(each)).map((each) => sum(square(each)));
    const loss = last.reduce(add, sum(square(hidden)));
    const gradients = grad(loss, [x, h, ...rim.variables]);
    const weights = Object.fromEntries(rim.variables.map((w) => [`d ${w.name}`, gradients.of(w)]));
    const outputs = { hidden, mask: at(trace, 0).mask, dx: gradients.of(x), dh: gradients.of(h), ...weights };
    return new Subject(await compile(theDevice(), outputs), shapes);
  }

  private constructor(program: Program, shapes: Readonly<Record<string, Shape>>) {
    this.#program = program;
    this.#shapes = shapes;
  }

  /** Everything, where `spoil` has changed what is fed. */
  async run(spoil: (feeds: Readonly<Record<string, Float32Array>>) => void = () => {}): Promise<Map<string, Data>> {
    const entries = Object.entries(this.#shapes);
    const feeds = Object.fromEntries(
      entries.map(([name, shape], i) => [name, normalArray(sizeOf(shape), { seed: 4, stream: i })]),
    );
    spoil(feeds);
    await this.#program.run(feeds);
    const found = new Map<string, Data>();
    for (const name of this.#program.plan.outputs.keys()) found.set(name, await this.#program.read(name));
    return found;
  }

  dispose(): void {
    this.#program.dispose();
  }
}

for (const cell of cells) {
  for (const read of sources) {
    test(`${cell}, ${read}: what is no number stays in its batch row, and does not outlive its run`, async () => {
      const subject = await Subject.make(cell, read);
      const first = await subject.run();
      for (const [name, data] of first) assert.ok(data.every(Number.isFinite), name);
      // States of two of the four modules at a time: the choice falls on them, so that every module's rows are spoilt.
      for (const from of [0, 2]) {
        const spoilt = await subject.run((feeds) => {
          for (const state of [feeds.h, feeds.c]) {
            for (let row = 0; row < 3; row++) state?.fill(Number.NaN, 16 * row + 4 * from, 16 * row + 4 * from + 8);
          }
        });
        assert.ok(need(spoilt.get('hidden'), 'h').some(Number.isNaN));
        const again = await subject.run();
        for (const [name, data] of first) assert.equal(bits(need(again.get(name), name)), bits(data), name);
      }
      const found = await subject.run(({ x }) => need(x, 'x').fill(Number.NaN, 5, 10));
      for (const [name, width, steps] of [
        ['hidden', 16, 3],
        ['mask', 4, 3],
        ['dx', 5, 3],
        ['dh', 16, 1],
      ] as const) {
        const [got, expected] = [need(found.get(name), name), need(first.get(name), name)];
        for (let t = 0; t < steps; t++) {
          for (const row of [0, 2]) {
            const place = (3 * t + row) * width;
            const own = (data: Data): number[] => bits(data.slice(place, place + width));
            assert.equal(own(got), own(expected), `${name}, step ${t}, row ${row}`);
          }
        }
      }
      assert.ok(need(found.get('hidden'), 'h').slice(16, 32).some(Number.isNaN));
      subject.dispose();
    });
  }
}

test.run();
