// A RIM over sequences and its options one by one, on the adapter: layers, directions and feeds are the cells applied step by
// step, initial states, ablations, traces, the dense cell, and the two ways to choose modules that are easily got wrong:
// 'across-modules' against plain loops, and 'least-null' where probabilities saturate.
// The laws that hold for every choice of options are in rim-laws.test.ts.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { at, need } from '../engine/errors.ts';
import type { Shape, Tensor, Variable } from '../engine/node.ts';
import * as ops from '../engine/node.ts';
import {
  type CellState,
  RIM,
  RIMCell,
  type RIM as RIMNetwork,
  type RIMOptions,
  type RIMResult,
} from '../rims/index.ts';
import { rankingScore } from '../rims/selection.ts';
import { close, onAdapter, theDevice } from './on-adapter.ts';
import { fillWeights, floats, normals, sameBits } from './rim-draw.ts';

onAdapter(test);

const [T, B, D, N, H] = [4, 2, 3, 4, 3];
const sizes = {
  inputSize: D,
  hiddenSize: H,
  modules: N,
  active: 2,
  keySize: 3,
  valueSize: 4,
  commHeads: 2,
  commKeySize: 3,
  commValueSize: 2,
} as const;
const presets = ['paper', 'official', 'dido'] as const;

const numbers = (shape: Shape, stream: number): Tensor => ops.constant(normals(shape, stream), shape);
const evaluated = async <Names extends string>(
  outputs: Readonly<Record<Names, Tensor>>,
): Promise<Record<Names, Float32Array>> => {
  const values = await ops.evaluate(theDevice(), outputs);
  return Object.fromEntries(Object.entries<ops.Data>(values).map(([name, data]) => [name, floats(data)])) as Record<
    Names,
    Float32Array
  >;
};

/** Every tensor of a result, by name. */
function tensorsOf({
  hidden,
  state,
  trace,
}: Omit<RIMResult, 'trace' | 'paths'> & { readonly trace: readonly object[] }): Record<string, Tensor> {
  const all: Record<string, Tensor> = { hidden };
  const take = (prefix: string, record: object): void => {
    for (const [name, tensor] of Object.entries(record))
      if (tensor instanceof ops.Tensor) all[`${prefix}.${name}`] = tensor;
  };
  state.forEach((each, i) => {
    take(`state${i}`, each);
  });
  trace.forEach((each, i) => {
    take(`trace${i}`, each);
  });
  return all;
}

/** The same network written out: its cells, step by step, layer upon layer. */
function unrolled(
  rim: RIMNetwork,
  x: Tensor,
  start: CellState,
  directions: number,
  feed: 'all' | 'active',
): Omit<RIMResult, 'paths'> {
  const steps = x.shape[0] ?? 0;
  const stepOf = (sequence: Tensor, t: number): Tensor =>
    ops.reshape(ops.slice(sequence, 0, t, 1), sequence.shape.slice(1));
  const stacked = (tensors: readonly Tensor[]): Tensor =>
    ops.concat(
      tensors.map((t) => ops.reshape(t, [1, ...t.shape])),
      0,
    );
  const result = { hidden: x, state: [] as CellState[], trace: [] as RIMResult['trace'][number][] };
  for (let layer = 0; layer < rim.cells.length / directions; layer++) {
    const outputs: Tensor[] = [];
    for (let direction = 0; direction < directions; direction++) {
      const cell = at(rim.cells, layer * directions + direction);
      const hidden: Tensor[] = new Array(steps);
      const fed: Tensor[] = new Array(steps);
      const masks: Tensor[] = new Array(steps);
      let state = start;
      for (let k = 0; k < steps; k++) {
        const t = direction === 0 ? k : steps - 1 - k;
        const { state: next, trace } = cell.step(stepOf(result.hidden, t), state);
        state = next;
        hidden[t] = state.h;
        masks[t] = trace.mask;
        const active = layer < rim.cells.length / directions - 1 && feed === 'active';
        fed[t] = ops.reshape(active ? ops.mul(state.h, ops.reshape(trace.mask, [B, N, 1])) : state.h, [B, N * H]);
      }
      outputs.push(stacked(fed));
      result.state.push(state);
      result.trace.push({ hidden: stacked(hidden), mask: stacked(masks) });
    }
    result.hidden = ops.concat(outputs, 2);
  }
  return result;
}

