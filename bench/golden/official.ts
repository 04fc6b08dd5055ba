// The kinds `official_*` and the official code's communication by itself: one step and over a sequence. The files keep all
// modules of a state in one row, the recurrent matrices dense with the modules' blocks on their diagonal, and the heads of
// the communication before the batch. For a GRU they carry a "cell" that no module reads: its output before communication.

import { add, broadcastTo, constant, permute, reshape, type Tensor, where } from '../../engine/core.ts';
import { at, FileError, need } from '../../engine/errors.ts';
import { communicate } from '../../rims/communication.ts';
import { type CellOptions, type CellState, makeRIM, presetOptions, RIMCell } from '../../rims/index.ts';
import { type Case, graphKind, type Kind } from './case.ts';
import type { GoldenFile } from './file.ts';
import { asSequence, carriedCandidates, cellGradient, replay } from './rim-replay.ts';
import { claimedWeight, claimWeights, heldBy, type Layout, placesOf, type Source, transposed } from './rim-weights.ts';
import { weighted } from './subops.ts';

/** Heads of the communication, which the reference fixes and training files do not repeat. */
const COMM_HEADS = 4;

/** The cell of an `official_*` file. @throws FileError, OptionError where file and metadata do not describe one */
export function officialLayout(file: GoldenFile, prefix: string): Layout {
  const cell = file.oneOf('cell', 'LSTM', 'GRU') === 'LSTM' ? 'lstm' : 'gru';
  for (const fixed of ['num_blocks_in', 'input_heads']) if (file.maybeText(fixed) !== undefined) file.oneOf(fixed, '1');
  if (file.maybeText('step_att') !== undefined) file.oneOf('step_att', 'true');
  const size = (tensor: string, axis: number): number => at(file.shape(`param.${prefix}${tensor}`), axis);
  const communication = file.maybeText('do_block') === undefined || file.flag('do_block');
  const commHeads = file.maybeText('comm_heads') === undefined ? COMM_HEADS : file.whole('comm_heads');
  const perHead = (tensor: string, axis: number): number => {
    const all = size(tensor, axis);
    if (all % commHeads !== 0) throw new FileError(`${file.name}: ${commHeads} heads do not divide '${tensor}'`);
    return all / commHeads;
  };
  const options = heldBy(
    file,
    presetOptions('official', {
      cell,
      inputSize: size('inp_att.GLN_ks.w', 1),
      hiddenSize: file.whole('block_size'),
      modules: file.whole('num_blocks_out'),
      active: file.whole('topk'),
      inputRows: file.whole('num_modules_read_input') - 1,
      keySize: size('inp_att.GLN_ks.w', 2),
      valueSize: size('inp_att.GLN_vs.w', 2),
      communication,
      commHeads,
      ...(communication && { commKeySize: perHead('mha.GLN_qs.w', 2), commValueSize: perHead('mha.GLN_vs.w', 2) }),
    }),
  );
  return { options, sources: { ...attentionSources(options), ...gateSources(options) } };
}

function attentionSources({ commHeads: C, commValueSize: W, hiddenSize: H }: CellOptions): Layout['sources'] {
  return {
    key: { stored: 'inp_att.GLN_ks.w' },
    value: { stored: 'inp_att.GLN_vs.w' },
    query: { stored: 'inp_att.GLN_qs.w' },
    commQuery: { stored: 'mha.GLN_qs.w' },
    commKey: { stored: 'mha.GLN_ks.w' },
    commValue: { stored: 'mha.GLN_vs.w' },
    commOutput: transposed('mha.fc.weight', C * W, H),
    commOutputBias: { stored: 'mha.fc.bias' },
    commGate: transposed('mha.gate_fc.weight', C * W, H),
    commGateBias: { stored: 'mha.gate_fc.bias' },
  };
}

