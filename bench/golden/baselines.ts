// The kinds `base_*`: PyTorch's LSTM, GRU and transformer encoder layer, which are the baselines themselves with the file's weights,
// and its convolution and transposed convolution, built from the engine's ops. PyTorch's gate order is the engine's too.

import { add, constant, conv2d, convTranspose2d, permute, reshape, type Tensor } from '../../engine/core.ts';
import { FileError } from '../../engine/errors.ts';
import { gru, lstm } from '../baselines/index.ts';
import { causalMask } from '../baselines/positions.ts';
import { type LayerWeights, transformerLayer } from '../baselines/transformer-layer.ts';
import { type Case, graphKind, type Kind } from './case.ts';
import { loadWeight, transposed } from './rim-weights.ts';
import { weighted } from './subops.ts';

/** The state `input.h0` or `input.c0` of one layer and one direction, [1,B,H], as [B,H]. */
function initialState(graph: Case, name: string): Tensor {
  const [layers = 0, batch = 0, hidden = 0] = graph.file.shape(name, 3);
  if (layers !== 1)
    throw new FileError(`${graph.file.name}: ${layers} layers; this checker knows one layer and direction`);
  return reshape(graph.differentiable(name), [batch, hidden]);
}

function recurrentCase(graph: Case, make: typeof lstm | typeof gru, gates: number, states: readonly string[]): void {
  const { file } = graph;
  const [ofInput = 0, inputSize = 0] = file.shape('param.weight_ih_l0', 2);
  const [ofState = 0, hiddenSize = 0] = file.shape('param.weight_hh_l0', 2);
  // Known before anything of that size is made.
  if (ofInput !== gates * hiddenSize || ofState !== gates * hiddenSize)
    throw new FileError(`${file.name}: its weights are not those of ${gates} gates of ${hiddenSize} units`);
  const model = make({ inputSize, hiddenSize }, { seed: 0 });
  const { inputGates, stateGates, inputBias, stateBias } = model.weights;
  loadWeight(graph, inputGates, transposed('weight_ih_l0', inputSize, ofInput));
  loadWeight(graph, stateGates, transposed('weight_hh_l0', hiddenSize, ofState));
  loadWeight(graph, inputBias, { stored: 'bias_ih_l0' });
  loadWeight(graph, stateBias, { stored: 'bias_hh_l0' });
  const x = graph.differentiable('input.x');
  const start = Object.fromEntries(states.map((name) => [name, initialState(graph, `input.${name}0`)]));
  const { hidden, state } = model(x, start);
  const terms = Object.entries(state).map(([name, last]: [string, Tensor]) => {
    graph.value(`${name}_n`, last);
    return weighted(last, graph.input(`input.W_${name}`));
  });
  graph.value('outputs', hidden);
  graph.loss(terms.reduce(add, weighted(hidden, graph.input('input.W_out'))));
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
  graphKind('LSTM', /^torch\.nn\.LSTM\b/, (graph) => recurrentCase(graph, lstm, 4, ['h', 'c'])),
  graphKind('GRU', /^torch\.nn\.GRU\b/, (graph) => recurrentCase(graph, gru, 3, ['h'])),
  graphKind('transformer layer', /^torch\.nn\.TransformerEncoderLayer, post-norm, batch first/, transformerCase),
  graphKind('convolution', /^torch\.nn\.Conv2d\b/, (graph) => convolutionCase(graph, false)),
  graphKind('transposed convolution', /^torch\.nn\.ConvTranspose2d\b/, (graph) => convolutionCase(graph, true)),
];