for (const [preset, options] of [
  ['paper', { layers: 2, layerFeed: 'all' }],
  ['official', { layers: 2, bidirectional: true, layerFeed: 'active' }],
  ['dido', { layers: 1, bidirectional: true, cell: 'gru', initialState: 'zeros' }],
] as const) {
  test(`${preset} ${JSON.stringify(options)} is its cells, step by step`, async () => {
    const rim = RIM[preset]({ ...sizes, ...options }, { seed: 1 });
    fillWeights(rim.variables);
    const directions = 'bidirectional' in options ? 2 : 1;
    assert.is(rim.cells.length, options.layers * directions);
    const zeros = ops.fill(0, [B, N, H]);
    const start: CellState = 'cell' in options ? { h: zeros } : { h: zeros, c: zeros };
    const x = numbers([T, B, D], 1);
    const result = rim(x);
    assert.equal(result.hidden.shape, [T, B, directions * N * H]);
    const written = tensorsOf(unrolled(rim, x, start, directions, 'layerFeed' in options ? options.layerFeed : 'all'));
    const whole = tensorsOf(result);
    const names = Object.keys(written);
    const got = await evaluated(Object.fromEntries(names.map((name) => [name, need(whole[name], name)])));
    const expected = await evaluated(written);
    for (const name of names) close(need(got[name], name), need(expected[name], name), 2e-5);
  });
}

test('the trace has the documented shapes, and what is left out of a network is left out of it', () => {
  const x = numbers([T, B, 2, D], 1);
  const shapes = (options: Partial<RIMOptions>, input: Tensor): Record<string, Shape> => {
    const [trace] = RIM.paper({ ...sizes, ...options }, { seed: 1 })(input).trace;
    return Object.fromEntries(Object.entries<Tensor>({ ...trace }).map(([name, { shape }]) => [name, shape]));
  };
  assert.equal(shapes({ inputRows: 2, inputHeads: 3 }, x), {
    mask: [T, B, N],
    hidden: [T, B, N, H],
    cellState: [T, B, N, H],
    inputAttention: [T, B, N, 3, 3],
    communicationAttention: [T, B, 2, N, N],
  });
  const bare = { cell: 'gru', inputAttention: false, active: N, communication: false } as const;
  assert.equal(shapes(bare, numbers([T, B, D], 1)), { mask: [T, B, N], hidden: [T, B, N, H] });
});

test('over a sequence, inactive modules keep h and c to the bit, and an imposed mask is obeyed at every step', async () => {
  for (const preset of presets) {
    const rim = RIM[preset](sizes, { seed: 1 });
    fillWeights(rim.variables);
    const imposed = Float32Array.from({ length: T * B * N }, (_, i) => at([1, -1, 0], (i * 7) % 3));
    const start = { h: numbers([B, N, H], 5), c: numbers([B, N, H], 6) };
    const [trace] = rim(numbers([T, B, D], 1), { state: [start], mask: [ops.constant(imposed, [T, B, N])] }).trace;
    const { mask, hidden, cellState } = need(trace, 'a trace');
    const got = await evaluated({ mask, h: hidden, c: need(cellState, 'c'), h0: start.h, c0: start.c });
    for (let i = 0; i < imposed.length; i++) {
      if (at(imposed, i) >= 0) assert.is(at(got.mask, i), at(imposed, i));
      if (at(got.mask, i) === 1) continue;
      for (const [now, first] of [
        [got.h, got.h0],
        [got.c, got.c0],
      ] as const) {
        const before = i < B * N ? first.slice(i * H, (i + 1) * H) : now.slice((i - B * N) * H, (i - B * N + 1) * H);
        assert.ok(sameBits(now.slice(i * H, (i + 1) * H), before), `${preset}: module ${i} changed while inactive`);
      }
    }
    assert.ok(got.mask.includes(0) && got.mask.includes(1));
  }
});

