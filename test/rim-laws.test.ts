// The laws of a RIM's step, over options that fast-check draws: what must hold for
// every preset, cell and size, to the bit where nothing is summed in another order. The seed is new in every run and printed;
// RIMGRAD_SEED=N repeats a run. Sequences, layers and initial states are in rim-sequence.test.ts.
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at, need } from '../engine/errors.ts';
import { compile, constant, openDevice, type Variable } from '../engine/node.ts';
import { presetOptions, RIMCell } from '../rims/index.ts';
import { BATCH, drawnOptions, fillWeights, floats, type Numbers, of, Subject, sameBits } from './rim-draw.ts';
import { chosenOf, clearChoice, clearSources } from './rim-ranking.ts';

const device = await openDevice();
const seed = Number(process.env.RIMGRAD_SEED ?? Date.now() % 1_000_000_007);
console.log(`fast-check seed ${seed} (RIMGRAD_SEED=${seed} repeats this run)`);
/** Every preset with either cell, and then the drawn ones. */
const presetCells = (['paper', 'official', 'dido'] as const).flatMap((preset) =>
  (['lstm', 'gru'] as const).map((cell) =>
    presetOptions(preset, {
      inputSize: 3,
      hiddenSize: 4,
      modules: 5,
      active: 3,
      cell,
      keySize: 3,
      valueSize: 4,
      commHeads: 2,
      commKeySize: 3,
    }),
  ),
);
const subjects: Subject[] = [];

test.before(async () => {
  for (const options of [...presetCells, ...fc.sample(drawnOptions, { seed, numRuns: 9 })]) {
    subjects.push(await Subject.make(device, options));
  }
});
test.after(() => {
  for (const subject of subjects) subject.dispose();
  device.dispose();
});

/** Asks a law of every cell. It answers false where it does not apply; to the presets it must. */
function law(name: string, ask: (subject: Subject) => Promise<boolean | undefined>): void {
  test(name, async () => {
    let asked = 0;
    for (const subject of subjects) {
      try {
        if ((await ask(subject)) !== false) asked++;
      } catch (error) {
        console.log(`fails with ${JSON.stringify(subject.options)}`);
        throw error;
      }
    }
    assert.ok(asked >= presetCells.length - 1, `the law applied to ${asked} of ${subjects.length} cells only`);
  });
}

/** The same numbers with some rows replaced. */
function changed(numbers: Float32Array, change: (value: number, i: number) => number): Float32Array {
  return numbers.map((value, i) => change(value, i));
}

law('the mask has exactly K ones and is else zero', async (subject) => {
  const mask = of(await subject.base(), 'mask');
  const { modules: N, active: K } = subject.options;
  assert.ok(mask.every((m) => m === 0 || m === 1));
  for (let b = 0; b < BATCH; b++) assert.is(mask.slice(b * N, (b + 1) * N).filter((m) => m === 1).length, K);
});

law('the K active modules are those that the rule of selection names', async (subject) => {
  const base = await subject.base();
  if (!clearChoice(subject.options, base)) return false;
  assert.equal([...of(base, 'mask')], chosenOf(subject.options, base));
  return true;
});

law('h and c of inactive modules are unchanged to the bit, those of active ones change', async (subject) => {
  const { hiddenSize: H, cell } = subject.options;
  const base = await subject.base();
  let moved = false;
  for (const { place } of subject.modules()) {
    const active = at(of(base, 'mask'), place) === 1;
    for (const name of cell === 'lstm' ? ['h', 'c'] : ['h']) {
      const same = sameBits(of(base, name), of(subject.feeds, name), place * H, H);
      if (active) moved ||= !same;
      else assert.ok(same, `${name} of the inactive module at ${place} changed`);
    }
  }
  assert.ok(moved, 'no active module changed');
});

law('a batch row does not see another', async (subject) => {
  const { modules: N, hiddenSize: H } = subject.options;
  const base = await subject.base();
  const ofFirst = (name: string): Float32Array => {
    const numbers = of(subject.feeds, name);
    return changed(numbers, (value, i) => (i < numbers.length / BATCH ? 2 - value : value));
  };
  const names = Object.keys(subject.feeds).filter((name) => name !== 'mask');
  const other = await subject.run(Object.fromEntries(names.map((name) => [name, ofFirst(name)])));
  for (const name of ['h', 'c', 'mask', 'scores', 'commScores', 'dh', 'dc']) {
    const [before, after] = [base[name], other[name]];
    if (before === undefined || after === undefined) continue;
    const first = before.length / BATCH;
    assert.ok(sameBits(after, before, first), `${name} of the other rows changed`);
  }
  assert.not.ok(sameBits(of(other, 'h'), of(base, 'h'), 0, N * H), 'the changed row did not change');
});

