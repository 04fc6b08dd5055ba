// The kinds `paper_*`: the cell of the paper, one step and over a sequence. Where an inactive module has no value (it is not
// run), the files store 0; the engine computes all modules and discards, so values are shown here times the mask. Their
// gradients are 0 for inactive modules by themselves.

import { add, affine, mul, reshape, slice, sum, type Tensor } from '../../engine/core.ts';
import { at, need } from '../../engine/errors.ts';
import { type CellState, type CellTrace, makeRIM, presetOptions, RIMCell } from '../../rims/index.ts';
import { type Case, graphKind, type Kind } from './case.ts';
import type { GoldenFile } from './file.ts';
import { asRows, asSequence, cellGradient, replay } from './rim-replay.ts';
import { claimWeights, heldBy, type Layout } from './rim-weights.ts';
import { weighted } from './subops.ts';

/** The cell of a `paper_*` file. @throws FileError, OptionError where its metadata does not describe one */
export function paperLayout(file: GoldenFile): Layout {
  const cell = file.oneOf('cell', 'LSTM', 'GRU') === 'LSTM' ? 'lstm' : 'gru';
  file.oneOf('null_row', '0 (first)');
  file.oneOf(
    'dropout',
    '0',
    'stored mask times attended input',
    'stored mask times input probabilities, after the choice of active modules',
  );
  const options = heldBy(
    file,
    presetOptions('paper', {
      cell,
      inputSize: file.whole('input_size'),
      hiddenSize: file.whole('hidden_size'),
      modules: file.whole('num_units'),
      active: file.whole('k'),
      inputRows: file.whole('input_rows'),
      inputHeads: file.whole('num_input_heads'),
      keySize: file.whole('input_key_size'),
      valueSize: file.whole('input_value_size'),
      communication: file.flag('comm'),
      commHeads: file.whole('num_comm_heads'),
      commKeySize: file.whole('comm_key_size'),
      commValueSize: file.whole('comm_value_size'),
      commTopK: file.whole('comm_topk'),
    }),
  );
  const sources = {
    key: { stored: 'key.w' },
    value: { stored: 'value.w' },
    query: { stored: 'query.w' },
    inputGates: { stored: 'rnn.x2h.w' },
    stateGates: { stored: 'rnn.h2h.w' },
    inputGatesBias: { stored: 'rnn.x2h.b' },
    stateGatesBias: { stored: 'rnn.h2h.b' },
    commQuery: { stored: 'query_.w' },
    commKey: { stored: 'key_.w' },
    commValue: { stored: 'value_.w' },
    commOutput: { stored: 'comm_attention_output.w' },
  };
  return { options, sources };
}

/** The stored dropout masks, where there are any. */
function imposedDropout(graph: Case): { dropValues?: Tensor; dropProbabilities?: Tensor } {
  const { file } = graph;
  return {
    ...(file.has('input.drop_values') && { dropValues: graph.input('input.drop_values') }),
    ...(file.has('input.drop_probs') && { dropProbabilities: graph.input('input.drop_probs') }),
  };
}

/** x [..., N, ·] with what belongs to inactive modules cleared. */
function ofActive(x: Tensor, mask: Tensor): Tensor {
  return mul(x, reshape(mask, [...mask.shape, 1]));
}

/** x [..., C, N, N] with the rows of inactive readers cleared. */
function ofReaders(x: Tensor, mask: Tensor): Tensor {
  return mul(x, reshape(mask, [...mask.shape.slice(0, -1), 1, at(mask.shape, mask.shape.length - 1), 1]));
}