/** h of a network in which no module is ever active: the state before the first step. */
async function initialOf(rim: RIMNetwork): Promise<Float32Array> {
  const [trace] = rim(numbers([T, B, D], 1), { mask: [ops.fill(0, [T, B, N])] }).trace;
  const { h } = await evaluated({ h: need(trace, 'a trace').hidden });
  const first = h.slice(0, B * N * H);
  for (let t = 1; t < T; t++) assert.ok(sameBits(h.slice(t * first.length, (t + 1) * first.length), first));
  return first;
}

test('initial states: zeros, learned, or seeded noise that differs from row to row', async () => {
  const make = (initialState: 'zeros' | 'learned' | 'noise', seed: number): RIMNetwork =>
    RIM.paper({ ...sizes, initialState }, { seed });
  assert.ok((await initialOf(make('zeros', 1))).every((x) => x === 0));
  const noise = await initialOf(make('noise', 1));
  assert.ok(sameBits(await initialOf(make('noise', 1)), noise), 'the same at every build');
  assert.not.ok(sameBits(await initialOf(make('noise', 2)), noise), 'another for another seed');
  assert.not.ok(sameBits(noise.slice(0, N * H), noise.slice(N * H)), 'another for each row');

  const rim = make('learned', 1);
  const initial = need(
    rim.variables.find(({ name }) => name === 'rim.initial'),
    'rim.initial',
  );
  assert.equal(initial.shape, [N, H]);
  initial.write(normals([N, H], 9));
  const learned = await initialOf(rim);
  for (let b = 0; b < B; b++) assert.ok(sameBits(learned.slice(b * N * H, (b + 1) * N * H), normals([N, H], 9)));
  const loss = ops.sum(rim(numbers([T, B, D], 1)).hidden);
  const { d } = await evaluated({ d: ops.grad(loss, [initial]).of(initial) });
  assert.ok(
    d.some((x) => x !== 0),
    'it is learned',
  );
  assert.not.ok(make('zeros', 1).variables.some(({ name }) => name.includes('initial')));
  // By preset, as the sources have it.
  assert.ok((await initialOf(RIM.official(sizes, { seed: 1 }))).every((x) => x === 0));
  assert.ok((await initialOf(RIM.dido(sizes, { seed: 1 }))).every((x) => x !== 0));
});

test('ablations: without input attention all modules read the same and are active; without communication the candidate stays', async () => {
  for (const preset of presets) {
    const state = { h: numbers([B, N, H], 5), c: numbers([B, N, H], 6) };
    const x = numbers([B, D], 1);
    const deaf = RIMCell[preset]({ ...sizes, active: N, inputAttention: false }, { seed: 1 });
    assert.not.ok(Object.keys(deaf.weights).some((name) => name === 'key' || name === 'query'));
    const mute = RIMCell[preset]({ ...sizes, communication: false }, { seed: 1 });
    assert.not.ok(Object.keys(mute.weights).some((name) => name.startsWith('comm')));
    const [all, alone] = [deaf.step(x, state), mute.step(x, state)];
    assert.is(all.trace.scores, undefined);
    assert.is(alone.trace.commProbabilities, undefined);
    const got = await evaluated({
      ...{ read: all.trace.moduleInput, value: all.trace.values, all: all.trace.mask },
      ...{ h: alone.state.h, candidate: alone.trace.candidate, mask: alone.trace.mask },
    });
    assert.ok(got.all.every((m) => m === 1));
    const V = got.read.length / (B * N);
    // Values stand behind the null row's.
    for (let i = 0; i < B * N; i++) {
      const row = Math.floor(i / N);
      close(got.read.slice(i * V, (i + 1) * V), got.value.slice((2 * row + 1) * V, (2 * row + 2) * V), 0);
    }
    got.mask.forEach((m, i) => {
      if (m === 1) assert.ok(sameBits(got.h, got.candidate, i * H, H));
    });
  }
});