/** The blocks of the dense recurrent matrices: row gate*N*H + module*H + j, column module*rows + i. */
function gateSources({ cell, modules: N, hiddenSize: H, valueSize: V }: CellOptions): Layout['sources'] {
  const G = cell === 'gru' ? 3 : 4;
  const folder = `block_lstm.${cell}`;
  const matrix = (name: string, rows: number): Source => ({
    stored: `${folder}.${name}`,
    part: N > 1,
    places: placesOf(
      [N, rows, G, H],
      ([n = 0, i = 0, g = 0, j = 0]) => ((g * N + n) * H + j) * N * rows + n * rows + i,
    ),
    block: {
      stored: name,
      places: placesOf([N, rows, G, H], ([n = 0, i = 0, g = 0, j = 0]) => ((n * G + g) * H + j) * rows + i),
    },
  });
  const bias = (name: string): Source => ({
    stored: `${folder}.${name}`,
    places: placesOf([N, G, H], ([n = 0, g = 0, j = 0]) => (g * N + n) * H + j),
    block: { stored: name, places: placesOf([N, G, H], ([n = 0, g = 0, j = 0]) => (n * G + g) * H + j) },
  });
  return {
    inputGates: matrix('weight_ih', V),
    stateGates: matrix('weight_hh', H),
    inputGatesBias: bias('bias_ih'),
    stateGatesBias: bias('bias_hh'),
  };
}

/** The input [..., B, I], repeated for every row that the official code reads it into. */
export function inputRows(inp: Tensor, { inputRows: R }: CellOptions): Tensor {
  const lead = inp.shape.slice(0, -1);
  const size = at(inp.shape, inp.shape.length - 1);
  return broadcastTo(reshape(inp, [...lead, 1, size]), [...lead, R, size]);
}

function stepCase(graph: Case): void {
  const layout = officialLayout(graph.file, '');
  const { modules: N, hiddenSize: H, inputRows: R, cell: kind } = layout.options;
  const cell = new RIMCell(layout.options, { seed: 0 });
  claimWeights(graph, '', cell.weights, layout);
  const inp = graph.differentiable('input.inp');
  const B = at(inp.shape, 0);
  const h = reshape(graph.differentiable('input.hx'), [B, N, H]);
  const c = reshape(graph.differentiable('input.cx'), [B, N, H]);
  const state: CellState = kind === 'lstm' ? { h, c } : { h };
  const { state: next, trace } = cell.step(inputRows(inp, layout.options), state);
  const wide = reshape(trace.mask, [B, N, 1]);
  const newCell = next.c ?? where(wide, trace.candidate, c);

  const slots = (t: Tensor): Tensor => reshape(t, [B, N, R + 1]);
  graph.value('in_query', need(trace.query, 'the query'));
  graph.value('in_key', need(trace.keys, 'the keys'));
  graph.value('in_value', trace.values);
  for (const [name, tensor] of Object.entries({
    in_scores: trace.scores,
    in_softmax: trace.softmax,
    in_probs: trace.probabilities,
  })) {
    const of = need(tensor, name);
    graph.value(name, slots(of), { of, view: slots });
  }
  graph.mask('mask', broadcastTo(wide, [B, N, H]));
  graph.mask('mask_units', trace.mask);
  graph.value('rnn_input', trace.moduleInput);
  graph.value('rnn_h', trace.candidate);
  if (trace.candidateCell) {
    const of = [trace.candidateCell, trace.candidate];
    graph.value('rnn_c', trace.candidateCell, { of, view: cellGradient(cell, trace, h) });
  }
  if (layout.options.communication) {
    communicationValues(graph, trace, 'comm_');
    graph.value('comm_query', need(trace.commQuery, 'the query'));
    graph.value('comm_key', need(trace.commKey, 'the keys'));
    graph.value('comm_value', need(trace.commValue, 'the values'));
    graph.value('comm_out', need(trace.commOutput, 'the output'));
    graph.gradient('out.rnn_h_preblock', need(trace.source, 'the sources'));
  }
  graph.value('hx_new', next.h);
  graph.value('cx_new', newCell);
  const loss = add(weighted(next.h, graph.input('input.W_h')), weighted(newCell, graph.input('input.W_c')));
  graph.loss(reshape(loss, [1]));
}

type Talk = Partial<ReturnType<typeof communicate>>;

/** Scores to gates of the communication, the heads before the batch as the files have them. */
function communicationValues(graph: Case, talk: Talk, prefix: string): void {
  const headsFirst = (t: Tensor): Tensor => permute(t, [1, 0, 2, 3]);
  for (const [name, tensor] of Object.entries({ scores: talk.commScores, probs: talk.commProbabilities })) {
    const of = need(tensor, name);
    graph.value(prefix + name, headsFirst(of), { of, view: headsFirst });
  }
  graph.value(`${prefix}context`, need(talk.commContext, 'the context'));
  graph.value(`${prefix}fc`, need(talk.commProjected, 'the projection'));
  graph.value(`${prefix}gate_preact`, need(talk.commGatePreactivation, 'the gate'));
}