function stepCase(graph: Case): void {
  const layout = paperLayout(graph.file);
  const cell = new RIMCell(layout.options, { seed: 0 });
  claimWeights(graph, '', cell.weights, layout);
  const x = graph.differentiable('input.x');
  const h = graph.differentiable('input.h');
  const state: CellState = layout.options.cell === 'lstm' ? { h, c: graph.differentiable('input.c') } : { h };
  const { state: next, trace } = cell.step(x, state, imposedDropout(graph));
  const { mask } = trace;

  inputAttention(graph, trace, layout.options.inputHeads);
  graph.mask('mask', mask);
  graph.value('rnn_input', trace.moduleInput);
  graph.value('rnn_h', ofActive(trace.candidate, mask), { of: trace.candidate });
  if (trace.candidateCell) {
    const of = [trace.candidateCell, trace.candidate];
    graph.value('rnn_c', ofActive(trace.candidateCell, mask), { of, view: cellGradient(cell, trace, h) });
  }
  const { source, commQuery, commKey, commValue, commScores, commProbabilities, commContext } = trace;
  if (source && commQuery && commKey && commValue && commScores && commProbabilities && commContext) {
    graph.value('comm_source', source);
    graph.value('comm_query', ofActive(commQuery, mask), { of: commQuery });
    graph.value('comm_key', commKey);
    graph.value('comm_value', commValue);
    graph.value('comm_scores', ofReaders(commScores, mask), { of: commScores });
    graph.value('comm_probs', ofReaders(commProbabilities, mask), { of: commProbabilities });
    graph.value('comm_context', ofActive(commContext, mask), { of: commContext });
  } else if (graph.file.stores('out.comm_source')) {
    graph.value('comm_source', ofActive(trace.candidate, mask));
  }
  graph.value('h_new', next.h);
  const terms = [weighted(next.h, graph.input('input.W_h'))];
  if (next.c) {
    graph.value('c_new', next.c);
    terms.push(weighted(next.c, graph.input('input.W_c')));
  }
  graph.loss(reshape(terms.reduce(add), [1]));
}

/** Keys to what the values are read with, and what is read. */
function inputAttention(graph: Case, trace: CellTrace, heads: number): void {
  const probabilities = need(trace.probabilities, 'the input attention');
  const ofNull = sum(slice(probabilities, 3, 0, 1), { axes: [2, 3] });
  graph.value('in_key', need(trace.keys, 'the keys'));
  graph.value('in_value', trace.values);
  graph.value('in_query', need(trace.query, 'the query'));
  graph.value('in_scores', need(trace.scores, 'the scores'));
  graph.value('in_probs', probabilities);
  graph.value('null_attention', affine(ofNull, 1 / heads, 0));
  // Stored where dropout makes them differ from the attention, and from what enters the gates.
  if (graph.file.stores('out.in_probs_drop')) {
    graph.value('in_probs_drop', need(trace.readProbabilities, 'the input attention'));
  }
  if (graph.file.stores('out.in_context')) graph.value('in_context', need(trace.attended, 'the attended values'));
}

function sequenceCase(graph: Case): void {
  const layout = paperLayout(graph.file);
  const rim = makeRIM(layout.options, { seed: 0 });
  const cell = need(rim.cells[0], 'the cell');
  claimWeights(graph, '', cell.weights, layout);
  const x = graph.differentiable('input.x');
  const h = graph.differentiable('input.h0');
  const start: CellState = layout.options.cell === 'lstm' ? { h, c: graph.differentiable('input.c0') } : { h };
  const { dropValues, dropProbabilities } = imposedDropout(graph);
  const result = rim(x, {
    state: [start],
    ...(dropValues && { dropValues: [dropValues] }),
    ...(dropProbabilities && { dropProbabilities: [dropProbabilities] }),
  });
  const trace = need(result.trace[0], 'the trace');
  const { mask, hidden } = trace;
  const imposed = { ...(dropValues && { dropValues }), ...(dropProbabilities && { dropProbabilities }) };
  const steps = replay(cell, x, start, trace, { imposed });

  graph.mask('mask', mask);
  graph.value('in_probs', need(trace.inputAttention, 'the input attention'));
  graph.value('rnn_input', asSequence(steps.moduleInput, x));
  graph.value('rnn_h', asSequence(ofActive(steps.candidate, asRows(mask)), x));
  if (trace.communicationAttention) graph.value('comm_probs', ofReaders(trace.communicationAttention, mask));
  graph.value('h', hidden);
  const terms = [weighted(hidden, graph.input('input.W_out'))];
  const last = result.state[0]?.c;
  if (trace.cellState && last) {
    graph.value('c', trace.cellState);
    terms.push(weighted(last, graph.input('input.W_c')));
  }
  graph.loss(reshape(terms.reduce(add), [1]));
}

/** The kinds of this file. */
export const paperKinds: readonly Kind[] = [
  graphKind('paper, step', /^paper cell, one step/, stepCase),
  graphKind('paper, sequence', /^paper cell over a sequence/, sequenceCase),
];
