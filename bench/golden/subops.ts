// The kinds `subop_*` that are one op, or a few: linear maps, gates, softmaxes and selections, norms and losses.
//
// Each line of the table names what the files' `case` begins with and builds the same thing from the engine's ops; sizes,
// orders of gates and numbers of winners come from the file. The sub-operations of RIM cells use the cell's own functions.
// Not here: the optimisers (optimisers.ts), which need several runs.

import {
  add,
  concat,
  crossEntropy,
  flip,
  gather,
  groupedMatmul,
  gruGates,
  layerNorm,
  lstmGates,
  matmul,
  meanSquare,
  mul,
  permute,
  reshape,
  slice,
  softmax,
  sum,
  type Tensor,
  topKMask,
} from '../../engine/core.ts';
import { at } from '../../engine/errors.ts';
import { rankingScore, sparseAttention } from '../../rims/selection.ts';
import { type Case, graphKind, type Kind } from './case.ts';

/** The loss of most cases: the sum of a value times given weights. */
export function weighted(value: Tensor, weights: Tensor): Tensor {
  return sum(mul(value, reshape(weights, value.shape)));
}

/** y = x weight^T + bias, with the weight as PyTorch keeps it, [out, in]. */
export function torchLinear(x: Tensor, weight: Tensor, bias: Tensor): Tensor {
  return add(matmul(x, permute(weight, [1, 0])), bias);
}

/** The last axis in equal chunks, put in another order. */
export function reorderChunks(x: Tensor, order: readonly number[]): Tensor {
  const last = x.shape.length - 1;
  const size = at(x.shape, last) / order.length;
  return concat(
    order.map((i) => slice(x, last, i * size, size)),
    last,
  );
}

function lstmGateCase(graph: Case): void {
  const order = graph.file.oneOf('gate_order', 'i f g o', 'i f o g');
  const preact = graph.differentiable('input.preact');
  const c = graph.differentiable('input.c');
  const next = lstmGates(order === 'i f g o' ? preact : reorderChunks(preact, [0, 1, 3, 2]), c);
  graph.value('h_new', next.h);
  graph.value('c_new', next.c);
  graph.loss(add(weighted(next.h, graph.input('input.W_h')), weighted(next.c, graph.input('input.W_c'))));
}

function selectCase(graph: Case, rule: 'least-null' | 'raw-score'): void {
  const [batch = 0, modules = 0, rows = 0] = graph.file.shape('input.scores', 3);
  const scores = graph.differentiable('input.scores');
  const probs = softmax(scores);
  // The cell has the null row first; the files of dido's rule have it last.
  const nullFirst = rule === 'raw-score' ? flip(scores, 2) : scores;
  const ranking = rankingScore(reshape(nullFirst, [batch, modules, 1, rows]), rule);
  const mask = topKMask(ranking, graph.file.whole('k'));
  const masked = mul(probs, reshape(mask, [batch, modules, 1]));
  graph.value('probs', probs);
  graph.mask('mask', mask);
  graph.value('masked_probs', masked);
  graph.loss(weighted(masked, graph.input('input.W')));
}

/** The kinds of this file. */
export const subopKinds: readonly Kind[] = [
  graphKind('linear', /^linear: /, (graph) => {
    const y = torchLinear(
      graph.differentiable('input.x'),
      graph.parameter('param.weight'),
      graph.parameter('param.bias'),
    );
    graph.value('y', y);
    graph.loss(weighted(y, graph.input('input.W')));
  }),
  graphKind('grouped linear', /^GroupLinear: /, (graph) => {
    const y = groupedMatmul(graph.differentiable('input.x'), graph.parameter('param.w'));
    graph.value('y', y);
    graph.loss(weighted(y, graph.input('input.W')));
  }),
  graphKind('GRU gates', /^GRU gates.*reset, update, new/, (graph) => {
    const gates = [graph.differentiable('input.gate_x'), graph.differentiable('input.gate_h')] as const;
    const h = gruGates(...gates, graph.differentiable('input.h'));
    graph.value('h_new', h);
    graph.loss(weighted(h, graph.input('input.W')));
  }),
  graphKind('LSTM gates', /^LSTM gates/, lstmGateCase),
  graphKind('layer norm', /^layer norm/, (graph) => {
    const options = {
      weight: graph.parameter('param.weight'),
      bias: graph.parameter('param.bias'),
      epsilon: graph.file.number('eps'),
    };
    const y = layerNorm(graph.differentiable('input.x'), options);
    graph.value('y', y);
    graph.loss(weighted(y, graph.input('input.W')));
  }),
  graphKind('cross-entropy', /^cross-entropy with logits, mean/, (graph) => {
    const logits = graph.differentiable('input.logits');
    const target = graph.input('input.target');
    graph.loss(crossEntropy(logits, target));
    graph.value('loss_sum', crossEntropy(logits, target, { reduction: 'sum' }));
    graph.value('loss_none', crossEntropy(logits, target, { reduction: 'none' }));
  }),
  graphKind('mean square', /^mean squared error/, (graph) => {
    graph.loss(meanSquare(graph.differentiable('input.pred'), graph.input('input.target')));
  }),
  graphKind('embedding', /^embedding lookup/, (graph) => {
    const y = gather(graph.parameter('param.weight'), graph.input('input.index'));
    graph.value('y', y);
    graph.loss(weighted(y, graph.input('input.W')));
  }),
  graphKind('row-masked softmax', /^communication attention: softmax over the last axis/, (graph) => {
    const [batch = 0, readers = 0] = graph.file.shape('input.mask', 2);
    const probs = softmax(graph.differentiable('input.scores'));
    const masked = mul(probs, reshape(graph.input('input.mask'), [batch, 1, readers, 1]));
    const context = matmul(masked, graph.differentiable('input.value'));
    graph.value('probs', probs);
    graph.value('masked_probs', masked);
    graph.value('context', context);
    graph.loss(weighted(context, graph.input('input.W')));
  }),
  graphKind('top-k softmax', /^row-wise top-k/, (graph) => {
    const scores = graph.differentiable('input.scores');
    const topK = graph.file.whole('k');
    const probs = softmax(scores, { topK });
    graph.mask('mask', topKMask(scores, topK));
    graph.value('probs', probs);
    graph.loss(weighted(probs, graph.input('input.W')));
  }),
  graphKind('selection by raw score', /^softmax over 2 slots.*largest raw score/, (graph) =>
    selectCase(graph, 'raw-score'),
  ),
  graphKind('selection by null probability', /^softmax over slots.*largest null probability/, (graph) =>
    selectCase(graph, 'least-null'),
  ),
  graphKind('sparse attention', /^Sparse_attention/, (graph) => {
    const y = sparseAttention(graph.differentiable('input.attn'), graph.file.whole('top_k'));
    graph.value('y', y);
    graph.loss(weighted(y, graph.input('input.W')));
  }),
];
