// The kinds `base_*`: PyTorch's LSTM, GRU, transformer encoder layer, convolution and transposed convolution, built from
// the engine's ops; the transformer's is the layer of our own baseline, so that its files check that one. Weights come in
// PyTorch's layout and gate order; gates keep it.

import {
  add,
  constant,
  conv2d,
  convTranspose2d,
  gruGates,
  lstmGates,
  permute,
  reshape,
  scan,
  type Tensor,
} from '../../engine/core.ts';
import { FileError } from '../../engine/errors.ts';
import { causalMask } from '../baselines/positions.ts';
import { type LayerWeights, transformerLayer } from '../baselines/transformer-layer.ts';
import { type Case, graphKind, type Kind } from './case.ts';
import { torchLinear, weighted } from './subops.ts';

/** The state `input.h0` or `input.c0` of one layer and one direction, [1,B,H], as [B,H]. */
function initialState(graph: Case, name: string): Tensor {
  const [layers = 0, batch = 0, hidden = 0] = graph.file.shape(name, 3);
  if (layers !== 1)
    throw new FileError(`${graph.file.name}: ${layers} layers; this checker knows one layer and direction`);
  return reshape(graph.differentiable(name), [batch, hidden]);
}

function recurrentCase(graph: Case, cell: 'gru' | 'lstm'): void {
  const [inputWeight, inputBias] = [graph.parameter('param.weight_ih_l0'), graph.parameter('param.bias_ih_l0')];
  const [stateWeight, stateBias] = [graph.parameter('param.weight_hh_l0'), graph.parameter('param.bias_hh_l0')];
  const x = graph.differentiable('input.x');
  const h0 = initialState(graph, 'input.h0');
  const gatesOf = (row: Tensor, h: Tensor) =>
    [torchLinear(row, inputWeight, inputBias), torchLinear(h, stateWeight, stateBias)] as const;
  const terms: Tensor[] = [];
  const last = (name: 'h' | 'c', tensor: Tensor): void => {
    graph.value(`${name}_n`, tensor);
    terms.push(weighted(tensor, graph.input(`input.W_${name}`)));
  };
  let outputs: Tensor;
  if (cell === 'gru') {
    const run = scan(
      ({ row }, { h }) => {
        const next = gruGates(...gatesOf(row, h), h);
        return { state: { h: next }, output: { h: next } };
      },
      { row: x },
      { h: h0 },
    );
    outputs = run.outputs.h;
    last('h', run.state.h);
  } else {
    const run = scan(
      ({ row }, { h, c }) => {
        const next = lstmGates(add(...gatesOf(row, h)), c);
        return { state: next, output: { h: next.h } };
      },
      { row: x },
      { h: h0, c: initialState(graph, 'input.c0') },
    );
    outputs = run.outputs.h;
    last('h', run.state.h);
    last('c', run.state.c);
  }
  graph.value('outputs', outputs);
  graph.loss(terms.reduce(add, weighted(outputs, graph.input('input.W_out'))));
}

/** PyTorch's layer through ours: its weights are [out,in], and its batch comes first. */
function transformerCase(graph: Case): void {
  const { file } = graph;
  file.oneOf('layer_norm_eps', '1e-5');
  const activation = file.oneOf('activation', 'relu', 'gelu (exact, erf)') === 'relu' ? 'relu' : 'gelu';
  const heads = file.whole('heads');
  const [, steps = 0, size = 0] = file.shape('input.x', 3);
  if (size % heads !== 0) throw new FileError(`${file.name}: ${heads} heads do not divide the size ${size}`);
  const vector = (name: string): Tensor => graph.parameter(`param.${name}`);
  const matrix = (name: string): Tensor => permute(vector(`${name}.weight`), [1, 0]);
  const weights: LayerWeights = {
    attention: permute(reshape(vector('self_attn.in_proj_weight'), [3, size, size]), [0, 2, 1]),
    attentionBias: reshape(vector('self_attn.in_proj_bias'), [3, size]),
    output: matrix('self_attn.out_proj'),
    outputBias: vector('self_attn.out_proj.bias'),
    expand: matrix('linear1'),
    expandBias: vector('linear1.bias'),
    contract: matrix('linear2'),
    contractBias: vector('linear2.bias'),
    norm1: vector('norm1.weight'),
    norm1Bias: vector('norm1.bias'),
    norm2: vector('norm2.weight'),
    norm2Bias: vector('norm2.bias'),
  };
  const view = file.flag('causal_mask') ? { mask: constant(causalMask(0, steps), [steps, steps]) } : {};
  const x = permute(graph.differentiable('input.x'), [1, 0, 2]);
  const { y } = transformerLayer(x, weights, { heads, activation, norm: 'post' }, view);
  const batchFirst = permute(y, [1, 0, 2]);
  graph.value('y', batchFirst);
  graph.loss(weighted(batchFirst, graph.input('input.W')));
}

function convolutionCase(graph: Case, transposed: boolean): void {
  const { file } = graph;
  for (const key of ['dilation', 'groups']) file.oneOf(key, '1');
  const x = graph.differentiable('input.x');
  const weight = graph.parameter('param.weight');
  const options = {
    bias: graph.parameter('param.bias'),
    stride: file.whole('stride'),
    padding: file.number('padding'),
  };
  const outputPadding = file.number('output_padding');
  const y = transposed ? convTranspose2d(x, weight, { ...options, outputPadding }) : conv2d(x, weight, options);
  graph.value('y', y);
  graph.loss(weighted(y, graph.input('input.W')));
}

/** The kinds of this file. */
export const baselineKinds: readonly Kind[] = [
  graphKind('LSTM', /^torch\.nn\.LSTM\b/, (graph) => recurrentCase(graph, 'lstm')),
  graphKind('GRU', /^torch\.nn\.GRU\b/, (graph) => recurrentCase(graph, 'gru')),
  graphKind('transformer layer', /^torch\.nn\.TransformerEncoderLayer, post-norm, batch first/, transformerCase),
  graphKind('convolution', /^torch\.nn\.Conv2d\b/, (graph) => convolutionCase(graph, false)),
  graphKind('transposed convolution', /^torch\.nn\.ConvTranspose2d\b/, (graph) => convolutionCase(graph, true)),
];
