// The kinds `base_*`: PyTorch's LSTM and GRU, which are the baselines themselves, with the file's weights, and its transformer
// encoder layer, convolution and transposed convolution, built from the engine's ops. PyTorch's gate order is the engine's too.

import {
  add,
  affine,
  constant,
  conv2d,
  convTranspose2d,
  einsum,
  gelu,
  layerNorm,
  relu,
  reshape,
  slice,
  softmax,
  type Tensor,
} from '../../engine/core.ts';
import { FileError } from '../../engine/errors.ts';
import { gru, lstm } from '../baselines/index.ts';
import { type Case, graphKind, type Kind } from './case.ts';
import { loadWeight, transposed } from './rim-weights.ts';
import { torchLinear, weighted } from './subops.ts';

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

function attention(graph: Case, x: Tensor): Tensor {
  const { file } = graph;
  const [batch = 0, steps = 0, size = 0] = x.shape;
  const heads = file.whole('heads');
  if (size % heads !== 0) throw new FileError(`${file.name}: ${heads} heads do not divide the size ${size}`);
  const projected = torchLinear(
    x,
    graph.parameter('param.self_attn.in_proj_weight'),
    graph.parameter('param.self_attn.in_proj_bias'),
  );
  const [query, key, value] = [0, 1, 2].map((i) =>
    reshape(slice(projected, 2, i * size, size), [batch, steps, heads, size / heads]),
  );
  if (query === undefined || key === undefined || value === undefined)
    throw new FileError(`${file.name}: no attention`);
  const scores = affine(einsum('bqhd,bkhd->bhqk', query, key), Math.sqrt(heads / size), 0);
  const earlier = Float32Array.from({ length: steps * steps }, (_, i) => (i % steps <= Math.floor(i / steps) ? 1 : 0));
  const mask = file.flag('causal_mask') ? { mask: constant(earlier, [steps, steps]) } : {};
  const probs = softmax(scores, mask);
  const context = reshape(einsum('bhqk,bkhd->bqhd', probs, value), [batch, steps, size]);
  return torchLinear(
    context,
    graph.parameter('param.self_attn.out_proj.weight'),
    graph.parameter('param.self_attn.out_proj.bias'),
  );
}

function transformerCase(graph: Case): void {
  const { file } = graph;
  const epsilon = file.number('layer_norm_eps');
  const activation = file.oneOf('activation', 'relu', 'gelu (exact, erf)') === 'relu' ? relu : gelu;
  const norm = (name: string, x: Tensor): Tensor =>
    layerNorm(x, {
      weight: graph.parameter(`param.${name}.weight`),
      bias: graph.parameter(`param.${name}.bias`),
      epsilon,
    });
  const linear = (name: string, x: Tensor): Tensor =>
    torchLinear(x, graph.parameter(`param.${name}.weight`), graph.parameter(`param.${name}.bias`));
  file.shape('input.x', 3);
  const x = graph.differentiable('input.x');
  const attended = norm('norm1', add(x, attention(graph, x)));
  const y = norm('norm2', add(attended, linear('linear2', activation(linear('linear1', attended)))));
  graph.value('y', y);
  graph.loss(weighted(y, graph.input('input.W')));
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
