// The kinds `dido_*`: dido's cell, one step and over a sequence of layers and directions. The files have the null slot
// behind the input's, the engine before it; the LSTM's gates stand i f o g, in the engine i f g o. Rows of inactive readers
// are cleared in the files' communication, which has no effect on the result.

import { add, concat, flip, mul, reshape, slice, type Tensor, where } from '../../engine/core.ts';
import { at, need } from '../../engine/errors.ts';
import { type CellState, makeRIM, presetOptions, RIMCell } from '../../rims/index.ts';
import { type Case, graphKind, type Kind } from './case.ts';
import type { GoldenFile } from './file.ts';
import { asSequence, cellGradient, replay } from './rim-replay.ts';
import { claimWeights, heldBy, type Layout, placesOf, type Source, transposed } from './rim-weights.ts';
import { weighted } from './subops.ts';

/** The cell of a `dido_*` file. @throws FileError, OptionError where its metadata does not describe one */
export function didoLayout(file: GoldenFile): Layout {
  const cell = file.oneOf('cell', 'LSTM', 'GRU') === 'LSTM' ? 'lstm' : 'gru';
  file.oneOf('dropout', '0');
  const [D, H, N] = [file.whole('input_size'), file.whole('hidden_size'), file.whole('num_units')];
  const [I, E, V] = [file.whole('num_input_heads'), file.whole('input_key_size'), file.whole('input_value_size')];
  const options = heldBy(
    file,
    presetOptions('dido', {
      cell,
      inputSize: D,
      hiddenSize: H,
      modules: N,
      active: file.whole('k'),
      inputHeads: I,
      keySize: E,
      valueSize: V,
      commHeads: file.whole('num_comm_heads'),
      commKeySize: file.whole('comm_key_size'),
      commValueSize: H,
    }),
  );
  const gates = (stored: string, rows: number): Source => {
    if (cell === 'gru') return { stored };
    const chunks = [0, 1, 3, 2];
    const place = ([n = 0, i = 0, g = 0, j = 0]: readonly number[]): number =>
      ((n * rows + i) * 4 + at(chunks, g)) * H + j;
    return { stored, places: placesOf([N, rows, 4, H], place) };
  };
  const sources = {
    key: transposed('key.weight', D, I * E),
    keyBias: { stored: 'key.bias', cancelsLike: 'key.weight' },
    value: transposed('value.weight', D, I * V),
    valueBias: { stored: 'value.bias' },
    query: { stored: 'query.w' },
    inputGates: gates(cell === 'gru' ? 'rnn.x2h.w' : 'rnn.i2h.w', V),
    stateGates: gates('rnn.h2h.w', H),
    commQuery: { stored: 'query_.w' },
    commKey: { stored: 'key_.w' },
    commValue: { stored: 'value_.w' },
    commOutput: { stored: 'comm_attention_output.w' },
  };
  return { options, sources };
}

/** The same file with another input size, as the cells above the first layer have. */
function aboveFirst(layout: Layout, D: number): Layout {
  const { inputHeads: I, keySize: E, valueSize: V } = layout.options;
  const sources = {
    ...layout.sources,
    key: transposed('key.weight', D, I * E),
    value: transposed('value.weight', D, I * V),
  };
  return { options: { ...layout.options, inputSize: D }, sources };
}