/**
 * The mask to impose on a sequence that starts from zeros: all modules tie at its first step, where the reference's choice
 * is an accident; the stored one is taken there, and the modules' own competition at all later steps.
 */
function imposedMask(graph: Case, [T, B, N]: readonly [number, number, number]): { mask?: readonly Tensor[] } {
  const { file } = graph;
  if (file.floats('input.hx0').some((value) => value !== 0)) return {};
  const stored = file.stored('out.mask_units')[0];
  if (stored === undefined || stored.data.length !== T * B * N) {
    throw new FileError(`${file.name}: 'out.mask_units' must be [${T},${B},${N}] to be imposed at the first step`);
  }
  graph.tally.notes.push('out.mask_units: imposed at the first step, where the zero state makes all modules tie');
  return {
    mask: [
      constant(
        Float32Array.from(stored.data, (value, i) => (i < B * N ? value : -1)),
        [T, B, N],
      ),
    ],
  };
}

function sequenceCase(graph: Case): void {
  const layout = officialLayout(graph.file, '');
  const { modules: N, hiddenSize: H, inputRows: R, cell: kind } = layout.options;
  const rim = makeRIM(layout.options, { seed: 0 });
  const cell = need(rim.cells[0], 'the cell');
  claimWeights(graph, '', cell.weights, layout);
  const inp = graph.differentiable('input.inp');
  const [T, B] = [at(inp.shape, 0), at(inp.shape, 1)];
  const h = reshape(graph.differentiable('input.hx0'), [B, N, H]);
  const c = reshape(graph.differentiable('input.cx0'), [B, N, H]);
  const start: CellState = kind === 'lstm' ? { h, c } : { h };
  const x = inputRows(inp, layout.options);
  const result = rim(x, { state: [start], ...imposedMask(graph, [T, B, N]) });
  const trace = need(result.trace[0], 'the trace');

  let cells: Tensor;
  let last: Tensor;
  if (trace.cellState && result.state[0]?.c) {
    cells = trace.cellState;
    last = result.state[0].c;
  } else {
    const { candidate } = replay(cell, x, start, trace);
    ({ all: cells, last } = carriedCandidates(asSequence(candidate, inp), trace.mask, c));
  }
  graph.value('hx', trace.hidden);
  graph.value('cx', cells);
  graph.mask('mask_units', trace.mask);
  graph.value('in_probs', reshape(need(trace.inputAttention, 'the input attention'), [T, B, N, R + 1]));
  const loss = add(weighted(trace.hidden, graph.input('input.W_out')), weighted(last, graph.input('input.W_c')));
  graph.loss(reshape(loss, [1]));
}

function attentionCase(graph: Case): void {
  const { file } = graph;
  const [C, F, W] = [file.whole('heads'), file.whole('d_k'), file.whole('d_v')];
  const [, N = 0, H = 0] = file.shape('input.x', 3);
  const sizes = { inputSize: 1, modules: N, active: N, commHeads: C, commKeySize: F, commValueSize: W };
  const options = presetOptions('official', { ...sizes, hiddenSize: H });
  const weights = {
    commQuery: claimedWeight(graph, [N, H, C * F], { stored: 'GLN_qs.w' }),
    commKey: claimedWeight(graph, [N, H, C * F], { stored: 'GLN_ks.w' }),
    commValue: claimedWeight(graph, [N, H, C * W], { stored: 'GLN_vs.w' }),
    commOutput: claimedWeight(graph, [C * W, H], transposed('fc.weight', C * W, H)),
    commOutputBias: claimedWeight(graph, [H], { stored: 'fc.bias' }),
    commGate: claimedWeight(graph, [C * W, H], transposed('gate_fc.weight', C * W, H)),
    commGateBias: claimedWeight(graph, [H], { stored: 'gate_fc.bias' }),
  };
  const talk = communicate(graph.differentiable('input.x'), weights, options, undefined);
  communicationValues(graph, talk, '');
  graph.value('y', talk.commOutput);
  graph.loss(weighted(talk.commOutput, graph.input('input.W')));
}

/** The kinds of this file. */
export const officialKinds: readonly Kind[] = [
  graphKind('official, step', /^official BlocksCore, one step/, stepCase),
  graphKind('official, sequence', /^official BlocksCore over a sequence/, sequenceCase),
  graphKind('official, communication', /^official MultiHeadAttention \(communication form/, attentionCase),
];