law('permuting modules with their parameters permutes the result', async (subject) => {
  const { modules: N, active } = subject.options;
  const base = await subject.base();
  if (N === 1 || !clearSources(subject.options, base)) return false;
  const from = (n: number): number => (n + 1) % N;
  // Ties may fall otherwise after a permutation: then the mask is imposed.
  const free = active < N && clearChoice(subject.options, base);
  const feeds: Record<string, Float32Array> = { x: of(subject.feeds, 'x') };
  for (const name of Object.keys(subject.feeds))
    if (name !== 'x') feeds[name] = permuted(of(subject.feeds, name), N, from);
  if (!free) feeds.mask = permuted(of(base, 'mask'), N, from);
  const own = ownVariables(subject);
  for (const variable of own) variable.write(permuted(floats(await variable.read()), N, from, 1));
  let result: Numbers;
  try {
    result = await subject.run(feeds);
  } finally {
    fillWeights(subject.cell.variables);
  }
  assert.equal([...of(result, 'mask')], [...permuted(of(base, 'mask'), N, from)]);
  for (const name of subject.options.cell === 'lstm' ? ['h', 'c', 'dh', 'dc'] : ['h', 'dh']) {
    near(of(result, name), permuted(of(base, name), N, from), name);
  }
  return true;
});

/** The weights of which each module has its own. */
function ownVariables({ cell, options }: Subject): Variable[] {
  const shared = [
    'key',
    'keyBias',
    'value',
    'valueBias',
    ...(options.commShared ? ['commOutput', 'commOutputBias', 'commGate', 'commGateBias'] : []),
  ];
  return Object.entries(cell.weights).flatMap(([name, variable]) => (shared.includes(name) ? [] : [variable]));
}

/** [rows, N, ...] with module `from(n)` in the place of module n. */
function permuted(numbers: Float32Array, N: number, from: (n: number) => number, rows: number = BATCH): Float32Array {
  const size = numbers.length / rows / N;
  const result = new Float32Array(numbers.length);
  for (let b = 0; b < rows; b++) {
    for (let n = 0; n < N; n++) {
      const start = (b * N + from(n)) * size;
      result.set(numbers.subarray(start, start + size), (b * N + n) * size);
    }
  }
  return result;
}

/** Equal to rounding: 2e-5 of the largest magnitude. */
function near(actual: Float32Array, expected: Float32Array, what: string): void {
  const scale = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 1);
  actual.forEach((x, i) => {
    assert.ok(Math.abs(x - at(expected, i)) <= 2e-5 * scale, `${what}[${i}] is ${x}, expected ${at(expected, i)}`);
  });
}

law('an imposed mask is obeyed, and its negative entries are free', async (subject) => {
  const base = await subject.base();
  const imposed = changed(of(subject.feeds, 'mask'), (_, i) => at([1, 0, -1, 0, -0.5, 1, 1], (i * 5) % 7));
  const result = await subject.run({ mask: imposed });
  const expected = imposed.map((m, i) => (m >= 0 ? m : at(of(base, 'mask'), i)));
  assert.equal([...of(result, 'mask')], [...expected]);
  const { hiddenSize: H } = subject.options;
  for (const { place } of subject.modules()) {
    const kept = sameBits(of(result, 'h'), of(subject.feeds, 'h'), place * H, H);
    if (at(expected, place) === 0) assert.ok(kept, `module ${place} was imposed to be inactive`);
  }
});

law('with a state of zeros all modules tie, and the lowest indices are active', async (subject) => {
  const { modules: N, active: K, inputAttention } = subject.options;
  if (!inputAttention) return false;
  const mask = of(await subject.run({ h: of(subject.feeds, 'h').map(() => 0) }), 'mask');
  assert.equal(
    [...mask],
    Array.from({ length: BATCH * N }, (_, i) => (i % N < K ? 1 : 0)),
  );
  return true;
});