test('K = N is the dense cell: no mask, no choice, written in plain ops', async () => {
  const cell = RIMCell.paper({ ...sizes, active: N, commHeads: 1 }, { seed: 1 });
  fillWeights(cell.variables);
  const w = (name: keyof typeof cell.weights): Variable => need(cell.weights[name], name);
  const [x, h, c] = [numbers([B, D], 1), numbers([B, N, H], 5), numbers([B, N, H], 6)];
  const { state } = cell.step(x, { h, c });
  const wide = (t: Tensor): Tensor => ops.reshape(t, [B, 1, t.size / B]);
  const scores = ops.sum(ops.mul(ops.groupedMatmul(h, w('query')), wide(ops.matmul(x, w('key')))), {
    axes: [2],
    keepAxes: true,
  });
  const read = ops.mul(ops.sigmoid(ops.mul(scores, 1 / Math.sqrt(3))), wide(ops.matmul(x, w('value'))));
  const gates = [
    ...[ops.groupedMatmul(read, w('inputGates')), ops.groupedMatmul(h, w('stateGates'))],
    ...[w('inputGatesBias'), w('stateGatesBias')],
  ].reduce<Tensor>((total, term) => ops.add(total, term), ops.fill(0, [B, N, 4 * H]));
  const next = ops.lstmGates(gates, c);
  const [q, k, v] = (['commQuery', 'commKey', 'commValue'] as const).map((name) => ops.groupedMatmul(next.h, w(name)));
  const pairs = ops.mul(ops.einsum('bnf,bmf->bnm', need(q, 'q'), need(k, 'k')), 1 / Math.sqrt(3));
  const told = ops.einsum('bnm,bmw->bnw', ops.softmax(pairs), need(v, 'v'));
  const dense = { h: ops.add(next.h, ops.groupedMatmul(told, w('commOutput'))), c: next.c };
  const got = await evaluated({ h: state.h, c: need(state.c, 'c'), denseH: dense.h, denseC: dense.c });
  close(got.h, got.denseH, 1e-5);
  close(got.c, got.denseC, 1e-5);
});

test("selection 'across-modules': a sparse softmax over the modules, in plain loops", async () => {
  for (const [active, heads] of [
    [1, 1],
    [2, 1],
    [3, 1],
    [2, 2],
  ] as const) {
    const cell = RIMCell.paper({ ...sizes, active, inputHeads: heads, selection: 'across-modules' }, { seed: 1 });
    fillWeights(cell.variables);
    const { trace } = cell.step(numbers([B, D], 1), { h: numbers([B, N, H], 5), c: numbers([B, N, H], 6) });
    const { scores, probabilities, values, attended, mask } = trace;
    const got = await evaluated({
      ...{
        scores: need(scores, 'scores'),
        p: need(probabilities, 'p'),
        attended: need(attended, 'attended'),
        values,
        mask,
      },
    });
    for (let b = 0; b < B; b++) {
      const means = new Array<number>(N).fill(0);
      for (let i = 0; i < heads; i++) {
        const place = (n: number): number => ((b * N + n) * heads + i) * 2;
        const e = means.map((_, n) => Math.exp(at(got.scores, place(n) + 1)));
        const softmax = e.map((value) => value / e.reduce((sum, each) => sum + each, 0));
        // Above the (K+1)-th greatest share, where there are more than K + 1 modules, and scaled to sum to 1.
        const threshold =
          N > active + 1
            ? at(
                softmax.toSorted((p, q) => q - p),
                active,
              ) + 1e-7
            : 0;
        const above = softmax.map((p) => Math.max(0, p - threshold));
        const scale = N > active + 1 ? above.reduce((sum, each) => sum + each, 0) + 1e-7 : 1;
        for (let n = 0; n < N; n++) {
          means[n] = at(means, n) + at(softmax, n) / heads;
          const share = at(above, n) / scale;
          close(got.p.slice(place(n), place(n) + 2), [0, share], 1e-5);
          for (let v = 0; v < 4; v++) {
            const value = at(got.values, (b * 2 + 1) * heads * 4 + i * 4 + v);
            close([at(got.attended, ((b * N + n) * heads + i) * 4 + v)], [share * value], 1e-5);
          }
        }
      }
      const order = means.map((_, n) => n).toSorted((m, n) => at(means, n) - at(means, m));
      const expected = means.map((_, n) => (order.indexOf(n) < active ? 1 : 0));
      assert.equal([...got.mask.slice(b * N, (b + 1) * N)], expected, `K = ${active}, ${heads} heads`);
    }
  }
});