function stepCase(graph: Case): void {
  const layout = didoLayout(graph.file);
  const { modules: N } = layout.options;
  const cell = new RIMCell(layout.options, { seed: 0 });
  claimWeights(graph, '', cell.weights, layout);
  const x = graph.differentiable('input.x');
  const h = graph.differentiable('input.h');
  const B = at(h.shape, 0);
  const state: CellState = layout.options.cell === 'lstm' ? { h, c: graph.differentiable('input.c') } : { h };
  const { state: next, trace } = cell.step(x, state);
  const { mask, candidate, communicated } = trace;
  const wide = reshape(mask, [B, N, 1]);

  const flipped = (name: string, tensor: Tensor | undefined, axis: number): void => {
    const of = need(tensor, name);
    const shown = (t: Tensor): Tensor => flip(axis === 1 ? t : reshape(t, [B, N, 2]), axis);
    graph.value(name, shown(of), { of, view: shown });
  };
  flipped('in_key', trace.keys, 1);
  flipped('in_value', trace.values, 1);
  graph.value('in_query', need(trace.query, 'the query'));
  flipped('in_scores', trace.scores, 2);
  flipped('in_probs', trace.probabilities, 2);
  graph.mask('mask', mask);
  graph.value('rnn_input', trace.moduleInput);
  graph.value('rnn_h', candidate);
  if (trace.candidateCell) {
    graph.value('rnn_c', trace.candidateCell, {
      of: [trace.candidateCell, candidate],
      view: cellGradient(cell, trace, h),
    });
  }
  const probabilities = need(trace.commProbabilities, 'the communication');
  const context = need(trace.commContext, 'the context');
  graph.value('comm_query', need(trace.commQuery, 'the query'));
  graph.value('comm_key', need(trace.commKey, 'the keys'));
  graph.value('comm_value', need(trace.commValue, 'the values'));
  graph.value('comm_scores', need(trace.commScores, 'the scores'));
  graph.value('comm_probs', probabilities);
  graph.value('comm_probs_masked', mul(probabilities, reshape(mask, [B, 1, N, 1])), { of: probabilities });
  graph.value('comm_context', mul(context, wide), { of: context });
  graph.value('comm_h', where(wide, communicated, candidate), { of: communicated });
  // dido's residual starts from the blocked h too, so that its gradient arrives at the block as well.
  graph.gradient('out.rnn_h_preblock', [need(trace.source, 'the sources'), communicated]);
  graph.value('h_new', next.h);
  const terms = [weighted(next.h, graph.input('input.W_h'))];
  if (next.c) {
    graph.value('c_new', next.c);
    terms.push(weighted(next.c, graph.input('input.W_c')));
  }
  graph.loss(reshape(terms.reduce(add), [1]));
}

function sequenceCase(graph: Case): void {
  const { file } = graph;
  const first = didoLayout(file);
  const { modules: N, hiddenSize: H, cell: kind } = first.options;
  const layers = file.whole('n_layers');
  const directions = file.flag('bidirectional') ? 2 : 1;
  // Each cell has rows of its own in the file: so many layers are not made for nothing.
  file.shape(`param.rimcell.${layers * directions - 1}.key.weight`, 2);
  const rim = makeRIM(first.options, { seed: 0 }, { layers, bidirectional: directions === 2 });
  const above = aboveFirst(first, directions * N * H);
  rim.cells.forEach((cell, i) => {
    claimWeights(graph, `rimcell.${i}.`, cell.weights, i < directions ? first : above);
  });
  const x = graph.differentiable('input.x');
  const [T, B] = [at(x.shape, 0), at(x.shape, 1)];
  const initial = {
    h: graph.differentiable('input.h0'),
    ...(kind === 'lstm' && { c: graph.differentiable('input.c0') }),
  };
  const part = (all: Tensor, i: number): Tensor => reshape(slice(all, 0, i, 1), [B, N, H]);
  const starts = rim.cells.map((_, i): CellState => {
    return { h: part(initial.h, i), ...(initial.c && { c: part(initial.c, i) }) };
  });
  const result = rim(x, { state: starts });

  let read = x;
  result.trace.forEach((trace, i) => {
    const reverse = i % directions === 1;
    const { scores } = replay(at(rim.cells, i), read, at(starts, i), trace, { reverse });
    graph.mask(`cell${i}.mask`, trace.mask);
    graph.value(`cell${i}.in_scores`, flip(reshape(asSequence(need(scores, 'the scores'), x), [T, B, N, 2]), 3));
    graph.value(`cell${i}.h`, trace.hidden);
    if (trace.cellState) graph.value(`cell${i}.c`, trace.cellState);
    if (i % directions !== directions - 1) return;
    const layer = result.trace.slice(i + 1 - directions, i + 1);
    read = concat(
      layer.map(({ hidden }) => reshape(hidden, [T, B, N * H])),
      2,
    );
  });
  const stacked = (name: 'h' | 'c'): Tensor =>
    concat(
      result.state.map((state) => reshape(need(state[name], name), [1, B, N * H])),
      0,
    );
  graph.value('outputs', result.hidden);
  const terms = [weighted(result.hidden, graph.input('input.W_out'))];
  for (const name of kind === 'lstm' ? (['h', 'c'] as const) : (['h'] as const)) {
    const last = stacked(name);
    graph.value(`${name}_n`, last);
    terms.push(weighted(last, graph.input(`input.W_${name}`)));
  }
  graph.loss(reshape(terms.reduce(add), [1]));
}

/** The kinds of this file. */
export const didoKinds: readonly Kind[] = [
  graphKind('dido, step', /^dido RIMCell, one step/, stepCase),
  graphKind('dido, sequence', /^dido RIM over a sequence/, sequenceCase),
];