law(
  'gradients pass an inactive module unchanged where nothing reads it, and reach kept sources only',
  async (subject) => {
    const { hiddenSize: H, communication, sources, commTopK, modules: N, active: K, cell, selection } = subject.options;
    // In a softmax over the modules, every active module reads the scores of the others.
    if (K === N || selection === 'across-modules') return false;
    const base = await subject.base();
    const unread = !communication || sources === 'candidate';
    // What comes back from h' of active modules alone.
    const ofActive = changed(of(subject.feeds, 'wh'), (w, i) => w * at(of(base, 'mask'), Math.floor(i / H)));
    const fromActive = of(await subject.run({ wh: ofActive }), 'dh');
    let reached = false;
    for (const { place } of subject.modules()) {
      if (at(of(base, 'mask'), place) === 1) continue;
      for (let i = place * H; i < (place + 1) * H; i++) {
        const wh = at(of(subject.feeds, 'wh'), i);
        if (unread) assert.is(at(of(base, 'dh'), i), wh, 'the slope of h to h is not 1');
        if (unread) assert.is(Math.abs(at(fromActive, i)), 0, 'a reader reached an inactive source');
        if (cell === 'lstm')
          assert.is(at(of(base, 'dc'), i), at(of(subject.feeds, 'wc'), i), 'the slope of c to c is not 1');
        reached ||= at(fromActive, i) !== 0;
      }
    }
    if (!unread && commTopK === N) assert.ok(reached, 'no reader reached a kept source');
    return true;
  },
);

law('a module that is inactive in every row gets no gradient in its own dynamics', async (subject) => {
  const { modules: N, inputAttention, selection } = subject.options;
  if (N === 1) return false;
  const idle = N - 1;
  const mask = changed(of(subject.feeds, 'mask'), (_, i) => (i % N === idle ? 0 : 1));
  const result = await subject.run({ mask });
  for (const name of [
    'inputGates',
    'stateGates',
    ...(inputAttention && selection !== 'across-modules' ? ['query'] : []),
  ]) {
    const d = of(result, `d.${name}`);
    const size = d.length / N;
    assert.ok(
      d.slice(idle * size).every((x) => x === 0),
      `${name} of the idle module has a gradient`,
    );
    if (name === 'stateGates')
      assert.ok(
        d.slice(0, size).some((x) => x !== 0),
        `${name} of a busy module has none`,
      );
  }
  return true;
});

law(
  'no gradient passes through the choice: imposing the chosen mask changes no bit of any gradient',
  async (subject) => {
    const base = await subject.base();
    const imposed = await subject.run({ mask: of(base, 'mask') });
    for (const [name, numbers] of Object.entries(base)) assert.ok(sameBits(of(imposed, name), numbers), name);
  },
);

law(
  'one seed gives the same weights, two builds the same bytes, and a cell with K = N is the dense cell',
  async (subject) => {
    const { options, feeds } = subject;
    const [one, again, other] = [1, 1, 2].map((each) => new RIMCell(options, { seed: each }));
    const values = async (cell: RIMCell | undefined): Promise<number[][]> =>
      Promise.all(need(cell, 'a cell').variables.map(async (variable) => [...(await variable.read())]));
    assert.equal(await values(one), await values(again));
    assert.not.equal(await values(one), await values(other));

    // Without the imposed mask and the gradients: another program with the same kernels.
    const [same, dense] = [
      new RIMCell(options, { seed: 3 }),
      new RIMCell({ ...options, active: options.modules }, { seed: 4 }),
    ];
    for (const cell of [same, dense]) fillWeights(cell.variables);
    const state = [BATCH, options.modules, options.hiddenSize];
    const h = constant(of(feeds, 'h'), state);
    const before = options.cell === 'lstm' ? { h, c: constant(of(feeds, 'c'), state) } : { h };
    const x = constant(of(feeds, 'x'), [BATCH, options.inputRows, options.inputSize]);
    const [free, all] = [same, dense].map((cell) => cell.step(x, before).state);
    const program = await compile(device, { free: need(free, 'free').h, all: need(all, 'all').h });
    const ones = of(feeds, 'mask').map(() => 1);
    const [base, imposed] = [await subject.base(), await subject.run({ mask: ones })];
    for (let round = 0; round < 2; round++) {
      await program.run();
      assert.ok(sameBits(floats(await program.read('free')), of(base, 'h')), 'two builds differ');
      // K is part of the sparse softmax over the modules.
      if (options.selection === 'across-modules') continue;
      assert.ok(
        sameBits(floats(await program.read('all')), of(imposed, 'h')),
        'K = N differs from all modules imposed',
      );
    }
    program.dispose();
  },
);

test.run();