test("selection 'least-null' does not saturate: modules rank by their scores where every probability rounds to 0 or 1", async () => {
  for (const base of [-40, 40, -90]) {
    const inputs = [0, 0.5, -0.5, 1, 0.25, -1].map((step) => base + step);
    const scores = ops.constant(
      inputs.flatMap((s) => [0, s]),
      [1, 6, 1, 2],
    );
    const ranking = ops.topKMask(rankingScore(scores, 'least-null'), 3);
    const { mask, p } = await evaluated({ mask: ranking, p: ops.slice(ops.softmax(scores), 3, 0, 1) });
    assert.equal([...mask], [0, 1, 0, 1, 1, 0], `scores about ${base}`);
    if (base === -40)
      assert.ok(
        p.every((each) => each === 1),
        'all null attentions are equal in f32',
      );
  }
  // Two heads: the mean of the null attention is least where the sum of e^s is greatest.
  const pairs = [
    [-40, -44],
    [-41, -41.1],
    [-50, -39.5],
    [-42, -42],
  ];
  const two = ops.constant(
    pairs.flatMap((pair) => pair.flatMap((s) => [0, s])),
    [1, 4, 2, 2],
  );
  const { mask } = await evaluated({ mask: ops.topKMask(rankingScore(two, 'least-null'), 2) });
  assert.equal([...mask], [1, 0, 1, 0]);

  // The same through a cell: h of ones, and queries that score -40 and less.
  const cell = RIMCell.paper({ inputSize: 1, hiddenSize: 1, modules: 4, active: 2, keySize: 1 }, { seed: 1 });
  need(cell.weights.key, 'key').write(Float32Array.of(1));
  need(cell.weights.query, 'query').write(Float32Array.of(-43, -42, -41, -40));
  const ones = ops.fill(1, [1, 4, 1]);
  const { trace } = cell.step(ops.fill(1, [1, 1]), { h: ones, c: ones });
  assert.equal([...(await evaluated({ mask: trace.mask })).mask], [0, 0, 1, 1]);
});

test('dropout acts in training programs alone, and only where there is a random state to draw from', async () => {
  const x = numbers([T, B, D], 1);
  for (const preset of presets) {
    // Both in plain ops, so that dropout is all that can differ.
    const dropout = { inputDropout: 0.5, commDropout: 0.5 };
    const options = { ...sizes, ...dropout, initialState: 'zeros', path: 'plain' } as const;
    const random = new ops.RandomState({ seed: 3 });
    const [dropping, plain] = [RIM[preset](options, { seed: 1, dropout: random }), RIM[preset](options, { seed: 1 })];
    for (const rim of [dropping, plain]) fillWeights(rim.variables);
    const outputs = { dropping: dropping(x).hidden, plain: plain(x).hidden };
    const evaluation = await evaluated(outputs);
    assert.ok(sameBits(evaluation.dropping, evaluation.plain), `${preset}: in evaluation`);
    const program = await ops.compile(theDevice(), outputs, [], { mode: 'train' });
    const runs: Float32Array[] = [];
    for (const step of [0, 1, 0]) {
      random.counter.write(Uint32Array.of(step));
      await program.run();
      assert.ok(sameBits(floats(await program.read('plain')), evaluation.plain), `${preset}: without a random state`);
      runs.push(floats(await program.read('dropping')));
    }
    program.dispose();
    assert.not.ok(sameBits(at(runs, 0), evaluation.dropping), `${preset}: in training`);
    assert.not.ok(sameBits(at(runs, 0), at(runs, 1)), `${preset}: another mask for another run`);
    assert.ok(sameBits(at(runs, 0), at(runs, 2)), `${preset}: the same for the same`);
  }
});

test.run();
